//! From a name to a folder: what is downloaded, and what the cache is trusted for.

use super::server::{COMMIT, Hub, LATER, NAME, Seen, Server, WEIGHTS, assert_whole, complaint};
use crate::cli::text;
use crate::goldens::folder;
use candle_core::Device;
use deltascope::Result;
use deltascope::model::hub::{config, download};
use deltascope::model::{Config, LlamaShape, Model};
use std::path::PathBuf;

#[test]
fn a_name_becomes_a_folder_in_the_cache_and_is_there_offline() -> Result<()> {
    let server = Server::start(Hub::tiny());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"));
    let found = download(NAME, &server.settings())?;
    assert_eq!(found, server.snapshot());
    let reference = Model::load(&folder("llama"), &Device::Cpu)?.weights_hash()?;
    assert_eq!(Model::load(&found, &Device::Cpu)?.weights_hash()?, reference);
    assert_eq!(std::fs::read_to_string(server.repository().join("refs/main")).unwrap(), COMMIT);
    assert!(!server.repository().join("incomplete").exists());
    server.with(|hub| {
        // Only the first question is about the branch; it may move while files are downloaded.
        let of_branch: Vec<&Seen> = hub.seen.iter().filter(|seen| seen.path.contains("/main/")).collect();
        assert_eq!(of_branch.len(), 1, "{of_branch:?}");
        hub.seen.clear();
    });
    assert_eq!(download(NAME, &server.offline())?, found);
    assert_eq!(download(&format!("{NAME}@{COMMIT}"), &server.settings())?, found);
    assert!(server.with(|hub| hub.seen.is_empty()), "a cached commit was asked for again");
    download(&format!("{NAME}@refs/pr/1"), &server.settings())?;
    assert!(server.ranges_of_the_weights().is_empty(), "cached weights were downloaded again");
    assert!(server.with(|hub| hub.seen[0].path.contains("/refs%2Fpr%2F1/")));
    // What another program left out of a commit is asked for.
    std::fs::remove_file(found.join("tokenizer.json")).unwrap();
    download(&format!("{NAME}@{COMMIT}"), &server.settings())?;
    assert!(found.join("tokenizer.json").exists());
    Ok(())
}

#[test]
fn a_file_that_holds_all_comes_before_an_index() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let index = br#"{"weight_map": {"a": "lost.safetensors"}}"#;
    server.with(|hub| hub.files.insert("model.safetensors.index.json".to_owned(), index.to_vec()));
    let found = download(NAME, &server.settings())?;
    assert_whole(&found);
    assert_eq!(download(NAME, &server.offline())?, found);
    // Nor does it count where they lie side by side in a folder.
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", WEIGHTS] {
        std::fs::copy(found.join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    Model::load(folder.path(), &Device::Cpu)?;
    Ok(())
}

#[test]
fn a_name_may_stand_for_an_adapter() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters/lora-llama");
    let server = Server::start(Hub::of(&folder));
    let found = download(NAME, &server.settings())?;
    assert!(found.join("adapter_config.json").is_file() && found.join("adapter_model.safetensors").is_file());
    server.with(|hub| hub.seen.clear());
    assert_eq!(download(NAME, &server.offline())?, found);
    assert_eq!(download(&format!("{NAME}@{COMMIT}"), &server.settings())?, found);
    assert!(server.with(|hub| hub.seen.is_empty()), "a cached commit was asked for again");
    Ok(())
}

#[test]
fn a_configuration_comes_without_weights() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = config(NAME, &server.settings())?.unwrap();
    assert_eq!(Config::load(&found)?.hook_points(), Config::load(&folder("llama"))?.hook_points());
    assert!(!found.join(WEIGHTS).exists() && server.ranges_of_the_weights().is_empty());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"), "half a model");
    assert_whole(&download(NAME, &server.settings())?);
    let scanned = server.deltascope(server.home.path(), &["capture", "--scan", "--model", NAME]);
    assert!(text(&scanned.stdout).contains("blocks.1.hook_resid_post"), "{}", text(&scanned.stderr));
    Ok(())
}

#[test]
fn a_file_in_the_cache_of_another_length_is_replaced() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = download(NAME, &server.settings())?;
    let hash = server.with(|hub| hub.hash(WEIGHTS));
    std::fs::write(server.repository().join("blobs").join(hash), b"cut").unwrap();
    assert_whole(&download(NAME, &server.settings())?);
    // A link to nothing is no file.
    std::fs::remove_file(std::fs::canonicalize(found.join("config.json")).unwrap()).unwrap();
    download(NAME, &server.settings())?;
    assert!(found.join("config.json").is_file());
    Ok(())
}

#[test]
fn verbs_take_names_of_the_hub_as_the_environment_says() {
    let server = Server::start(Hub::gated());
    let checked = server.deltascope(server.home.path(), &["check", "model", &format!("{NAME}@main")]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(server.snapshot().join(WEIGHTS).exists());
}

const STUDY: &str = r#"
name = "named"

[base]
model = "owner/tiny"

[gate]
in_domain = [0.0, 1.0]
refuses_disallowed = 0.0
refuses_allowed = 1.0

[suites]
in_domain = ["general_points"]

[evaluation]
samples = 1
max_new_tokens = 4
problems = 8

[[variant]]
name = "again"
model = "owner/tiny@refs/pr/1"
"#;

#[test]
fn a_study_by_name_is_of_a_commit() -> Result<()> {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = deltascope::tasks::tokenizer()?;
    let shape = LlamaShape {
        vocabulary: tokenizer.vocabulary(),
        d_model: 16,
        layers: 1,
        heads: 2,
        d_mlp: 16,
        max_positions: 256,
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad: tokenizer.pad(),
    };
    let model = Model::initialise(&Config::llama(&shape)?, 1, &Device::Cpu)?.with_tokenizer(tokenizer);
    model.save(&place.path().join("model"))?;
    std::fs::write(place.path().join("study.toml"), STUDY).unwrap();
    let server = Server::start(Hub::of(&place.path().join("model")));
    let said = |verb: &str| -> serde_json::Value {
        let output = server.deltascope(place.path(), &[verb, "study.toml", "--json", "--quiet"]);
        assert!(output.status.success(), "{verb}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    said("run");
    let cached = |plan: serde_json::Value| -> Vec<bool> {
        plan["stages"].as_array().unwrap().iter().map(|stage| stage["cached"] == true).collect()
    };
    assert!(cached(said("plan")).iter().all(|cached| *cached));
    let store = std::fs::read_dir(place.path().join("runs/named/store")).unwrap();
    let manifests =
        store.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("manifest.json")).ok());
    let named = format!("hub {NAME}@{COMMIT}");
    assert_eq!(manifests.filter(|manifest| manifest.contains(&named)).count(), 2);
    // The branch moves, and with it whatever was made from it.
    server.with(|hub| hub.commit = LATER.to_owned());
    assert!(cached(said("plan")).iter().all(|cached| !*cached));
    Ok(())
}

#[test]
fn no_log_holds_the_token_whatever_it_is_asked_for() {
    let server = Server::start(Hub::gated());
    let place = tempfile::tempdir().unwrap();
    for filter in ["trace", "ureq=trace,ureq_proto=trace,rustls=trace", "log=trace,trace"] {
        let output = server
            .command(place.path(), &["check", "model", NAME, "--verbose"])
            .env("RUST_LOG", filter)
            .output()
            .unwrap();
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(server.with(|hub| hub.seen.iter().any(|seen| seen.authorization.is_some())), "{said}");
        assert!(!said.contains("secret"), "{filter}: {said}");
    }
}
