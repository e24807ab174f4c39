//! Plain notation and LaTeX, cut into tokens without their dress.

use super::DEEPEST;
use super::answer::Sign;
use super::letters::is_unit;
use super::tree::Function;
use num_bigint::BigInt;
use num_rational::BigRational;

/// The longest subscript that is read as a base or as part of a name.
const LONGEST_SUBSCRIPT: usize = 8;

/// What an answer is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number; whether it was written as digits alone.
    Number {
        value: BigRational,
        whole: bool,
    },
    /// `½`, which after a whole number is added to it.
    Vulgar(BigRational),
    Based {
        digits: String,
        base: u32,
    },
    Name(String),
    Word(String),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Function(Function),
    Logarithm,
    Fraction,
    Root,
    Binomial,
    /// `+ - * / ^ _ ! |`
    Operator(char),
    PlusMinus,
    Sign(Sign),
    /// `( [ {` and `⌊ ⌈`; braces of LaTeX that only hold together are `{`.
    Open(char),
    Close(char),
    OpenSet,
    CloseSet,
    Comma,
    Or,
    Union,
    Without,
    In,
    Percent,
    Degree,
    Unit,
    BeginMatrix,
    EndMatrix,
    Cell,
    Row,
}

impl Token {
    /// Whether a value may end with it, so that what follows is a unit or multiplies.
    fn ends_value(&self) -> bool {
        matches!(
            self,
            Self::Number { .. }
                | Self::Vulgar(_)
                | Self::Name(_)
                | Self::Pi
                | Self::Euler
                | Self::Imaginary
                | Self::Close(_)
                | Self::Unit
                | Self::Percent
                | Self::Degree
        )
    }
}

