//! What splicing a reconstruction into the forward pass costs.
//!
//! A variant runs on the tokens of a store three times: as it is, with the hook's value replaced by the
//! dictionary's reconstruction at every token but the first, and with it replaced by the mean activation. The joint
//! code is made from the activations of all variants that the store holds at those tokens.
//!
//! A difference h_v - h_base is put together again with the base's activation at the same token: spliced in is
//! h_base + reconstruction, and ablated is the mean difference, h_base + mean.
//!
//! CE recovered = (CE of mean ablation - CE spliced) / (CE of mean ablation - CE of the variant itself);
//! KL = mean KL(variant || spliced) of the next token, in nats.

use super::dictionary::Dictionary;
use super::fit::FitSettings;
use super::metrics::DictionaryRow;
use super::sites::gather;
use super::spec::{Kind, Site};
use crate::activations::{ActivationStore, Part, TokenMeta};
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, Model, TokenBatch};
use crate::progress::Observer;
use candle_core::Tensor;
use std::ops::Range;

/// Examples that are run at once.
const ROWS: usize = 32;
/// Positions whose next-token distributions are held at once.
const POSITIONS: usize = 512;

/// What splicing costs one variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpliceCost {
    /// Cross-entropy in nats per token of the variant itself.
    pub plain: f64,
    /// With the reconstruction spliced in.
    pub spliced: f64,
    /// With the mean activation in place.
    pub ablated: f64,
    /// KL(variant || spliced) in nats per token.
    pub kl: f64,
    /// Next tokens measured.
    pub tokens: usize,
}

impl SpliceCost {
    /// The share of what mean ablation loses that the reconstruction keeps.
    pub fn recovered(&self) -> f64 {
        (self.ablated - self.spliced) / (self.ablated - self.plain)
    }
}

/// Checks, before a dictionary of `settings` is fitted, that [`add_splice_costs`] can measure it in `models`.
///
/// # Errors
/// If it will write none of the variants, or the stores name no tokens or no hook.
pub fn check_splice(
    settings: &FitSettings,
    (store, target): (&ActivationStore, &ActivationStore),
    models: &[(String, Model)],
) -> Result<()> {
    if models.is_empty() {
        return Ok(());
    }
    let written = if settings.variants.is_empty() { store.variants() } else { &settings.variants };
    // Of a difference, base first, only the other one can be put together again.
    let written =
        if settings.kind == Kind::Difference { written.get(1..).unwrap_or_default() } else { written };
    for (name, _) in models {
        if !written.contains(name) {
            return Err(unwritten(written, name));
        }
    }
    examples(store, store.held_out())?;
    target.hook().parse::<HookPoint>()?;
    Ok(())
}

/// The place of a variant, itself or as a difference from another, among what a dictionary writes.
fn output(dictionary: &Dictionary, name: &str) -> Result<usize> {
    let outputs = &dictionary.spec().outputs;
    let variants: Vec<String> = outputs.iter().map(|site| site.variant.clone()).collect();
    variants.iter().position(|variant| variant == name).ok_or_else(|| unwritten(&variants, name))
}

fn unwritten(written: &[String], name: &str) -> Error {
    Error::request(format!(
        "expected a variant that the dictionary writes (`{}`), found `{name}`",
        written.join("`, `")
    ))
}

/// Measures the cost for every variant among `models` and puts it into its row of `rows`. The dictionary reads the
/// first store and writes the second, which for all kinds but transcoders are one.
///
/// # Errors
/// If the store has no token ids, or a model does not fit it.
pub fn add_splice_costs(
    rows: &mut [DictionaryRow],
    dictionary: &Dictionary,
    stores: (&ActivationStore, &ActivationStore),
    models: &[(String, Model)],
    range: Range<usize>,
    observer: &Observer,
) -> Result<()> {
    for (name, model) in models {
        let cost = splice_cost(dictionary, stores, (name, model), range.clone(), observer)?;
        let target = &dictionary.variants()[output(dictionary, name)?];
        for row in rows.iter_mut().filter(|row| row.target == *target) {
            row.ce_recovered = Some(cost.recovered());
            row.kl = Some(cost.kl);
        }
    }
    Ok(())
}

