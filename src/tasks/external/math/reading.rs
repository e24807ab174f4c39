//! What a text answers.

use super::super::rational::Rational;
use super::answer::{Answer, Meant};
use super::expression::{self, Expression};
use super::linear;
use super::quantity::{self, single_unit, words_of};
use super::tokens::{Commas, Mark, Token, tokens};
use num_bigint::BigInt;
use num_integer::Integer;

/// The most parts of a list, a set or a matrix.
const MOST_PARTS: usize = 400;
/// The deepest nesting of lists in lists.
const DEEPEST: usize = 20;

/// Reads an answer in the ways in which it can be meant; none if it is no mathematics and has no words.
pub(super) fn readings(text: &str) -> Vec<Answer> {
    let mut found: Vec<Answer> = Vec::new();
    for commas in [Commas::Thousands, Commas::Items] {
        let Some(tokens) = tokens(text, commas) else { continue };
        let Some(answer) = whole(&tokens) else { continue };
        if !found.contains(&answer) {
            found.push(answer);
        }
        if let Some(unit) = single_unit(&tokens) {
            found.push(unit);
        }
    }
    found
}

fn whole(tokens: &[Token]) -> Option<Answer> {
    let tokens = trimmed(tokens);
    // `1 ± √2` is two values.
    let sign = |token: &Token| matches!(token.mark, Mark::Sign('±' | '∓'));
    if tokens.iter().any(sign) {
        let (plus, minus) = (answer(tokens, true, 0)?, answer(tokens, false, 0)?);
        let parts = |answer: Answer| match answer {
            Answer::List(parts) => parts,
            other => vec![other],
        };
        let mut all = parts(plus);
        for part in parts(minus) {
            if !all.contains(&part) {
                all.push(part);
            }
        }
        return Some(Answer::List(all));
    }
    answer(tokens, true, 0)
}

/// Without the marks that end a sentence, and without words that announce an answer.
fn trimmed(mut tokens: &[Token]) -> &[Token] {
    const LABELS: [&str; 12] = [
        "answer", "the", "final", "is", "result", "solution", "value", "so", "thus", "option", "choice",
        "total",
    ];
    while let [rest @ .., last] = tokens {
        if !matches!(last.mark, Mark::Sign('.' | ',' | ';' | '\n')) {
            break;
        }
        tokens = rest;
    }
    let label = |token: &Token| match &token.mark {
        Mark::Word(word) => LABELS.contains(&word.to_lowercase().as_str()),
        Mark::Sign(':') | Mark::Relation('=') => true,
        _ => false,
    };
    while let [first, rest @ ..] = tokens {
        if !label(first) || rest.is_empty() {
            break;
        }
        tokens = rest;
    }
    tokens
}

fn answer(tokens: &[Token], plus: bool, depth: usize) -> Option<Answer> {
    if depth > DEEPEST || tokens.is_empty() {
        return None;
    }
    if let Some(choice) = choice(tokens, plus, depth) {
        return Some(choice);
    }
    if let Some(rest) = near(tokens) {
        return answer(trimmed(rest), plus, depth + 1).map(|answer| Answer::Near(Box::new(answer)));
    }
    if let Some((rest, modulus)) = modulus(tokens) {
        let modulus = expression::read(modulus, plus)?;
        return answer(trimmed(rest), plus, depth + 1).map(|said| congruence(said, modulus));
    }
    let joins = |token: &Token| match &token.mark {
        Mark::Sign(',' | ';') => true,
        Mark::Word(word) => matches!(word.to_lowercase().as_str(), "or" | "and"),
        _ => false,
    };
    let parts = split(tokens, joins)?;
    if parts.len() > 1 {
        let parts: Vec<&[Token]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if parts.len() > MOST_PARTS {
            return None;
        }
        if let Some(mixed) = and_a_fraction(&parts) {
            return Some(mixed);
        }
        let parts =
            parts.into_iter().map(|part| answer(part, plus, depth + 1)).collect::<Option<Vec<_>>>()?;
        let both = tokens.iter().any(|token| matches!(&token.mark, Mark::Word(word) if word == "and"));
        let or = tokens.iter().any(|token| matches!(&token.mark, Mark::Word(word) if word == "or"));
        if both && !or && parts.iter().all(is_inequality) {
            return Some(Answer::All(parts));
        }
        return Some(list(parts));
    }
    if let Some(relation) = relation(tokens, plus, depth) {
        return Some(relation);
    }
    let pieces = split(tokens, |token| token.mark == Mark::Set('∪'))?;
    if pieces.len() > 1 {
        let pieces = pieces.into_iter().map(|part| answer(part, plus, depth + 1));
        return pieces.collect::<Option<Vec<_>>>().map(Answer::Union);
    }
    let pieces = split(tokens, |token| token.mark == Mark::Set('∖'))?;
    if let [from, without] = pieces.as_slice() {
        let (from, without) = (answer(from, plus, depth + 1)?, answer(without, plus, depth + 1)?);
        return Some(Answer::Without(Box::new(from), Box::new(without)));
    }
    single(tokens, plus, depth)
}

