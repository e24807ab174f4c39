//! The marks of an answer: TeX, plain notation and Unicode signs become the same ones.

mod commands;

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
    Begin,
    End,
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
const SHORT_WORDS: [&str; 46] = [
    "or", "and", "to", "yes", "no", "all", "odd", "not", "if", "is", "of", "cm", "mm", "km", "kg", "mg",
    "ml", "mL", "ft", "in", "lb", "lbs", "oz", "hr", "hrs", "mph", "sec", "min", "mol", "day", "cup", "men",
    "box", "one", "two", "six", "ten", "per", "the", "for", "are", "DNE", "sq", "any", "cal", "usd",
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
    let mut space = false;
    while let Some(letter) = reader.peek(0) {
        if reader.out.len() > MOST {
            return None;
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
        if letter.is_ascii_digit()
            || (letter == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit()))
        {
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
            '€' | '£' | '¥' => return Some(true),
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

    fn number(&mut self) -> Option<()> {
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
        } else if self.peek(0) == Some('.')
            && self.following("\\overline").is_some_and(|at| at == self.place + 1)
        {
            self.place += 1;
            text.push('.');
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

    /// Where a command begins, if it is the next thing after at most one letter.
    fn following(&self, name: &str) -> Option<usize> {
        (self.place..=self.place + 1).find(|start| {
            name.chars().enumerate().all(|(ahead, letter)| self.letters.get(start + ahead) == Some(&letter))
        })
    }

    /// The digits under a bar.
    fn repeated(&mut self) -> Option<String> {
        let start = self.following("\\overline{").filter(|start| *start == self.place)? + 10;
        let digits: String =
            self.letters.get(start..)?.iter().take_while(|letter| letter.is_ascii_digit()).collect();
        let end = start + digits.len();
        if digits.is_empty() || self.letters.get(end) != Some(&'}') {
            return None;
        }
        self.place = end + 1;
        Some(digits)
    }

    /// Digits, perhaps with letters, in a base: `101_2`, `3A_{16}`.
    fn based(&mut self, start: usize) -> bool {
        let rest = self.letters.get(start..).unwrap_or_default();
        let run =
            rest.iter().take_while(|letter| letter.is_ascii_digit() || ('A'..='F').contains(*letter)).count();
        if rest.get(run) != Some(&'_') {
            return false;
        }
        let braced = rest.get(run + 1) == Some(&'{');
        let from = run + 1 + usize::from(braced);
        let base: String = rest.iter().skip(from).take_while(|letter| letter.is_ascii_digit()).collect();
        let end = from + base.len();
        let closed = !braced || rest.get(end) == Some(&'}');
        let (Ok(number), true) = (base.parse::<u32>(), closed) else { return false };
        if !(2..=36).contains(&number) {
            return false;
        }
        self.place = start + end + usize::from(braced);
        self.push(Mark::Based(rest.iter().take(run).collect(), number));
        true
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
