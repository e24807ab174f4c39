//! Intervals that hold together: the max-t bootstrap over units.
//!
//! 1. Estimates on the same units (problems) share their draws: units of each group are resampled with
//!    replacement, one draw for all of its estimates. Groups are independent.
//! 2. In every draw each estimate gives |mean* - mean| / se*, with the draw's own standard error; the
//!    largest over all estimates is kept. A draw that leaves an estimate no spread (where one unit of many differs,
//!    a third of the draws miss it) is measured in the standard error of the data: an infinite ratio would take the
//!    intervals of all other estimates with it.
//! 3. The (1 - alpha) quantile c of these maxima makes mean +- c se hold for all estimates at once.
//! 4. Without any spread an interval is not a point, for a rare value may just not have been met: a share q of the
//!    population stays unseen in n units with probability (1 - q)^n, so of m estimates all such means lie within their reach
//!    times 1 - (alpha / m)^(1/n), and anywhere where the reach is unknown. A difference of means is widened by so much
//!    for each of the two that has no spread.
//!
//! Source: Romano and Wolf (2005), studentised step-down without the steps.

use super::summary::Interval;
use crate::rng::Stream;

/// What is estimated: a mean over units, or the difference of two means over other units.
#[derive(Clone, Debug)]
pub struct Estimand {
    terms: Vec<Term>,
    /// How far a unit's value can lie from another's, if that is known.
    reach: Option<f64>,
}

#[derive(Clone, Debug)]
struct Term {
    group: usize,
    sign: f64,
    values: Vec<f64>,
}

impl Estimand {
    /// The mean of `values`, one a unit. Estimates of one `group` share their units, in the same order.
    pub fn mean(group: usize, values: Vec<f64>) -> Self {
        Self { terms: vec![Term { group, sign: 1.0, values }], reach: None }
    }

    /// The difference of two means over different groups. (In one group, subtract by unit and take the mean.)
    pub fn difference(group: usize, values: Vec<f64>, other_group: usize, other_values: Vec<f64>) -> Self {
        let terms = vec![
            Term { group, sign: 1.0, values },
            Term { group: other_group, sign: -1.0, values: other_values },
        ];
        Self { terms, reach: None }
    }

    /// Says that a unit's value lies at most `reach` from any other's: 1 for a difference of shares from none. Of a
    /// difference of means this is said of each of the two.
    #[must_use]
    pub fn within(self, reach: f64) -> Self {
        Self { reach: Some(reach), ..self }
    }

    /// Estimate and standard error, each unit counted as often as the group's weights say.
    fn moments(&self, weights: Option<&[Vec<u32>]>) -> (f64, f64) {
        let terms = self.terms.iter().map(|term| {
            let (mean, error) = mean_and_error(&term.values, weights.map(|weights| &weights[term.group][..]));
            (term.sign * mean, error * error)
        });
        let (mean, variance) = terms.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1));
        (mean, variance.sqrt())
    }

    /// How far the means without spread may be from what they estimate, when each may miss with probability `missed`.
    fn unseen(&self, missed: f64) -> f64 {
        let spreadless = self.terms.iter().filter(|term| mean_and_error(&term.values, None).1 == 0.0);
        let each = spreadless.map(|term| {
            let share = 1.0 - missed.powf(1.0 / term.values.len().max(1) as f64);
            self.reach.map_or(f64::INFINITY, |reach| reach * share)
        });
        each.sum()
    }

    fn fewest_units(&self) -> usize {
        self.terms.iter().map(|term| term.values.len()).min().unwrap_or(0)
    }
}

/// Simultaneous intervals of level 1 - `alpha` for the means of `estimands`. With fewer than two units an interval is
/// infinite.
pub fn simultaneous_intervals(estimands: &[Estimand], alpha: f64, draws: usize, seed: u64) -> Vec<Interval> {
    let moments: Vec<(f64, f64)> = estimands.iter().map(|estimand| estimand.moments(None)).collect();
    let terms = || estimands.iter().flat_map(|estimand| &estimand.terms);
    let groups = terms().map(|term| term.group + 1).max().unwrap_or(0);
    let units: Vec<usize> = (0..groups)
        .map(|group| terms().filter(|t| t.group == group).map(|t| t.values.len()).max().unwrap_or(0))
        .collect();
    let mut maxima = Vec::with_capacity(draws);
    for draw in 0..draws {
        let mut largest: f64 = 0.0;
        let weights: Vec<Vec<u32>> = units
            .iter()
            .enumerate()
            .map(|(group, units)| {
                let mut stream = Stream::new(seed, "max-t bootstrap", &[group as u64, draw as u64]);
                let mut weights = vec![0; *units];
                (0..*units).for_each(|_| weights[stream.below(*units)] += 1);
                weights
            })
            .collect();
        for (estimand, (mean, error)) in estimands.iter().zip(&moments) {
            if *error > 0.0 {
                let (drawn, drawn_error) = estimand.moments(Some(&weights));
                let distance = (drawn - mean).abs();
                let t = distance / if drawn_error > 0.0 { drawn_error } else { *error };
                largest = largest.max(t);
            }
        }
        maxima.push(largest);
    }
    maxima.sort_by(f64::total_cmp);
    let rank = ((1.0 - alpha) * draws as f64).ceil() as usize;
    let critical = maxima.get(rank.saturating_sub(1).min(draws.saturating_sub(1))).copied();
    let critical = critical.unwrap_or(f64::INFINITY);
    estimands
        .iter()
        .zip(moments)
        .map(|(estimand, (mean, error))| {
            let half = match estimand.fewest_units() {
                0 | 1 => f64::INFINITY,
                _ if error > 0.0 => critical * error + estimand.unseen(alpha / estimands.len() as f64),
                _ => estimand.unseen(alpha / estimands.len() as f64),
            };
            Interval { mean, low: mean - half, high: mean + half }
        })
        .collect()
}

