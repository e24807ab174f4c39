//! What words after a number mean: a unit, a count of thousands or millions, or something that makes it another answer.

use num_bigint::BigInt;

/// The words that stand after a number, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tail {
    /// What the number is counted in: 1 000 000 for `million`.
    pub(super) times: BigInt,
    /// The unit's words in lower case.
    pub(super) unit: String,
}

/// The most words of a unit: `dollars per square metre of carpet`.
const MOST_WORDS: usize = 8;

/// Units of one or two letters. As any letters may stand for variables, others are none.
const SHORT: [&str; 58] = [
    "m", "g", "s", "h", "l", "L", "N", "J", "W", "V", "K", "C", "F", "A", "T", "t", "B", "b", "Hz", "Pa",
    "cm", "mm", "km", "nm", "kg", "mg", "ml", "mL", "cl", "dl", "ft", "in", "yd", "mi", "lb", "oz", "hr",
    "ms", "ns", "kW", "kJ", "kN", "kV", "mA", "eV", "Wh", "GB", "MB", "KB", "TB", "kB", "pt", "qt", "ha",
    "am", "pm", "rd", "°C",
];

/// Units without a vowel, or shorter than other words are understood as units.
const KNOWN: [&str; 33] = [
    "min", "mins", "sec", "secs", "hrs", "lbs", "kwh", "mph", "kph", "km/h", "rpm", "mol", "cal", "kcal",
    "rad", "deg", "usd", "eur", "gbp", "sq", "cu", "cm2", "m2", "km2", "cm3", "m3", "pts", "yrs", "yr",
    "cts", "ppm", "psi", "kpa",
];

/// Words that say more than in what a number is counted, in alphabetical order.
const OTHERWISE: [&str; 181] = [
    "above",
    "actually",
    "all",
    "almost",
    "alpha",
    "also",
    "alternatively",
    "although",
    "and",
    "any",
    "arccos",
    "arcsin",
    "arctan",
    "base",
    "because",
    "below",
    "beta",
    "between",
    "both",
    "but",
    "by",
    "choose",
    "contradiction",
    "correct",
    "cos",
    "cosine",
    "cubed",
    "decreasing",
    "delta",
    "depends",
    "diverges",
    "divided",
    "double",
    "doubled",
    "each",
    "eight",
    "eighteen",
    "eighth",
    "eighths",
    "eighty",
    "either",
    "eleven",
    "else",
    "equal",
    "equals",
    "euler",
    "even",
    "except",
    "exp",
    "factorial",
    "false",
    "fewer",
    "fifteen",
    "fifth",
    "fifths",
    "fifty",
    "five",
    "for",
    "forty",
    "four",
    "fourteen",
    "fourth",
    "fourths",
    "from",
    "gamma",
    "greater",
    "half",
    "halves",
    "hundredth",
    "hundredths",
    "if",
    "imaginary",
    "incorrect",
    "increasing",
    "infinite",
    "infinity",
    "instead",
    "integer",
    "integers",
    "invalid",
    "irrational",
    "is",
    "lambda",
    "least",
    "less",
    "log",
    "logarithm",
    "max",
    "maybe",
    "min.",
    "minus",
    "mod",
    "modulo",
    "more",
    "most",
    "multiplied",
    "negative",
    "neither",
    "nine",
    "nineteen",
    "ninety",
    "ninth",
    "no",
    "none",
    "nor",
    "not",
    "odd",
    "omega",
    "one",
    "or",
    "otherwise",
    "over",
    "perhaps",
    "phi",
    "pi",
    "plus",
    "positive",
    "possible",
    "possibly",
    "power",
    "prime",
    "probably",
    "rem",
    "remainder",
    "root",
    "roots",
    "seven",
    "seventeen",
    "seventh",
    "sevenths",
    "seventy",
    "sigma",
    "sin",
    "sine",
    "six",
    "sixteen",
    "sixth",
    "sixths",
    "sixty",
    "sqrt",
    "squared",
    "tan",
    "tangent",
    "ten",
    "tenth",
    "tenths",
    "than",
    "then",
    "theta",
    "third",
    "thirds",
    "thirteen",
    "thirty",
    "thousandth",
    "thousandths",
    "three",
    "through",
    "times",
    "to",
    "triple",
    "true",
    "twelve",
    "twenty",
    "two",
    "undefined",
    "unless",
    "unlike",
    "until",
    "up",
    "upto",
    "versus",
    "vs",
    "when",
    "where",
    "which",
    "while",
    "with",
    "without",
    "wrong",
    "yes",
    "zero",
];

