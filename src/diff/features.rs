//! The table `features`: everything that is measured on one feature, for all features in one stream.
//!
//! 1. Read the held-out tokens block by block (the first token of each example left out) and encode
//!    them with the joint code.
//! 2. Feed codes, activations and reconstructions to latent scaling ([`super::scaling`]); count firings
//!    and where the activation falls.
//! 3. Encode again with every input read from one variant alone: `rate_<variant>` says how often the
//!    feature fires on what that variant holds by itself. A dictionary of one input reads each variant of the store in
//!    its place; a difference reads each variant's difference from the same base (`rate_<variant>-<base>`).
//! 4. Decide presence, change and class ([`super::classes`]) and write one row per feature.

use super::classes::{Cuts, Evidence, Verdict, decide};
use super::contexts::Peaks;
use super::decoders::{Decoders, dot};
use super::rows::{Cell, ContextRow, FeatureRow, json};
use super::scaling::{Scaling, Target, transpose};
use super::settings::DiffSettings;
use crate::activations::{ActivationStore, Part, TokenMeta};
use crate::dictionaries::{Codes, Dictionary, Site, mean_stability, neighbours};
use crate::error::{Error, Result};
use crate::progress::Observer;
use std::collections::BTreeMap;
use std::ops::Range;

/// The first tokens of a response.
const FIRST: usize = 5;
/// Tokens read at a time.
const BLOCK: usize = 4096;

/// Steps of the histogram of a feature's activations.
const STEPS: usize = 20;
/// Neighbours named for each feature.
const NEAREST: usize = 5;

/// The features of a dictionary and where they fire.
#[derive(Clone, Debug)]
pub struct FeatureDiff {
    /// The table `features`.
    pub features: Vec<FeatureRow>,
    /// The table `contexts`.
    pub contexts: Vec<ContextRow>,
}

/// Measures every feature of `dictionary` on the tokens `range` of `store`, which should be tokens that
/// the dictionary was not fitted to. `token_text` names a token id in the contexts.
///
/// # Errors
/// If the settings are not sound, the store is not of the dictionary's variants, or the disk fails.
pub fn features(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
    settings: &DiffSettings,
    token_text: &dyn Fn(u32) -> String,
    observer: &Observer,
) -> Result<FeatureDiff> {
    features_pair(dictionary, (store, store), range, settings, token_text, observer)
}

/// As [`features`], for a transcoder, which reads the first store and writes the second: the same tokens at another
/// hook.
///
/// # Errors
/// As [`features`], or if a transcoder is given one store, another kind two, or the stores hold other tokens.
pub fn features_pair(
    dictionary: &Dictionary,
    (store, target): (&ActivationStore, &ActivationStore),
    range: Range<usize>,
    settings: &DiffSettings,
    token_text: &dyn Fn(u32) -> String,
    observer: &Observer,
) -> Result<FeatureDiff> {
    settings.check()?;
    dictionary.spec().check_positive("`diff`")?;
    if dictionary.kind().is_transcoder() == store.is(target) {
        return Err(Error::request(format!(
            "a `{}` dictionary {}",
            dictionary.kind(),
            if store.is(target) { "writes other activations than it reads" } else { "writes what it reads" }
        ))
        .hint("transcoders need --targets, other kinds have none"));
    }
    if store.tokens() != target.tokens() || store.parts() != target.parts() {
        return Err(Error::request(format!(
            "expected two stores of the same tokens, found {} and {}",
            store.tokens(),
            target.tokens()
        ))
        .hint("capture both hooks on the same examples"));
    }
    let end = range.end.min(range.start.saturating_add(settings.tokens)).min(store.tokens());
    if range.start >= end {
        return Err(Error::request(format!(
            "expected tokens within 0..{} of the activations, found {}..{}",
            store.tokens(),
            range.start,
            range.end
        )));
    }
    let mut census = Census::new(dictionary, store);
    let mut bar = observer.bar("diff", (end - range.start) as u64, "tokens");
    for start in (range.start..end).step_by(BLOCK) {
        let block = start..end.min(start + BLOCK);
        census.add(dictionary, (store, target), block.clone())?;
        bar.advance(block.len() as u64);
        observer.check()?;
    }
    census.scaling.finish();
    let mut features: Vec<FeatureRow> =
        (0..dictionary.features()).map(|feature| census.row(dictionary, feature, &settings.cuts)).collect();
    let by_feature = transpose(&census.codes, dictionary.features());
    for (row, near) in features.iter_mut().zip(neighbours(dictionary, NEAREST)) {
        let (others, cosines): (Vec<u32>, Vec<f32>) = near.into_iter().unzip();
        (row.nearest, row.nearest_cosines) = (json(&others)?, json(&cosines)?);
        let (largest, counts) = histogram(by_feature.of(row.feature as usize));
        (row.max_active, row.histogram) = (largest.map(f64::from), json(&counts)?);
    }
    let Census { codes, places, metas, .. } = &census;
    let peaks = Peaks { codes, by_feature: &by_feature, places, metas };
    let contexts = peaks.rows(store, &settings.contexts, token_text)?;
    Ok(FeatureDiff { features, contexts })
}

