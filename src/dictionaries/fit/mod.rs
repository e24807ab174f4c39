//! Fitting a dictionary.
//!
//! 1. Normalise: each input is centred and scaled; the change is folded into the saved weights at the end.
//! 2. Initialise: random directions, the same one for every variant; the encoder is the decoder's transpose.
//! 3. Step ([`trainer`]): analytic sparse gradients and dense Adam.
//! 4. Finish: rescale each feature so that its decoder norms sum to 1 in normalised units (the activation takes
//!    up the rest), turn the running cut of BatchTopK into a threshold per feature, fold the normalisation in.
//!
//! Every batch is a function of (seed, step), and the state after each step is a function of the state before:
//! a fit that is killed and run again gives the same bytes.

mod adam;
mod away;
mod finish;
#[cfg(test)]
mod gradients;
mod here;
mod normalise;
mod on_device;
#[cfg(test)]
mod options;
#[cfg(test)]
mod recall;
mod roles;
mod scan;
mod schedule;
mod settings;
mod source;
mod state;
mod tidy;
mod trainer;
mod twins;

pub use settings::{FitSettings, Normalise, Sparsity};
pub use state::STATE_FILE;

use super::dictionary::Dictionary;
use super::spec::{Kind, Site, Spec};
use super::vectors::norm;
use crate::activations::ActivationStore;
use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::rng::Stream;
use adam::Parameter;
use normalise::Scaling;
use rayon::prelude::*;
use source::Source;
use std::path::{Path, PathBuf};
use trainer::{Batch, State, Trainer};

/// Encoder and decoder with gradient and two moments of Adam would take 128 GiB: more is a slip.
const MOST_VALUES: usize = 1 << 33;

/// Fits a dictionary on `store`, all but its held-out tokens and the first token of each example. With
/// `folder`, the state is saved there now and then, and an interrupted fit goes on from it; the result is the
/// same.
///
/// # Errors
/// If the settings do not fit the store, the disk fails, or a stop was asked for (after saving).
pub fn fit(
    store: &ActivationStore,
    settings: &FitSettings,
    seed: u64,
    folder: Option<&Path>,
    observer: &Observer,
) -> Result<Dictionary> {
    let (folder, compute) = (folder.map(Path::to_owned), Compute::cpu());
    let job = Job { settings: settings.clone(), seed, folder, compute };
    let dictionary = fit_jobs(store, store, &[job], seed, observer)?.pop();
    dictionary.ok_or_else(|| Error::work("a fit gave no dictionary"))
}

/// One of several dictionaries that are fitted together.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to fit.
    pub settings: FitSettings,
    /// Decides the first weights.
    pub seed: u64,
    /// Where the state is saved, if anywhere.
    pub folder: Option<PathBuf>,
    /// What computes: the analytic steps of the CPU, or tensor operations on a device, always in f32.
    pub compute: Compute,
}

/// Fits several dictionaries over one pass of `store`, whose tokens come in the order of `order_seed`. Transcoders
/// write `target`, which holds the same tokens at another hook; for other kinds it is `store` itself.
///
/// # Errors
/// As [`fit`], or if the jobs differ in `batch` or `buffer`, or the stores do not hold the same tokens.
pub fn fit_jobs(
    store: &ActivationStore,
    target: &ActivationStore,
    jobs: &[Job],
    order_seed: u64,
    observer: &Observer,
) -> Result<Vec<Dictionary>> {
    let mut source = Source::new(store, target, jobs, order_seed)?;
    let specs = jobs
        .iter()
        .map(|job| Ok((plan(store, target, &job.settings)?, job.settings.normalise)))
        .collect::<Result<Vec<_>>>()?;
    let scalings = source.scalings(&specs)?;
    let parts = jobs.iter().zip(specs.into_iter().zip(scalings));
    let mut running = parts
        .map(|(job, ((spec, _), scalings))| Running::start(job, spec, scalings, order_seed))
        .collect::<Result<Vec<_>>>()?;
    let last = running.iter().map(|fit| fit.trainer.settings.steps).max().unwrap_or(0);
    let first = running.iter().map(|fit| fit.trainer.state.step).min().unwrap_or(0);
    let mut bar = observer.bar("dictionary", last as u64, "steps");
    bar.advance(first as u64);
    for step in first..last {
        running.iter_mut().try_for_each(|fit| fit.save_if_due(step, observer))?;
        observer.check()?;
        let batch = source.read(step as u64)?;
        for fit in &mut running {
            let note = fit.step(&batch, step)?;
            if step.is_multiple_of(20) {
                note.into_iter().for_each(|note| bar.note(&note));
            }
        }
        bar.advance(1);
    }
    let finish = |fit: &mut Running| {
        fit.trainer.settle()?;
        finish::finish(&fit.trainer, &fit.input, &fit.output)
    };
    running.iter_mut().map(finish).collect()
}

