//! Texts of the selection half: what the receiver itself says there, read by all variants.
//!
//! Everything that is chosen (feature sets, their sizes, controls, reference codes) is chosen on these.

use super::conditions::Condition;
use super::controls::{Cell, FeatureTraits, Stock};
use super::measure::{Measured, Trial};
use super::readout::Readout;
use crate::dictionaries::Codes;
use crate::diff::Reading;
use crate::error::Result;
use crate::interventions::{CodeBank, Reference, TextPart};
use crate::progress::Observer;

/// Prompts with a variant's own completions, the codes on them, and who scored what.
#[derive(Clone)]
pub(super) struct Texts {
    /// Prompt and completion of each text.
    pub(super) tokens: Vec<Vec<u32>>,
    /// The length of each text's prompt.
    pub(super) prompts: Vec<usize>,
    /// The unit (problem) of each text, as an index.
    pub(super) units: Vec<usize>,
    /// The primary endpoint of each text.
    pub(super) scores: Vec<f64>,
    /// Codes of all tokens, text after text; the joint ones unless they were read otherwise.
    pub(super) codes: Codes,
    /// Begin-of-sequence token.
    beginning: Option<u32>,
}

/// At most this many texts are read: enough for rates of a thousandth.
const TEXTS: usize = 320;

impl Texts {
    /// Lets a variant complete the trial's problems and reads the texts with all variants.
    ///
    /// # Errors
    /// If a forward pass fails, or the observer asks to stop.
    pub(super) fn of(trial: &Trial<'_>, variant: usize, observer: &Observer) -> Result<Self> {
        let label = "texts of the selection half";
        let measured = trial.measure(variant, &[Condition::baseline()], label, observer)?;
        Self::read(trial, variant, &measured)
    }

    fn read(trial: &Trial<'_>, variant: usize, measured: &Measured) -> Result<Self> {
        let tokenizer = trial.readout.model(variant)?.tokenizer()?;
        let problems = trial.problems();
        let (mut tokens, mut prompts, mut units, mut scores) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for sampled in measured.completions.iter().take(TEXTS) {
            let Some(problem) = problems.get(sampled.problem) else { continue };
            let mut text = problem.tokens(tokenizer)?;
            prompts.push(text.len());
            text.extend(&sampled.tokens);
            tokens.push(text);
            units.push(measured.units.iter().position(|unit| *unit == problem.id).unwrap_or(0));
            scores.push(sampled.scores.first().copied().unwrap_or(0.0));
        }
        let codes = trial.readout.codes(&tokens, &Reading::Joint)?;
        Ok(Self { tokens, prompts, units, scores, codes, beginning: tokenizer.bos() })
    }

    /// Texts that stand by themselves, each its own unit, without scores.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn given(
        readout: &Readout,
        tokens: Vec<Vec<u32>>,
        prompts: Vec<usize>,
        beginning: Option<u32>,
    ) -> Result<Self> {
        let codes = readout.codes(&tokens, &Reading::Joint)?;
        Ok(Self {
            units: (0..tokens.len()).collect(),
            scores: vec![0.0; tokens.len()],
            codes,
            tokens,
            prompts,
            beginning,
        })
    }

    /// The same texts with the codes of another reading.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn reread(&self, readout: &Readout, reading: &Reading) -> Result<Self> {
        Ok(Self { codes: readout.codes(&self.tokens, reading)?, ..self.clone() })
    }

    /// The tokens of the texts whose unit is on one side: a further split of the selection half, for what is
    /// fitted there and must be judged on other problems.
    pub(super) fn side(&self, even: bool) -> impl Iterator<Item = &Vec<u32>> {
        self.tokens
            .iter()
            .zip(&self.units)
            .filter(move |(_, unit)| (*unit % 2 == 0) == even)
            .map(|(text, _)| text)
    }

    /// Every token with its packed index, its text and its part, without begin-of-sequence tokens.
    fn places(&self) -> impl Iterator<Item = (usize, TextPart)> + '_ {
        let texts = self.tokens.iter().zip(&self.prompts);
        let all = texts.flat_map(move |(text, prompt)| {
            text.iter().enumerate().map(move |(at, token)| (at, *token, *prompt))
        });
        all.enumerate().filter(move |(_, (_, token, _))| Some(*token) != self.beginning).map(
            |(place, (at, _, prompt))| {
                (place, if at < prompt { TextPart::Prompt } else { TextPart::Response })
            },
        )
    }

    /// Mean code of every feature over all tokens where edits may act.
    pub(super) fn mean_codes(&self, features: usize) -> Vec<f64> {
        let mut sums = vec![0.0; features];
        let mut count = 0usize;
        for (place, _) in self.places() {
            count += 1;
            for (feature, value) in self.codes.token(place) {
                if let Some(sum) = sums.get_mut(feature) {
                    *sum += f64::from(value);
                }
            }
        }
        sums.iter().map(|sum| sum / count.max(1) as f64).collect()
    }
}

/// The stock for matching, from the receiver's texts on some suites.
pub(super) fn stock(texts: &[(&str, &Texts)], traits: Vec<FeatureTraits>) -> Stock {
    let mut stock = Stock { firing: vec![Vec::new(); traits.len()], traits, ..Stock::default() };
    for (suite, texts) in texts {
        let first = stock.cells.len();
        stock.cells.extend(
            [TextPart::Prompt, TextPart::Response].map(|part| Cell { suite: (*suite).to_owned(), part }),
        );
        for (place, part) in texts.places() {
            let token = stock.cell_of_token.len() as u32;
            stock.cell_of_token.push(first + usize::from(part == TextPart::Response));
            for (feature, value) in texts.codes.token(place) {
                if let Some(firing) = stock.firing.get_mut(feature) {
                    firing.push((token, value));
                }
            }
        }
    }
    stock
}

/// Reference codes of all features on the stock's tokens.
pub(super) fn reference(stock: &Stock) -> Reference {
    Reference::from_firing(&stock.firing, stock.cell_of_token.len())
}

/// Tokens that `resample` draws from.
pub(super) fn bank(texts: &[(&str, &Texts)], seed: u64) -> CodeBank {
    let tokens = texts.iter().flat_map(|(_, texts)| {
        texts.places().map(|(place, _)| {
            texts.codes.token(place).map(|(feature, value)| (feature as u32, value)).collect()
        })
    });
    CodeBank::new(seed, tokens.collect())
}
