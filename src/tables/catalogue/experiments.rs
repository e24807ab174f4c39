//! Tables of effects, their controls, and what is claimed of them.

use super::spec::{ColumnSpec, ColumnType, TableSpec, fixed};

/// What each condition does to each endpoint.
pub const EFFECTS: TableSpec = TableSpec {
    name: "effects",
    about: "One row per condition, suite and endpoint: the paired effect of an edit on the measuring half.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis that declared the condition, or `exploratory`"),
        fixed(
            "condition",
            ColumnType::Text,
            "joins `effects`, `differences`, `controls` and `outcomes`: the hypothesis itself, or the hypothesis and \
             | in base (the same edit there), | whole_difference and | error_only (ceilings), | transplant (beside a removal: \
             base's part of the set in its place), | dose (another dose), | greedy (without chance; no outcomes)",
        ),
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
        fixed(
            "readout_f1",
            ColumnType::Float,
            "least F1 of the readout against the joint code over the set's features, held out; null for joint",
        ),
        fixed("readout_r2", ColumnType::Float, "least share of the joint code's variance that it explains"),
        fixed("positions", ColumnType::Text, "where the edit may act: all, prompt or response"),
        fixed(
            "hook",
            ColumnType::Text,
            "the hook at which a direction is edited; null for features and heads",
        ),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed(
            "kind",
            ColumnType::Text,
            "necessary (takes from a post-trained model), sufficient (adds to base), other (declared, neither), ceiling or exploratory",
        ),
        fixed(
            "axis",
            ColumnType::Text,
            "what the suite stands for: in_domain, transfer, safety or collateral",
        ),
        fixed(
            "endpoint",
            ColumnType::Text,
            "the endpoint; beside the suite's own: cut_off (share of answers that were cut off), refusal_log_odds, cross_entropy",
        ),
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
        fixed(
            "ci_low",
            ColumnType::Float,
            "lower end of the pointwise 95 % interval over problems (Student's t)",
        ),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("p_zero", ColumnType::Float, "two-sided sign-flip p-value over problems"),
        fixed(
            "p_controls",
            ColumnType::Float,
            "(1 + controls that move it as much) / (1 + controls), the controls widened (claims.widening)",
        ),
        fixed(
            "controls",
            ColumnType::Integer,
            "matched control draws beside it; of a set of features without the random directions",
        ),
        fixed("mde", ColumnType::Float, "smallest effect found with power .8 at level .05"),
        fixed("problems", ColumnType::Integer, "problems measured"),
        fixed("samples", ColumnType::Integer, "samples a problem"),
        fixed("fired_prompt", ColumnType::Float, "share of prompt positions at which the set was active"),
        fixed("fired_response", ColumnType::Float, "share of response positions at which the set was active"),
        fixed("delta_norm", ColumnType::Float, "mean norm of the delta over mean norm of the activation"),
        fixed(
            "as_patched",
            ColumnType::Float,
            "share of completions that are those of the full patch, for the same prompts and random numbers",
        ),
        fixed("distinct", ColumnType::Float, "different completions of a prompt over its completions"),
        fixed("distinct_before", ColumnType::Float, "the same without the edit"),
        fixed(
            "likelihood",
            ColumnType::Float,
            "mean log-probability (nats) of a response token under the unedited receiver",
        ),
        fixed("likelihood_before", ColumnType::Float, "the same of the completions without the edit"),
        fixed(
            "base_likelihood",
            ColumnType::Float,
            "mean log-probability (nats) of a response token under base",
        ),
        fixed("base_likelihood_before", ColumnType::Float, "the same of the completions without the edit"),
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
        fixed(
            "cloud",
            ColumnType::Text,
            "any, same_class, shared_shift, borrowed_set, random_direction or any_head",
        ),
        fixed("draw", ColumnType::Integer, "which draw of the cloud"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("effect", ColumnType::Float, "its effect, measured as the set's"),
        fixed("set_effect", ColumnType::Float, "the effect of the tested set on the same prompts"),
        fixed(
            "balance",
            ColumnType::Float,
            "worst relative gap to the set in firing rate and squared delta on this suite, over prompt and response",
        ),
        fixed("matched", ColumnType::Boolean, "whether the balance is within the study's tolerance"),
        fixed(
            "alike",
            ColumnType::Float,
            "mean cosine of what it writes on this suite with what the other controls that count write (of heads: by the heads in common); null where it does not count, and beside a direction",
        ),
        fixed("like_set", ColumnType::Float, "the same cosine with what the tested set writes"),
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

/// What was decided.
pub const CLAIMS: TableSpec = TableSpec {
    name: "claims",
    about: "One row per declared hypothesis: what was decided about it, and by which numbers.",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis"),
        fixed(
            "verdict",
            ColumnType::Text,
            "carries transfer, carries safety loss, both, neither, no more than in base, moves the refusal token, breaks the text, moves the declared suite, undecided, untestable, or not testable in this variant",
        ),
        fixed("reason", ColumnType::Text, "why, in a sentence"),
        fixed(
            "kind",
            ColumnType::Text,
            "necessary (takes from a post-trained model), sufficient (adds to base) or other, from edit and receiver",
        ),
        fixed("set", ColumnType::Text, "the edited set"),
        fixed("receiver", ColumnType::Text, "the edited variant"),
        fixed("suite", ColumnType::Text, "the suite on which it was declared"),
        fixed("endpoint", ColumnType::Text, "the endpoint on which it was declared"),
        fixed("direction", ColumnType::Text, "the declared sign"),
        fixed(
            "gain",
            ColumnType::Float,
            "the receiver's baseline less base's on the declared suite; null where base was not measured",
        ),
        fixed("effect", ColumnType::Float, "the effect on the declared endpoint"),
        fixed(
            "whole_answer",
            ColumnType::Float,
            "the effect on refusals whose whole answer is one; null where the declared endpoint reads it anyway",
        ),
        fixed("whole_answer_low", ColumnType::Float, "lower end of its interval"),
        fixed("whole_answer_high", ColumnType::Float, "upper end of its interval"),
        fixed(
            "damage",
            ColumnType::Float,
            "nats by which a response token is less likely under the edit, to whichever of receiver and base likes it better",
        ),
        fixed(
            "as_patched",
            ColumnType::Float,
            "share of completions that are those of the full patch, for the same prompts and random numbers",
        ),
        fixed("ci_low", ColumnType::Float, "lower end of its interval"),
        fixed("ci_high", ColumnType::Float, "upper end of its interval"),
        fixed(
            "interval",
            ColumnType::Text,
            "simultaneous (over all hypotheses, axes and contrasts) or false coverage (of the selected ones, with bh and by)",
        ),
        fixed(
            "ceiling",
            ColumnType::Float,
            "the effect of replacing the whole activation by the donor's, or base's; null where there is none",
        ),
        fixed("p", ColumnType::Float, "the larger of p_zero and p_controls"),
        fixed("p_zero", ColumnType::Float, "sign flip over problems"),
        fixed("p_controls", ColumnType::Float, "against matched controls"),
        fixed("p_corrected", ColumnType::Float, "p after the correction over all declared hypotheses"),
        fixed("correction", ColumnType::Text, "holm, bh or by"),
        fixed("controls", ColumnType::Integer, "matched controls beside it"),
        fixed(
            "widening",
            ColumnType::Float,
            "factor by which the controls' distances from their mean are widened before the effect is ranked; null where they are copies of one another",
        ),
        fixed("needed_controls", ColumnType::Integer, "controls that the study needs for each hypothesis"),
        fixed("problems", ColumnType::Integer, "problems measured"),
        fixed(
            "other_suite",
            ColumnType::Text,
            "primary suite of the other axis: safety for transfer, and the reverse",
        ),
        fixed(
            "other_endpoint",
            ColumnType::Text,
            "the endpoint there that other_effect, its interval and p, and interaction are about",
        ),
        fixed("other_effect", ColumnType::Float, "the effect there"),
        fixed("other_ci_low", ColumnType::Float, "lower end of its simultaneous interval"),
        fixed("other_ci_high", ColumnType::Float, "upper end of its simultaneous interval"),
        fixed("other_p_corrected", ColumnType::Float, "p on the other axis, after the same correction"),
        fixed(
            "equivalence_endpoint",
            ColumnType::Text,
            "the endpoint there on which equivalence is judged: one in nats where there is one",
        ),
        fixed(
            "equivalence_p",
            ColumnType::Float,
            "that every suite of the other axis lies within the margin, after the same correction",
        ),
        fixed("margin", ColumnType::Float, "declared margin of equivalence, for shares"),
        fixed("margin_nats", ColumnType::Float, "declared margin of equivalence, for endpoints in nats"),
        fixed(
            "interaction",
            ColumnType::Float,
            "the declared effect less the effect on the other axis; null where one of them is no share",
        ),
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
        fixed("in_base", ColumnType::Float, "the effect of the same edit in base"),
        fixed(
            "transplant",
            ColumnType::Float,
            "beside an edit that removes the set: the effect of putting base's part of the set in its place",
        ),
        fixed("transplant_low", ColumnType::Float, "lower end of its interval, in the same family"),
        fixed("transplant_high", ColumnType::Float, "upper end of its interval"),
        fixed("readout", ColumnType::Text, "whose activations made the code: joint, own or swap"),
        fixed("readout_f1", ColumnType::Float, "the readout's least F1 over the set; null for joint"),
        fixed(
            "difference_fve",
            ColumnType::Float,
            "share of the variance of the receiver's difference from base that the dictionary explains",
        ),
        fixed("stability", ColumnType::Text, "how many repetitions over seeds reach the same verdict"),
    ],
};