/// Measures the cost for one variant, on whole examples within tokens `range` of the stores; see
/// [`add_splice_costs`].
///
/// # Errors
/// If the store has no token ids, the dictionary does not write the variant, or the model does not fit.
pub fn splice_cost(
    dictionary: &Dictionary,
    stores: (&ActivationStore, &ActivationStore),
    (name, model): (&str, &Model),
    range: Range<usize>,
    observer: &Observer,
) -> Result<SpliceCost> {
    let (store, target) = stores;
    let examples = examples(store, range)?;
    let hook: HookPoint = dictionary.spec().output_hook.parse()?;
    let output = output(dictionary, name)?;
    let mean = mean(dictionary, target, output, &examples)?;
    let mut bar = observer.bar("splice", examples.len() as u64, "examples");
    let (mut sums, mut tokens) = ([0.0f64; 4], 0usize);
    for batch in examples.chunks(ROWS) {
        observer.check()?;
        let rows: Vec<Vec<u32>> =
            batch.iter().map(|example| example.tokens.iter().map(|meta| meta.token).collect()).collect();
        let (mut replaced, mut ablated) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for example in batch {
            let rest = rest(dictionary, target, output, example)?;
            replaced.push(added(reconstruction(dictionary, stores, output, example)?, &rest));
            ablated.push(added(mean.repeat(example.tokens.len()), &rest));
        }
        let token_batch = TokenBatch::new(&rows)?;
        let plain = hidden(model, &token_batch, hook, None)?;
        let spliced = hidden(model, &token_batch, hook, Some(replaced))?;
        let without = hidden(model, &token_batch, hook, Some(ablated))?;
        let places: Vec<(u32, usize)> = rows
            .iter()
            .enumerate()
            .flat_map(|(row, tokens)| {
                let start = (row * token_batch.width()) as u32;
                (1..tokens.len()).map(move |next| (start + next as u32 - 1, tokens[next] as usize))
            })
            .collect();
        for places in places.chunks(POSITIONS) {
            let indices: Vec<u32> = places.iter().map(|(place, _)| *place).collect();
            let indices = Tensor::from_vec(indices, places.len(), plain.device())?;
            let logs = [&plain, &spliced, &without]
                .map(|hidden| log_probabilities(model, &hidden.index_select(&indices, 0)?));
            let [plain, spliced, without] = logs;
            let (plain, spliced, without) = (plain?, spliced?, without?);
            for (index, (_, target)) in places.iter().enumerate() {
                sums[0] -= plain[index][*target];
                sums[1] -= spliced[index][*target];
                sums[2] -= without[index][*target];
                sums[3] +=
                    plain[index].iter().zip(&spliced[index]).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
            }
        }
        tokens += places.len();
        bar.advance(batch.len() as u64);
    }
    let [plain, spliced, ablated, kl] = sums.map(|sum| sum / tokens.max(1) as f64);
    Ok(SpliceCost { plain, spliced, ablated, kl, tokens })
}

/// One whole example of a store.
struct Example {
    range: Range<usize>,
    tokens: Vec<TokenMeta>,
}

fn examples(store: &ActivationStore, range: Range<usize>) -> Result<Vec<Example>> {
    if store.examples().is_empty() {
        return Err(Error::request("expected a store with token ids, found imported activations")
            .hint("what a splice costs is measured on a store that `capture` made"));
    }
    let mut examples: Vec<Example> = Vec::new();
    for (offset, meta) in store.tokens_meta(range.clone())?.into_iter().enumerate() {
        let token = range.start + offset;
        match examples.last_mut() {
            Some(example) if meta.position > 0 => {
                example.range.end = token + 1;
                example.tokens.push(meta);
            }
            _ if meta.position == 0 => {
                examples.push(Example { range: token..token + 1, tokens: vec![meta] });
            }
            _ => {}
        }
    }
    let whole = |example: &Example| {
        let about = store.examples().get(example.tokens[0].example as usize);
        about.is_some_and(|about| about.tokens == example.tokens.len()) && example.tokens.len() > 1
    };
    examples.retain(whole);
    if examples.is_empty() {
        return Err(Error::request("expected at least one whole example in the range, found none"));
    }
    Ok(examples)
}

