//! Tables of a training run.

use super::spec::{ColumnType, TableSpec, fixed};

/// Every step of every training run.
pub const TRAINING: TableSpec = TableSpec {
    name: "training",
    about: "One row per step of a training run.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant that is trained"),
        fixed("step", ColumnType::Integer, "the number of steps done, from 1"),
        fixed(
            "loss",
            ColumnType::Float,
            "the loss that was minimised; for policy gradient it is no measure of progress",
        ),
        fixed(
            "reward",
            ColumnType::Float,
            "mean reward that the verifier gave the step's responses; null where nothing is sampled",
        ),
        fixed(
            "length_penalty",
            ColumnType::Float,
            "taken off the reward for nearly running out of tokens, mean; null outside policy gradient",
        ),
        fixed(
            "kl_penalty",
            ColumnType::Float,
            "taken off the reward for moving away from the reference, mean; null where no KL stands in the reward",
        ),
        fixed("pass_at_1", ColumnType::Float, "share of responses with full reward"),
        fixed("pass_at_k", ColumnType::Float, "share of prompts with at least one response of full reward"),
        fixed("equal_groups", ColumnType::Float, "share of prompts whose responses all have the same reward"),
        fixed(
            "groups_trained",
            ColumnType::Integer,
            "groups of responses that the step's updates were made from (of rejection sampling: problems with a response kept; of own preferences: problems with a pair); null on steps that sample nothing",
        ),
        fixed(
            "groups_missing",
            ColumnType::Integer,
            "groups of unequal reward still lacking after the last redraw (DAPO, FIPO); null where none are drawn again",
        ),
        fixed(
            "updates_missing",
            ColumnType::Integer,
            "updates that the step was to make and did not, for too few of its groups teach anything; null outside policy gradient",
        ),
        fixed(
            "kl_to_base",
            ColumnType::Float,
            "KL(variant || base), nats per response token, over the whole vocabulary; null where not measured",
        ),
        fixed(
            "gradient_norm",
            ColumnType::Float,
            "norm of the whole gradient before clipping, the largest of the step's updates",
        ),
        fixed(
            "entropy",
            ColumnType::Float,
            "mean entropy of the next-token distribution over response tokens, nats; of policy gradient and rejection sampling over all that were sampled, as they were sampled (null on steps that sample nothing), else over those trained on",
        ),
        fixed(
            "response_length",
            ColumnType::Float,
            "mean length of a response, tokens; where responses are sampled, of all of them; null on steps that sample nothing",
        ),
        fixed("truncated", ColumnType::Float, "share of those responses that were cut off"),
        fixed("learning_rate", ColumnType::Float, "the learning rate"),
        fixed(
            "clipped_high",
            ColumnType::Float,
            "share of the minibatches' tokens whose ratio met the upper bound; null where no group was left",
        ),
        fixed("clipped_low", ColumnType::Float, "share of them whose ratio met the lower bound"),
        fixed("clipped_dual", ColumnType::Float, "share of them that the dual clip cut"),
        fixed("moved", ColumnType::Float, "mean log-probability at the rollout less now, nats per token"),
        fixed("influence_mean", ColumnType::Float, "mean influence weight of FIPO"),
        fixed("influence_min", ColumnType::Float, "smallest influence weight of FIPO"),
        fixed("influence_max", ColumnType::Float, "largest influence weight of FIPO"),
        fixed("value_loss", ColumnType::Float, "mean clipped squared error of the value head, halved (PPO)"),
        fixed("accuracy", ColumnType::Float, "share of pairs in which the chosen response gained more (DPO)"),
        fixed(
            "margin",
            ColumnType::Float,
            "mean difference of the implicit rewards of chosen and rejected (DPO)",
        ),
        fixed("updates", ColumnType::Integer, "updates of the weights since the start"),
        fixed("tokens_trained", ColumnType::Integer, "tokens trained on since the start, padding excluded"),
        fixed("tokens_sampled", ColumnType::Integer, "tokens sampled since the start"),
        fixed(
            "tokens_scored",
            ColumnType::Integer,
            "tokens that only went forward since the start: prompts of samples, the reference, the value head's first look",
        ),
        fixed(
            "flops",
            ColumnType::Float,
            "floating-point operations since the start, roughly: per weight, 6 for a token trained on and 2 for one sampled or scored; a prompt counts with each of its responses, an adapter as its whole matrix",
        ),
    ],
};

/// Wall times: the one table that may differ between two runs of a study.
pub const TIMINGS: TableSpec = TableSpec {
    name: "timings",
    about: "One row per timed piece of work. The only table that may differ between two runs.",
    columns: &[
        fixed(
            "stage",
            ColumnType::Text,
            "what was timed: a stage; `train`, and `sample` as a part of it; the declared and the exploratory experiments",
        ),
        fixed("variant", ColumnType::Text, "the variant it was done for"),
        fixed("step", ColumnType::Integer, "the step of a training run"),
        fixed("seconds", ColumnType::Float, "wall time"),
        fixed("tokens", ColumnType::Integer, "tokens handled, padding excluded"),
    ],
};
