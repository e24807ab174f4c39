//! Does a model repository run as it should? The checks behind `deltascope check model`.
//!
//! * Here: what must hold of every model by itself.
//! * `golden`: agreement with tensors that another program computed.
//! * `peer`: agreement with candle-transformers.

mod golden;
mod peer;

pub use golden::{
    ACTIVATION_TOLERANCE, Comparison, GRADIENT_TOLERANCE, GREEDY_TOKENS, LOSS_TOLERANCE, compare,
    compare_with_golden, golden_tensors,
};
pub use peer::compare_with_candle;

use super::{BlockPoint, Gradients, HookPoint, Hooks, Model, TokenBatch, TokenFile};
use crate::error::Result;
use crate::rng::Stream;
use candle_core::{DType, Tensor};
use golden::loss;
use serde::Serialize;

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
    let Some(loss) = loss(model, batch)? else { return Ok(findings) };
    loss.backward()?;
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

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
}

fn plain_logits(model: &Model, batch: &TokenBatch) -> Result<Tensor> {
    hooked_logits(model, batch, &mut Hooks::none())
}

fn hooked_logits(model: &Model, batch: &TokenBatch, hooks: &mut Hooks) -> Result<Tensor> {
    model.logits(&model.hidden(batch, None, hooks, Gradients::Off)?)
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
        let hidden = model.hidden(&next, Some(&mut cache), &mut Hooks::none(), Gradients::Off)?;
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
        hooks = hooks.capture(*point).edit(*point, Box::new(|_, value| Ok(value.clone())));
    }
    let hooked = hooked_logits(model, batch, &mut hooks)?;
    let fired = hooks.finish().is_ok();
    Ok(vec![
        Finding::holds(format!("all {} hook points fire", points.len()), fired),
        Finding::holds("identity hooks change nothing, bit for bit", numbers(&hooked)? == numbers(plain)?),
    ])
}
