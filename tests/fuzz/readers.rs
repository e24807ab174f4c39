//! Every reader that is reached through the public interface, one line each, and the files it begins with.

use crate::templates;
use deltascope::activations::{
    ActivationStore, ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta, import,
};
use deltascope::compute::Compute;
use deltascope::dictionaries::Dictionary;
use deltascope::experiments::EditFile;
use deltascope::model::{Config, Model, TokenFile, Tokenizer};
use deltascope::report::{Report, StudyFacts};
use deltascope::store::Manifest;
use deltascope::study::{Experiment, Study};
use deltascope::tables;
use deltascope::tasks::{Dataset, Document, Pair, Suite};
use deltascope::training::TrainingRow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files that lie together. The first of them is the one that is changed.
pub(crate) struct Seed {
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Seed {
    pub(crate) fn changed(&self) -> &[u8] {
        &self.files[0].1
    }

    pub(crate) fn is_text(&self) -> bool {
        [".json", ".jsonl", ".toml", ".jinja", ".txt"].iter().any(|end| self.files[0].0.ends_with(end))
    }

    pub(crate) fn one(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { files: vec![(name.to_owned(), content.into())] }
    }
}

/// One way in.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    pub(crate) seeds: fn() -> Vec<Seed>,
    /// Whether what lies in the folder is read.
    pub(crate) read: fn(&Path) -> bool,
}

macro_rules! readers {
    ($($name:literal, $seeds:expr, $read:expr;)*) => {
        pub(crate) const READERS: &[Reader] = &[$(Reader { name: $name, seeds: $seeds, read: $read }),*];
        /// For the allocator, which must not touch what it counts.
        pub(crate) const NAMES: &[&str] = &[$($name),*];
    };
}

readers! {
    "parquet", parquet, |at| tables::read_rows(&at.join("x.parquet")).is_ok();
    "parquet-suite", parquet, |at| Suite::parse(&format!("{}:rows=all:reward=exact", at.join("x.parquet").display())).is_ok();
    "table", table, |at| tables::read::<TrainingRow>(&at.join("x.parquet")).is_ok();
    "jsonl", jsonl, |at| tables::read_rows(&at.join("x.jsonl")).is_ok();
    "jsonl-suite", jsonl, |at| Suite::parse(&format!("{}:rows=all:reward=number", at.join("x.jsonl").display())).is_ok();
    "documents", jsonl, |at| Dataset::<Document>::documents(&at.join("x.jsonl"), tokenizer()).is_ok();
    "pairs", jsonl, |at| Dataset::<Pair>::pairs(&at.join("x.jsonl"), tokenizer()).is_ok();
    "prompts", prompts, |at| deltascope::diff::models::read_prompts(&at.join("x.jsonl"), tokenizer()).is_ok();
    "tokenizer.json", tokenizers, tokenized;
    "tokenizer_config.json", tokenizer_configs, tokenized;
    "config.json", configs, |at| Config::load(at).is_ok();
    "config.json-model", configs, |at| Model::load(at, Compute::cpu()).is_ok();
    "model.safetensors", || models("model.safetensors"), |at| Model::load(at, Compute::cpu()).is_ok();
    "index.json", || models("model.safetensors.index.json"), |at| Model::load(at, Compute::cpu()).is_ok();
    "adapter_config.json", || adapters("adapter_config.json"), |at| base().with_adapter(at).is_ok();
    "adapter_model.safetensors", || adapters("adapter_model.safetensors"), |at| base().with_adapter(at).is_ok();
    "dictionary-json", || dictionaries(&["json"]), |at| Dictionary::load(at).is_ok();
    "dictionary-safetensors", || dictionaries(&["safetensors"]), |at| Dictionary::load(at).is_ok();
    "dictionary-pickle", || dictionaries(&["pt"]), |at| Dictionary::load(at).is_ok();
    "dictionary-npz", || dictionaries(&["npz"]), |at| Dictionary::load(at).is_ok();
    "tokens", tokens, |at| TokenFile::load(&at.join("x.safetensors"), base().config().vocabulary).is_ok();
    "activations", activations, |at| import(&at.join("x.safetensors"), &[]).is_ok();
    "activation-store", store_files, stored;
    "chat", templates::seeds, templates::rendered;
    "study", studies, |at| Study::load(&at.join("x.toml"), &[]).is_ok();
    "edits", studies, |at| Experiment::load(&at.join("x.toml"), &[]).is_ok();
    "said", studies, |at| std::fs::read_to_string(at.join("x.toml")).is_ok_and(|text| EditFile::parse(&text).is_ok());
    "facts", facts, |at| StudyFacts::load(at).is_ok();
    "report", facts, |at| Report::open(at).is_ok_and(|report| report.html().is_ok());
    "artifact", artifact, |at| Manifest::load(at).is_ok();
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The files of a folder in the order of their names.
fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn datasets(extension: &str, called: &str) -> Vec<Seed> {
    let found = list(&fixtures().join("datasets")).into_iter();
    let found = found.filter(|path| path.extension().is_some_and(|found| found == extension));
    found.map(|path| Seed::one(called, read(&path))).collect()
}

fn parquet() -> Vec<Seed> {
    datasets("parquet", "x.parquet")
}

fn jsonl() -> Vec<Seed> {
    datasets("jsonl", "x.jsonl")
}

fn prompts() -> Vec<Seed> {
    let lines = "{\"prompt\": \"a b\", \"label\": \"x\"}\n{\"prompt\": \"c\", \"label\": \"y\", \"response\": \"d\", \"problem_id\": 3}\n";
    vec![Seed::one("x.jsonl", lines)]
}

fn table() -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let row = |step: usize| TrainingRow {
        variant: "sft".to_owned(),
        step,
        loss: Some(1.5),
        ..TrainingRow::default()
    };
    tables::write(&path, &tables::catalogue::TRAINING, &(0..50).map(row).collect::<Vec<_>>()).unwrap();
    vec![Seed::one("x.parquet", read(&path))]
}

