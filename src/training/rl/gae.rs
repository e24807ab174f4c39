//! Generalised advantage estimates (arXiv 1506.02438) from a value per token, and the loss of the values.

/// Advantages and returns of one response. `rewards` and `values` have one number per response token; the
/// value after the last token is zero.
///
/// With `delta_t = r_t + gamma V_{t+1} - V_t`: `A_t = delta_t + gamma lambda A_{t+1}`, `R_t = A_t + V_t`.
pub(super) fn estimate(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> (Vec<f64>, Vec<f64>) {
    let mut advantages = vec![0.0; values.len()];
    let (mut next_value, mut next_advantage) = (0.0, 0.0);
    for (index, (reward, value)) in rewards.iter().zip(values).enumerate().rev() {
        let delta = reward + gamma * next_value - value;
        next_advantage = delta + gamma * lambda * next_advantage;
        next_value = *value;
        advantages[index] = next_advantage;
    }
    let returns = advantages.iter().zip(values).map(|(advantage, value)| advantage + value).collect();
    (advantages, returns)
}

/// Shifts and scales to mean 0 and unbiased variance 1, as verl does with GAE over a batch.
pub(super) fn whiten(advantages: &mut [f64]) {
    let count = advantages.len() as f64;
    if advantages.len() < 2 {
        return;
    }
    let mean = advantages.iter().sum::<f64>() / count;
    let variance = advantages.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let scale = (variance + 1e-8).sqrt().recip();
    advantages.iter_mut().for_each(|value| *value = (*value - mean) * scale);
}

/// PPO's clipped value loss, `max((v - R)^2, (clip(v, old - c, old + c) - R)^2) / 2`, and its slope by v.
pub(super) fn value_loss(value: f64, old: f64, target: f64, clip: f64) -> (f64, f64) {
    let clipped = value.clamp(old - clip, old + clip);
    let (plain, cut) = ((value - target).powi(2), (clipped - target).powi(2));
    if plain >= cut {
        return (0.5 * plain, value - target);
    }
    let slope = if clipped == value { value - target } else { 0.0 };
    (0.5 * cut, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_lambda_one_the_return_is_the_discounted_reward() {
        let (advantages, returns) = estimate(&[0.0, 0.0, 1.0], &[0.2, 0.5, 0.4], 0.9, 1.0);
        for (found, expected) in returns.iter().zip([0.81, 0.9, 1.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((advantages[0] - 0.61).abs() < 1e-12);
        let (advantages, _) = estimate(&[0.0, 0.0, 1.0], &[0.2, 0.5, 0.4], 1.0, 0.0);
        assert!((advantages[1] - (0.4 - 0.5)).abs() < 1e-12, "one step ahead");
    }

    #[test]
    fn the_value_loss_is_cut_only_where_it_would_shrink() {
        assert_eq!(value_loss(1.0, 0.0, 2.0, 0.5), (0.5 * 2.25, 0.0));
        assert_eq!(value_loss(1.0, 0.0, -1.0, 0.5), (2.0, 2.0));
    }

    #[test]
    fn whitened_advantages_have_mean_zero_and_variance_one() {
        let mut values = [1.0, 2.0, 4.0];
        whiten(&mut values);
        assert!(values.iter().sum::<f64>().abs() < 1e-12);
        assert!((values.iter().map(|value| value * value).sum::<f64>() / 2.0 - 1.0).abs() < 1e-6);
    }
}
