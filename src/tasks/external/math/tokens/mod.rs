//! The marks of an answer: TeX, plain notation and Unicode signs become the same ones.

mod commands;
mod numbers;

/// The most marks of an answer that is read as mathematics.
const MOST: usize = 4_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// Digits with one point or none.
    Number(String),
    /// A decimal with the digits that repeat for ever.
    Repeating(String, String),
    /// Digits and the base that they are written in.
    Based(String, u32),
    /// A letter, with whatever is set below it.
    Symbol(String),
    Function(&'static str),
    /// A word or several.
    Word(String),
    /// One of `+ - * / ^ _ ! ' ± ∓ | , ; : . & % °`, and `\n` between the rows of a matrix.
    Sign(char),
    /// One of `= ≠ < > ≤ ≥ ≈ ∈`.
    Relation(char),
    /// Three dots, however they are written: what goes on.
    Dots,
    /// A currency's sign.
    Currency(char),
    /// A sign over what follows, which makes it something else.
    Accent(Accent),
    /// `\over`, and `\choose`.
    Over,
    Choose,
    /// `mod`, in all its ways.
    Modulo,
    /// `∑`, `∏` and `∫`.
    Series(char),
    /// One of `( [ { ⟨` and, for sets, `⦃`.
    Open(char),
    /// The same letters, of the bracket that it closes.
    Close(char),
    Fraction,
    Binomial,
    Root,
    Infinity,
    /// `∪ ∩ ∖ ∅` and `ℝ ℤ ℕ ℚ ℂ`.
    Set(char),
    /// A matrix, or the determinant of one if it stands between bars.
    Begin {
        bars: bool,
    },
    End,
}

/// What stands over something; `Bar` is also the conjugate of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accent {
    Bar,
    Arrow,
    Hat,
    Tilde,
    Dot,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) mark: Mark,
    /// Whether space stands before it.
    pub(super) space: bool,
}

/// Whether a comma between three digits and three digits parts thousands or items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    Thousands,
    Items,
}

/// The functions, by their names in TeX and in plain text; longer names first.
pub(super) const FUNCTIONS: [&str; 32] = [
    "arcsin", "arccos", "arctan", "arccot", "floor", "cosh", "sinh", "tanh", "sqrt", "cbrt", "ceil", "asin",
    "acos", "atan", "sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "abs", "max", "min", "gcd",
    "lcm", "sgn", "ln", "lg", "lcm", "arc",
];

/// Words of two or three letters that are no product of letters.
const SHORT_WORDS: [&str; 47] = [
    "mod", "or", "and", "to", "yes", "no", "all", "odd", "not", "if", "is", "of", "cm", "mm", "km", "kg",
    "mg", "ml", "mL", "ft", "in", "lb", "lbs", "oz", "hr", "hrs", "mph", "sec", "min", "mol", "day", "cup",
    "men", "box", "one", "two", "six", "ten", "per", "the", "for", "are", "DNE", "sq", "any", "cal", "usd",
];

struct Reader<'a> {
    letters: &'a [char],
    place: usize,
    commas: Commas,
    out: Vec<Token>,
    /// The depths of braces at which text ends.
    text: Vec<usize>,
    depth: usize,
    brackets: usize,
    spaced_list: bool,
}

