//! A run that is stopped or killed at any step and started again ends in the very bytes of one that is not: every
//! method, with and without adapters, with and without accumulation.

use super::*;
use crate::progress::{Gauge, Sink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Steps of every run, and those between two saves: killed after `STEPS - 1`, a run has lost one step.
const STEPS: usize = 4;
const SAVE_EVERY: usize = 2;

/// What ends a run early, as soon as `after` steps are done.
struct Ending {
    after: u64,
    /// Raised for a polite stop; without it the run dies where it stands.
    flag: Option<OnceLock<Arc<AtomicI32>>>,
}

struct Watching(Arc<Ending>);

impl Sink for Watching {
    fn open(&self, _: &str, _: u64, _: &str) -> Box<dyn Gauge> {
        Box::new(Watching(self.0.clone()))
    }
}

impl Gauge for Watching {
    fn position(&self, done: u64, _: f64) {
        if done == self.0.after {
            match &self.0.flag {
                Some(flag) => flag.get().unwrap().store(15, Ordering::Relaxed),
                None => std::panic::resume_unwind(Box::new("killed")),
            }
        }
    }
    fn note(&self, _: &str) {}
    fn close(&self) {}
}

/// An observer that asks for a stop after so many steps.
fn stopping(after: u64) -> Observer {
    let stop = Arc::new(Ending { after, flag: Some(OnceLock::new()) });
    let observer = Observer::new(Arc::new(Watching(stop.clone())));
    stop.flag.as_ref().unwrap().set(observer.stop_flag()).unwrap();
    observer
}

/// One under which the run dies after so many steps, before they are saved.
fn killing(after: u64) -> Observer {
    Observer::new(Arc::new(Watching(Arc::new(Ending { after, flag: None }))))
}

/// How a test trains: a method with its settings, in the folder and under the observer of the run.
type Training<'a> = &'a (dyn Fn(&TrainingRun) -> crate::Result<()> + Sync);

/// Runs `train` whole, stopped and killed; weights, adapters and rows must be the same bytes. Other tests train at
/// the same time on the same threads, which must make no difference.
fn resumes_exactly(what: &str, train: Training<'_>) {
    let run = |folder: &Path, observer| TrainingRun { save_every: SAVE_EVERY, ..run(folder, observer) };
    let files = |folder: &Path| {
        let model = folder.join("checkpoints").join(STEPS.to_string());
        let adapter = std::fs::read(model.join("adapter/adapter_model.safetensors")).ok();
        let weights = std::fs::read(model.join("model.safetensors")).unwrap();
        (weights, adapter, std::fs::read(folder.join("training.parquet")).unwrap())
    };
    let whole = tempfile::tempdir().unwrap();
    train(&run(whole.path(), Observer::silent())).unwrap();
    let expected = files(whole.path());

    let stopped = tempfile::tempdir().unwrap();
    let error = train(&run(stopped.path(), stopping(1))).unwrap_err();
    assert_eq!(error.exit_code(), 128 + 15, "{what}: {error}");
    train(&run(stopped.path(), Observer::silent())).unwrap();
    assert!(files(stopped.path()) == expected, "{what}: stopped after 1 step");

    let killed = tempfile::tempdir().unwrap();
    let last = STEPS as u64 - 1;
    catch_unwind(AssertUnwindSafe(|| train(&run(killed.path(), killing(last))))).unwrap_err();
    train(&run(killed.path(), Observer::silent())).unwrap();
    assert!(files(killed.path()) == expected, "{what}: killed after {last} steps");
}

/// The four ways to train: all weights or adapters, in one part or in several.
fn ways() -> Vec<(Option<LoraSettings>, usize)> {
    let lora = Some(LoraSettings { rank: 2, ..LoraSettings::default() });
    vec![(None, 4096), (None, 48), (lora.clone(), 4096), (lora, 48)]
}

fn fit((lora, part_tokens): (Option<LoraSettings>, usize)) -> SftSettings {
    SftSettings { lora, part_tokens, batch: 8, kl_every: 2, ..sft_settings(STEPS) }
}

#[test]
fn sft_goes_on_exactly() {
    for way in ways() {
        let what = format!("sft {way:?}");
        let settings = SftSettings { documents: Some(12), ..fit(way) };
        resumes_exactly(&what, &|run| train_sft(&half_trained(), &requests, &settings, run));
    }
}

#[test]
fn rejection_sampling_goes_on_exactly() {
    let suite = Suite::parse("refusal").unwrap();
    for way in ways() {
        let what = format!("rft {way:?}");
        let sampling =
            RftSettings { refresh: 3, prompts: 8, samples: 4, max_new_tokens: 8, ..RftSettings::default() };
        let settings = RftSettings { boundary: false, sft: fit(way), ..sampling };
        resumes_exactly(&what, &|run| train_rft(&half_trained(), &suite, &settings, run));
    }
}

#[test]
fn preferences_go_on_exactly() {
    for way in ways() {
        let what = format!("dpo {way:?}");
        let settings = DpoSettings { beta: 0.5, sft: fit(way), ..DpoSettings::default() };
        resumes_exactly(&what, &|run| train_dpo(&half_trained(), GIVEN, &settings, run));
    }
}

#[test]
fn every_policy_gradient_goes_on_exactly() {
    let suite = Suite::parse("refusal").unwrap();
    for method in rl::settings::METHODS {
        for (lora, part_tokens) in ways() {
            let what = format!("{method} {lora:?} {part_tokens}");
            let named = RlSettings::named(method).unwrap();
            let sizes = RlSettings { steps: STEPS, prompts: 4, samples: 4, max_new_tokens: 6, ..named };
            let settings =
                RlSettings { lora, part_tokens, overlong_buffer: 0.3, learning_rate: 1e-3, ..sizes };
            resumes_exactly(&what, &|run| train_rl(&half_trained(), &suite, &settings, run));
        }
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
