//! What a dictionary is, apart from its numbers.

use crate::error::{Error, Result, nearest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The kinds of dictionary. What each does differently while training is one file in `kinds/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// ReLU with an L1 penalty weighted by decoder norm.
    Standard,
    /// Gated: one path decides whether a feature fires, another how strongly.
    Gated,
    /// The k largest features of each token.
    Topk,
    /// The k largest features per token on average over a batch; a threshold at inference.
    BatchTopk,
    /// A learned threshold per feature.
    Jumprelu,
    /// BatchTopK whose prefixes must each reconstruct alone.
    Matryoshka,
    /// BatchTopK that reads one hook and writes another.
    Transcoder,
    /// A transcoder with a linear path around the features.
    SkipTranscoder,
    /// Reads and writes several variants at once; ReLU with an L1 penalty.
    Crosscoder,
    /// Reads and writes several variants at once; BatchTopK.
    #[default]
    BatchTopkCrosscoder,
    /// BatchTopK on the difference of two variants.
    Difference,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 11] = [
        Kind::Standard,
        Kind::Gated,
        Kind::Topk,
        Kind::BatchTopk,
        Kind::Jumprelu,
        Kind::Matryoshka,
        Kind::Transcoder,
        Kind::SkipTranscoder,
        Kind::Crosscoder,
        Kind::BatchTopkCrosscoder,
        Kind::Difference,
    ];

    /// The kind's name in studies and files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Standard => "standard",
            Kind::Gated => "gated",
            Kind::Topk => "topk",
            Kind::BatchTopk => "batch_topk",
            Kind::Jumprelu => "jumprelu",
            Kind::Matryoshka => "matryoshka",
            Kind::Transcoder => "transcoder",
            Kind::SkipTranscoder => "skip_transcoder",
            Kind::Crosscoder => "crosscoder",
            Kind::BatchTopkCrosscoder => "batch_topk_crosscoder",
            Kind::Difference => "difference",
        }
    }

    /// Whether it reads and writes several variants.
    pub fn is_crosscoder(self) -> bool {
        matches!(self, Kind::Crosscoder | Kind::BatchTopkCrosscoder)
    }

    /// Whether it is fitted by keeping the k largest activations, of a token or of a batch.
    pub fn keeps_the_largest(self) -> bool {
        self == Kind::Topk || self.keeps_the_largest_of_a_batch()
    }

    /// Whether it is fitted by keeping the largest activations of a batch.
    pub fn keeps_the_largest_of_a_batch(self) -> bool {
        matches!(
            self,
            Kind::BatchTopk
                | Kind::Matryoshka
                | Kind::Transcoder
                | Kind::SkipTranscoder
                | Kind::BatchTopkCrosscoder
                | Kind::Difference
        )
    }

    /// Whether it reads one hook and writes another.
    pub fn is_transcoder(self) -> bool {
        matches!(self, Kind::Transcoder | Kind::SkipTranscoder)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name);
            let error = Error::request(format!("unknown kind of dictionary `{text}`"));
            match nearest(text, names) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("the kinds are {}", names.join(", "))),
            }
        })
    }
}

/// How pre-activations become activations at inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// All positive ones.
    Relu,
    /// The `k` largest positive ones of a token.
    Topk {
        /// How many.
        k: usize,
    },
    /// Those above the feature's own threshold, unchanged (JumpReLU).
    Threshold,
    /// A gate decides, a scaled copy gives the strength.
    Gated,
}

/// One vector that a dictionary reads or writes: a variant's activation, or a difference of two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The variant.
    pub variant: String,
    /// The variant that is subtracted from it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
}

impl Site {
    /// The activation of one variant.
    pub fn of(variant: impl Into<String>) -> Self {
        Self { variant: variant.into(), minus: None }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.minus {
            Some(minus) => write!(formatter, "{}-{minus}", self.variant),
            None => formatter.write_str(&self.variant),
        }
    }
}

/// A dictionary's shape and meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Its kind.
    pub kind: Kind,
    /// How it encodes at inference.
    pub activation: Activation,
    /// What it reads, in order.
    pub inputs: Vec<Site>,
    /// What it writes, in order. The inputs, except for transcoders.
    pub outputs: Vec<Site>,
    /// The width of one input vector.
    pub d_in: usize,
    /// The width of one output vector.
    pub d_out: usize,
    /// The number of features.
    pub features: usize,
    /// The hook point it reads; empty if unknown.
    pub hook: String,
    /// The hook point it writes; equal to `hook`, except for transcoders.
    pub output_hook: String,
    /// What is done to each input vector before encoding, and undone to the outputs where they reconstruct it.
    #[serde(default)]
    pub token_scale: TokenScale,
}

/// What is done to each input vector before encoding, and undone to the outputs. It depends on the token, so
/// it cannot be folded into weights; dictionaries of SAELens may ask for it (`normalize_activations`). The outputs
/// of a transcoder are of another space, and its linear path reads what came in: neither is scaled, as there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScale {
    /// Nothing.
    #[default]
    None,
    /// Mean 0 and standard deviation 1, epsilon 1e-5.
    LayerNorm,
    /// The norm is the square root of the width.
    ConstantNorm,
}

impl Spec {
    /// A dictionary that reconstructs what it reads, `width` numbers of every site, at a hook that is not known.
    pub fn reconstructing(
        kind: Kind,
        activation: Activation,
        sites: Vec<Site>,
        width: usize,
        features: usize,
    ) -> Self {
        Self {
            kind,
            activation,
            inputs: sites.clone(),
            outputs: sites,
            d_in: width,
            d_out: width,
            features,
            hook: String::new(),
            output_hook: String::new(),
            token_scale: TokenScale::None,
        }
    }

    /// The width of all inputs of one token together.
    pub fn input_width(&self) -> usize {
        self.inputs.len() * self.d_in
    }

    /// The width of all outputs of one token together.
    pub fn output_width(&self) -> usize {
        self.outputs.len() * self.d_out
    }

    /// Checks that sizes make sense.
    ///
    /// # Errors
    /// If something is empty, or k exceeds the number of features.
    pub fn check(&self) -> Result<()> {
        if self.features == 0 || self.input_width() == 0 || self.output_width() == 0 {
            return Err(Error::request(
                "expected a dictionary with features, inputs and outputs, found none",
            ));
        }
        match self.activation {
            Activation::Topk { k } if k == 0 || k > self.features => Err(Error::request(format!(
                "expected k between 1 and the number of features, {}, found {k}",
                self.features
            ))),
            _ => Ok(()),
        }
    }
}
