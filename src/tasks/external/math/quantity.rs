//! Values with their percent or degree sign, their currency and their unit.

use super::super::measures::Measure;
use super::super::rational::Rational;
use super::super::units;
use super::answer::{Answer, Meant};
use super::expression::{self, Expression};
use super::tokens::{Mark, Token};

/// `5 m` or `5 m/s^2`: a number, a space and letters that may be a unit.
pub(super) fn single_unit(tokens: &[Token]) -> Option<Answer> {
    let letter = |token: &Token| matches!(token.mark, Mark::Symbol(_) | Mark::Word(_));
    let (number, unit) = tokens.split_at_checked(tokens.iter().position(letter)?)?;
    let Mark::Symbol(name) = &unit.first()?.mark else { return None };
    let spaced = unit.first().is_some_and(|first| first.space);
    if !spaced || number.is_empty() || name == "i" || name == "e" || !unit.iter().all(of_unit) {
        return None;
    }
    let text = unit_text(unit);
    units::tail(&text)?;
    Some(Answer::Value(expression::read(number, true)?, Meant::In(Measure::of(&text))))
}

/// A value with its percent or degree sign, its currency and its unit.
pub(super) fn value(tokens: &[Token], plus: bool) -> Option<Answer> {
    let sign = tokens.iter().find_map(|token| match token.mark {
        Mark::Currency(sign) => Some(sign),
        _ => None,
    });
    let Some(sign) = sign else {
        return measured(tokens, plus).map(|(value, meant, _)| Answer::Value(value, meant));
    };
    let rest: Vec<Token> =
        tokens.iter().filter(|token| !matches!(token.mark, Mark::Currency(_))).cloned().collect();
    let (value, meant, unit) = measured(&rest, plus)?;
    let meant = match meant {
        Meant::Plainly | Meant::In(_) => Meant::In(Measure::money(sign, unit.as_deref())),
        other => other,
    };
    Some(Answer::Value(value, meant))
}

/// A value, how it is meant, and the text of its unit.
fn measured(tokens: &[Token], plus: bool) -> Option<(Expression, Meant, Option<String>)> {
    let is_word =
        |token: &Token| matches!(&token.mark, Mark::Word(word) if word.chars().count() > 1 && word != "pi");
    let upright = |token: &Token| matches!(&token.mark, Mark::Word(_));
    let number = |token: &Token| matches!(token.mark, Mark::Number(_) | Mark::Close(_) | Mark::Repeating(..));
    // The first word of a unit: one of several letters, or an upright letter right after a number.
    let fraction = |place: usize| {
        let at = |ahead: usize| tokens.get(place + ahead);
        at(0).is_some_and(|token| token.mark == Mark::Fraction)
            && at(1).is_some_and(|token| token.mark == Mark::Open('{'))
            && at(2)
                .is_some_and(|token| matches!(&token.mark, Mark::Word(word) if units::tail(word).is_some()))
    };
    let start = tokens.iter().enumerate().skip(1).find(|(place, token)| {
        fraction(*place)
            || is_word(token)
            || (upright(token) && tokens.get(place - 1).is_some_and(number) && single_letter_unit(token))
    });
    let Some((start, _)) = start else {
        let Answer::Value(value, meant) = plain(tokens, plus)? else { return None };
        return Some((value, meant, None));
    };
    let (before, unit) = tokens.split_at_checked(start)?;
    if unit.iter().any(|token| !of_unit(token)) {
        return None;
    }
    let text = unit_text(unit);
    let tail = units::tail(&text)?;
    let Answer::Value(expression, meant) = plain(before, plus)? else { return None };
    let times = Rational::whole(tail.times);
    let expression = match times.as_small() {
        Some(1) => expression,
        _ => Expression::Product(vec![expression, Expression::Number(times)]),
    };
    let percent = matches!(tail.unit.as_str(), "percent" | "per cent");
    let degrees = matches!(tail.unit.as_str(), "degree" | "degrees" | "deg");
    let meant = match meant {
        Meant::Plainly if percent => Meant::Percent,
        Meant::Plainly if degrees => Meant::Degrees,
        Meant::Plainly if !tail.unit.is_empty() => Meant::In(Measure::of(&text)),
        meant => meant,
    };
    Some((expression, meant, (!tail.unit.is_empty()).then_some(text)))
}