/// Writes into each row how surely its feature comes back in `others`, the same dictionary under other seeds.
///
/// # Errors
/// If the others do not write the same variants.
pub fn add_stability(rows: &mut [FeatureRow], dictionary: &Dictionary, others: &[Dictionary]) -> Result<()> {
    if let Some(stability) = mean_stability(dictionary, others)? {
        rows.iter_mut().zip(stability).for_each(|(row, stability)| row.stability = Some(stability));
    }
    Ok(())
}

/// Everything that is summed while the tokens stream by.
struct Census {
    decoders: Decoders,
    scaling: Scaling,
    tokens: u64,
    /// The ways to read one variant alone, and how often each feature fires then.
    alone: Vec<Alone>,
    /// Per feature: summed activation, and the parts of it on template, response and first response tokens.
    mass: Vec<[f64; 4]>,
    /// Codes of all tokens so far, and each token's place in the store.
    codes: Codes,
    places: Vec<usize>,
    metas: Vec<TokenMeta>,
}

/// One variant read in place of every input.
struct Alone {
    /// What the column is called after.
    name: String,
    sites: Vec<Site>,
    /// Firings by feature.
    counts: Vec<u64>,
}

impl Alone {
    /// A crosscoder's own variants; every variant of `store` for a dictionary of one input.
    fn each(dictionary: &Dictionary, store: &ActivationStore) -> Vec<Self> {
        let inputs = &dictionary.spec().inputs;
        let sites: Vec<Site> = match &inputs[..] {
            [only] => {
                let others = store.variants().iter().filter(|variant| Some(*variant) != only.minus.as_ref());
                others.map(|variant| Site { variant: variant.clone(), minus: only.minus.clone() }).collect()
            }
            several => several.to_vec(),
        };
        sites
            .into_iter()
            .map(|site| Self {
                name: site.to_string(),
                sites: vec![site; inputs.len()],
                counts: vec![0; dictionary.features()],
            })
            .collect()
    }
}

impl Census {
    fn new(dictionary: &Dictionary, store: &ActivationStore) -> Self {
        let decoders = Decoders::of(dictionary);
        let biases: Vec<&[f32]> =
            (0..dictionary.variants().len()).map(|variant| dictionary.decoder_bias(variant)).collect();
        Self {
            scaling: Scaling::new(decoders.clone(), biases.concat()),
            decoders,
            tokens: 0,
            alone: Alone::each(dictionary, store),
            mass: vec![[0.0; 4]; dictionary.features()],
            codes: Codes::new(),
            places: Vec::new(),
            metas: Vec::new(),
        }
    }

    fn add(
        &mut self,
        dictionary: &Dictionary,
        (store, target): (&ActivationStore, &ActivationStore),
        block: Range<usize>,
    ) -> Result<()> {
        let metas = store.tokens_meta(block.clone())?;
        let kept: Vec<usize> = (0..metas.len()).filter(|index| metas[*index].part != Part::First).collect();
        let read = |store: &ActivationStore| -> Result<Vec<f32>> {
            let row = store.variants().len() * store.d_model();
            let values = store.read(block.clone())?;
            Ok(kept.iter().flat_map(|index| &values[index * row..(index + 1) * row]).copied().collect())
        };
        let values = read(store)?;
        let inputs = dictionary.inputs_of(store, &values)?;
        let codes = dictionary.codes(&inputs)?;
        let reconstruction = dictionary.reconstruct(&codes, &inputs)?;
        let targets = match store.is(target) {
            true => dictionary.targets_of(store, &values)?,
            false => dictionary.targets_of(target, &read(target)?)?,
        };
        // Tokens of one example are not independent; imported tokens are taken to be.
        let imported = store.examples().is_empty();
        let clusters: Vec<u32> = kept
            .iter()
            .map(|index| if imported { (block.start + index) as u32 } else { metas[*index].example })
            .collect();
        self.scaling.add(&codes, &targets, &reconstruction, &clusters);
        self.count_alone(dictionary, store, &values, &codes)?;
        self.tokens += kept.len() as u64;
        for (token, index) in kept.iter().enumerate() {
            let example = store.examples().get(metas[*index].example as usize);
            let prompt = example.map_or(0, |example| example.prompt_length);
            let early =
                metas[*index].part == Part::Response && (metas[*index].position as usize) < prompt + FIRST;
            for (feature, value) in codes.token(token) {
                let mass = &mut self.mass[feature];
                mass[0] += f64::from(value);
                mass[1] += if metas[*index].part == Part::Template { f64::from(value) } else { 0.0 };
                mass[2] += if metas[*index].part == Part::Response { f64::from(value) } else { 0.0 };
                mass[3] += if early { f64::from(value) } else { 0.0 };
            }
            self.codes.push(codes.token(token).map(|(feature, value)| (feature as u32, value)));
            self.places.push(block.start + index);
            self.metas.push(metas[*index]);
        }
        Ok(())
    }

