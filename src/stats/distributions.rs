//! The normal and Student's t distributions.
//!
//! Incomplete beta by its continued fraction (Lentz's method), log-gamma by Lanczos' series, both as in
//! Press et al., *Numerical Recipes*, 6.1 and 6.4; about 1e-10 relative. Quantiles by bisection of the
//! distribution functions.

/// P(T <= t) for Student's t with `freedom` degrees of freedom. NaN where `freedom` is not positive.
pub fn student_t(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return f64::NAN;
    }
    let tail = 0.5 * incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t below which a share `probability` of Student's t lies.
pub fn student_t_quantile(probability: f64, freedom: f64) -> f64 {
    quantile(probability, |t| student_t(t, freedom))
}

/// P(Z <= z) for the standard normal.
pub fn normal(z: f64) -> f64 {
    // A t with this many degrees of freedom differs from the normal by less than 1e-9.
    student_t(z, 1e9)
}

/// The z below which a share `probability` of the standard normal lies.
pub fn normal_quantile(probability: f64) -> f64 {
    quantile(probability, normal)
}

fn quantile(probability: f64, distribution: impl Fn(f64) -> f64) -> f64 {
    if !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    if probability == 0.5 {
        return 0.0;
    }
    let sign = if probability > 0.5 { 1.0 } else { -1.0 };
    let tail = probability.min(1.0 - probability);
    if tail == 0.0 {
        return sign * f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while distribution(-high) > tail && high < 1e18 {
        high *= 2.0;
    }
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if distribution(-middle) > tail { low = middle } else { high = middle }
    }
    sign * 0.5 * (low + high)
}

/// The regularised incomplete beta function I_x(a, b).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.120_865_097_386_617_9e-2,
        -0.539_523_938_495_3e-5,
    ];
    let shifted = x + 5.5;
    let scale = shifted - (x + 0.5) * shifted.ln();
    let series = SERIES
        .iter()
        .enumerate()
        .fold(1.000_000_000_190_015, |sum, (index, term)| sum + term / (x + 1.0 + index as f64));
    -scale + (2.506_628_274_631_000_5 * series / x).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of the t and normal distributions.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 5e-4, "{found} {expected}");
        close(student_t_quantile(0.975, 1.0), 12.7062);
        close(student_t_quantile(0.975, 7.0), 2.3646);
        close(student_t_quantile(0.95, 30.0), 1.6973);
        close(student_t_quantile(0.025, 100.0), -1.9840);
        close(normal_quantile(0.975), 1.959_96);
        close(normal_quantile(0.8), 0.841_62);
        close(normal(1.0), 0.841_34);
        assert!(student_t_quantile(1.5, 3.0).is_nan());
    }
}
