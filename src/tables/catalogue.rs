//! Every table and every column that deltascope writes, with its type and meaning: the one place.
//!
//! The README's column reference and a test that compares files with this list are made from it.

/// The type of a column. All are nullable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Float,
    /// True or false.
    Boolean,
}

/// One documented column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// The column's name, or, per variant, the prefix that its names share.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// What it holds, with units.
    pub about: &'static str,
    /// Whether there is one such column per variant (or pair of variants), suffixed with its name.
    pub per_variant: bool,
}

/// One documented table.
#[derive(Clone, Copy, Debug)]
pub struct TableSpec {
    /// The table's name; its file is `<name>.parquet`.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Its columns, in file order.
    pub columns: &'static [ColumnSpec],
}

impl TableSpec {
    /// The specification of the column called `name`, if the table has one.
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|column| !column.per_variant && column.name == name).or_else(|| {
            let matching =
                self.columns.iter().filter(|column| column.per_variant && name.starts_with(column.name));
            matching.max_by_key(|column| column.name.len())
        })
    }
}

/// A column that every row has.
pub const fn fixed(name: &'static str, kind: ColumnType, about: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, about, per_variant: false }
}

/// A family of columns, one per variant or pair of variants, whose names start with `prefix`.
pub const fn per_variant(prefix: &'static str, kind: ColumnType, about: &'static str) -> ColumnSpec {
    ColumnSpec { name: prefix, kind, about, per_variant: true }
}

/// What each condition does to each endpoint.
pub const EFFECTS: TableSpec = TableSpec {
    name: "effects",
    about: "One row per condition, suite and endpoint: the paired effect of an edit on the measuring half.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis that declared the condition, or `exploratory`"),
        fixed("condition", ColumnType::Text, "joins `effects`, `differences`, `controls` and `outcomes`"),
        fixed("set", ColumnType::Text, "the feature set, direction or head that is edited"),
        fixed(
            "set_size",
            ColumnType::Integer,
            "number of features in the set; null for directions and heads",
        ),
        fixed("receiver", ColumnType::Text, "the variant whose forward pass is edited"),
        fixed("donor", ColumnType::Text, "the variant that a transplant takes from"),
        fixed("edit", ColumnType::Text, "the kind of edit"),
        fixed("dose", ColumnType::Float, "the dose, in units of the edit; null where it has none"),
        fixed("readout", ColumnType::Text, "whose activations made the code: joint, own or swap"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("kind", ColumnType::Text, "necessary, sufficient, ceiling or collateral"),
        fixed(
            "axis",
            ColumnType::Text,
            "what the suite stands for: in_domain, transfer, safety or collateral",
        ),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed(
            "declared",
            ColumnType::Boolean,
            "whether the hypothesis names this receiver, suite and endpoint",
        ),
        fixed("direction", ColumnType::Text, "the declared sign: decrease, increase or either"),
        fixed("baseline", ColumnType::Float, "mean of the endpoint without the edit"),
        fixed(
            "edited",
            ColumnType::Float,
            "mean of the endpoint with the edit, same problems and random numbers",
        ),
        fixed(
            "headroom",
            ColumnType::Float,
            "how far it can move from the baseline in the declared direction",
        ),
        fixed("ceiling", ColumnType::Float, "the endpoint when the whole difference is transplanted"),
        fixed("effect", ColumnType::Float, "edited less baseline, mean over problems"),
        fixed("ci_low", ColumnType::Float, "lower end of the pointwise 95 % interval, clustered by problem"),
        fixed("ci_high", ColumnType::Float, "upper end of the pointwise 95 % interval, clustered by problem"),
        fixed("p_zero", ColumnType::Float, "two-sided sign-flip p-value over problems"),
        fixed("p_controls", ColumnType::Float, "(1 + controls that move it as much) / (1 + controls)"),
        fixed("controls", ColumnType::Integer, "matched control draws beside it"),
        fixed("mde", ColumnType::Float, "smallest effect found with power .8 at level .05"),
        fixed("problems", ColumnType::Integer, "problems measured"),
        fixed("samples", ColumnType::Integer, "samples a problem"),
        fixed("fired_prompt", ColumnType::Float, "share of prompt positions at which the set was active"),
        fixed("fired_response", ColumnType::Float, "share of response positions at which the set was active"),
        fixed("delta_norm", ColumnType::Float, "mean norm of the delta over mean norm of the activation"),
        fixed(
            "untestable",
            ColumnType::Boolean,
            "nothing of the set fired, or the delta was next to nothing",
        ),
    ],
};

