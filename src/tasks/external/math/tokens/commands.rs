//! The commands of TeX, as marks.

use super::{Accent, FUNCTIONS, Mark, Reader, Token};
use crate::tasks::external::wrapping::{SPACING, TEXT};

impl Reader<'_> {
    /// Takes a command; whether it was nothing but space.
    pub(super) fn command(&mut self) -> Option<bool> {
        self.place += 1;
        let rest = self.letters.get(self.place..).unwrap_or_default();
        let name: String = rest.iter().take_while(|letter| letter.is_ascii_alphabetic()).collect();
        if name.is_empty() {
            let sign = self.peek(0)?;
            self.place += 1;
            let mark = match sign {
                '{' => {
                    self.brackets += 1;
                    Mark::Open('⦃')
                }
                '}' => {
                    self.brackets = self.brackets.saturating_sub(1);
                    Mark::Close('⦃')
                }
                '%' => Mark::Sign('%'),
                '|' => Mark::Sign('|'),
                '\\' => Mark::Sign('\n'),
                '&' => Mark::Sign('&'),
                ',' | ';' | ':' | ' ' | '!' | '(' | ')' | '[' | ']' | '\n' => return Some(true),
                '$' => Mark::Currency('$'),
                '_' | '#' => return None,
                _ => return None,
            };
            self.push(mark);
            return Some(false);
        }
        self.place += name.len();
        if SPACING.contains(&name.as_str()) {
            // `\left.` is no bracket.
            if matches!(name.as_str(), "left" | "right") && self.peek(0) == Some('.') {
                self.place += 1;
            }
            return Some(true);
        }
        if TEXT.contains(&name.as_str()) || matches!(name.as_str(), "boxed" | "fbox") {
            while self.peek(0).is_some_and(char::is_whitespace) {
                self.place += 1;
            }
            if self.peek(0) == Some('{') {
                self.place += 1;
                self.depth += 1;
                self.text_or_letters(&name);
            }
            return Some(true);
        }
        if COLOURS.contains(&name.as_str()) {
            self.colour(name == "fcolorbox");
            return Some(true);
        }
        let function = FUNCTIONS.iter().find(|function| **function == name.as_str());
        let mark = match name.as_str() {
            "frac" | "dfrac" | "tfrac" | "cfrac" => Mark::Fraction,
            "binom" | "dbinom" | "tbinom" => Mark::Binomial,
            "sqrt" => Mark::Root,
            "cdot" | "times" | "ast" | "bullet" => Mark::Sign('*'),
            "div" => Mark::Sign('/'),
            "pm" => Mark::Sign('±'),
            "mp" => Mark::Sign('∓'),
            "colon" => Mark::Sign(':'),
            "circ" | "degree" => Mark::Sign('°'),
            "prime" => Mark::Sign('\''),
            "percent" => Mark::Sign('%'),
            "infty" => Mark::Infinity,
            "le" | "leq" | "leqslant" | "leqq" => Mark::Relation('≤'),
            "ge" | "geq" | "geqslant" | "geqq" => Mark::Relation('≥'),
            "lt" => Mark::Relation('<'),
            "gt" => Mark::Relation('>'),
            "ne" | "neq" => Mark::Relation('≠'),
            "approx" | "simeq" | "sim" | "doteq" => Mark::Relation('≈'),
            "equiv" => Mark::Relation('='),
            "in" => Mark::Relation('∈'),
            "cup" => Mark::Set('∪'),
            "cap" => Mark::Set('∩'),
            "setminus" | "backslash" => Mark::Set('∖'),
            "emptyset" | "varnothing" => Mark::Set('∅'),
            "lbrace" => Mark::Open('⦃'),
            "rbrace" => Mark::Close('⦃'),
            "langle" => Mark::Open('⟨'),
            "rangle" => Mark::Close('⟨'),
            "lbrack" => Mark::Open('['),
            "rbrack" => Mark::Close('['),
            "lvert" | "rvert" | "vert" | "mid" => Mark::Sign('|'),
            "lfloor" => Mark::Open('⌊'),
            "rfloor" => Mark::Close('⌊'),
            "lceil" => Mark::Open('⌈'),
            "rceil" => Mark::Close('⌈'),
            "lor" | "vee" => Mark::Word("or".into()),
            "land" | "wedge" => Mark::Word("and".into()),
            "pi" => Mark::Symbol("π".into()),
            "Complex" => Mark::Set('ℂ'),
            "R" | "Reals" => Mark::Set('ℝ'),
            "mathbb" => {
                let letter: String = self.argument()?;
                Mark::Set(match letter.as_str() {
                    "R" => 'ℝ',
                    "Z" => 'ℤ',
                    "N" => 'ℕ',
                    "Q" => 'ℚ',
                    "C" => 'ℂ',
                    _ => return None,
                })
            }
            "begin" => {
                let name = self.argument()?;
                let known = ["matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "smallmatrix", "array"];
                if !known.contains(&name.trim_end_matches('*')) {
                    return None;
                }
                if name == "array" {
                    self.argument()?;
                }
                Mark::Begin { bars: name.starts_with('v') }
            }
            "end" => {
                self.argument()?;
                Mark::End
            }
            "bar" | "overline" | "widebar" => Mark::Accent(Accent::Bar),
            "vec" | "overrightarrow" => Mark::Accent(Accent::Arrow),
            "hat" | "widehat" => Mark::Accent(Accent::Hat),
            "tilde" | "widetilde" => Mark::Accent(Accent::Tilde),
            "dot" => Mark::Accent(Accent::Dot),
            "mathcal" | "underline" => return Some(true),
            "over" => Mark::Over,
            "choose" => Mark::Choose,
            "pmod" | "bmod" | "mod" | "pod" => Mark::Modulo,
            "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" => Mark::Dots,
            "sum" => Mark::Series('∑'),
            "prod" => Mark::Series('∏'),
            "int" => Mark::Series('∫'),
            "det" => Mark::Function("det"),
            "euro" => Mark::Currency('€'),
            "pounds" => Mark::Currency('£'),
            _ => match function {
                Some(function) => Mark::Function(function),
                None if GREEK.contains(&name.as_str()) => Mark::Symbol(name),
                None => return None,
            },
        };
        self.push(mark);
        Some(false)
    }

    /// Begins the content of a text command: words, or letters where it only sets `x` upright.
    fn text_or_letters(&mut self, command: &str) {
        let rest = self.letters.get(self.place..).unwrap_or_default();
        let content: String = rest.iter().take_while(|letter| **letter != '}').collect();
        let after = rest.get(content.chars().count() + 1).copied();
        let letters = content.trim().chars().filter(|letter| letter.is_alphabetic()).count();
        let digits = content.chars().all(|letter| letter.is_ascii_digit() || ('A'..='F').contains(&letter));
        // `\mathrm{A}_{16}` is a digit; `\mathbf{x + 1}` and a box hold formulas.
        let formula = matches!(command, "boxed" | "fbox" | "mathbf" | "bm" | "boldsymbol") && letters < 2;
        let boxed = matches!(command, "boxed" | "fbox");
        if boxed || formula || (digits && after == Some('_')) {
            // Its closing brace is no mark either.
            if digits && after == Some('_') {
                let inner: Vec<char> = content.chars().collect();
                self.place += inner.len() + 1;
                self.depth = self.depth.saturating_sub(1);
                self.digits_in_base(&content);
                return;
            }
            self.out.push(Token { mark: Mark::Open('{'), space: true });
            return;
        }
        self.text.push(self.depth);
    }

    /// `3\mathrm{A}_{16}`: joins the digits before with those set upright.
    fn digits_in_base(&mut self, digits: &str) {
        let before = match self.out.last().map(|token| &token.mark) {
            Some(Mark::Number(number)) if !number.contains('.') => number.clone(),
            _ => String::new(),
        };
        if !before.is_empty() {
            self.out.pop();
        }
        let rest: String = self.letters.get(self.place..).unwrap_or_default().iter().collect();
        let base: String = rest.chars().filter(|letter| letter.is_ascii_digit()).collect();
        let width = rest.find('}').map_or(2, |end| if rest.starts_with("_{") { end + 1 } else { 2 });
        self.place += width.min(rest.chars().count());
        match base.parse::<u32>() {
            Ok(base) if (2..=36).contains(&base) => self.push(Mark::Based(before + digits, base)),
            _ => self.push(Mark::Word(before + digits)),
        }
    }

    /// Passes over the names of colours.
    fn colour(&mut self, two: bool) {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.place += 1;
        }
        if self.peek(0) == Some('[') {
            let rest = self.letters.get(self.place..).unwrap_or_default();
            self.place += rest.iter().position(|letter| *letter == ']').map_or(0, |end| end + 1);
        }
        for _ in 0..=usize::from(two) {
            if self.peek(0) == Some('{') {
                self.argument();
            }
        }
    }

    /// The text in the braces that follow.
    fn argument(&mut self) -> Option<String> {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.place += 1;
        }
        if self.peek(0) != Some('{') {
            let letter = self.peek(0)?;
            self.place += 1;
            return Some(letter.to_string());
        }
        let rest = self.letters.get(self.place + 1..)?;
        let content: String = rest.iter().take_while(|letter| **letter != '}').collect();
        self.place += content.chars().count() + 2;
        Some(content)
    }
}

/// Commands that set what follows in a colour that they name first.
const COLOURS: [&str; 4] = ["color", "textcolor", "colorbox", "fcolorbox"];

const GREEK: [&str; 36] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "ell",
    "hbar",
];
