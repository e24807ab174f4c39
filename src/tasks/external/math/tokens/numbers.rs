//! Numbers: digits with thousands, repeating decimals, powers of ten, other bases.

use super::{Commas, Mark, Reader};

impl Reader<'_> {
    fn digits(&mut self) -> String {
        let mut digits = String::new();
        while let Some(digit) = self.peek(0).filter(char::is_ascii_digit) {
            digits.push(digit);
            self.place += 1;
        }
        digits
    }

    /// How many letters part this place from three digits that belong to the same number.
    fn separator(&self) -> Option<usize> {
        let three = |from: usize| {
            let digit = |ahead: usize| self.peek(ahead).is_some_and(|letter| letter.is_ascii_digit());
            digit(from) && digit(from + 1) && digit(from + 2) && !digit(from + 3)
        };
        let signs: [&[char]; 8] = [
            &['{', ',', '}'],
            &[',', '\\', '!'],
            &['\\', ','],
            &['\\', ' '],
            &['\\', ';'],
            &['\u{2009}'],
            &['\u{202f}'],
            &[' '],
        ];
        let here =
            |sign: &[char]| sign.iter().enumerate().all(|(ahead, letter)| self.peek(ahead) == Some(*letter));
        let sure = signs.into_iter().find(|sign| here(sign) && three(sign.len())).map(<[char]>::len);
        let comma = self.commas == Commas::Thousands && (self.brackets == 0 || self.spaced_list);
        sure.or_else(|| (comma && self.peek(0) == Some(',') && three(1)).then_some(1))
    }

    /// Whether a number begins with this letter.
    pub(super) fn begins_number(&self, letter: char) -> bool {
        let after_point = self.peek(1).is_some_and(|next| next.is_ascii_digit())
            || REPEATING.iter().any(|sign| self.stands(sign, 1));
        letter.is_ascii_digit() || (letter == '.' && after_point)
    }

    pub(super) fn number(&mut self) -> Option<()> {
        let start = self.place;
        let mut text = self.digits();
        if self.text.is_empty() && self.based(start) {
            return Some(());
        }
        if (1..=3).contains(&text.len()) && !(text.len() > 1 && text.starts_with('0')) {
            while let Some(width) = self.separator() {
                self.place += width;
                text += &self.digits();
            }
        }
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            self.place += 1;
            text.push('.');
            text += &self.digits();
        } else if self.peek(0) == Some('.') && REPEATING.iter().any(|sign| self.stands(sign, 1)) {
            self.place += 1;
            text += if text.is_empty() { "0." } else { "." };
        }
        if text.contains('.')
            && let Some(repeated) = self.repeated()
        {
            self.push(Mark::Repeating(text, repeated));
            return Some(());
        }
        let exponent = |ahead: usize| self.peek(ahead).is_some_and(|next| next.is_ascii_digit());
        let signed = self.peek(1).is_some_and(|sign| "+-".contains(sign)) && exponent(2);
        let power = matches!(self.peek(0), Some('e' | 'E')) && (exponent(1) || signed);
        self.push(Mark::Number(text));
        if power {
            self.place += 1;
            let negative = self.peek(0) == Some('-');
            if signed {
                self.place += 1;
            }
            let digits = self.digits();
            self.push(Mark::Sign('*'));
            self.push(Mark::Number("10".into()));
            self.push(Mark::Sign('^'));
            if negative {
                self.push(Mark::Sign('-'));
            }
            self.push(Mark::Number(digits));
        }
        Some(())
    }

    /// Whether a text stands here, or so many letters ahead.
    fn stands(&self, text: &str, ahead: usize) -> bool {
        text.chars().enumerate().all(|(place, letter)| self.peek(ahead + place) == Some(letter))
    }

    /// The digits that repeat: under a bar, or from one with a dot to another.
    fn repeated(&mut self) -> Option<String> {
        let start = self.place;
        let found = self.repeating();
        if found.is_none() {
            self.place = start;
        }
        found
    }

    fn repeating(&mut self) -> Option<String> {
        let sign = REPEATING.iter().find(|sign| self.stands(sign, 0))?;
        self.place += sign.len();
        let mut digits = self.signed_digits()?;
        if *sign == "\\dot" {
            if digits.len() != 1 {
                return None;
            }
            // `\dot{1}4285\dot{7}`: only what both dots enclose.
            let after = self.place;
            let between = self.digits();
            if self.stands("\\dot", 0) {
                self.place += 4;
                let last = self.signed_digits().filter(|last| last.len() == 1)?;
                digits = digits + &between + &last;
            } else {
                self.place = after;
            }
        }
        // What follows would belong to the number.
        (!self.peek(0).is_some_and(|next| next.is_ascii_digit())).then_some(digits)
    }

    /// The digits in braces, or the one digit, that a sign stands over.
    fn signed_digits(&mut self) -> Option<String> {
        while self.peek(0) == Some(' ') {
            self.place += 1;
        }
        if self.peek(0) != Some('{') {
            let digit = self.peek(0).filter(char::is_ascii_digit)?;
            self.place += 1;
            return Some(digit.to_string());
        }
        self.place += 1;
        let digits = self.digits();
        if digits.is_empty() || self.peek(0) != Some('}') {
            return None;
        }
        self.place += 1;
        Some(digits)
    }

    /// Digits, perhaps with letters or a point, in a base: `101_2`, `3A_{16}`, `0.1_2`, `11_{two}`.
    pub(super) fn based(&mut self, start: usize) -> bool {
        let rest = self.letters.get(start..).unwrap_or_default();
        let digit = |letter: &char| letter.is_ascii_digit() || ('A'..='F').contains(letter);
        let mut run = rest.iter().take_while(|letter| digit(letter)).count();
        if rest.get(run) == Some(&'.') && rest.get(run + 1).is_some_and(digit) {
            run += 1 + rest.iter().skip(run + 1).take_while(|letter| digit(letter)).count();
        }
        if rest.get(run) != Some(&'_') {
            return false;
        }
        let Some((base, width)) = base(rest.get(run + 1..).unwrap_or_default()) else { return false };
        self.place = start + run + 1 + width;
        self.push(Mark::Based(rest.iter().take(run).collect(), base));
        true
    }
}

/// What stands over digits that repeat.
const REPEATING: [&str; 3] = ["\\overline", "\\bar", "\\dot"];

const BASES: [&str; 15] = [
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen",
];

/// A base as it stands below digits, and how many letters it takes.
fn base(letters: &[char]) -> Option<(u32, usize)> {
    if letters.first() != Some(&'{') {
        let digits: String = letters.iter().take_while(|letter| letter.is_ascii_digit()).take(4).collect();
        let base = digits.parse().ok().filter(|base| (2..=36).contains(base))?;
        return Some((base, digits.len()));
    }
    let mut depth = 0_usize;
    let end = letters.iter().take(60).position(|letter| {
        depth = match letter {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        depth == 0
    })?;
    let inner: String = letters.get(1..end)?.iter().collect();
    let mut word = inner.trim();
    for command in ["\\text", "\\textrm", "\\mathrm", "\\rm", "\\mbox"] {
        let stripped = word.strip_prefix(command).filter(|rest| rest.starts_with(['{', ' ']));
        word = stripped.map_or(word, |rest| rest.trim_matches(['{', '}', ' ']));
    }
    let named = BASES.iter().position(|name| *name == word.to_ascii_lowercase());
    let base = match named {
        Some(place) => place as u32 + 2,
        None => word.parse().ok().filter(|base| (2..=36).contains(base))?,
    };
    Some((base, end + 1))
}