fn tokenizer() -> &'static Tokenizer {
    static ONCE: OnceLock<Tokenizer> = OnceLock::new();
    ONCE.get_or_init(|| Tokenizer::load(&fixtures().join("models/llama")).unwrap())
}

fn base() -> &'static Model {
    static ONCE: OnceLock<Model> = OnceLock::new();
    ONCE.get_or_init(|| Model::load(&fixtures().join("models/llama"), Compute::cpu()).unwrap())
}

fn tokenized(at: &Path) -> bool {
    Tokenizer::load(at).is_ok_and(|tokenizer| {
        let ids = tokenizer.encode("Hello, 12 + 30 is what?\n🙂 ünï");
        ids.map(|ids| tokenizer.decode(&ids)).is_ok()
    })
}

fn tokenizers() -> Vec<Seed> {
    let file = read(&fixtures().join("models/llama/tokenizer.json"));
    let mut value: serde_json::Value = serde_json::from_slice(&file).unwrap();
    value["padding"] = serde_json::json!({"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
    value["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
    vec![Seed::one("tokenizer.json", file), Seed::one("tokenizer.json", value.to_string())]
}

fn tokenizer_configs() -> Vec<Seed> {
    let config = serde_json::json!({
        "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "add_bos_token": true,
        "chat_template": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}", "model_max_length": 128,
    });
    let file = read(&fixtures().join("models/llama/tokenizer.json"));
    let files = vec![
        ("tokenizer_config.json".to_owned(), config.to_string().into_bytes()),
        ("tokenizer.json".to_owned(), file),
    ];
    vec![Seed { files }]
}

/// Each folder of `root` that holds a file of this name or kind, with that file first.
fn folders(root: &Path, is_changed: impl Fn(&Path) -> bool) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for folder in list(root).into_iter().filter(|path| path.is_dir()) {
        let files: Vec<PathBuf> = list(&folder)
            .into_iter()
            .filter(|path| path.is_file() && !name(path).starts_with("golden"))
            .collect();
        for changed in files.iter().filter(|path| is_changed(path)) {
            let others = files.iter().filter(|path| *path != changed);
            let all = std::iter::once(changed).chain(others);
            seeds.push(Seed { files: all.map(|path| (name(path), read(path))).collect() });
        }
    }
    seeds
}

fn models(file: &str) -> Vec<Seed> {
    folders(&fixtures().join("models"), |path| name(path) == file)
}

fn configs() -> Vec<Seed> {
    models("config.json")
}

fn adapters(file: &str) -> Vec<Seed> {
    let found = folders(&fixtures().join("adapters"), |path| name(path) == file);
    assert!(found.len() >= 3);
    found.into_iter().skip(1).take(1).collect()
}

fn dictionaries(extensions: &[&str]) -> Vec<Seed> {
    folders(&fixtures().join("dictionaries"), |path| {
        path.extension().is_some_and(|found| extensions.iter().any(|one| found == *one))
    })
}

fn tensors(tensors: &[(&str, candle_core::Tensor)]) -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let named = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    candle_core::safetensors::save(&named, &path).unwrap();
    vec![Seed::one("x.safetensors", read(&path))]
}