/// The hypotheses under other seeds.
pub const REPETITIONS: TableSpec = TableSpec {
    name: "repetitions",
    about: "One row per declared hypothesis and repetition of the study under another seed. On a page that shows another study's repetitions, those.",
    columns: ASKED_AGAIN,
};

/// The hypotheses of a null study.
pub const NULLS: TableSpec = TableSpec {
    name: "nulls",
    about: "One row per hypothesis of the null study that stands beside this one.",
    columns: ASKED_AGAIN,
};

const ASKED_AGAIN: &[ColumnSpec] = &[
    fixed("under", ColumnType::Text, "what was different: the seed, or the null study's name"),
    fixed("hypothesis", ColumnType::Text, "the hypothesis"),
    fixed("receiver", ColumnType::Text, "the edited variant"),
    fixed("suite", ColumnType::Text, "the declared suite"),
    fixed("endpoint", ColumnType::Text, "the declared endpoint"),
    fixed("verdict", ColumnType::Text, "what was decided"),
    fixed("effect", ColumnType::Float, "the effect on the declared endpoint"),
    fixed("ci_low", ColumnType::Float, "lower end of its simultaneous interval"),
    fixed("ci_high", ColumnType::Float, "upper end of it"),
    fixed("p_corrected", ColumnType::Float, "the corrected p-value"),
];

