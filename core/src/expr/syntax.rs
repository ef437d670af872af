//! The tree an expression is parsed to, and its printed form.

use std::fmt::{self, Display, Write as _};

use regex::Regex;

use super::facts::System;
use super::functions::{Call, LookupFunction};
use super::operators::BinaryOperator;
use super::value::Value;
use super::variable::Variable;

/// A node of the tree.
///
/// Chains of operators and of subscripts are flat, so the depth of the tree follows the nesting of the
/// source, which the parser limits, and not its length.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(Value<'static>),
    Variable(Variable),
    /// A group of the last `matches`, 0 for the whole match.
    Capture(usize),
    System(System),
    List(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `a || b || ...`, at least two.
    Any(Vec<Node>),
    /// `a && b && ...`, at least two.
    All(Vec<Node>),
    /// Operators of one level, grouped from the left.
    Chain(Box<Node>, Vec<(BinaryOperator, Node)>),
    Index(Box<Node>, Vec<Node>),
    Call(Box<Call>),
    Matches(Box<Regex>, Box<Node>),
    IsLocalDomain(Box<Node>),
    Lookup(LookupFunction, Vec<Node>),
}

impl Node {
    pub(super) fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    fn is_atom(&self) -> bool {
        match self {
            Self::Constant(Value::Integer(number)) => *number >= 0,
            Self::Constant(Value::Float(number)) => number.is_sign_positive(),
            Self::Constant(Value::Text(text)) => pieces(text).len() < 2,
            Self::Not(_) | Self::Negate(_) | Self::Any(_) | Self::All(_) | Self::Chain(..) => false,
            _ => true,
        }
    }
}

impl Display for Node {
    /// Source that parses to an expression with the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write_constant(f, value),
            Self::Variable(variable) => f.write_str(variable.name()),
            Self::Capture(group) => write!(f, "${group}"),
            Self::System(system) => write!(f, "system('{}')", system.name()),
            Self::List(elements) => write_list(f, '[', elements, ']'),
            Self::Not(operand) => write!(f, "!{}", Operand(operand)),
            Self::Negate(operand) => write!(f, "-{}", Operand(operand)),
            Self::Any(operands) => write_joined(f, operands, " || "),
            Self::All(operands) => write_joined(f, operands, " && "),
            Self::Chain(first, rest) => {
                write!(f, "{}", Operand(first))?;
                rest.iter().try_for_each(|(operator, operand)| {
                    write!(f, " {} {}", operator.symbol(), Operand(operand))
                })
            }
            Self::Index(base, places) => {
                write!(f, "{}", Operand(base))?;
                places.iter().try_for_each(|place| write!(f, "[{place}]"))
            }
            Self::Call(call) => {
                f.write_str(call.name())?;
                write_list(f, '(', call.arguments(), ')')
            }
            Self::Matches(regex, subject) => {
                f.write_str("matches(")?;
                write_text(f, regex.as_str())?;
                write!(f, ", {subject})")
            }
            Self::IsLocalDomain(domain) => write!(f, "is_local_domain({domain})"),
            Self::Lookup(function, arguments) => {
                f.write_str(function.name())?;
                write_list(f, '(', arguments, ')')
            }
        }
    }
}

/// A node as an operand: in parentheses unless it needs none.
struct Operand<'n>(&'n Node);

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_atom() { write!(f, "{}", self.0) } else { write!(f, "({})", self.0) }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, operands: &[Node], separator: &str) -> fmt::Result {
    for (place, operand) in operands.iter().enumerate() {
        if place > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{}", Operand(operand))?;
    }
    Ok(())
}

fn write_list(f: &mut fmt::Formatter<'_>, open: char, elements: &[Node], close: char) -> fmt::Result {
    f.write_char(open)?;
    for (place, element) in elements.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{element}")?;
    }
    f.write_char(close)
}

impl Display for Value<'_> {
    /// Source of a constant with this value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_constant(f, self)
    }
}

fn write_constant(f: &mut fmt::Formatter<'_>, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::Text(text) => write_text(f, text),
        // Its positive counterpart would saturate when read.
        Value::Integer(i64::MIN) => write!(f, "-{} - 1", i64::MAX),
        Value::Integer(number) => write!(f, "{number}"),
        Value::Float(number) if number.fract() == 0.0 => write!(f, "{number}.0"),
        Value::Float(number) => write!(f, "{number}"),
        Value::Word(word) => f.write_str(word.name()),
        Value::List(list) => {
            f.write_char('[')?;
            for (place, element) in list.iter().enumerate() {
                if place > 0 {
                    f.write_str(", ")?;
                }
                write_constant(f, element)?;
            }
            f.write_char(']')
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let pieces = pieces(text);
    if pieces.is_empty() {
        return f.write_str("''");
    }
    for (place, piece) in pieces.iter().enumerate() {
        if place > 0 {
            f.write_str(" + ")?;
        }
        match piece {
            Piece::Literal { quote, text } => write!(f, "{quote}{text}{quote}")?,
            Piece::Backslash => f.write_str(r"substring('\\', 0, 1)")?,
        }
    }
    Ok(())
}

/// A part of a text that can be written as one operand.
enum Piece<'t> {
    Literal {
        quote: char,
        text: &'t str,
    },
    /// A backslash that no literal can end with, or hold before `n`, `r` and `t`.
    Backslash,
}

/// Cuts a text where one literal cannot hold it: no literal has both quotes, and none can spell a
/// backslash alone, because it takes the next character with it.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut quote = None;
    let mut rest = text.char_indices();
    let literal = |start: usize, end: usize, quote: &mut Option<char>| {
        let quote = quote.take().unwrap_or('\'');
        text.get(start..end).filter(|text| !text.is_empty()).map(|text| Piece::Literal { quote, text })
    };
    while let Some((at, next)) = rest.next() {
        match next {
            '\\' => match rest.clone().next() {
                None | Some((_, 'n' | 'r' | 't')) => {
                    pieces.extend(literal(start, at, &mut quote));
                    pieces.push(Piece::Backslash);
                    start = at + 1;
                }
                Some(_) => {
                    rest.next();
                }
            },
            '\'' | '"' => {
                let other = if next == '\'' { '"' } else { '\'' };
                if quote.is_some_and(|quote| quote != other) {
                    pieces.extend(literal(start, at, &mut quote));
                    start = at;
                }
                quote = Some(other);
            }
            _ => {}
        }
    }
    pieces.extend(literal(start, text.len(), &mut quote));
    pieces
}
