//! Sampling under edits, with the joint readout in lockstep.
//!
//! Many conditions run as rows of one batch. At every step:
//!
//! 1. *Trunk.* Nothing before the hook depends on an edit, only on the tokens so far. So rows with equal
//!    tokens share one trunk row: all variants run it up to the hook, each with its own cache, and the joint
//!    code is computed once. The receiver is thus read before it is edited, donors are never edited.
//! 2. *Branch.* Each row takes its trunk row's receiver activation, adds the delta of its condition, and runs
//!    the rest of the receiver with a cache of its own.
//!
//! Rows are batch-invariant, so sharing changes no bit, and a row alone equals the row in any batch. Equal
//! keys give equal Gumbel draws: two conditions part only where the edit made them part.

use super::readout::Readout;
use crate::dictionaries::{Codes, FeatureReader};
use crate::error::{Error, Result};
use crate::interventions::{Part, Position, Positions, Tallies, Tally, Writer};
use crate::model::{BlockPoint, Gradients, HookPoint, Hooks, KvCache, NextToken, TokenBatch};
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One edit under a name. Without a writer it is the unedited receiver.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name in tables.
    pub name: String,
    /// What is written.
    pub writer: Option<Writer>,
    /// Where it may act.
    pub positions: Positions,
}

impl Condition {
    /// The unedited receiver.
    pub fn baseline() -> Self {
        Self { name: "baseline".to_owned(), writer: None, positions: Positions::All }
    }

    /// An edit at all positions but those of the begin-of-sequence token.
    pub fn edited(name: impl Into<String>, writer: Writer) -> Self {
        Self { name: name.into(), writer: Some(writer), positions: Positions::All }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    condition: usize,
    trunk: usize,
    key: u64,
    sample: u64,
    length: usize,
}

/// A source of next-token logits in which every row stands under its own condition.
pub struct Lockstep {
    readout: Readout,
    receiver: usize,
    conditions: Arc<[Condition]>,
    wanted: Vec<bool>,
    /// Encodes the features that some condition needs; `None` where that is most of them.
    reader: Option<FeatureReader>,
    beginning: Option<u32>,
    ending: Option<u32>,
    first_rows: Vec<Row>,
    rows: Vec<Row>,
    trunk: Vec<KvCache>,
    branch: Option<KvCache>,
    tallies: Vec<Tallies>,
}

impl Lockstep {
    /// A source for one call of [`crate::model::sample`]: prompt `i` stands under condition `rows[i].0` and
    /// its problem has the key `rows[i].1`.
    ///
    /// # Errors
    /// If a condition's writer is for another receiver, or a row names a condition that is not there.
    pub fn new(
        readout: &Readout,
        receiver: usize,
        conditions: Arc<[Condition]>,
        rows: &[(usize, u64)],
    ) -> Result<Self> {
        let writers = || conditions.iter().filter_map(|condition| condition.writer.as_ref());
        if let Some(writer) = writers().find(|writer| writer.receiver() != receiver) {
            return Err(Error::work(format!(
                "an edit made for variant {} was given to variant {receiver}",
                writer.receiver()
            )));
        }
        if let Some((condition, _)) = rows.iter().find(|(condition, _)| *condition >= conditions.len()) {
            return Err(Error::work(format!("there is no condition {condition}")));
        }
        let donors = writers().any(Writer::needs_donors);
        let variants = readout.variants().len();
        let mut features: Vec<u32> = writers().flat_map(|writer| writer.features().iter().copied()).collect();
        features.sort_unstable();
        features.dedup();
        let few = 2 * features.len() < readout.dictionary().features();
        let first_rows: Vec<Row> = rows
            .iter()
            .map(|(condition, key)| Row { condition: *condition, trunk: 0, key: *key, sample: 0, length: 0 })
            .collect();
        let tokenizer = readout.model(receiver)?.tokenizer()?;
        Ok(Self {
            readout: readout.clone(),
            receiver,
            wanted: (0..variants).map(|variant| donors || variant == receiver).collect(),
            reader: few.then(|| readout.dictionary().feature_reader(&features)).transpose()?,
            beginning: tokenizer.bos(),
            ending: tokenizer.eos(),
            rows: first_rows.clone(),
            first_rows,
            tallies: vec![Tallies::default(); conditions.len()],
            conditions,
            trunk: Vec::new(),
            branch: None,
        })
    }

