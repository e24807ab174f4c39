//! What an answer is: a value, a list, a set, an interval, a matrix, a relation, a choice, or words.

use super::super::rational::Rational;
use super::super::units;
use super::expression::{self, Expression};
use super::tokens::{Commas, Mark, Token, tokens};

/// The most parts of a list, a set or a matrix.
const MOST_PARTS: usize = 400;
/// The deepest nesting of lists in lists.
const DEEPEST: usize = 20;

/// How a value is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meant {
    Plainly,
    Percent,
    Degrees,
    /// In a unit.
    In(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Value(Expression, Meant),
    /// Things of which each is part of the answer, in no order: `1, 2`, `1 or 2`, `±1`.
    List(Vec<Answer>),
    /// Inequalities that hold at once.
    All(Vec<Answer>),
    /// In braces.
    Set(Vec<Answer>),
    /// In brackets, with the bracket that opens and the one that closes: a point or an interval.
    Row(char, Vec<Answer>, char),
    /// Pieces that are joined: intervals and sets.
    Union(Vec<Answer>),
    /// A set of numbers without some.
    Without(Box<Answer>, Box<Answer>),
    /// All real numbers, all integers and so on, by their letter.
    Numbers(char),
    Matrix(Vec<Vec<Answer>>),
    /// `a < b ≤ c`: the first side, and relations with further sides.
    Relation(Side, Vec<(char, Side)>),
    /// A labelled choice, with what stands after the label.
    Choice(char, Option<Box<Answer>>),
    Words(String),
}

/// A side of a relation.
pub(super) type Side = Box<Answer>;

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

/// `5 m`: a number, a space and a letter that may be a unit.
fn single_unit(tokens: &[Token]) -> Option<Answer> {
    let (last, number) = tokens.split_last()?;
    let Mark::Symbol(name) = &last.mark else { return None };
    let letters = number.iter().any(|token| matches!(token.mark, Mark::Symbol(_) | Mark::Word(_)));
    if !last.space || letters || name == "i" || name == "e" {
        return None;
    }
    let tail = units::tail(name)?;
    Some(Answer::Value(expression::read(number, true)?, Meant::In(tail.unit)))
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
        Mark::Sign(':') | Mark::Relation('≈' | '=') => true,
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
            Mark::Set('∅') => return Some(Answer::Set(Vec::new())),
            Mark::Set(letter) => return Some(Answer::Numbers(*letter)),
            Mark::Word(word) if word.chars().count() > 1 => return words_of(tokens),
            _ => {}
        },
        [Token { mark: Mark::Begin, .. }, inner @ .., Token { mark: Mark::End, .. }] => {
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
            if inner.first().is_some_and(|first| first.mark == Mark::Begin) && matched(inner) {
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
    value(tokens, plus).or_else(|| words_of(tokens))
}

/// Whether the first bracket is closed by the last mark; round and square ones may be mixed.
fn matched(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token.mark {
            Mark::Open(_) | Mark::Begin => depth += 1,
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
            Mark::Open(_) | Mark::Begin => nesting += 1,
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
    if rest.first().is_some_and(|first| hedged(first) || !first.space) {
        return None;
    }
    answer(rest, plus, depth + 1).map(|rest| Answer::Choice(letter, Some(Box::new(rest))))
}

/// The parts between marks that are in no bracket; `None` if brackets do not match.
fn split(tokens: &[Token], between: impl Fn(&Token) -> bool) -> Option<Vec<&[Token]>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i64);
    for (place, token) in tokens.iter().enumerate() {
        match token.mark {
            Mark::Open(_) | Mark::Begin => depth += 1,
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

/// A value with its percent or degree sign, its currency and its unit.
fn value(tokens: &[Token], plus: bool) -> Option<Answer> {
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
    let Some((start, _)) = start else { return plain(tokens, plus) };
    let (before, unit) = tokens.split_at_checked(start)?;
    if unit.iter().any(|token| !of_unit(token)) {
        return None;
    }
    let text: Vec<String> = unit.iter().map(shown).collect();
    let tail = units::tail(&text.join(" ").replace(" ^ ", "^").replace("^ ", "^"))?;
    let Answer::Value(expression, meant) = plain(before, plus)? else { return None };
    let times = Rational::whole(tail.times);
    let expression = match times.as_small() {
        Some(1) => expression,
        _ => Expression::Product(vec![expression, Expression::Number(times)]),
    };
    let percent = matches!(tail.unit.as_str(), "percent" | "per cent");
    let degrees = matches!(tail.unit.as_str(), "degree" | "degrees" | "deg");
    Some(Answer::Value(
        expression,
        match meant {
            Meant::Plainly if percent => Meant::Percent,
            Meant::Plainly if degrees => Meant::Degrees,
            Meant::Plainly if !tail.unit.is_empty() => Meant::In(tail.unit),
            meant => meant,
        },
    ))
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

fn shown(token: &Token) -> String {
    match &token.mark {
        Mark::Word(text) | Mark::Number(text) | Mark::Symbol(text) => text.clone(),
        Mark::Sign('*' | '°' | '.') | Mark::Open(_) | Mark::Close(_) => String::new(),
        Mark::Sign(sign) => sign.to_string(),
        _ => String::new(),
    }
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
fn words_of(tokens: &[Token]) -> Option<Answer> {
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
