//! Our side of the comparison with PyTorch: the same model and shapes as `peers.py` measures, under the same
//! names. `compare.py` runs both and prints the ratios.
//!
//! `cargo bench --bench engine [-- '^train/' …]`: a line is `what peers.py calls it/what it does`. What criterion does
//! not measure is printed by `cargo bench --bench engine -- memory` (or `checkpointing`, `store`, `rate`).

use candle_core::{Device, Tensor};
use criterion::{Criterion, SamplingMode};
use deltascope::activations::{
    ActivationStore, ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta, import,
};
use deltascope::dictionaries::{FitSettings, Kind, fit};
use deltascope::model::{
    Config, Gradients, HookPoint, Hooks, LlamaShape, Model, Prompt, SampleSettings, TokenBatch, Tokenizer,
    sample_model,
};
use deltascope::ops::Parameter;
use deltascope::progress::{Gauge, Observer, Sink};
use deltascope::rng::Stream;
use deltascope::tasks::{Document, Suite, vocabulary};
use deltascope::training::rl::objectives::Aggregation;
use deltascope::training::{
    AdamW, OptimiserSettings, RlSettings, SftSettings, TrainingRun, train_rl, train_sft,
};
use deltascope::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Adds a line to the comparison; `work` does so many rounds of it and says how long they took.
fn line(criterion: &mut Criterion, group: &str, name: &str, mut work: impl FnMut(usize) -> Result<Duration>) {
    let mut group = criterion.benchmark_group(group);
    // Rounds of tens to hundreds of milliseconds: as many in every sample.
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| work(rounds as usize).unwrap_or_else(|error| panic!("{name}: {error}")));
    });
    group.finish();
}

/// The time that `rounds` calls take.
fn timed(rounds: usize, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    (0..rounds).try_for_each(|_| call())?;
    Ok(start.elapsed())
}

/// Notes when each unit of the work is done.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Vec<Instant>>>);

