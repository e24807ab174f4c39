//! Rotary frequencies by type, as transformers computes them.

use std::f64::consts::PI;

/// The frequencies of one rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies before scaling.
    pub theta: f64,
    /// How they are stretched to longer inputs.
    pub scaling: RopeScaling,
    /// Radians per position of each rotated pair; a head's first `2 · len` numbers are rotated.
    pub frequencies: Vec<f32>,
    /// The factor on cosines and sines (yarn's attention factor; else 1).
    pub factor: f32,
}

/// How trained frequencies are stretched to longer inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
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
        original: usize,
    },
    /// YaRN (arXiv 2309.00071).
    Yarn {
        /// The stretch.
        factor: f32,
        /// The factor on cosines and sines.
        attention_factor: f32,
        /// Rotations above which frequencies are kept.
        beta_fast: f64,
        /// Rotations below which they are divided.
        beta_slow: f64,
        /// The positions of pre-training.
        original: usize,
        /// Whether the bounds are rounded to whole pairs.
        truncate: bool,
    },
}

impl Rope {
    /// Frequencies for heads of which `rotated` numbers are rotated (rounded up to whole pairs).
    pub(super) fn new(theta: f64, rotated: usize, scaling: RopeScaling) -> Self {
        let mut frequencies: Vec<f32> = (0..rotated.div_ceil(2))
            .map(|pair| 1.0 / (theta as f32).powf((2 * pair) as f32 / rotated as f32))
            .collect();
        let mut attention = 1.0;
        match &scaling {
            RopeScaling::Default => {}
            RopeScaling::Linear { factor } => frequencies.iter_mut().for_each(|rate| *rate /= factor),
            RopeScaling::Llama3 { factor, low, high, original } => {
                let original = *original as f32;
                frequencies.iter_mut().for_each(|rate| *rate = llama3(*rate, *factor, *low, *high, original));
            }
            RopeScaling::Yarn { factor, attention_factor, beta_fast, beta_slow, original, truncate } => {
                attention = *attention_factor;
                let bounds = [*beta_fast, *beta_slow].map(|rotations| {
                    rotated as f64 * (*original as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln())
                });
                let (low, high) = yarn_ramp(bounds, rotated, *truncate);
                for (pair, rate) in frequencies.iter_mut().enumerate() {
                    let divided = ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
                    *rate = *rate / factor * divided + *rate * (1.0 - divided);
                }
            }
        }
        Self { theta, scaling, frequencies, factor: attention }
    }

    /// The same rotation with frequencies rounded by `round`: what a model has that was cast as a whole.
    pub(super) fn rounded(&self, round: impl Fn(f32) -> f32) -> Self {
        let frequencies = self.frequencies.iter().map(|rate| round(*rate)).collect();
        Self { frequencies, ..self.clone() }
    }
}

/// Between which pairs frequencies go from kept to divided.
fn yarn_ramp([low, high]: [f64; 2], rotated: usize, truncate: bool) -> (f32, f32) {
    let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, high) = (low.max(0.0), high.min(rotated as f64 - 1.0));
    // Two bounds in one place would divide by zero.
    (low as f32, if low == high { high + 0.001 } else { high } as f32)
}

fn llama3(rate: f32, factor: f32, low: f32, high: f32, original: f32) -> f32 {
    let wavelength = 2.0 * PI as f32 / rate;
    if wavelength < original / high {
        rate
    } else if wavelength > original / low {
        rate / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * rate / factor + smooth * rate
    }
}
