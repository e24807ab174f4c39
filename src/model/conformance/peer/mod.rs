//! The same model in candle-transformers: another reader of the same weights.
//!
//! Its models return the logits of a row's last position, so a row is run once for each of its prefixes,
//! unpadded and without a cache. They know fewer settings than transformers; a model that uses another is
//! refused by name. Three differences are bridged, and noted:
//!
//! 1. Its sliding windows hold one key too many and, in some families, cover every layer: rows are cut to
//!    the smallest window, where no window masks anything.
//! 2. Its Gemmas scale scores by `1/√head_dim` whatever `query_pre_attn_scalar` says: they are given
//!    queries that make up for it.
//! 3. Its Mistral has a head of its own only: a tied one is given twice.

mod models;
mod settings;

use super::golden::{GREEDY_TOKENS, compare, golden_tensors};
use super::{Comparison, Finding};
use crate::error::{At, Result};
use crate::model::{Model, TokenFile};
use candle_core::{D, Device, Tensor};
use models::{Peer, peer, query_scale};
use std::collections::BTreeMap;

/// Compares `model` with candle-transformers on the rows of `tokens`: `logits`, `loss` of row 0, `greedy`
/// where no window ends, and the last hidden state where candle-transformers gives it.
///
/// # Errors
/// If candle-transformers does not have the family or a setting of the model, or a pass fails.
pub fn compare_with_candle(model: &Model, tokens: &TokenFile) -> Result<Comparison> {
    let config = model.config();
    let mut notes = Vec::new();
    let window = config.blocks.iter().filter_map(|block| block.window).min();
    let longest = tokens.batch.width() + GREEDY_TOKENS;
    let cut = window.filter(|window| *window < longest);
    let tokens = tokens.truncated(cut.unwrap_or(longest))?;
    if let Some(window) = cut {
        notes.push(format!(
            "candle-transformers masks sliding windows otherwise: rows are cut to the first {window} tokens"
        ));
    }
    let scale = query_scale(config);
    if scale != 1.0 {
        notes.push(
            "candle-transformers ignores query_pre_attn_scalar: it was given queries that make up for it"
                .to_owned(),
        );
    }
    let mut peer = peer(model, longest)?;
    let reference =
        reference(&mut peer, &tokens, config.layers(), cut.is_none()).at("candle-transformers")?;
    let tensors = golden_tensors(model, &tokens, GREEDY_TOKENS)?;
    let findings = compare(&tensors, &reference, &tokens)?
        .into_iter()
        .map(|finding| Finding { check: format!("candle-transformers {}", finding.check), ..finding })
        .collect();
    let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
    Ok(Comparison { tensors, findings, note })
}

/// What candle's model computes, in the layout of a golden file.
fn reference(
    peer: &mut Peer,
    tokens: &TokenFile,
    layers: usize,
    is_greedy: bool,
) -> Result<BTreeMap<String, Tensor>> {
    let batch = &tokens.batch;
    let (mut logits, mut hidden) = (Vec::new(), Vec::new());
    let pad = |rows: Tensor| -> Result<Tensor> {
        let missing = batch.width() - rows.dim(0)?;
        Ok(rows.pad_with_zeros(0, 0, missing)?)
    };
    for row in 0..batch.rows() {
        let ids = batch.row(row);
        let prefixes = (1..=ids.len()).map(|length| last_logits(peer, &ids[..length]));
        let of_row = Tensor::stack(&prefixes.collect::<Result<Vec<_>>>()?, 0)?;
        logits.push(pad(of_row)?);
        if let Some(run) = &mut peer.hidden {
            hidden.push(pad(run(&Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?)?.squeeze(0)?)?);
        }
    }
    let mut found = BTreeMap::new();
    let logits = Tensor::stack(&logits, 0)?;
    let first = batch.row(0);
    if let Some(targets) = first.get(1..).filter(|targets| !targets.is_empty()) {
        let predicting = logits.get(0)?.narrow(0, 0, targets.len())?;
        let loss = candle_nn::loss::cross_entropy(&predicting, &Tensor::new(targets, &Device::Cpu)?)?;
        found.insert("loss".to_owned(), loss);
    }
    found.insert("logits".to_owned(), logits);
    if !hidden.is_empty() {
        found.insert(format!("hidden.{layers}"), Tensor::stack(&hidden, 0)?);
    }
    if is_greedy {
        let mut row = first.to_vec();
        for _ in 0..GREEDY_TOKENS {
            row.push(last_logits(peer, &row)?.argmax(D::Minus1)?.to_scalar::<u32>()?);
        }
        found.insert("greedy".to_owned(), Tensor::new(row, &Device::Cpu)?.unsqueeze(0)?);
    }
    Ok(found)
}

/// The logits [vocabulary] after the last token.
fn last_logits(peer: &mut Peer, ids: &[u32]) -> Result<Tensor> {
    let logits = (peer.logits)(&Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?)?;
    Ok(logits.flatten_all()?)
}