/// A fit under way, with what it needs around the trainer.
struct Running {
    trainer: Trainer,
    input: Scaling,
    output: Scaling,
    folder: Option<PathBuf>,
    fingerprint: String,
}

impl Running {
    fn start(job: &Job, spec: Spec, (input, output): (Scaling, Scaling), order_seed: u64) -> Result<Self> {
        let seeds = [job.seed, order_seed];
        let fingerprint = state::fingerprint(&job.settings, &spec, seeds, (&input, &output), &job.compute);
        let mut trainer = Trainer::new(job.settings.clone(), spec, State::default());
        let saved = job.folder.as_deref().map(|folder| state::load(folder, &fingerprint)).transpose()?;
        trainer.state = match saved.flatten() {
            Some(state) => state,
            None => initial(&trainer, job.seed),
        };
        if !job.compute.is_fused() {
            trainer.send(job.compute.device())?;
        }
        Ok(Self { trainer, input, output, folder: job.folder.clone(), fingerprint })
    }

    fn save_if_due(&mut self, step: usize, observer: &Observer) -> Result<()> {
        let due = step > 0 && step.is_multiple_of(self.trainer.settings.save_every);
        match &self.folder {
            Some(folder) if due || observer.stop_requested().is_some() => {
                self.trainer.settle()?;
                state::save(folder, &self.fingerprint, &self.trainer.state)
            }
            _ => Ok(()),
        }
    }

    /// Takes step `step`, unless this fit is over or was saved beyond it. Returns a note on how it goes.
    fn step(&mut self, batch: &source::Raw, step: usize) -> Result<Option<String>> {
        if self.trainer.state.step != step || step >= self.trainer.settings.steps {
            return Ok(None);
        }
        let (mut inputs, mut targets) = batch.pick(&self.trainer.spec)?;
        self.input.apply(&mut inputs);
        if let Some(targets) = &mut targets {
            self.output.apply(targets);
        }
        let report =
            self.trainer.step(&Batch { inputs: &inputs, targets: targets.as_deref().unwrap_or(&inputs) })?;
        let explained = report.error.iter().zip(&report.total).map(|(error, total)| 1.0 - error / total);
        let worst = explained.fold(f64::INFINITY, f64::min);
        if !worst.is_finite() {
            return Err(Error::work(format!("the fit diverged at step {step}"))
                .hint("lower `learning_rate`, or raise `warm_up`"));
        }
        let active = report.active as f64 / self.trainer.settings.batch as f64;
        Ok(Some(format!("FVE {worst:.3}, L0 {active:.1}, dead {}", report.dead)))
    }
}

