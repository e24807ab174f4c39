//! Rust source as the compiler sees it: tokens, without comments, line breaks, trailing commas and tests.

/// Operators of several characters, longest first.
const OPERATORS: [&str; 25] = [
    "<<=", ">>=", "...", "..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "+=", "-=",
    "*=", "/=", "%=", "^=", "&=", "|=", "..", "<-",
];

/// What an item may begin with: it ends at its `;` or its closing brace, not at a comma.
const ITEMS: [&str; 18] = [
    "pub",
    "fn",
    "mod",
    "use",
    "struct",
    "enum",
    "union",
    "trait",
    "impl",
    "const",
    "static",
    "type",
    "unsafe",
    "async",
    "extern",
    "macro_rules",
    "let",
    "for",
];

/// The tokens of `source` that are compiled into a program that is no test.
pub(crate) fn compiled(source: &str) -> Vec<String> {
    without_trailing_commas(without_tests(all(source)))
}

/// All tokens. Text that is no Rust becomes tokens, too; which ones does not matter, only that they are the same.
fn all(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if rest.starts_with("/*") {
            rest = &rest[comment(rest)..];
            continue;
        }
        let length = token(rest, first);
        let (token, after) = rest.split_at(length);
        tokens.push(if token.ends_with('"') { joined(token) } else { token.to_owned() });
        rest = after;
    }
    tokens
}

/// The length of the block comment, others within it counted in.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(here) = text.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the token that `text` begins with.
fn token(text: &str, first: char) -> usize {
    if let Some(length) = raw_string(text) {
        return length;
    }
    for prefix in ["\"", "b\"", "c\""] {
        if text.starts_with(prefix) {
            return quoted(text, prefix.len(), '"');
        }
    }
    if text.starts_with("b'") {
        return quoted(text, 2, '\'');
    }
    if first == '\'' {
        let mut letters = text.chars().skip(1);
        let is_character = match (letters.next(), letters.next()) {
            (Some('\\'), _) => true,
            (_, after) => after == Some('\''),
        };
        return if is_character { quoted(text, 1, '\'') } else { 1 + word(&text[1..]) };
    }
    if first.is_ascii_digit() {
        return number(text);
    }
    if first.is_alphanumeric() || first == '_' {
        // An identifier that would else be a keyword.
        return text.strip_prefix("r#").map_or_else(|| word(text), |bare| 2 + word(bare));
    }
    let operator = OPERATORS.iter().find(|operator| text.starts_with(**operator));
    operator.map_or(first.len_utf8(), |operator| operator.len())
}

fn word(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len())
}

/// The length of a literal that begins at `start` and ends with an unescaped `quote`.
fn quoted(text: &str, start: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text[start..].char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return start + at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"`, `br#"…"#` and their like.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let marks = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let start = prefix.len() + marks;
    if !text[start..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(marks));
    let length = text[start + 1..].find(&end).map(|at| start + 1 + at + end.len());
    Some(length.unwrap_or(text.len()))
}

fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_plain = !text.starts_with("0x") && !text.starts_with("0b") && !text.starts_with("0o");
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let is_exponent = is_plain && at > 0 && matches!(bytes.get(at - 1), Some(b'e' | b'E'));
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => at += 1,
            b'.' if is_digit(at + 1) => at += 1,
            b'+' | b'-' if is_exponent && is_digit(at + 1) => at += 1,
            _ => break,
        }
    }
    at
}

/// A string that is broken over lines by `\`, in one line.
fn joined(literal: &str) -> String {
    if literal.starts_with('r') || literal.starts_with("br") {
        return literal.to_owned();
    }
    let mut parts = literal.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    // A backslash that is escaped itself breaks no line; such a string only loses its layout here, which is the same
    // wherever the string is.
    parts.fold(first, |sum, part| sum + part.trim_start())
}

/// Leaves out what follows `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let here = &tokens[at..];
        let is = |words: &[&str]| {
            here.len() >= words.len() && words.iter().zip(here).all(|(word, token)| word == token)
        };
        if is(&["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
            return Vec::new();
        }
        if is(&["#", "[", "cfg", "(", "test", ")", "]"]) || is(&["#", "[", "cfg", "(", "all", "(", "test"]) {
            at += attribute(here);
            while tokens.get(at).is_some_and(|token| token == "#") {
                at += attribute(&tokens[at..]);
            }
            at += item(&tokens[at..]);
            continue;
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

/// The number of tokens of the attribute that `tokens` begins with.
fn attribute(tokens: &[String]) -> usize {
    let mut depth = 0i32;
    for (at, token) in tokens.iter().enumerate() {
        depth += change(token);
        if depth == 0 && token == "]" {
            return at + 1;
        }
    }
    tokens.len()
}

/// The number of tokens of the item, field or branch that `tokens` begins with.
fn item(tokens: &[String]) -> usize {
    let ends_at_comma = !tokens.first().is_some_and(|first| ITEMS.contains(&first.as_str()));
    let mut depth = 0i32;
    for (at, token) in tokens.iter().enumerate() {
        depth += change(token);
        match token.as_str() {
            _ if depth < 0 => return at,
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && ends_at_comma => return at + 1,
            "}" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// How a token changes the depth of brackets.
pub(crate) fn change(token: &str) -> i32 {
    match token {
        "(" | "[" | "{" => 1,
        ")" | "]" | "}" => -1,
        _ => 0,
    }
}

/// Leaves out a comma before a closing bracket, except that of a tuple of one.
fn without_trailing_commas(tokens: Vec<String>) -> Vec<String> {
    // Of every open bracket: whether it opens what may be a tuple, and whether a comma was seen in it.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut kept: Vec<String> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let closes = tokens.get(at + 1).is_some_and(|next| change(next) < 0);
        match change(token) {
            1 => {
                let before = kept.last().map(String::as_str).unwrap_or_default();
                let is_call = before.ends_with(|last: char| last.is_alphanumeric() || "_)]>!".contains(last));
                open.push((token == "(" && !is_call, false));
            }
            -1 => drop(open.pop()),
            _ if token == "," => {
                let is_needed = open.last().is_some_and(|(is_tuple, seen)| *is_tuple && !seen);
                if let Some((_, seen)) = open.last_mut() {
                    *seen = true;
                }
                if closes && !is_needed {
                    continue;
                }
            }
            _ => {}
        }
        kept.push(token.clone());
    }
    kept
}
