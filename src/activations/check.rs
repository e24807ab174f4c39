//! Values that no fit can use are refused where they enter, with their position.

use crate::error::{Error, Result};

/// All bits but the sign.
const MAGNITUDE: u32 = i32::MAX as u32;

/// Refuses NaN, infinite, and all-zero activations.
///
/// `values` is `[tokens, variants, d_model]`; `first` is the index of its first token in the whole.
pub(super) fn finite(values: &[f32], variants: &[String], d_model: usize, first: usize) -> Result<()> {
    for (row, vector) in values.chunks_exact(d_model.max(1)).enumerate() {
        let place = || {
            let variant = variants.get(row % variants.len().max(1)).map_or("?", String::as_str);
            format!("token {}, variant `{variant}`", first + row / variants.len().max(1))
        };
        // Without the sign, bits order as magnitudes do, and integers need no order of addition: the compiler may
        // look at many at once.
        let largest = vector.iter().fold(0, |largest, value| (value.to_bits() & MAGNITUDE).max(largest));
        if largest == 0 {
            return Err(Error::request(format!(
                "expected activations, found a vector of zeros at {}",
                place()
            ))
            .hint("leave padding out of the capture: only real tokens belong in a store"));
        }
        if largest >= f32::INFINITY.to_bits()
            && let Some((dimension, value)) = vector.iter().enumerate().find(|(_, value)| !value.is_finite())
        {
            return Err(Error::request(format!(
                "expected finite activations, found {value} at {}, dimension {dimension}",
                place()
            ))
            .hint("a variant that diverged, or a half-precision overflow, gives such values"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::finite;

    #[test]
    fn bad_values_are_refused_with_their_position() {
        let variants = ["base".to_owned(), "rl".to_owned()];
        let mut values = vec![1.0f32; 3 * 2 * 4];
        assert!(finite(&values, &variants, 4, 10).is_ok());
        values[2 * 8 + 4 + 3] = f32::NAN;
        let message = finite(&values, &variants, 4, 10).unwrap_err().to_string();
        assert!(message.contains("NaN at token 12, variant `rl`, dimension 3"), "{message}");
        values[8..12].fill(0.0);
        let message = finite(&values, &variants, 4, 10).unwrap_err().to_string();
        assert!(message.contains("zeros at token 11, variant `base`"), "{message}");
    }
}