    /// What every condition really did, summed over its rows.
    pub fn tallies(&self) -> &[Tallies] {
        &self.tallies
    }

    /// Advances the trunk: one row for each distinct (tokens so far, new tokens). Returns the new trunk row of
    /// every row, and the trunk's new tokens.
    fn share(&mut self, tokens: &TokenBatch) -> Result<(Vec<usize>, TokenBatch)> {
        let mut places: BTreeMap<(usize, &[u32]), usize> = BTreeMap::new();
        let mut parents = Vec::new();
        let mut texts: Vec<Vec<u32>> = Vec::new();
        let mut shared = Vec::with_capacity(self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            let text = tokens.row(index);
            shared.push(*places.entry((row.trunk, text)).or_insert_with(|| {
                parents.push(row.trunk);
                texts.push(text.to_vec());
                texts.len() - 1
            }));
        }
        if self.branch.is_none() {
            self.trunk = self.readout.caches(texts.len());
        } else if !parents.iter().copied().eq(0..self.trunk.first().map_or(0, KvCache::rows)) {
            for cache in &mut self.trunk {
                cache.select(&parents)?;
            }
        }
        Ok((shared, TokenBatch::new(&texts)?))
    }

    fn codes(&self, joint: &[f32]) -> Result<Codes> {
        let Some(reader) = &self.reader else { return self.readout.dictionary().encode(joint) };
        let mut codes = Codes::new();
        if reader.features().is_empty() {
            return Ok(codes);
        }
        for row in reader.encode(joint)?.chunks_exact(reader.features().len()) {
            let active = reader.features().iter().copied().zip(row.iter().copied());
            codes.push(active.filter(|(_, value)| *value > 0.0));
        }
        Ok(codes)
    }

