//! Does a model repository run as it should? The checks behind `deltascope check model`.

use super::{BlockPoint, Gradients, HookPoint, Hooks, Model, TokenBatch, TokenFile};
use crate::error::Result;
use crate::rng::Stream;
use candle_core::{DType, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;

/// Largest difference that activations, logits and patterns may have from reference tensors.
pub const ACTIVATION_TOLERANCE: f32 = 2e-4;
/// Largest difference of the loss.
pub const LOSS_TOLERANCE: f32 = 1e-5;
/// Largest relative (norm-wise) difference of a gradient.
pub const GRADIENT_TOLERANCE: f32 = 1e-3;

/// One check and how it came out.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// The largest difference found, where there is one to state.
    pub difference: Option<f32>,
    /// What was allowed.
    pub tolerance: Option<f32>,
    /// Whether it holds.
    pub passed: bool,
}

impl Finding {
    fn holds(check: impl Into<String>, passed: bool) -> Self {
        Self { check: check.into(), difference: None, tolerance: None, passed }
    }

    fn within(check: impl Into<String>, difference: f32, tolerance: f32) -> Self {
        let passed = difference <= tolerance;
        Self { check: check.into(), difference: Some(difference), tolerance: Some(tolerance), passed }
    }
}

/// Rows of different lengths, drawn from the whole vocabulary.
///
/// # Errors
/// Never for a model with a vocabulary.
pub fn drawn_tokens(model: &Model) -> Result<TokenFile> {
    let mut stream = Stream::new(0, "conformance", &[]);
    let vocabulary = model.config().vocabulary;
    let width = 24.min(model.config().max_positions);
    let ids: Vec<Vec<u32>> =
        (0..2).map(|_| (0..width).map(|_| stream.below(vocabulary) as u32).collect()).collect();
    let mask = [vec![1; width], (0..width).map(|column| u32::from(column >= width / 5)).collect()];
    TokenFile::new(&ids, &mask)
}

/// Runs every check that needs no reference.
///
/// # Errors
/// If a pass fails.
pub fn check(model: &Model, tokens: &TokenFile) -> Result<Vec<Finding>> {
    let batch = &tokens.batch;
    let plain = plain_logits(model, batch)?;
    let mut findings =
        vec![Finding::holds("logits are finite", numbers(&plain)?.iter().all(|x| x.is_finite()))];
    findings.push(pattern_sums(model, batch)?);
    findings.push(cached_equals(model, batch, &plain)?);
    findings.extend(identity_hooks(model, batch, &plain)?);
    model.parameters().zero_gradients();
    loss(model, batch)?.backward()?;
    let missing = model.parameters().missing_gradients();
    let name = match missing.first() {
        Some(first) => {
            format!("every trainable parameter gets a gradient ({} do not: {first} …)", missing.len())
        }
        None => "every trainable parameter gets a gradient".to_owned(),
    };
    findings.push(Finding::holds(name, missing.is_empty()));
    model.parameters().zero_gradients();
    Ok(findings)
}

/// The tensors of a golden file that this model computes, in its layout: `hidden.{i}`, `attn.{l}`,
/// `logits`, `loss` and `grad.{parameter}` (of row 0), beside `input_ids` and `attention_mask` themselves.
///
/// # Errors
/// If a pass fails.
pub fn golden_tensors(model: &Model, tokens: &TokenFile) -> Result<BTreeMap<String, Tensor>> {
    let layers = model.config().layers();
    let mut hooks = Hooks::none();
    for layer in 0..layers {
        hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::ResidPre));
        hooks = hooks.capture(HookPoint::Block(layer, BlockPoint::Pattern));
    }
    let hidden = model.forward(&tokens.batch, None, &mut hooks, Gradients::Off)?;
    hooks.finish()?;
    let mut found = BTreeMap::new();
    for layer in 0..layers {
        if let Some(stream) = hooks.take(HookPoint::Block(layer, BlockPoint::ResidPre)) {
            found.insert(format!("hidden.{layer}"), tokens.aligned(&stream, &[1])?);
        }
        if let Some(pattern) = hooks.take(HookPoint::Block(layer, BlockPoint::Pattern)) {
            found.insert(format!("attn.{layer}"), tokens.aligned(&pattern, &[2, 3])?);
        }
    }
    if let Some(hidden) = hidden {
        found.insert("logits".to_owned(), tokens.aligned(&model.logits(&hidden)?, &[1])?);
        found.insert(format!("hidden.{layers}"), tokens.aligned(&hidden, &[1])?);
    }
    model.parameters().zero_gradients();
    let loss = loss(model, &TokenBatch::new(&[tokens.batch.row(0).to_vec()])?)?;
    found.insert("loss".to_owned(), loss.detach());
    loss.backward()?;
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
    Ok(found)
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
        if matches!(name.as_str(), "input_ids" | "attention_mask" | "greedy") {
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

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
}

