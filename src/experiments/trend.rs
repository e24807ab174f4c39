//! Does more of an edit do more? The trend over a dose series.
//!
//! For every problem, the slope of the endpoint over the doses is fitted by least squares, the unedited
//! receiver being dose zero. The test is a sign flip of these slopes over problems: one test for the whole
//! series, not one a dose. For edits whose dose zero is not the unedited receiver (`scale`, `clamp`) the
//! baseline is left out of the fit.

use super::measure::Measured;
use super::rows::TrendRow;
use crate::interventions::Edit;
use crate::rng::stable_hash;
use crate::stats::{Alternative, Summary, sign_flip};

/// A dose series: conditions of one hypothesis that differ in dose alone.
pub(super) struct Series<'a> {
    pub(super) hypothesis: &'a str,
    pub(super) edit: &'a Edit,
    /// Dose and condition.
    pub(super) doses: Vec<(f32, usize)>,
    pub(super) seed: u64,
}

/// One row an endpoint; none for fewer than two doses.
pub(super) fn trends(series: &Series<'_>, suite: &str, measured: &Measured) -> Vec<TrendRow> {
    let mut doses: Vec<(f64, usize)> = series.doses.iter().map(|(dose, at)| (shown(*dose), *at)).collect();
    if !matches!(series.edit, Edit::Scale | Edit::Clamp) {
        doses.push((0.0, 0));
    }
    doses.sort_by(|a, b| a.0.total_cmp(&b.0));
    doses.dedup_by(|a, b| a.0 == b.0);
    if doses.len() < 3 {
        return Vec::new();
    }
    let rows = measured.endpoints.iter().enumerate().map(|(endpoint, name)| {
        let values: Vec<&[f64]> =
            doses.iter().map(|(_, condition)| measured.of(*condition, endpoint)).collect();
        let slopes: Vec<f64> = (0..measured.units.len())
            .map(|unit| {
                let points = doses.iter().zip(&values);
                slope(points.map(|((dose, _), values)| (*dose, values.get(unit).copied().unwrap_or(0.0))))
            })
            .collect();
        let key = series.seed ^ stable_hash(&format!("trend {}/{suite}/{name}", series.hypothesis));
        let interval = Summary::of(&slopes).interval(0.95);
        let means: Vec<f64> = values.iter().map(|values| Summary::of(values).mean).collect();
        TrendRow {
            hypothesis: series.hypothesis.to_owned(),
            suite: suite.to_owned(),
            endpoint: name.clone(),
            doses: list(doses.iter().map(|(dose, _)| *dose)),
            values: list(means.iter().copied()),
            slope: Summary::of(&slopes).mean,
            ci_low: interval.low,
            ci_high: interval.high,
            p: sign_flip(&slopes, Alternative::TwoSided, key),
            monotone: means.is_sorted() || means.iter().rev().is_sorted(),
        }
    });
    rows.collect()
}

/// The least-squares slope of (dose, value).
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let count = points.clone().count().max(1) as f64;
    let (x, y) =
        points.clone().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let (spread, together) = points.fold((0.0, 0.0), |sum, point| {
        (sum.0 + (point.0 - x).powi(2), sum.1 + (point.0 - x) * (point.1 - y))
    });
    if spread > 0.0 { together / spread } else { 0.0 }
}

/// The double that is written as the dose was: 0.1, not 0.10000000149.
fn shown(dose: f32) -> f64 {
    dose.to_string().parse().unwrap_or(f64::from(dose))
}

fn list(numbers: impl Iterator<Item = f64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Values at doses 0, .5, 1 and 2 that rise by `slope` a dose, with noise by problem and dose.
    fn measured(slope: f64) -> Measured {
        let mut stream = Stream::new(1, "trend", &[]);
        let mut values = |dose: f64| -> Vec<f64> {
            (0..30).map(|_| 0.2 + slope * dose + 0.1 * f64::from(stream.normal())).collect()
        };
        Measured {
            endpoints: vec!["pass".into()],
            units: (0..30).map(|unit| unit.to_string()).collect(),
            values: [0.0, 0.5, 1.0, 2.0].map(|dose| vec![values(dose)]).to_vec(),
            ..Measured::default()
        }
    }

    #[test]
    fn a_planted_slope_is_found_and_none_is_not() {
        let edit = Edit::Zero;
        let doses = vec![(2.0, 3), (0.5, 1), (1.0, 2)];
        let series = Series { hypothesis: "h", edit: &edit, doses, seed: 3 };
        let planted = &trends(&series, "suite", &measured(-0.1))[0];
        assert!((planted.slope + 0.1).abs() < 0.03 && planted.p < 0.001 && planted.monotone, "{planted:?}");
        assert_eq!(planted.doses, "[0, 0.5, 1, 2]");
        let nothing = &trends(&series, "suite", &measured(0.0))[0];
        assert!(nothing.p > 0.05 && nothing.ci_low < 0.0 && nothing.ci_high > 0.0, "{nothing:?}");
        let short = Series { doses: vec![(1.0, 2)], ..series };
        assert!(trends(&short, "suite", &measured(0.1)).is_empty(), "a line through two points is no trend");
    }
}
