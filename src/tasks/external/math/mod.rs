//! `reward=math`: whether a final answer is the right one by mathematics, however it is written.
//!
//! `tokens` makes marks of TeX, plain notation and Unicode signs; `expression` makes a tree of them; `reading` finds out
//! what is answered (a value, a list, a set, a point or an interval, a matrix, a relation, a choice, words), with
//! `quantity` for units and `linear` for sums of matrices; `compare` decides. Two expressions are equal if their values are: exact rational numbers where they are rational, else
//! complex ones with 512 bits behind the point (`fixed`, `complex`); with variables, at points that are the same in
//! every run, of which those count where both sides are real. `spans` compares sets of real numbers.
//!
//! Conventions: a unit and a degree sign may be left out, but not be another one, nor have another power (`500 cm` is
//! `5 m`, `5 m` is not `5 m^2`); a percent sign may be left out of what is asked for in percent, else 37 % is 0.37 only;
//! degrees are also read as radians (`180°` is `π`); `x = 5` is 5; `log` is decimal or natural, whichever makes
//! both sides equal; odd roots of negative numbers are real; functions are compared where both are real, so their
//! domains are not; a rounded decimal is not what it was rounded from, and what is said to be near (`≈ 5`, `5…`) is right
//! only where the answer is; digits in a base are their value; `1, 2`, `1 or 2`, `{2, 1}` and `±` are sets, and right only
//! where the answer is that set; an interval with an end in it is no list of its ends; what stands under a bar, an
//! arrow or a hat is another thing, or the conjugate of a complex number; choices are right by their label.

mod agreement;
mod answer;
mod compare;
mod complex;
mod evaluate;
mod expression;
mod fixed;
mod linear;
mod quantity;
mod reading;
mod spans;
mod tokens;

use answer::{Answer, Meant};
use compare::{Comparison, is_near};
use evaluate::{Fuel, Setting};
use expression::Expression;
use reading::readings;

/// Whether a text is read as an answer that is more than a name for itself.
pub(super) fn reads(text: &str) -> bool {
    readings(text).iter().any(|answer| !matches!(answer, Answer::Words(_)))
}

/// Whether what is given is the right answer.
pub(super) fn same(right: &str, given: &str) -> bool {
    let (plain_right, plain_given) = (squeezed(right), squeezed(given));
    if !plain_right.is_empty() && plain_right == plain_given {
        return true;
    }
    let (words, said) = (words(right), words(given));
    if words.chars().count() > 1 && words == said && !right.chars().any(|letter| letter.is_ascii_digit()) {
        return true;
    }
    let (right, given) = (readings(right), readings(given));
    for decimal_logarithm in [false, true] {
        let comparison = Comparison(Setting { fuel: Fuel::new(), decimal_logarithm });
        let is_right = |right: &Answer, given: &Answer| {
            let near = is_near(given) && !is_near(right);
            !near && comparison.same(right, &as_asked(right, given))
        };
        if right.iter().any(|right| given.iter().any(|given| is_right(right, given))) {
            return true;
        }
        // The second convention matters only where there is such a logarithm.
        if !plain_right.contains("log") && !plain_given.contains("log") {
            break;
        }
    }
    false
}

/// An answer in percent as a number, unless percent are asked for.
fn as_asked(right: &Answer, given: &Answer) -> Answer {
    let mut percent = false;
    right.clone().each_value(&mut |_, meant| percent |= *meant == Meant::Percent);
    let mut given = given.clone();
    if !percent {
        given.each_value(&mut |value, meant| {
            if *meant == Meant::Percent {
                *value = Expression::Quotient(Box::new(value.clone()), Box::new(Expression::whole(100)));
                *meant = Meant::Plainly;
            }
        });
    }
    given
}

/// The text without space and without commands that only set it: what is equal then is equal.
fn squeezed(text: &str) -> String {
    let mut text = text.replace(['$', ' ', '\n', '\t'], "");
    for name in ["\\left", "\\right", "\\displaystyle", "\\,", "\\;", "\\!", "\\:"] {
        text = text.replace(name, "");
    }
    // One point ends a sentence; several say that digits go on.
    match text.strip_suffix('.') {
        Some(sentence) if !sentence.ends_with('.') => sentence.to_owned(),
        _ => text,
    }
}

/// The letters of an answer in words, in lower case; empty if there is a sign of mathematics.
fn words(text: &str) -> String {
    let plain = super::wrapping::plain(text);
    if plain.chars().any(|letter| "+-=<>^_/*{}()[]|,".contains(letter)) {
        return String::new();
    }
    let kept =
        plain.chars().filter(|letter| letter.is_alphanumeric() || letter.is_whitespace() || *letter == '\\');
    let kept: String = kept.flat_map(char::to_lowercase).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