    /// `codes` are those of the same tokens as the dictionary reads them.
    fn count_alone(
        &mut self,
        dictionary: &Dictionary,
        store: &ActivationStore,
        values: &[f32],
        codes: &Codes,
    ) -> Result<()> {
        for alone in &mut self.alone {
            let mut count = |codes: &Codes| {
                codes.features.iter().for_each(|feature| alone.counts[*feature as usize] += 1);
            };
            if alone.sites == dictionary.spec().inputs {
                count(codes);
            } else {
                count(&dictionary.codes(&dictionary.inputs_at(&alone.sites, store, values)?)?);
            }
        }
        Ok(())
    }

    fn row(&self, dictionary: &Dictionary, feature: usize, cuts: &Cuts) -> FeatureRow {
        let names = dictionary.variants();
        let norms: Vec<f64> = (0..names.len()).map(|variant| self.decoders.norm(feature, variant)).collect();
        let firings = self.scaling.firings(feature);
        let Verdict { present, change, class } = decide(
            &Evidence {
                firings,
                norms: &norms,
                cosine: &|a, b| self.decoders.cosine(feature, a, b),
                nu_error: &|w, v| self.scaling.nu(Target::Error, feature, w, v),
                nu_reconstruction: &|w, v| self.scaling.nu(Target::Reconstruction, feature, w, v),
            },
            cuts,
        );
        let present: Vec<&str> = names
            .iter()
            .zip(&present)
            .filter(|(_, present)| **present == Some(true))
            .map(|(name, _)| name.as_str())
            .collect();
        let [mass, template, response, first] = self.mass[feature];
        let share = |part: f64| (mass > 0.0).then(|| part / mass);
        FeatureRow {
            feature: feature as u32,
            present: present.join("+"),
            change,
            class,
            rate: firings as f64 / self.tokens.max(1) as f64,
            firings,
            mean_active: self.scaling.mean_when_active(feature),
            share_template: share(template),
            share_response: share(response),
            share_first: share(first),
            max_active: None,
            histogram: String::new(),
            stability: None,
            nearest: String::new(),
            nearest_cosines: String::new(),
            per_variant: self.per_variant(dictionary, feature, &norms),
        }
    }

    /// Cosine of what the feature reads of two variants; `None` where the dictionary is no crosscoder, or
    /// does not read one of them at all.
    fn encoder_cosine(&self, dictionary: &Dictionary, feature: usize, a: usize, b: usize) -> Option<f64> {
        if !dictionary.kind().is_crosscoder() {
            return None;
        }
        let d = dictionary.spec().d_in;
        let part = |variant: usize| &dictionary.encoder(feature)[variant * d..(variant + 1) * d];
        let norms = (dot(part(a), part(a)) * dot(part(b), part(b))).sqrt();
        (norms > 0.0).then(|| dot(part(a), part(b)) / norms)
    }

