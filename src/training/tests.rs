//! What the floor promises, on a micro model: learning, agreement with the sampler, and exact resume.

use super::examples::Example;
use super::rl::rollout::{Sampling, roll_out};
use super::*;
use crate::model::{Config, LlamaShape, Model, Tokenizer};
use crate::progress::{Gauge, Observer, Sink};
use crate::tables;
use crate::tasks::{self, Document, Mixture, Suite};
use candle_core::Device;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

fn fresh(seed: u64) -> Model {
    let words = tasks::vocabulary::words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>").unwrap();
    let shape = LlamaShape {
        vocabulary: tokenizer.vocabulary(),
        d_model: 32,
        layers: 2,
        heads: 2,
        d_mlp: 64,
        max_positions: 128,
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad: tokenizer.pad(),
    };
    Model::initialise(&Config::llama(&shape).unwrap(), seed, &Device::Cpu).unwrap().with_tokenizer(tokenizer)
}

fn mixture(text: &str) -> Mixture {
    serde_json::from_str(text).unwrap()
}

/// Allowed and disallowed requests, answered.
fn requests(first: u64, count: usize) -> Vec<Document> {
    mixture(r#"{"allowed_requests": 0.5, "refusals": 0.5}"#).documents(1, first, count)
}

fn run(folder: &Path, observer: Observer) -> TrainingRun {
    TrainingRun {
        variant: "test".into(),
        seed: 3,
        folder: folder.to_owned(),
        scratch: folder.join("resume"),
        checkpoints: vec![2],
        save_every: 3,
        origin: "test".into(),
        observer,
    }
}

fn sft_settings(steps: usize) -> SftSettings {
    SftSettings {
        steps,
        batch: 16,
        learning_rate: 3e-3,
        part_tokens: 96,
        kl_every: 4,
        ..SftSettings::default()
    }
}

fn train(model: &Model, settings: &SftSettings) -> Vec<TrainingRow> {
    let folder = tempfile::tempdir().unwrap();
    train_sft(model, &requests, settings, &run(folder.path(), Observer::silent())).unwrap();
    tables::read(&folder.path().join("training.parquet")).unwrap()
}

/// A model that answers requests, but not reliably. Trained once.
fn half_trained() -> Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let train_it = || {
        let model = fresh(1);
        train(&model, &SftSettings { batch: 32, ..sft_settings(105) });
        model
    };
    MODEL.get_or_init(train_it).copy().unwrap()
}

fn rl_settings(steps: usize) -> RlSettings {
    RlSettings {
        steps,
        prompts: 8,
        samples: 4,
        max_new_tokens: 8,
        learning_rate: 1e-3,
        part_tokens: 128,
        ..RlSettings::default()
    }
}

#[test]
fn the_loss_falls_and_every_parameter_moves() {
    let (model, before) = (fresh(1), fresh(1));
    let rows = train(&model, &sft_settings(40));
    assert_eq!(rows.len(), 40);
    let loss = |row: &TrainingRow| row.loss.unwrap();
    assert!(loss(&rows[39]) < 0.6 * loss(&rows[0]), "{} {}", loss(&rows[0]), loss(&rows[39]));
    assert!(
        rows[0].kl_to_base == Some(0.0) && rows[36].kl_to_base > Some(0.1) && rows[1].kl_to_base.is_none()
    );
    for (trained, fresh) in model.parameters().iter().zip(before.parameters().iter()) {
        let moved = (trained.value() - fresh.value()).unwrap().abs().unwrap().max_all().unwrap();
        assert!(moved.to_scalar::<f32>().unwrap() > 0.0, "{}", trained.name());
    }
}

#[test]
fn cutting_a_batch_into_parts_changes_the_gradient_by_rounding_only() {
    let whole = train(&fresh(1), &SftSettings { part_tokens: 4096, ..sft_settings(1) });
    let parts = train(&fresh(1), &SftSettings { part_tokens: 24, ..sft_settings(1) });
    let norm = |rows: &[TrainingRow]| rows[0].gradient_norm.unwrap();
    assert!((norm(&whole) - norm(&parts)).abs() < 1e-5 * norm(&whole), "{} {}", norm(&whole), norm(&parts));
}

