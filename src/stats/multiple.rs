//! Corrections for testing several hypotheses, as adjusted p-values: reject where they are at most alpha.

/// Holm's step-down: the chance of any false rejection is at most alpha, under any dependence.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![0.0; p.len()];
    let mut running: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        running = running.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = running;
    }
    adjusted
}

/// Benjamini and Hochberg's step-up: the expected share of false rejections is at most alpha, for
/// independent or positively dependent tests.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    step_up(p, 1.0)
}

/// Benjamini and Yekutieli's step-up: as [`benjamini_hochberg`], under any dependence.
pub fn benjamini_yekutieli(p: &[f64]) -> Vec<f64> {
    step_up(p, (1..=p.len()).map(|rank| 1.0 / rank as f64).sum())
}

/// The level for intervals of `selected` effects out of `total` such that at most a share `alpha` of the
/// reported ones are expected to miss (false coverage rate, Benjamini and Yekutieli 2005): for 95 %
/// intervals of 3 selected of 60, 1 - .05 * 3 / 60.
pub fn false_coverage_level(selected: usize, total: usize, alpha: f64) -> f64 {
    1.0 - alpha * selected.min(total) as f64 / total.max(1) as f64
}

fn step_up(p: &[f64], factor: f64) -> Vec<f64> {
    let mut adjusted = vec![0.0; p.len()];
    let mut running: f64 = 1.0;
    for (rank, index) in ascending(p).into_iter().enumerate().rev() {
        running = running.min(factor * p.len() as f64 / (rank + 1) as f64 * p[index]);
        adjusted[index] = running;
    }
    adjusted
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn adjusted_values_are_those_of_rs_p_adjust() {
        let p = [0.01, 0.04, 0.03, 0.005];
        close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]);
        close(&benjamini_hochberg(&p), &[0.02, 0.04, 0.04, 0.02]);
        let harmonic = 1.0 + 0.5 + 1.0 / 3.0 + 0.25;
        close(
            &benjamini_yekutieli(&p),
            &[0.02 * harmonic, 0.04 * harmonic, 0.04 * harmonic, 0.02 * harmonic],
        );
    }

    #[test]
    fn adjusted_values_never_exceed_one_and_a_single_test_is_unchanged() {
        close(&holm(&[0.9, 0.8]), &[1.0, 1.0]);
        close(&benjamini_hochberg(&[0.3]), &[0.3]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn false_coverage_widens_with_selection() {
        assert_eq!(false_coverage_level(3, 60, 0.05), 0.9975);
        assert_eq!(false_coverage_level(60, 60, 0.05), 0.95);
    }
}
