//! Rotary frequencies by type, as transformers computes them.

use std::f32::consts::PI;

/// The frequencies of one rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians per position of each rotated pair; a head's first `2 · len` numbers are rotated.
    pub frequencies: Vec<f32>,
    /// The factor on cosines and sines (yarn's attention factor; else 1).
    pub factor: f32,
}

/// How trained frequencies are stretched to longer inputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scaling {
    /// `theta^(-2i/d)`
    Default,
    /// Frequencies divided by a factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Llama 3: low frequencies divided, high ones kept, between them interpolated.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f32,
        /// Wavelengths above `original / low` are divided.
        low: f32,
        /// Wavelengths below `original / high` are kept.
        high: f32,
        /// The positions of pre-training.
        original: f32,
    },
    /// YaRN (arXiv 2309.00071).
    Yarn {
        /// The stretch.
        factor: f32,
        /// The factor on cosines and sines.
        attention_factor: f32,
        /// Rotations above which frequencies are kept.
        beta_fast: f32,
        /// Rotations below which they are divided.
        beta_slow: f32,
        /// The positions of pre-training.
        original: f32,
        /// Whether the bounds are rounded to whole pairs.
        truncate: bool,
    },
}

impl Rope {
    /// Frequencies for heads of which `dim` numbers are rotated.
    pub(super) fn new(theta: f32, dim: usize, scaling: &Scaling) -> Self {
        let mut frequencies: Vec<f32> =
            (0..dim / 2).map(|pair| 1.0 / theta.powf((2 * pair) as f32 / dim as f32)).collect();
        let mut factor = 1.0;
        match scaling {
            Scaling::Default => {}
            Scaling::Linear { factor } => frequencies.iter_mut().for_each(|rate| *rate /= factor),
            Scaling::Llama3 { factor, low, high, original } => {
                frequencies
                    .iter_mut()
                    .for_each(|rate| *rate = llama3(*rate, *factor, *low, *high, *original));
            }
            Scaling::Yarn { factor: stretch, attention_factor, beta_fast, beta_slow, original, truncate } => {
                factor = *attention_factor;
                let bound = |rotations: f32| {
                    dim as f32 * (original / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln())
                };
                let (mut low, mut high) = (bound(*beta_fast), bound(*beta_slow));
                if *truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, mut high) = (low.max(0.0), high.min(dim as f32 - 1.0));
                if low == high {
                    high += 0.001;
                }
                for (pair, rate) in frequencies.iter_mut().enumerate() {
                    let divided = ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
                    *rate = *rate / stretch * divided + *rate * (1.0 - divided);
                }
            }
        }
        Self { frequencies, factor }
    }
}

impl Rope {
    /// The same rotation with frequencies rounded to bf16: what a model has that was cast as a whole.
    pub(super) fn rounded(&self) -> Self {
        let round = |rate: &f32| half::bf16::from_f32(*rate).to_f32();
        Self { frequencies: self.frequencies.iter().map(round).collect(), factor: self.factor }
    }
}

fn llama3(rate: f32, factor: f32, low: f32, high: f32, original: f32) -> f32 {
    let wavelength = 2.0 * PI / rate;
    if wavelength < original / high {
        rate
    } else if wavelength > original / low {
        rate / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * rate / factor + smooth * rate
    }
}