/// The mean activation of an output over the examples, first tokens left out.
fn mean(
    dictionary: &Dictionary,
    store: &ActivationStore,
    output: usize,
    examples: &[Example],
) -> Result<Vec<f32>> {
    let (d, width) = (dictionary.d_model(), dictionary.spec().output_width());
    let (mut mean, mut count) = (vec![0.0f32; d], 0.0f32);
    for example in examples {
        let values = dictionary.targets_of(store, &store.read(example.range.clone())?)?;
        for row in values.chunks_exact(width).skip(1) {
            count += 1.0;
            // A running mean stays small where a sum over many tokens would lose bits.
            let part = &row[output * d..(output + 1) * d];
            mean.iter_mut().zip(part).for_each(|(mean, value)| *mean += (value - *mean) / count);
        }
    }
    Ok(mean)
}

/// What a difference leaves out of its variant's activation, at every token of an example: the activation that it
/// subtracts. Empty where the dictionary writes all of it.
fn rest(
    dictionary: &Dictionary,
    target: &ActivationStore,
    output: usize,
    example: &Example,
) -> Result<Vec<f32>> {
    match &dictionary.spec().outputs[output].minus {
        Some(minus) => {
            let values = target.read(example.range.clone())?;
            gather(&[Site::of(minus)], dictionary.d_model(), target, &values)
        }
        None => Ok(Vec::new()),
    }
}

fn added(mut part: Vec<f32>, rest: &[f32]) -> Vec<f32> {
    part.iter_mut().zip(rest).for_each(|(value, rest)| *value += rest);
    part
}

/// The reconstruction of one output at every token of an example; the first token keeps its own value.
fn reconstruction(
    dictionary: &Dictionary,
    (store, target): (&ActivationStore, &ActivationStore),
    output: usize,
    example: &Example,
) -> Result<Vec<f32>> {
    let (d, width) = (dictionary.d_model(), dictionary.spec().output_width());
    let x = dictionary.inputs_of(store, &store.read(example.range.clone())?)?;
    let guess = dictionary.reconstruct(&dictionary.codes(&x)?, &x)?;
    let own = dictionary.targets_of(target, &target.read(example.range.clone())?)?;
    let rows = guess.chunks_exact(width).zip(own.chunks_exact(width)).zip(&example.tokens);
    let pick = |((guess, own), meta): ((&[f32], &[f32]), &TokenMeta)| {
        let kept = if meta.part == Part::First { own } else { guess };
        kept[output * d..(output + 1) * d].to_vec()
    };
    Ok(rows.flat_map(pick).collect())
}

/// Hidden states `[rows * width, d_model]`, with the hook's value replaced at real tokens but the first.
fn hidden(
    model: &Model,
    tokens: &TokenBatch,
    hook: HookPoint,
    replacement: Option<Vec<Vec<f32>>>,
) -> Result<Tensor> {
    let mut hooks = Hooks::none();
    if let Some(rows) = replacement {
        hooks = hooks.edit(
            hook,
            Box::new(move |_, value| {
                let (count, width, d) = value.dims3()?;
                let mut values: Vec<f32> = value.flatten_all()?.to_vec1()?;
                for (row, new) in values.chunks_exact_mut(width * d).zip(&rows) {
                    let end = new.len().min(row.len());
                    if let (Some(row), Some(new)) = (row.get_mut(d..end), new.get(d..end)) {
                        row.copy_from_slice(new);
                    }
                }
                Ok(Tensor::from_vec(values, (count, width, d), value.device())?)
            }),
        );
    }
    Ok(model.hidden(tokens, None, &mut hooks, Gradients::Off)?.flatten_to(1)?)
}

