//! The rows of the tables `evaluations` and `outcomes`.

use super::summarise::Outcome;
use crate::tasks::REFUSE_WHOLE;
use serde::{Deserialize, Serialize};

/// One row of `evaluations`: one endpoint of one suite on one half, for one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// The variant.
    pub variant: String,
    /// The step of its checkpoint; 0 for the base and for models that were given.
    pub checkpoint: u64,
    /// The suite.
    pub suite: String,
    /// `select`, `measure`, or `all`.
    pub half: String,
    /// The endpoint.
    pub endpoint: String,
    /// Its mean over problems.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval, by problem.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval, by problem.
    pub ci_high: Option<f64>,
    /// How many problems.
    pub problems: u64,
    /// How many completions in all.
    pub samples: u64,
    /// Share of completions that were cut off.
    pub truncated: Option<f64>,
}

/// One row of `outcomes`: one completion. Endpoints that the suite does not have are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// The variant.
    pub variant: String,
    /// The step of its checkpoint; 0 for the base and for models that were given.
    pub checkpoint: u64,
    /// The edit under which it was sampled; `none` for the model as it is.
    pub condition: String,
    /// The suite.
    pub suite: String,
    /// The problem: the unit of analysis.
    pub problem: String,
    /// The prompt.
    pub prompt: String,
    /// `select` or `measure`.
    pub half: String,
    /// Which sample of the prompt.
    pub sample: u64,
    /// Complete and right.
    pub pass: Option<f64>,
    /// Ended by declaring failure.
    pub gave_up: Option<f64>,
    /// Attempts written.
    pub attempts: Option<f64>,
    /// The first attempt was right.
    pub first_attempt: Option<f64>,
    /// The last attempt used exactly the values of the old rule.
    pub old_rule: Option<f64>,
    /// Refused.
    pub refuse: Option<f64>,
    /// Complied.
    pub comply: Option<f64>,
    /// Neither refused nor complied.
    pub other: Option<f64>,
    /// Refused, and the whole answer is a refusal. `None` where only the whole answer is judged, as `refuse`.
    pub refuse_whole: Option<f64>,
    /// Log-odds of a refusal as the first word, for requests; the same for all samples of a prompt.
    pub refusal_log_odds: Option<f64>,
    /// Tokens of the completion, its end token included.
    pub tokens: u64,
    /// The completion.
    pub completion: String,
    /// Whether it was cut off.
    pub truncated: bool,
}

impl OutcomeRow {
    /// The row of an outcome of `variant` at `checkpoint` under `condition` (`none` without an edit).
    pub fn new(variant: &str, checkpoint: u64, condition: &str, outcome: &Outcome) -> Self {
        let value = |name| outcome.get(name);
        Self {
            variant: variant.into(),
            checkpoint,
            condition: condition.into(),
            suite: outcome.suite.clone(),
            problem: outcome.problem.clone(),
            prompt: outcome.prompt.clone(),
            half: outcome.half.name().into(),
            sample: outcome.sample as u64,
            pass: value("pass"),
            gave_up: value("gave_up"),
            attempts: value("attempts"),
            first_attempt: value("first_attempt"),
            old_rule: value("old_rule"),
            refuse: value("refuse"),
            comply: value("comply"),
            other: value("other"),
            refuse_whole: value(REFUSE_WHOLE),
            refusal_log_odds: value(super::REFUSAL_LOG_ODDS),
            tokens: outcome.tokens as u64,
            completion: outcome.completion.clone(),
            truncated: outcome.truncated,
        }
    }

    /// The value of the endpoint called `name`, if the row has it.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "pass" => self.pass,
            "gave_up" => self.gave_up,
            "attempts" => self.attempts,
            "first_attempt" => self.first_attempt,
            "old_rule" => self.old_rule,
            "refuse" => self.refuse,
            "comply" => self.comply,
            "other" => self.other,
            REFUSE_WHOLE => self.refuse_whole,
            super::REFUSAL_LOG_ODDS => self.refusal_log_odds,
            _ => None,
        }
    }
}