/// Mean and standard error of values, each counted `weights` times.
fn mean_and_error(values: &[f64], weights: Option<&[u32]>) -> (f64, f64) {
    let count = values.len() as f64;
    let weight = |index: usize| weights.map_or(1.0, |weights| f64::from(weights[index]));
    let mean = values.iter().enumerate().map(|(i, x)| weight(i) * x).sum::<f64>() / count.max(1.0);
    let squares = values.iter().enumerate().map(|(i, x)| weight(i) * (x - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count * (count - 1.0)).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: u64, group: usize, mean: f64, units: usize) -> Estimand {
        let mut stream = Stream::new(seed, "estimand", &[group as u64]);
        Estimand::mean(group, (0..units).map(|_| mean + f64::from(stream.normal())).collect())
    }

    #[test]
    fn all_intervals_hold_together_at_the_stated_rate() {
        let repeats = 200;
        let held = (0..repeats)
            .filter(|repeat| {
                let estimands =
                    [world(*repeat, 0, 0.3, 30), world(*repeat, 1, -0.2, 40), world(*repeat, 2, 0.0, 25)];
                let truths = [0.3, -0.2, 0.0];
                let intervals = simultaneous_intervals(&estimands, 0.05, 400, *repeat);
                intervals.iter().zip(truths).all(|(i, truth)| i.low <= truth && truth <= i.high)
            })
            .count();
        assert!((182..=198).contains(&held), "{held} of {repeats}");
    }

    #[test]
    fn more_estimates_widen_every_interval_and_a_copy_does_not() {
        let one = world(1, 0, 0.0, 50);
        let width = |estimands: &[Estimand]| {
            let interval = simultaneous_intervals(estimands, 0.05, 1000, 3)[0];
            interval.high - interval.low
        };
        let alone = width(std::slice::from_ref(&one));
        assert_eq!(width(&[one.clone(), one.clone()]), alone, "same units, same numbers");
        assert!(width(&[one, world(1, 1, 0.0, 50), world(1, 2, 0.0, 50)]) > alone);
    }

    #[test]
    fn one_unit_that_differs_takes_no_interval_away() {
        let mut rare = vec![0.0; 12];
        rare[3] = 0.04;
        let steady = world(1, 0, 0.5, 40);
        let alone = simultaneous_intervals(std::slice::from_ref(&steady), 0.05, 500, 2)[0];
        let both = simultaneous_intervals(&[steady, Estimand::mean(1, rare)], 0.05, 500, 2);
        let width = |interval: &Interval| interval.high - interval.low;
        assert!((width(&both[0]) / width(&alone) - 1.0).abs() < 0.2, "{both:?} beside {alone:?}");
        assert!(both[1].low < 0.0 && both[1].high > 0.04 / 12.0 && both[1].high < 0.1, "{both:?}");
    }

    #[test]
    fn without_spread_an_interval_allows_for_what_was_not_met() {
        let constant = Estimand::mean(0, vec![0.0; 12]);
        let single = Estimand::mean(1, vec![0.25]).within(1.0);
        let intervals =
            simultaneous_intervals(&[constant.clone().within(1.0), constant, single], 0.05, 300, 1);
        // (1 - q)^12 = .05 / 3
        let reach = 1.0 - (0.05f64 / 3.0).powf(1.0 / 12.0);
        assert!((0.28..0.3).contains(&reach));
        assert_eq!((intervals[0].low, intervals[0].high), (-reach, reach));
        assert!(intervals[1].high.is_infinite() && intervals[2].high.is_infinite());
    }

    #[test]
    fn a_difference_is_as_unsure_as_its_mean_without_spread() {
        let of = |values: &[f64]| Estimand::mean(0, values.to_vec()).within(1.0);
        let spread: Vec<f64> = (0..40).map(|unit| 0.1 * f64::from(unit % 3)).collect();
        let (constant, moving) = (vec![0.0; 12], Estimand::mean(1, spread.clone()).within(1.0));
        let difference = Estimand::difference(1, spread, 0, constant.clone()).within(1.0);
        let found = simultaneous_intervals(&[of(&constant), moving, difference.clone()], 0.05, 500, 3);
        let half = |interval: &Interval| 0.5 * (interval.high - interval.low);
        assert!((half(&found[2]) - half(&found[0]) - half(&found[1])).abs() < 1e-12, "{found:?}");
        let unknown = Estimand { reach: None, ..difference };
        assert!(simultaneous_intervals(&[unknown], 0.05, 500, 3)[0].high.is_infinite());
    }

    #[test]
    fn a_difference_of_means_is_covered() {
        let repeats = 200;
        let held = (0..repeats)
            .filter(|repeat| {
                let mut stream = Stream::new(*repeat, "difference", &[]);
                let mut drawn =
                    |mean: f64, units: usize| (0..units).map(|_| mean + f64::from(stream.normal())).collect();
                let estimand = Estimand::difference(0, drawn(0.5, 20), 1, drawn(0.1, 35));
                let interval = simultaneous_intervals(&[estimand], 0.05, 400, *repeat)[0];
                interval.low <= 0.4 && 0.4 <= interval.high
            })
            .count();
        assert!((182..=198).contains(&held), "{held} of {repeats}");
    }
}