/// The shape of the dictionary that `settings` ask for.
fn plan(store: &ActivationStore, target: &ActivationStore, settings: &FitSettings) -> Result<Spec> {
    let names =
        if settings.variants.is_empty() { store.variants().to_vec() } else { settings.variants.clone() };
    for name in &names {
        store.variant(name)?;
    }
    let kind = settings.kind;
    let expected = match kind {
        Kind::Difference => 2..=2,
        _ if kind.is_crosscoder() => 2..=usize::MAX,
        _ => 1..=1,
    };
    if !expected.contains(&names.len()) {
        return Err(Error::request(format!(
            "field `variants`: expected {}{} for kind `{kind}`, found {}",
            if expected.end() > expected.start() { "at least " } else { "" },
            expected.start(),
            names.len()
        ))
        .hint("name those it reads, with `fit --over base,rl` or in a study's `over`: a crosscoder reads several at once, a difference two, `batch_topk` one"));
    }
    if !settings.weights.is_empty() && settings.weights.len() != names.len() {
        return Err(Error::request(format!(
            "field `weights`: expected one per variant, {}, found {}",
            names.len(),
            settings.weights.len()
        )));
    }
    let exclusive = settings.shared_features + settings.exclusive_features * names.len();
    if exclusive > settings.features {
        return Err(Error::request(format!(
            "fields `shared_features` and `exclusive_features`: expected at most {} in all, found {exclusive}",
            settings.features
        )));
    }
    let sites: Vec<Site> = match (kind, &names[..]) {
        (Kind::Difference, [base, variant]) => {
            vec![Site { variant: variant.clone(), minus: Some(base.clone()) }]
        }
        _ => names.iter().map(Site::of).collect(),
    };
    let spec = Spec {
        d_out: target.d_model(),
        hook: store.hook().to_owned(),
        output_hook: target.hook().to_owned(),
        ..Spec::reconstructing(
            kind,
            super::kinds::recipe(settings).activation(settings.k),
            sites,
            store.d_model(),
            settings.features,
        )
    };
    spec.check()?;
    let values = spec.features * (spec.input_width() + spec.output_width());
    if values > MOST_VALUES {
        return Err(Error::request(format!(
            "field `features`: expected encoders and decoders of at most {MOST_VALUES} values together, found {values}"
        ))
        .hint(format!("activations are {} wide in all: lower `features`", spec.input_width())));
    }
    Ok(spec)
}

