//! Exact rational numbers, as answers are written and as expressions compute them.

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    /// `None` if the denominator is zero or a number does not fit.
    pub(super) fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 || numerator == i128::MIN || denominator == i128::MIN {
            return None;
        }
        let sign = if denominator < 0 { -1 } else { 1 };
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()) as i128;
        Some(Self { numerator: sign * numerator / divisor, denominator: sign * denominator / divisor })
    }

    /// Reads an integer, decimal, fraction or `\frac{}{}`, with thousands commas, currency and percent signs
    /// left aside.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !" ,$\\%\t".contains(*letter)).collect();
        let text = text.trim_end_matches('.');
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let fraction = ["dfrac{", "tfrac{", "frac{"].iter().find_map(|name| text.strip_prefix(name));
        let (above, below) = match fraction {
            Some(rest) => rest.strip_suffix('}')?.split_once("}{")?,
            None => text.split_once('/').unwrap_or((text, "1")),
        };
        let value = decimal(above)?.divide(decimal(below)?)?;
        Self::new(sign * value.numerator, value.denominator)
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::new(left.checked_add(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    pub(super) fn negate(self) -> Self {
        Self { numerator: -self.numerator, denominator: self.denominator }
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        Self::new(
            self.numerator.checked_mul(other.numerator)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    pub(super) fn divide(self, other: Self) -> Option<Self> {
        Self::new(
            self.numerator.checked_mul(other.denominator)?,
            self.denominator.checked_mul(other.numerator)?,
        )
    }
}

fn decimal(text: &str) -> Option<Rational> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Rational::new(digits.parse().ok()?, 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?)
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::Rational;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let half = Rational::new(1, 2);
        for text in ["1/2", "0.5", ".50", "\\frac{1}{2}", "\\dfrac{2}{4}", " 0.5. ", "3/6"] {
            assert_eq!(Rational::read(text), half, "{text}");
        }
        assert_eq!(Rational::read("-1,234.50"), Rational::new(-2469, 2));
        for text in ["", "x", "1/0", "1.2.3", "\\frac{1}", "999999999999999999999999999999999999999999"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
    }
}