fn plain_logits(model: &Model, batch: &TokenBatch) -> Result<Tensor> {
    hooked_logits(model, batch, &mut Hooks::none())
}

fn hooked_logits(model: &Model, batch: &TokenBatch, hooks: &mut Hooks) -> Result<Tensor> {
    let hidden = model.forward(batch, None, hooks, Gradients::Off)?;
    model.logits(&hidden.ok_or_else(|| crate::Error::work("the pass was stopped"))?)
}

/// Mean next-token cross-entropy of all rows.
fn loss(model: &Model, batch: &TokenBatch) -> Result<Tensor> {
    let hidden = model.forward(batch, None, &mut Hooks::none(), Gradients::On)?;
    let hidden = hidden.ok_or_else(|| crate::Error::work("the pass was stopped"))?;
    let mut at = Vec::new();
    let mut targets = Vec::new();
    for row in 0..batch.rows() {
        for (position, target) in batch.row(row).iter().enumerate().skip(1) {
            at.push((row, position - 1));
            targets.push(*target);
        }
    }
    let found = model.token_log_probabilities(&hidden, &at, &targets)?;
    Ok((found.log_probabilities.mean_all()? * -1.0)?)
}

fn pattern_sums(model: &Model, batch: &TokenBatch) -> Result<Finding> {
    let points: Vec<HookPoint> =
        (0..model.config().layers()).map(|layer| HookPoint::Block(layer, BlockPoint::Pattern)).collect();
    let mut hooks = points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
    hooked_logits(model, batch, &mut hooks)?;
    let mut most = 0f32;
    for point in points {
        let Some(pattern) = hooks.take(point) else { continue };
        for (row, length) in batch.lengths().iter().enumerate() {
            let sums = pattern.get(row)?.sum(2)?.narrow(1, 0, *length)?;
            for sum in numbers(&sums)? {
                most = most.max((sum - 1.0).abs());
            }
        }
    }
    Ok(Finding::within("attention rows sum to one", most, 1e-5))
}

/// Bit for bit on the fused kernels; to the rounding of their format on the composed ones, whose matrix
/// products add in an order that depends on the whole shape.
fn cached_equals(model: &Model, batch: &TokenBatch, plain: &Tensor) -> Result<Finding> {
    let (name, tolerance) = match model.compute().composed_format() {
        None => ("cached passes equal one pass, bit for bit", 0.0),
        Some(DType::F32) => ("cached passes equal one pass", 1e-4),
        Some(_) => ("cached passes equal one pass, in a 16-bit format", 0.1),
    };
    let mut cache = model.cache(batch.rows());
    let mut most = 0f32;
    for position in 0..batch.width() {
        let next: Vec<Vec<u32>> = (0..batch.rows())
            .map(|row| batch.row(row).get(position).copied().into_iter().collect())
            .collect();
        let next = TokenBatch::new(&next)?;
        let hidden = model.forward(&next, Some(&mut cache), &mut Hooks::none(), Gradients::Off)?;
        let Some(hidden) = hidden else { return Ok(Finding::holds(name, false)) };
        let logits = model.logits(&hidden)?;
        for (row, length) in next.lengths().iter().enumerate() {
            if *length == 1 {
                let ours = numbers(&logits.get(row)?.get(0)?)?;
                let whole = numbers(&plain.get(row)?.get(position)?)?;
                let apart = ours.iter().zip(&whole).map(|(a, b)| (a - b).abs());
                most = apart.fold(most, |most, x| if x > most || x.is_nan() { x } else { most });
            }
        }
    }
    Ok(Finding::within(name, most, tolerance))
}

fn identity_hooks(model: &Model, batch: &TokenBatch, plain: &Tensor) -> Result<Vec<Finding>> {
    let points = model.hook_points();
    let mut hooks = Hooks::none();
    for point in &points {
        hooks = hooks.capture(*point);
        if !point.is_read_only() {
            hooks = hooks.edit(*point, Box::new(|_, value| Ok(value.clone())));
        }
    }
    let hooked = hooked_logits(model, batch, &mut hooks)?;
    let fired = hooks.finish().is_ok();
    Ok(vec![
        Finding::holds(format!("all {} hook points fire", points.len()), fired),
        Finding::holds("identity hooks change nothing, bit for bit", numbers(&hooked)? == numbers(plain)?),
    ])
}