/// Random directions, the same for every output; the encoder is the decoder's transpose, scaled so that
/// encoding and decoding one feature alone is a projection.
fn initial(trainer: &Trainer, seed: u64) -> State {
    let (spec, settings) = (&trainer.spec, &trainer.settings);
    let (features, d, sites) = (spec.features, spec.d_out, spec.outputs.len());
    let directions: Vec<Vec<f32>> = (0..features)
        .into_par_iter()
        .map(|feature| {
            let mut stream = Stream::new(seed, "dictionaries.initial", &[feature as u64]);
            let mut direction: Vec<f32> = (0..d).map(|_| stream.normal()).collect();
            let length = norm(&direction) * (sites as f32).sqrt();
            direction.iter_mut().for_each(|value| *value /= length);
            direction
        })
        .collect();
    let mut decoder: Vec<f32> = directions
        .iter()
        .flat_map(|direction| std::iter::repeat_n(direction, sites))
        .flatten()
        .copied()
        .collect();
    let width = spec.output_width();
    for (feature, row) in decoder.chunks_exact_mut(width).enumerate() {
        roles::role(settings, sites, feature).constrain(row, d);
    }
    // A transcoder's input is another space: its encoder starts with directions of its own.
    let encoder = if !spec.kind.is_transcoder() {
        decoder.clone()
    } else {
        let rows = (0..features).into_par_iter().flat_map_iter(|feature| {
            let mut stream = Stream::new(seed, "dictionaries.initial_encoder", &[feature as u64]);
            let scale = 1.0 / (spec.input_width() as f32).sqrt();
            (0..spec.input_width()).map(move |_| stream.normal() * scale)
        });
        rows.collect()
    };
    let skip = if spec.kind == Kind::SkipTranscoder { spec.input_width() * width } else { 0 };
    State {
        encoder: Parameter::new(encoder),
        encoder_bias: Parameter::new(vec![0.0; features]),
        decoder: Parameter::new(decoder),
        decoder_bias: Parameter::new(vec![0.0; width]),
        skip: Parameter::new(vec![0.0; skip]),
        extras: trainer
            .recipe()
            .extras()
            .into_iter()
            .map(|value| Parameter::new(vec![value; features]))
            .collect(),
        silent: vec![0; features],
        ..State::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activations::{ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta};

    /// Two variants that share sparse features; the second has some of its own.
    pub(super) fn store(dir: &Path, d: usize, tokens: usize) -> ActivationStore {
        let header = Header {
            variants: vec!["base".into(), "rl".into()],
            hook: String::new(),
            d_model: d,
            element: ElementType::F32,
            provenance: Vec::new(),
        };
        let mut writer = StoreWriter::create(dir, header).unwrap();
        let mut stream = Stream::new(5, "test.fit", &[]);
        let directions: Vec<Vec<f32>> = (0..40)
            .map(|_| {
                let mut direction: Vec<f32> = (0..d).map(|_| stream.normal()).collect();
                let length = norm(&direction);
                direction.iter_mut().for_each(|value| *value /= length);
                direction
            })
            .collect();
        let mut values = Vec::new();
        for _ in 0..tokens {
            let mut rows = vec![0.0f32; 2 * d];
            for (feature, direction) in directions.iter().enumerate() {
                if stream.uniform() < 0.06 {
                    let strength = 1.0 + 2.0 * stream.uniform();
                    for variant in usize::from(feature % 4 == 3)..2 {
                        for (value, unit) in rows[variant * d..].iter_mut().zip(direction) {
                            *value += strength * unit;
                        }
                    }
                }
            }
            values.extend(rows.into_iter().map(|value| 3.0 * value + 0.05 * stream.normal() + 0.5));
        }
        let meta: Vec<TokenMeta> = (0..tokens as u32)
            .map(|position| TokenMeta { token: 0, position, example: 0, part: Part::Response })
            .collect();
        writer.push(&values, &meta, &[ExampleMeta { tokens, ..ExampleMeta::default() }]).unwrap();
        writer.finish().unwrap()
    }

    pub(super) fn settings(kind: Kind) -> FitSettings {
        let variants =
            if kind.is_crosscoder() || kind == Kind::Difference { Vec::new() } else { vec!["rl".to_owned()] };
        FitSettings {
            kind,
            variants,
            features: 64,
            k: 4,
            steps: 300,
            batch: 256,
            dead_after: 5000,
            ..FitSettings::default()
        }
    }

    pub(super) fn explained(dictionary: &Dictionary, store: &ActivationStore) -> f64 {
        let raw = store.read(0..2000).unwrap();
        let (x, y) =
            (dictionary.inputs_of(store, &raw).unwrap(), dictionary.targets_of(store, &raw).unwrap());
        let output = dictionary.reconstruct(&dictionary.codes(&x).unwrap(), &x).unwrap();
        let width = dictionary.spec().output_width();
        let mean: Vec<f32> =
            (0..width).map(|column| y.iter().skip(column).step_by(width).sum::<f32>() / 2000.0).collect();
        let error: f64 = output.iter().zip(&y).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let total: f64 = y
            .chunks(width)
            .flat_map(|row| row.iter().zip(&mean))
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        1.0 - error / total
    }

    #[test]
    fn a_device_learns_as_well_and_goes_on_where_it_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 24, 20_000);
        let compute = Compute::composed(&candle_core::Device::Cpu, candle_core::DType::F32).unwrap();
        let fitted = |compute: &Compute, state: Option<&str>| {
            let settings = FitSettings { save_every: 100, ..settings(Kind::BatchTopkCrosscoder) };
            let state = state.map(|name| folder.path().join(name));
            let job = Job { settings, seed: 1, folder: state, compute: compute.clone() };
            fit_jobs(&store, &store, &[job], 1, &Observer::silent()).unwrap().remove(0)
        };
        let (here, away) = (fitted(&Compute::cpu(), None), fitted(&compute, Some("away")));
        let [ours, theirs] = [&here, &away].map(|dictionary| explained(dictionary, &store));
        assert!(theirs > 0.8 && (ours - theirs).abs() < 0.03, "FVE {ours} here, {theirs} on a device");
        // The state in the folder is that of the last save: what follows it is done again.
        assert_eq!(fitted(&compute, Some("away")).weights(), away.weights());
    }

    #[test]
    fn every_kind_learns_to_reconstruct() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 24, 20_000);
        for kind in Kind::ALL {
            let dictionary = fit(&store, &settings(kind), 1, None, &Observer::silent()).unwrap();
            let raw = store.read(0..2000).unwrap();
            let codes = dictionary.codes(&dictionary.inputs_of(&store, &raw).unwrap()).unwrap();
            let active = codes.values.len() as f64 / 2000.0;
            let explained = explained(&dictionary, &store);
            println!("{kind}: FVE {explained:.3}, L0 {active:.2}");
            assert!(explained > 0.65, "{kind}: FVE {explained}");
            // Here a skip transcoder reads what it writes: its linear path does nearly all.
            let least = if kind == Kind::SkipTranscoder { 0.01 } else { 0.2 };
            assert!(active < 32.0 && active > least, "{kind}: L0 {active}");
        }
    }

    #[test]
    fn a_fit_that_is_stopped_and_run_again_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("store"), 8, 5000);
        let settings = FitSettings { steps: 40, save_every: 7, ..settings(Kind::BatchTopkCrosscoder) };
        let whole = fit(&store, &settings, 1, None, &Observer::silent()).unwrap();
        let saved = folder.path().join("fit");
        let observer = Observer::silent();
        let flag = observer.stop_flag();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            flag.store(15, std::sync::atomic::Ordering::Relaxed);
        });
        let first = fit(&store, &settings, 1, Some(&saved), &observer);
        stopper.join().unwrap();
        if let Err(error) = &first {
            assert_eq!(error.exit_code(), 143);
        }
        let again = fit(&store, &settings, 1, Some(&saved), &Observer::silent()).unwrap();
        assert_eq!(again.weights(), whole.weights());
        let other = fit(&store, &settings, 2, Some(&saved), &Observer::silent());
        assert!(first.is_ok() || other.unwrap_err().to_string().contains("another fit"));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same_and_features_can_be_encoded_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("store"), 8, 5000);
        let settings = FitSettings { steps: 30, ..settings(Kind::BatchTopkCrosscoder) };
        let dictionary = fit(&store, &settings, 1, None, &Observer::silent()).unwrap();
        dictionary.save(&folder.path().join("dictionary")).unwrap();
        let loaded = Dictionary::load(&folder.path().join("dictionary")).unwrap();
        assert_eq!(loaded.weights(), dictionary.weights());
        assert_eq!(loaded.spec(), dictionary.spec());
        let x = store.read(0..300).unwrap();
        let dense = loaded.codes(&x).unwrap().dense(64);
        let some = loaded.encode_features(&x[..16 * 3], &[5, 63, 0]).unwrap();
        for (token, row) in some.chunks(3).enumerate() {
            let all = &dense[token * 64..];
            assert_eq!(row, [all[5], all[63], all[0]]);
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 4, 100);
        let refused = |settings: FitSettings| {
            fit(&store, &settings, 1, None, &Observer::silent()).unwrap_err().to_string()
        };
        let base = FitSettings { features: 16, k: 2, steps: 2, batch: 8, ..FitSettings::default() };
        assert!(refused(FitSettings { k: 17, ..base.clone() }).contains("field `k`"));
        assert!(refused(FitSettings { kind: Kind::Topk, ..base.clone() }).contains("field `variants`"));
        let one = FitSettings { kind: Kind::Crosscoder, variants: vec!["rl".to_owned()], ..base.clone() };
        assert!(refused(one).contains("at least 2"));
        let variants = vec!["bse".to_owned()];
        assert!(refused(FitSettings { variants, ..base.clone() }).contains("did you mean `base`?"));
    }
}
