//! The bootstrap over units (Efron 1979): percentile intervals of any statistic.

use super::summary::Interval;
use crate::rng::Stream;
use rayon::prelude::*;

/// How a bootstrap is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// The coverage, .95 for 95 %.
    pub level: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// Keys the random draws; equal seeds resample the same units.
    pub seed: u64,
}

impl Bootstrap {
    /// 95 % intervals from 2000 resamples.
    pub fn new(seed: u64) -> Self {
        Self { level: 0.95, resamples: 2000, seed }
    }

    /// The percentile interval of `statistic`, which gets the resampled units' indices (a paired or
    /// clustered bootstrap is one whose statistic looks up whole pairs or clusters). Resamples on which
    /// the statistic is undefined are left out; NaN ends if all are, or there are no units.
    pub fn interval(&self, units: usize, statistic: impl Fn(&[usize]) -> Option<f64> + Sync) -> Interval {
        let whole: Vec<usize> = (0..units).collect();
        let mean = if units == 0 { None } else { statistic(&whole) };
        let mut values = self.resample(units, statistic);
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        let (low, high) = (quantile(&values, tail), quantile(&values, 1.0 - tail));
        Interval { mean: mean.unwrap_or(f64::NAN), low, high }
    }

    /// The percentile interval of the mean of one value per unit, or of paired differences.
    pub fn mean(&self, values: &[f64]) -> Interval {
        self.interval(values.len(), |drawn| {
            Some(drawn.iter().map(|unit| values[*unit]).sum::<f64>() / drawn.len() as f64)
        })
    }

    fn resample(&self, units: usize, statistic: impl Fn(&[usize]) -> Option<f64> + Sync) -> Vec<f64> {
        if units == 0 {
            return Vec::new();
        }
        let draw = |resample: usize| {
            let mut stream = Stream::new(self.seed, "stats/bootstrap", &[resample as u64]);
            let drawn: Vec<usize> = (0..units).map(|_| stream.below(units)).collect();
            statistic(&drawn)
        };
        (0..self.resamples).into_par_iter().filter_map(draw).collect()
    }
}

/// The quantile of sorted values by linear interpolation; NaN of none.
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let place = probability * sorted.len().saturating_sub(1) as f64;
    let value = |index: usize| sorted.get(index.min(sorted.len().saturating_sub(1))).copied();
    match (value(place.floor() as usize), value(place.ceil() as usize)) {
        (Some(low), Some(high)) => low + (high - low) * (place - place.floor()),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(count: usize, index: u64) -> Vec<f64> {
        let mut stream = Stream::new(3, "bootstrap test", &[index]);
        (0..count).map(|_| f64::from(stream.normal())).collect()
    }

    #[test]
    fn the_percentile_interval_covers() {
        let repeats = 400;
        let bootstrap = |seed| Bootstrap { resamples: 400, ..Bootstrap::new(seed) };
        let covered =
            (0..repeats).filter(|index| bootstrap(*index).mean(&normals(60, *index)).contains(0.0)).count();
        assert!((0.91..0.975).contains(&(covered as f64 / repeats as f64)), "{covered}");
    }

    #[test]
    fn equal_seeds_give_equal_intervals_and_no_units_give_none() {
        let values = normals(30, 1);
        assert_eq!(Bootstrap::new(1).mean(&values), Bootstrap::new(1).mean(&values));
        assert_ne!(Bootstrap::new(1).mean(&values), Bootstrap::new(2).mean(&values));
        assert!(Bootstrap::new(1).mean(&[]).low.is_nan());
    }
}
