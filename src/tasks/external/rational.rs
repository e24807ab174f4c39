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

    /// Reads an integer, decimal (also as `1e3`), fraction, `\frac{}{}` or `\frac12`, or an integer with a fraction
    /// after it (`1 1/2`, `1\frac{1}{2}`). Signs may stand before a number and before its parts; commas between
    /// thousands (TeX's `{,}`, too), currency and percent signs, and a unit in `\text{}` at the end are left aside.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = without_unit(text).replace("{,}", ",");
        let text: String = text.chars().filter(|letter| !"$\\%".contains(*letter)).collect();
        let text = text.trim().trim_end_matches('.');
        let (sign, text) = signed(text);
        let value = match mixed(text) {
            Some((whole, fraction)) => decimal(whole)?.add(Self::fraction(fraction)?)?,
            None => Self::fraction(text)?,
        };
        Self::new(sign, 1)?.multiply(value)
    }

    /// A number or a fraction of two.
    fn fraction(text: &str) -> Option<Self> {
        let fraction = ["dfrac", "tfrac", "frac"].iter().find_map(|name| text.strip_prefix(name));
        let (above, below) = match fraction {
            Some(rest) => {
                let (above, rest) = argument(rest)?;
                let (below, rest) = argument(rest)?;
                if !rest.trim().is_empty() {
                    return None;
                }
                (above, below)
            }
            None => text.split_once('/').unwrap_or((text, "1")),
        };
        let part = |text: &str| {
            let (sign, text) = signed(text.trim());
            Self::new(sign, 1)?.multiply(decimal(text)?)
        };
        part(above)?.divide(part(below)?)
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

/// The text before a unit in letters, as in `5\text{ cm}`.
fn without_unit(text: &str) -> &str {
    let units = ["\\text{", "\\textrm{", "\\mathrm{", "\\mbox{"];
    let before = units.iter().filter_map(|unit| text.split_once(unit)).map(|(before, _)| before);
    before.filter(|before| !before.trim().is_empty()).min_by_key(|before| before.len()).unwrap_or(text)
}

/// An integer and the fraction without a sign that stands after it, if that is what the text is.
fn mixed(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != ',')?;
    let (whole, rest) = text.split_at(end);
    let fraction = rest.trim_start();
    let of_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let slashed = fraction.split_once('/').is_some_and(|(above, below)| of_digits(above) && of_digits(below));
    let is_mixed = match fraction.len() < rest.len() {
        true => slashed || fraction.contains("frac"),
        false => ["dfrac", "tfrac", "frac"].iter().any(|name| fraction.starts_with(name)),
    };
    (!whole.is_empty() && is_mixed).then_some((whole, fraction))
}

/// The sign that a text begins with, and the rest.
fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix(['-', '−']) {
        Some(rest) => (-1, rest.trim_start()),
        None => (1, text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

/// The first argument of a TeX command, in braces or a single digit, and what follows it.
fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('{') {
        Some(rest) => rest.split_once('}'),
        None => text.starts_with(|letter: char| letter.is_ascii_digit()).then(|| text.split_at(1)),
    }
}

/// Takes away commas that part thousands; any other comma makes a list, which is no number.
fn without_thousands(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let parted = groups.clone().next().is_some();
    let sound = !parted || (1..=3).contains(&first.len());
    (sound && groups.all(|group| group.len() == 3)).then(|| whole.replace(',', ""))
}

fn decimal(text: &str) -> Option<Rational> {
    if let Some((digits, power)) = text.trim().split_once(['e', 'E']) {
        let power: i32 = power.parse().ok()?;
        let scale = 10_i128.checked_pow(power.unsigned_abs())?;
        let scale = if power < 0 { Rational::new(1, scale)? } else { Rational::new(scale, 1)? };
        return decimal(digits)?.multiply(scale);
    }
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let whole = without_thousands(whole)?;
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
        for text in ["-1/2", "\\frac{-1}{2}", "-\\frac12", "\\frac{1}{-2}", "- 0.5", "\\frac 1 {-2}"] {
            assert_eq!(Rational::read(text), Rational::new(-1, 2), "{text}");
        }
        assert_eq!(Rational::read("\\$1,234,567"), Rational::new(1_234_567, 1));
        for (text, value) in
            [("1e3", 1000), ("1.5E2", 150), ("2e+1", 20), ("1{,}000", 1000), ("5\\text{ cm}", 5)]
        {
            assert_eq!(Rational::read(text), Rational::new(value, 1), "{text}");
        }
        for text in ["1 1/2", "1\\frac{1}{2}", "1 \\frac12", "15e-1", "1.5\\mathrm{kg}"] {
            assert_eq!(Rational::read(text), Rational::new(3, 2), "{text}");
        }
        assert_eq!(Rational::read("-1 1/2"), Rational::new(-3, 2));
        for text in ["e3", "1e", "1e1.5", "1e99", "1 -1/2", "1 1/2/3", "\\text{cm}"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
        for text in ["1, 2", "1,2", "1 2", "12,34", "1234,567", "1,234,56", ",123", "\\frac123"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
        for text in ["", "x", "1/0", "1.2.3", "\\frac{1}", "999999999999999999999999999999999999999999"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
    }
}