fn single_letter_unit(token: &Token) -> bool {
    matches!(&token.mark, Mark::Word(word) if units::tail(word).is_some())
}

/// Marks of which units are made: words, powers and fractions of them.
fn of_unit(token: &Token) -> bool {
    match &token.mark {
        Mark::Word(_)
        | Mark::Sign('^' | '/' | '*' | '-' | '.' | '°')
        | Mark::Open('{' | '(')
        | Mark::Close('{' | '(') => true,
        Mark::Number(digits) => matches!(digits.as_str(), "1" | "2" | "3"),
        Mark::Symbol(name) => name.len() == 1,
        Mark::Fraction => true,
        _ => false,
    }
}

/// The marks of a unit as text: `km h^-1`, `m / s^2`.
fn unit_text(tokens: &[Token]) -> String {
    let mut text = String::new();
    // How many braces of a fraction are open, and whether its first part goes on.
    let (mut depth, mut lines) = (0_usize, Vec::new());
    let mut raised = false;
    for token in tokens {
        match &token.mark {
            Mark::Word(word) | Mark::Symbol(word) => {
                text += " ";
                text += word;
            }
            Mark::Number(digits) => {
                text += if raised { "" } else { " " };
                text += digits;
            }
            Mark::Sign('-') if raised => text.push('-'),
            Mark::Sign('^') => text.push('^'),
            Mark::Sign('/') => text += " / ",
            Mark::Fraction => lines.push((depth, true)),
            Mark::Open('{') => depth += 1,
            Mark::Close('{') => {
                depth = depth.saturating_sub(1);
                if let Some((at, above)) = lines.last_mut()
                    && *at == depth
                {
                    text += if *above { " / ( " } else { " ) " };
                    match above {
                        true => *above = false,
                        false => drop(lines.pop()),
                    }
                }
            }
            Mark::Open('(') => text += " ( ",
            Mark::Close('(') => text += " ) ",
            _ => text.push(' '),
        }
        raised = matches!(token.mark, Mark::Sign('^'))
            || (raised && matches!(token.mark, Mark::Open('{') | Mark::Sign('-')));
    }
    text.trim().to_owned()
}

/// An expression with a percent or degree sign at its end.
fn plain(tokens: &[Token], plus: bool) -> Option<Answer> {
    let is = |token: Option<&Token>, mark: &Mark| token.is_some_and(|token| token.mark == *mark);
    let at_end = |back: usize| tokens.len().checked_sub(back).and_then(|place| tokens.get(place));
    let mut width = 0;
    let mut meant = Meant::Plainly;
    if is(at_end(1), &Mark::Sign('%')) {
        (width, meant) = (1, Meant::Percent);
    } else if is(at_end(1), &Mark::Sign('°')) {
        (width, meant) = (if is(at_end(2), &Mark::Sign('^')) { 2 } else { 1 }, Meant::Degrees);
    } else if is(at_end(2), &Mark::Sign('°'))
        && is(at_end(3), &Mark::Open('{'))
        && is(at_end(4), &Mark::Sign('^'))
    {
        (width, meant) = (4, Meant::Degrees);
    }
    let inner = tokens.get(..tokens.len() - width)?;
    let function = inner.iter().any(|token| matches!(token.mark, Mark::Function(_)));
    let (inner, meant) =
        if meant == Meant::Degrees && function { (tokens, Meant::Plainly) } else { (inner, meant) };
    expression::read(inner, plus).map(|expression| Answer::Value(expression, meant))
}

/// All words, if there is nothing else.
pub(super) fn words_of(tokens: &[Token]) -> Option<Answer> {
    let mut words = Vec::new();
    for token in tokens {
        match &token.mark {
            Mark::Word(word) | Mark::Symbol(word) => words.push(word.to_lowercase()),
            Mark::Sign('.' | ',' | '\'' | '!' | '-') => {}
            _ => return None,
        }
    }
    (words.iter().any(|word| word.chars().count() > 1)).then(|| Answer::Words(words.join(" ")))
}
