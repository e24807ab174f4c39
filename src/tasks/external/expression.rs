//! Arithmetic expressions, judged as Countdown and 24 Points ask: each number once, four operators, exact.
//!
//! Grammar: `sum = product (("+" | "-") product)*`, `product = factor (("*" | "/") factor)*`,
//! `factor = number | "(" sum ")" | "-" factor`. An equation's left side is what counts.

use super::rational::Rational;

/// The deepest nesting that is read: nothing that a person would write.
const DEEPEST: usize = 50;

/// Whether the expression uses exactly these numbers and equals the target.
pub(super) fn evaluates_to(text: &str, numbers: &[i64], target: i64) -> bool {
    let mut expected = numbers.to_vec();
    expected.sort_unstable();
    Worked::read(text).is_some_and(|found| found.numbers == expected && found.equals(target))
}

/// An expression, worked out.
#[derive(Debug)]
pub(in crate::tasks) struct Worked {
    /// The numbers that it uses, ascending.
    pub(in crate::tasks) numbers: Vec<i64>,
    /// Whether it divides.
    pub(in crate::tasks) divides: bool,
    value: Rational,
}

impl Worked {
    /// Reads a whole text, of an equation its left side, whatever formulas are dressed in. `None` if it is no expression,
    /// or has no value.
    pub(in crate::tasks) fn read(text: &str) -> Option<Self> {
        let text = undressed(text.split('=').next().unwrap_or(text));
        let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let mut reader = Reader { bytes: &bytes, place: 0, used: Vec::new() };
        let value = reader.sum(0)?;
        if reader.place != bytes.len() {
            return None;
        }
        reader.used.sort_unstable();
        Some(Self { numbers: reader.used, divides: bytes.contains(&b'/'), value })
    }

    /// The expressions that stand left of an equals sign in prose, in their order, where a line begins or behind words.
    pub(in crate::tasks) fn all_of(text: &str) -> Vec<Self> {
        let is_part = |letter: char| letter.is_ascii_digit() || " +-*/()".contains(letter);
        let mut found = Vec::new();
        for line in text.lines() {
            let line = undressed(line);
            let line = line.trim_start().trim_start_matches("- ").trim_start_matches("* ");
            for (place, _) in line.match_indices('=') {
                let before = line.get(..place).unwrap_or_default();
                let start = before.rfind(|letter| !is_part(letter)).map_or(0, |end| {
                    end + before.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
                });
                found.extend(before.get(start..).and_then(Self::read));
            }
        }
        found
    }

    /// Whether this is its value.
    pub(in crate::tasks) fn equals(&self, target: i64) -> bool {
        self.value == Rational::whole(target)
    }
}

/// An expression in the four signs and round brackets, without the delimiters and commands of formulas.
fn undressed(text: &str) -> String {
    let text = text.replace(['×', '·'], "*").replace('÷', "/").replace('−', "-");
    if !text.contains(['\\', '$', '[', '`', '*']) {
        return text;
    }
    let mut text = text;
    for (command, sign) in
        [("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("\\left", ""), ("\\right", "")]
    {
        text = text.replace(command, sign);
    }
    for (mark, sign) in
        [("\\(", ""), ("\\)", ""), ("\\[", ""), ("\\]", ""), ("\\,", ""), ("$", ""), ("`", "")]
    {
        text = text.replace(mark, sign);
    }
    let text = text.replace(['[', '{'], "(").replace([']', '}'], ")");
    let bold = text.trim().strip_prefix("**").and_then(|text| text.strip_suffix("**"));
    bold.unwrap_or(&text).to_owned()
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
        for dressed in
            ["$6 \\times 4$", "**6*4**", "\\left(6\\right) \\cdot 4 = 24", "[6] * {4}", "\\(6 \\times 4\\)"]
        {
            assert!(evaluates_to(dressed, &[4, 6], 24), "{dressed}");
        }
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