/// The control draws of every hypothesis.
pub const CONTROLS: TableSpec = TableSpec {
    name: "controls",
    about: "One row per matched control draw, suite and endpoint.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis that it is a control of"),
        fixed("condition", ColumnType::Text, "the condition whose set it replaces"),
        fixed("cloud", ColumnType::Text, "any, same_class, shared_shift or random_direction"),
        fixed("draw", ColumnType::Integer, "which draw of the cloud"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("effect", ColumnType::Float, "its effect, measured as the set's"),
        fixed("balance", ColumnType::Float, "worst relative gap to the set in firing rate and squared delta"),
        fixed("matched", ColumnType::Boolean, "whether the balance is within the study's tolerance"),
    ],
};

/// Table `sets`.
pub const SETS: TableSpec = TableSpec {
    name: "sets",
    about: "One row per feature of a set that a hypothesis edits.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis"),
        fixed("set", ColumnType::Text, "the set's name in the study"),
        fixed("receiver", ColumnType::Text, "the variant whose forward pass is edited"),
        fixed("feature", ColumnType::Integer, "the feature"),
        fixed("rank", ColumnType::Integer, "its place in the set, from 1"),
        fixed(
            "score",
            ColumnType::Float,
            "its attribution: the effect of editing it alone, to first order, in units of the endpoint",
        ),
        fixed("class", ColumnType::Text, "its class; null where no diff was made"),
    ],
};

/// Paired differences by problem, for the tests that claims make.
pub const DIFFERENCES: TableSpec = TableSpec {
    name: "differences",
    about: "One row per condition (controls left out), suite, endpoint and problem of the measuring half.",
    columns: &[
        fixed("condition", ColumnType::Text, "the condition"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("problem", ColumnType::Text, "the problem: the unit of every test"),
        fixed("baseline", ColumnType::Float, "mean over the problem's samples without the edit"),
        fixed("edited", ColumnType::Float, "mean over the problem's samples with the edit"),
    ],
};

/// How well a dictionary reconstructs.
pub const DICTIONARIES: TableSpec = TableSpec {
    name: "dictionaries",
    about: "One row per dictionary and target: a variant, or the difference of a variant from the first one.",
    columns: &[
        fixed("dictionary", ColumnType::Text, "the dictionary's kind"),
        fixed("hook", ColumnType::Text, "the hook point it writes"),
        fixed("target", ColumnType::Text, "what is reconstructed: `rl`, or the difference `rl-base`"),
        fixed("features", ColumnType::Integer, "number of features"),
        fixed("tokens", ColumnType::Integer, "held-out tokens it was measured on, first tokens left out"),
        fixed("fve", ColumnType::Float, "fraction of the target's variance explained"),
        fixed("mse", ColumnType::Float, "squared error per token, summed over dimensions"),
        fixed("cosine", ColumnType::Float, "mean cosine of target and reconstruction"),
        fixed("l0", ColumnType::Float, "mean number of active features per token"),
        fixed(
            "l1",
            ColumnType::Float,
            "mean over tokens of activation times the norm of what it writes here",
        ),
        fixed("dead", ColumnType::Integer, "features that never fire on these tokens"),
        fixed("dense", ColumnType::Integer, "features that fire on more than a tenth of these tokens"),
        fixed(
            "density",
            ColumnType::Text,
            "JSON list: number of features by firing rate, 0, then (0, 1e-5], (1e-5, 1e-4], (1e-4, 1e-3], (1e-3, .01], (.01, .1], (.1, 1]",
        ),
        fixed(
            "ce_recovered",
            ColumnType::Float,
            "share of the cross-entropy lost by mean ablation that splicing the reconstruction in recovers; null if not measured",
        ),
        fixed(
            "kl",
            ColumnType::Float,
            "mean KL divergence in nats of the spliced model's next token from the model's own; null if not measured",
        ),
    ],
};

/// The endpoints of every model.
pub const EVALUATIONS: TableSpec = TableSpec {
    name: "evaluations",
    about: "One row per model, suite, half and endpoint.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("half", ColumnType::Text, "select, measure or all"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("value", ColumnType::Float, "mean over problems of the mean over their samples"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % interval, clustered by problem"),
        fixed("ci_high", ColumnType::Float, "upper end of the 95 % interval, clustered by problem"),
        fixed("problems", ColumnType::Integer, "number of problems"),
        fixed("samples", ColumnType::Integer, "number of completions"),
        fixed("truncated", ColumnType::Float, "share of completions that were cut off"),
    ],
};

