//! What a study says about a training run, and the recipes behind the defaults.

use super::lora::LoraSettings;
use super::or_none::or_none;
use super::schedule::Schedule;
use crate::error::{Error, Result, nearest};
use crate::ops::Gradients;
use serde::{Deserialize, Serialize};

/// AdamW's constants and the clip of the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserSettings {
    /// Decay of the gradient's mean.
    pub beta1: f64,
    /// Decay of the gradient's square.
    pub beta2: f64,
    /// Added to the root of the gradient's square.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices; norms and biases have none.
    pub weight_decay: f64,
    /// The gradient of all parameters together is scaled down to this norm.
    pub clip: f64,
}

impl Default for OptimiserSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.0, clip: 1.0 }
    }
}

impl OptimiserSettings {
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(field(&format!("optimiser.{name}"), "at least 0 and under 1", value));
            }
        }
        positive("optimiser.epsilon", self.epsilon)?;
        positive("optimiser.clip", self.clip)?;
        match self.weight_decay >= 0.0 && self.weight_decay.is_finite() {
            true => Ok(()),
            false => Err(field("optimiser.weight_decay", "a number that is not negative", self.weight_decay)),
        }
    }
}

/// How much a token of the response counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWeighting {
    /// `-log p`: every token the same.
    #[default]
    Plain,
    /// `-sg(p) log p`: dynamic fine-tuning (DFT, arXiv 2508.05629), which keeps rare tokens from dominating.
    Dft,
}

/// The names that [`SftSettings::named`] knows.
const SCHEDULES: [&str; 3] = ["ren", "ren_one_epoch", "ren_few_repeated"];

/// Supervised fine-tuning; also how a base is trained. The default is the microcosm's SFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SftSettings {
    /// Optimiser updates.
    pub steps: usize,
    /// Documents per update.
    pub batch: usize,
    /// Different documents, gone through again and again; without it every document of a data arm is a new one, and a
    /// file is gone through as it is.
    #[serde(deserialize_with = "or_none")]
    pub documents: Option<usize>,
    /// Go through these `documents` in another order in each pass; else always in the order of their numbers.
    pub shuffle: bool,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// The shape of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// The fraction of the peak at which the schedule ends.
    pub floor: f64,
    /// How much a token counts.
    pub weighting: TokenWeighting,
    /// Longer documents lose their end, which is counted in the column `truncated`.
    pub max_tokens: usize,
    /// Tokens that forward passes may hold at a time, two passes together; more are accumulated.
    pub part_tokens: usize,
    /// Activation checkpointing: keep only the residual stream between blocks and compute each block again in the
    /// backward. A step takes a third more work and a fraction of the memory; the gradients are the same.
    pub gradient_checkpointing: bool,
    /// Steps between two measurements of the KL to base; 0 for none.
    pub kl_every: usize,
    /// Train adapters instead of all weights.
    #[serde(deserialize_with = "or_none")]
    pub lora: Option<LoraSettings>,
    /// AdamW's constants.
    pub optimiser: OptimiserSettings,
}

impl Default for SftSettings {
    fn default() -> Self {
        Self {
            steps: 640,
            batch: 32,
            documents: None,
            shuffle: true,
            learning_rate: 3e-4,
            warmup: 10,
            schedule: Schedule::Constant,
            floor: 0.0,
            weighting: TokenWeighting::Plain,
            max_tokens: 4096,
            part_tokens: 4096,
            gradient_checkpointing: false,
            kl_every: 10,
            lora: None,
            optimiser: OptimiserSettings::default(),
        }
    }
}

impl SftSettings {
    /// How the microcosm's base is trained from scratch on the curriculum.
    pub fn base() -> Self {
        Self {
            steps: 900,
            batch: 128,
            learning_rate: 3e-3,
            warmup: 50,
            schedule: Schedule::Linear,
            floor: 0.05,
            kl_every: 0,
            optimiser: OptimiserSettings { weight_decay: 0.01, ..OptimiserSettings::default() },
            ..Self::default()
        }
    }

    /// The schedule called `name`: one of those that Ren et al. (arXiv 2604.06628) compare at 640 updates,
    /// cosine to zero with 10 % warm-up, every pass in the same order as in their code.
    ///
    /// | name | documents | batch | passes |
    /// |---|---|---|---|
    /// | `ren` | 20,480 | 256 | 8 |
    /// | `ren_one_epoch` | 20,480 | 32 | 1 |
    /// | `ren_few_repeated` | 2,560 | 32 | 8 |
    ///
    /// # Errors
    /// If there is no such schedule.
    pub fn named(name: &str) -> Result<Self> {
        let (documents, batch) = match name {
            "ren" => (20_480, 256),
            "ren_one_epoch" => (20_480, 32),
            "ren_few_repeated" => (2_560, 32),
            _ => {
                let error = Error::request(format!("unknown schedule `{name}`"));
                return Err(match nearest(name, SCHEDULES) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("use one of {}", SCHEDULES.join(", "))),
                });
            }
        };
        Ok(Self { documents: Some(documents), batch, ..Self::ren() })
    }

    fn ren() -> Self {
        Self {
            steps: 640,
            shuffle: false,
            learning_rate: 5e-5,
            warmup: 64,
            schedule: Schedule::Cosine,
            max_tokens: 20_000,
            optimiser: OptimiserSettings { beta2: 0.999, weight_decay: 0.01, ..OptimiserSettings::default() },
            ..Self::default()
        }
    }

    /// How a pass that is learned from records.
    pub(super) fn gradients(&self) -> Gradients {
        checkpointed(self.gradient_checkpointing)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        at_least_one("steps", self.steps)?;
        at_least_one("batch", self.batch)?;
        at_least_one("part_tokens", self.part_tokens)?;
        match self.documents {
            Some(documents) => at_least_one("documents", documents)?,
            None if !self.shuffle => {
                return Err(field(
                    "shuffle",
                    "true, for without `documents` nothing is repeated",
                    self.shuffle,
                ));
            }
            None => {}
        }
        if self.max_tokens < 2 {
            return Err(field("max_tokens", "at least 2", self.max_tokens));
        }
        check_rate(self.learning_rate, self.floor)?;
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        self.optimiser.check()
    }
}

