//! What stands around an answer and is no part of it: emphasis, delimiters of formulas, boxes, units in words.

use super::units;
use num_bigint::BigInt;

/// The number of an answer, and what it is counted in.
#[derive(Debug)]
pub(super) struct Amount {
    /// What stands before the unit.
    pub(super) number: String,
    /// 1, or 1 000 000 where the unit is millions.
    pub(super) times: BigInt,
}

/// Commands whose argument is text or is only set in another type.
pub(super) const TEXT: [&str; 15] = [
    "text",
    "textrm",
    "textbf",
    "textit",
    "textsf",
    "texttt",
    "textnormal",
    "mathrm",
    "mathbf",
    "mathit",
    "mathsf",
    "mbox",
    "hbox",
    "operatorname",
    "bm",
];

/// Commands that only make room or set the size of what follows.
pub(super) const SPACING: [&str; 38] = [
    "left",
    "right",
    "displaystyle",
    "textstyle",
    "limits",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "quad",
    "qquad",
    "middle",
    "thinspace",
    "boldsymbol",
    "nolimits",
    "bf",
    "bfseries",
    "rm",
    "it",
    "itshape",
    "sf",
    "tt",
    "tiny",
    "scriptsize",
    "footnotesize",
    "small",
    "normalsize",
    "large",
    "Large",
    "LARGE",
    "huge",
    "Huge",
    "scriptstyle",
    "scriptscriptstyle",
];

/// Parts a number from its unit; `None` if what follows it is no unit.
pub(super) fn amount(text: &str) -> Option<Amount> {
    let text = plain(text);
    let start = words(&text).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(start)?;
    let whole = |number: &str, times| Some(Amount { number: number.to_owned(), times });
    if rest.trim().is_empty() {
        return whole(number, BigInt::from(1));
    }
    // A unit of one letter stands apart from its number, or the letter may be a variable.
    let single = rest.chars().nth(1).is_none_or(|next| !next.is_alphabetic());
    if number.trim().is_empty() || (single && !number.ends_with(char::is_whitespace)) {
        return None;
    }
    let units::Tail { times, .. } = units::tail(rest)?;
    whole(number, times)
}

/// Where the words after a number begin.
fn words(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        if letter == '\\' {
            // A command of formulas, as `\frac` or `\times`.
            while letters.peek().is_some_and(|(_, next)| next.is_alphabetic()) {
                letters.next();
            }
            continue;
        }
        if !letter.is_alphabetic() {
            continue;
        }
        let rest = text.get(place + letter.len_utf8()..).unwrap_or_default();
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let after_digit =
            text.get(..place).is_some_and(|before| before.ends_with(|last: char| last.is_ascii_digit()));
        let power = matches!(letter, 'e' | 'E')
            && after_digit
            && digits.starts_with(|next: char| next.is_ascii_digit());
        if !power {
            return Some(place);
        }
    }
    None
}

/// The text without emphasis, delimiters and spacing commands; words of `\text{}` stand among spaces.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim().trim_matches('`').replace("**", "").replace("__", "");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    // How many open braces of text commands there are, each with the depth at which it closes.
    let (mut depth, mut closing) = (0_usize, Vec::new());
    while let Some(letter) = rest.chars().next() {
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        rest = after;
        match letter {
            '$' => {}
            '~' => out.push(' '),
            '°' => {}
            '{' if after.starts_with(",}") => {
                out.push(',');
                rest = after.get(2..).unwrap_or_default();
            }
            '{' => {
                depth += 1;
                out.push('{');
            }
            '}' => {
                if closing.last() == Some(&depth) {
                    closing.pop();
                    out.push(' ');
                } else {
                    out.push('}');
                }
                depth = depth.saturating_sub(1);
            }
            '^' => {
                let degree = ["{\\circ}", "\\circ", "{\\degree}", "°"]
                    .iter()
                    .find_map(|sign| after.strip_prefix(sign));
                match degree {
                    Some(next) => rest = next,
                    None => out.push('^'),
                }
            }
            '\\' => {
                let end = after.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(after.len());
                let (name, next) = after.split_at(end);
                match name {
                    "" => {
                        let mut sign = after.chars();
                        match sign.next() {
                            Some(',' | ':' | ';') => out.push('\u{2009}'),
                            Some(' ') => out.push(' '),
                            Some('!' | '(' | ')' | '[' | ']' | '$' | '%') | None => {}
                            Some(other) => out.extend(['\\', other]),
                        }
                        rest = sign.as_str();
                    }
                    "degree" => rest = next,
                    _ if SPACING.contains(&name) => {
                        out.push(' ');
                        rest = next;
                    }
                    _ if TEXT.contains(&name) || matches!(name, "boxed" | "fbox" | "framebox") => {
                        rest = next.trim_start();
                        out.push(' ');
                        if let Some(inside) = rest.strip_prefix('{') {
                            depth += 1;
                            closing.push(depth);
                            rest = inside;
                        }
                    }
                    _ => {
                        out.push('\\');
                        out.push_str(name);
                        rest = next;
                    }
                }
            }
            other => out.push(other),
        }
    }
    // A point ends a sentence, not a number.
    out.trim().trim_end_matches(['.', ';', ',']).trim().to_owned()
}