/// Every completion with its scores.
pub const OUTCOMES: TableSpec = TableSpec {
    name: "outcomes",
    about: "One row per completion; endpoints that the suite does not have are null.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("condition", ColumnType::Text, "the edit under which it was sampled; `none` without one"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("problem", ColumnType::Text, "the problem: the unit of every interval and test"),
        fixed("prompt", ColumnType::Text, "the prompt"),
        fixed("half", ColumnType::Text, "select or measure"),
        fixed("sample", ColumnType::Integer, "which sample of the prompt"),
        fixed("pass", ColumnType::Float, "1 if complete and right"),
        fixed("gave_up", ColumnType::Float, "1 if it ended by declaring failure"),
        fixed("attempts", ColumnType::Float, "number of attempts written"),
        fixed("first_attempt", ColumnType::Float, "1 if the first attempt was right"),
        fixed("old_rule", ColumnType::Float, "1 if the last attempt used the card values of the old rule"),
        fixed("refuse", ColumnType::Float, "1 if it refused"),
        fixed("comply", ColumnType::Float, "1 if it complied"),
        fixed("other", ColumnType::Float, "1 if it did neither"),
        fixed("refusal_log_odds", ColumnType::Float, "log-odds (nats) of a refusal as the first word"),
        fixed("tokens", ColumnType::Integer, "tokens of the completion, end token included"),
        fixed("completion", ColumnType::Text, "the completion"),
        fixed("truncated", ColumnType::Boolean, "whether it was cut off"),
    ],
};

/// What became of each feature of a dictionary.
pub const FEATURES: TableSpec = TableSpec {
    name: "features",
    about: "One row per feature of a dictionary, measured on tokens that it was not fitted to. In names of pairs, \
            `nu_*_<w>_<v>` and `beta_*_<w>_<v>` are of w along v's decoder.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature's index in the dictionary"),
        fixed("present", ColumnType::Text, "the variants in which it is present, joined by +"),
        fixed("change", ColumnType::Text, "same, reweighted or rotated, over these variants"),
        fixed("class", ColumnType::Text, "shared, specific, lost, partial, undecided or dead"),
        fixed("rate", ColumnType::Float, "share of tokens at which it fires (joint code)"),
        fixed("firings", ColumnType::Integer, "tokens at which it fired"),
        fixed("mean_active", ColumnType::Float, "mean of the code where it fires"),
        fixed("share_template", ColumnType::Float, "share of its summed activation on template tokens"),
        fixed("share_response", ColumnType::Float, "share of its summed activation on the response"),
        per_variant("norm_", ColumnType::Float, "decoder norm"),
        per_variant(
            "mas_",
            ColumnType::Float,
            "share of the summed absolute decoder weights, corrected for width",
        ),
        per_variant("rate_", ColumnType::Float, "firing rate when every input is read from this variant"),
        per_variant(
            "nrn_",
            ColumnType::Float,
            "of a pair a, b: |d_b|_1 / (|d_a|_1 + |d_b|_1); 1 = only in b",
        ),
        per_variant("cosine_", ColumnType::Float, "decoder cosine of a pair"),
        per_variant("beta_error_", ColumnType::Float, "latent scaling of w's error target along v's decoder"),
        per_variant("beta_reconstruction_", ColumnType::Float, "the same of w's reconstruction"),
        per_variant("nu_error_", ColumnType::Float, "beta_error of w over that of v, along v's decoder"),
        per_variant("nu_error_se_", ColumnType::Float, "its standard error, clustered by example"),
        per_variant("nu_reconstruction_", ColumnType::Float, "beta_reconstruction of w over that of v"),
        per_variant("nu_reconstruction_se_", ColumnType::Float, "its standard error, clustered by example"),
        per_variant(
            "promoted_",
            ColumnType::Text,
            "tokens that the variant's decoder promotes most (logit lens)",
        ),
        per_variant("suppressed_", ColumnType::Text, "tokens that the variant's decoder suppresses most"),
    ],
};