fn tokens() -> Vec<Seed> {
    let device = candle_core::Device::Cpu;
    let ids = candle_core::Tensor::new(&[[1_i64, 2, 3], [4, 5, 0]], &device).unwrap();
    let mask = candle_core::Tensor::new(&[[1_i64, 1, 1], [1, 1, 0]], &device).unwrap();
    tensors(&[("input_ids", ids), ("attention_mask", mask)])
}

fn activations() -> Vec<Seed> {
    let values: Vec<f32> = (1..=48).map(|value| value as f32 / 7.0).collect();
    let tensor = candle_core::Tensor::from_vec(values, (4, 3, 4), &candle_core::Device::Cpu).unwrap();
    tensors(&[("activations", tensor)])
}

/// A small store of activations, each of its files changed in turn.
fn store_files() -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("acts");
    let header = Header {
        variants: vec!["base".to_owned(), "sft".to_owned()],
        hook: String::new(),
        d_model: 4,
        element: ElementType::F32,
        provenance: Vec::new(),
    };
    let mut writer = StoreWriter::create(&place, header).unwrap();
    let tokens: Vec<TokenMeta> = (0..3)
        .map(|position| TokenMeta { token: position, position, example: 0, part: Part::Prompt })
        .collect();
    let example =
        ExampleMeta { source: "base".to_owned(), problem: "1".to_owned(), tokens: 3, prompt_length: 1 };
    let values: Vec<f32> = (1..=24).map(|value| value as f32 / 7.0).collect();
    writer.push(&values, &tokens, &[example]).unwrap();
    writer.finish().unwrap();
    let files: Vec<PathBuf> = list(&place).into_iter().filter(|path| path.is_file()).collect();
    assert!(files.len() >= 3);
    let seed = |changed: &PathBuf| {
        let all = std::iter::once(changed).chain(files.iter().filter(|path| *path != changed));
        Seed { files: all.map(|path| (name(path), read(path))).collect() }
    };
    files.iter().map(seed).collect()
}

fn stored(at: &Path) -> bool {
    ActivationStore::open(at)
        .is_ok_and(|store| store.verify().is_ok() && store.read(0..store.tokens().min(4)).is_ok())
}

const STUDY: &str = r#"name = "x"
seed = 7

[base]
preset = "micro"
steps = 20

[suites]
in_domain = ["sums"]
refusal = ["refusal"]

[[variant]]
name = "sft"
method = "sft"
data = "verified_cot"
steps = 2

[[variant]]
name = "rl"
method = "grpo"
steps = 2
lora = { rank = 2 }

[capture]
hooks = ["blocks.1.hook_resid_post"]
tokens = 2000

[dictionary]
kind = "batch_topk_crosscoder"
features = 64
k = 4

[[hypothesis]]
set = { features = [3, 14] }
receiver = "rl"
edit = { transplant = "base" }
suite = "refusal"
"#;

fn studies() -> Vec<Seed> {
    let probes = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
    let found =
        list(&probes).into_iter().filter(|path| path.extension().is_some_and(|found| found == "toml"));
    std::iter::once(Seed::one("x.toml", STUDY))
        .chain(found.map(|path| Seed::one("x.toml", read(&path))))
        .collect()
}

fn facts() -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    StudyFacts::default().save(folder.path()).unwrap();
    let file = deltascope::report::FACTS_FILE;
    vec![Seed::one(file, read(&folder.path().join(file)))]
}

fn artifact() -> Vec<Seed> {
    let text = r#"{"recipe": {"stage": "variant sft", "revision": 1, "config": {"a": [1]}, "device": "cpu f32",
        "inputs": {}, "outside": {"data": "00"}}, "version": "0.1.0", "files": {"a.bin": {"bytes": 3, "blake3": "00"}},
        "wall_seconds": 1.5, "peak_memory_bytes": null, "attempts": 1}"#;
    vec![Seed::one("manifest.json", text)]
}
