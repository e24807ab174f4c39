//! Directions as targets: where they come from, and the random ones beside them.

use super::controls::{Cloud, random_directions};
use super::inputs::Selection;
use super::prepared::{Control, Instead, Prepared};
use super::set_rule::SetRule;
use crate::diff::models::mean_difference;
use crate::error::{At, Error, Result};
use crate::rng::stable_hash;
use crate::tasks::Half;
use candle_core::Device;
use std::path::Path;
use std::sync::Arc;

/// The direction of a hypothesis, at its own length.
///
/// # Errors
/// If its file is missing or holds another width, or a forward pass fails.
pub(super) fn find(prepared: &Prepared, selection: &Selection<'_>) -> Result<Arc<[f32]>> {
    let readout = selection.readout;
    match &prepared.hypothesis.set {
        SetRule::Means { toward, away, of } => {
            let variant = of.as_ref().map_or(Ok(prepared.receiver), |of| readout.variant(of))?;
            let model = readout.model(variant)?;
            let prompts = |name: &str| -> Result<Vec<Vec<u32>>> {
                let (_, suite) = selection.inputs.suite(name)?;
                let problems = selection.trial(suite, Half::Select).problems();
                problems.iter().map(|problem| problem.tokens(model.tokenizer()?)).collect()
            };
            Ok(mean_difference(model, prepared.tools.hook, &prompts(toward)?, &prompts(away)?)?.into())
        }
        SetRule::File(file) => load(Path::new(file), readout.d_model())
            .at(format!("set `{}`", prepared.hypothesis.set.name()))
            .map(Into::into),
        other => Err(Error::work(format!("`{}` is no direction", other.name()))),
    }
}

/// The tensor `direction` `[width]` of a safetensors file.
///
/// # Errors
/// If the file is missing, or holds no such tensor of this width.
pub(super) fn load(path: &Path, width: usize) -> Result<Vec<f32>> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(|error| {
        Error::request(format!("cannot read the direction in {}: {error}", path.display()))
            .hint("give a safetensors file with a tensor `direction` [d_model]")
    })?;
    let tensor = tensors.get("direction").ok_or_else(|| {
        let names = tensors.keys().cloned().collect::<std::collections::BTreeSet<_>>();
        Error::request(format!("{}: expected a tensor `direction`, found none", path.display()))
            .hint(format!("it holds {}", names.into_iter().collect::<Vec<_>>().join(", ")))
    })?;
    let values = tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    if values.len() == width {
        return Ok(values);
    }
    Err(Error::request(format!("{}: expected {width} numbers, found {}", path.display(), values.len())))
}

/// Random directions that borrow the target's gate and norm at every token: they match by construction.
pub(super) fn random(prepared: &Prepared, selection: &Selection<'_>) -> Vec<Control> {
    let key = stable_hash(&prepared.hypothesis.name);
    let (count, width) = (selection.settings.controls, selection.readout.d_model());
    let drawn = random_directions(count, width, selection.seed, key).into_iter().zip(0..);
    drawn
        .map(|(direction, draw)| Control {
            cloud: Cloud::RandomDirection,
            draw,
            instead: Instead::Borrows(direction),
            gap: 0.0,
            matched: true,
            likeness: None,
        })
        .collect()
}