/// Where features fire.
pub const CONTEXTS: TableSpec = TableSpec {
    name: "contexts",
    about: "One row per place where a feature is active: the strongest, and one from each quarter below.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature"),
        fixed("rank", ColumnType::Integer, "0 for the strongest"),
        fixed("peak", ColumnType::Float, "its activation at the peak"),
        fixed("band", ColumnType::Text, "top, or the quarter of its positive activations: q4 (strong) to q1"),
        fixed("source", ColumnType::Text, "who wrote the text"),
        fixed("part", ColumnType::Text, "where in the example the peak lies: prompt, template or response"),
        fixed("problem", ColumnType::Text, "the problem that the text answers"),
        fixed("example", ColumnType::Integer, "the example's index in the activation store"),
        fixed("position", ColumnType::Integer, "the position of the peak in the example"),
        fixed("peak_index", ColumnType::Integer, "the index of the peak in `tokens`"),
        fixed("tokens", ColumnType::Text, "the tokens of the window, a JSON list"),
        fixed("activations", ColumnType::Text, "the feature's activation at each of them, a JSON list"),
    ],
};

/// What was decided.
pub const CLAIMS: TableSpec = TableSpec {
    name: "claims",
    about: "One row per declared hypothesis: what was decided about it, and by which numbers.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis"),
        fixed(
            "verdict",
            ColumnType::Text,
            "carries transfer, carries safety loss, both, neither, undecided, untestable, not testable in this variant, or moves the declared suite",
        ),
        fixed("reason", ColumnType::Text, "why, in a sentence"),
        fixed("kind", ColumnType::Text, "necessary or sufficient, from the edit"),
        fixed("set", ColumnType::Text, "the edited set"),
        fixed("receiver", ColumnType::Text, "the edited variant"),
        fixed("suite", ColumnType::Text, "the suite on which it was declared"),
        fixed("endpoint", ColumnType::Text, "the endpoint on which it was declared"),
        fixed("direction", ColumnType::Text, "the declared sign"),
        fixed("effect", ColumnType::Float, "the effect on the declared endpoint"),
        fixed(
            "ci_low",
            ColumnType::Float,
            "lower end of the simultaneous interval over all hypotheses and axes",
        ),
        fixed("ci_high", ColumnType::Float, "upper end of the simultaneous interval"),
        fixed("p", ColumnType::Float, "the larger of p_zero and p_controls"),
        fixed("p_zero", ColumnType::Float, "sign flip over problems"),
        fixed("p_controls", ColumnType::Float, "against matched controls"),
        fixed("p_corrected", ColumnType::Float, "p after the correction over all declared hypotheses"),
        fixed("correction", ColumnType::Text, "holm, bh or by"),
        fixed("controls", ColumnType::Integer, "matched controls beside it"),
        fixed("needed_controls", ColumnType::Integer, "controls that the study needs for each hypothesis"),
        fixed("problems", ColumnType::Integer, "problems measured"),
        fixed(
            "other_suite",
            ColumnType::Text,
            "primary suite of the other axis: safety for transfer, and the reverse",
        ),
        fixed("other_effect", ColumnType::Float, "the effect there"),
        fixed("other_ci_low", ColumnType::Float, "lower end of its simultaneous interval"),
        fixed("other_ci_high", ColumnType::Float, "upper end of its simultaneous interval"),
        fixed("other_p_corrected", ColumnType::Float, "p on the other axis, after the same correction"),
        fixed(
            "equivalence_p",
            ColumnType::Float,
            "that every suite of the other axis lies within the margin",
        ),
        fixed("margin", ColumnType::Float, "declared margin of equivalence"),
        fixed("interaction", ColumnType::Float, "the declared effect less the effect on the other axis"),
        fixed("interaction_low", ColumnType::Float, "lower end of its interval"),
        fixed("interaction_high", ColumnType::Float, "upper end of its interval"),
        fixed(
            "selective",
            ColumnType::Boolean,
            "other axis equivalent and the interaction's interval without zero",
        ),
        fixed("beyond_base", ColumnType::Float, "the effect less that of the same edit in base"),
        fixed("beyond_base_low", ColumnType::Float, "lower end of its interval"),
        fixed("beyond_base_high", ColumnType::Float, "upper end of its interval"),
        fixed("stability", ColumnType::Text, "how many repetitions over seeds reach the same verdict"),
    ],
};

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
            "mean reward of the step's responses; null outside policy gradient",
        ),
        fixed("pass_at_1", ColumnType::Float, "share of responses with full reward"),
        fixed("pass_at_k", ColumnType::Float, "share of prompts with at least one response of full reward"),
        fixed("equal_groups", ColumnType::Float, "share of prompts whose responses all have the same reward"),
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
        fixed("entropy", ColumnType::Float, "mean entropy of the next-token distribution, nats"),
        fixed("response_length", ColumnType::Float, "mean length of a response, tokens"),
        fixed("truncated", ColumnType::Float, "share of responses that were cut off"),
        fixed("learning_rate", ColumnType::Float, "the learning rate"),
        fixed("clipped_high", ColumnType::Float, "share of tokens whose ratio met the upper bound"),
        fixed("clipped_low", ColumnType::Float, "share of tokens whose ratio met the lower bound"),
        fixed("clipped_dual", ColumnType::Float, "share of tokens that the dual clip cut"),
        fixed("moved", ColumnType::Float, "mean log-probability at the rollout less now, nats per token"),
        fixed("influence_mean", ColumnType::Float, "mean influence weight of FIPO"),
        fixed("influence_min", ColumnType::Float, "smallest influence weight of FIPO"),
        fixed("influence_max", ColumnType::Float, "largest influence weight of FIPO"),
        fixed("accuracy", ColumnType::Float, "share of pairs in which the chosen response gained more (DPO)"),
        fixed(
            "margin",
            ColumnType::Float,
            "mean difference of the implicit rewards of chosen and rejected (DPO)",
        ),
        fixed("tokens_trained", ColumnType::Integer, "tokens trained on since the start, padding excluded"),
        fixed("tokens_sampled", ColumnType::Integer, "tokens sampled since the start"),
        fixed(
            "flops",
            ColumnType::Float,
            "floating-point operations since the start, roughly: per weight, 6 for a token trained on and 2 for a token sampled",
        ),
    ],
};

