//! Tables of what differs between models beyond features.

use super::spec::{ColumnType, TableSpec, fixed};

/// How far predictions are from base's.
pub const DIVERGENCES: TableSpec = TableSpec {
    name: "divergences",
    about: "One row per pair of models and group of texts: next-token divergence from base, and between variants.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("against", ColumnType::Text, "what it is compared with: base, or a variant before it"),
        fixed("group", ColumnType::Text, "the label of the texts; all for all of them"),
        fixed("kl", ColumnType::Float, "mean over tokens of KL(variant | against), nats"),
        fixed("kl_reverse", ColumnType::Float, "mean over tokens of KL(against | variant), nats"),
        fixed("kl_max", ColumnType::Float, "the largest KL(variant | against) of one token"),
        fixed("at", ColumnType::Text, "where that token is, as text:position"),
        fixed("disagree", ColumnType::Float, "share of tokens whose most likely next token differs"),
        fixed("tokens", ColumnType::Integer, "tokens"),
    ],
};

/// Where predictions differ most.
pub const DIVERGENT_TOKENS: TableSpec = TableSpec {
    name: "divergent_tokens",
    about: "One row per pair of models and place: where their expectations differ most, one place of each text.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("against", ColumnType::Text, "what it is compared with: base, or a variant before it"),
        fixed("rank", ColumnType::Integer, "from 1, the largest divergence first"),
        fixed("group", ColumnType::Text, "the label of the text"),
        fixed("at", ColumnType::Text, "text and position of the last token that is read, as text:position"),
        fixed("kl", ColumnType::Float, "KL(variant | against) of the next token, nats"),
        fixed("context", ColumnType::Text, "the tokens read last, as a JSON list"),
        fixed("expected", ColumnType::Text, "the token that the variant expects next"),
        fixed("expected_against", ColumnType::Text, "the token that the other expects"),
    ],
};

/// Mean differences on the first tokens.
pub const ACTIVATION_DIFFERENCES: TableSpec = TableSpec {
    name: "activation_differences",
    about: "One row per variant and position: the mean difference from base, through the logit lens.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("hook", ColumnType::Text, "the hook point"),
        fixed("position", ColumnType::Integer, "the position in the text"),
        fixed("relative_norm", ColumnType::Float, "norm of the mean difference over base's mean norm"),
        fixed(
            "consistency",
            ColumnType::Float,
            "mean cosine of a text's difference with the mean difference",
        ),
        fixed("prompts", ColumnType::Integer, "texts that reach the position"),
        fixed("promoted", ColumnType::Text, "tokens that the mean difference promotes most in the variant"),
        fixed("suppressed", ColumnType::Text, "tokens that it suppresses most"),
        fixed(
            "steered",
            ColumnType::Text,
            "tokens that become likelier when it is added to base with the norm of base's activation",
        ),
        fixed("kl", ColumnType::Float, "KL(variant | base) of the token after the texts, nats"),
        fixed(
            "kl_projected_out",
            ColumnType::Float,
            "the same with the mean difference projected out of the variant",
        ),
    ],
};

/// Difference-of-means directions.
pub const DIRECTIONS: TableSpec = TableSpec {
    name: "directions",
    about: "One row per variant, hook and label: the difference-of-means direction of labelled prompts.",
    columns: &[
        fixed(
            "variant",
            ColumnType::Text,
            "the variant, or its checkpoint (`sft@40`), in which it was found",
        ),
        fixed("hook", ColumnType::Text, "the hook point"),
        fixed("label", ColumnType::Text, "the label that it points to"),
        fixed("read_at", ColumnType::Text, "last prompt token, or the mean over the response"),
        fixed("relative_norm", ColumnType::Float, "norm of the difference of means over the mean norm"),
        fixed(
            "separation",
            ColumnType::Float,
            "share of the prompts of held-out problems on the right side of the middle",
        ),
        fixed("cosine_to_base", ColumnType::Float, "cosine with base's direction of the same hook and label"),
        fixed(
            "projection_labelled",
            ColumnType::Float,
            "mean place of the label's prompts on base's direction",
        ),
        fixed("projection_other", ColumnType::Float, "the same of all other prompts"),
        fixed("log_odds", ColumnType::Float, "log-odds of the watched tokens on the label's prompts"),
        fixed("log_odds_ablated", ColumnType::Float, "the same with the direction taken out everywhere"),
        fixed("log_odds_steered", ColumnType::Float, "log-odds on other prompts with the direction added"),
        fixed("kl_other", ColumnType::Float, "KL on other prompts when it is taken out, nats"),
        fixed("selected", ColumnType::Boolean, "selected by the rule of Arditi et al."),
    ],
};

/// Logistic probes.
pub const PROBES: TableSpec = TableSpec {
    name: "probes",
    about: "One row per variant, hook and label: a logistic probe at the last token of the prompt.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("hook", ColumnType::Text, "the hook point"),
        fixed("label", ColumnType::Text, "the label that is told from all others"),
        fixed("accuracy", ColumnType::Float, "balanced accuracy on the prompts of held-out problems"),
        fixed("accuracy_shuffled", ColumnType::Float, "the same with shuffled labels"),
        fixed("selectivity", ColumnType::Float, "accuracy less shuffled accuracy"),
        fixed("accuracy_of_base_probe", ColumnType::Float, "accuracy here of the probe fitted on base"),
        fixed("fitted", ColumnType::Integer, "prompts it was fitted on"),
        fixed("held_out", ColumnType::Integer, "prompts it was judged on"),
    ],
};

/// Attention heads.
pub const HEADS: TableSpec = TableSpec {
    name: "heads",
    about: "One row per variant, group of prompts and head: what zeroing the head does.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("group", ColumnType::Text, "the label of the prompts"),
        fixed("layer", ColumnType::Integer, "the block"),
        fixed("head", ColumnType::Integer, "the head"),
        fixed("ships", ColumnType::Float, "KL(whole | head zeroed) of the first response token, nats"),
        fixed("share", ColumnType::Float, "the head's share of the ships of all heads of the variant"),
        fixed(
            "share_lost",
            ColumnType::Float,
            "base's share less this one: what the head lost; null for base",
        ),
        fixed("log_odds_change", ColumnType::Float, "change of the watched tokens' log-odds"),
        fixed("sahara_rank", ColumnType::Integer, "when the greedy search took it, from 1"),
        fixed(
            "sahara_angle",
            ColumnType::Float,
            "degrees to the whole model, with the earlier heads zeroed too",
        ),
    ],
};

/// Weight differences.
pub const WEIGHTS: TableSpec = TableSpec {
    name: "weights",
    about: "One row per variant and matrix: how it differs from base's.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("parameter", ColumnType::Text, "the parameter"),
        fixed("relative_norm", ColumnType::Float, "norm of the difference over norm of base's"),
        fixed(
            "effective_rank",
            ColumnType::Float,
            "effective rank of the difference; null for large matrices",
        ),
        fixed("effective_rank_base", ColumnType::Float, "effective rank of base's matrix"),
        fixed(
            "participation_rank",
            ColumnType::Float,
            "(sum of squared singular values)^2 over the sum of their squares, of the difference; null for zero",
        ),
        fixed("participation_rank_base", ColumnType::Float, "the same of base's matrix"),
        fixed(
            "overlap",
            ColumnType::Float,
            "overlap of the 8 leading singular directions, on the smaller side",
        ),
    ],
};
