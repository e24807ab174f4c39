//! Agreement with tensors that another program computed.

use super::{Finding, numbers};
use crate::error::Result;
use crate::model::weights;
use crate::model::{
    BlockPoint, Gradients, HookPoint, Hooks, Model, Prompt, SampleSettings, TokenBatch, TokenFile,
    sample_model,
};
use crate::progress::Observer;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest difference that activations, logits and patterns may have from reference tensors.
pub const ACTIVATION_TOLERANCE: f32 = 2e-4;
/// Largest difference of the loss.
pub const LOSS_TOLERANCE: f32 = 1e-5;
/// Largest relative (norm-wise) difference of a gradient.
pub const GRADIENT_TOLERANCE: f32 = 1e-3;
/// How many tokens `greedy` continues a row by, where a reference does not say.
pub const GREEDY_TOKENS: usize = 16;

/// How a model compares with a reference.
pub struct Comparison {
    /// What the model computes, in the layout of the reference.
    pub tensors: BTreeMap<String, Tensor>,
    /// One finding per tensor of the reference.
    pub findings: Vec<Finding>,
    /// What else to know about it.
    pub note: Option<String>,
}

/// Compares the model of a repository with the tensors of `file`.
///
/// A reference for a repository in half precision may come from `from_pretrained`, which keeps rotary
/// frequencies exact, or from a model that was cast as a whole, which rounds them like the weights. Where the
/// first does not fit the second is tried, and a note says so.
///
/// # Errors
/// If the file cannot be read, or a pass fails.
pub fn compare_with_golden(model: &Model, repository: &Path, file: &Path) -> Result<Comparison> {
    let tokens = TokenFile::load(file, model.config().vocabulary)?;
    let golden = weights::load_file(file, &Device::Cpu)?;
    let continued = golden.get("greedy").and_then(|greedy| greedy.dim(1).ok());
    let continuation =
        continued.map_or(GREEDY_TOKENS, |width| width.saturating_sub(tokens.batch.row(0).len()));
    let one = |model: &Model| -> Result<Comparison> {
        let tensors = golden_tensors(model, &tokens, continuation)?;
        let findings = compare(&tensors, &golden, &tokens)?;
        Ok(Comparison { tensors, findings, note: None })
    };
    let passed = |comparison: &Comparison| comparison.findings.iter().all(|finding| finding.passed);
    let exact = one(model)?;
    let Some(config) = model.config().cast_as_a_whole().filter(|_| !passed(&exact) && !model.has_adapter())
    else {
        return Ok(exact);
    };
    let cast = one(&Model::load_as(config, repository, model.compute())?)?;
    if !passed(&cast) {
        return Ok(exact);
    }
    let worst = exact.findings.iter().filter_map(|finding| finding.difference).fold(0f32, f32::max);
    let note = format!(
        "the reference is of a model that was cast as a whole (`model.to(bfloat16)`), which rounds rotary \
         frequencies like the weights; compared with the same rounding. `from_pretrained` keeps them exact, \
         and so does every other verb: against those the largest difference is {worst:.1e}"
    );
    Ok(Comparison { note: Some(note), ..cast })
}

/// The tensors of a golden file that this model computes, in its layout: `hidden.{i}` and `attn.{l}` of every
/// layer, `logits`, and of row 0 `loss`, `grad.{parameter}` and `greedy` (the row and the `continuation`
/// likeliest tokens after it, as many as learned positions allow).
///
/// # Errors
/// If a pass fails.
pub fn golden_tensors(
    model: &Model,
    tokens: &TokenFile,
    continuation: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let layers = model.config().layers();
    let mut hooks = Hooks::none();
    for layer in 0..layers {
        hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::ResidPre));
        hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::Pattern));
    }
    let hidden = model.hidden(&tokens.batch, None, &mut hooks, Gradients::Off)?;
    let mut found = BTreeMap::new();
    for layer in 0..layers {
        if let Some(stream) = hooks.take(HookPoint::Block(layer, BlockPoint::ResidPre)) {
            found.insert(format!("hidden.{layer}"), tokens.aligned(&stream, &[1])?);
        }
        if let Some(pattern) = hooks.take(HookPoint::Block(layer, BlockPoint::Pattern)) {
            found.insert(format!("attn.{layer}"), tokens.aligned(&pattern, &[2, 3])?);
        }
    }
    found.insert("logits".to_owned(), tokens.aligned(&model.logits(&hidden)?, &[1])?);
    found.insert(format!("hidden.{layers}"), tokens.aligned(&hidden, &[1])?);
    model.parameters().zero_gradients();
    let first = tokens.batch.row(0);
    // A row of one token, or of none, has no next token and so no loss.
    let loss = match first {
        [_, _, ..] => loss(model, &TokenBatch::new(&[first.to_vec()])?)?,
        _ => None,
    };
    if let Some(loss) = loss {
        found.insert("loss".to_owned(), loss.detach());
        loss.backward()?;
    }
    for parameter in model.parameters().iter() {
        if let Some(gradient) = parameter.gradient()? {
            if parameter.name() == "embed_out.weight" {
                // What later versions of transformers call the head of GPT-NeoX.
                found.insert("grad.lm_head.weight".to_owned(), gradient.clone());
            }
            found.insert(format!("grad.{}", parameter.name()), gradient);
        }
    }
    model.parameters().zero_gradients();
    if let Some(greedy) = greedy(model, tokens.batch.row(0), continuation)? {
        found.insert("greedy".to_owned(), greedy);
    }
    Ok(found)
}

