//! From tokens to an answer.

use super::answer::{Answer, Sign};
use super::tokens::{Token, tokens};
use super::tree::{Function, Tree};
use super::{DEEPEST, LONGEST};
use num_rational::BigRational;

/// Reads a text; nothing where it is empty or too long. What is no mathematics is words.
pub(super) fn read(text: &str) -> Option<Answer> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    tokens(text).and_then(|tokens| of_tokens(&tokens)).or_else(|| words(text))
}

fn of_tokens(tokens: &[Token]) -> Option<Answer> {
    if tokens.contains(&Token::PlusMinus) {
        let with = |sign: char| {
            let signed = |token: &Token| match token {
                Token::PlusMinus => Token::Operator(sign),
                other => other.clone(),
            };
            Parser::whole(&tokens.iter().map(signed).collect::<Vec<_>>())
        };
        let both = [with('+')?, with('-')?];
        return Some(match both {
            // `x = 2 \pm 1` is `x = 3, x = 1`.
            [Answer::Set(one), Answer::Set(two)] => Answer::Set([one, two].concat()),
            both => Answer::Set(both.to_vec()),
        });
    }
    Parser::whole(tokens)
}

/// A text without its dress, lower case, with single spaces.
fn words(text: &str) -> Option<Answer> {
    let mut plain = text.to_lowercase();
    for mark in
        ["\\textbf", "\\textit", "\\textrm", "\\text", "\\mathrm", "\\mathbf", "\\mbox", "\\left", "\\right"]
    {
        plain = plain.replace(mark, " ");
    }
    for mark in ["\\,", "\\;", "\\!", "\\ ", "~"] {
        plain = plain.replace(mark, " ");
    }
    let plain: String = plain.chars().filter(|letter| !"${}*`\"".contains(*letter)).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = plain.trim_matches(|letter: char| ".,;:!? ".contains(letter)).to_owned();
    (!plain.is_empty()).then_some(Answer::Words(plain))
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Whether an angle is read: degrees count there, and are dress elsewhere.
    angle: bool,
}