/// What is said to be only near: what follows `≈`, or goes before dots. After a comma, dots are part of a list.
fn near(tokens: &[Token]) -> Option<&[Token]> {
    match tokens {
        [Token { mark: Mark::Relation('≈'), .. }, rest @ ..]
        | [rest @ .., Token { mark: Mark::Dots, .. }]
            if rest.last().is_some_and(|last| last.mark != Mark::Sign(',')) =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// What stands before `mod 5`, `(mod 5)` or `\pmod 5` at the end, and the modulus.
fn modulus(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let is_modulo = |token: &Token| match &token.mark {
        Mark::Modulo => true,
        Mark::Word(word) => matches!(word.as_str(), "mod" | "modulo"),
        _ => false,
    };
    let place = tokens.iter().rposition(is_modulo)?;
    let (before, after) = tokens.split_at_checked(place)?;
    let (before, after) = match (before, after.get(1..)?) {
        ([before @ .., open], [after @ .., close])
            if open.mark == Mark::Open('(') && close.mark == Mark::Close('(') =>
        {
            (before, after)
        }
        pair => pair,
    };
    (!before.is_empty() && !after.is_empty()).then_some((before, after))
}

/// The smallest of the numbers that are the same up to multiples of a whole number stands for them.
fn congruence(mut said: Answer, modulus: Expression) -> Answer {
    if let Expression::Number(modulus) = &modulus
        && let Some(modulus) = modulus.as_whole().filter(|modulus| *modulus > BigInt::from(0))
    {
        said.each_value(&mut |value, _| {
            let Expression::Number(number) = expression_number(value) else { return };
            if let Some(number) = number.as_whole() {
                *value = Expression::Number(Rational::whole(number.mod_floor(&modulus)));
            }
        });
    }
    Answer::Congruence(Box::new(said), modulus)
}

/// A number with its sign as one.
fn expression_number(value: &Expression) -> Expression {
    match value {
        Expression::Negative(inner) => match &**inner {
            Expression::Number(number) => Expression::Number(number.negate()),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn is_inequality(answer: &Answer) -> bool {
    let Answer::Relation(_, others) = answer else { return false };
    others.iter().all(|(sign, _)| matches!(sign, '<' | '>' | '≤' | '≥' | '≠'))
}

/// A list in a list is one list: `1, 2 or 3`.
fn list(parts: Vec<Answer>) -> Answer {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Answer::List(inner) => all.extend(inner),
            other => all.push(other),
        }
    }
    Answer::List(all)
}

/// `3 and a half`.
fn and_a_fraction(parts: &[&[Token]]) -> Option<Answer> {
    let [whole, part] = parts else { return None };
    let words: Vec<String> = part
        .iter()
        .filter_map(|token| match &token.mark {
            Mark::Word(word) => Some(word.to_lowercase()),
            Mark::Symbol(letter) => Some(letter.clone()),
            _ => None,
        })
        .collect();
    let below = match words.join(" ").as_str() {
        "a half" | "one half" => 2,
        "a third" | "one third" => 3,
        "a quarter" | "one quarter" => 4,
        _ => return None,
    };
    let Expression::Number(whole) = expression::read(whole, true)? else { return None };
    Some(Answer::Value(Expression::Number(whole.add(&Rational::new(1, below)?)?), Meant::Plainly))
}

fn single(tokens: &[Token], plus: bool, depth: usize) -> Option<Answer> {
    let tokens = trimmed(tokens);
    match tokens {
        [only] => match &only.mark {
            Mark::Dots => return Some(Answer::Words("...".into())),
            Mark::Set('∅') => return Some(Answer::Set(Vec::new())),
            Mark::Set(letter) => return Some(Answer::Numbers(*letter)),
            Mark::Word(word) if word.chars().count() > 1 => return words_of(tokens),
            _ => {}
        },
        [Token { mark: Mark::Begin { bars: false }, .. }, inner @ .., Token { mark: Mark::End, .. }] => {
            if let Some(matrix) = matrix(inner, plus, depth) {
                return Some(matrix);
            }
        }
        [Token { mark: Mark::Open('{'), .. }, inner @ .., Token { mark: Mark::Close('{'), .. }]
            if matched(tokens) =>
        {
            return answer(trimmed(inner), plus, depth + 1);
        }
        [Token { mark: Mark::Open(open), .. }, inner @ .., Token { mark: Mark::Close(close), .. }]
            if matched(tokens) =>
        {
            // A matrix may have its brackets around it.
            if inner.first().is_some_and(|first| first.mark == Mark::Begin { bars: false }) && matched(inner)
            {
                return single(inner, plus, depth + 1);
            }
            if let Some(bracketed) = bracketed(*open, inner, *close, plus, depth) {
                return Some(bracketed);
            }
        }
        // `]1, 2[`, as intervals without their ends are written in French.
        [Token { mark: Mark::Close('['), .. }, inner @ .., Token { mark, .. }] => {
            let close = match mark {
                Mark::Open('[') => '(',
                Mark::Close('[') => '[',
                _ => return None,
            };
            return bracketed('(', inner, close, plus, depth);
        }
        _ => {}
    }
    quantity::value(tokens, plus).or_else(|| linear::combined(tokens, plus)).or_else(|| words_of(tokens))
}

/// Whether the first bracket is closed by the last mark; round and square ones may be mixed.
fn matched(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => depth += 1,
            Mark::Close(_) | Mark::End => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return place + 1 == tokens.len();
                }
            }
            _ => {}
        }
    }
    false
}