    fn per_variant(&self, dictionary: &Dictionary, feature: usize, norms: &[f64]) -> BTreeMap<String, Cell> {
        let names = dictionary.variants();
        let mut cells = BTreeMap::new();
        let mut put = |column: String, value: Option<f64>| {
            cells.insert(column, Cell::Number(value));
        };
        let shares = self.decoders.shares(feature);
        for (variant, name) in names.iter().enumerate() {
            put(format!("norm_{name}"), Some(norms[variant]));
            put(format!("mas_{name}"), shares.as_ref().map(|shares| shares[variant]));
        }
        for alone in &self.alone {
            let rate = alone.counts[feature] as f64 / self.tokens.max(1) as f64;
            put(format!("rate_{}", alone.name), Some(rate));
        }
        for (a, a_name) in names.iter().enumerate() {
            for (b, b_name) in names.iter().enumerate().skip(a + 1) {
                put(format!("nrn_{a_name}_{b_name}"), self.decoders.relative_norm(feature, a, b));
                put(format!("cosine_{a_name}_{b_name}"), Some(self.decoders.cosine(feature, a, b)));
                put(
                    format!("encoder_cosine_{a_name}_{b_name}"),
                    self.encoder_cosine(dictionary, feature, a, b),
                );
            }
        }
        for (w, w_name) in names.iter().enumerate() {
            for (v, v_name) in names.iter().enumerate() {
                let pair = format!("{w_name}_{v_name}");
                for (target, label) in [(Target::Error, "error"), (Target::Reconstruction, "reconstruction")]
                {
                    put(format!("beta_{label}_{pair}"), self.scaling.beta(target, feature, w, v));
                    if w != v {
                        let nu = self.scaling.nu(target, feature, w, v);
                        put(format!("nu_{label}_{pair}"), nu.map(|nu| nu.value));
                        put(format!("nu_{label}_se_{pair}"), nu.map(|nu| nu.standard_error));
                    }
                }
            }
        }
        cells
    }
}

/// The largest activation, and how many lie in each of equal steps from 0 up to it.
fn histogram(entries: &[(usize, f32)]) -> (Option<f32>, [u64; STEPS]) {
    let mut counts = [0; STEPS];
    let Some(largest) = entries.iter().map(|(_, value)| *value).reduce(f32::max) else {
        return (None, counts);
    };
    for (_, value) in entries {
        let step = (value / largest * STEPS as f32).ceil() as usize;
        counts[step.clamp(1, STEPS) - 1] += 1;
    }
    (Some(largest), counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activations::import;
    use crate::dictionaries::{Activation, Kind, Spec, Weights};
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    /// Variants base, sft and rl, of width 2. The first dimension is 1 in base, -1 in rl, and in sft 2 and -1 in turn.
    fn store(folder: &std::path::Path) -> ActivationStore {
        let path = folder.join("activations.safetensors");
        let tokens = 40;
        let values = (0..tokens).flat_map(|token| {
            let (other, sft) = (token as f32, if token % 2 == 0 { 2.0 } else { -1.0 });
            [1.0, other, sft, other, -1.0, other]
        });
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let view = TensorView::new(Dtype::F32, vec![tokens, 3, 2], &bytes).unwrap();
        safetensors::serialize_to_file([("activations", view)], None, &path).unwrap();
        import(&path, &["base", "sft", "rl"].map(str::to_owned)).unwrap()
    }

    /// The rates of the one feature, which reads `weight` times the first dimension of `site`.
    fn rates(kind: Kind, site: Site, weight: f32) -> Vec<(String, f64)> {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let spec = Spec::reconstructing(kind, Activation::Relu, vec![site], 2, 1);
        let weights = Weights {
            encoder: vec![weight, 0.0],
            encoder_bias: vec![0.0],
            decoder: vec![weight, 0.0],
            decoder_bias: vec![0.0; 2],
            ..Weights::default()
        };
        let dictionary = Dictionary::new(spec, weights).unwrap();
        let (settings, silent) = (DiffSettings::default(), Observer::silent());
        let found = features(&dictionary, &store, 0..40, &settings, &|id| id.to_string(), &silent).unwrap();
        let cells = &found.features[0].per_variant;
        let rates = cells.iter().filter_map(|(name, cell)| match cell {
            Cell::Number(Some(rate)) => Some((name.strip_prefix("rate_")?.to_owned(), *rate)),
            _ => None,
        });
        rates.collect()
    }

    #[test]
    fn a_dictionary_of_one_input_is_shown_every_variant_of_the_store() {
        let owned = |rates: &[(&str, f64)]| -> Vec<(String, f64)> {
            rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect()
        };
        let found = rates(Kind::Standard, Site::of("sft"), 1.0);
        assert_eq!(found, owned(&[("base", 1.0), ("rl", 0.0), ("sft", 0.5)]));
        let difference = Site { variant: "rl".to_owned(), minus: Some("base".to_owned()) };
        let found = rates(Kind::Difference, difference, -1.0);
        assert_eq!(found, owned(&[("rl-base", 1.0), ("sft-base", 0.5)]));
    }

    #[test]
    fn activations_are_counted_in_equal_steps() {
        let (largest, counts) = histogram(&[(0, 2.0), (3, 0.1), (4, 0.05), (9, 1.95)]);
        assert_eq!(largest, Some(2.0));
        assert_eq!((counts[0], counts[STEPS - 1], counts.iter().sum::<u64>()), (2, 2, 4));
        assert_eq!(histogram(&[]), (None, [0; STEPS]));
    }
}
