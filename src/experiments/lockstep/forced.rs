//! Teacher forcing: how surprising given texts are to the receiver under each condition.

use super::super::conditions::{Condition, groups};
use super::super::readout::Readout;
use super::rows::Start;
use super::source;
use crate::error::Result;
use crate::interventions::Tallies;
use crate::model::TokenBatch;
use std::sync::Arc;

/// A text that is read, not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenText {
    /// What it is called in tables.
    pub id: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The number of tokens that count as its prompt.
    pub prompt: usize,
}

/// What teacher forcing found.
pub(in crate::experiments) struct Forced {
    /// `[condition][text]`: mean over the tokens after the first of -log p, in nats.
    pub(in crate::experiments) cross_entropy: Vec<Vec<f64>>,
    /// What each condition did.
    pub(in crate::experiments) tallies: Vec<Tallies>,
}

/// Reads every text under every condition, at most `rows` (text, condition) pairs at a time.
///
/// # Errors
/// If a pass fails.
pub(in crate::experiments) fn forced(
    readout: &Readout,
    receiver: usize,
    conditions: &[Condition],
    texts: &[GivenText],
    rows: usize,
) -> Result<Forced> {
    let mut found = Forced {
        cross_entropy: vec![Vec::with_capacity(texts.len()); conditions.len()],
        tallies: vec![Tallies::default(); conditions.len()],
    };
    let model = readout.model(receiver)?;
    for group in groups(conditions) {
        let chosen: Arc<[Condition]> = group.iter().map(|index| conditions[*index].clone()).collect();
        for (first, texts) in texts
            .chunks((rows / group.len().max(1)).max(1))
            .scan(0, |first, chunk| Some((std::mem::replace(first, *first + chunk.len()) as u64, chunk)))
        {
            let mut starts = Vec::with_capacity(texts.len() * group.len());
            for (key, text) in (first..).zip(texts) {
                starts.extend((0..group.len()).map(|condition| Start {
                    condition,
                    key,
                    prompt: text.prompt,
                }));
            }
            let rows: Vec<Vec<u32>> =
                texts.iter().flat_map(|text| vec![text.tokens.clone(); group.len()]).collect();
            let mut source = source(readout, receiver, chosen.clone(), &starts)?;
            let hidden = source.hidden(&TokenBatch::new(&rows)?)?;
            for (row, tokens) in rows.iter().enumerate() {
                let at: Vec<(usize, usize)> = (1..tokens.len()).map(|position| (row, position - 1)).collect();
                let targets = tokens.get(1..).unwrap_or(&[]);
                let mut sum = 0.0;
                if !at.is_empty() {
                    let log_p = model.token_log_probabilities(&hidden, &at, targets)?.log_probabilities;
                    sum = log_p.to_vec1::<f32>()?.iter().map(|x| -f64::from(*x)).sum();
                }
                found.cross_entropy[group[row % group.len()]].push(sum / at.len().max(1) as f64);
            }
            for (index, tallies) in group.iter().cycle().zip(source.tallies()) {
                found.tallies[*index].add(tallies);
            }
        }
    }
    Ok(found)
}
