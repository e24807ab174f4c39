//! Exact rational numbers, as answers are written and as expressions compute them.

use super::wrapping::{self, Amount};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Numbers of more bits are not computed with: some 9,000 digits. What is only read may be longer.
const LARGEST: u64 = 30_000;
/// Fractions of more bits are not reduced, which is slow; equality needs no reduced ones.
const REDUCED: u64 = 4_096;

/// A fraction with a positive denominator.
#[derive(Clone, Debug)]
pub(super) struct Rational {
    numerator: BigInt,
    denominator: BigInt,
}

impl PartialEq for Rational {
    fn eq(&self, other: &Self) -> bool {
        match self.denominator == other.denominator {
            true => self.numerator == other.numerator,
            false => &self.numerator * &other.denominator == &other.numerator * &self.denominator,
        }
    }
}

impl Eq for Rational {}

impl Rational {
    /// `None` if the denominator is zero.
    pub(super) fn new(numerator: impl Into<BigInt>, denominator: impl Into<BigInt>) -> Option<Self> {
        let (mut numerator, mut denominator) = (numerator.into(), denominator.into());
        if denominator.is_zero() {
            return None;
        }
        if denominator.sign() == Sign::Minus {
            (numerator, denominator) = (-numerator, -denominator);
        }
        if !denominator.is_one() && numerator.bits() + denominator.bits() <= REDUCED {
            let divisor = numerator.gcd(&denominator);
            (numerator, denominator) = (numerator / &divisor, denominator / divisor);
        }
        Some(Self { numerator, denominator })
    }

    pub(super) fn whole(number: impl Into<BigInt>) -> Self {
        Self { numerator: number.into(), denominator: BigInt::one() }
    }

    pub(super) fn parts(&self) -> (&BigInt, &BigInt) {
        (&self.numerator, &self.denominator)
    }

    /// The value as a whole number, if it is one.
    pub(super) fn as_whole(&self) -> Option<BigInt> {
        let (quotient, rest) = self.numerator.div_rem(&self.denominator);
        rest.is_zero().then_some(quotient)
    }

    pub(super) fn as_small(&self) -> Option<i64> {
        self.as_whole()?.to_i64()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.numerator.is_zero()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.numerator.is_negative()
    }

    /// Reads an integer of any length, decimal (also as `1e3` or `1.5 \times 10^{3}`), fraction, `\frac{}{}` or
    /// `\frac12`, or an integer with a fraction after it (`1 1/2`, `1\frac{1}{2}`). Signs may stand before a number and
    /// before its parts. Thousands may be parted by commas (TeX's `{,}`, too) or thin spaces; currency, percent and
    /// degree signs, emphasis, and a unit in words at the end are left aside. Words that are no unit (`3 or 5`,
    /// `2\text{x}`, `2\mathrm{e}`) make it no number; `5 million` is five million.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Amount { number, times } = wrapping::amount(text)?;
        let text: String = number.chars().filter(|letter| !"$%".contains(*letter)).collect();
        let text = text.replace('\\', "");
        let text = text.trim().trim_end_matches('.').trim_end();
        let (negative, text) = signed(text);
        let value = match mixed(text) {
            Some((whole, fraction)) => decimal(whole)?.add(&Self::fraction(fraction)?)?,
            None => Self::fraction(text)?,
        };
        let value = if times.is_one() { value } else { value.multiply(&Self::whole(times))? };
        Some(if negative { value.negate() } else { value })
    }

    /// A number or a fraction of two.
    fn fraction(text: &str) -> Option<Self> {
        let fraction = ["dfrac", "tfrac", "cfrac", "frac"].iter().find_map(|name| text.strip_prefix(name));
        let (above, below) = match fraction {
            Some(rest) => {
                let (above, rest) = argument(rest)?;
                let (below, rest) = argument(rest)?;
                if !rest.trim().is_empty() {
                    return None;
                }
                (above, below)
            }
            None => match text.split_once('/') {
                Some(parts) => parts,
                None => return part(text),
            },
        };
        part(above)?.divide(&part(below)?)
    }

    /// The value, if it is not too large to go on with.
    fn sound(self) -> Option<Self> {
        (self.numerator.bits() <= LARGEST && self.denominator.bits() <= LARGEST).then_some(self)
    }

    pub(super) fn add(&self, other: &Self) -> Option<Self> {
        let numerator = &self.numerator * &other.denominator + &other.numerator * &self.denominator;
        Self::new(numerator, &self.denominator * &other.denominator)?.sound()
    }

    pub(super) fn negate(&self) -> Self {
        Self { numerator: -&self.numerator, denominator: self.denominator.clone() }
    }

    pub(super) fn multiply(&self, other: &Self) -> Option<Self> {
        Self::new(&self.numerator * &other.numerator, &self.denominator * &other.denominator)?.sound()
    }

    pub(super) fn divide(&self, other: &Self) -> Option<Self> {
        Self::new(&self.numerator * &other.denominator, &self.denominator * &other.numerator)?.sound()
    }

    /// A whole power, if it is not too large.
    pub(super) fn power(&self, exponent: i64) -> Option<Self> {
        let times = exponent.unsigned_abs();
        let bits = self.numerator.bits().max(self.denominator.bits());
        // One and minus one may have any exponent.
        if bits > 1 && bits.checked_mul(times)? > LARGEST {
            return None;
        }
        let times = if bits <= 1 { 2 + times % 2 } else { times };
        let times = if exponent == 0 { 0 } else { u32::try_from(times).ok()? };
        let (above, below) = (self.numerator.pow(times), self.denominator.pow(times));
        if exponent < 0 { Self::new(below, above) } else { Self::new(above, below) }
    }

    /// The root of this degree, if it is rational; of negative numbers for odd degrees.
    pub(super) fn root(&self, degree: u32) -> Option<Self> {
        if degree == 0 || degree > 64 || (self.is_negative() && degree.is_multiple_of(2)) {
            return None;
        }
        let (above, below) = (self.numerator.nth_root(degree), self.denominator.nth_root(degree));
        let exact = above.pow(degree) == self.numerator && below.pow(degree) == self.denominator;
        if exact {
            return Self::new(above, below);
        }
        // What was not reduced may still have one.
        let divisor = self.numerator.gcd(&self.denominator);
        if divisor.is_one() || self.numerator.bits() > REDUCED {
            return None;
        }
        Self { numerator: &self.numerator / &divisor, denominator: &self.denominator / divisor }.root(degree)
    }

    /// The decimal that digits with one point or none stand for.
    pub(super) fn of_digits(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{part}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let below = BigInt::from(10).pow(u32::try_from(part.len()).ok()?);
        Self::new(digits.parse::<BigInt>().ok()?, below)
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
        false => ["dfrac", "tfrac", "cfrac", "frac"].iter().any(|name| fraction.starts_with(name)),
    };
    (!whole.is_empty() && is_mixed).then_some((whole, fraction))
}