fn log_probabilities(model: &Model, hidden: &Tensor) -> Result<Vec<Vec<f64>>> {
    let logits: Vec<Vec<f32>> = model.logits(hidden)?.to_vec2()?;
    let normalised = |row: Vec<f32>| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|value| f64::from(value - largest).exp()).sum();
        let shift = f64::from(largest) + total.ln();
        row.into_iter().map(|value| f64::from(value) - shift).collect()
    };
    Ok(logits.into_iter().map(normalised).collect())
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Activation, Spec};
    use super::super::stability;
    use super::super::weights::Weights;
    use super::*;
    use crate::activations::{CaptureSettings, Example, capture};
    use crate::model::{Config, LlamaShape};
    use candle_core::Device;

    const D: usize = 8;

    /// A dictionary that reconstructs `site` exactly: one feature for each sign of each dimension.
    fn identity(kind: Kind, site: Site, hook: &str, scale: f32) -> Dictionary {
        let features = 2 * D;
        let mut rows = vec![0.0; features * D];
        for (feature, row) in rows.chunks_mut(D).enumerate() {
            row[feature / 2] = if feature % 2 == 0 { 1.0 } else { -1.0 };
        }
        let spec = Spec {
            hook: hook.to_owned(),
            output_hook: hook.to_owned(),
            ..Spec::reconstructing(kind, Activation::Relu, vec![site], D, features)
        };
        let weights = Weights {
            encoder: rows.clone(),
            encoder_bias: vec![0.0; features],
            decoder: rows.into_iter().map(|value| value * scale).collect(),
            decoder_bias: vec![0.0; D],
            ..Weights::default()
        };
        Dictionary::new(spec, weights).unwrap()
    }

    fn model(seed: u64) -> Model {
        let shape = LlamaShape {
            vocabulary: 20,
            d_model: D,
            layers: 2,
            heads: 2,
            d_mlp: 16,
            max_positions: 32,
            bos: None,
            eos: None,
            pad: None,
        };
        Model::initialise(&Config::llama(&shape).unwrap(), seed, &Device::Cpu).unwrap()
    }

    fn texts() -> Vec<Example> {
        (0..40u32)
            .map(|index| Example {
                tokens: (0..6 + index % 3).map(|token| (token * 7 + index) % 20).collect(),
                prompt_length: 2,
                ..Example::default()
            })
            .collect()
    }

    #[test]
    fn a_perfect_reconstruction_costs_nothing_and_a_wrong_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let (hook, silent) = (HookPoint::resid_post(0), Observer::silent());
        let models = [("base".to_owned(), model(1))];
        let store =
            capture(&models, hook, &texts(), folder.path(), &CaptureSettings::default(), &silent).unwrap();
        let cost = |scale| {
            let dictionary = identity(Kind::Standard, Site::of("base"), &hook.to_string(), scale);
            splice_cost(&dictionary, (&store, &store), ("base", &models[0].1), 0..store.tokens(), &silent)
                .unwrap()
        };
        let (perfect, wrong) = (cost(1.0), cost(-1.0));
        assert_eq!(perfect.tokens, store.tokens() - 40);
        assert!(perfect.kl.abs() < 1e-6 && (perfect.recovered() - 1.0).abs() < 1e-3, "{perfect:?}");
        assert!(wrong.kl > 100.0 * perfect.kl.abs() + 1e-5, "{wrong:?}");
        let of = |scale| identity(Kind::Standard, Site::of("base"), "", scale);
        let same = stability(&of(1.0), &of(3.0)).unwrap();
        assert!(same.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_difference_is_spliced_in_on_top_of_what_it_subtracts() {
        let folder = tempfile::tempdir().unwrap();
        let (hook, silent) = (HookPoint::resid_post(0), Observer::silent());
        let models = [("base".to_owned(), model(1)), ("rl".to_owned(), model(2))];
        let store =
            capture(&models, hook, &texts(), folder.path(), &CaptureSettings::default(), &silent).unwrap();
        let site = Site { variant: "rl".to_owned(), minus: Some("base".to_owned()) };
        let cost = |scale, (name, model): &(String, Model)| {
            let dictionary = identity(Kind::Difference, site.clone(), &hook.to_string(), scale);
            splice_cost(&dictionary, (&store, &store), (name, model), 0..store.tokens(), &silent)
        };
        let (perfect, nothing) = (cost(1.0, &models[1]).unwrap(), cost(0.0, &models[1]).unwrap());
        assert!(perfect.kl.abs() < 1e-6 && (perfect.recovered() - 1.0).abs() < 1e-3, "{perfect:?}");
        assert!(nothing.kl > 100.0 * perfect.kl.abs() + 1e-5, "base's activation in its place: {nothing:?}");
        assert!(cost(1.0, &models[0]).unwrap_err().to_string().contains("found `base`"));
    }
}
