//! What a design could find.

use super::distributions::student_t_quantile;

/// The smallest true mean difference that a two-sided test at `alpha` finds with probability `power`, from
/// the standard error of the paired differences over `units`: (t_{1 - alpha/2} + t_power) * error
/// (Bloom 1995). NaN with fewer than two units.
pub fn minimum_detectable_effect(standard_error: f64, units: usize, alpha: f64, power: f64) -> f64 {
    let freedom = units as f64 - 1.0;
    (student_t_quantile(1.0 - alpha / 2.0, freedom) + student_t_quantile(power, freedom)) * standard_error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::stats::summary::Summary;

    #[test]
    fn the_effect_is_found_as_often_as_stated() {
        let units = 40;
        let effect = minimum_detectable_effect(1.0 / f64::sqrt(units as f64), units, 0.05, 0.8);
        let found = (0..2000_u64)
            .filter(|index| {
                let mut stream = Stream::new(4, "power", &[*index]);
                let values: Vec<f64> = (0..units).map(|_| effect + f64::from(stream.normal())).collect();
                !Summary::of(&values).interval(0.95).contains(0.0)
            })
            .count();
        assert!((0.76..0.84).contains(&(found as f64 / 2000.0)), "{found}");
    }
}