impl<'a> Parser<'a> {
    fn whole(tokens: &'a [Token]) -> Option<Answer> {
        let mut parser = Parser { tokens, at: 0, depth: 0, angle: false };
        let answer = parser.alternatives()?;
        (parser.at == tokens.len()).then_some(answer)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    /// Runs one level deeper, or fails where that is too deep.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// Elements parted by commas or by a word; one alone is itself.
    fn alternatives(&mut self) -> Option<Answer> {
        let mut items = self.list()?;
        match items.len() {
            1 => items.pop(),
            _ => Some(Answer::Set(items)),
        }
    }

    fn list(&mut self) -> Option<Vec<Answer>> {
        let mut items = vec![self.union()?];
        loop {
            // `2, 3, and 5`.
            let parted = self.accept(&Token::Comma);
            if !self.accept(&Token::Or) && !parted {
                return Some(items);
            }
            items.push(self.union()?);
        }
    }

    fn union(&mut self) -> Option<Answer> {
        let first = self.element()?;
        if self.peek() != Some(&Token::Union) {
            return Some(first);
        }
        let mut parts = vec![first];
        while self.accept(&Token::Union) {
            parts.push(self.element()?);
        }
        Some(Answer::Union(parts))
    }

    /// What stands between commas.
    fn element(&mut self) -> Option<Answer> {
        self.skip_what_is_named();
        if let (Some(Token::Name(_)), Some(Token::In)) = (self.peek(), self.tokens.get(self.at + 1)) {
            self.at += 2;
            return self.deeper(Self::union);
        }
        match self.peek()? {
            Token::OpenSet => {
                self.at += 1;
                return self.set(&Token::CloseSet);
            }
            Token::Open('{') if self.holds_a_list() => {
                self.at += 1;
                return self.set(&Token::Close('}'));
            }
            Token::Open(open @ ('(' | '[')) if self.holds_a_list() => {
                self.at += 1;
                let items = self.deeper(Self::list)?;
                let close = match self.peek()? {
                    Token::Close(close @ (')' | ']')) => *close,
                    _ => return None,
                };
                self.at += 1;
                return Some(Answer::Group { open: *open, close, items });
            }
            Token::Open('(' | '[') if self.tokens.get(self.at + 1) == Some(&Token::BeginMatrix) => {
                self.at += 1;
                let matrix = self.matrix()?;
                return matches!(self.peek(), Some(Token::Close(')' | ']'))).then(|| {
                    self.at += 1;
                    matrix
                });
            }
            Token::BeginMatrix => return self.matrix(),
            Token::Name(line) if line == "R" && self.tokens.get(self.at + 1) == Some(&Token::Without) => {
                self.at += 2;
                return match self.element()? {
                    Answer::Set(points) => Some(Answer::Without(points)),
                    _ => None,
                };
            }
            Token::Based { digits, base } if self.stands_alone(1) => {
                self.at += 1;
                return Some(Answer::Based { digits: digits.clone(), base: *base });
            }
            Token::Operator('-') => {
                if let (Some(Token::Based { digits, base }), true) =
                    (self.tokens.get(self.at + 1), self.stands_alone(2))
                {
                    self.at += 2;
                    return Some(Answer::Based { digits: format!("-{digits}"), base: *base });
                }
            }
            _ => {}
        }
        self.relation()
    }

    /// Whether so many tokens on, the element ends.
    fn stands_alone(&self, tokens: usize) -> bool {
        matches!(
            self.tokens.get(self.at + tokens),
            None | Some(Token::Comma | Token::Or | Token::Close(_) | Token::CloseSet)
        )
    }

    /// Whether the bracket that opens here holds a comma of its own, and is not part of a larger expression.
    fn holds_a_list(&self) -> bool {
        let (mut depth, mut comma) = (0usize, false);
        for (place, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token {
                Token::Open(_) | Token::OpenSet => depth += 1,
                Token::Close(_) | Token::CloseSet => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        let next = self.tokens.get(place + 1);
                        let ends = matches!(
                            next,
                            None | Some(
                                Token::Comma
                                    | Token::Or
                                    | Token::Union
                                    | Token::Close(_)
                                    | Token::CloseSet
                                    | Token::Unit
                            )
                        );
                        return comma && ends;
                    }
                }
                Token::Comma if depth == 1 => comma = true,
                _ => {}
            }
        }
        false
    }

    fn set(&mut self, close: &Token) -> Option<Answer> {
        if self.accept(close) {
            return Some(Answer::Value(Tree::Variable("∅".to_owned())));
        }
        let items = self.deeper(Self::list)?;
        self.accept(close).then_some(Answer::Set(items))
    }

    fn matrix(&mut self) -> Option<Answer> {
        self.at += 1;
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        loop {
            if self.accept(&Token::EndMatrix) {
                if !row.is_empty() {
                    rows.push(row);
                }
                return (!rows.is_empty()).then_some(Answer::Matrix(rows));
            }
            row.push(self.deeper(Self::sum)?);
            if self.accept(&Token::Row) {
                rows.push(std::mem::take(&mut row));
            } else if !self.accept(&Token::Cell) && self.peek() != Some(&Token::EndMatrix) {
                return None;
            }
        }
    }

    fn relation(&mut self) -> Option<Answer> {
        let mut sides = vec![self.sum()?];
        let mut signs: Vec<Sign> = Vec::new();
        if self.accept(&Token::Percent) {
            let value = sides.pop()?;
            return Some(Answer::Percent(value));
        }
        while let Some(Token::Sign(sign)) = self.peek() {
            self.at += 1;
            signs.push(*sign);
            // `x = (1, 2)` and `S = \{1, 2\}`: what stands on the right is the answer.
            if signs == [Sign::Equal] && matches!(sides.as_slice(), [Tree::Variable(_)]) {
                let before = self.at;
                if let Some(answer) = self.deeper(Self::element)
                    && !matches!(answer, Answer::Value(_) | Answer::Relation { .. })
                {
                    return Some(answer);
                }
                self.at = before;
            }
            sides.push(self.sum()?);
        }
        match signs.is_empty() {
            true => sides.pop().map(Answer::Value),
            false => Some(Answer::Relation { sides, signs }),
        }
    }

    /// Goes past `f(x) =`, `(x, y) =` and `Area =`: a name for what follows.
    fn skip_what_is_named(&mut self) {
        let equal = Token::Sign(Sign::Equal);
        let named = match self.tokens.get(self.at..).unwrap_or_default() {
            [Token::Word(_), sign, ..] if *sign == equal => 2,
            [Token::Name(_), Token::Open('('), Token::Name(_), Token::Close(')'), sign, ..]
                if *sign == equal =>
            {
                5
            }
            [Token::Open('('), point @ ..] => {
                let names =
                    point.iter().take_while(|token| matches!(token, Token::Name(_) | Token::Comma)).count();
                match point.get(names..) {
                    Some([Token::Close(')'), sign, ..]) if *sign == equal && names > 2 => names + 3,
                    _ => 0,
                }
            }
            _ => 0,
        };
        self.at += named;
    }

    fn sum(&mut self) -> Option<Tree> {
        let mut parts = Vec::new();
        let mut negative = false;
        while let Some(Token::Operator(sign @ ('+' | '-'))) = self.peek() {
            self.at += 1;
            negative ^= *sign == '-';
        }
        loop {
            let part = self.product()?;
            parts.push(if negative { part.negated() } else { part });
            match self.peek() {
                Some(Token::Operator(sign @ ('+' | '-'))) => {
                    self.at += 1;
                    negative = *sign == '-';
                    while let Some(Token::Operator(sign @ ('+' | '-'))) = self.peek() {
                        self.at += 1;
                        negative ^= *sign == '-';
                    }
                }
                _ => break,
            }
        }
        match parts.len() {
            1 => parts.pop(),
            _ => Some(Tree::Sum(parts)),
        }
    }

    fn product(&mut self) -> Option<Tree> {
        let mut whole = self.is_whole_here();
        let mut product = self.power()?;
        loop {
            match self.peek() {
                Some(Token::Operator(operator @ ('*' | '/'))) => {
                    self.at += 1;
                    if *operator == '/' && self.accept(&Token::Unit) {
                        self.skip_units();
                        continue;
                    }
                    let negative = self.accept(&Token::Operator('-'));
                    let factor = self.power()?;
                    let factor = if negative { factor.negated() } else { factor };
                    product = match operator {
                        '*' => times(product, factor),
                        _ => product.over(factor),
                    };
                    whole = false;
                }
                Some(Token::Unit) => self.skip_units(),
                Some(token) if begins_factor(token) => {
                    if whole && let Some(fraction) = self.fraction_of_mixed() {
                        product = Tree::Sum(vec![product, fraction]);
                    } else if matches!(token, Token::Number { .. }) && self.number_before() {
                        // Two numbers side by side are no product.
                        return None;
                    } else {
                        product = times(product, self.power()?);
                    }
                    whole = false;
                }
                _ => return Some(product),
            }
        }
    }

    fn number_before(&self) -> bool {
        matches!(
            self.at.checked_sub(1).and_then(|before| self.tokens.get(before)),
            Some(Token::Number { .. })
        )
    }

    /// Units, their powers and the units that they are divided by.
    fn skip_units(&mut self) {
        loop {
            let rest = self.tokens.get(self.at..).unwrap_or_default();
            self.at += match rest {
                [Token::Unit, ..] => 1,
                [Token::Operator('^'), Token::Number { .. }, ..] => 2,
                [Token::Operator('^'), Token::Open('{'), Token::Number { .. }, Token::Close('}'), ..] => 4,
                // Of `km/h` the second letter is none of a variable.
                [Token::Operator('/'), Token::Unit | Token::Name(_), ..] => 2,
                _ => return,
            };
        }
    }

    /// Whether a number of digits alone stands here, and nothing is done to it.
    fn is_whole_here(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        matches!(self.peek(), Some(Token::Number { whole: true, .. }))
            && !matches!(next, Some(Token::Operator('^' | '!')))
    }

    /// The fraction of a mixed number, `1\frac{1}{2}`, `1 1/2` or `1½`, if one stands here.
    fn fraction_of_mixed(&mut self) -> Option<Tree> {
        let plain = |token: &Token| match token {
            Token::Number { value, whole: true } => Some(value.clone()),
            _ => None,
        };
        let fraction = |above: BigRational, below: BigRational| {
            (above < below).then(|| Tree::Number(above).over(Tree::Number(below)))
        };
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let (found, length) = match rest {
            [Token::Vulgar(value), ..] => (Some(Tree::Number(value.clone())), 1),
            [above, Token::Operator('/'), below, ..] => {
                (plain(above).zip(plain(below)).and_then(|(above, below)| fraction(above, below)), 3)
            }
            _ => (None, 0),
        };
        if found.is_some() {
            self.at += length;
            return found;
        }
        if self.peek() != Some(&Token::Fraction) {
            return None;
        }
        let before = self.at;
        self.at += 1;
        let parts = self.argument().zip(self.argument());
        let found = match parts {
            Some((Tree::Number(above), Tree::Number(below))) if above.is_integer() && below.is_integer() => {
                fraction(above, below)
            }
            _ => None,
        };
        if found.is_none() {
            self.at = before;
        }
        found
    }

    fn power(&mut self) -> Option<Tree> {
        let mut base = self.atom()?;
        while self.accept(&Token::Operator('!')) {
            base = Tree::Factorial(Box::new(base));
        }
        while self.accept(&Token::Degree) {
            if self.angle {
                base = times(base, Tree::Pi.over(Tree::whole(180)));
            }
        }
        if !self.accept(&Token::Operator('^')) {
            return Some(base);
        }
        let exponent = self.deeper(Self::exponent)?;
        let mut power = Tree::Power(Box::new(base), Box::new(exponent));
        while self.accept(&Token::Operator('!')) {
            power = Tree::Factorial(Box::new(power));
        }
        Some(power)
    }

    fn exponent(&mut self) -> Option<Tree> {
        if self.accept(&Token::Operator('-')) {
            return self.deeper(Self::exponent).map(Tree::negated);
        }
        if self.peek() == Some(&Token::Open('{')) { self.argument() } else { self.deeper(Self::power) }
    }

    /// What LaTeX takes as an argument: braces, or one token.
    fn argument(&mut self) -> Option<Tree> {
        if self.accept(&Token::Open('{')) {
            let inside = self.deeper(Self::sum)?;
            return self.accept(&Token::Close('}')).then_some(inside);
        }
        self.deeper(Self::atom)
    }

    fn atom(&mut self) -> Option<Tree> {
        let token = self.peek()?;
        self.at += 1;
        Some(match token {
            Token::Number { value, .. } | Token::Vulgar(value) => Tree::Number(value.clone()),
            Token::Name(name) => Tree::Variable(name.clone()),
            Token::Pi => Tree::Pi,
            Token::Euler => Tree::Euler,
            Token::Imaginary => Tree::Imaginary,
            Token::Infinity => Tree::Infinity,
            Token::Fraction => self.argument()?.over(self.argument()?),
            Token::Binomial => Tree::Choose(Box::new(self.argument()?), Box::new(self.argument()?)),
            Token::Root => self.root()?,
            Token::Function(function) => {
                self.function(|argument| Tree::Function(*function, Box::new(argument)))?
            }
            Token::Logarithm => {
                let base = match self.accept(&Token::Operator('_')) {
                    true => self.argument()?,
                    false => Tree::whole(10),
                };
                self.function(|argument| Tree::Logarithm(Box::new(base), Box::new(argument)))?
            }
            Token::Open(open) => {
                let inside = self.deeper(Self::sum)?;
                match (open, self.peek()?) {
                    ('(', Token::Close(')')) | ('[', Token::Close(']')) | ('{', Token::Close('}')) => {
                        self.at += 1;
                        inside
                    }
                    ('⌊', Token::Close('⌋')) => {
                        self.at += 1;
                        Tree::Function(Function::Floor, Box::new(inside))
                    }
                    ('⌈', Token::Close('⌉')) => {
                        self.at += 1;
                        Tree::Function(Function::Ceiling, Box::new(inside))
                    }
                    _ => return None,
                }
            }
            Token::Operator('|') => {
                let inside = self.deeper(Self::sum)?;
                if !self.accept(&Token::Operator('|')) {
                    return None;
                }
                Tree::Absolute(Box::new(inside))
            }
            _ => return None,
        })
    }

    fn root(&mut self) -> Option<Tree> {
        let index = match self.accept(&Token::Open('[')) {
            true => {
                let index = self.deeper(Self::sum)?;
                self.accept(&Token::Close(']')).then_some(index)?
            }
            false => Tree::whole(2),
        };
        Some(Tree::Root(Box::new(index), Box::new(self.argument()?)))
    }

    /// A function of what follows: brackets, or what stands side by side up to the next operator.
    fn function(&mut self, of: impl FnOnce(Tree) -> Tree) -> Option<Tree> {
        let exponent = match self.accept(&Token::Operator('^')) {
            true => Some(self.deeper(Self::exponent)?),
            false => None,
        };
        let outside = std::mem::replace(&mut self.angle, true);
        let argument = self.deeper(|parser| {
            let bracketed = matches!(parser.peek(), Some(Token::Open('(' | '[')));
            let mut argument = parser.power()?;
            while !bracketed
                && parser.peek().is_some_and(|token| {
                    begins_factor(token) && !matches!(token, Token::Function(_) | Token::Logarithm)
                })
            {
                argument = times(argument, parser.power()?);
            }
            Some(argument)
        });
        self.angle = outside;
        let value = of(argument?);
        Some(match exponent {
            Some(exponent) => Tree::Power(Box::new(value), Box::new(exponent)),
            None => value,
        })
    }
}

fn begins_factor(token: &Token) -> bool {
    matches!(
        token,
        Token::Number { .. }
            | Token::Vulgar(_)
            | Token::Name(_)
            | Token::Pi
            | Token::Euler
            | Token::Imaginary
            | Token::Function(_)
            | Token::Logarithm
            | Token::Fraction
            | Token::Root
            | Token::Binomial
            | Token::Open(_)
    )
}

fn times(one: Tree, two: Tree) -> Tree {
    match one {
        Tree::Product(mut all) => {
            all.push(two);
            Tree::Product(all)
        }
        one => Tree::Product(vec![one, two]),
    }
}
