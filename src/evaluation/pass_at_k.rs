//! pass@k: the chance that at least one of k samples of a problem is right.
//!
//! From n samples of which c are right, the unbiased estimate is `1 - C(n - c, k) / C(n, k)` (Chen et al., arXiv
//! 2107.03374). With one sample a problem there is none beyond pass@1, which is the endpoint `pass`.

use super::summarise::Outcome;
use std::collections::BTreeMap;

/// The endpoint that it is computed from.
const PASS: &str = "pass";

/// The endpoints `pass_at_2`, `pass_at_4`, … up to the number of samples, each with its mean within every problem,
/// in the order of the problems' ids. None where the suite has no `pass`.
pub(super) fn endpoints(outcomes: &[&Outcome]) -> Vec<(String, Vec<f64>)> {
    let mut prompts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(value) = outcome.get(PASS) {
            let (samples, right) = prompts.entry((&outcome.problem, &outcome.prompt)).or_default();
            *samples += 1;
            *right += usize::from(value >= 1.0);
        }
    }
    let fewest = prompts.values().map(|(samples, _)| *samples).min().unwrap_or(0);
    let powers = std::iter::successors(Some(2_usize), |k| k.checked_mul(2)).take_while(|k| *k <= fewest);
    powers.map(|k| (format!("pass_at_{k}"), by_problem(&prompts, k))).collect()
}

fn by_problem(prompts: &BTreeMap<(&str, &str), (usize, usize)>, k: usize) -> Vec<f64> {
    let mut problems: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for ((problem, _), (samples, right)) in prompts {
        let (sum, count) = problems.entry(problem).or_default();
        *sum += estimate(*samples, *right, k);
        *count += 1.0;
    }
    problems.into_values().map(|(sum, count)| sum / count).collect()
}

/// The unbiased estimate; `k` is at most `samples`.
fn estimate(samples: usize, right: usize, k: usize) -> f64 {
    let wrong = samples - right.min(samples);
    let none = (0..k).map(|drawn| wrong.saturating_sub(drawn) as f64 / (samples - drawn) as f64);
    1.0 - none.product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::estimate;

    /// Against the average over all ways to choose k of n samples.
    #[test]
    fn the_estimate_is_the_share_of_choices_that_hold_a_right_sample() {
        for samples in 1..=6_usize {
            for right in 0..=samples {
                for k in 1..=samples {
                    let choices = (0_u32..1 << samples).filter(|choice| choice.count_ones() as usize == k);
                    let (mut all, mut hit) = (0.0, 0.0);
                    for choice in choices {
                        all += 1.0;
                        hit += f64::from(u8::from(choice & ((1 << right) - 1) != 0));
                    }
                    assert!((estimate(samples, right, k) - hit / all).abs() < 1e-12, "{samples} {right} {k}");
                }
            }
        }
    }
}
