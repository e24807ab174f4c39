//! A template in the words of minijinja: what Jinja2 has and minijinja lacks is written in another way before.
//!
//! - `a + b` becomes `(a)|python_add(b)`; `~`, `%`, `/` and `//` alike, for minijinja's print lists and numbers in their own
//!   way, know no text that is escaped, and divide towards zero;
//! - `x[a:b]` becomes `x.python_slice(a,b)`, for minijinja's is lazy, and panics where nothing is reversed;
//! - `for x in y` becomes `for x in (y)|python_iterable`, for minijinja takes `none` for an empty list;
//! - `(a, b)` becomes `python_tuple(a, b)`;
//! - `generation`, which marks what an assistant wrote for masks, becomes `with`, which has a scope too;
//! - `varargs` and `kwargs` of a macro become a call that is refused, for minijinja prints nothing.
//!
//! Jinja2 also reads every end of line as `\n`.

use std::ops::Range;

/// Rewrites a template. One that is malformed comes out malformed.
pub(super) fn rewritten(template: &str) -> String {
    let template = template.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::new();
    let mut rest = template.as_str();
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        let (text, from) = rest.split_at(at);
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
                let (inner, after) = inner.split_at(tokens.last().map_or(0, |token| token.end));
                let name = tokens.first().filter(|_| is_block).map_or("", |token| &inner[token.clone()]);
                out += mark;
                out += &match name {
                    "generation" => inner.replacen(name, "with", 1),
                    "endgeneration" => inner.replacen(name, "endwith", 1),
                    _ => expression(inner, &tokens, name),
                };
                // Nothing within is a tag until the one that ends it.
                after.split_at(if name == "raw" { after.find("endraw").unwrap_or(after.len()) } else { 0 })
            }
        };
        out += tag;
        rest = after;
    }
    out + rest
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
            out += &source[from..range.start];
            out += &text;
            from = range.end;
        }
        out + &source[from..]
    }
}

/// Rewrites the expressions among `tokens`; `name` is that of the block, or nothing.
fn expression(source: &str, tokens: &[Range<usize>], name: &str) -> String {
    let word = |index: usize| tokens.get(index).map_or("", |token| &source[token.clone()]);
    let find = |mark: &str| (0..tokens.len()).find(|index| word(*index) == mark);
    // Up to it stand names that are assigned to.
    let assigned = match name {
        "for" => find("in"),
        "set" => find("="),
        "call" | "macro" => Some(tokens.len()),
        _ => None,
    };
    let mut looped = assigned.filter(|_| name == "for").map(|at| at + 1);
    let mut edits = Edits::default();
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
            level.starts[if operator.is_some() { loosest + 1 } else { 0 }..].fill(None);
            level.follows_operand = false;
            level.has_comma |= current == ",";
            if current == ":" {
                level.colons.push(index);
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
                _ => {}
            }
        }
        if ["(", "[", "{"].contains(&current) {
            let is_target = assigned.is_some_and(|assigned| index < assigned);
            let opens = Some((index, is_target || follows_value(before)));
            levels.push(Level { opens, ..Level::default() });
        }
    }
    tuples.iter().for_each(|open| edits.insert(tokens[*open].start, "python_tuple"));
    edits.apply(source)
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
