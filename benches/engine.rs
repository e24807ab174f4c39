//! Our side of the comparison with PyTorch: the same model and shapes as `peers.py` measures, under the same
//! names. `compare.py` runs both and prints the ratios.
//!
//! `cargo bench --bench engine [-- name …]`; medians.

use candle_core::{Device, Tensor};
use deltascope::activations::import;
use deltascope::dictionaries::{FitSettings, Kind, fit};
use deltascope::model::{
    Config, Gradients, HookPoint, Hooks, LlamaShape, Model, Prompt, SampleSettings, TokenBatch, Tokenizer,
    sample_model,
};
use deltascope::ops::Parameter;
use deltascope::progress::{Gauge, Observer, Sink};
use deltascope::rng::Stream;
use deltascope::tasks::{Suite, vocabulary};
use deltascope::training::rl::objectives::Aggregation;
use deltascope::training::{AdamW, OptimiserSettings, RlSettings, TrainingRun, train_rl};
use deltascope::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

fn median_seconds(runs: usize, warmup: usize, mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(runs);
    for run in 0..runs + warmup {
        let start = Instant::now();
        step()?;
        if run >= warmup {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(runs / 2).copied().unwrap_or(f64::NAN))
}

fn report(name: &str, seconds: f64, tokens: usize) {
    println!("{name:<56} {:9.1} ms {:12.0} tokens/s", seconds * 1e3, tokens as f64 / seconds);
}

/// Notes when each unit of the work is done.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Vec<Instant>>>);

impl Clock {
    fn times(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The median of the times between steps, leaving out the first `warmup`.
    fn median(&self, warmup: usize) -> f64 {
        let times = self.times();
        let pairs = times.windows(2).skip(warmup);
        let mut seconds: Vec<f64> = pairs.map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Sink for Clock {
    fn open(&self, _: &str, _: u64, _: &str) -> Box<dyn Gauge> {
        self.times().clear();
        Box::new(self.clone())
    }
}

impl Gauge for Clock {
    fn position(&self, _: u64, _: f64) {
        self.times().push(Instant::now());
    }
    fn note(&self, _: &str) {}
    fn close(&self) {}
}

/// A folder that is removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("deltascope-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| Error::work(error.to_string()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn model(vocabulary: usize, d_model: usize, d_mlp: usize) -> Result<Model> {
    let shape = LlamaShape {
        vocabulary,
        d_model,
        layers: 4,
        heads: 4,
        d_mlp,
        max_positions: 512,
        bos: Some(1),
        eos: Some(2),
        pad: Some(0),
    };
    Model::initialise(&Config::llama(&shape)?, 0, &Device::Cpu)
}

fn tokens(rows: usize, lengths: impl Fn(&mut Stream) -> usize, vocabulary: usize) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(0, "bench", &[]);
    (0..rows)
        .map(|_| (0..lengths(&mut stream)).map(|_| 3 + stream.below(vocabulary - 3) as u32).collect())
        .collect()
}

fn train_step(model: &Model, optimiser: &mut AdamW, rows: &[Vec<u32>], gradients: Gradients) -> Result<()> {
    let batch = TokenBatch::new(rows)?;
    let hidden = model.hidden(&batch, None, &mut Hooks::none(), gradients)?;
    let at: Vec<(usize, usize)> = (0..batch.rows())
        .flat_map(|row| (1..batch.lengths()[row]).map(move |position| (row, position - 1)))
        .collect();
    let targets: Vec<u32> = at.iter().map(|(row, position)| batch.row(*row)[position + 1]).collect();
    let found = model.token_log_probabilities(&hidden, &at, &targets)?;
    (found.log_probabilities.mean_all()? * -1.0)?.backward()?;
    let parameters: Vec<Parameter> = model.parameters().iter().cloned().collect();
    optimiser.update(&parameters, 1e-3, 1.0).map(|_| ())
}

fn optimiser() -> AdamW {
    AdamW::new(OptimiserSettings { clip: f64::MAX, ..OptimiserSettings::default() })
}

/// Steps of a dictionary with `variants` inputs of width 256, `features` features and k = 32.
fn dictionary_step(kind: Kind, variants: usize, features: usize) -> Result<f64> {
    let scratch = Scratch::new("activations")?;
    let mut stream = Stream::new(0, "bench", &[]);
    let numbers: Vec<f32> = (0..16_384 * variants * 256).map(|_| stream.normal()).collect();
    let tensor = Tensor::from_vec(numbers, (16_384, variants, 256), &Device::Cpu)?;
    let file = scratch.0.join("activations.safetensors");
    candle_core::safetensors::save(&[("activations", tensor)].into(), &file)?;
    let store = import(&file, &[])?;
    let settings = FitSettings {
        kind,
        features,
        k: 32,
        batch: 2048,
        steps: 14,
        k_anneal: 0.0,
        ..FitSettings::default()
    };
    let clock = Clock::default();
    fit(&store, &settings, 0, None, &Observer::new(Arc::new(clock.clone())))?;
    Ok(clock.median(2))
}

/// Steps of GRPO on the reference model: 8 prompts x 8 samples x 64 new tokens, and one update on all of them.
fn grpo_step() -> Result<f64> {
    let mut words = vocabulary::words();
    words.extend((words.len()..512).map(|word| format!("word{word}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::word_level(&words, vocabulary::BOS, vocabulary::EOS, vocabulary::PAD)?;
    let model = model(512, 256, 768)?.with_tokenizer(tokenizer);
    let mut settings = RlSettings {
        steps: 8,
        prompts: 8,
        samples: 8,
        minibatches: 1,
        kl_every: 0,
        ..RlSettings::named("grpo")?
    };
    // As TRL's by default, which takes its place beside it: the mean over tokens, and no KL.
    settings.objective.aggregation = Aggregation::TokenMean;
    settings.objective.kl = None;
    // An untrained model is never rewarded; without this nothing would be learned, and the update be spared.
    settings.objective.entropy_bonus = 1e-6;
    let (scratch, clock) = (Scratch::new("grpo")?, Clock::default());
    let run = TrainingRun {
        variant: "grpo".to_owned(),
        seed: 0,
        folder: scratch.0.join("run"),
        scratch: scratch.0.join("scratch"),
        checkpoints: Vec::new(),
        save_every: usize::MAX,
        origin: serde_json::Value::Null,
        observer: Observer::new(Arc::new(clock.clone())),
    };
    train_rl(&model, &Suite::parse("general_points")?, &settings, &run)?;
    Ok(clock.median(1))
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next());
    found.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).map_or(f64::NAN, |found| found / 1024.0)
}

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let reference = model(512, 256, 768)?;
    let rows = tokens(16, |_| 128, 512);
    let batch = TokenBatch::new(&rows)?;
    let forward = |mut hooks: Hooks| -> Result<()> {
        if let Some(hidden) = reference.forward(&batch, None, &mut hooks, Gradients::Off)? {
            reference.logits(&hidden)?;
        }
        hooks.finish()
    };
    // First, and in a process of its own, or what ran before has already taken the memory.
    if wanted == ["memory"] {
        let before = memory("VmRSS:");
        let mut optimiser = optimiser();
        (0..3).try_for_each(|_| train_step(&reference, &mut optimiser, &rows, Gradients::On))?;
        println!("memory of a train step 16x128 {:.0} MiB", memory("VmHWM:") - before);
        return Ok(());
    }
    // Less memory first: the peak only rises.
    if wanted == ["checkpointing"] {
        let (rows, before) = (tokens(2, |_| 2048, 512), memory("VmRSS:"));
        for (name, gradients) in [("recomputed", Gradients::Recomputed), ("kept", Gradients::On)] {
            let mut optimiser = optimiser();
            let step = || train_step(&reference, &mut optimiser, &rows, gradients);
            report(&format!("train step 2x2048, blocks {name}"), median_seconds(3, 1, step)?, 4096);
            println!("memory of a train step 2x2048, blocks {name} {:.0} MiB", memory("VmHWM:") - before);
        }
        return Ok(());
    }
    if runs("forward") {
        report("forward 16x128", median_seconds(7, 2, || forward(Hooks::none()))?, 2048);
    }
    if runs("train") {
        let mut optimiser = optimiser();
        let seconds = median_seconds(7, 2, || train_step(&reference, &mut optimiser, &rows, Gradients::On))?;
        report("train step 16x128 (forward+backward+AdamW)", seconds, 2048);
    }
    if runs("generate") {
        let prompts: Vec<Prompt> = tokens(64, |_| 32, 512)
            .into_iter()
            .enumerate()
            .map(|(key, tokens)| Prompt { tokens, key: key as u64 })
            .collect();
        let settings = SampleSettings { max_new_tokens: 96, ..SampleSettings::default() };
        let draw = || sample_model(&reference, &prompts, &settings, &Observer::silent()).map(|_| ());
        report("sample 64 x (32 prompt + 96 new)", median_seconds(3, 1, draw)?, 64 * 96);
    }
    if runs("cache") {
        let layers =
            || (0..4).fold(Hooks::none(), |hooks, layer| hooks.capture(HookPoint::resid_post(layer)));
        report("capture resid_post of every layer 16x128", median_seconds(7, 2, || forward(layers()))?, 2048);
        // TransformerLens leaves `hook_result` out unless it is asked for.
        let points = reference.hook_points().into_iter().filter(|point| !point.is_on_request());
        let points: Vec<_> = points.collect();
        let all = || points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
        report("capture every hook point 16x128", median_seconds(7, 2, || forward(all()))?, 2048);
        let direction = Tensor::ones(256, candle_core::DType::F32, &Device::Cpu)?;
        let steer = || {
            let direction = direction.clone();
            let add = move |_: &deltascope::model::Site, at: &Tensor| Ok(at.broadcast_add(&direction)?);
            Hooks::none().edit(HookPoint::resid_post(2), Box::new(add))
        };
        report("steer one layer 16x128", median_seconds(7, 2, || forward(steer()))?, 2048);
    }
    if runs("sae") {
        report("TopK SAE step d=256 F=8192 k=32 B=2048", dictionary_step(Kind::Topk, 1, 8192)?, 2048);
    }
    if runs("crosscoder") {
        let seconds = dictionary_step(Kind::BatchTopkCrosscoder, 3, 4096)?;
        report("BatchTopK crosscoder step 3xd=256 F=4096 k=32 B=2048", seconds, 2048);
    }
    if runs("grpo") {
        report("GRPO step 8 prompts x 8 samples x 64 new", grpo_step()?, 64 * 64);
    }
    if runs("microcosm") {
        let small = model(126, 128, 344)?;
        let rows = tokens(128, |stream| 6 + stream.below(25), 126);
        let count = rows.iter().map(Vec::len).sum();
        let mut optimiser = optimiser();
        report(
            "microcosm step, 128 ragged documents",
            median_seconds(9, 3, || train_step(&small, &mut optimiser, &rows, Gradients::On))?,
            count,
        );
    }
    Ok(())
}