/// The tokens of a text; nothing where it holds something that is no mathematics.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut reader = Reader { text, at: 0, tokens: Vec::new(), brackets: 0 };
    reader.run(0)?;
    Some(reader.tokens)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// Open brackets that hold lists, in which a comma parts elements and not thousands.
    brackets: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes past a prefix, if it is there.
    fn accept(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        self.at += if found { prefix.len() } else { 0 };
        found
    }

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
    }

    fn after_value(&self) -> bool {
        self.tokens.last().is_some_and(Token::ends_value)
    }

    fn run(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        while let Some(letter) = self.peek() {
            match letter {
                '0'..='9' => self.number()?,
                '.' if self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => self.number()?,
                'a'..='z' | 'A'..='Z' => self.letters()?,
                '\\' => self.command(depth)?,
                _ => {
                    self.at += letter.len_utf8();
                    self.mark(letter)?;
                }
            }
        }
        Some(())
    }

    /// A sign or a letter of no alphabet, which was gone past.
    fn mark(&mut self, letter: char) -> Option<()> {
        let token = match letter {
            '$' | '~' | '€' | '£' | '¥' | '"' | '`' | '“' | '”' => return Some(()),
            _ if letter.is_whitespace() => return Some(()),
            '.' | '?' => return self.rest().chars().all(|left| " .*$\n`\"".contains(left)).then_some(()),
            '*' if self.accept("*") => {
                // Bold marks stand at the ends; between two values it is Python's power.
                let inner = self.after_value()
                    && self.rest().starts_with(|next: char| next.is_alphanumeric() || "(-{".contains(next));
                if !inner {
                    return Some(());
                }
                Token::Operator('^')
            }
            '*' | '×' | '·' | '⋅' | '∙' | '∗' => {
                if letter == '*' && (self.tokens.is_empty() || self.rest().trim().is_empty()) {
                    return Some(());
                }
                Token::Operator('*')
            }
            '+' => Token::Operator('+'),
            '-' | '−' | '–' => Token::Operator('-'),
            '/' | '÷' | ':' => Token::Operator('/'),
            '^' => {
                let degrees = ["{\\circ}", "\\circ", "\\degree", "°", "{°}", "{\\degree}", "o "];
                if degrees.iter().any(|mark| self.accept(mark)) {
                    self.push(Token::Degree);
                    return Some(());
                }
                Token::Operator('^')
            }
            '_' | '|' => Token::Operator(letter),
            '!' if self.accept("=") => Token::Sign(Sign::Unequal),
            '!' => Token::Operator('!'),
            '=' => {
                self.accept("=");
                Token::Sign(Sign::Equal)
            }
            '≈' => Token::Sign(Sign::Equal),
            '≠' => Token::Sign(Sign::Unequal),
            '<' => Token::Sign(if self.accept("=") { Sign::AtMost } else { Sign::Less }),
            '>' => Token::Sign(if self.accept("=") { Sign::AtLeast } else { Sign::Greater }),
            '≤' => Token::Sign(Sign::AtMost),
            '≥' => Token::Sign(Sign::AtLeast),
            '±' => Token::PlusMinus,
            '∪' => Token::Union,
            '∈' => Token::In,
            '∞' => Token::Infinity,
            'π' => Token::Pi,
            '°' => Token::Degree,
            '√' => Token::Root,
            'θ' | 'α' | 'β' | 'γ' | 'λ' | 'μ' | 'φ' | 'ω' | 'δ' | '∅' | 'ℝ' => {
                Token::Name(letter.to_string())
            }
            '²' | '³' => {
                self.push(Token::Operator('^'));
                whole(if letter == '²' { 2 } else { 3 })
            }
            '½' => vulgar(1, 2),
            '⅓' => vulgar(1, 3),
            '⅔' => vulgar(2, 3),
            '¼' => vulgar(1, 4),
            '¾' => vulgar(3, 4),
            '⅕' => vulgar(1, 5),
            '⅛' => vulgar(1, 8),
            '(' | '[' => {
                self.brackets += 1;
                Token::Open(letter)
            }
            ')' | ']' => {
                self.brackets = self.brackets.saturating_sub(1);
                Token::Close(letter)
            }
            '{' => Token::Open('{'),
            '}' => Token::Close('}'),
            ',' | ';' => Token::Comma,
            '&' => Token::Cell,
            '%' => Token::Percent,
            _ => return None,
        };
        self.push(token);
        Some(())
    }

    /// Digits with what parts thousands, a decimal part, a repeating part, a power of ten, a base.
    fn number(&mut self) -> Option<()> {
        let based = self.rest().bytes().take_while(u8::is_ascii_alphanumeric).count();
        if self.rest()[based..].starts_with('_') {
            let digits = self.rest()[..based].to_owned();
            self.at += based + 1;
            let base = self.subscript()?.parse().ok()?;
            self.push(Token::Based { digits, base });
            return Some(());
        }
        let mut digits = self.digits().to_owned();
        let parted = !digits.is_empty() && digits.len() <= 3;
        while parted && let Some(mark) = self.thousands() {
            self.at += mark;
            digits.push_str(&self.rest()[..3]);
            self.at += 3;
        }
        let plain = self.tokens.is_empty() || !self.rest().starts_with('.');
        let mut decimals = 0;
        let has_decimals = self.rest().starts_with('.')
            && self.rest()[1..].starts_with(|next: char| next.is_ascii_digit() || next == '\\');
        if has_decimals {
            self.at += 1;
            let part = self.digits();
            decimals = part.len();
            digits.push_str(part);
        }
        let mut value = BigRational::new(integer(&digits)?, ten_to(decimals)?);
        if has_decimals && ["\\overline{", "\\bar{"].iter().any(|mark| self.accept(mark)) {
            let repeated = self.digits();
            if repeated.is_empty() || !self.accept("}") {
                return None;
            }
            let nines = ten_to(repeated.len())? - 1;
            value += BigRational::new(integer(repeated)?, nines * ten_to(decimals)?);
        }
        let mut is_whole = plain && !has_decimals;
        if let Some((exponent, length)) = power_of_ten(self.rest()) {
            self.at += length;
            let scale = BigRational::from_integer(ten_to(exponent.unsigned_abs() as usize)?);
            value = if exponent < 0 { value / scale } else { value * scale };
            is_whole = false;
        }
        self.push(Token::Number { value, whole: is_whole });
        Some(())
    }

    fn digits(&mut self) -> &'a str {
        let rest = self.rest();
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        self.at += digits.len();
        digits
    }

    /// The length of what parts thousands here, if three digits and no more follow it.
    fn thousands(&self) -> Option<usize> {
        let rest = self.rest();
        let marks = ["{,}", ",\\!", "\\,", "\\ ", ",\\,", "{,}\\!", ","];
        let mark =
            marks.iter().find(|mark| rest.starts_with(**mark)).or(rest.starts_with(' ').then_some(&" "))?;
        // Within brackets a bare comma parts elements: `(1,234)` is a pair.
        if *mark == "," && self.brackets > 0 {
            return None;
        }
        let after = &rest[mark.len()..];
        let three = after.bytes().take_while(u8::is_ascii_digit).count() == 3;
        three.then_some(mark.len())
    }

    /// A run of letters: a function, a constant, a unit, a word, or variables side by side.
    fn letters(&mut self) -> Option<()> {
        let rest = self.rest();
        let run = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
        self.at += run.len();
        if let Some(token) = known(run) {
            self.push(token);
            return Some(());
        }
        let spaced = self.text[..self.at - run.len()].ends_with(char::is_whitespace);
        let short = run.len() < 4 && run.len() > 1;
        if self.after_value() && (short || spaced) && run.len() > 1 && is_unit(run, false) {
            self.push(Token::Unit);
            return Some(());
        }
        if run.len() > 2 {
            self.push(Token::Word(run.to_owned()));
            return Some(());
        }
        for letter in run.chars() {
            self.name(&letter.to_string())?;
        }
        Some(())
    }

    /// A variable with its subscript, or a constant.
    fn name(&mut self, name: &str) -> Option<()> {
        let mut name = name.to_owned();
        if self.rest().starts_with('_') {
            self.at += 1;
            name = format!("{name}_{}", self.subscript()?);
        }
        let token = match name.as_str() {
            "e" => Token::Euler,
            "i" => Token::Imaginary,
            _ => Token::Name(name),
        };
        self.push(token);
        Some(())
    }

    fn subscript(&mut self) -> Option<String> {
        if self.accept("{") {
            let (inside, _) = self.rest().split_once('}')?;
            self.at += inside.len() + 1;
            let name = inside.trim().trim_start_matches("\\text{").to_owned();
            if name.len() < inside.trim().len() {
                self.accept("}");
            }
            return (name.len() <= LONGEST_SUBSCRIPT && name.chars().all(char::is_alphanumeric))
                .then_some(name);
        }
        let digits = self.digits();
        if !digits.is_empty() {
            return (digits.len() <= LONGEST_SUBSCRIPT).then(|| digits.to_owned());
        }
        let letter = self.peek().filter(|letter| letter.is_alphanumeric())?;
        self.at += letter.len_utf8();
        Some(letter.to_string())
    }

    /// What stands in braces, which may nest, after them.
    fn braced(&mut self) -> Option<&'a str> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        if !self.accept("{") {
            return None;
        }
        let inside = super::super::extract::braced(self.rest())?;
        self.at += inside.len() + 1;
        Some(inside)
    }

    fn command(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        let rest = self.rest();
        let name = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
        if name.is_empty() {
            let letter = self.peek()?;
            self.at += letter.len_utf8();
            match letter {
                ',' | ';' | ':' | '!' | ' ' | '$' | '(' | ')' | '[' | ']' => {}
                '{' => self.push(Token::OpenSet),
                '}' => self.push(Token::CloseSet),
                '%' => self.push(Token::Percent),
                '\\' => self.push(Token::Row),
                '|' => self.push(Token::Operator('|')),
                _ => return None,
            }
            return Some(());
        }
        self.at += name.len();
        let token = match name {
            "left" | "right" | "bigl" | "bigr" | "Bigl" | "Bigr" | "big" | "Big" | "bigg" | "Bigg" => {
                self.accept(".");
                return Some(());
            }
            "displaystyle" | "textstyle" | "quad" | "qquad" | "limits" | "space" => return Some(()),
            "circ" | "degree" => Token::Degree,
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                self.push(Token::Fraction);
                return self.single_digits();
            }
            // LaTeX would take one digit of `\sqrt11`; whoever writes it means eleven.
            "sqrt" => Token::Root,
            "binom" | "dbinom" | "tbinom" => Token::Binomial,
            "cdot" | "times" | "ast" => Token::Operator('*'),
            "div" => Token::Operator('/'),
            "pm" | "mp" => Token::PlusMinus,
            "le" | "leq" | "leqslant" => Token::Sign(Sign::AtMost),
            "ge" | "geq" | "geqslant" => Token::Sign(Sign::AtLeast),
            "lt" => Token::Sign(Sign::Less),
            "gt" => Token::Sign(Sign::Greater),
            "ne" | "neq" => Token::Sign(Sign::Unequal),
            "approx" | "equiv" => Token::Sign(Sign::Equal),
            "infty" => Token::Infinity,
            "cup" => Token::Union,
            "setminus" | "backslash" => Token::Without,
            "in" => Token::In,
            "lbrace" => Token::OpenSet,
            "rbrace" => Token::CloseSet,
            "vert" | "lvert" | "rvert" | "mid" => Token::Operator('|'),
            "langle" => {
                self.brackets += 1;
                Token::Open('(')
            }
            "rangle" => {
                self.brackets = self.brackets.saturating_sub(1);
                Token::Close(')')
            }
            "lfloor" => Token::Open('⌊'),
            "rfloor" => Token::Close('⌋'),
            "lceil" => Token::Open('⌈'),
            "rceil" => Token::Close('⌉'),
            "or" | "lor" | "vee" => Token::Or,
            "emptyset" | "varnothing" => Token::Name("∅".to_owned()),
            "begin" => return self.environment(),
            "end" => {
                self.braced()?;
                Token::EndMatrix
            }
            "boxed" | "fbox" => return Some(()),
            "mathbb" => Token::Name(self.braced()?.to_owned()),
            "text" | "textrm" | "textbf" | "textit" | "textnormal" | "mathrm" | "mathbf" | "mathit"
            | "mathsf" | "mbox" | "operatorname" | "hbox" | "bf" | "rm" => return self.upright(depth),
            greek if GREEK.contains(&greek) => return self.name(greek),
            other => known(other)?,
        };
        self.push(token);
        Some(())
    }

    /// LaTeX takes one digit where no braces stand: `\frac12` is a half.
    fn single_digits(&mut self) -> Option<()> {
        for _ in 0..2 {
            let spaces = self.rest().len() - self.rest().trim_start().len();
            let digit = self.rest().trim_start().chars().next().and_then(|letter| letter.to_digit(10));
            let Some(digit) = digit else { break };
            self.at += spaces + 1;
            self.push(whole(i64::from(digit)));
        }
        Some(())
    }

    /// `\text{...}` and its like: a unit, a word between alternatives, a letter, or more mathematics.
    fn upright(&mut self, depth: usize) -> Option<()> {
        let Some(inside) = self.braced() else { return Some(()) };
        let trimmed = inside.trim().trim_matches(|letter: char| letter == '.' || letter == '\u{a0}').trim();
        let subscript = self.rest().starts_with('_');
        match trimmed.to_lowercase().trim_matches(',').trim() {
            "" => return Some(()),
            "or" | "and" => {
                self.push(Token::Or);
                return Some(());
            }
            _ => {}
        }
        let longest = trimmed.split(|letter: char| !letter.is_alphabetic()).map(str::len).max().unwrap_or(0);
        if self.after_value() && !subscript && is_unit(trimmed, true) {
            self.push(Token::Unit);
            return Some(());
        }
        if longest > 1 && known(trimmed).is_none() {
            self.push(Token::Word(trimmed.to_owned()));
            return Some(());
        }
        let mut inner = Reader { text: trimmed, at: 0, tokens: Vec::new(), brackets: self.brackets };
        inner.run(depth + 1)?;
        // `\mathrm{A}_{16}`: the subscript belongs to the letter within.
        match (inner.tokens.as_slice(), subscript) {
            ([Token::Name(name)], true) => {
                let name = name.clone();
                self.name(&name)?;
            }
            _ => self.tokens.extend(inner.tokens),
        }
        Some(())
    }

    fn environment(&mut self) -> Option<()> {
        let name = self.braced()?;
        match name {
            "pmatrix" | "bmatrix" | "matrix" | "Bmatrix" | "smallmatrix" => {}
            "array" => drop(self.braced()?),
            _ => return None,
        }
        self.push(Token::BeginMatrix);
        Some(())
    }
}