/// `row` and its likeliest continuation [1, tokens]; nothing where no position is left for one.
fn greedy(model: &Model, row: &[u32], continuation: usize) -> Result<Option<Tensor>> {
    let left = match model.has_learned_positions() {
        true => model.config().max_positions.saturating_sub(row.len()),
        false => continuation,
    };
    if row.is_empty() || continuation.min(left) == 0 {
        return Ok(None);
    }
    let settings = SampleSettings {
        temperature: 0.0,
        max_new_tokens: continuation.min(left),
        ..SampleSettings::default()
    };
    let prompt = Prompt { tokens: row.to_vec(), key: 0 };
    let drawn = sample_model(model, &[prompt], &settings, &Observer::silent())?;
    let new = drawn.iter().flat_map(|completion| &completion.tokens);
    let all: Vec<i64> = row.iter().chain(new).map(|id| i64::from(*id)).collect();
    let width = all.len();
    Ok(Some(Tensor::from_vec(all, (1, width), &Device::Cpu)?))
}

/// Compares tensors by name; a reference that we do not compute, or compute in another shape, fails.
/// Padding is not compared.
///
/// # Errors
/// If a tensor cannot be read.
pub fn compare(
    ours: &BTreeMap<String, Tensor>,
    golden: &BTreeMap<String, Tensor>,
    tokens: &TokenFile,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, expected) in golden {
        if matches!(name.as_str(), "input_ids" | "attention_mask") {
            continue;
        }
        if name == "greedy" {
            let same = ours.get(name).map(ids).transpose()? == Some(ids(expected)?);
            findings.push(Finding::holds("greedy: the same tokens", same));
            continue;
        }
        let same_shape = |ours: &&Tensor| ours.dims() == expected.dims();
        let Some(ours) = ours.get(name).filter(same_shape) else {
            findings.push(Finding::holds(format!("{name}: not computed in this shape"), false));
            continue;
        };
        let expected = expected.to_dtype(DType::F32)?;
        // Zero our padding's counterpart: references hold anything there.
        let expected = match name.split('.').next() {
            Some("hidden" | "logits") => tokens.aligned(&tokens.gathered(&expected, &[1])?, &[1])?,
            Some("attn") => tokens.aligned(&tokens.gathered(&expected, &[2, 3])?, &[2, 3])?,
            _ => expected,
        };
        let (ours, expected) = (numbers(ours)?, numbers(&expected)?);
        let apart = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        findings.push(if name.starts_with("grad.") {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
            let relative = norm(&mut apart.into_iter()) / norm(&mut expected.iter().copied()).max(1e-12);
            Finding::within(name, relative, GRADIENT_TOLERANCE)
        } else {
            let most = apart.fold(0f32, |most, x| if x > most || x.is_nan() { x } else { most });
            let tolerance = if name == "loss" { LOSS_TOLERANCE } else { ACTIVATION_TOLERANCE };
            Finding::within(name, most, tolerance)
        });
    }
    Ok(findings)
}

fn ids(tensor: &Tensor) -> Result<Vec<u32>> {
    Ok(tensor.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?)
}

/// Mean next-token cross-entropy of all rows; none where no token follows another.
pub(super) fn loss(model: &Model, batch: &TokenBatch) -> Result<Option<Tensor>> {
    if batch.width() < 2 {
        return Ok(None);
    }
    let hidden = model.hidden(batch, None, &mut Hooks::none(), Gradients::On)?;
    let mut at = Vec::new();
    let mut targets = Vec::new();
    for row in 0..batch.rows() {
        for (position, target) in batch.row(row).iter().enumerate().skip(1) {
            at.push((row, position - 1));
            targets.push(*target);
        }
    }
    let found = model.token_log_probabilities(&hidden, &at, &targets)?;
    Ok(Some((found.log_probabilities.mean_all()? * -1.0)?))
}