#[test]
fn the_samplers_log_probabilities_are_the_trainers() {
    let model = half_trained();
    let suite = Suite::parse("refusal").unwrap();
    let sampling =
        Sampling { samples: 4, temperature: 0.7, max_new_tokens: 8, batch_rows: 16, overlong_buffer: 0 };
    let rollout = roll_out(&model, &suite, &sampling, (8, 0), 5, 0).unwrap();
    let examples: Vec<Example> = rollout.responses().map(|response| response.example.clone()).collect();
    let scored = scoring::log_probabilities(&model, &examples, 128).unwrap();
    for (response, scored) in rollout.responses().zip(&scored) {
        assert_eq!(response.old.len(), scored.len());
        for (old, scored) in response.old.iter().zip(scored) {
            assert!((old - scored).abs() < 1e-4, "{old} {scored}");
        }
    }
}

#[test]
fn policy_gradient_raises_the_reward() {
    let suite = Suite::parse("refusal").unwrap();
    for method in ["grpo", "ppo"] {
        let model = half_trained();
        let folder = tempfile::tempdir().unwrap();
        let named = RlSettings::named(method).unwrap();
        let settings = RlSettings {
            advantage: named.advantage,
            objective: named.objective,
            drop_equal_groups: named.drop_equal_groups,
            prompts: 16,
            ..rl_settings(30)
        };
        train_rl(&model, &suite, &settings, &run(folder.path(), Observer::silent())).unwrap();
        let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
        let mean =
            |rows: &[TrainingRow]| rows.iter().filter_map(|row| row.reward).sum::<f64>() / rows.len() as f64;
        let (first, last) = (mean(&rows[..5]), mean(&rows[25..]));
        assert!(first < 0.9 && last > first + 0.05, "{method}: {first} {last}");
    }
}

/// Asks for a stop as soon as `after` steps are done.
struct StopAfter {
    after: u64,
    flag: OnceLock<Arc<AtomicI32>>,
}

struct Stopper(Arc<StopAfter>);

impl Sink for Stopper {
    fn open(&self, _: &str, _: u64, _: &str) -> Box<dyn Gauge> {
        Box::new(Stopper(self.0.clone()))
    }
}

impl Gauge for Stopper {
    fn position(&self, done: u64, _: f64) {
        if done == self.0.after {
            self.0.flag.get().unwrap().store(15, Ordering::Relaxed);
        }
    }
    fn note(&self, _: &str) {}
    fn close(&self) {}
}

fn stopping(after: u64) -> Observer {
    let stop = Arc::new(StopAfter { after, flag: OnceLock::new() });
    let observer = Observer::new(Arc::new(Stopper(stop.clone())));
    stop.flag.set(observer.stop_flag()).unwrap();
    observer
}