fn bracketed(open: char, inner: &[Token], close: char, plus: bool, depth: usize) -> Option<Answer> {
    let comma = |token: &Token| matches!(token.mark, Mark::Sign(',' | ';'));
    if open == '⦃' {
        // `{x | x > 1}` and `{x : x > 1}` are what is said of `x`.
        let said = |token: &Token| matches!(token.mark, Mark::Sign('|' | ':'));
        if let [_, condition] = split(inner, said)?.as_slice()
            && inner.iter().any(|token| matches!(token.mark, Mark::Relation(_)))
        {
            return answer(condition, plus, depth + 1);
        }
        if inner.is_empty() {
            return Some(Answer::Set(Vec::new()));
        }
    }
    let parts = split(inner, comma)?;
    if parts.len() > MOST_PARTS || (parts.len() == 1 && open != '⦃') {
        return None;
    }
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let items = parts.map(|part| answer(part, plus, depth + 1)).collect::<Option<Vec<_>>>()?;
    if open == '⦃' {
        return Some(Answer::Set(items));
    }
    (!items.is_empty()).then_some(Answer::Row(open, items, close))
}

fn matrix(inner: &[Token], plus: bool, depth: usize) -> Option<Answer> {
    let rows = split(inner, |token| token.mark == Mark::Sign('\n'))?;
    let mut found = Vec::new();
    for row in rows.into_iter().filter(|row| !row.is_empty()) {
        let cells = split(row, |token| token.mark == Mark::Sign('&'))?;
        if found.len() * cells.len() > MOST_PARTS {
            return None;
        }
        found.push(cells.into_iter().map(|cell| answer(cell, plus, depth + 1)).collect::<Option<Vec<_>>>()?);
    }
    (!found.is_empty()).then_some(Answer::Matrix(found))
}

fn relation(tokens: &[Token], plus: bool, depth: usize) -> Option<Answer> {
    let is_relation = |token: &Token| matches!(token.mark, Mark::Relation(_));
    let sides = split(tokens, is_relation)?;
    let (first, others) = sides.split_first()?;
    if others.is_empty() {
        return None;
    }
    let side = |tokens: &&[Token]| answer(tokens, plus, depth + 1).map(Box::new);
    let mut nesting = 0_usize;
    let mut signs = Vec::new();
    for token in tokens {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => nesting += 1,
            Mark::Close(_) | Mark::End => nesting = nesting.saturating_sub(1),
            Mark::Relation(sign) if nesting == 0 => signs.push(sign),
            _ => {}
        }
    }
    let others = signs.into_iter().zip(others).map(|(sign, tokens)| Some((sign, side(tokens)?)));
    Some(Answer::Relation(side(first)?, others.collect::<Option<Vec<_>>>()?))
}

/// `(B)`, `B.`, `B)` or `(B) 5`.
fn choice(tokens: &[Token], plus: bool, depth: usize) -> Option<Answer> {
    let letter = |token: &Token| match &token.mark {
        Mark::Symbol(name) | Mark::Word(name) if name.len() == 1 => {
            name.chars().next().filter(|letter| ('A'..='J').contains(letter))
        }
        _ => None,
    };
    let (letter, rest) = match tokens {
        [open, label, close, rest @ ..] if open.mark == Mark::Open('(') && close.mark == Mark::Close('(') => {
            (letter(label)?, rest)
        }
        [label, end, rest @ ..] if matches!(end.mark, Mark::Close('(') | Mark::Sign('.' | ':')) => {
            (letter(label)?, rest)
        }
        _ => return None,
    };
    let rest = trimmed(rest);
    if rest.is_empty() {
        return Some(Answer::Choice(letter, None));
    }
    // `(A) or (B)` is no choice of A.
    let hedged = |token: &Token| match &token.mark {
        Mark::Word(word) => matches!(word.to_lowercase().as_str(), "or" | "and"),
        Mark::Sign(',' | ';') => true,
        _ => false,
    };
    let apart = |token: &Token| token.space || matches!(token.mark, Mark::Currency(_));
    if rest.first().is_some_and(|first| hedged(first) || !apart(first)) {
        return None;
    }
    answer(rest, plus, depth + 1).map(|rest| Answer::Choice(letter, Some(Box::new(rest))))
}

/// The parts between marks that are in no bracket; `None` if brackets do not match.
fn split(tokens: &[Token], between: impl Fn(&Token) -> bool) -> Option<Vec<&[Token]>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i64);
    for (place, token) in tokens.iter().enumerate() {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => depth += 1,
            Mark::Close(_) | Mark::End => depth -= 1,
            _ if depth == 0 && between(token) => {
                parts.push(tokens.get(start..place)?);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(tokens.get(start..)?);
    Some(parts)
}