    /// The receiver's activations of every row with its delta added, `[rows, width, d_model]`, zero at padding.
    fn edited(
        &mut self,
        tokens: &TokenBatch,
        shared: &[usize],
        trunk: &TokenBatch,
        joint: &[f32],
    ) -> Result<Vec<f32>> {
        let codes = self.codes(joint)?;
        let d_model = self.readout.dictionary().d_model();
        let joint_width = self.readout.variants().len() * d_model;
        let first: Vec<usize> = trunk
            .lengths()
            .iter()
            .scan(0, |start, length| Some(std::mem::replace(start, *start + length)))
            .collect();
        let width = tokens.width();
        let mut edited = vec![0.0; self.rows.len() * width * d_model];
        let prompt = self.branch.is_none();
        let this = &*self;
        let tallies: Vec<Tallies> = edited
            .par_chunks_mut((width * d_model).max(1))
            .zip(this.rows.par_iter().zip(shared))
            .enumerate()
            .map(|(index, (out, (row, trunk)))| {
                let mut tallies = Tallies::default();
                let condition = this.conditions.get(row.condition);
                let part = if prompt { Part::Prompt } else { Part::Response };
                let allowed = match condition.map_or(Positions::All, |condition| condition.positions) {
                    Positions::All => true,
                    Positions::Prompt => part == Part::Prompt,
                    Positions::Response => part == Part::Response,
                };
                let writer = condition.and_then(|condition| condition.writer.as_ref()).filter(|_| allowed);
                let mut delta = vec![0.0; d_model];
                let start = first.get(*trunk).copied().unwrap_or(0);
                for (column, token) in tokens.row(index).iter().enumerate() {
                    let place = start + column;
                    let joint = joint.get(place * joint_width..(place + 1) * joint_width).unwrap_or(&[]);
                    let own =
                        joint.get(this.receiver * d_model..(this.receiver + 1) * d_model).unwrap_or(&[]);
                    let Some(out) = out.get_mut(column * d_model..(column + 1) * d_model) else { continue };
                    out.copy_from_slice(own);
                    // The sampler feeds rows that ended their stop token again until it drops them.
                    let ended = !prompt && Some(*token) == this.ending;
                    let acts = Some(*token) != this.beginning && !ended;
                    let Some(writer) = writer.filter(|_| acts) else { continue };
                    let (features, values) = entries(&codes, place);
                    let key = [row.key, row.sample, (row.length + column) as u64];
                    let acted = writer.delta(Position { joint, features, values, key }, &mut delta);
                    tallies.part_mut(part).add(&Tally {
                        positions: 1,
                        acted: u64::from(acted),
                        delta_squared: squared(&delta),
                        hidden_squared: squared(own),
                    });
                    if acted {
                        out.iter_mut().zip(&delta).for_each(|(out, delta)| *out += delta);
                    }
                }
                tallies
            })
            .collect();
        for (row, tallies) in self.rows.iter().zip(tallies) {
            if let Some(sum) = self.tallies.get_mut(row.condition) {
                sum.add(&tallies);
            }
        }
        Ok(edited)
    }
}

/// The firing features of one token and their codes.
fn entries(codes: &Codes, token: usize) -> (&[u32], &[f32]) {
    let bounds = codes.starts.get(token).copied().zip(codes.starts.get(token + 1).copied());
    let (start, end) = bounds.unwrap_or((0, 0));
    (codes.features.get(start..end).unwrap_or(&[]), codes.values.get(start..end).unwrap_or(&[]))
}

/// Hooks that run the layers after `hook` on this value. At a residual stream nothing before it is computed
/// again; elsewhere the value replaces what the pass would have had there.
fn continue_from(hook: HookPoint, value: Tensor) -> Hooks {
    match hook {
        HookPoint::Block(layer, BlockPoint::ResidPre) => Hooks::none().start_from(layer, value),
        HookPoint::Block(layer, BlockPoint::ResidPost) => Hooks::none().start_from(layer + 1, value),
        _ => Hooks::none().edit(hook, Box::new(move |_, _| Ok(value.clone()))),
    }
}

fn squared(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum()
}

impl NextToken for Lockstep {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        if tokens.rows() != self.rows.len() {
            return Err(Error::work(format!("expected {} rows, found {}", self.rows.len(), tokens.rows())));
        }
        let (shared, trunk) = self.share(tokens)?;
        let readout = self.readout.clone();
        let joint = readout.joint(&trunk, Some(&mut self.trunk), &self.wanted)?;
        let edited = self.edited(tokens, &shared, &trunk, &joint)?;
        let model = readout.model(self.receiver)?;
        let d_model = readout.dictionary().d_model();
        let shape = (tokens.rows(), tokens.width(), d_model);
        let edited = Tensor::from_vec(edited, shape, model.device())?;
        let mut hooks = continue_from(readout.hook(), edited);
        let branch = self.branch.get_or_insert_with(|| model.cache(tokens.rows()));
        let hidden = model
            .forward(tokens, Some(branch), &mut hooks, Gradients::Off)?
            .ok_or_else(|| Error::work("the forward pass stopped before its end"))?;
        hooks.finish()?;
        for (row, (trunk, length)) in self.rows.iter_mut().zip(shared.iter().zip(tokens.lengths())) {
            row.trunk = *trunk;
            row.length += length;
        }
        let last: Vec<u32> = tokens
            .lengths()
            .iter()
            .enumerate()
            .map(|(row, length)| (row * tokens.width() + length.saturating_sub(1)) as u32)
            .collect();
        let count = last.len();
        let last = Tensor::from_vec(last, count, model.device())?;
        model.logits(&hidden.reshape((shape.0 * shape.1, d_model))?.index_select(&last, 0)?)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let mut copies = vec![0; self.rows.len()];
        self.rows = rows
            .iter()
            .map(|index| {
                let row =
                    self.rows.get(*index).ok_or_else(|| Error::work(format!("there is no row {index}")))?;
                let copy = copies[*index];
                copies[*index] += 1;
                Ok(Row { sample: row.sample + copy, ..*row })
            })
            .collect::<Result<_>>()?;
        match &mut self.branch {
            Some(branch) => branch.select(rows),
            None => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.rows.clone_from(&self.first_rows);
        self.trunk.clear();
        self.branch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::small;
    use super::*;
    use crate::interventions::{CodeBank, Edit, Reference};
    use crate::model::{Completion, Prompt, SampleSettings, Site, sample, sample_model};
    use crate::progress::Observer;
    use crate::tasks::{Problem, Suite};

    const RECEIVER: usize = 1;

    fn problems(count: usize) -> Vec<Problem> {
        Suite::parse("general_points").unwrap().problems(1).into_iter().take(count).collect()
    }

    fn prompts(readout: &Readout, problems: &[Problem]) -> Vec<Prompt> {
        let tokenizer = readout.model(RECEIVER).unwrap().tokenizer().unwrap();
        let prompt =
            |problem: &Problem| Prompt { tokens: problem.tokens(tokenizer).unwrap(), key: problem.key };
        problems.iter().map(prompt).collect()
    }

    fn settings() -> SampleSettings {
        SampleSettings {
            samples: 2,
            max_new_tokens: 12,
            seed: 5,
            batch_rows: 1000,
            ..SampleSettings::default()
        }
    }

    fn edited(readout: &Readout, edit: Edit, dose: f32, set: &[u32]) -> Condition {
        let reference =
            Reference { means: vec![0.2; small::FEATURES], percentiles: vec![1.0; small::FEATURES] };
        let bank = CodeBank::new(1, vec![vec![(0, 0.5), (3, 1.0)], vec![(1, 2.0)]]);
        let writer = Writer::new(&edit, dose, set, "rl", readout.dictionary(), &reference, &bank).unwrap();
        Condition::edited(edit.to_string(), writer)
    }

    fn all() -> Vec<u32> {
        (0..small::FEATURES as u32).collect()
    }

    /// Completions by condition, when all (problem, condition) pairs are rows of one batch.
    fn together(
        readout: &Readout,
        conditions: &[Condition],
        problems: &[Problem],
    ) -> (Vec<Vec<Completion>>, Vec<Tallies>) {
        let mut rows = Vec::new();
        let mut repeated = Vec::new();
        for (problem, prompt) in problems.iter().zip(prompts(readout, problems)) {
            for condition in 0..conditions.len() {
                rows.push((condition, problem.key));
                repeated.push(prompt.clone());
            }
        }
        let mut lockstep = Lockstep::new(readout, RECEIVER, conditions.into(), &rows).unwrap();
        let completions = sample(&mut lockstep, &repeated, &settings(), &Observer::silent()).unwrap();
        let mut by_condition = vec![Vec::new(); conditions.len()];
        for completion in completions {
            let (problem, condition) =
                (completion.prompt / conditions.len(), completion.prompt % conditions.len());
            by_condition[condition].push(Completion { prompt: problem, ..completion });
        }
        (by_condition, lockstep.tallies().to_vec())
    }

    #[test]
    fn an_edit_that_writes_nothing_leaves_every_bit() {
        for layer in [0, 2] {
            let readout = small::readout(layer);
            let problems = problems(3);
            let model = readout.model(RECEIVER).unwrap();
            let plain =
                sample_model(model, &prompts(&readout, &problems), &settings(), &Observer::silent()).unwrap();
            let conditions = [
                Condition::baseline(),
                edited(&readout, Edit::Zero, 0.0, &all()),
                edited(&readout, Edit::Transplant("rl".into()), 1.0, &all()),
                edited(&readout, Edit::Zero, 1.0, &[]),
            ];
            let (found, tallies) = together(&readout, &conditions, &problems);
            for (completions, condition) in found.iter().zip(&conditions) {
                assert_eq!(*completions, plain, "{} at layer {layer}", condition.name);
            }
            assert!(tallies.iter().all(|tallies| tallies.untestable().is_some()));
        }
    }

    #[test]
    fn a_row_alone_equals_the_row_in_a_batch_and_edits_change_what_is_said() {
        let readout = small::readout(1);
        let problems = problems(3);
        let conditions = [
            Condition::baseline(),
            edited(&readout, Edit::Zero, 1.0, &all()),
            edited(&readout, Edit::Zero, 1.0, &[3, 5]),
            edited(&readout, Edit::Mean, 1.0, &[1, 2]),
            edited(&readout, Edit::Resample, 1.0, &all()),
            edited(&readout, Edit::Steer, 4.0, &[7]),
            edited(&readout, Edit::Clamp, 4.0, &[7]),
            edited(&readout, Edit::Transplant("base".into()), 1.0, &[0, 8, 9]),
            edited(&readout, Edit::WholeDifference("sft".into()), 1.0, &[]),
            edited(&readout, Edit::ErrorOnly("sft".into()), 1.0, &[]),
        ];
        let (found, tallies) = together(&readout, &conditions, &problems);
        for (index, condition) in conditions.iter().enumerate() {
            for (place, problem) in problems.iter().enumerate() {
                let (alone, _) =
                    together(&readout, std::slice::from_ref(condition), std::slice::from_ref(problem));
                let alone: Vec<(&Vec<u32>, &Vec<f32>)> = alone[0]
                    .iter()
                    .map(|completion| (&completion.tokens, &completion.log_probabilities))
                    .collect();
                let batch: Vec<(&Vec<u32>, &Vec<f32>)> = found[index]
                    .iter()
                    .filter(|completion| completion.prompt == place)
                    .map(|completion| (&completion.tokens, &completion.log_probabilities))
                    .collect();
                assert_eq!(alone, batch, "{} on problem {place}", condition.name);
            }
            if index > 0 {
                assert_ne!(found[index], found[0], "{} does nothing", condition.name);
                assert_eq!(tallies[index].untestable(), None, "{}", condition.name);
            }
        }
    }

    /// The same logits as whole texts through the plain pass, with the delta computed token by token from
    /// activations captured beforehand.
    #[test]
    fn lockstep_equals_the_edited_pass_over_the_whole_text() {
        let readout = small::readout(1);
        let conditions = [
            edited(&readout, Edit::Zero, 1.0, &[2, 3, 5, 8]),
            edited(&readout, Edit::Transplant("sft".into()), 1.0, &all()),
        ];
        let problem = &problems(1)[0];
        let prompt = prompts(&readout, std::slice::from_ref(problem))[0].tokens.clone();
        let response = [20u32, 70, 21, 9];
        let rows: Vec<(usize, u64)> =
            (0..conditions.len()).map(|condition| (condition, problem.key)).collect();
        let mut lockstep = Lockstep::new(&readout, RECEIVER, conditions.as_slice().into(), &rows).unwrap();
        let mut logits =
            lockstep.extend(&TokenBatch::new(&vec![prompt.clone(); conditions.len()]).unwrap()).unwrap();
        for token in response {
            logits =
                lockstep.extend(&TokenBatch::new(&vec![vec![token]; conditions.len()]).unwrap()).unwrap();
        }
        let logits = logits.to_vec2::<f32>().unwrap();

        let text: Vec<u32> = prompt.iter().copied().chain(response).collect();
        let batch = TokenBatch::new(std::slice::from_ref(&text)).unwrap();
        let joint = readout.joint(&batch, None, &[true; 3]).unwrap();
        let codes = readout.dictionary().encode(&joint).unwrap();
        for (condition, found) in conditions.iter().zip(logits) {
            let mut deltas = vec![0.0; text.len() * small::D_MODEL];
            for (place, delta) in deltas.chunks_exact_mut(small::D_MODEL).enumerate().skip(1) {
                let (features, values) = entries(&codes, place);
                let joint = &joint[place * 3 * small::D_MODEL..(place + 1) * 3 * small::D_MODEL];
                let at = Position { joint, features, values, key: [0; 3] };
                condition.writer.as_ref().unwrap().delta(at, delta);
            }
            assert!(deltas.iter().any(|x| *x != 0.0));
            let shape = (1, text.len(), small::D_MODEL);
            let deltas = Tensor::from_vec(deltas, shape, &candle_core::Device::Cpu).unwrap();
            let edit = move |_: &Site, hidden: &Tensor| Ok((hidden + &deltas)?);
            let mut hooks = Hooks::none().edit(readout.hook(), Box::new(edit));
            let model = readout.model(RECEIVER).unwrap();
            let hidden = model.forward(&batch, None, &mut hooks, Gradients::Off).unwrap().unwrap();
            let expected = model.logits(&hidden).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
            let expected = expected.last().unwrap();
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{}: {worst}", condition.name);
        }
    }

    #[test]
    fn an_edit_for_another_receiver_is_refused() {
        let readout = small::readout(1);
        let conditions = [edited(&readout, Edit::Zero, 1.0, &[1])];
        assert!(Lockstep::new(&readout, 0, conditions.as_slice().into(), &[(0, 1)]).is_err());
        assert!(Lockstep::new(&readout, RECEIVER, conditions.as_slice().into(), &[(1, 1)]).is_err());
    }
}
