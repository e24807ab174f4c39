//! A template in the words of minijinja: what Jinja2 has and minijinja lacks is written in another way before.
//!
//! - `a + b` becomes `(a)|python_add(b)`; `~`, `%`, `/` and `//` alike, for minijinja's print lists and numbers in their own
//!   way, know no text that is escaped, and divide towards zero;
//! - `x[a:b]` becomes `x.python_slice(a,b)`, for minijinja's is lazy, and panics where nothing is reversed;
//! - `for x in y` becomes `for x in (y)|python_iterable`, for minijinja takes `none` for an empty list;
//! - `(a, b)` becomes `python_tuple(a, b)`;
//! - `a == b` becomes `a == (b)|python_comparable`, and other comparisons alike, `x[key]` becomes `x.python_item(key)`, and
//!   `{key: value}` becomes `{(key)|python_key: value}`, which pay for what they go through (`meter`);
//! - `f(*list)` and `f(**names)` are refused;
//! - `generation`, which marks what an assistant wrote for masks, becomes `with`, which has a scope too;
//! - `varargs` and `kwargs` of a macro become a call that is refused, for minijinja prints nothing.
//!
//! Jinja2 also reads every end of line as `\n`.

use super::meter;
use crate::error::{Error, Result};
use std::ops::Range;

/// A template in the words of minijinja.
pub(super) struct Source {
    pub(super) text: String,
    /// How many instructions it may take.
    pub(super) steps: u64,
}

/// Rewrites a template. One that is malformed comes out malformed.
///
/// # Errors
/// If it is longer than any template is, or hands the items of a list on as arguments.
pub(super) fn rewritten(template: &str) -> Result<Source> {
    if template.len() > meter::SOURCE {
        return Err(Error::request(format!(
            "expected at most {} bytes, found {}",
            meter::SOURCE,
            template.len()
        )));
    }
    let template = template.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::new();
    let mut rest = template.as_str();
    let mut longest = 0;
    while let Some(at) = opening(rest) {
        let (text, from) = rest.split_at(at);
        longest = longest.max(text.len());
        out += text;
        let (tag, after) = match from.strip_prefix("{#") {
            Some(comment) => {
                let length = comment.find("#}").map_or(comment.len(), |end| end + "#}".len());
                from.split_at("{#".len() + length)
            }
            None => {
                let is_block = from.starts_with("{%");
                let trims = from["{{".len()..].starts_with(['-', '+']);
                let (mark, inner) = from.split_at("{{".len() + usize::from(trims));
                let tokens = tokens(inner, if is_block { "%}" } else { "}}" });
                if tokens.len() > meter::TAG {
                    return Err(Error::request(format!(
                        "expected at most {} words and signs between braces, found {}",
                        meter::TAG,
                        tokens.len()
                    )));
                }
                let (inner, after) = inner.split_at(tokens.last().map_or(0, |token| token.end));
                let name = tokens.first().filter(|_| is_block).map_or("", |token| &inner[token.clone()]);
                out += mark;
                out += &match name {
                    "generation" => inner.replacen(name, "with", 1),
                    "endgeneration" => inner.replacen(name, "endwith", 1),
                    _ => expression(inner, &tokens, name)?,
                };
                // Nothing within is a tag until the one that ends it.
                after.split_at(if name == "raw" { after.find("endraw").unwrap_or(after.len()) } else { 0 })
            }
        };
        longest = longest.max(tag.len());
        out += tag;
        rest = after;
    }
    longest = longest.max(rest.len());
    out += rest;
    Ok(Source { text: out, steps: meter::steps(longest) })
}

/// Where the next tag or comment begins.
fn opening(rest: &str) -> Option<usize> {
    let follows = |at: &usize| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#'));
    rest.match_indices('{').map(|(at, _)| at).find(follows)
}

