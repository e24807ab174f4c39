//! Dictionaries by the name of a repository and a folder in it, and by SAELens's names.

use super::server::{COMMIT, Hub, NAME, Server, complaint};
use crate::cli::text;
use deltascope::Result;
use deltascope::dictionaries::Dictionary;
use deltascope::model::hub::download_folder;
use serde_json::Value;
use std::path::{Path, PathBuf};

const FOLDER: &str = "blocks.1.hook_resid_post/l0_5";
const KINDS: &[&[&str]] = &[&["cfg.json", "sae_weights.safetensors"], &["params.npz"]];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dictionaries").join(name)
}

#[test]
fn a_folder_of_a_repository_becomes_a_folder_in_the_cache() -> Result<()> {
    let server = Server::start(Hub::inside(FOLDER, &fixture("saelens-topk-rescaled")));
    let name = format!("{NAME}/{FOLDER}");
    assert!(complaint(download_folder(&name, KINDS, &server.offline())).contains("HF_HUB_OFFLINE"));
    let found = download_folder(&name, KINDS, &server.settings())?;
    assert_eq!(found, server.snapshot().join(FOLDER));
    let reference = Dictionary::load(&fixture("saelens-topk-rescaled"))?;
    assert_eq!(Dictionary::load(&found)?.spec(), reference.spec());
    // What was not asked for is not there.
    assert!(!found.join("golden.safetensors").exists());
    server.with(|hub| hub.seen.clear());
    assert_eq!(download_folder(&name, KINDS, &server.offline())?, found);
    for name in [format!("{NAME}@{COMMIT}/{FOLDER}"), format!("{NAME}/{FOLDER}@{COMMIT}")] {
        assert_eq!(download_folder(&name, KINDS, &server.settings())?, found);
    }
    assert!(server.with(|hub| hub.seen.is_empty()), "a cached commit was asked for again");
    download_folder(&format!("{NAME}@refs/pr/1/{FOLDER}"), KINDS, &server.settings())?;
    let missing = complaint(download_folder(&format!("{NAME}/elsewhere"), KINDS, &server.settings()));
    assert!(missing.contains("`elsewhere`") && missing.contains("params.npz"), "{missing}");
    Ok(())
}

#[test]
fn verbs_take_dictionaries_by_name_and_say_what_the_files_say() {
    let server = Server::start(Hub::inside(FOLDER, &fixture("saelens-topk-rescaled")));
    let place = tempfile::tempdir().unwrap();
    let golden = fixture("saelens-topk-rescaled").join("golden.safetensors");
    let name = format!("{NAME}@main/{FOLDER}");
    let checked = server.deltascope(
        place.path(),
        &["check", "dictionary", &name, "--golden", golden.to_str().unwrap(), "--json"],
    );
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let answer: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(answer["understood"]["format"], "SAELens");
    assert_eq!(answer["hook"], "blocks.1.hook_resid_post");
    let notes = answer["notes"].to_string();
    assert!(notes.contains("center_writing_weights") && notes.contains("unprocessed"), "{notes}");
    let converted =
        server.deltascope(place.path(), &["convert", &name, "--to", "deltascope", "--out", "own"]);
    assert!(converted.status.success(), "{}", text(&converted.stderr));
    assert!(text(&converted.stdout).contains("center_writing_weights"), "{}", text(&converted.stdout));
    assert_eq!(Dictionary::load(&place.path().join("own")).unwrap().notes().len(), 1);
}

#[test]
fn a_name_of_saelens_is_found_by_its_table() {
    let server = Server::start(Hub::inside(FOLDER, &fixture("gemma_scope-transcoder")));
    let place = tempfile::tempdir().unwrap();
    let table = format!(
        "scope:\n  conversion_func: gemma_2_transcoder\n  model: tiny\n  repo_id: {NAME}\n  saes:\n  - id: layer_1/canonical\n    \
         path: {FOLDER}\n"
    );
    std::fs::write(place.path().join("saes.yaml"), table).unwrap();
    let check = |name: &str| server.deltascope(place.path(), &["check", "dictionary", name]);
    let found = check("saes.yaml:scope/layer_1/canonical");
    assert!(found.status.success(), "{}", text(&found.stderr));
    assert!(text(&found.stdout).starts_with("transcoder: 24 features"), "{}", text(&found.stdout));
    // The same files by their folder are an SAE, and the answer says that they need not be.
    let found = check(&format!("{NAME}/{FOLDER}"));
    assert!(text(&found.stdout).starts_with("jumprelu: 24 features"), "{}", text(&found.stdout));
    assert!(text(&found.stdout).contains("--transcoder"), "{}", text(&found.stdout));
    let lost = check("saes.yaml:scope/layer_2/canonical");
    assert_eq!(lost.status.code(), Some(2));
    assert!(text(&lost.stderr).contains("layer_1/canonical"), "{}", text(&lost.stderr));
}