/// Direct preference optimisation: SFT's settings (`batch` counts pairs) and the strength of the
/// reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DpoSettings {
    /// How much a nat of log-probability over the reference is worth; small values let the model move far.
    pub beta: f64,
    /// Without given pairs: problems that the model answers to make its own.
    pub prompts: usize,
    /// Without given pairs: responses per problem.
    pub samples: usize,
    /// Without given pairs: the token budget of a response.
    pub max_new_tokens: usize,
    /// Steps, rates and sizes.
    pub sft: SftSettings,
}

impl Default for DpoSettings {
    fn default() -> Self {
        Self {
            beta: 0.1,
            prompts: 256,
            samples: 8,
            max_new_tokens: 64,
            sft: SftSettings { learning_rate: 1e-5, ..SftSettings::default() },
        }
    }
}

impl DpoSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        at_least_one("prompts", self.prompts)?;
        at_least_one("max_new_tokens", self.max_new_tokens)?;
        if self.samples < 2 {
            return Err(field("samples", "at least 2, for a pair takes two", self.samples));
        }
        positive("beta", self.beta)?;
        if let Some(documents) = self.sft.documents {
            return Err(field("documents", "nothing, for pairs are gone through in passes", documents));
        }
        self.sft.check()
    }
}

/// Rejection-sampling fine-tuning: how responses are drawn and kept, and SFT's settings for the fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RftSettings {
    /// Steps between two samplings.
    pub refresh: usize,
    /// Problems per sampling.
    pub prompts: usize,
    /// Responses per problem.
    pub samples: usize,
    /// The sampler's temperature.
    pub temperature: f64,
    /// The token budget of a response.
    pub max_new_tokens: usize,
    /// Rows that are sampled together.
    pub batch_rows: usize,
    /// Different verified responses kept of one problem.
    pub per_problem: usize,
    /// Keep only responses to problems that the model sometimes solves and sometimes does not.
    pub boundary: bool,
    /// Steps, rates and sizes of the fit.
    pub sft: SftSettings,
}

impl Default for RftSettings {
    fn default() -> Self {
        Self {
            refresh: 40,
            prompts: 256,
            samples: 8,
            temperature: 1.0,
            max_new_tokens: 64,
            batch_rows: 256,
            per_problem: 4,
            boundary: true,
            sft: SftSettings::default(),
        }
    }
}

impl RftSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("refresh", self.refresh),
            ("prompts", self.prompts),
            ("samples", self.samples),
            ("max_new_tokens", self.max_new_tokens),
            ("batch_rows", self.batch_rows),
            ("per_problem", self.per_problem),
        ] {
            at_least_one(name, value)?;
        }
        if self.boundary && self.samples < 2 {
            return Err(field("samples", "at least 2, because `boundary` is on", self.samples));
        }
        if let Some(documents) = self.sft.documents {
            return Err(field("documents", "nothing, for the model writes its own", documents));
        }
        positive("temperature", self.temperature)?;
        self.sft.check()
    }
}

pub(super) fn check_rate(learning_rate: f64, floor: f64) -> Result<()> {
    positive("learning_rate", learning_rate)?;
    match (0.0..=1.0).contains(&floor) {
        true => Ok(()),
        false => Err(field("floor", "a fraction from 0 to 1", floor)),
    }
}

/// How a pass that is learned from records: everything, or only what activation checkpointing keeps.
pub(super) fn checkpointed(yes: bool) -> Gradients {
    if yes { Gradients::Recomputed } else { Gradients::On }
}

pub(super) fn at_least_one(name: &str, value: usize) -> Result<()> {
    if value == 0 { Err(field(name, "at least 1", value)) } else { Ok(()) }
}

pub(super) fn positive(name: &str, value: f64) -> Result<()> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(field(name, "a positive number", value)),
    }
}

pub(super) fn field(name: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::request(format!("`{name}`: expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_sound_and_a_wrong_field_is_named() {
        for settings in [SftSettings::default(), SftSettings::base()] {
            settings.check().unwrap();
        }
        for (name, passes) in SCHEDULES.into_iter().zip([8, 1, 8]) {
            let settings = SftSettings::named(name).unwrap();
            settings.check().unwrap();
            assert_eq!(settings.steps * settings.batch, passes * settings.documents.unwrap(), "{name}");
        }
        let wrong = SftSettings { shuffle: false, ..SftSettings::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("`shuffle`"));
        let wrong = SftSettings { learning_rate: f64::NAN, ..SftSettings::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("`learning_rate`"));
        let wrong = SftSettings {
            optimiser: OptimiserSettings { beta2: 1.0, ..OptimiserSettings::default() },
            ..SftSettings::default()
        };
        assert!(wrong.check().unwrap_err().to_string().contains("`optimiser.beta2`"));
    }
}