/// The places of the tokens of a tag up to the mark that ends it. Within brackets no mark ends it.
fn tokens(source: &str, end: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        if depth == 0 && rest.strip_prefix('-').or(rest.strip_prefix('+')).unwrap_or(rest).starts_with(end) {
            break;
        }
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            '(' | '[' | '{' => {
                depth += 1;
                1
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ if is_word(first) => rest.find(|next| !is_word(next)).unwrap_or(rest.len()),
            _ => ["==", "!=", "<=", ">=", "**", "//"]
                .iter()
                .find(|operator| rest.starts_with(**operator))
                .map_or(first.len_utf8(), |operator| operator.len()),
        };
        if !first.is_whitespace() {
            found.push(at..at + length);
        }
        at += length;
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a text with its quotes.
fn quoted(source: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in source.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// How tightly an operator binds, the loosest first: `+` and `-`, `~`, and those of products.
const TIERS: usize = 3;

fn tier(operator: &str) -> Option<usize> {
    match operator {
        "+" | "-" => Some(0),
        "~" => Some(1),
        "*" | "/" | "//" | "%" => Some(2),
        _ => None,
    }
}

/// What a rewritten operator becomes.
fn filter(operator: &str) -> Option<&'static str> {
    match operator {
        "+" => Some(")|python_add("),
        "~" => Some(")|python_join("),
        "*" => Some(")|python_multiply("),
        "/" => Some(")|python_divide("),
        "//" => Some(")|python_floor_divide("),
        "%" => Some(")|python_modulo("),
        _ => None,
    }
}

/// What stands on one level of brackets, as it is gone through.
#[derive(Default)]
struct Level {
    /// The bracket that opens it, and whether a value stands before it: a call, or an item.
    opens: Option<(usize, bool)>,
    /// The token that the operand of each tier begins with.
    starts: [Option<usize>; TIERS],
    /// Whether the token before is of an operand: what follows is no sign then.
    follows_operand: bool,
    /// Whether the second operand of a rewritten operator is to be closed.
    pending: [bool; TIERS],
    has_comma: bool,
    colons: Vec<usize>,
    /// The token that the item begins with: an argument, or a key of a dictionary.
    item: usize,
    /// The token that the right side of a comparison begins with.
    compared: Option<usize>,
}

/// Texts in the place of others.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn insert(&mut self, at: usize, text: &str) {
        self.0.push((at..at, text.to_owned()));
    }

    fn replace(&mut self, range: &Range<usize>, text: impl Into<String>) {
        self.0.push((range.clone(), text.into()));
    }

    /// Those at one place in their order.
    fn apply(mut self, source: &str) -> String {
        self.0.sort_by_key(|(range, _)| range.start);
        let mut out = String::new();
        let mut from = 0;
        for (range, text) in self.0 {
            // In a malformed tag one may lie within another.
            out += source.get(from..range.start).unwrap_or_default();
            out += &text;
            from = from.max(range.end);
        }
        out + source.get(from..).unwrap_or_default()
    }
}

