//! Every family against golden tensors from transformers: logits, hidden states, attention patterns, loss,
//! every gradient, greedy continuation.

use candle_core::{DType, Device, Tensor};
use deltascope::Result;
use deltascope::compute::Compute;
use deltascope::model::conformance::compare_with_golden;
use deltascope::model::{
    BlockPoint, Config, Gradients, HookPoint, Hooks, Model, Prompt, SampleSettings, TokenBatch, sample_model,
};
use deltascope::progress::Observer;
use std::collections::BTreeMap;
use std::path::PathBuf;

const FAMILIES: [&str; 12] = [
    "llama",
    "llama-bf16",
    "mistral",
    "qwen2",
    "qwen2-bf16",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "olmo2",
    "phi3",
    "gpt2",
    "gpt_neox",
];

pub(crate) fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(family)
}

/// The fused kernels, and the composed ones that a GPU runs.
pub(crate) fn places() -> [Compute; 2] {
    ["cpu", "cpu-composed"].map(|device| Compute::named(device, "f32").unwrap())
}

/// The goldens of the bf16 models come from models that were cast as a whole, rotary frequencies included.
fn load(family: &str, place: &Compute) -> Result<Model> {
    let config = Config::load(&folder(family))?;
    let config = config.cast_as_a_whole().unwrap_or(config);
    Model::load_as(config, &folder(family), place)
}

fn cases() -> impl Iterator<Item = (&'static str, Compute)> {
    FAMILIES.into_iter().flat_map(|family| places().map(|place| (family, place)))
}

fn golden(family: &str) -> Result<BTreeMap<String, Tensor>> {
    let path = folder(family).join("golden.safetensors");
    Ok(candle_core::safetensors::load(path, &Device::Cpu)?.into_iter().collect())
}

fn ids(tensor: &Tensor) -> Result<Vec<Vec<u32>>> {
    Ok(tensor.to_dtype(DType::U32)?.to_vec2::<u32>()?)
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
}

/// The largest difference over real tokens; row 1 of the golden is left-padded, ours right-padded.
fn difference(ours: &Tensor, golden: &Tensor, batch: &TokenBatch) -> Result<f32> {
    let width = batch.width();
    let mut most = 0f32;
    for (row, length) in batch.lengths().iter().enumerate() {
        let ours = ours.get(row)?.narrow(0, 0, *length)?;
        let golden = golden.get(row)?.narrow(0, width - length, *length)?;
        for (a, b) in flat(&ours)?.iter().zip(flat(&golden)?) {
            most = most.max((a - b).abs());
        }
    }
    Ok(most)
}

fn pattern_difference(ours: &Tensor, golden: &Tensor, batch: &TokenBatch) -> Result<f32> {
    let width = batch.width();
    let mut most = 0f32;
    for (row, length) in batch.lengths().iter().enumerate() {
        let ours = ours.get(row)?.narrow(1, 0, *length)?.narrow(2, 0, *length)?;
        let golden =
            golden.get(row)?.narrow(1, width - length, *length)?.narrow(2, width - length, *length)?;
        for (a, b) in flat(&ours.contiguous()?)?.iter().zip(flat(&golden.contiguous()?)?) {
            most = most.max((a - b).abs());
        }
    }
    Ok(most)
}

#[test]
fn activations_match_transformers() -> Result<()> {
    let mut wrong = Vec::new();
    for (family, place) in cases() {
        let (model, golden) = (load(family, &place)?, golden(family)?);
        let mut check = |what: String, most: f32| {
            if !(most < 2e-4) {
                wrong.push(format!("{family} on {place}: {what}: {most}"));
            }
        };
        let batch = TokenBatch::from_mask(&ids(&golden["input_ids"])?, &ids(&golden["attention_mask"])?)?;
        let layers = model.config().layers();
        let mut hooks = Hooks::none();
        for layer in 0..layers {
            hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::ResidPre));
            hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::Pattern));
        }
        let hidden = model.forward(&batch, None, &mut hooks, Gradients::Off)?.unwrap();
        hooks.finish()?;
        for layer in 0..layers {
            let ours = hooks.take(HookPoint::Block(layer, BlockPoint::ResidPre)).unwrap();
            let most = difference(&ours, &golden[&format!("hidden.{layer}")], &batch)?;
            check(format!("hidden.{layer}"), most);
            let ours = hooks.take(HookPoint::Block(layer, BlockPoint::Pattern)).unwrap();
            let most = pattern_difference(&ours, &golden[&format!("attn.{layer}")], &batch)?;
            check(format!("attn.{layer}"), most);
        }
        let most = difference(&hidden, &golden[&format!("hidden.{layers}")], &batch)?;
        check("final hidden".to_owned(), most);
        let most = difference(&model.logits(&hidden)?, &golden["logits"], &batch)?;
        check("logits".to_owned(), most);
        let plain = model.forward(&batch, None, &mut Hooks::none(), Gradients::Off)?.unwrap();
        assert_eq!(flat(&plain)?, flat(&hidden)?, "{family} on {place}: captures changed the pass");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Settings that the repositories of the families leave at their defaults: `options/` holds one per kind of
