//! Adapters against what PEFT computes of the same files, and files that are refused.

use super::*;
use crate::model::{Gradients, Hooks, Parameter, TokenBatch};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn adapter(name: &str) -> PathBuf {
    fixtures().join("adapters/peft").join(name)
}

fn llama() -> Model {
    Model::load(&fixtures().join("models/llama"), &Device::Cpu).unwrap()
}

fn logits(model: &Model, rows: &[Vec<u32>]) -> Vec<f32> {
    let batch = TokenBatch::new(rows).unwrap();
    let hidden = model.hidden(&batch, None, &mut Hooks::none(), Gradients::Off).unwrap();
    model.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn apart(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The ids and the logits that PEFT gives for them.
fn golden(folder: &Path) -> (Vec<Vec<u32>>, Vec<f32>) {
    let tensors = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
    let ids = tensors["input_ids"].to_dtype(DType::U32).unwrap().to_vec2().unwrap();
    (ids, tensors["logits"].flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn every_option_computes_what_peft_computes() {
    let mut count = 0;
    for entry in std::fs::read_dir(adapter("")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (ids, theirs) = golden(&folder);
        let model = Model::load(&folder, &Device::Cpu).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ours = logits(&model, &ids);
        assert!(apart(&ours, &theirs) < 5e-5, "{name}: {}", apart(&ours, &theirs));
        let merged = model.merged().unwrap();
        assert!(apart(&logits(&merged, &ids), &theirs) < 5e-5, "{name}: merged");
        assert!(merged.parameters().iter().all(Parameter::trainable), "{name}");
        assert_eq!(logits(&model.copy().unwrap(), &ids), ours, "{name}: copied");
        // Written and read again, it is a model like any other.
        let written = tempfile::tempdir().unwrap();
        model.save(written.path()).unwrap();
        let read = Model::load(written.path(), &Device::Cpu).unwrap();
        assert!(apart(&logits(&read, &ids), &theirs) < 5e-5, "{name}: written");
        let is_resized = name.starts_with("resized");
        assert_eq!(model.config().vocabulary, if is_resized { 323 } else { 320 }, "{name}");
        // Nothing of what PEFT wrote is left out; what it wrote of a larger vocabulary is told.
        assert_eq!(model.notes().len(), usize::from(is_resized), "{name}: {:?}", model.notes());
        count += 1;
    }
    assert!(count > 35, "{count} adapters");
}

/// The modules that PEFT adapts, with rank and scale, for settings of every form; what it refuses is refused.
#[test]
fn settings_name_the_modules_that_peft_finds() {
    let text = std::fs::read_to_string(fixtures().join("adapters/scope.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 50);
    for case in &cases {
        let family = case["family"].as_str().unwrap();
        let base = Model::load(&fixtures().join("models").join(family), &Device::Cpu).unwrap();
        let modules = modules::Modules::of(&base);
        let Value::Object(keys) = case["config"].clone() else { panic!("{case}") };
        let found = Settings::read(&Object::new(keys)).and_then(|settings| {
            let config = base.config();
            Ok((scope::Scope::new(&settings, &modules, config.family, config.tied)?, settings))
        });
        let Some(theirs) = case["adapted"].as_object() else {
            assert!(found.is_err(), "PEFT refuses {case}");
            continue;
        };
        let (scope, settings) = found.unwrap_or_else(|error| panic!("{case}: {error}"));
        let names: Vec<&str> = theirs.keys().map(|name| modules.here(name)).collect();
        let mut ours: Vec<&str> = scope.adapted.keys().map(String::as_str).collect();
        ours.sort_by_key(|name| names.iter().position(|known| known == name));
        assert_eq!(ours, names, "{case}");
        for (name, numbers) in theirs {
            let name = modules.here(name);
            let (rank, alpha) = (settings.rank_of(name, &modules), settings.alpha_of(name, &modules));
            let root = if settings.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
            assert_eq!(numbers[0].as_u64(), Some(rank as u64), "{name} of {case}");
            assert!((numbers[1].as_f64().unwrap() - alpha / root).abs() < 1e-12, "{name} of {case}");
        }
    }
}

/// A copy of an adapter with other settings and tensors.
struct Altered {
    folder: tempfile::TempDir,
    config: Value,
    tensors: std::collections::BTreeMap<String, Tensor>,
}

impl Altered {
    fn of(folder: &Path) -> Self {
        let config = std::fs::read_to_string(folder.join(CONFIG)).unwrap();
        let tensors = folder.join("adapter_model.safetensors");
        Self {
            folder: tempfile::tempdir().unwrap(),
            config: serde_json::from_str(&config).unwrap(),
            tensors: candle_core::safetensors::load(tensors, &Device::Cpu).unwrap().into_iter().collect(),
        }
    }

    fn lora() -> Self {
        Self::of(&fixtures().join("adapters/lora-llama"))
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    fn keep(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.tensors.retain(|name, _| keep(name));
        self
    }

    fn rename(mut self, from: &str, to: &str) -> Self {
        self.tensors =
            self.tensors.into_iter().map(|(name, tensor)| (name.replace(from, to), tensor)).collect();
        self
    }

    fn load(&self) -> Result<Model> {
        std::fs::write(self.folder.path().join(CONFIG), self.config.to_string()).unwrap();
        let tensors: Vec<_> = self.tensors.clone().into_iter().collect();
        crate::model::save_tensors(&self.folder.path().join("adapter_model.safetensors"), &tensors)?;
        llama().with_adapter(self.folder.path())
    }

    fn refused(&self, part: &str) {
        let error = self.load().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(part), "expected `{part}`, found `{error}`");
    }
}

#[test]
fn what_is_not_the_adapters_own_is_refused_by_name() {
    Altered::lora().keep(|_| false).refused("holds none");
    Altered::lora().set("r", json!(8)).refused("expected lora_A [8, 32]");
    Altered::lora().set("rank_pattern", json!({"v_proj": 2})).refused("v_proj`: expected lora_A [2, 32]");
    Altered::lora().set("r", json!("4")).refused("field `r`");
    Altered::lora().set("r", json!(4.5)).refused("field `r`");
    Altered::lora().set("lora_alpha", json!("16")).refused("field `lora_alpha`");
    Altered::lora()
        .keep(|name| !name.contains("0.self_attn.v_proj.lora_B"))
        .refused("expected both lora_A and lora_B");
    Altered::lora()
        .rename("self_attn.v_proj", "self_attn.w_proj")
        .refused("no module that is read of a llama model");
    Altered::lora().rename("layers.1.", "layers.7.").refused("`model.layers.7.self_attn");
    Altered::lora().rename("base_model.model.", "").refused("expected a name that begins with");
    Altered::lora().rename(".lora_A.weight", ".lora_A.default.weight").refused("lora_A.default");
    Altered::lora().set("target_modules", json!(["c_attn"])).refused("names no module");
    Altered::lora().set("exclude_modules", json!(["q_proj", "v_proj"])).refused("excludes every module");
    Altered::lora().set("target_modules", json!(["self_attn"])).refused("neither a matrix nor an embedding");
    Altered::lora().set("target_modules", json!("(")).refused("no regular expression");
    Altered::lora().set("modules_to_save", json!(["norm"])).refused("expected a trained copy of");
    Altered::lora().set("use_dora", json!(true)).refused("expected a lora_magnitude_vector");
    Altered::lora()
        .set("trainable_token_indices", json!([3]))
        .refused("trained numbers of `model.embed_tokens`");
    Altered::lora().set("trainable_token_indices", json!([320])).refused("expected ids below 320");
    Altered::lora().set("task_type", json!("SEQ_CLS")).refused("field `task_type`");
    Altered::lora().set("peft_type", json!("IA3")).refused("field `peft_type`");
    Altered::lora().set("bias", json!("some")).refused("field `bias`");
    Altered::lora().set("lora_bias", json!(true)).refused("field `lora_bias`");
    Altered::lora().set("layer_replication", json!([[0, 1]])).refused("field `layer_replication`");
    Altered::lora().set("brand_new_option", json!(0.5)).refused("field `brand_new_option`");
    let random = Altered::lora().set("init_lora_weights", json!(false));
    random.load().unwrap();
    random.keep(|name| !name.contains("layers.1")).refused("init_lora_weights");
    let resized = Altered::of(&adapter("resized-mistral")).keep(|name| !name.contains("lm_head"));
    let base = Model::load(&fixtures().join("models/mistral"), &Device::Cpu).unwrap();
    resized.load().unwrap();
    let error = base.with_adapter(resized.folder.path()).err().unwrap().to_string();
    assert!(error.contains("has 323 tokens, the base 320"), "{error}");
}

#[test]
fn what_peft_leaves_out_is_left_out_and_told() {
    let rows = vec![vec![5, 9, 20, 33, 41, 7]];
    let base = logits(&llama(), &rows);
    let told = |altered: Altered, part: &str, same_as: Altered| {
        let model = altered.load().unwrap();
        assert!(model.notes().iter().any(|note| note.contains(part)), "{part}: {:?}", model.notes());
        let expected = logits(&same_as.load().unwrap(), &rows);
        assert_eq!(logits(&model, &rows), expected, "{part}");
        assert!(apart(&expected, &base) > 0.1);
    };
    let first = |name: &str| name.contains("layers.0.");
    let layers = || Altered::lora().set("layers_to_transform", json!([0]));
    told(layers(), "4 tensors of the adapter are left out", layers().keep(first));
    told(
        Altered::lora().keep(first),
        "2 modules that the adapter's config names have no tensors",
        layers().keep(first),
    );
    let one = || Altered::lora().set("target_modules", json!(["q_proj"]));
    told(one(), "are left out", one().keep(|name| name.contains("q_proj")));
    let excluded = Altered::lora().set("exclude_modules", json!(["v_proj"]));
    told(excluded, "are left out", one().keep(|name| name.contains("q_proj")));
    let more = Altered::lora().set("target_modules", json!(["q_proj", "v_proj", "score"]));
    told(more, "name nothing in this base (`score`", Altered::lora());
    let saved = Altered::lora().set("modules_to_save", json!(["score"]));
    told(saved, "name nothing in this base (`score` of `modules_to_save`", Altered::lora());
    let mut norm = Altered::lora();
    norm.tensors.insert(
        "base_model.model.model.norm.weight".to_owned(),
        Tensor::new(&[0.5f32; 32], &Device::Cpu).unwrap(),
    );
    let model = norm.load().unwrap();
    assert!(model.notes()[0].contains("stand in the place of the base's own"), "{:?}", model.notes());
    assert!(apart(&logits(&model, &rows), &logits(&Altered::lora().load().unwrap(), &rows)) > 0.01);
}

#[test]
fn a_folder_of_a_model_and_an_adapter_is_refused_and_one_with_a_config_is_an_adapter() {
    let altered = Altered::lora().set("base_model_name_or_path", json!(fixtures().join("models/llama")));
    altered.load().unwrap();
    let folder = altered.folder.path();
    let model = fixtures().join("models/llama");
    std::fs::copy(model.join("config.json"), folder.join("config.json")).unwrap();
    assert_eq!(Model::base_of_adapter(folder).unwrap(), Some(model.clone()));
    assert!(Model::load(folder, &Device::Cpu).unwrap().has_adapter());
    std::fs::copy(model.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let error = Model::load(folder, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("found both: model.safetensors and adapter_config.json"), "{error}");
}

#[test]
fn damaged_files_are_errors_and_never_more() {
    for (name, file) in [("bin-llama", "adapter_model.bin"), ("dora-llama", "adapter_model.safetensors")] {
        let sound = std::fs::read(adapter(name).join(file)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(adapter(name).join(CONFIG), folder.path().join(CONFIG)).unwrap();
        let base = llama();
        let attempt = |bytes: &[u8]| {
            std::fs::write(folder.path().join(file), bytes).unwrap();
            base.with_adapter(folder.path()).map(|_| ())
        };
        attempt(&sound).unwrap();
        for cut in (0..sound.len()).step_by(sound.len() / 40) {
            assert!(attempt(&sound[..cut]).is_err(), "{name} cut at {cut}");
        }
        let mut stream = crate::rng::Stream::new(1, "test.adapters", &[]);
        for _ in 0..150 {
            let mut bytes = sound.clone();
            let place = stream.below(bytes.len().min(3000));
            bytes[place] = stream.below(256) as u8;
            let _ = attempt(&bytes);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(adapter("bin-llama").join(CONFIG), folder.path().join(CONFIG)).unwrap();
    let error = llama().with_adapter(folder.path()).err().unwrap();
    assert_eq!(error.exit_code(), 2, "{error}");
    std::fs::create_dir(folder.path().join("adapter_model.bin")).unwrap();
    let error = llama().with_adapter(folder.path()).err().unwrap().to_string();
    assert!(error.contains("expected a regular file"), "{error}");
}

#[test]
fn a_summary_says_what_was_understood_and_how_far_it_moves() {
    let summary = AdapterSummary::of(&adapter("patterns-llama"), Some(&llama())).unwrap();
    let down = summary.groups.iter().find(|group| group.module == "model.layers.*.mlp.down_proj").unwrap();
    assert_eq!(
        (down.rank, down.alpha, down.scale, down.layers.clone()),
        (4, Some(20.5), Some(5.125), vec![0, 1])
    );
    assert_eq!(summary.groups.iter().map(|group| group.parameters).sum::<usize>(), summary.parameters);
    assert!(summary.moved.unwrap().most > 0.1);
    let off = Altered::lora().set("lora_alpha", json!(0));
    off.load().unwrap();
    let summary = AdapterSummary::of(off.folder.path(), Some(&llama())).unwrap();
    assert_eq!(summary.moved.unwrap().most, 0.0);
    let alone = AdapterSummary::of(&adapter("resized-llama"), None).unwrap();
    assert_eq!((alone.groups.len(), alone.groups[0].rank, alone.copies.len()), (1, 3, 2));
    let whole = AdapterSummary::of(&adapter("resized-llama"), Some(&llama())).unwrap();
    assert_eq!((whole.vocabulary, whole.replaced.len(), whole.parameters), (Some(323), 2, alone.parameters));
}
