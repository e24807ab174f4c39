//! Saving a fit under way, so that a killed one goes on to the same bytes.

use super::super::spec::Spec;
use super::adam::Parameter;
use super::normalise::Scaling;
use super::settings::FitSettings;
use super::trainer::State;
use super::twins::Watch;
use crate::compute::Compute;
use crate::error::{At, Error, Result, io};
use crate::foreign;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// The file in a fit's folder that holds its saved state. Remove it once the dictionary is saved.
pub const STATE_FILE: &str = "fit.safetensors";

/// What must be equal for a saved state to be this fit's.
pub(super) fn fingerprint(
    settings: &FitSettings,
    spec: &Spec,
    seeds: [u64; 2],
    (input, output): (&Scaling, &Scaling),
    compute: &Compute,
) -> String {
    let settings = FitSettings { save_every: 1, ..settings.clone() };
    let text = serde_json::to_string(&(settings, spec, seeds, input, output, compute.to_string()))
        .unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn parameters(state: &State) -> Vec<(String, &Parameter)> {
    let named = [
        ("encoder", &state.encoder),
        ("encoder_bias", &state.encoder_bias),
        ("decoder", &state.decoder),
        ("decoder_bias", &state.decoder_bias),
        ("skip", &state.skip),
    ];
    let extras = state.extras.iter().enumerate().map(|(index, extra)| (format!("extra_{index}"), extra));
    named.into_iter().map(|(name, parameter)| (name.to_owned(), parameter)).chain(extras).collect()
}

/// Replaces the saved state atomically.
pub(super) fn save(folder: &Path, fingerprint: &str, state: &State) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
    let mut blocks: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    for (name, parameter) in parameters(state) {
        blocks.push((format!("{name}.value"), Dtype::F32, bytes(&parameter.value)));
        blocks.push((format!("{name}.first"), Dtype::F32, bytes(&parameter.first)));
        blocks.push((format!("{name}.second"), Dtype::F32, bytes(&parameter.second)));
    }
    blocks.push(("cuts".to_owned(), Dtype::F32, bytes(&state.cuts)));
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    blocks.push(("watch.partners".to_owned(), Dtype::U32, words(&state.watch.partners)));
    // Sums keep all their bits, or the mergers of a fit that was resumed would not be the same.
    let sums = state.watch.sums.iter().flatten().map(|sum| sum.to_bits());
    let halves: Vec<u32> = sums.flat_map(|bits| [bits as u32, (bits >> 32) as u32]).collect();
    blocks.push(("watch.sums".to_owned(), Dtype::U32, words(&halves)));
    let counts = [state.step as u32, state.averaged as u32, state.watch.tokens as u32];
    let silent = counts.iter().chain(&state.silent).flat_map(|count| count.to_le_bytes()).collect();
    blocks.push(("counts".to_owned(), Dtype::U32, silent));
    let tensors = blocks
        .iter()
        .map(|(name, dtype, bytes)| {
            let view = TensorView::new(*dtype, vec![bytes.len() / 4], bytes)
                .map_err(|error| Error::work(format!("state cannot be saved: {error}")))?;
            Ok((name.clone(), view))
        })
        .collect::<Result<Vec<_>>>()?;
    let about = [("fingerprint".to_owned(), fingerprint.to_owned())].into();
    let bytes = safetensors::serialize(tensors, Some(about))
        .map_err(|error| Error::work(format!("state cannot be saved: {error}")))?;
    let (partial, path) = (folder.join(format!("{STATE_FILE}.partial")), folder.join(STATE_FILE));
    std::fs::write(&partial, bytes).map_err(|error| io("write", &partial, error))?;
    std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))
}

/// The saved state, if there is one.
pub(super) fn load(folder: &Path, fingerprint: &str) -> Result<Option<State>> {
    let path = folder.join(STATE_FILE);
    let Some(bytes) = foreign::bytes_if_any(&path, foreign::DATA)? else { return Ok(None) };
    parse(&bytes, fingerprint).at(path.display()).map(Some)
}

fn parse(bytes: &[u8], fingerprint: &str) -> Result<State> {
    let damaged = |what: String| {
        Error::work(format!("not the saved state of a fit: {what}")).hint("remove it to start the fit anew")
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let found = metadata.metadata().as_ref().and_then(|about| about.get("fingerprint"));
    if found.map(String::as_str) != Some(fingerprint) {
        return Err(Error::request("the folder holds the saved state of another fit")
            .hint("choose another --out, or remove the folder"));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let words = |name: &str| -> Result<Vec<[u8; 4]>> {
        let tensor = tensors.tensor(name).map_err(|error| damaged(error.to_string()))?;
        Ok(tensor.data().as_chunks::<4>().0.to_vec())
    };
    let floats =
        |name: &str| -> Result<Vec<f32>> { Ok(words(name)?.into_iter().map(f32::from_le_bytes).collect()) };
    let parameter = |name: &str| -> Result<Parameter> {
        Ok(Parameter {
            value: floats(&format!("{name}.value"))?,
            first: floats(&format!("{name}.first"))?,
            second: floats(&format!("{name}.second"))?,
        })
    };
    let names: BTreeMap<String, ()> = tensors.names().into_iter().map(|name| (name.to_owned(), ())).collect();
    let extras = (0..)
        .map(|index| format!("extra_{index}"))
        .take_while(|name| names.contains_key(&format!("{name}.value")))
        .map(|name| parameter(&name))
        .collect::<Result<Vec<_>>>()?;
    let integers =
        |name: &str| -> Result<Vec<u32>> { Ok(words(name)?.into_iter().map(u32::from_le_bytes).collect()) };
    let counts = integers("counts")?;
    let halves = integers("watch.sums")?;
    let sums = halves.as_chunks::<2>().0.iter().map(|[low, high]| u64::from(*low) | u64::from(*high) << 32);
    let sums: Vec<f64> = sums.map(f64::from_bits).collect();
    let watch =
        Watch { partners: integers("watch.partners")?, sums: sums.as_chunks::<6>().0.to_vec(), tokens: 0 };
    let cuts = floats("cuts")?;
    let ([step, averaged, watched, silent @ ..], [last, mean]) = (&counts[..], &cuts[..]) else {
        return Err(damaged("counts are missing".to_owned()));
    };
    Ok(State {
        step: *step as usize,
        encoder: parameter("encoder")?,
        encoder_bias: parameter("encoder_bias")?,
        decoder: parameter("decoder")?,
        decoder_bias: parameter("decoder_bias")?,
        skip: parameter("skip")?,
        extras,
        silent: silent.to_vec(),
        cuts: [*last, *mean],
        averaged: *averaged as usize,
        watch: Watch { tokens: u64::from(*watched), ..watch },
    })
}
