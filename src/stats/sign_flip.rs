//! The sign-flip test: is the mean of paired differences zero?
//!
//! Under the null each difference is as likely as its negative, so the observed mean is compared with
//! the means under all assignments of signs. All 2^n are enumerated (in Gray-code order, one addition
//! each) while n is small; beyond that keyed random signs are drawn, with the observed one counted in.
//! The units must be independent: problems, not samples.

use crate::rng::Stream;

/// Up to so many non-zero differences every sign assignment is enumerated.
const EXACT: usize = 18;
/// Random sign assignments beyond that.
const DRAWS: usize = 20_000;
/// Sums that differ by less than this share of the total magnitude count as equal: the order of additions must not decide.
const TIE: f64 = 1e-9;

/// Which means speak against the null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// Far from zero on either side.
    TwoSided,
    /// Above zero.
    Greater,
    /// Below zero.
    Less,
}

/// The p-value of the sign-flip test of mean zero. 1 where there is nothing to flip.
///
/// Zero differences stay in the data but cannot move the sum, so they do not change the p-value.
pub fn sign_flip(differences: &[f64], alternative: Alternative, seed: u64) -> f64 {
    let sign = if alternative == Alternative::Less { -1.0 } else { 1.0 };
    let magnitudes: Vec<f64> =
        differences.iter().filter(|x| **x != 0.0 && x.is_finite()).map(|x| sign * x).collect();
    if magnitudes.is_empty() {
        return 1.0;
    }
    let observed: f64 = magnitudes.iter().sum();
    let tie = TIE * magnitudes.iter().map(|x| x.abs()).sum::<f64>();
    let extreme = |sum: f64| match alternative {
        Alternative::TwoSided => sum.abs() >= observed.abs() - tie,
        Alternative::Greater | Alternative::Less => sum >= observed - tie,
    };
    if magnitudes.len() <= EXACT { exact(&magnitudes, extreme) } else { drawn(&magnitudes, extreme, seed) }
}

fn exact(magnitudes: &[f64], extreme: impl Fn(f64) -> bool) -> f64 {
    let assignments = 1_u64 << magnitudes.len();
    let mut signs = vec![1.0; magnitudes.len()];
    let mut sum: f64 = magnitudes.iter().sum();
    let mut count = u64::from(extreme(sum));
    for step in 1..assignments {
        let flipped = step.trailing_zeros() as usize;
        signs[flipped] = -signs[flipped];
        sum += 2.0 * signs[flipped] * magnitudes[flipped];
        count += u64::from(extreme(sum));
    }
    count as f64 / assignments as f64
}

fn drawn(magnitudes: &[f64], extreme: impl Fn(f64) -> bool, seed: u64) -> f64 {
    let mut stream = Stream::new(seed, "sign flip", &[]);
    let mut count = 1;
    for _ in 0..DRAWS {
        let sum: f64 = magnitudes
            .chunks(64)
            .map(|chunk| {
                let bits = stream.bits();
                chunk.iter().enumerate().map(|(i, x)| if bits >> i & 1 == 0 { *x } else { -x }).sum::<f64>()
            })
            .sum();
        count += u64::from(extreme(sum));
    }
    count as f64 / (DRAWS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_signs_give_the_smallest_p() {
        let p = sign_flip(&[1.0, 2.0, 0.5, 3.0, 1.0, 0.1], Alternative::TwoSided, 0);
        assert_eq!(p, 2.0 / 64.0);
        assert_eq!(sign_flip(&[1.0, 2.0, 0.5], Alternative::Greater, 0), 1.0 / 8.0);
        assert_eq!(sign_flip(&[1.0, 2.0, 0.5], Alternative::Less, 0), 1.0);
        assert_eq!(sign_flip(&[0.0, 0.0], Alternative::TwoSided, 0), 1.0);
    }

    /// Fisher's own example (1935): Darwin's fifteen pairs of maize plants.
    #[test]
    fn darwins_maize_gives_fishers_count() {
        let inches = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48].map(f64::from);
        assert_eq!(sign_flip(&inches, Alternative::TwoSided, 0), 1726.0 / 32768.0);
    }

    #[test]
    fn ties_do_not_depend_on_the_order_of_additions() {
        // Every assignment with the same sum must count, though 0.1 + 0.2 is not 0.3.
        let p = sign_flip(&[0.1, 0.2, -0.3], Alternative::TwoSided, 0);
        assert_eq!(p, 1.0);
    }

    #[test]
    fn drawn_signs_agree_with_enumeration() {
        let differences: Vec<f64> = (0..16).map(|i| f64::from(i) - 5.0).collect();
        let padded: Vec<f64> = differences.iter().copied().chain((0..8).map(|_| 1e-12)).collect();
        let (exact, drawn) =
            (sign_flip(&differences, Alternative::TwoSided, 1), sign_flip(&padded, Alternative::TwoSided, 1));
        assert!((exact - drawn).abs() < 0.01, "{exact} {drawn}");
    }

    #[test]
    fn the_level_holds_under_the_null() {
        let repeats = 400;
        let rejected = (0..repeats)
            .filter(|repeat| {
                let mut stream = Stream::new(*repeat, "null", &[]);
                let differences: Vec<f64> = (0..12).map(|_| f64::from(stream.normal())).collect();
                sign_flip(&differences, Alternative::TwoSided, 0) <= 0.05
            })
            .count();
        assert!(rejected <= 29, "{rejected} of {repeats}");
    }
}