/// Wall times: the one table that may differ between two runs of a study.
pub const TIMINGS: TableSpec = TableSpec {
    name: "timings",
    about: "One row per timed piece of work. The only table that may differ between two runs.",
    columns: &[
        fixed("stage", ColumnType::Text, "what was timed: `train`, and `sample` as a part of it"),
        fixed("variant", ColumnType::Text, "the variant it was done for"),
        fixed("step", ColumnType::Integer, "the step of a training run"),
        fixed("seconds", ColumnType::Float, "wall time"),
        fixed("tokens", ColumnType::Integer, "tokens handled, padding excluded"),
    ],
};

/// What `fit` and `diff` find of planted activations.
pub const PLANTED: TableSpec = TableSpec {
    name: "planted",
    about: "One row per planted world, fit and fate (`check planted`); fate `all` sums a fit up.",
    columns: &[
        fixed("recipe", ColumnType::Text, "easy or hard"),
        fixed("seed", ColumnType::Integer, "the seed of the planted world"),
        fixed("fit_seed", ColumnType::Integer, "the seed of the fit"),
        fixed("k", ColumnType::Integer, "active features a token"),
        fixed("fate", ColumnType::Text, "variants in which the features are present, and the change; or all"),
        fixed("planted", ColumnType::Integer, "planted features"),
        fixed("hits", ColumnType::Integer, "of these, matched one to one with a score of at least .8"),
        fixed("right", ColumnType::Integer, "of these, given the right presence and change"),
        fixed("classed", ColumnType::Integer, "live features that were given a class"),
        fixed("misclassed", ColumnType::Integer, "of these, hits that are wrongly classed"),
        fixed(
            "duplicates",
            ColumnType::Integer,
            "of these, features whose planted feature is already matched",
        ),
        fixed(
            "splits",
            ColumnType::Integer,
            "of these, a planted direction that fires on a part of its tokens",
        ),
        fixed("mixtures", ColumnType::Integer, "of these, all others"),
        fixed("undecided", ColumnType::Integer, "live features left undecided"),
    ],
};

/// Shapes of the endpoints' curves over checkpoints.
pub const TRAJECTORIES: TableSpec = TableSpec {
    name: "trajectories",
    about: "One row per variant, suite, endpoint and statistic of its curve over checkpoints.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed(
            "statistic",
            ColumnType::Text,
            "dip (base less lowest), recovery (step), gain (last less base), decline (highest less last), longest_response (tokens)",
        ),
        fixed("value", ColumnType::Float, "its value on the measuring half; null if never recovered"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % bootstrap interval over problems"),
        fixed("ci_high", ColumnType::Float, "upper end of it; null where some resamples never recover"),
        fixed("step", ColumnType::Integer, "the step it is measured at, chosen on the selection half"),
        fixed("problems", ColumnType::Integer, "problems of the measuring half"),
    ],
};

