//! Source text to tokens.

use std::iter::Peekable;
use std::str::Chars;

use super::fault::{Fault, Position};
use super::operators::BinaryOperator;

/// Cuts the whole source into tokens; the last one is [`Kind::End`].
///
/// # Errors
/// The first character sequence that is no token.
pub(super) fn tokenize(source: &str) -> Result<Vec<Token>, Fault> {
    if source.len() > MAX_SOURCE_OCTETS {
        return Err(
            Position::START.fault(format!("the expression is longer than {MAX_SOURCE_OCTETS} octets"))
        );
    }
    let mut lexer = Lexer { rest: source.chars().peekable(), position: Position::START };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let last = token.kind == Kind::End;
        tokens.push(token);
        if last {
            return Ok(tokens);
        }
    }
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Position,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// An integer or, as milliseconds, a duration.
    Integer(i64),
    Float(f64),
    Text(String),
    Name(String),
    Capture(usize),
    Or,
    And,
    Not,
    Operator(BinaryOperator),
    OpenRound,
    CloseRound,
    OpenSquare,
    CloseSquare,
    Comma,
    End,
}

impl Kind {
    /// How a message names the token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Text(_) => "a text".to_owned(),
            Self::Name(name) => format!("`{name}`"),
            Self::Capture(group) => format!("`${group}`"),
            Self::Or => "`||`".to_owned(),
            Self::And => "`&&`".to_owned(),
            Self::Not => "`!`".to_owned(),
            Self::Operator(operator) => format!("`{}`", operator.symbol()),
            Self::OpenRound => "`(`".to_owned(),
            Self::CloseRound => "`)`".to_owned(),
            Self::OpenSquare => "`[`".to_owned(),
            Self::CloseSquare => "`]`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::End => "the end of the expression".to_owned(),
        }
    }
}

/// Milliseconds in a unit of time (`ms`, `s`, `m`, `h`, `d`).
pub(super) fn unit_milliseconds(unit: &str) -> Option<i64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

struct Lexer<'s> {
    rest: Peekable<Chars<'s>>,
    position: Position,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.position = Position { line: self.position.line.saturating_add(1), column: 1 };
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
        Some(next)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let found = self.rest.peek() == Some(&wanted);
        if found {
            self.next();
        }
        found
    }

    fn take_while(&mut self, taken: &mut String, wanted: impl Fn(char) -> bool) {
        while let Some(&next) = self.rest.peek() {
            if !wanted(next) {
                return;
            }
            taken.push(next);
            self.next();
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        while self.rest.peek().is_some_and(|next| next.is_whitespace()) {
            self.next();
        }
        let at = self.position;
        let Some(first) = self.next() else { return Ok(Token { kind: Kind::End, at }) };
        let kind = match first {
            '0'..='9' => self.number(first, at)?,
            '\'' | '"' => Kind::Text(self.text(first, at)?),
            '$' => self.capture(at)?,
            _ if first.is_alphabetic() || first == '_' => {
                let mut name = String::from(first);
                self.take_while(&mut name, |c| c.is_alphanumeric() || c == '_');
                Kind::Name(name)
            }
            _ => self.symbol(first, at)?,
        };
        Ok(Token { kind, at })
    }

    fn symbol(&mut self, first: char, at: Position) -> Result<Kind, Fault> {
        use BinaryOperator as Op;
        Ok(match first {
            '(' => Kind::OpenRound,
            ')' => Kind::CloseRound,
            '[' => Kind::OpenSquare,
            ']' => Kind::CloseSquare,
            ',' => Kind::Comma,
            '+' => Kind::Operator(Op::Add),
            '-' => Kind::Operator(Op::Subtract),
            '*' => Kind::Operator(Op::Multiply),
            '/' => Kind::Operator(Op::Divide),
            '^' => Kind::Operator(Op::Xor),
            '|' => {
                self.next_if('|');
                Kind::Or
            }
            '&' => {
                self.next_if('&');
                Kind::And
            }
            '!' if self.next_if('=') => Kind::Operator(Op::NotEqual),
            '!' => Kind::Not,
            '>' if self.next_if('=') => Kind::Operator(Op::GreaterOrEqual),
            '>' => Kind::Operator(Op::Greater),
            '<' if self.next_if('=') => Kind::Operator(Op::LessOrEqual),
            '<' => Kind::Operator(Op::Less),
            '=' if self.next_if('>') => Kind::Operator(Op::GreaterOrEqual),
            '=' if self.next_if('<') => Kind::Operator(Op::LessOrEqual),
            '=' => {
                self.next_if('=');
                Kind::Operator(Op::Equal)
            }
            other => return Err(at.fault(format!("{other:?} has no meaning here"))),
        })
    }

    fn number(&mut self, first: char, at: Position) -> Result<Kind, Fault> {
        let mut digits = String::from(first);
        self.take_while(&mut digits, |c| c.is_ascii_digit());
        let whole = digits.len();
        if self.rest.peek() == Some(&'.') {
            self.next();
            digits.push('.');
            self.take_while(&mut digits, |c| c.is_ascii_digit());
            if digits.len() == whole + 1 {
                return Err(at.fault("digits are missing behind the decimal point"));
            }
        }
        let mut unit = String::new();
        self.take_while(&mut unit, |c| c.is_alphanumeric() || c == '_');
        let fraction = digits.len() > whole;
        // Only overflow can make these fail, and numbers of the language saturate.
        match (unit.as_str(), fraction) {
            ("", true) => Ok(Kind::Float(
                digits.parse().ok().filter(|number: &f64| number.is_finite()).unwrap_or(f64::MAX),
            )),
            ("", false) => Ok(Kind::Integer(digits.parse().unwrap_or(i64::MAX))),
            (_, true) => Err(at.fault("a duration is a whole number with a unit")),
            (unit, false) => match unit_milliseconds(unit) {
                Some(scale) => Ok(Kind::Integer(digits.parse().unwrap_or(i64::MAX).saturating_mul(scale))),
                None => {
                    Err(at
                        .fault(format!("`{unit}` is no unit of time; there are `ms`, `s`, `m`, `h` and `d`")))
                }
            },
        }
    }

    fn capture(&mut self, at: Position) -> Result<Kind, Fault> {
        let mut digits = String::new();
        self.take_while(&mut digits, |c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(at.fault("`$` needs the number of a capture group"));
        }
        // A group beyond any count is as absent as one that overflows.
        Ok(Kind::Capture(digits.parse().unwrap_or(usize::MAX)))
    }

    fn text(&mut self, quote: char, at: Position) -> Result<String, Fault> {
        let mut text = String::new();
        while let Some(next) = self.next() {
            if next == quote {
                return Ok(text);
            }
            if next != '\\' {
                text.push(next);
                continue;
            }
            match self.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(escaped) => text.extend(['\\', escaped]),
                None => break,
            }
        }
        Err(at.fault("this text is not closed"))
    }
}

/// Longest source, in octets.
const MAX_SOURCE_OCTETS: usize = 65_536;
