//! Several models side by side, by hand: one writes under an intervention that others are read for.

use super::conditions::Condition;
use super::readout::Readout;
use super::say::sample_under;
use crate::error::{Error, Result};
use crate::interventions::{CodeBank, Edit, Generation, Intervention, Reading, Reference, Writer, ending};
use crate::model::{Prompt, SampleSettings, Text};
use crate::progress::Observer;

/// Interventions on one of the models that a dictionary reads together, by features of the joint code. Strengths are in
/// units of activations.
impl Readout {
    /// Takes what the features write into `receiver` away.
    ///
    /// # Errors
    /// If there is no such model or feature, or no dictionary.
    pub fn ablate(&self, receiver: &str, features: &[u32]) -> Result<Intervention> {
        self.edited(receiver, &Edit::Zero, features, 1.0)
    }

    /// Multiplies the features' activations in `receiver`.
    ///
    /// # Errors
    /// As [`Readout::ablate`].
    pub fn scale(&self, receiver: &str, features: &[u32], factor: f32) -> Result<Intervention> {
        self.edited(receiver, &Edit::Scale, features, factor)
    }

    /// Adds `strength` times the features' decoder vectors for `receiver`.
    ///
    /// # Errors
    /// As [`Readout::ablate`].
    pub fn steer(&self, receiver: &str, features: &[u32], strength: f32) -> Result<Intervention> {
        self.edited(receiver, &Edit::Steer, features, strength)
    }

    /// Sets the features' activations to `value` in `receiver`.
    ///
    /// # Errors
    /// As [`Readout::ablate`].
    pub fn clamp(&self, receiver: &str, features: &[u32], value: f32) -> Result<Intervention> {
        self.edited(receiver, &Edit::Clamp, features, value)
    }

    /// Gives `receiver` the features' decoder vectors of `donor`.
    ///
    /// # Errors
    /// As [`Readout::ablate`].
    pub fn transplant(&self, receiver: &str, features: &[u32], donor: &str) -> Result<Intervention> {
        self.edited(receiver, &Edit::Transplant(donor.to_owned()), features, 1.0)
    }

    fn edited(&self, receiver: &str, edit: &Edit, features: &[u32], dose: f32) -> Result<Intervention> {
        if features.is_empty() {
            return Err(Error::request("expected at least one feature, found none"));
        }
        let dictionary = self.dictionary()?;
        let reference = Reference { means: Vec::new(), percentiles: vec![1.0; self.features()] };
        let bank = CodeBank::default();
        let writer = Writer::new(edit, dose, features, receiver, dictionary, &reference, &bank)?;
        Ok(Intervention::written(self.hook(), Reading::Joint, writer, Some(dictionary.clone())))
    }

    /// What `receiver` writes after a text under an intervention, or (`&[]`) as it is, while the other models read along: one of
    /// this readout's, of a direction or of a head. See [`Intervene::generate`](crate::interventions::Intervene::generate).
    ///
    /// # Errors
    /// As [`Intervene::generate`](crate::interventions::Intervene::generate), or if there are several interventions, or one that was made
    /// for another receiver.
    pub fn generate(
        &self,
        receiver: &str,
        text: impl Into<Text>,
        settings: &SampleSettings,
        interventions: &[Intervention],
    ) -> Result<Generation> {
        let index = self.variant(receiver)?;
        let model = self.model(index)?;
        let settings = ending(settings, model.tokenizer()?);
        let condition = match interventions {
            [] => Condition::baseline(),
            [only] => Condition::edited("by hand", only.clone().for_receiver(index)),
            several => {
                return Err(Error::request(format!(
                    "expected one intervention while other models read along, found {}",
                    several.len()
                )));
            }
        };
        if condition.receiver().is_some_and(|made_for| made_for != index) {
            return Err(Error::request(format!(
                "the intervention was made for another model than `{receiver}`"
            ))
            .hint("make it for this one: `readout.ablate(receiver, &[3])?`"));
        }
        let prompts = [Prompt { tokens: model.tokens(text)?, key: 0 }];
        let conditions = [condition];
        let found = sample_under(self, index, &conditions, &prompts, &settings, &Observer::silent())?;
        let (completions, tallies) = found.into_iter().next().unwrap_or_default();
        let tallies = if interventions.is_empty() { Vec::new() } else { vec![tallies] };
        Generation::new(model.tokenizer()?, completions, tallies, interventions)
    }
}

#[cfg(test)]
mod tests {
    use super::super::small;
    use super::*;
    use crate::interventions::{Direction, Head, Intervene};

    #[test]
    fn one_of_several_models_writes_under_what_all_of_them_say() -> Result<()> {
        let readout = small::readout(1);
        let settings = SampleSettings { seed: 3, ..SampleSettings::drawn(1.0, 12) };
        let prompt = "<bos> ask pick i g ne :";
        let plain = readout.generate("rl", prompt, &settings, &[])?;
        assert_eq!(plain.texts(), readout.model(1)?.generate(prompt, &settings, &[])?.texts());
        let features: Vec<u32> = (0..small::FEATURES as u32).collect();
        for one in [
            readout.ablate("rl", &features)?,
            readout.steer("rl", &[3, 5], 8.0)?,
            readout.clamp("rl", &[3], 9.0)?,
            readout.scale("rl", &features, 4.0)?,
            readout.transplant("rl", &features, "base")?,
        ] {
            let said = readout.generate("rl", prompt, &settings, std::slice::from_ref(&one))?;
            assert!(said.tallies()[0].total().acted > 0);
            // A crosscoder's code cannot be made in one model alone.
            let alone = readout.model(1)?.generate(prompt, &settings, std::slice::from_ref(&one));
            assert!(alone.is_err(), "{one:?}");
            let other = readout.generate("sft", prompt, &settings, &[one]).unwrap_err().to_string();
            assert!(other.contains("made for another model than `sft`"), "{other}");
        }
        let direction = Direction::new(vec![1.0; small::D_MODEL])?;
        for one in [direction.add("blocks.1.hook_resid_post", 3.0)?, Head::new(2, 1).ablate()?] {
            let beside = readout.generate("rl", prompt, &settings, std::slice::from_ref(&one))?;
            let alone = readout.model(1)?.generate(prompt, &settings, &[one])?;
            assert_eq!(
                (beside.texts(), beside.tallies()[0].total().acted),
                (alone.texts(), alone.tallies()[0].total().acted)
            );
        }
        let idle = readout.scale("rl", &features, 1.0)?;
        let error = readout.generate("rl", prompt, &settings, &[idle]).unwrap_err().to_string();
        assert!(error.contains("never acted"), "{error}");
        Ok(())
    }
}