/// What studies in micro-worlds claim.
pub const CALIBRATION: TableSpec = TableSpec {
    name: "calibration",
    about: "One row per study in a micro-world whose true effects are known (`check calibration`).",
    columns: &[
        fixed(
            "level",
            ColumnType::Text,
            "activations, or model: a decoder with planted weights is in the loop",
        ),
        fixed(
            "world",
            ColumnType::Text,
            "planted, or where every claim is false: null, shared skill (base has it too), disjoint halves (what selects is of \
             another source than what measures), permuted pairs (what is right has nothing to do with what is asked)",
        ),
        fixed("seed", ColumnType::Integer, "the world's seed"),
        fixed("verdict", ColumnType::Text, "what was decided"),
        fixed("claimed", ColumnType::Boolean, "whether something was claimed to be carried"),
        fixed("right", ColumnType::Boolean, "planted: the planted set carries transfer; else: no claim"),
        fixed(
            "chose_planted",
            ColumnType::Boolean,
            "whether selection chose the planted set (in a model: most of its effect)",
        ),
        fixed("effect", ColumnType::Float, "the measured effect on the declared suite"),
        fixed("truth", ColumnType::Float, "planted: the true effect of the chosen set there; else: 0"),
        fixed("ci_low", ColumnType::Float, "lower end of the simultaneous interval"),
        fixed("ci_high", ColumnType::Float, "upper end of the simultaneous interval"),
        fixed("own_low", ColumnType::Float, "lower end of the interval that the effect has by itself"),
        fixed("own_high", ColumnType::Float, "upper end of that interval"),
        fixed("own_covered", ColumnType::Boolean, "whether that interval covers the true effect"),
        fixed(
            "covered",
            ColumnType::Boolean,
            "whether the simultaneous intervals cover the true effects on both suites, their difference, and the effect beyond base",
        ),
        fixed("p", ColumnType::Float, "the larger of p_zero and p_controls"),
    ],
};

/// A published protocol on the same data.
pub const PUBLISHED: TableSpec = TableSpec {
    name: "published",
    about: "One row per variant, task and intervention of a published protocol, run on the same data.",
    columns: &[
        fixed("protocol", ColumnType::Text, "shi2026"),
        fixed("suite", ColumnType::Text, "the task"),
        fixed("variant", ColumnType::Text, "the trained variant"),
        fixed("receiver", ColumnType::Text, "the edited variant"),
        fixed("edit", ColumnType::Text, "zero (in the variant) or scale (in base)"),
        fixed("features", ColumnType::Integer, "features kept on every task"),
        fixed("items", ColumnType::Integer, "items that base fails and the variant solves"),
        fixed("problems", ColumnType::Integer, "items looked at"),
        fixed(
            "effect",
            ColumnType::Float,
            "pass rate under the edit less before, on the items that selected",
        ),
        fixed("effect_of_nothing", ColumnType::Float, "the same without an edit, under fresh random numbers"),
        fixed(
            "effect_of_random",
            ColumnType::Float,
            "the same under the edit of as many random live features",
        ),
        fixed("effect_unfiltered", ColumnType::Float, "the edit's effect on unfiltered measuring problems"),
        fixed("p_unfiltered", ColumnType::Float, "its sign-flip p-value over problems"),
    ],
};

/// Dose series.
pub const TRENDS: TableSpec = TableSpec {
    name: "trends",
    about: "One row per hypothesis with a dose series, suite and endpoint: does more of the edit do more?",
    columns: &[
        fixed("hypothesis", ColumnType::Text, "the hypothesis"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("doses", ColumnType::Text, "JSON list of doses; 0 is the unedited receiver"),
        fixed("values", ColumnType::Text, "JSON list of the endpoint's means at these doses"),
        fixed("slope", ColumnType::Float, "change per unit of dose: mean over problems of their slopes"),
        fixed(
            "ci_low",
            ColumnType::Float,
            "lower end of its pointwise 95 % interval over problems (Student's t)",
        ),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("p", ColumnType::Float, "two-sided sign flip of the problems' slopes"),
        fixed("monotone", ColumnType::Boolean, "whether the means rise or fall all the way"),
    ],
};
