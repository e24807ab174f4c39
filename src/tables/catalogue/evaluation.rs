//! Tables of what models answer, and how that moves along checkpoints.

use super::spec::{ColumnType, TableSpec, fixed};

/// The endpoints of every model.
pub const EVALUATIONS: TableSpec = TableSpec {
    name: "evaluations",
    about: "One row per model, suite, half and endpoint.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("half", ColumnType::Text, "select, measure or all"),
        fixed(
            "endpoint",
            ColumnType::Text,
            "the endpoint; pass_at_k is the chance that one of k samples is right, missing the share of completions without a score",
        ),
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
        fixed(
            "condition",
            ColumnType::Text,
            "the edit under which it was sampled; `none` in an evaluation, `baseline` beside edits",
        ),
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
        fixed(
            "refuse_whole",
            ColumnType::Float,
            "1 if the whole answer is a refusal, not its first word alone",
        ),
        fixed("refusal_log_odds", ColumnType::Float, "log-odds (nats) of a refusal as the first word"),
        fixed("tokens", ColumnType::Integer, "tokens of the completion, end token included"),
        fixed("completion", ColumnType::Text, "the completion"),
        fixed("truncated", ColumnType::Boolean, "whether it was cut off"),
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
            "dip (base less lowest), recovery (step), gain (last less base), peak (highest less base), decline (highest less last), longest_response (tokens)",
        ),
        fixed(
            "value",
            ColumnType::Float,
            "its value on the measuring half; of recovery null if base was never reached again, or if nothing fell (a dip not above 0)",
        ),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % bootstrap interval over problems"),
        fixed("ci_high", ColumnType::Float, "upper end of it; null where some resamples never recover"),
        fixed("step", ColumnType::Integer, "the step it is measured at, chosen on the selection half"),
        fixed("problems", ColumnType::Integer, "problems of the measuring half"),
    ],
};

/// Shapes of the endpoints' curves over training seeds.
pub const SEED_TRAJECTORIES: TableSpec = TableSpec {
    name: "seed_trajectories",
    about: "One row per variant trained with several seeds, suite, endpoint and statistic of its runs' curves.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("statistic", ColumnType::Text, "as in `trajectories`, each run at its own steps"),
        fixed("runs", ColumnType::Integer, "number of runs"),
        fixed(
            "seeds",
            ColumnType::Integer,
            "runs that have a value; of recovery, those that fell and reached base again",
        ),
        fixed("value", ColumnType::Float, "mean over the runs that have a value"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % interval over them (Student's t)"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("lowest", ColumnType::Float, "the lowest run"),
        fixed("highest", ColumnType::Float, "the highest run"),
    ],
};

/// Curves of studies of other bases.
pub const ELSEWHERE: TableSpec = TableSpec {
    name: "elsewhere",
    about: "One row of `seed_trajectories` of a study of another base that stands beside this one.",
    columns: &[
        fixed("base", ColumnType::Text, "that study's base"),
        fixed("variant", ColumnType::Text, "its variant"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("statistic", ColumnType::Text, "as in `trajectories`"),
        fixed("runs", ColumnType::Integer, "number of runs"),
        fixed("seeds", ColumnType::Integer, "runs that have a value"),
        fixed("value", ColumnType::Float, "mean over the runs that have a value"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % interval over them (Student's t)"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("lowest", ColumnType::Float, "the lowest run"),
        fixed("highest", ColumnType::Float, "the highest run"),
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

/// Variants over their training seeds.
pub const SEEDS: TableSpec = TableSpec {
    name: "seeds",
    about: "One row per variant trained with several seeds, checkpoint, suite and endpoint, on the measuring half.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "the endpoint"),
        fixed("seeds", ColumnType::Integer, "number of runs"),
        fixed("value", ColumnType::Float, "mean over runs"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % interval over runs (Student's t)"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("lowest", ColumnType::Float, "the lowest run"),
        fixed("highest", ColumnType::Float, "the highest run"),
    ],
};

/// Methods beside each other, with training seeds as units.
pub const COMPARISONS: TableSpec = TableSpec {
    name: "comparisons",
    about: "One row per suite and variant trained with several seeds: its end against that of the first such variant.",
    columns: &[
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("endpoint", ColumnType::Text, "its main endpoint"),
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("reference", ColumnType::Text, "the variant that it is compared with"),
        fixed("seeds", ColumnType::Integer, "pairs of runs with equal training seed"),
        fixed("difference", ColumnType::Float, "variant less reference, mean over pairs"),
        fixed("ci_low", ColumnType::Float, "lower end of the 95 % interval over pairs (Student's t)"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("p", ColumnType::Float, "exact two-sided sign flip over pairs"),
        fixed("p_corrected", ColumnType::Float, "Holm's correction over the variants compared on the suite"),
        fixed("verdict", ColumnType::Text, "higher, lower, undecided, or too few seeds to decide"),
    ],
};

/// How far a judge and the word rule agree.
pub const AGREEMENTS: TableSpec = TableSpec {
    name: "agreements",
    about: "One row per model and suite whose judge is compared with the word rule, over the completions that both labelled.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("completions", ColumnType::Integer, "completions that both labelled"),
        fixed("missing", ColumnType::Integer, "completions without a verdict of the judge"),
        fixed("agreed", ColumnType::Float, "share that both labelled alike: refuse, comply or evade"),
        fixed(
            "kappa",
            ColumnType::Float,
            "Cohen's kappa of the three labels; null where both gave but one and the same",
        ),
        fixed("ci_low", ColumnType::Float, "lower end of its 95 % bootstrap interval over problems"),
        fixed("ci_high", ColumnType::Float, "upper end of it"),
        fixed("refused_by_both", ColumnType::Integer, "completions that refuse by the judge and by the rule"),
        fixed("refused_by_judge_only", ColumnType::Integer, "completions that refuse by the judge alone"),
        fixed("refused_by_rule_only", ColumnType::Integer, "completions that refuse by the rule alone"),
    ],
};

/// Completions about which a judge and the word rule differ.
pub const DISAGREEMENTS: TableSpec = TableSpec {
    name: "disagreements",
    about: "One row per completion that the judge and the word rule label otherwise.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "step of its checkpoint; 0 for base and given models"),
        fixed("suite", ColumnType::Text, "the suite"),
        fixed("problem", ColumnType::Text, "the problem"),
        fixed("prompt", ColumnType::Text, "the prompt"),
        fixed("sample", ColumnType::Integer, "which sample of the prompt"),
        fixed("judge", ColumnType::Text, "the judge's label: refuse, comply or evade"),
        fixed("rule", ColumnType::Text, "the word rule's label"),
        fixed("completion", ColumnType::Text, "the completion"),
    ],
};
