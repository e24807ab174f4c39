//! Every reader that is reached through the public interface, one line each, and the files it begins with.

use crate::templates;
use deltascope::activations::{
    ActivationStore, ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta, import,
};
use deltascope::compute::Compute;
use deltascope::dictionaries::{Declared, Dictionary};
use deltascope::experiments::EditFile;
use deltascope::model::{Config, Model, TokenFile, Tokenizer};
use deltascope::report::{Report, StudyFacts};
use deltascope::store::Manifest;
use deltascope::study::{Experiment, Study};
use deltascope::tables;
use deltascope::tasks::{Dataset, Document, Pair, Suite};
use deltascope::training::TrainingRow;
use std::fs::write;
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
    "adapter_model.bin", || adapters("adapter_model.bin"), |at| base().with_adapter(at).is_ok();
    "dictionary-json", || dictionaries(&["json"]), |at| Dictionary::load(at).is_ok();
    "dictionary-safetensors", || dictionaries(&["safetensors"]), |at| Dictionary::load(at).is_ok();
    "dictionary-pickle", || dictionaries(&["pt"]), |at| Dictionary::load(at).is_ok();
    "dictionary-npz", || dictionaries(&["npz"]), |at| Dictionary::load(at).is_ok();
    "pretrained_saes.yaml", releases, released;
    "judge.toml", judges, judge;
    "answers", answers, answered;
    "tokens", tokens, |at| TokenFile::load(&at.join("x.safetensors"), base().config().vocabulary).is_ok();
    "activations", activations, |at| import(&at.join("x.safetensors"), &[]).is_ok();
    "activation-store", store_files, stored;
    "chat", templates::seeds, templates::rendered;
    "study", studies, |at| Study::load(&at.join("x.toml"), &[]).is_ok();
    "edits", studies, |at| Experiment::load(&at.join("x.toml"), &[]).is_ok();
    "said", studies, |at| std::fs::read_to_string(at.join("x.toml")).is_ok_and(|text| EditFile::parse(&text).is_ok());
    "facts", facts, |at| StudyFacts::load(at).is_ok();
    "report", reports, |at| Report::open(at).is_ok_and(|report| report.html().is_ok());
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
    ONCE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = read(&fixtures().join("models/llama/tokenizer.json"));
        write(folder.path().join("tokenizer.json"), file).unwrap();
        let template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}";
        write(folder.path().join("chat_template.jinja"), template).unwrap();
        Tokenizer::load(folder.path()).unwrap()
    })
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

/// Adapters of the base model.
fn adapters(file: &str) -> Vec<Seed> {
    folders(&fixtures().join("adapters/peft"), |path| {
        name(path) == file && name(path.parent().unwrap()).ends_with("-llama")
    })
}

fn releases() -> Vec<Seed> {
    let table = "some-release:\n  conversion_func: null\n  model: gpt2-small\n  repo_id: owner/name\n  \
        config_overrides:\n    model_from_pretrained_kwargs:\n      center_writing_weights: true\n  saes:\n  - id: a\n    \
        path: blocks.0\n    l0: 40\n    norm_scaling_factor: 0.5\n  - id: b/c\n    path: 'blocks.1'\n";
    vec![Seed::one("x.yaml", table)]
}

/// Asks for an id that no table has, for what is found is looked for on the hub.
fn released(at: &Path) -> bool {
    let name = format!("{}:some-release/none of them", at.join("x.yaml").display());
    let said = Dictionary::find(&name, &Declared::default()).unwrap_err().to_string();
    said.contains("has no id")
}

fn judges() -> Vec<Seed> {
    let judge = "address = \"http://127.0.0.1:9/v1\"\nmodel = \"judge\"\nprompt = \"\"\"{{ prompt }} {{ response }} \
        {{ answer }}\"\"\"\ntemperature = 0.5\nconcurrency = 4\nretries = 2\nparameters = { top_p = 0.5 }\ncache = \"kept\"\n\
        [verdict]\nkind = \"reward\"\nwords = { RIGHT = 1.0, WRONG = 0.0 }\n";
    let rows = b"{\"prompt\": \"a\", \"answer\": \"b\"}\n".to_vec();
    let files = vec![("x.toml".to_owned(), judge.into()), ("rows.jsonl".to_owned(), rows)];
    vec![Seed { files }]
}

fn judge(at: &Path) -> bool {
    let (rows, judge) = (at.join("rows.jsonl"), at.join("x.toml"));
    Suite::parse(&format!("{}:rows=all:reward=judge:{}", rows.display(), judge.display())).is_ok()
}

/// Rows whose prompt is judged as the response.
fn answers() -> Vec<Seed> {
    let pairs = std::fs::read_to_string(fixtures().join("answers/generated.jsonl")).unwrap();
    let row = |line: &str| {
        let pair: serde_json::Value = serde_json::from_str(line).unwrap();
        let row = serde_json::json!({ "prompt": pair["response"], "answer": pair["gold"] });
        Seed::one("x.jsonl", row.to_string())
    };
    pairs.lines().step_by(5).map(row).collect()
}

fn answered(at: &Path) -> bool {
    let judged = |reward: &str| {
        let suite = Suite::parse(&format!("{}:rows=all:reward={reward}", at.join("x.jsonl").display()));
        suite.map(|suite| {
            let problems = suite.problems(1);
            problems.iter().for_each(|problem| drop(suite.score(problem, &problem.prompt, false)));
        })
    };
    // Each is tried, whether or not the one before it reads the answer.
    let read = ["math", "number", "expression", "regex", "exact"].map(|reward| judged(reward).is_ok());
    read.contains(&true)
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

/// A page of one table, which is changed, or the facts beside it.
fn reports() -> Vec<Seed> {
    let table = ("training.parquet".to_owned(), table()[0].changed().to_vec());
    let facts = facts().swap_remove(0).files.swap_remove(0);
    vec![Seed { files: vec![facts.clone(), table.clone()] }, Seed { files: vec![table, facts] }]
}

fn artifact() -> Vec<Seed> {
    let text = r#"{"recipe": {"stage": "variant sft", "revision": 1, "config": {"a": [1]}, "device": "cpu f32",
        "inputs": {}, "outside": {"data": "00"}}, "version": "0.1.0", "files": {"a.bin": {"bytes": 3, "blake3": "00"}},
        "wall_seconds": 1.5, "peak_memory_bytes": null, "attempts": 1}"#;
    vec![Seed::one("manifest.json", text)]
}
