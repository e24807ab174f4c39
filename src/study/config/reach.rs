//! What the declared hypotheses could find at best, before anything is measured: enough problems, enough distinct
//! controls, and the smallest effect that would probably be found.

use super::{Base, Hypothesis, Study};
use crate::claims::Power;
use crate::error::{At, Result};
use crate::experiments::SetRule;
use crate::model::Config;
use crate::tasks::Half;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// What one hypothesis could find.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// The hypothesis.
    pub hypothesis: String,
    /// The suite on which it is declared.
    pub suite: String,
    /// The endpoint on which it is declared.
    pub endpoint: String,
    /// Distinct problems that will be measured.
    pub problems: usize,
    /// Samples a problem.
    pub samples: usize,
    /// The smallest of the corrected levels.
    pub level: f64,
    /// The standard deviation between problems that is reckoned with: that of the difference of two independent means
    /// over the samples, where half of them pass. Equal random numbers and endpoints near 0 or 1 make it smaller,
    /// problems that the edit moves differently make it larger. `None` for endpoints that are no share.
    pub deviation: Option<f64>,
    /// The smallest true effect that would be found with power .8 at that level: a share, or, without a deviation,
    /// a multiple of the standard deviation between problems.
    pub minimum_detectable_effect: f64,
}

impl Reach {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        let Self { hypothesis, suite, endpoint, problems, samples, level, .. } = self;
        let (endpoint, effect) = (endpoint.replace('_', " "), self.minimum_detectable_effect);
        let found = match self.deviation {
            Some(deviation) => format!(
                "{:.0} points of {endpoint}, if the differences of problems have standard deviation {:.0} points",
                100.0 * effect,
                100.0 * deviation
            ),
            None => format!("{effect:.2} standard deviations of the differences of problems in {endpoint}"),
        };
        format!(
            "{hypothesis}: on {problems} problems of {suite}, {samples} samples each, power .8 at level {level:.3} finds {found}"
        )
    }
}

impl Study {
    /// What every declared hypothesis could find.
    pub fn reach(&self) -> Vec<Reach> {
        let power = self.power();
        self.hypotheses.iter().map(|hypothesis| self.reach_of(hypothesis, &power)).collect()
    }

    /// Refuses a study that could never make the claims that it declares.
    pub(super) fn check_power(&self) -> Result<()> {
        let power = self.power();
        power.check_controls(self.interventions.controls)?;
        let heads = self.blocks().map(|(layers, heads)| layers * heads);
        self.hypotheses.iter().try_for_each(|hypothesis| {
            let (suite, limit) = (hypothesis.suite.name(), self.interventions.problems);
            power
                .check_problems(suite, self.problems(hypothesis, usize::MAX))
                .and_then(|()| power.check_limit(suite, limit, self.problems(hypothesis, limit)))
                .and_then(|()| match (&hypothesis.declared.set, heads) {
                    (SetRule::Heads(set), Some(heads)) => power.check_heads(set.len(), heads),
                    _ => Ok(()),
                })
                .at(hypothesis.place())
        })
    }

    fn power(&self) -> Power {
        Power::of(self.hypotheses.len(), &self.claims)
    }

    fn reach_of(&self, hypothesis: &Hypothesis, power: &Power) -> Reach {
        let known = hypothesis.suite.endpoints();
        let primary = known.first().map_or("", |endpoint| endpoint.name);
        let name = hypothesis.declared.endpoint.as_deref().unwrap_or(primary);
        let is_share = known.iter().any(|known| known.name == name && known.higher_is_better.is_some());
        let samples = self.interventions.samples;
        let deviation = is_share.then(|| (0.5 / samples.max(1) as f64).sqrt());
        let problems = self.problems(hypothesis, self.interventions.problems);
        Reach {
            hypothesis: hypothesis.name().to_owned(),
            suite: hypothesis.suite.name().to_owned(),
            endpoint: name.to_owned(),
            problems,
            samples,
            level: power.level,
            deviation,
            minimum_detectable_effect: power.minimum_detectable_effect(problems, deviation.unwrap_or(1.0)),
        }
    }

    /// Distinct problems among the first `limit` prompts of the measuring half: several prompts may ask for one.
    fn problems(&self, hypothesis: &Hypothesis, limit: usize) -> usize {
        let problems = hypothesis.suite.problems(self.seed).into_iter();
        let measured = problems.filter(|problem| problem.half == Half::Measure).take(limit);
        measured.map(|problem| problem.id).collect::<BTreeSet<_>>().len()
    }

    /// Blocks of the model and attention heads of each, where that is known without fetching anything.
    pub(super) fn blocks(&self) -> Option<(usize, usize)> {
        match &self.base {
            Base::Preset { preset, .. } => Some((preset.sizes().layers, preset.sizes().heads)),
            Base::Model(place) => {
                let config = Config::load(Path::new(place)).ok()?;
                Some((config.layers(), config.heads))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: &str = include_str!("../../../probes/micro.toml");

    #[test]
    fn a_study_that_measures_too_few_problems_is_refused() {
        let error =
            |set: &str| Study::parse(MICRO, &[set.to_owned()]).map(drop).map_err(|error| error.to_string());
        let found = error("interventions.problems=4").unwrap_err();
        assert!(found.contains("`interventions.problems`") && found.contains("found 4"), "{found}");
        error("interventions.problems=16").unwrap();
    }

    #[test]
    fn a_study_whose_model_has_too_few_heads_for_controls_is_refused() {
        let (head, rest) = MICRO.split_once("set = \"transfer\"").unwrap();
        let study = format!("{head}set = {{ heads = [\"0.0\"] }}{rest}");
        let error = Study::parse(&study, &[]).map(drop).unwrap_err().to_string();
        assert!(error.contains("39") && error.contains("3 distinct"), "{error}");
        Study::parse(&study, &["base.preset=tiny".to_owned(), "claims.alpha=0.2".to_owned()]).unwrap();
    }

    #[test]
    fn what_a_study_could_find_is_reckoned_before_it_is_measured() {
        let study = Study::parse(MICRO, &[]).unwrap();
        let reach = study.reach();
        assert_eq!(reach.len(), study.hypotheses.len());
        let first = &reach[0];
        let expected = (0.5 / study.interventions.samples as f64).sqrt();
        assert!(first.deviation.is_some_and(|deviation| (deviation - expected).abs() < 1e-12), "{first:?}");
        assert!(first.minimum_detectable_effect > 0.0 && first.problems > 4, "{first:?}");
        let more = Study::parse(MICRO, &["interventions.samples=64".to_owned()]).unwrap().reach();
        assert!(more[0].minimum_detectable_effect < first.minimum_detectable_effect);
        assert!(first.sentence().contains("points of pass"), "{}", first.sentence());
    }
}
