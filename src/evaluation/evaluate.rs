//! Sampling and scoring one model on suites.

use super::REFUSAL_LOG_ODDS;
use super::log_odds::{PromptPass, first_token_log_odds};
use super::settings::EvaluationSettings;
use super::summarise::Outcome;
use crate::error::{At, Error, Result};
use crate::model::{Completion, Model, Prompt, SampleSettings, Tokenizer, sample_model};
use crate::progress::Observer;
use crate::tasks::{Judged, Problem, Stated, Suite};

/// Samples `model` on the held-out problems of every suite and scores the completions, in the order of
/// suites, problems and samples. `seed` decides the problems drawn and the sampling: models that are to
/// be compared must share it.
///
/// # Errors
/// If a setting is out of range, the model has no tokenizer or no end token, a prompt cannot be encoded,
/// a pass fails, or a stop was asked for.
pub fn evaluate(
    model: &Model,
    suites: &[Suite],
    settings: &EvaluationSettings,
    seed: u64,
    observer: &Observer,
) -> Result<Vec<Outcome>> {
    settings.check()?;
    // Before anything is sampled: a key that is not there is learned of now.
    suites.iter().try_for_each(|suite| suite.ready().at(suite.name()))?;
    let tokenizer = model.tokenizer()?;
    let suites =
        suites.iter().map(|suite| suite.said_to(tokenizer, Stated::default())).collect::<Result<Vec<_>>>()?;
    let mut outcomes = Vec::new();
    for suite in &suites {
        outcomes.extend(evaluate_suite(model, suite, settings, seed, observer).at(suite.name())?);
    }
    Ok(outcomes)
}

fn evaluate_suite(
    model: &Model,
    suite: &Suite,
    settings: &EvaluationSettings,
    seed: u64,
    observer: &Observer,
) -> Result<Vec<Outcome>> {
    let tokenizer = model.tokenizer()?;
    let mut problems = suite.problems(seed);
    problems.truncate(settings.problems.unwrap_or(usize::MAX));
    let prompts = problems
        .iter()
        .map(|problem| Ok(Prompt { tokens: problem.tokens(tokenizer)?, key: problem.key }))
        .collect::<Result<Vec<_>>>()?;
    let refusal_log_odds = match suite.refusal_word() {
        Some(word) => {
            let token = first_token(tokenizer, word)?;
            Some(first_token_log_odds(&mut PromptPass(model), &prompts, token)?)
        }
        None => None,
    };
    if tokenizer.stop_tokens().is_empty() {
        return Err(Error::request("the tokenizer names no end token").hint(
            "set `eos_token` in tokenizer_config.json: without it no completion would ever be complete",
        ));
    }
    let sampling = SampleSettings {
        samples: settings.samples,
        max_new_tokens: settings.max_new_tokens,
        temperature: settings.temperature,
        seed,
        stop: tokenizer.stop_tokens().to_vec(),
        ..SampleSettings::default()
    };
    let completions = sample_model(model, &prompts, &sampling, observer)?;
    let said: Vec<Option<(&Problem, Judged)>> = completions
        .iter()
        .map(|completion| {
            let asked = &prompts.get(completion.prompt)?.tokens;
            Some((problems.get(completion.prompt)?, suite.judged(tokenizer, asked, completion)))
        })
        .collect();
    let judged =
        said.iter().flatten().map(|(problem, judged)| (*problem, judged.text.as_str(), judged.truncated));
    suite.ask_ahead(&judged.collect::<Vec<_>>(), observer)?;
    let scored = completions.iter().filter_map(|completion| {
        let problem = problems.get(completion.prompt)?;
        let prompt = prompts.get(completion.prompt)?;
        let mut outcome = score(suite, problem, &prompt.tokens, completion, tokenizer);
        if let Some(log_odds) = refusal_log_odds.as_ref().and_then(|found| found.get(completion.prompt)) {
            outcome.values.push((REFUSAL_LOG_ODDS, *log_odds));
        }
        Some(outcome)
    });
    Ok(scored.collect())
}

/// The outcome of one completion of `problem`, whose tokens are `prompt`, whatever drew it.
pub fn score(
    suite: &Suite,
    problem: &Problem,
    prompt: &[u32],
    completion: &Completion,
    tokenizer: &Tokenizer,
) -> Outcome {
    let judged = suite.judged(tokenizer, prompt, completion);
    let scored = suite.score(problem, &judged.text, judged.truncated);
    Outcome {
        suite: suite.name().to_owned(),
        problem: problem.id.clone(),
        prompt: problem.prompt.clone(),
        instantiation: problem.instantiation,
        half: problem.half,
        sample: completion.sample,
        values: scored.iter().map(|(endpoint, value)| (endpoint.name, value)).collect(),
        tokens: completion.tokens.len(),
        completion: tokenizer.decode_response(&completion.tokens),
        truncated: judged.truncated,
    }
}

/// The token that a response beginning with `word` begins with.
fn first_token(tokenizer: &Tokenizer, word: &str) -> Result<u32> {
    tokenizer.encode(word)?.first().copied().ok_or_else(|| {
        Error::request(format!("the tokenizer makes nothing of the refusal word `{word}`"))
            .hint("the suite and the model do not belong together")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::summarise;
    use crate::model::{Config, LlamaShape};
    use crate::tasks;
    use candle_core::Device;

    fn small_model() -> Model {
        let tokenizer = tasks::tokenizer().unwrap();
        let shape = LlamaShape {
            vocabulary: tokenizer.vocabulary(),
            d_model: 16,
            layers: 1,
            heads: 2,
            d_mlp: 32,
            max_positions: 128,
            bos: tokenizer.bos(),
            eos: tokenizer.eos(),
            pad: tokenizer.pad(),
        };
        let config = Config::llama(&shape).unwrap();
        Model::initialise(&config, 1, &Device::Cpu).unwrap().with_tokenizer(tokenizer)
    }

    #[test]
    fn an_untrained_model_is_scored_on_every_suite_and_twice_alike() {
        let model = small_model();
        let suites: Vec<Suite> = Suite::names_in_symbols().map(|name| Suite::parse(name).unwrap()).collect();
        let settings =
            EvaluationSettings { samples: 2, max_new_tokens: 8, problems: Some(6), ..Default::default() };
        let run = |seed| evaluate(&model, &suites, &settings, seed, &Observer::silent()).unwrap();
        let outcomes = run(3);
        assert_eq!(outcomes.len(), suites.len() * 6 * 2);
        assert_eq!(outcomes, run(3));
        assert_ne!(outcomes, run(4));
        let refusal: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.get(REFUSAL_LOG_ODDS)).collect();
        assert_eq!(refusal.len(), 2 * 6 * 2);
        // An untrained model gives each of 126 words about the same chance.
        assert!(refusal.iter().all(|odds| (odds + 125_f64.ln()).abs() < 3.0), "{refusal:?}");
        let rows = summarise("base", 0, &outcomes);
        assert!(rows.iter().all(|row| row.value.is_some()), "{rows:?}");
    }
}