/// Words that may join those of a unit.
const JOINING: [&str; 8] = ["of", "per", "the", "a", "an", "in", "each", "every"];

fn times(word: &str) -> Option<u64> {
    Some(match word {
        "dozen" | "dozens" => 12,
        "hundred" | "hundreds" => 100,
        "thousand" | "thousands" => 1_000,
        "million" | "millions" => 1_000_000,
        "billion" | "billions" => 1_000_000_000,
        "trillion" | "trillions" => 1_000_000_000_000,
        _ => return None,
    })
}

/// Understands the words after a number; `None` if they are no unit.
pub(super) fn tail(text: &str) -> Option<Tail> {
    let text = text.replace(['(', ')', ',', '{', '}', '[', ']', '*', '$', ':'], " ").replace('/', " / ");
    let (mut unit, mut factor) = (Vec::<String>::new(), BigInt::from(1));
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let (word, exponent) = word.split_once('^').unwrap_or((word, "1"));
        if !matches!(exponent.trim(), "" | "1" | "2" | "3" | "-1" | "-2" | "-3") {
            return None;
        }
        let word = word.trim_matches(['.', '-', '·', '!']).trim_end_matches(['²', '³']);
        let lower = word.to_lowercase();
        let known = match times(&lower) {
            Some(times) if unit.is_empty() => {
                factor *= times;
                continue;
            }
            _ => !unit.is_empty() && JOINING.contains(&lower.as_str()) || lower == "/" || is_unit(word),
        };
        // `5 times` is 5; `5 times that` is not.
        if lower == "times" && unit.is_empty() && words.peek().is_none() {
            unit.push(lower);
            continue;
        }
        if matches!(lower.as_str(), "squared" | "cubed") && !unit.is_empty() {
            unit.push(lower);
            continue;
        }
        // An exponent that stands apart: `inches ^2`.
        if word.is_empty() || (matches!(word, "1" | "2" | "3" | "-1" | "-2") && !unit.is_empty()) {
            continue;
        }
        if !known || unit.len() == MOST_WORDS {
            return None;
        }
        unit.push(lower);
    }
    Some(Tail { times: factor, unit: unit.join(" ") })
}

/// Whether numbers are counted in this.
fn is_unit(word: &str) -> bool {
    let lower = word.to_lowercase();
    if SHORT.contains(&word) || KNOWN.contains(&lower.as_str()) {
        return true;
    }
    let letters = lower.chars().filter(|letter| letter.is_alphabetic()).count();
    let plain = lower.chars().all(|letter| letter.is_alphabetic() || "-'’°".contains(letter));
    let spoken = lower.chars().any(|letter| "aeiouy".contains(letter) || !letter.is_ascii());
    letters >= 3 && plain && spoken && !says_otherwise(&lower)
}

/// Whether a word joins, denies or counts, so that what stands before it is not the whole answer.
pub(super) fn says_otherwise(lower: &str) -> bool {
    OTHERWISE.binary_search(&lower).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_from_words_that_change_the_answer() {
        assert!(OTHERWISE.is_sorted());
        for unit in [
            "cm",
            " inches^2",
            "dollars",
            "m/s^2",
            "square units",
            "miles per hour",
            "cups of flour",
            "students.",
        ] {
            assert!(tail(unit).is_some(), "{unit}");
        }
        for other in [
            "or 5",
            "and 5",
            "x",
            "xy",
            "e",
            "i",
            "A_{16}",
            "squared",
            "if n is even",
            "pi",
            "halves",
            "or more",
        ] {
            assert!(tail(other).is_none(), "{other}");
        }
        assert_eq!(
            tail("million dollars").unwrap(),
            Tail { times: BigInt::from(1_000_000), unit: "dollars".into() }
        );
    }
}