impl Clock {
    fn times(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that the last `steps` took.
    fn last(&self, steps: usize) -> Duration {
        let times = self.times();
        let end = times.last().copied();
        let start = times.len().checked_sub(steps + 1).and_then(|at| times.get(at)).copied();
        end.zip(start).map_or(Duration::MAX, |(end, start)| end - start)
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

/// The tokenizer of the reference model: the words of the microcosm, and as many more as make 512.
fn tokenizer() -> Result<Tokenizer> {
    let mut words = vocabulary::words();
    words.extend((words.len()..512).map(|word| format!("word{word}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Tokenizer::word_level(&words, vocabulary::BOS, vocabulary::EOS, vocabulary::PAD)
}

/// A training run in a folder of its own, whose steps `clock` watches.
fn training_run(name: &str, scratch: &Scratch, clock: &Clock) -> TrainingRun {
    TrainingRun {
        variant: name.to_owned(),
        seed: 0,
        folder: scratch.0.join("run"),
        scratch: scratch.0.join("scratch"),
        checkpoints: Vec::new(),
        save_every: usize::MAX,
        origin: serde_json::Value::Null,
        base: None,
        observer: Observer::new(Arc::new(clock.clone())),
    }
}

/// Steps of the trainer: 16 documents of 128 tokens, of which all but the first are learned.
fn sft_steps(steps: usize) -> Result<Duration> {
    let model = model(512, 256, 768)?.with_tokenizer(tokenizer()?);
    let documents = |first: u64, count: usize| {
        let text = |number: u64| {
            let mut stream = Stream::new(0, "bench document", &[number]);
            let word = |stream: &mut Stream| format!("word{}", 500 + stream.below(12));
            let response = (0..127).map(|_| word(&mut stream)).collect::<Vec<_>>().join(" ");
            Ok(Document::of_words("word500", response))
        };
        (first..first + count as u64).map(text).collect()
    };
    // The end token would be the 129th.
    let settings = SftSettings {
        steps: WARM + steps,
        batch: 16,
        max_tokens: 128,
        kl_every: 0,
        optimiser: OptimiserSettings { clip: f64::MAX, ..OptimiserSettings::default() },
        ..SftSettings::default()
    };
    let (scratch, clock) = (Scratch::new("sft")?, Clock::default());
    train_sft(&model, &documents, &settings, &training_run("sft", &scratch, &clock))?;
    Ok(clock.last(steps))
}

/// Steps before those that are timed: the first ones take memory from the system.
const WARM: usize = 2;

/// Steps of a dictionary with `variants` inputs of width 256, `features` features and k = 32.
fn dictionary_steps(kind: Kind, variants: usize, features: usize, steps: usize) -> Result<Duration> {
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
        steps: WARM + steps,
        k_anneal: 0.0,
        ..FitSettings::default()
    };
    let clock = Clock::default();
    fit(&store, &settings, 0, None, &Observer::new(Arc::new(clock.clone())))?;
    Ok(clock.last(steps))
}

/// Writes a store of 200 MB (65,536 tokens, 3 x d=256, f32), opens it and reads it from end to end, and does the
/// same with one plain file of as many bytes. The page cache helps both sides alike: the ratio is what the store's
/// format and checksums cost, the rate an upper bound where the store exceeds the memory.
fn store_rates() -> Result<()> {
    const TOKENS: usize = 1024;
    const BLOCKS: usize = 64;
    let scratch = Scratch::new("store")?;
    let mut stream = Stream::new(0, "bench.store", &[]);
    let block: Vec<f32> = (0..TOKENS * 3 * 256).map(|_| stream.normal()).collect();
    let megabytes = (BLOCKS * block.len() * size_of::<f32>()) as f64 / 1e6;
    let rate = |name: &str, seconds: f64| {
        println!("{name:<56} {:9.1} ms {:12.0} MB/s", seconds * 1e3, megabytes / seconds);
    };
    let header = Header {
        variants: ["base", "sft", "rl"].map(str::to_owned).to_vec(),
        hook: "blocks.0.hook_resid_post".to_owned(),
        d_model: 256,
        element: ElementType::F32,
        provenance: Vec::new(),
    };
    let metas: Vec<TokenMeta> = (0..TOKENS as u32)
        .map(|position| TokenMeta { token: 0, position, example: 0, part: Part::Response })
        .collect();
    let example = ExampleMeta { tokens: TOKENS, ..ExampleMeta::default() };
    let folder = scratch.0.join("activations");
    let start = Instant::now();
    let mut writer = StoreWriter::create(&folder, header)?;
    for _ in 0..BLOCKS {
        writer.push(&block, &metas, std::slice::from_ref(&example))?;
    }
    writer.finish()?;
    rate("store: write 3 x d=256, f32", start.elapsed().as_secs_f64());
    let read = || {
        let store = ActivationStore::open(&folder)?;
        (0..BLOCKS).try_for_each(|block| {
            store.read(block * TOKENS..(block + 1) * TOKENS).map(|values| {
                std::hint::black_box(values);
            })
        })
    };
    timed(1, read)?;
    rate("store: read in order", timed(3, read)?.as_secs_f64() / 3.0);
    let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = scratch.0.join("plain");
    let failed = |error: std::io::Error| Error::work(format!("the plain file: {error}"));
    let start = Instant::now();
    std::fs::write(&file, bytes.repeat(BLOCKS)).map_err(failed)?;
    rate("plain file: write", start.elapsed().as_secs_f64());
    let read = || {
        std::hint::black_box(std::fs::read(&file).map_err(failed)?);
        Ok(())
    };
    timed(1, read)?;
    rate("plain file: read", timed(3, read)?.as_secs_f64() / 3.0);
    Ok(())
}

/// Steps of GRPO on the reference model: 8 prompts x 8 samples x 64 new tokens, and one update on all of them.
fn grpo_steps(steps: usize) -> Result<Duration> {
    let model = model(512, 256, 768)?.with_tokenizer(tokenizer()?);
    let mut settings = RlSettings {
        steps: WARM + steps,
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
    let run = training_run("grpo", &scratch, &clock);
    train_rl(&model, &Suite::parse("general_points")?, &settings, &run)?;
    Ok(clock.last(steps))
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next());
    found.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).map_or(f64::NAN, |found| found / 1024.0)
}

/// What criterion does not measure: the rate of products that floors are counted at, that of an activation store
/// beside a plain file, and peaks of memory, each in a process of its own, since what ran before would already have
/// taken it.
const PRINTED: [&str; 4] = ["rate", "store", "memory", "checkpointing"];

fn print(wanted: &str) -> Result<()> {
    let before = memory("VmRSS:");
    let above = || memory("VmHWM:") - before;
    if wanted == "rate" {
        let operand = Tensor::ones((1024, 1024), candle_core::DType::F32, &Device::Cpu)?;
        let times = (0..40).map(|_| timed(1, || Ok(operand.matmul(&operand).map(|_| ())?)));
        let least = times.collect::<Result<Vec<_>>>()?.into_iter().min().unwrap_or_default();
        println!("product 1024x1024x1024 {:.3} ms", least.as_secs_f64() * 1e3);
        return Ok(());
    }
    if wanted == "store" {
        return store_rates();
    }
    if wanted == "memory" {
        sft_steps(1)?;
        println!("memory of a train step 16x128 {:.0} MiB", above());
        return Ok(());
    }
    // Less memory first: the peak only rises.
    let (model, rows) = (model(512, 256, 768)?, tokens(2, |_| 2048, 512));
    for (name, gradients) in [("recomputed", Gradients::Recomputed), ("kept", Gradients::On)] {
        let mut optimiser = AdamW::new(OptimiserSettings::default());
        let mut step = || train_step(&model, &mut optimiser, &rows, gradients);
        step()?;
        let seconds = timed(3, step)?.as_secs_f64() / 3.0;
        println!("train step 2x2048, blocks {name} {:.1} ms", seconds * 1e3);
        println!("memory of a train step 2x2048, blocks {name} {:.0} MiB", above());
    }
    Ok(())
}

fn main() -> Result<()> {
    if let Some(wanted) = std::env::args().find(|wanted| PRINTED.contains(&wanted.as_str())) {
        return print(&wanted);
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .without_plots()
        .configure_from_args();
    let reference = model(512, 256, 768)?;
    let batch = TokenBatch::new(&tokens(16, |_| 128, 512))?;
    let forward = |mut hooks: Hooks| -> Result<()> {
        if let Some(hidden) = reference.forward(&batch, None, &mut hooks, Gradients::Off)? {
            reference.logits(&hidden)?;
        }
        hooks.finish()
    };
    line(&mut criterion, "forward", "forward 16x128", |rounds| timed(rounds, || forward(Hooks::none())));
    line(&mut criterion, "train", "train step 16x128 (forward+backward+AdamW)", sft_steps);

    let prompts: Vec<Prompt> = tokens(64, |_| 32, 512)
        .into_iter()
        .enumerate()
        .map(|(key, tokens)| Prompt { tokens, key: key as u64 })
        .collect();
    let settings = SampleSettings { max_new_tokens: 96, ..SampleSettings::default() };
    let draw = || sample_model(&reference, &prompts, &settings, &Observer::silent()).map(|_| ());
    line(&mut criterion, "generate", "sample 64 x (32 prompt + 96 new)", |rounds| timed(rounds, draw));

    let layers = || (0..4).fold(Hooks::none(), |hooks, layer| hooks.capture(HookPoint::resid_post(layer)));
    let name = "capture resid_post of every layer 16x128";
    line(&mut criterion, "cache", name, |rounds| timed(rounds, || forward(layers())));
    // TransformerLens leaves out what it computes on request.
    let points: Vec<_> = reference.hook_points().into_iter().filter(|point| !point.is_on_request()).collect();
    let all = || points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
    let name = "capture every hook point 16x128";
    line(&mut criterion, "cache", name, |rounds| timed(rounds, || forward(all())));
    let direction = Tensor::ones(256, candle_core::DType::F32, &Device::Cpu)?;
    let steer = || {
        let direction = direction.clone();
        let add = move |_: &deltascope::model::HookSite, at: &Tensor| Ok(at.broadcast_add(&direction)?);
        Hooks::none().edit(HookPoint::resid_post(2), Box::new(add))
    };
    line(&mut criterion, "cache", "steer one layer 16x128", |rounds| timed(rounds, || forward(steer())));

    line(&mut criterion, "sae", "TopK SAE step d=256 F=8192 k=32 B=2048", |steps| {
        dictionary_steps(Kind::Topk, 1, 8192, steps)
    });
    line(&mut criterion, "crosscoder", "BatchTopK crosscoder step 3xd=256 F=4096 k=32 B=2048", |steps| {
        dictionary_steps(Kind::BatchTopkCrosscoder, 3, 4096, steps)
    });
    line(&mut criterion, "grpo", "GRPO step 8 prompts x 8 samples x 64 new", grpo_steps);

    let small = model(126, 128, 344)?;
    let rows = tokens(128, |stream| 6 + stream.below(25), 126);
    let mut optimiser = AdamW::new(OptimiserSettings::default());
    line(&mut criterion, "microcosm", "microcosm step, 128 ragged documents", |rounds| {
        timed(rounds, || train_step(&small, &mut optimiser, &rows, Gradients::On))
    });
    criterion.final_summary();
    Ok(())
}
