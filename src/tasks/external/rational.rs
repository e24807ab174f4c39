//! Exact rational numbers of any length, as answers are written and as expressions compute them.

use super::math::is_unit;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

/// Digits of a number at most: what is longer is no answer that a person would write.
const LONGEST: usize = 4000;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rational(BigRational);

impl Rational {
    /// `None` if the denominator is zero.
    pub(super) fn new(numerator: impl Into<BigInt>, denominator: impl Into<BigInt>) -> Option<Self> {
        let denominator = denominator.into();
        (!denominator.is_zero()).then(|| Self(BigRational::new(numerator.into(), denominator)))
    }

    /// Reads an integer, decimal (also as `1e3`), fraction, `\frac{}{}` or `\frac12`, or an integer with a fraction
    /// after it (`1 1/2`, `1\frac{1}{2}`). Signs may stand before a number and before its parts; commas between
    /// thousands (TeX's `{,}`, too), currency and percent signs, bold marks, and a unit at the end, in `\text{}` or in plain
    /// words, are left aside.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let text = without_unit(text.trim().trim_matches('*'))?.replace("{,}", ",");
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
        Some(Self(self.0 + other.0))
    }

    pub(super) fn negate(self) -> Self {
        Self(-self.0)
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        Some(Self(self.0 * other.0))
    }

    pub(super) fn divide(self, other: Self) -> Option<Self> {
        (!other.0.is_zero()).then(|| Self(self.0 / other.0))
    }
}

/// The text before a unit, as in `5\text{ cm}` and `72 dollars`; nothing where what stands behind the number is no unit.
fn without_unit(text: &str) -> Option<&str> {
    let marks = ["\\text{", "\\textrm{", "\\mathrm{", "\\mbox{"];
    let marked = marks.iter().filter_map(|mark| text.find(mark).map(|place| (place, mark.len()))).min();
    if let Some((place, length)) = marked.filter(|(place, _)| !text[..*place].trim().is_empty()) {
        let inside = super::extract::braced(&text[place + length..])?;
        let after = &text[place + length + inside.len() + 1..];
        // Its power may follow: `\text{ inches}^2`.
        let power = after.trim().strip_prefix('^').map(|power| power.trim_matches(['{', '}']));
        let ends = after.trim().trim_matches(['.', '$']).is_empty()
            || power.is_some_and(|power| matches!(power, "2" | "3"));
        return (ends && is_unit(inside.trim(), true)).then(|| &text[..place]);
    }
    let digit = text.rfind(|letter: char| letter.is_ascii_digit());
    let words = digit.and_then(|place| text.get(place + 1..)).unwrap_or_default();
    let phrase = words.trim_matches(|letter: char| letter.is_whitespace() || ".*$".contains(letter));
    let spaced = words.trim_start_matches('$').starts_with(char::is_whitespace);
    match spaced && is_unit(phrase, false) {
        true => text.get(..text.len() - words.len()),
        false => Some(text),
    }
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
fn signed(text: &str) -> (i32, &str) {
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
        let scale = ten_to(power.unsigned_abs() as usize)?;
        let scale = if power < 0 { Rational::new(1, scale)? } else { Rational::new(scale, 1)? };
        return decimal(digits)?.multiply(scale);
    }
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let whole = without_thousands(whole)?;
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Rational::new(BigInt::parse_bytes(digits.as_bytes(), 10)?, ten_to(part.len())?)
}

fn ten_to(power: usize) -> Option<BigInt> {
    (power <= LONGEST).then(|| BigInt::from(10).pow(power as u32))
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
        for text in ["e3", "1e", "1e1.5", "1e99999", "1 -1/2", "1 1/2/3", "\\text{cm}"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
        for text in ["1, 2", "1,2", "1 2", "12,34", "1234,567", "1,234,56", ",123", "\\frac123"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
        for text in ["", "x", "1/0", "1.2.3", "\\frac{1}"] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
    }
    #[test]
    fn numbers_of_any_length_are_exact() {
        let long = "123456789012345678901234567890123456789012345678901234567890";
        let next = "123456789012345678901234567890123456789012345678901234567891";
        assert!(Rational::read(long).is_some() && Rational::read(long) != Rational::read(next));
        assert_eq!(Rational::read(&format!("{long}/{long}")), Rational::new(1, 1));
        assert_eq!(Rational::read(&"9".repeat(1_000_000)), None);
    }

    #[test]
    fn only_a_unit_is_left_aside() {
        for text in [
            "5\\text{ cm}",
            "5 cm",
            "5 dollars",
            "$5$ square feet",
            "5\\mbox{ inches}^2",
            "5\\text{ km/h}",
            "**5**",
        ] {
            assert_eq!(Rational::read(text), Rational::new(5, 1), "{text}");
        }
        for text in [
            "3 \\text{ or } 5",
            "3 \\text{ and } 5",
            "3 \\text{ to } 5",
            "2\\text{x}+3",
            "2\\mathrm{e}",
            "2\\mathrm{i}",
            "3\\mathrm{A}_{16}",
            "3 or 5",
            "3 million",
            "5 or more",
            "3\\text{ dozen}",
            "2x",
            "7 halves",
        ] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
    }
}