/// Rewrites the expressions among `tokens`; `name` is that of the block, or nothing.
fn expression(source: &str, tokens: &[Range<usize>], name: &str) -> Result<String> {
    let word = |index: usize| tokens.get(index).map_or("", |token| &source[token.clone()]);
    let find = |mark: &str| (0..tokens.len()).find(|index| word(*index) == mark);
    // Up to it stand names that are assigned to.
    let assigned = match name {
        "for" => find("in"),
        "set" => find("="),
        "call" | "macro" => Some(tokens.len()),
        _ => None,
    };
    let is_target = |index: usize| assigned.is_some_and(|assigned| index < assigned);
    let mut looped = assigned.filter(|_| name == "for").map(|at| at + 1);
    let mut edits = Edits::default();
    // A text or a number of the template's own is worth no check.
    let is_literal = |from: usize, to: usize| to == from + 1 && is_short_literal(word(from));
    let wrap = |edits: &mut Edits, from: usize, to: usize, filter: &str| {
        if let (Some(first), Some(last)) = (tokens.get(from), to.checked_sub(1).and_then(|at| tokens.get(at)))
            && from < to
            && !is_literal(from, to)
        {
            edits.insert(first.start, "(");
            edits.insert(last.end, filter);
        }
    };
    let mut tuples = Vec::new();
    let mut levels = vec![Level::default()];
    for index in 0..=tokens.len() {
        let (before, current) = (word(index.wrapping_sub(1)), word(index));
        let ended = tokens.get(index.wrapping_sub(1)).map_or(0, |token| token.end);
        let depth = levels.len();
        let (Some(level), token) = (levels.last_mut(), tokens.get(index)) else { break };
        let closes = [")", "]", "}", ""].contains(&current);
        let operator = tier(current).filter(|_| level.follows_operand);
        if closes || operator.is_some() || ends_operand(current, before) {
            let loosest = operator.unwrap_or(0);
            for tier in (loosest..TIERS).rev() {
                if std::mem::take(&mut level.pending[tier]) {
                    edits.insert(ended, ")");
                }
            }
            if let (Some(tier), Some(filter), Some(token)) = (operator, filter(current), token)
                && let Some(first) = level.starts[tier].and_then(|start| tokens.get(start))
            {
                edits.insert(first.start, "(");
                edits.replace(token, filter);
                level.pending[tier] = true;
            }
            if operator.is_none() {
                if let Some(from) = level.compared.take() {
                    wrap(&mut edits, from, index, ")|python_comparable");
                }
                let of_test = before == "is" || (before == "not" && word(index.wrapping_sub(2)) == "is");
                let of_loop = name == "for" && assigned == Some(index);
                if ["==", "!=", "<", "<=", ">", ">="].contains(&current)
                    || (current == "in" && !of_test && !of_loop)
                {
                    level.compared = Some(index + 1);
                }
            }
            level.starts[if operator.is_some() { loosest + 1 } else { 0 }..].fill(None);
            level.follows_operand = false;
            level.has_comma |= current == ",";
            if current == ":" {
                level.colons.push(index);
                if level.opens.is_some_and(|(open, _)| word(open) == "{") {
                    wrap(&mut edits, level.item, index, ")|python_key");
                }
            }
            if current == "," {
                level.item = index + 1;
            }
            if depth == 1
                && ["if", "recursive", ""].contains(&current)
                && let Some(first) = looped.filter(|start| *start < index).and_then(|start| tokens.get(start))
            {
                edits.insert(first.start, "(");
                edits.insert(ended, ")|python_iterable");
                looped = None;
            }
        } else {
            if !level.follows_operand && ["*", "**"].contains(&current) {
                return Err(Error::request("`*` before an argument is not known"));
            }
            level.starts.iter_mut().for_each(|start| *start = start.or(Some(index)));
            // A sign is of an operand, and a second may follow.
            level.follows_operand = tier(current).is_none();
        }
        if ["varargs", "kwargs"].contains(&current) && ![".", "|"].contains(&before) && word(index + 1) != "="
        {
            edits.insert(token.map_or(ended, |token| token.end), "_of_a_macro()");
        }
        if closes && depth > 1 {
            let closed = levels.pop().unwrap_or_default();
            match (closed.opens, current) {
                (Some((open, false)), ")") if closed.has_comma || before == "(" => tuples.push(open),
                (Some((open, true)), "]") if !closed.colons.is_empty() => {
                    let part = |at: usize| if [":", "]"].contains(&word(at + 1)) { "none" } else { "" };
                    edits.replace(&tokens[open], format!(".python_slice({}", part(open)));
                    for colon in closed.colons {
                        edits.replace(&tokens[colon], format!(",{}", part(colon)));
                    }
                    edits.replace(&tokens[index], ")");
                }
                (Some((open, true)), "]") if !is_target(open) && !is_literal(open + 1, index) => {
                    edits.replace(&tokens[open], ".python_item(");
                    edits.replace(&tokens[index], ")");
                }
                (Some((open, true)), ")")
                    if word(open.wrapping_sub(1)) == "changed" && word(open.wrapping_sub(2)) == "." =>
                {
                    edits.replace(&tokens[open], "(python_tuple(");
                    edits.replace(&tokens[index], ")|python_comparable)");
                }
                _ => {}
            }
        }
        if ["(", "[", "{"].contains(&current) {
            let opens = Some((index, is_target(index) || follows_value(before)));
            levels.push(Level { opens, item: index + 1, ..Level::default() });
        }
    }
    tuples.iter().for_each(|open| edits.insert(tokens[*open].start, "python_tuple"));
    Ok(edits.apply(source))
}

/// Whether a token is a short text or a small number.
fn is_short_literal(token: &str) -> bool {
    match token.starts_with(['\'', '"']) {
        true => token.len() < 256,
        false => !token.is_empty() && token.len() < 5 && token.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Whether a token ends an operand of every operator: all that binds less, and what stands between expressions.
fn ends_operand(token: &str, before: &str) -> bool {
    match token {
        "," | ":" | "=" | "==" | "!=" | "<" | ">" | "<=" | ">=" => true,
        "not" if before == "is" => false,
        // After a dot it is the name of an attribute.
        "and" | "or" | "not" | "in" | "if" | "elif" | "else" | "recursive" => before != ".",
        // The names of blocks.
        "set" | "for" | "with" | "call" | "macro" | "filter" => before.is_empty(),
        _ => false,
    }
}

/// Whether a bracket after `before` holds arguments or the place of an item.
fn follows_value(before: &str) -> bool {
    let keywords = ["and", "or", "not", "in", "if", "elif", "else", "is", "set", "for", "with"];
    let is_value = |last: char| is_word(last) || ")]}'\"".contains(last);
    before.ends_with(is_value) && !keywords.contains(&before)
}
