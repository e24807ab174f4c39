//! A world of activations: features with known directions, two suites, and a readout whose dependence on the
//! features is known.
//!
//! A problem has tokens at which features fire with codes f; the receiver's activation there is
//! sum_j f_j d_j. Its outcome is right with probability sigmoid(ability + change), where an edit that
//! writes delta_t at token t changes the logit by
//!
//!   mean over t of  u . delta_t  +  g . delta_t  -  c |delta_t|^2 .
//!
//! u is the planted dependence (zero in a null world, and on the safety suite), g is the problem's own,
//! with mean zero over problems (so every edit moves single problems, but no set moves the mean), and c
//! is the damage that any edit does.
//!
//! Where pairs are permuted, a fair coin for each problem that measures says whether right or wrong counts as right: what
//! an edit does to the problem is as likely its opposite, for all edits of the problem alike.

use super::super::setting::{Planting, Suite};
use crate::interventions::{Decoders, Position, Writer};
use crate::rng::Stream;

pub(super) const FEATURES: usize = 360;
pub(super) const D_MODEL: usize = 24;
/// Tokens a problem; the first half is its prompt.
pub(super) const TOKENS: usize = 12;
/// Disjoint sets among which selection chooses; the first is the planted one. So many that the best of them
/// on some problems looks like something on these problems, even if none is.
pub(super) const CANDIDATES: usize = 24;
pub(super) const SET_SIZE: usize = 3;
pub(super) const SAMPLES: usize = 4;
/// Features from the first on that write much: the candidates and their peers, of which controls are made.
/// All others write little, so that a set drawn blindly does less damage than any candidate.
const STRONG: usize = 130;
/// c where a set is to carry nothing of what is measured, in logits per squared norm: a set that writes much stands out
/// from zero, and only a control that writes as much does so too.
const DAMAGE: f64 = 0.8;
/// Dependence on the planted set, in logits per unit that is written; a shared skill is all but lost with it.
const DEPENDENCE: f32 = 2.5;
const SKILL: f32 = 6.0;
/// How far base lies below the tuned variant where the planted skill is shared, in logits.
const GAIN: f64 = 1.2;

pub(super) struct World {
    seed: u64,
    variants: Vec<String>,
    decoders: Vec<f32>,
    rates: Vec<f64>,
    strengths: Vec<f32>,
    dependence: Vec<f32>,
    damage: f64,
    planting: Planting,
}

/// The firing features of a token with their codes.
#[derive(Default)]
pub(super) struct Token {
    pub(super) features: Vec<u32>,
    pub(super) values: Vec<f32>,
}

/// One problem: codes at its tokens, its ability, and its own sensitivity.
pub(super) struct Problem {
    suite: Suite,
    pub(super) codes: Vec<Token>,
    ability: f64,
    own: Vec<f32>,
    /// Whether wrong counts as right.
    reversed: bool,
    key: [u64; 2],
}

impl Decoders for World {
    fn features(&self) -> usize {
        FEATURES
    }

    fn d_model(&self) -> usize {
        D_MODEL
    }

    fn variants(&self) -> &[String] {
        &self.variants
    }

    fn decoder(&self, feature: u32, _variant: usize) -> &[f32] {
        let start = feature as usize * D_MODEL;
        &self.decoders[start..start + D_MODEL]
    }
}