const GREEK: [&str; 22] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "varphi",
    "omega",
    "ell",
];

/// A name that means something wherever it stands.
fn known(name: &str) -> Option<Token> {
    if let Some(function) = Function::named(name) {
        return Some(Token::Function(function));
    }
    Some(match name {
        "log" => Token::Logarithm,
        "sqrt" => Token::Root,
        "pi" => Token::Pi,
        "inf" | "infinity" => Token::Infinity,
        "or" | "and" => Token::Or,
        "percent" => Token::Percent,
        _ => return None,
    })
}

fn whole(number: i64) -> Token {
    Token::Number { value: BigRational::from_integer(number.into()), whole: true }
}

fn vulgar(above: i64, below: i64) -> Token {
    Token::Vulgar(BigRational::new(above.into(), below.into()))
}

fn integer(digits: &str) -> Option<BigInt> {
    BigInt::parse_bytes(if digits.is_empty() { b"0" } else { digits.as_bytes() }, 10)
}

fn ten_to(power: usize) -> Option<BigInt> {
    (power <= 4000).then(|| BigInt::from(10).pow(power as u32))
}

/// `e5`, `E-3` right behind digits: the power and its length.
fn power_of_ten(text: &str) -> Option<(i32, usize)> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let signed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let digits = signed.bytes().take_while(u8::is_ascii_digit).count();
    let end = rest.len() - signed.len() + digits;
    let followed = rest[end..].starts_with(|next: char| next.is_alphanumeric());
    let power: i32 = rest[..end].trim_start_matches('+').parse().ok()?;
    (digits > 0 && !followed && power.abs() <= 4000).then_some((power, end + 1))
}