/// Whether a text begins with a minus, and what follows its sign.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '−', '–']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

fn part(text: &str) -> Option<Rational> {
    let (negative, text) = signed(text.trim());
    let value = decimal(text)?;
    Some(if negative { value.negate() } else { value })
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
    let mut groups = whole.split([',', '\u{2009}']);
    let first = groups.next()?;
    let parted = groups.clone().next().is_some();
    let sound = !parted || (1..=3).contains(&first.len());
    (sound && groups.all(|group| group.len() == 3)).then(|| whole.replace([',', '\u{2009}'], ""))
}

fn decimal(text: &str) -> Option<Rational> {
    let text = text.trim();
    if let Some((digits, power)) = scientific(text) {
        let power: i64 = power.parse().ok()?;
        return decimal(digits)?.multiply(&Rational::whole(10).power(power)?);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole = without_thousands(whole)?;
    if part.is_empty() {
        Rational::of_digits(&whole)
    } else {
        Rational::of_digits(&format!("{whole}.{part}"))
    }
}

/// The digits and the power of ten of `1e3`, `1.5E-2`, `3 times 10^{6}` or `3 × 10^6`.
fn scientific(text: &str) -> Option<(&str, &str)> {
    for sign in ["times", "cdot", "×", "·", "*"] {
        if let Some((digits, power)) = text.split_once(sign) {
            let power = power.trim().strip_prefix("10")?.trim_start().strip_prefix('^')?.trim();
            let power = power.strip_prefix('{').and_then(|power| power.strip_suffix('}')).unwrap_or(power);
            return Some((digits, power.trim()));
        }
    }
    let (digits, power) = text.split_once(['e', 'E'])?;
    digits.ends_with(|letter: char| letter.is_ascii_digit() || letter == '.').then_some((digits, power))
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
        for (text, value) in [
            ("1e3", 1000),
            ("1.5E2", 150),
            ("2e+1", 20),
            ("1{,}000", 1000),
            ("1\\,000", 1000),
            ("1,\\!000", 1000),
            ("3 \\times 10^{6}", 3_000_000),
            ("2.5×10^3", 2500),
            ("5\\text{ cm}", 5),
            ("12\\mbox{ inches}^2", 12),
            ("5\\ \\mathrm{km/h}", 5),
            ("**72**", 72),
            ("$72$", 72),
            ("72 dollars", 72),
            ("72 miles per hour.", 72),
            ("45^\\circ", 45),
            ("5 million", 5_000_000),
            ("2 \\text{ dozen eggs}", 24),
        ] {
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
    fn words_that_are_no_unit_make_it_no_number() {
        for text in [
            "3 \\text{ or } 5",
            "3 \\text{ and } 5",
            "3 \\text{ to } 5",
            "2\\text{x}+3",
            "2\\mathrm{e}",
            "2\\mathrm{i}",
            "3\\mathrm{A}_{16}",
            "3 \\text{ or more}",
            "3\\text{ squared}",
            "2\\text{xy}",
            "3 or 5",
            "5 pi",
            "4\\text{ halves}",
            "3 if x is even",
        ] {
            assert_eq!(Rational::read(text), None, "{text}");
        }
    }

    #[test]
    fn integers_of_any_length_are_exact() {
        let long = "9".repeat(5_000);
        assert_eq!(Rational::read(&long), Rational::read(&format!("{long}.0")));
        assert_ne!(Rational::read(&long), Rational::read(&format!("{}8", &long[1..])));
        let groups = "123456789012345678901234567890";
        assert_eq!(Rational::read(groups), Rational::read("123,456,789,012,345,678,901,234,567,890"));
    }
}