/// Reads the marks of a text; `None` if a sign is not known, or there are too many.
pub(super) fn tokens(text: &str, commas: Commas) -> Option<Vec<Token>> {
    let letters: Vec<char> = text.chars().collect();
    let mut reader = Reader {
        letters: &letters,
        place: 0,
        commas,
        out: Vec::new(),
        text: Vec::new(),
        depth: 0,
        brackets: 0,
        spaced_list: text.contains(", ") || text.contains(';'),
    };
    // A sign that no other closes is no delimiter of a formula.
    let single_dollar = text.replace("\\$", "").matches('$').count() == 1;
    let mut space = false;
    while let Some(letter) = reader.peek(0) {
        if reader.out.len() > MOST {
            return None;
        }
        if letter == '$' && single_dollar && reader.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            reader.push(Mark::Currency('$'));
        }
        if letter.is_whitespace() || matches!(letter, '$' | '~' | '`') {
            reader.place += 1;
            space = true;
            continue;
        }
        let before = reader.out.len();
        space |= reader.token(letter)?;
        if reader.out.len() > before {
            if let Some(token) = reader.out.get_mut(before) {
                token.space = space;
            }
            space = false;
        }
    }
    Some(reader.out)
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.place + ahead).copied()
    }

    fn push(&mut self, mark: Mark) {
        self.out.push(Token { mark, space: false });
    }

    /// Takes one token or command; whether it was nothing but space.
    fn token(&mut self, letter: char) -> Option<bool> {
        if self.begins_number(letter) {
            self.number()?;
            return Some(false);
        }
        if letter == '\\' {
            return self.command();
        }
        if letter.is_ascii_alphabetic() {
            self.letters_of();
            return Some(false);
        }
        self.place += 1;
        let mark = match letter {
            '.' if self.peek(0) == Some('.') => {
                while self.peek(0) == Some('.') {
                    self.place += 1;
                }
                Mark::Dots
            }
            '…' | '⋯' => Mark::Dots,
            '{' => {
                self.depth += 1;
                Mark::Open('{')
            }
            '}' => {
                let ends_text = self.text.last() == Some(&self.depth);
                self.depth = self.depth.checked_sub(1)?;
                if ends_text {
                    self.text.pop();
                    return Some(true);
                }
                Mark::Close('{')
            }
            '(' | '[' => {
                self.brackets += 1;
                Mark::Open(letter)
            }
            ')' => {
                self.brackets = self.brackets.saturating_sub(1);
                Mark::Close('(')
            }
            ']' => {
                self.brackets = self.brackets.saturating_sub(1);
                Mark::Close('[')
            }
            '⟨' => Mark::Open('⟨'),
            '⟩' => Mark::Close('⟨'),
            '*' if self.peek(0) == Some('*') => {
                self.place += 1;
                // Python's power between operands; else emphasis.
                let operand = self.peek(0).is_some_and(|next| next.is_alphanumeric() || "({-".contains(next));
                let after =
                    self.out.last().is_some_and(|last| !matches!(last.mark, Mark::Sign(_) | Mark::Open(_)));
                if !(operand && after) {
                    return Some(true);
                }
                Mark::Sign('^')
            }
            '+' | '*' | '/' | '^' | '_' | '!' | '|' | ',' | ';' | ':' | '.' | '&' | '%' | '±' | '∓'
            | '\'' => Mark::Sign(letter),
            '-' | '−' | '–' | '—' => Mark::Sign('-'),
            '×' | '·' | '⋅' | '∙' | '∗' => Mark::Sign('*'),
            '÷' | '⁄' | '∕' => Mark::Sign('/'),
            '°' | 'º' => Mark::Sign('°'),
            '′' | '’' => Mark::Sign('\''),
            '=' | '<' | '>' | '≤' | '≥' | '≠' | '≈' | '∈' => {
                if self.peek(0) == Some('=') && matches!(letter, '<' | '>' | '=') {
                    self.place += 1;
                    Mark::Relation(match letter {
                        '<' => '≤',
                        '>' => '≥',
                        _ => '=',
                    })
                } else {
                    Mark::Relation(letter)
                }
            }
            '⩽' => Mark::Relation('≤'),
            '⩾' => Mark::Relation('≥'),
            '∞' => Mark::Infinity,
            '∪' | '∩' | '∖' | '∅' | 'ℝ' | 'ℤ' | 'ℕ' | 'ℚ' | 'ℂ' => Mark::Set(letter),
            'π' => Mark::Symbol("π".into()),
            '√' => Mark::Root,
            '²' | '³' | '⁴' | '⁵' | '⁶' | '⁷' | '⁸' | '⁹' | '¹' | '⁰' => {
                let digit = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|sign| sign == letter)?;
                self.push(Mark::Sign('^'));
                Mark::Number(digit.to_string())
            }
            '½' | '⅓' | '⅔' | '¼' | '¾' | '⅛' => {
                let (above, below) = match letter {
                    '½' => ("1", "2"),
                    '⅓' => ("1", "3"),
                    '⅔' => ("2", "3"),
                    '¼' => ("1", "4"),
                    '¾' => ("3", "4"),
                    _ => ("1", "8"),
                };
                for mark in [Mark::Fraction, Mark::Number(above.into()), Mark::Number(below.into())] {
                    self.push(mark);
                }
                return Some(false);
            }
            '€' | '£' | '¥' => Mark::Currency(letter),
            '¢' => Mark::Word("cents".into()),
            '∑' | '∏' | '∫' => Mark::Series(letter),
            other if other.is_alphabetic() => {
                let mut word = other.to_string();
                while let Some(next) = self.peek(0).filter(|next| next.is_alphabetic()) {
                    word.push(next);
                    self.place += 1;
                }
                if word.chars().count() == 1 { Mark::Symbol(word) } else { Mark::Word(word) }
            }
            _ => return None,
        };
        self.push(mark);
        Some(false)
    }

    /// Letters that are no command: a function, a word, or variables.
    fn letters_of(&mut self) {
        let rest = self.letters.get(self.place..).unwrap_or_default();
        let run: String = rest.iter().take_while(|letter| letter.is_ascii_alphabetic()).collect();
        if !self.text.is_empty() {
            return self.word(&run);
        }
        if self.based(self.place) {
            return;
        }
        let vowel = run.bytes().any(|letter| b"aeiouyAEIOUY".contains(&letter));
        for (name, mark) in [
            ("pi", Mark::Symbol("π".into())),
            ("infinity", Mark::Infinity),
            ("infty", Mark::Infinity),
            ("inf", Mark::Infinity),
            ("oo", Mark::Infinity),
            ("union", Mark::Set('∪')),
            ("U", Mark::Set('∪')),
        ] {
            let union = name != "U"
                || self.out.last().is_some_and(|last| matches!(last.mark, Mark::Close('(' | '[')));
            if run.eq_ignore_ascii_case(name) && union && (name != "U" || run == "U") {
                self.place += run.len();
                return self.push(mark);
            }
        }
        if let Some(name) = FUNCTIONS.iter().find(|name| run.starts_with(*name)) {
            let short = SHORT_WORDS.contains(&run.as_str());
            if !short && (run.len() == name.len() || run.len() <= name.len() + 2) {
                self.place += name.len();
                return if *name == "sqrt" { self.push(Mark::Root) } else { self.push(Mark::Function(name)) };
            }
        }
        if SHORT_WORDS.contains(&run.as_str()) || (run.len() >= 4 && vowel) {
            return self.word(&run);
        }
        let Some(letter) = run.chars().next() else { return };
        self.place += 1;
        self.push(Mark::Symbol(letter.to_string()));
    }

    /// Adds a word, to the one before where they stand together.
    fn word(&mut self, run: &str) {
        self.place += run.chars().count();
        self.push(Mark::Word(run.to_owned()));
    }
}
