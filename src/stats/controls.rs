//! The p-value of an effect among matched controls.

/// How much of what a control writes others write as well, as cosines of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likeness {
    /// The mean cosine with the other controls.
    pub among: f64,
    /// The cosine with the tested set.
    pub to_set: f64,
}

/// The mean cosine among controls from which on they are one control.
const COPIES: f64 = 0.95;

/// How many times as far from the mean of its controls as these lie from it a set of their kind is to be expected. `None`
/// where the controls are copies of one another, of which one knows no more than of one of them.
///
/// Let effects have the variance s^2, those of two controls correlate by r, and those of a control and the set by q.
/// Then controls scatter about their mean with s^2 (1 - r), but the set about it with s^2 (1 + r - 2 q), leaving out
/// what one control of many does to the mean. Where controls are as like each other as like the set, that is the same
/// and the set is one among equals; controls that are made of the same few features lie closer together than that.
/// Never below 1.
pub fn widening(controls: &[Likeness]) -> Option<f64> {
    let mean =
        |value: fn(&Likeness) -> f64| controls.iter().map(value).sum::<f64>() / controls.len().max(1) as f64;
    let (among, to_set) = (mean(|likeness| likeness.among), mean(|likeness| likeness.to_set));
    let factor = ((1.0 + among - 2.0 * to_set).max(0.0) / (1.0 - among)).sqrt();
    (among < COPIES).then(|| factor.max(1.0))
}

/// (1 + number of controls that move it as much, in either direction) / (1 + number of controls), where the controls are
/// taken to lie `widening` times as far from their mean as they do ([`widening`]; 1 for sets that have nothing in common).
/// 1 where they are copies of one another, and there is no such factor.
///
/// Valid when the tested set is exchangeable with its controls under the null, hence the matching. Widened controls are
/// ranked by how far they are from zero, the set by its effect as it is: where their mean is near zero, that asks a little
/// more of the effect than the level does. A control counts as what moves it more, as measured or widened. An effect that
/// is no number has the p-value 1, and a control that is none counts against the effect.
pub fn p_controls(effect: f64, controls: &[f64], widening: Option<f64>) -> f64 {
    let Some(widening) = widening else { return 1.0 };
    let known = || controls.iter().filter(|control| control.is_finite());
    let mean = known().sum::<f64>() / known().count().max(1) as f64;
    // A tie counts against the effect; the tolerance keeps rounding from breaking ties.
    let size = effect.abs() * (1.0 - 1e-12);
    let further = |control: f64| control + (widening - 1.0) * (control - mean);
    let is_smaller = |control: &&f64| control.abs() < size && further(**control).abs() < size;
    let smaller = controls.iter().filter(is_smaller).count();
    (1 + controls.len() - smaller) as f64 / (1 + controls.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn ties_and_both_signs_count_against_the_effect() {
        assert_eq!(p_controls(-0.5, &[0.1, -0.2, 0.3], Some(1.0)), 0.25);
        assert_eq!(p_controls(0.3, &[0.1, -0.3, 0.5], Some(1.0)), 0.75);
        assert_eq!(p_controls(0.5, &[], Some(1.0)), 1.0);
        assert_eq!(p_controls(-2.0, &[1.0; 59], Some(1.0)), 1.0 / 60.0);
    }

    #[test]
    fn what_is_no_number_never_helps() {
        assert_eq!(p_controls(f64::NAN, &[0.1, 0.2], Some(1.0)), 1.0);
        assert_eq!(p_controls(0.5, &[0.1, f64::NAN], Some(1.0)), 2.0 / 3.0);
        assert_eq!(p_controls(0.5, &[0.1, f64::NAN], Some(2.0)), 2.0 / 3.0);
    }

    #[test]
    fn controls_are_widened_about_their_mean() {
        // About .1: .3 comes to .5, -.1 to -.3.
        let controls = [0.3, -0.1];
        assert_eq!(p_controls(0.4, &controls, Some(1.0)), 1.0 / 3.0);
        assert_eq!(p_controls(0.4, &controls, Some(2.0)), 2.0 / 3.0);
        assert_eq!(p_controls(-0.25, &controls, Some(2.0)), 1.0);
        // Those above the effect are not drawn below it.
        let mut controls = vec![1.0; 57];
        controls.extend([10.0, 10.0]);
        assert_eq!(p_controls(0.9, &controls, Some(2.0)), 1.0);
    }

    #[test]
    fn sets_that_have_nothing_in_common_or_all_the_same_are_not_widened() {
        assert_eq!(widening(&[]), Some(1.0));
        let alike = |among, to_set| widening(&[Likeness { among, to_set }; 3]).unwrap();
        assert_eq!(alike(0.0, 0.0), 1.0);
        assert_eq!(alike(0.4, 0.4), 1.0);
        assert_eq!(alike(0.1, 0.5), 1.0, "never narrower");
        assert!((alike(0.5, 0.0) - 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(alike(0.1, 0.9), 1.0, "nor no number");
        for copies in [0.96, 1.0, f64::NAN] {
            assert_eq!(widening(&[Likeness { among: copies, to_set: 0.0 }; 3]), None);
            assert_eq!(p_controls(1.0, &[0.0; 59], None), 1.0);
        }
    }

    #[test]
    fn nulls_keep_their_level_however_alike_their_controls_are() {
        let (worlds, count) = (4000, 19);
        for (among, to_set, mean) in
            [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.3, 0.0, 2.0), (0.9, 0.0, 2.0), (0.6, 0.4, 2.0)]
        {
            let widening = widening(&[Likeness { among, to_set }; 1]);
            let mut false_claims = [0, 0];
            for world in 0..worlds {
                let mut stream = Stream::new(7, "alike", &[world]);
                let mut normal = || f64::from(stream.normal());
                // All have one part in common by which a control resembles the set, controls another one.
                let (common, of_controls) = (normal(), normal());
                let effect = mean + f64::sqrt(to_set) * common + f64::sqrt(1.0 - to_set) * normal();
                let control = |_| {
                    mean + f64::sqrt(to_set) * common
                        + f64::sqrt(among - to_set) * of_controls
                        + f64::sqrt(1.0 - among) * normal()
                };
                let controls: Vec<f64> = (0..count).map(control).collect();
                for (place, factor) in [Some(1.0), widening].into_iter().enumerate() {
                    false_claims[place] += usize::from(p_controls(effect, &controls, factor) <= 0.05);
                }
            }
            let [as_they_are, widened] = false_claims.map(|claims| claims as f64 / worlds as f64);
            assert!(widened < 0.06, "{among} {to_set} {mean}: {widened}");
            assert!(
                mean == 0.0 || widened > 0.025,
                "no more than is needed: {among} {to_set} {mean}: {widened}"
            );
            assert!(among == to_set || as_they_are > widened + 0.01, "{as_they_are} {widened}");
        }
    }
}
