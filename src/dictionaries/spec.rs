//! What a dictionary is, apart from its numbers.

use crate::error::{Error, Result, nearest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// More numbers than this are in no memory, and their bytes can still be counted.
const LARGEST: usize = isize::MAX as usize / 16;

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
    /// The `k` of largest magnitude of a token, with their sign: activations may be negative.
    SignedTopk {
        /// How many.
        k: usize,
    },
    /// The hyperbolic tangent of all positive ones.
    TanhRelu,
}

impl fmt::Display for Activation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Relu => formatter.write_str("ReLU"),
            Activation::Topk { k } => write!(formatter, "the {k} largest of a token (TopK)"),
            Activation::Threshold => formatter.write_str("above a threshold per feature (JumpReLU)"),
            Activation::Gated => formatter.write_str("gated"),
            Activation::SignedTopk { k } => {
                write!(formatter, "the {k} of largest magnitude of a token, with their sign (signed TopK)")
            }
            Activation::TanhRelu => formatter.write_str("tanh of ReLU"),
        }
    }
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
    /// What whoever reads its numbers should know: how it was made where that matters, and what was left out. A
    /// sentence each; they stay with the dictionary wherever it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
            notes: Vec::new(),
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

    /// Checks that sizes make sense: whatever multiplies them afterwards stays within what memory can be.
    ///
    /// # Errors
    /// If something is empty or larger than any memory, or k exceeds the number of features.
    pub fn check(&self) -> Result<()> {
        let width = |sites: &[Site], d: usize| sites.len().checked_mul(d).filter(|width| *width <= LARGEST);
        let (read, written) = (width(&self.inputs, self.d_in), width(&self.outputs, self.d_out));
        let (Some(read), Some(written)) = (read, written) else {
            return Err(self.too_large());
        };
        if self.features == 0 || read == 0 || written == 0 {
            return Err(Error::request(
                "expected a dictionary with features, inputs and outputs, found none",
            ));
        }
        let fits = |rows: usize, width: usize| rows.checked_mul(width).is_some_and(|count| count <= LARGEST);
        // Features are named by 32 bits.
        if u32::try_from(self.features).is_err()
            || !fits(self.features, read)
            || !fits(self.features, written)
            || !fits(read, written)
        {
            return Err(self.too_large());
        }
        match self.activation {
            Activation::Topk { k } | Activation::SignedTopk { k } if k == 0 || k > self.features => {
                Err(Error::request(format!(
                    "expected k between 1 and the number of features, {}, found {k}",
                    self.features
                )))
            }
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Error {
        let Self { features, d_in, d_out, inputs, outputs, .. } = self;
        Error::request(format!(
            "expected a dictionary that fits in some memory, found {features} features that read {} x {d_in} and write {} x {d_out} numbers",
            inputs.len(),
            outputs.len()
        ))
    }

    /// Refuses a dictionary whose activations may be negative, for `what` takes them for strengths.
    ///
    /// # Errors
    /// If its activation is [`Activation::SignedTopk`].
    pub fn check_positive(&self, what: &str) -> Result<()> {
        match self.activation {
            Activation::SignedTopk { .. } => Err(Error::request(format!(
                "{what} takes activations for strengths, which are positive, found a dictionary with signed TopK"
            ))
            .hint(
                "`deltascope convert DIR --to deltascope --split-signs --out NEW_DIR` writes the same dictionary with the \
                 two signs of a feature as two features",
            )),
            _ => Ok(()),
        }
    }
}