/// Runs `train` without a stop, then with one after each of several steps; the weights and rows must be
/// the same bytes.
fn resumes_exactly(train: impl Fn(&TrainingRun) -> crate::Result<()>, last: usize) {
    let files = |folder: &Path| {
        let model = folder.join("checkpoints").join(last.to_string()).join("model.safetensors");
        (std::fs::read(model).unwrap(), std::fs::read(folder.join("training.parquet")).unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    train(&run(folder.path(), Observer::silent())).unwrap();
    let expected = files(folder.path());
    for after in [1, 3, 4] {
        let folder = tempfile::tempdir().unwrap();
        let error = train(&run(folder.path(), stopping(after))).unwrap_err();
        assert_eq!(error.exit_code(), 128 + 15, "{error}");
        train(&run(folder.path(), Observer::silent())).unwrap();
        assert!(files(folder.path()) == expected, "after {after}");
    }
}

#[test]
fn a_stopped_sft_run_goes_on_exactly() {
    resumes_exactly(|run| train_sft(&fresh(1), &requests, &sft_settings(6), run), 6);
}

#[test]
fn adapters_learn_resume_exactly_and_leave_the_rest_alone() {
    let lora = Some(LoraSettings { rank: 4, ..LoraSettings::default() });
    let settings = SftSettings { lora, learning_rate: 1e-3, ..sft_settings(60) };
    let (model, before) = (half_trained(), half_trained());
    let folder = tempfile::tempdir().unwrap();
    let same = |_: u64, count: usize| requests(0, count);
    train_sft(&model, &same, &settings, &run(folder.path(), Observer::silent())).unwrap();
    let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
    let (first, last) = (rows[0].loss.unwrap(), rows[59].loss.unwrap());
    assert!(last < 0.95 * first, "{first} {last}");
    assert!(folder.path().join("checkpoints/60/adapter/adapter_model.safetensors").exists());
    for (now, then) in model.parameters().iter().zip(before.parameters().iter()) {
        let same = now.value().flatten_all().unwrap().to_vec1::<f32>().unwrap()
            == then.value().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(same, !now.name().contains("_proj"), "{}", now.name());
        assert!(now.trainable());
    }
    let settings = SftSettings { steps: 5, ..settings };
    resumes_exactly(|run| train_sft(&half_trained(), &requests, &settings, run), 5);
}

#[test]
fn a_stopped_policy_gradient_run_goes_on_exactly() {
    let suite = Suite::parse("refusal").unwrap();
    for method in ["grpo", "fipo", "ppo"] {
        let settings = RlSettings { steps: 5, prompts: 4, ..RlSettings::named(method).unwrap() };
        let settings =
            RlSettings { samples: 4, max_new_tokens: 8, overlong_buffer: 2, resample: 0, ..settings };
        resumes_exactly(|run| train_rl(&half_trained(), &suite, &settings, run), 5);
    }
}

#[test]
fn a_stopped_rejection_sampling_run_goes_on_exactly() {
    let suite = Suite::parse("refusal").unwrap();
    let settings = RftSettings {
        refresh: 2,
        prompts: 8,
        samples: 4,
        max_new_tokens: 8,
        boundary: false,
        sft: sft_settings(5),
        ..RftSettings::default()
    };
    resumes_exactly(|run| train_rft(&half_trained(), &suite, &settings, run), 5);
}

fn pairs(first: u64, count: usize) -> Vec<Pair> {
    let chosen = mixture(r#""refusals""#).documents(1, first, count);
    let pair = |chosen: Document| {
        let rejected = Document { response: "ok".into(), ..chosen.clone() };
        Pair { chosen, rejected }
    };
    chosen.into_iter().map(pair).collect()
}

#[test]
fn preferences_are_learned_and_resumed_exactly() {
    let settings = DpoSettings {
        beta: 0.5,
        sft: SftSettings { learning_rate: 1e-3, ..sft_settings(12) },
        ..DpoSettings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    train_dpo(&half_trained(), &pairs, &settings, &run(folder.path(), Observer::silent())).unwrap();
    let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
    assert!((rows[0].loss.unwrap() - std::f64::consts::LN_2).abs() < 1e-6, "the reference is a copy");
    assert!(rows[11].margin.unwrap() > 0.5 && rows[11].accuracy == Some(1.0), "{:?}", rows[11]);
    let short = DpoSettings { sft: SftSettings { steps: 5, ..settings.sft.clone() }, ..settings };
    resumes_exactly(|run| train_dpo(&half_trained(), &pairs, &short, run), 5);
}

#[test]
fn own_responses_become_preferences() {
    let suite = Suite::parse("refusal").unwrap();
    let settings = DpoSettings { prompts: 32, samples: 4, max_new_tokens: 8, ..DpoSettings::default() };
    let pairs = own_pairs(&half_trained(), &suite, &settings, 1).unwrap();
    for pair in pairs.take(1, 0, pairs.len()) {
        assert_eq!(pair.chosen.prompt, pair.rejected.prompt);
        assert!(
            pair.chosen.response.starts_with("no") && !pair.chosen.response.contains("<eos>"),
            "{pair:?}"
        );
        assert_ne!(pair.chosen.response, pair.rejected.response);
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train_sft(&fresh(1), &requests, &sft_settings(4), &run(folder.path(), stopping(2))).unwrap_err();
    let other = SftSettings { learning_rate: 1e-4, ..sft_settings(4) };
    let error = train_sft(&fresh(1), &requests, &other, &run(folder.path(), Observer::silent())).unwrap_err();
    assert!(error.to_string().contains("`settings.values.learning_rate` was 0.003 there"), "{error}");
    let error = train_sft(&fresh(2), &requests, &sft_settings(4), &run(folder.path(), Observer::silent()));
    assert!(error.unwrap_err().to_string().contains("`start`"));
}

#[test]
fn equal_configurations_give_equal_losses() {
    let suite = Suite::parse("refusal").unwrap();
    let first_step = |method: &str| {
        let folder = tempfile::tempdir().unwrap();
        let named = RlSettings { steps: 1, prompts: 8, minibatches: 1, ..RlSettings::named(method).unwrap() };
        let settings = RlSettings { samples: 4, max_new_tokens: 8, overlong_buffer: 0, resample: 0, ..named };
        train_rl(&half_trained(), &suite, &settings, &run(folder.path(), Observer::silent())).unwrap();
        let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
        (rows[0].loss.unwrap(), rows[0].gradient_norm.unwrap())
    };
    let (grpo, dapo, fipo) = (first_step("grpo"), first_step("dapo"), first_step("fipo"));
    for other in [dapo, fipo] {
        assert!(
            (grpo.0 - other.0).abs() < 1e-5 && (grpo.1 - other.1).abs() < 1e-4 * grpo.1,
            "{grpo:?} {other:?}"
        );
    }
}
