//! Which letters behind a number are a unit, and which say something else.

/// Units of one letter, which count only where they are set upright (`\text{ m}`): in plain writing they are variables.
const ONE_LETTER: [&str; 16] =
    ["m", "g", "s", "h", "l", "L", "J", "N", "W", "V", "K", "C", "F", "A", "T", "t"];

/// Abbreviations of units, and short words for what is counted.
const SHORT: [&str; 62] = [
    "mm", "cm", "dm", "km", "nm", "mg", "kg", "lb", "lbs", "oz", "ft", "in", "mi", "yd", "yds", "ml", "mL",
    "cl", "dl", "hr", "hrs", "min", "mins", "sec", "secs", "ms", "Hz", "kHz", "Pa", "kPa", "kJ", "kW", "MW",
    "kWh", "mph", "kph", "rpm", "mol", "cal", "rad", "deg", "sq", "cu", "m²", "usd", "USD", "day", "cup",
    "bag", "box", "man", "men", "car", "cat", "dog", "cow", "pie", "egg", "pen", "toy", "ways", "gal",
];

/// Words behind a number that make it another answer, or none.
const NO_UNITS: [&str; 59] = [
    "or",
    "and",
    "to",
    "than",
    "not",
    "no",
    "if",
    "is",
    "are",
    "was",
    "be",
    "but",
    "the",
    "either",
    "between",
    "through",
    "until",
    "plus",
    "minus",
    "times",
    "over",
    "divided",
    "squared",
    "cubed",
    "root",
    "dozen",
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "half",
    "halves",
    "third",
    "thirds",
    "quarter",
    "quarters",
    "percent",
    "more",
    "less",
    "most",
    "least",
    "about",
    "around",
    "maybe",
    "with",
    "without",
    "where",
    "when",
    "remainder",
    "mod",
    "modulo",
    "base",
    "choose",
    "factorial",
    "unless",
    "except",
    "for",
    "from",
];

/// Whether a phrase that stands behind a number is a unit: `cm`, `square inches`, `km/h`, `dollars`.
///
/// `upright` says that it is set as text, where one letter can be a unit, too.
pub(in super::super) fn is_unit(phrase: &str, upright: bool) -> bool {
    let mut words = phrase
        .split(|letter: char| !(letter.is_alphabetic() || letter == '²'))
        .filter(|word| !word.is_empty())
        .peekable();
    let plain = phrase.chars().all(|letter| letter.is_alphabetic() || " ./²³^23{}-\u{a0}".contains(letter));
    plain && words.peek().is_some() && words.all(|word| is_unit_word(word, upright))
}

fn is_unit_word(word: &str, upright: bool) -> bool {
    let lower = word.to_lowercase();
    if NO_UNITS.contains(&lower.as_str()) {
        return false;
    }
    match word.chars().count() {
        1 => upright && ONE_LETTER.contains(&word),
        2 | 3 => {
            SHORT.contains(&word) || (upright && word.chars().all(char::is_lowercase) && has_vowel(&lower))
        }
        _ => has_vowel(&lower),
    }
}

/// What has no vowel is a product of variables.
fn has_vowel(word: &str) -> bool {
    !word.is_ascii() || word.contains(['a', 'e', 'i', 'o', 'u', 'y'])
}