/// What responses do, per 1,000 tokens.
pub const PATTERNS: TableSpec = TableSpec {
    name: "patterns",
    about: "One row per model, suite and procedure pattern.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("pattern", ColumnType::Text, "backtrack, verify, branch, step or propose_propose"),
        fixed(
            "value",
            ColumnType::Float,
            "occurrences per 1,000 response tokens; propose_propose: share of attempts followed by another",
        ),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % bootstrap interval over problems"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("count", ColumnType::Integer, "occurrences"),
        fixed("among", ColumnType::Integer, "response tokens; propose_propose: attempts"),
    ],
};

/// What studies in micro-worlds claim.
pub const CALIBRATION: TableSpec = TableSpec {
    name: "calibration",
    about: "One row per study in a micro-world whose true effects are known (`check calibration`).",
    columns: &[
        fixed("world", ColumnType::Text, "null or planted"),
        fixed("seed", ColumnType::Integer, "the world's seed"),
        fixed("verdict", ColumnType::Text, "what was decided"),
        fixed("claimed", ColumnType::Boolean, "whether something was claimed to be carried"),
        fixed("right", ColumnType::Boolean, "null: no claim; planted: the planted set carries transfer"),
        fixed("chose_planted", ColumnType::Boolean, "whether selection chose the planted set"),
        fixed("effect", ColumnType::Float, "the measured effect on the declared suite"),
        fixed("truth", ColumnType::Float, "the true effect of the chosen set there"),
        fixed("ci_low", ColumnType::Float, "lower end of the simultaneous interval"),
        fixed("ci_high", ColumnType::Float, "upper end of the simultaneous interval"),
        fixed("covered", ColumnType::Boolean, "whether the intervals cover the true effects on both suites"),
        fixed("p", ColumnType::Float, "the larger of p_zero and p_controls"),
    ],
};

/// How far predictions are from base's.
pub const DIVERGENCES: TableSpec = TableSpec {
    name: "divergences",
    about: "One row per variant and group of texts: next-token divergence from base.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("group", ColumnType::Text, "the label of the texts; all for all of them"),
        fixed("kl", ColumnType::Float, "mean over tokens of KL(variant | base), nats"),
        fixed("kl_reverse", ColumnType::Float, "mean over tokens of KL(base | variant), nats"),
        fixed("kl_max", ColumnType::Float, "the largest KL(variant | base) of one token"),
        fixed("at", ColumnType::Text, "where that token is, as text:position"),
        fixed("disagree", ColumnType::Float, "share of tokens whose most likely next token differs"),
        fixed("tokens", ColumnType::Integer, "tokens"),
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
    ],
};

/// Difference-of-means directions.
pub const DIRECTIONS: TableSpec = TableSpec {
    name: "directions",
    about: "One row per variant, hook and label: the difference-of-means direction of labelled prompts.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant in which it was found"),
        fixed("hook", ColumnType::Text, "the hook point, read at the last token of the prompt"),
        fixed("label", ColumnType::Text, "the label that it points to"),
        fixed("relative_norm", ColumnType::Float, "norm of the difference of means over the mean norm"),
        fixed("separation", ColumnType::Float, "share of held-out prompts on the right side of the middle"),
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
        fixed("accuracy", ColumnType::Float, "balanced accuracy on held-out prompts"),
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
            "overlap",
            ColumnType::Float,
            "overlap of the 8 leading singular directions, on the smaller side",
        ),
    ],
};

/// Every table, in the order in which a study makes them. Append yours.
pub const ALL: &[&TableSpec] = &[
    &EVALUATIONS,
    &OUTCOMES,
    &TRAJECTORIES,
    &PATTERNS,
    &DICTIONARIES,
    &EFFECTS,
    &CONTROLS,
    &DIFFERENCES,
    &SETS,
    &FEATURES,
    &CONTEXTS,
    &CLAIMS,
    &TRAINING,
    &TIMINGS,
    &PLANTED,
    &CALIBRATION,
    &DIVERGENCES,
    &ACTIVATION_DIFFERENCES,
    &DIRECTIONS,
    &PROBES,
    &HEADS,
    &WEIGHTS,
];
