//! What the floor promises, on a micro model: learning, agreement with the sampler, and exact resume.

mod resume;
mod under;

use super::examples::Example;
use super::rl::objectives::Objective;
use super::rl::rollout::{Overlong, Sampling, roll_out};
use super::*;
use crate::model::{Config, LlamaShape, Model, Prompt, SampleSettings, Tokenizer, sample_model};
use crate::progress::Observer;
use crate::tables;
use crate::tasks::{self, Document, Mixture, Pair, Problem, Suite};
use candle_core::Device;
use serde_json::json;
use std::path::Path;
use std::sync::OnceLock;

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

fn documents(mixture: &str, first: u64, count: usize) -> Vec<Document> {
    let mixture: Mixture = serde_json::from_str(mixture).unwrap();
    mixture.open(&tasks::tokenizer().unwrap()).unwrap().documents(1, first, count).unwrap()
}

/// Allowed and disallowed requests, answered.
fn requests(first: u64, count: usize) -> crate::error::Result<Vec<Document>> {
    Ok(documents(r#"{"allowed_requests": 0.5, "refusals": 0.5}"#, first, count))
}

fn run(folder: &Path, observer: Observer) -> TrainingRun {
    TrainingRun {
        variant: "test".into(),
        seed: 3,
        folder: folder.to_owned(),
        scratch: folder.join("resume"),
        checkpoints: vec![1],
        save_every: 3,
        origin: json!({ "data": { "name": "test" } }),
        base: None,
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

/// A model that answers requests, but not reliably. Trained once, until about half of its answers are right:
/// how soon that is hangs on the last bits of the arithmetic.
fn half_trained() -> Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let train_it = || {
        let model = fresh(1);
        let suite = Suite::parse("refusal").unwrap();
        let sampling = Sampling {
            samples: 4,
            temperature: 1.0,
            max_new_tokens: 8,
            batch_rows: 64,
            overlong: Overlong::NONE,
        };
        let right = || roll_out(&model, &suite, &sampling, (16, 0), 5, 0).unwrap().describe().reward.unwrap();
        for _ in 0..20 {
            train(&model, &SftSettings { batch: 32, ..sft_settings(15) });
            if right() >= 0.4 {
                return model;
            }
        }
        panic!("300 steps taught the model nothing");
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
    let sampling = Sampling {
        samples: 4,
        temperature: 0.7,
        max_new_tokens: 8,
        batch_rows: 16,
        overlong: Overlong::NONE,
    };
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

/// Also over several updates a rollout, and where no group of unequal reward is left to learn from.
#[test]
fn an_entropy_bonus_raises_the_entropy_and_a_rollout_without_lessons_still_tells_it() {
    let rows = |suite: &str, settings: &RlSettings| -> Vec<TrainingRow> {
        let (suite, folder) = (Suite::parse(suite).unwrap(), tempfile::tempdir().unwrap());
        train_rl(&half_trained(), &suite, settings, &run(folder.path(), Observer::silent())).unwrap();
        tables::read(&folder.path().join("training.parquet")).unwrap()
    };
    let mut settings = RlSettings { minibatches: 4, ..rl_settings(12) };
    settings.objective.kl = None;
    settings.objective.entropy_bonus = 10.0;
    let with = rows("refusal", &settings);
    assert!(with[11].entropy > with[0].entropy.map(|entropy| entropy + 0.1), "{with:?}");
    settings.objective.entropy_bonus = 0.0;
    // No skill is done within one token, so all responses are cut off and wrong.
    let settings = RlSettings { max_new_tokens: 1, drop_equal_groups: true, steps: 2, ..settings };
    let still = rows("skills", &settings);
    assert!(still.iter().all(|row| row.updates == Some(0) && row.updates_missing == Some(4)), "{still:?}");
    assert!(still.iter().all(|row| row.entropy > Some(0.0) && row.loss.is_none()), "{still:?}");
}

#[test]
fn adapters_learn_and_leave_the_rest_alone() {
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
}

fn pairs(first: u64, count: usize) -> Vec<Pair> {
    let chosen = documents(r#""refusals""#, first, count);
    let pair = |chosen: Document| {
        let rejected = Document { response: "ok".into(), ..chosen.clone() };
        Pair { chosen, rejected }
    };
    chosen.into_iter().map(pair).collect()
}

/// Refusals preferred to `ok`, given.
const GIVEN: Pairs<'static> = Pairs { draw: &pairs, sampled: None };

#[test]
fn preferences_are_learned() {
    let settings = DpoSettings {
        beta: 0.5,
        sft: SftSettings { learning_rate: 1e-3, ..sft_settings(12) },
        ..DpoSettings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    train_dpo(&half_trained(), GIVEN, &settings, &run(folder.path(), Observer::silent())).unwrap();
    let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
    assert!((rows[0].loss.unwrap() - std::f64::consts::LN_2).abs() < 1e-6, "the reference is a copy");
    assert!(rows[11].margin.unwrap() > 0.5 && rows[11].accuracy == Some(1.0), "{:?}", rows[11]);
}

#[test]
fn own_responses_become_preferences() {
    let suite = Suite::parse("refusal").unwrap();
    let settings = DpoSettings { prompts: 32, samples: 4, max_new_tokens: 8, ..DpoSettings::default() };
    let (pairs, sampled) = own_pairs(&half_trained(), &suite, &settings, 1).unwrap();
    assert!(sampled.row.tokens_sampled >= 32 * 4, "every response has a token");
    for pair in pairs.take(1, 0, pairs.len()) {
        assert_eq!(pair.chosen.prompt, pair.rejected.prompt);
        assert!(
            pair.chosen.response.starts_with("no") && !pair.chosen.response.contains("<eos>"),
            "{pair:?}"
        );
        assert_ne!(pair.chosen.response, pair.rejected.response);
        // What was sampled is what is trained on, the token that ended it included, and nothing after that.
        let lesson = pair.chosen.lesson.as_ref().unwrap();
        let end = tasks::tokenizer().unwrap().eos().unwrap();
        assert_eq!(lesson.tokens().iter().filter(|token| **token == end).count(), 1, "{pair:?}");
        assert_eq!(lesson.learned(), [lesson.begins()..lesson.tokens().len()]);
    }
    let settings = DpoSettings { sft: sft_settings(2), ..settings };
    let folder = tempfile::tempdir().unwrap();
    let draw = |first, count| pairs.take(1, first, count);
    let own = Pairs { draw: &draw, sampled: Some(&sampled) };
    train_dpo(&half_trained(), own, &settings, &run(folder.path(), Observer::silent())).unwrap();
    let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
    assert_eq!((rows[0].reward, rows[0].truncated), (sampled.row.reward, sampled.row.truncated));
    assert!(rows[0].groups_trained > Some(0) && rows[0].tokens_sampled == sampled.row.tokens_sampled);
    assert_eq!((rows[1].reward, rows[1].truncated), (None, None), "nothing is sampled any more");
    let timings: Vec<TimingRow> = tables::read(&folder.path().join("timings.parquet")).unwrap();
    assert!(timings[0].seconds >= sampled.seconds && timings[1].stage == "sample", "{timings:?}");
    let none = DpoSettings { max_new_tokens: 1, ..settings };
    let error = own_pairs(&half_trained(), &suite, &none, 1).unwrap_err().to_string();
    assert!(error.contains(" % cut off"), "{error}");
}

#[test]
fn equal_configurations_give_equal_losses() {
    let suite = Suite::parse("refusal").unwrap();
    let first_step = |method: &str, objective: &Objective| {
        let folder = tempfile::tempdir().unwrap();
        let named = RlSettings { steps: 1, prompts: 8, minibatches: 1, ..RlSettings::named(method).unwrap() };
        let settings = RlSettings {
            samples: 4,
            max_new_tokens: 8,
            overlong_buffer: 0.0,
            resample: 0,
            drop_equal_groups: true,
            objective: objective.clone(),
            ..named
        };
        train_rl(&half_trained(), &suite, &settings, &run(folder.path(), Observer::silent())).unwrap();
        let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
        (rows[0].loss.unwrap(), rows[0].gradient_norm.unwrap())
    };
    let objective = RlSettings::named("dapo").unwrap().objective;
    let (grpo, dapo) = (first_step("grpo", &objective), first_step("dapo", &objective));
    assert!((grpo.0 - dapo.0).abs() < 1e-5 && (grpo.1 - dapo.1).abs() < 1e-4 * grpo.1, "{grpo:?} {dapo:?}");
}

/// A model that gets everything right has no boundary any more: rejection sampling keeps what it had.
#[test]
fn rejection_sampling_outlives_its_boundary() {
    let suite = Suite::parse("refusal").unwrap();
    let sampling =
        RftSettings { refresh: 1, prompts: 4, samples: 2, max_new_tokens: 8, ..RftSettings::default() };
    let settings = RftSettings { sft: SftSettings { learning_rate: 1e-3, ..sft_settings(60) }, ..sampling };
    let folder = tempfile::tempdir().unwrap();
    train_rft(&half_trained(), &suite, &settings, &run(folder.path(), Observer::silent())).unwrap();
    let rows: Vec<TrainingRow> = tables::read(&folder.path().join("training.parquet")).unwrap();
    assert!(rows[0].groups_trained > Some(0));
    assert!(rows.iter().any(|row| row.groups_trained == Some(0)), "the boundary was never crossed");
}

#[test]
fn an_exact_answer_is_right_although_the_end_token_closes_it() {
    let model = half_trained();
    let tokenizer = model.tokenizer().unwrap();
    let problems = Suite::parse("refusal").unwrap().problems(1);
    let prompt = |problem: &Problem| Prompt { tokens: problem.tokens(tokenizer).unwrap(), key: 0 };
    let prompts: Vec<Prompt> = problems.iter().take(40).map(prompt).collect();
    let stop = tokenizer.eos().into_iter().collect();
    let greedy = SampleSettings { temperature: 0.0, max_new_tokens: 8, stop, ..Default::default() };
    let said = sample_model(&model, &prompts, &greedy, &Observer::silent()).unwrap();
    let rows = problems.iter().zip(&said).map(|(problem, said)| {
        json!({ "prompt": problem.prompt, "answer": tokenizer.decode_response(&said.tokens) })
    });
    let suite = Suite::of_rows("said.jsonl:rows=all:reward=exact", &rows.collect::<Vec<_>>()).unwrap();
    let sampling = Sampling {
        samples: 1,
        temperature: 0.0,
        max_new_tokens: 8,
        batch_rows: 64,
        overlong: Overlong::NONE,
    };
    let rollout = roll_out(&model, &suite, &sampling, (16, 0), 5, 0).unwrap();
    for response in rollout.responses() {
        assert_eq!(response.reward, f64::from(u8::from(!response.example.truncated)));
    }
    assert!(rollout.describe().reward.unwrap() > 0.5, "{:?}", rollout.describe());
}
