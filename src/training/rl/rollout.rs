//! Rollouts: sample responses to training problems, have them verified, and shape the reward.

use crate::error::{Error, Result};
use crate::model::{Completion, Finish, Model, Prompt, SampleSettings, sample_model};
use crate::progress::Observer;
use crate::rng::Stream;
use crate::tasks::{self, Problem, Suite};
use crate::training::examples::Example;
use crate::training::rows::TrainingRow;

/// One sampled response with what is known of it.
pub(in crate::training) struct Response {
    pub(in crate::training) example: Example,
    /// Log-probability of each response token when it was sampled.
    pub(in crate::training) old: Vec<f64>,
    /// Summed over its tokens: the entropy of the distribution that each was sampled from.
    pub(in crate::training) entropy: f64,
    /// What the verifier gave.
    pub(in crate::training) reward: f64,
    /// `reward` less the penalty for nearly running out of tokens.
    pub(in crate::training) shaped: f64,
}

/// The responses to one prompt.
pub(in crate::training) struct Group {
    pub(in crate::training) responses: Vec<Response>,
}

impl Group {
    /// Whether all its responses are equally right. As in DAPO, only the task counts here: responses that differ
    /// in nothing but the penalty on their length do not make a group worth learning from.
    pub(in crate::training) fn equal(&self) -> bool {
        self.responses.windows(2).all(|pair| pair[0].reward == pair[1].reward)
    }

    /// The tokens of its prompt, which all its responses share.
    fn prompt_tokens(&self) -> usize {
        self.responses.first().map_or(0, |response| response.example.prompt)
    }
}

/// Everything sampled in one step.
pub(in crate::training) struct Rollout {
    /// In the order of the prompts drawn.
    pub(in crate::training) groups: Vec<Group>,
}

impl Rollout {
    pub(in crate::training) fn responses(&self) -> impl Iterator<Item = &Response> + Clone {
        self.groups.iter().flat_map(|group| &group.responses)
    }

    /// Leaves out the groups of equal reward, and those beyond the first `wanted` of the others.
    pub(in crate::training) fn keep_unequal(&mut self, wanted: usize) {
        self.groups.retain(|group| !group.equal());
        self.groups.truncate(wanted);
    }

    /// How it went, for a message: what was right, and what was cut off, which is why little may be right.
    pub(in crate::training) fn outcome(&self) -> String {
        let row = self.describe();
        let percent = |share: Option<f64>| 100.0 * share.unwrap_or_default();
        format!("{:.0} % were right and {:.0} % cut off", percent(row.pass_at_1), percent(row.truncated))
    }

    /// What the rollout itself tells: rewards, lengths, tokens sampled.
    pub(in crate::training) fn describe(&self) -> TrainingRow {
        let count = self.responses().count().max(1) as f64;
        let groups = self.groups.len().max(1) as f64;
        let mean = |value: &dyn Fn(&Response) -> f64| self.responses().map(value).sum::<f64>() / count;
        let share = |of: &dyn Fn(&Group) -> bool| {
            self.groups.iter().filter(|group| of(group)).count() as f64 / groups
        };
        let full = |response: &Response| response.reward >= 1.0;
        let tokens: usize = self.responses().map(|response| response.old.len()).sum();
        TrainingRow {
            reward: Some(mean(&|response| response.reward)),
            length_penalty: Some(mean(&|response| response.reward - response.shaped)),
            pass_at_1: Some(mean(&|response| f64::from(full(response)))),
            pass_at_k: Some(share(&|group| group.responses.iter().any(full))),
            equal_groups: Some(share(&Group::equal)),
            response_length: Some(mean(&|response| response.old.len() as f64)),
            truncated: Some(mean(&|response| f64::from(response.example.truncated))),
            entropy: Some(
                self.responses().map(|response| response.entropy).sum::<f64>() / tokens.max(1) as f64,
            ),
            tokens_sampled: tokens,
            tokens_scored: self.groups.iter().map(Group::prompt_tokens).sum(),
            ..TrainingRow::default()
        }
    }
}

/// How responses are drawn.
#[derive(Clone, Copy, Debug)]
pub(in crate::training) struct Sampling {
    pub(in crate::training) samples: usize,
    pub(in crate::training) temperature: f64,
    pub(in crate::training) max_new_tokens: usize,
    pub(in crate::training) batch_rows: usize,
    pub(in crate::training) overlong: Overlong,
}

/// DAPO's soft penalty on length: from 0 where the last part of the budget begins, `buffer` of the whole, to `penalty`
/// at its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::training) struct Overlong {
    pub(in crate::training) buffer: f64,
    pub(in crate::training) penalty: f64,
}

impl Overlong {
    pub(in crate::training) const NONE: Self = Self { buffer: 0.0, penalty: 0.0 };

    /// What a response of `length` tokens loses where the budget is `budget`.
    fn of(&self, length: usize, budget: usize) -> f64 {
        let buffer = self.buffer * budget as f64;
        let over = length as f64 - (budget as f64 - buffer);
        if buffer > 0.0 && over > 0.0 { self.penalty * over / buffer } else { 0.0 }
    }
}

/// The problems of further draws within a round are numbered from here, beyond those of every round: a method that
/// draws again sees the same problems as one that does not, and others beside them.
const REDRAW: u64 = 1 << 40;

