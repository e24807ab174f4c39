//! What is watched, a row per step: the tables `training` and `timings`.

use serde::{Deserialize, Serialize};

/// One step of a training run. Rates are means over the step's responses or response tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRow {
    /// The variant that is trained.
    pub variant: String,
    /// The step, from 1: the number of steps done.
    pub step: usize,
    /// The loss that was minimised; for policy gradient it is no measure of progress.
    pub loss: Option<f64>,
    /// Mean reward that the verifier gave the step's responses; null where nothing is sampled.
    pub reward: Option<f64>,
    /// What was taken off the reward for nearly running out of tokens, on average; null outside policy gradient.
    pub length_penalty: Option<f64>,
    /// What was taken off the reward for moving away from the reference, on average; null where no KL penalty
    /// stands in the reward.
    pub kl_penalty: Option<f64>,
    /// Share of responses with full reward.
    pub pass_at_1: Option<f64>,
    /// Share of prompts with at least one response of full reward.
    pub pass_at_k: Option<f64>,
    /// Share of groups whose rewards are all equal, from which nothing is learned.
    pub equal_groups: Option<f64>,
    /// Groups that the step's updates were made from, after those were left out that the method leaves out. Of
    /// rejection sampling, the problems of which a new response was kept; of own preferences, those that gave a pair;
    /// null on steps that sample nothing.
    #[serde(default)]
    pub groups_trained: Option<usize>,
    /// Groups of unequal reward that were still lacking when no more prompts might be drawn; null where none are
    /// drawn again.
    #[serde(default)]
    pub groups_missing: Option<usize>,
    /// Updates that the step was to make and did not, because too few of its groups teach anything; null outside
    /// policy gradient.
    #[serde(default)]
    pub updates_missing: Option<usize>,
    /// KL(variant || base) in nats per token, over the whole vocabulary, at response positions of a few of
    /// the step's sequences; null on steps where it was not measured.
    pub kl_to_base: Option<f64>,
    /// Norm of the whole gradient before clipping; the largest of the step's updates.
    pub gradient_norm: Option<f64>,
    /// Mean entropy of the next-token distribution in nats, over response tokens: of policy gradient and rejection
    /// sampling over all that were sampled, as they were sampled (null on steps that sample nothing); else over those
    /// trained on.
    pub entropy: Option<f64>,
    /// Mean length of a response in tokens; where responses are sampled, of all of them, and null on steps that
    /// sample nothing.
    pub response_length: Option<f64>,
    /// Share of those responses that were cut off.
    pub truncated: Option<f64>,
    /// The learning rate.
    pub learning_rate: Option<f64>,
    /// Share of the minibatches' tokens whose ratio met the upper bound; null where no group was left.
    pub clipped_high: Option<f64>,
    /// Share of those whose ratio met the lower bound.
    pub clipped_low: Option<f64>,
    /// Share of those that the dual clip cut.
    pub clipped_dual: Option<f64>,
    /// Mean (old - new) log-probability since the rollout, in nats per token.
    pub moved: Option<f64>,
    /// Mean influence weight of FIPO.
    pub influence_mean: Option<f64>,
    /// Smallest influence weight of FIPO.
    pub influence_min: Option<f64>,
    /// Largest influence weight of FIPO.
    pub influence_max: Option<f64>,
    /// Mean clipped squared error of the value head, halved (PPO).
    pub value_loss: Option<f64>,
    /// Share of pairs in which the chosen response gained more than the rejected one (DPO).
    pub accuracy: Option<f64>,
    /// Mean difference of the implicit rewards of chosen and rejected (DPO).
    pub margin: Option<f64>,
    /// Updates of the weights since the start; null in tables of runs that did not count them, which made one a
    /// step. A step from which nothing can be learned makes none.
    #[serde(default)]
    pub updates: Option<u64>,
    /// Tokens of prompts and responses that were trained on, since the start, padding excluded.
    pub tokens_trained: usize,
    /// Tokens sampled since the start.
    pub tokens_sampled: usize,
    /// Tokens that only went forward since the start: prompts of samples, the reference, the value head's first
    /// look. What is measured for the tables alone is not counted.
    #[serde(default)]
    pub tokens_scored: usize,
    /// Floating-point operations since the start, roughly: per weight, 6 for a token trained on and 2 for one
    /// sampled or scored. A prompt counts with each of its responses, as where it is not shared among them; an adapter
    /// counts as its whole matrix, from whose gradient its own is made.
    pub flops: f64,
}

/// How long a step took. The only table that may differ between two runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingRow {
    /// What was timed: `train`, and its parts `sample`.
    pub stage: String,
    /// The variant.
    pub variant: String,
    /// The step, from 1.
    pub step: usize,
    /// Wall time.
    pub seconds: f64,
    /// Tokens handled.
    pub tokens: usize,
}
