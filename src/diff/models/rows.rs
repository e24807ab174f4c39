//! The rows of the tables that compare models.

use serde::{Deserialize, Serialize};

/// One row of the table `divergences`: one variant against base, or against another, on one group of prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DivergenceRow {
    /// The variant.
    pub variant: String,
    /// What it is compared with: base, or a variant before it.
    pub against: String,
    /// The label of the prompts, such as a suite; `all` for all of them.
    pub group: String,
    /// Mean over tokens of KL(variant | against) of the next token, nats.
    pub kl: f64,
    /// KL(against | variant), nats.
    pub kl_reverse: f64,
    /// The largest KL(variant | against) of one token.
    pub kl_max: f64,
    /// The prompt and position of that token, as `prompt:position`.
    pub at: String,
    /// Share of tokens whose most likely next token differs.
    pub disagree: f64,
    /// Tokens.
    pub tokens: u64,
}

/// One row of the table `divergent_tokens`: a place where two models' expectations differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DivergentTokenRow {
    /// The variant.
    pub variant: String,
    /// What it is compared with: base, or a variant before it.
    pub against: String,
    /// From 1, the largest divergence first; one place of each text.
    pub rank: u64,
    /// The label of the text.
    pub group: String,
    /// The text and the position of the last token that is read, as `text:position`.
    pub at: String,
    /// KL(variant | against) of the next token, nats.
    pub kl: f64,
    /// The tokens read last, a JSON list.
    pub context: String,
    /// The token that the variant expects next.
    pub expected: String,
    /// The token that the other expects.
    pub expected_against: String,
}

/// One row of the table `activation_differences`: the mean difference of a variant from base at one
/// position, read through the logit lens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationDifferenceRow {
    /// The variant.
    pub variant: String,
    /// The hook point.
    pub hook: String,
    /// The position in the text.
    pub position: u64,
    /// Norm of the mean difference over the mean norm of base's activation.
    pub relative_norm: f64,
    /// Mean over prompts of the cosine between a prompt's difference and the mean difference.
    pub consistency: f64,
    /// Prompts that reach the position.
    pub prompts: u64,
    /// Tokens that the mean difference promotes most in the variant.
    pub promoted: String,
    /// Tokens that it suppresses most.
    pub suppressed: String,
    /// Tokens whose probability rises most, at the end of the texts, when the mean difference is added to base
    /// with the norm of base's own activation.
    pub steered: String,
    /// Mean KL(variant | base) of the token after the texts, nats.
    pub kl: f64,
    /// The same with the mean difference projected out of the variant: what the difference accounts for is the
    /// fall.
    pub kl_projected_out: f64,
}

/// One row of the table `directions`: a difference-of-means direction of labelled prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionRow {
    /// The variant in which it was found.
    pub variant: String,
    /// The hook point.
    pub hook: String,
    /// The label of the prompts that it points to; it points away from all others.
    pub label: String,
    /// Where it was read: `last prompt token`, or the mean over the `response`.
    pub read_at: String,
    /// Norm of the difference of means over the mean norm of the activations.
    pub relative_norm: f64,
    /// Share of held-out prompts on the right side of the middle.
    pub separation: f64,
    /// Cosine with base's direction of the same hook and label.
    pub cosine_to_base: Option<f64>,
    /// Mean projection of the labelled prompts on base's unit direction, from the middle of base's means.
    pub projection_labelled: Option<f64>,
    /// The same for all other prompts.
    pub projection_other: Option<f64>,
    /// Log-odds of the watched tokens on the labelled prompts, without any edit.
    pub log_odds: Option<f64>,
    /// ... with the direction taken out at every block's input and of all that blocks add.
    pub log_odds_ablated: Option<f64>,
    /// Log-odds of the watched tokens on all other prompts, with the direction added at its hook.
    pub log_odds_steered: Option<f64>,
    /// KL on all other prompts when the direction is taken out, nats.
    pub kl_other: Option<f64>,
    /// Whether the rule of Arditi et al. selects it among the variant's directions of this label.
    pub selected: bool,
}

/// One row of the table `probes`: a logistic probe of one label at one hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRow {
    /// The variant.
    pub variant: String,
    /// The hook point, read at the last token of the prompt.
    pub hook: String,
    /// The label that is told from all others.
    pub label: String,
    /// Share of held-out prompts that are classified right, both classes weighing the same.
    pub accuracy: f64,
    /// The same with labels shuffled before the fit, mean over shuffles.
    pub accuracy_shuffled: f64,
    /// Accuracy less shuffled accuracy (Hewitt and Liang's selectivity).
    pub selectivity: f64,
    /// Accuracy on the variant of the probe that was fitted on base. `None` for base itself.
    pub accuracy_of_base_probe: Option<f64>,
    /// Prompts it was fitted on.
    pub fitted: u64,
    /// Prompts it was judged on.
    pub held_out: u64,
}

/// One row of the table `heads`: one attention head on one group of prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRow {
    /// The variant.
    pub variant: String,
    /// The label of the prompts.
    pub group: String,
    /// The block.
    pub layer: u64,
    /// The head.
    pub head: u64,
    /// Mean over prompts of KL(whole | head zeroed) of the first response token, nats (SHIPS).
    pub ships: f64,
    /// The head's share of the SHIPS of all heads, on these prompts in this variant.
    pub share: f64,
    /// Base's share of the same head less this one: what the head lost. `None` for base itself.
    pub share_lost: Option<f64>,
    /// Change of the watched tokens' log-odds when the head is zeroed.
    pub log_odds_change: Option<f64>,
    /// When the greedy search (Sahara) took the head, from 1; `None` if it did not.
    pub sahara_rank: Option<u64>,
    /// The angle in degrees to the whole model, with this and the earlier heads of the search zeroed.
    pub sahara_angle: Option<f64>,
}

/// One row of the table `weights`: one matrix of one variant against base's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightRow {
    /// The variant.
    pub variant: String,
    /// The parameter.
    pub parameter: String,
    /// Norm of the difference over norm of base's.
    pub relative_norm: f64,
    /// Effective rank of the difference: exp of the entropy of its squared singular values' shares.
    /// `None` for large matrices and for zero.
    pub effective_rank: Option<f64>,
    /// Effective rank of base's matrix.
    pub effective_rank_base: Option<f64>,
    /// Participation rank of the difference: (sum of squared singular values)² over the sum of their squares. At most
    /// the effective rank, and there for a matrix of any size. `None` for zero.
    pub participation_rank: Option<f64>,
    /// Participation rank of base's matrix.
    pub participation_rank_base: Option<f64>,
    /// Overlap of the leading left singular spaces (8 directions) of base's and the variant's matrix, 1 = same.
    pub overlap: Option<f64>,
}