/// family, in the old spelling and the new, and one in bf16 whose golden is of `from_pretrained`.
#[test]
fn options_within_families_match_transformers() -> Result<()> {
    let options = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/options");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(options).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 7);
    for folder in folders {
        let model = Model::load(&folder, &Device::Cpu)?;
        let compared = compare_with_golden(&model, &folder, &folder.join("golden.safetensors"))?;
        let wrong: Vec<_> = compared.findings.iter().filter(|finding| !finding.passed).collect();
        assert!(
            wrong.is_empty() && compared.note.is_none(),
            "{}: {wrong:?} {:?}",
            folder.display(),
            compared.note
        );
        assert!(compared.findings.iter().any(|finding| finding.check.starts_with("greedy")));
    }
    Ok(())
}

#[test]
fn a_reference_of_a_model_that_was_cast_as_a_whole_is_known_as_one() -> Result<()> {
    for family in ["llama-bf16", "qwen2-bf16"] {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let compared =
            compare_with_golden(&model, &folder(family), &folder(family).join("golden.safetensors"))?;
        assert!(compared.findings.iter().all(|finding| finding.passed), "{family}");
        assert!(compared.note.is_some_and(|note| note.contains("rounds rotary frequencies")), "{family}");
    }
    Ok(())
}

#[test]
fn loss_and_every_gradient_match_transformers() -> Result<()> {
    let mut wrong = Vec::new();
    for (family, place) in cases() {
        let (model, golden) = (load(family, &place)?, golden(family)?);
        let row = ids(&golden["input_ids"])?[0].clone();
        let batch = TokenBatch::new(std::slice::from_ref(&row))?;
        let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::On)?.unwrap();
        let at: Vec<(usize, usize)> = (0..row.len() - 1).map(|position| (0, position)).collect();
        let found = model.token_log_probabilities(&hidden, &at, &row[1..])?;
        let loss = (found.log_probabilities.mean_all()? * -1.0)?;
        let (ours, theirs) = (loss.to_scalar::<f32>()?, golden["loss"].to_scalar::<f32>()?);
        if (ours - theirs).abs() >= 1e-5 {
            wrong.push(format!("{family} on {place}: loss: {ours}, expected {theirs}"));
        }
        loss.backward()?;
        assert_eq!(model.parameters().missing_gradients(), Vec::<String>::new(), "{family} on {place}");
        let mut seen = 0;
        for parameter in model.parameters().iter() {
            let ours = flat(&parameter.gradient()?.unwrap())?;
            // transformers 5 calls the head of GPT-NeoX by another name than its checkpoints.
            let name = parameter.name().replace("embed_out", "lm_head");
            let name = name.as_str();
            let theirs = flat(golden.get(&format!("grad.{name}")).expect(name))?;
            let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let apart: Vec<f32> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
            let relative = norm(&apart) / norm(&theirs).max(1e-12);
            if !(relative < 1e-3) {
                wrong.push(format!("{family} on {place}: grad.{}: {relative}", parameter.name()));
            }
            seen += 1;
        }
        assert_eq!(seen, golden.keys().filter(|name| name.starts_with("grad.")).count(), "{family}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn greedy_continuations_match_transformers_with_and_without_a_cache() -> Result<()> {
    for (family, place) in cases() {
        let (model, golden) = (load(family, &place)?, golden(family)?);
        let whole = ids(&golden["greedy"])?[0].clone();
        let (prompt, expected) = whole.split_at(24);
        let settings = SampleSettings { temperature: 0.0, max_new_tokens: 16, ..SampleSettings::default() };
        let prompts = [Prompt { tokens: prompt.to_vec(), key: 0 }];
        let drawn = sample_model(&model, &prompts, &settings, &Observer::silent())?;
        assert_eq!(drawn[0].tokens, expected, "{family} on {place}");
        let batch = TokenBatch::new(std::slice::from_ref(&whole))?;
        let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::Off)?.unwrap();
        let logits = model.logits(&hidden)?;
        for position in prompt.len() - 1..whole.len() - 1 {
            let row = flat(&logits.get(0)?.get(position)?)?;
            let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            assert_eq!(
                best as u32,
                whole[position + 1],
                "{family} on {place}: position {position} without a cache"
            );
        }
    }
    Ok(())
}