impl World {
    pub(super) fn new(seed: u64, planting: Planting) -> Self {
        let mut stream = Stream::new(seed, "micro-world", &[]);
        let scale = 1.0 / (D_MODEL as f32).sqrt();
        let decoders: Vec<f32> = (0..FEATURES * D_MODEL).map(|_| scale * stream.normal()).collect();
        // Candidates fire often and write much, as features that were selected for what they do will.
        let rates = (0..FEATURES)
            .map(|feature| if feature < STRONG { 0.20 } else { 0.05 } + 0.1 * stream.uniform_f64())
            .collect();
        let strengths = (0..FEATURES)
            .map(|feature| if feature < STRONG { 0.9 } else { 0.15 } + 0.2 * stream.uniform())
            .collect();
        let mut dependence = vec![0.0; D_MODEL];
        let per_unit = match planting {
            Planting::Nothing => 0.0,
            Planting::Transfer | Planting::DisjointHalves | Planting::PermutedPairs => DEPENDENCE,
            Planting::SharedSkill => SKILL,
        };
        for row in decoders.chunks_exact(D_MODEL).take(SET_SIZE) {
            dependence.iter_mut().zip(row).for_each(|(u, d)| *u += per_unit * d);
        }
        let damage = match planting {
            Planting::Nothing | Planting::DisjointHalves => DAMAGE,
            _ => 0.0,
        };
        let variants = vec!["base".into(), "tuned".into()];
        Self { seed, variants, decoders, rates, strengths, dependence, damage, planting }
    }

    /// The logit of base, less that of the tuned variant, without an edit and with one that changes the latter by `change`.
    /// Where no skill is shared, base answers as the tuned variant does and depends on no feature.
    pub(super) fn in_base(&self, change: f64) -> [f64; 2] {
        if self.planting == Planting::SharedSkill { [-GAIN, change - GAIN] } else { [0.0; 2] }
    }

    /// The features of a candidate set.
    pub(super) fn candidate(index: usize) -> Vec<u32> {
        (index * SET_SIZE..(index + 1) * SET_SIZE).map(|feature| feature as u32).collect()
    }

    pub(super) fn problem(&self, suite: Suite, index: usize) -> Problem {
        let key = [suite as u64, index as u64];
        let mut stream = Stream::new(self.seed, "micro-world problem", &key);
        let codes = (0..TOKENS)
            .map(|_| {
                let mut token = Token::default();
                for (feature, (rate, strength)) in self.rates.iter().zip(&self.strengths).enumerate() {
                    if stream.uniform_f64() < *rate {
                        token.features.push(feature as u32);
                        token.values.push(strength * (0.5 + stream.uniform()));
                    }
                }
                token
            })
            .collect();
        let ability = 0.7 * f64::from(stream.normal());
        let own = (0..D_MODEL).map(|_| 0.5 * stream.normal()).collect();
        Problem { suite, codes, ability, own, reversed: false, key }
    }

    /// Pairs problems anew with what counts as right.
    pub(super) fn pair_anew(&self, problems: &mut [Problem]) {
        for problem in problems {
            problem.reversed = Stream::new(self.seed, "micro-world pair", &problem.key).uniform() < 0.5;
        }
    }

    /// How much an edit changes the problem's logit.
    pub(super) fn change(&self, problem: &Problem, writer: &Writer) -> f64 {
        let mut delta = vec![0.0; D_MODEL];
        let mut change = 0.0;
        for (place, token) in problem.codes.iter().enumerate() {
            let key = [problem.key[0], problem.key[1], place as u64];
            let at = Position { joint: &[], features: &token.features, values: &token.values, key };
            if !writer.delta(at, &mut delta) {
                continue;
            }
            for ((delta, dependence), own) in delta.iter().zip(&self.dependence).zip(&problem.own) {
                let planted = if problem.suite == Suite::Transfer { *dependence } else { 0.0 };
                change += f64::from(delta * (planted + own)) - self.damage * f64::from(*delta).powi(2);
            }
        }
        change / TOKENS as f64
    }

    /// Share of the problem's samples that are right when its logit is changed: the same random numbers
    /// whatever the change.
    pub(super) fn sampled(&self, problem: &Problem, change: f64) -> f64 {
        let right = (0..SAMPLES as u64).filter(|sample| {
            let key = [problem.key[0], problem.key[1], *sample];
            Stream::new(self.seed, "micro-world sample", &key).uniform_f64() < self.expected(problem, change)
        });
        right.count() as f64 / SAMPLES as f64
    }

    /// The probability that the problem is right.
    pub(super) fn expected(&self, problem: &Problem, change: f64) -> f64 {
        let sign = if problem.reversed { -1.0 } else { 1.0 };
        1.0 / (1.0 + (-sign * (problem.ability + change)).exp())
    }
}
