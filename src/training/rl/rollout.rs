//! Rollouts: sample responses to training problems, have them verified, and shape the reward.

use super::settings::RlSettings;
use crate::error::{Error, Result};
use crate::model::{Completion, Finish, Model, Prompt, SampleSettings, sample_model};
use crate::progress::Observer;
use crate::rng::Stream;
use crate::tasks::{self, Problem, Suite};
use crate::training::examples::Example;

/// One sampled response with what is known of it.
pub(super) struct Response {
    pub(super) example: Example,
    /// Log-probability of each response token when it was sampled.
    pub(super) old: Vec<f64>,
    /// What the verifier gave.
    pub(super) reward: f64,
    /// `reward` less the penalty for nearly running out of tokens.
    pub(super) shaped: f64,
}

/// The responses to one prompt.
pub(super) struct Group {
    pub(super) responses: Vec<Response>,
}

impl Group {
    /// Whether nothing can be learned by comparing its responses.
    pub(super) fn equal(&self) -> bool {
        self.responses.windows(2).all(|pair| pair[0].shaped == pair[1].shaped)
    }
}

/// Everything sampled in one step.
pub(super) struct Rollout {
    /// In the order of the prompts drawn.
    pub(super) groups: Vec<Group>,
}

impl Rollout {
    pub(super) fn responses(&self) -> impl Iterator<Item = &Response> + Clone {
        self.groups.iter().flat_map(|group| &group.responses)
    }
}

/// Further draws of prompts within a step are numbered from here, beyond every real step.
const REDRAW: u64 = 1 << 40;

/// Samples the prompts of `step`, and further ones while too few groups are unequal and the settings
/// allow it. The random numbers depend on (seed, step, draw, prompt, sample, position).
pub(super) fn roll_out(
    model: &Model,
    suite: &Suite,
    settings: &RlSettings,
    seed: u64,
    step: usize,
) -> Result<Rollout> {
    let mut groups = Vec::new();
    for draw in 0..=settings.resample as u64 {
        let unequal = groups.iter().filter(|group: &&Group| !group.equal()).count();
        if draw > 0 && unequal >= settings.prompts {
            break;
        }
        let number = step as u64 + draw * REDRAW;
        let problems = tasks::training_problems(suite, seed, number, settings.prompts);
        let sampling = Stream::new(seed, "training/rollout", &[number]).bits();
        groups.extend(sample_groups(model, suite, settings, &problems, sampling)?);
    }
    Ok(Rollout { groups })
}

fn sample_groups(
    model: &Model,
    suite: &Suite,
    settings: &RlSettings,
    problems: &[Problem],
    seed: u64,
) -> Result<Vec<Group>> {
    let tokenizer = model.tokenizer()?;
    let end = tokenizer.eos().ok_or_else(|| Error::request("the tokenizer has no end token to stop at"))?;
    let prompts = problems
        .iter()
        .enumerate()
        .map(|(index, problem)| {
            Ok(Prompt { tokens: tokenizer.encode(&problem.prompt)?, key: index as u64 })
        })
        .collect::<Result<Vec<_>>>()?;
    let sampling = SampleSettings {
        samples: settings.samples,
        max_new_tokens: settings.max_new_tokens,
        temperature: settings.temperature as f32,
        top_p: 1.0,
        seed,
        stop: vec![end],
        batch_rows: settings.batch_rows,
    };
    let mut completions = sample_model(model, &prompts, &sampling, &Observer::silent())?;
    completions.sort_by_key(|completion| (completion.prompt, completion.sample));
    let mut groups: Vec<Group> = problems.iter().map(|_| Group { responses: Vec::new() }).collect();
    for completion in completions {
        let index = completion.prompt;
        let (Some(problem), Some(prompt), Some(group)) =
            (problems.get(index), prompts.get(index), groups.get_mut(index))
        else {
            return Err(Error::work(format!("the sampler answered prompt {index}, which was not asked")));
        };
        let text = tokenizer.decode(&completion.tokens);
        let truncated = completion.finish == Finish::Length;
        let reward = tasks::reward(suite, problem, &text, truncated);
        group.responses.push(response(&prompt.tokens, completion, reward, settings));
    }
    Ok(groups)
}

fn response(prompt: &[u32], completion: Completion, reward: f64, settings: &RlSettings) -> Response {
    let shaped = reward - overlong(completion.tokens.len(), settings);
    let truncated = completion.finish == Finish::Length;
    let tokens = prompt.iter().chain(&completion.tokens).copied().collect();
    let old = completion.log_probabilities.iter().map(|value| f64::from(*value)).collect();
    Response { example: Example { tokens, prompt: prompt.len(), truncated }, old, reward, shaped }
}

/// DAPO's soft penalty: from 0 where the buffer begins to 1 at the end of the budget.
fn overlong(length: usize, settings: &RlSettings) -> f64 {
    let begin = settings.max_new_tokens - settings.overlong_buffer;
    match length.saturating_sub(begin) {
        0 => 0.0,
        over => over as f64 / settings.overlong_buffer.max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_grows_over_the_buffer() {
        let settings = RlSettings { max_new_tokens: 64, overlong_buffer: 16, ..RlSettings::default() };
        let penalties = [10, 48, 56, 64].map(|length| overlong(length, &settings));
        assert_eq!(penalties, [0.0, 0.0, 0.5, 1.0]);
        assert_eq!(overlong(64, &RlSettings::default()), 0.0);
    }
}
