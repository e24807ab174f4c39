//! Arithmetic expressions, judged as Countdown and 24 Points ask: each number once, four operators, exact.
//!
//! Grammar: `sum = product (("+" | "-") product)*`, `product = factor (("*" | "/") factor)*`,
//! `factor = number | "(" sum ")" | "-" factor`. An equation's left side is what counts.

use super::rational::Rational;

/// The deepest nesting that is read: nothing that a person would write.
const DEEPEST: usize = 50;

/// Whether the expression uses exactly these numbers and equals the target.
pub(super) fn evaluates_to(text: &str, numbers: &[i64], target: i64) -> bool {
    let text = text.split('=').next().unwrap_or(text);
    let text = text.replace(['×', '·'], "*").replace('÷', "/").replace('−', "-");
    let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut reader = Reader { bytes: &bytes, place: 0, used: Vec::new() };
    let value = reader.sum(0);
    let mut expected = numbers.to_vec();
    expected.sort_unstable();
    reader.used.sort_unstable();
    let whole = reader.place == bytes.len();
    whole && reader.used == expected && value.is_some() && value == Some(Rational::whole(target))
}

struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    used: Vec<i64>,
}

impl Reader<'_> {
    fn sum(&mut self, depth: usize) -> Option<Rational> {
        let mut value = self.product(depth)?;
        while let Some(operator) = self.accept(b"+-") {
            let next = self.product(depth)?;
            value = value.add(&if operator == b'-' { next.negate() } else { next })?;
        }
        Some(value)
    }

    fn product(&mut self, depth: usize) -> Option<Rational> {
        let mut value = self.factor(depth)?;
        while let Some(operator) = self.accept(b"*/") {
            let next = self.factor(depth)?;
            value = if operator == b'/' { value.divide(&next)? } else { value.multiply(&next)? };
        }
        Some(value)
    }

    fn factor(&mut self, depth: usize) -> Option<Rational> {
        if depth > DEEPEST {
            return None;
        }
        if self.accept(b"-").is_some() {
            return self.factor(depth + 1).map(|value| value.negate());
        }
        if self.accept(b"(").is_some() {
            let value = self.sum(depth + 1)?;
            return self.accept(b")").map(|_| value);
        }
        let start = self.place;
        while self.bytes.get(self.place).is_some_and(u8::is_ascii_digit) {
            self.place += 1;
        }
        let digits = self.bytes.get(start..self.place)?;
        let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.used.push(number);
        Some(Rational::whole(number))
    }

    fn accept(&mut self, any: &[u8]) -> Option<u8> {
        let byte = self.bytes.get(self.place).copied().filter(|byte| any.contains(byte))?;
        self.place += 1;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::evaluates_to;

    #[test]
    fn expressions_are_exact_and_use_each_number_once() {
        assert!(evaluates_to("8 / (3 - 8 / 3)", &[3, 3, 8, 8], 24));
        assert!(evaluates_to("(1 + 2) * 3 - -4 = 13", &[1, 2, 3, 4], 13));
        assert!(evaluates_to("6 × 4", &[4, 6], 24));
        for (text, numbers) in [
            ("8 / (3 - 8 / 3)", vec![3, 8, 8]),
            ("12 * 2", vec![2, 6, 6]),
            ("6 * 4 +", vec![4, 6]),
            ("6 ** 4", vec![4, 6]),
            ("24", vec![4, 6]),
            ("4 / (6 - 6)", vec![4, 6, 6]),
            ("", vec![]),
        ] {
            assert!(!evaluates_to(text, &numbers, 24), "{text}");
        }
        assert!(!evaluates_to(&"(".repeat(100_000), &[1], 1));
        assert!(!evaluates_to(&"-".repeat(100_000), &[1], 1));
    }
}