/// Samples the `prompts` problems whose numbers are next in rollout `round`, and up to `resample` times as many
/// further ones while fewer than `prompts` groups are unequal. The random numbers depend on (seed, round, draw,
/// prompt, sample, position).
pub(in crate::training) fn roll_out(
    model: &Model,
    suite: &Suite,
    sampling: &Sampling,
    (prompts, resample): (usize, usize),
    seed: u64,
    round: usize,
) -> Result<Rollout> {
    let mut groups = Vec::new();
    for draw in 0..=resample as u64 {
        let unequal = groups.iter().filter(|group: &&Group| !group.equal()).count();
        if draw > 0 && unequal >= prompts {
            break;
        }
        let first = (round * prompts) as u64 + draw * REDRAW;
        let problems = tasks::training_problems(suite, seed, first, prompts);
        let seed = Stream::new(seed, "training/rollout", &[round as u64 + draw * REDRAW]).bits();
        groups.extend(sample_groups(model, suite, sampling, &problems, seed)?);
    }
    Ok(Rollout { groups })
}

fn sample_groups(
    model: &Model,
    suite: &Suite,
    sampling: &Sampling,
    problems: &[Problem],
    seed: u64,
) -> Result<Vec<Group>> {
    let tokenizer = model.tokenizer()?;
    if tokenizer.stop_tokens().is_empty() {
        return Err(Error::request("the tokenizer has no end token to stop at"));
    }
    let prompts = problems
        .iter()
        .enumerate()
        .map(|(index, problem)| Ok(Prompt { tokens: problem.tokens(tokenizer)?, key: index as u64 }))
        .collect::<Result<Vec<_>>>()?;
    let settings = SampleSettings {
        samples: sampling.samples,
        max_new_tokens: sampling.max_new_tokens,
        temperature: sampling.temperature as f32,
        top_p: 1.0,
        seed,
        stop: tokenizer.stop_tokens().to_vec(),
        batch_rows: sampling.batch_rows,
    };
    let mut completions = sample_model(model, &prompts, &settings, &Observer::silent())?;
    completions.sort_by_key(|completion| (completion.prompt, completion.sample));
    let said: Vec<(usize, String, bool)> = completions
        .iter()
        .map(|completion| {
            let text = tokenizer.decode_response(&completion.tokens);
            (completion.prompt, text, completion.finish == Finish::Length)
        })
        .collect();
    let judged = said
        .iter()
        .filter_map(|(prompt, text, truncated)| Some((problems.get(*prompt)?, text.as_str(), *truncated)));
    suite.ask_ahead(&judged.collect::<Vec<_>>(), &Observer::silent())?;
    let mut groups: Vec<Group> = problems.iter().map(|_| Group { responses: Vec::new() }).collect();
    for completion in completions {
        let index = completion.prompt;
        let (Some(problem), Some(prompt), Some(group)) =
            (problems.get(index), prompts.get(index), groups.get_mut(index))
        else {
            return Err(Error::work(format!("the sampler answered prompt {index}, which was not asked")));
        };
        let text = tokenizer.decode_response(&completion.tokens);
        let truncated = completion.finish == Finish::Length;
        let reward = tasks::reward(suite, problem, &text, truncated);
        if !reward.is_finite() {
            return Err(Error::work(format!(
                "the reward of a response to `{}` is no number",
                problem.prompt
            ))
            .hint(
                "the log says what went wrong with the program or the model that judges; --resume goes on",
            ));
        }
        group.responses.push(response(&prompt.tokens, completion, reward, sampling));
    }
    Ok(groups)
}

fn response(prompt: &[u32], completion: Completion, reward: f64, sampling: &Sampling) -> Response {
    let shaped = reward - sampling.overlong.of(completion.tokens.len(), sampling.max_new_tokens);
    let truncated = completion.finish == Finish::Length;
    let tokens = prompt.iter().chain(&completion.tokens).copied().collect();
    let old = completion.log_probabilities.iter().map(|value| f64::from(*value)).collect();
    let entropy = completion.entropies.iter().map(|value| f64::from(*value)).sum();
    let example = Example::new(tokens, prompt.len(), truncated);
    Response { entropy, example, old, reward, shaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_grows_over_the_buffer() {
        let overlong = Overlong { buffer: 0.25, penalty: 0.5 };
        assert_eq!([10, 48, 56, 64].map(|length| overlong.of(length, 64)), [0.0, 0.0, 0.25, 0.5]);
        assert_eq!(Overlong::NONE.of(64, 64), 0.0);
    }

    fn sampling() -> Sampling {
        Sampling {
            samples: 1,
            temperature: 1.0,
            max_new_tokens: 64,
            batch_rows: 1,
            overlong: Overlong { buffer: 0.25, penalty: 0.5 },
        }
    }

    fn group(responses: &[(f64, usize)]) -> Group {
        let respond = |(reward, length): &(f64, usize)| {
            let (tokens, log_probabilities) = (vec![1; *length], vec![-1.0; *length]);
            let finish = if *length == 64 { Finish::Length } else { Finish::Stop };
            let entropies = vec![0.5; *length];
            let completion =
                Completion { prompt: 0, sample: 0, tokens, log_probabilities, entropies, finish };
            response(&[0], completion, *reward, &sampling())
        };
        Group { responses: responses.iter().map(respond).collect() }
    }

    #[test]
    fn groups_are_told_apart_by_the_task_and_not_by_length() {
        assert!(group(&[(1.0, 10), (1.0, 60)]).equal());
        assert!(!group(&[(1.0, 10), (0.0, 10)]).equal());
    }

    #[test]
    fn surplus_groups_are_left_and_missing_ones_counted() {
        let unequal = || group(&[(1.0, 10), (0.0, 10)]);
        let equal = || group(&[(0.0, 10), (0.0, 10)]);
        let mut rollout = Rollout { groups: vec![equal(), unequal(), unequal(), equal(), unequal()] };
        rollout.keep_unequal(2);
        assert_eq!(rollout.groups.len(), 2);
        rollout.keep_unequal(3);
        assert_eq!(rollout.groups.len(), 2);
    }
}
