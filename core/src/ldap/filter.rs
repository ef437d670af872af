//! Search filters (RFC 4515) with places for what is searched for.
//!
//! `{address}`, `{local}` and `{domain}` stand for the parts of an address, inside of values only. A brace that is
//! meant as such is written `\7b`.

mod parser;
#[cfg(test)]
mod tests;

use super::ber;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct FilterFault {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// What a filter is about: a name, whole and in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `{address}`
    pub address: &'a str,
    /// `{local}`: what is before the last `@`, else everything.
    pub local: &'a str,
    /// `{domain}`: what is behind it, else nothing.
    pub domain: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Present(Box<str>),
    Compare { tag: u8, attribute: Box<str>, value: Value },
    Substrings { attribute: Box<str>, initial: Option<Value>, any: Vec<Value>, last: Option<Value> },
    Extensible { rule: Option<Box<str>>, attribute: Option<Box<str>>, value: Value, dn_attributes: bool },
}

/// The value of an assertion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Value(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Address,
    Local,
    Domain,
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn parse(text: &str) -> Result<Self, FilterFault> {
        parser::parse(text).map(Self)
    }

    /// Whether its answer depends on who is searched for.
    #[must_use]
    pub fn names_subject(&self) -> bool {
        self.0.values().any(Value::has_variable)
    }

    /// The filter for one subject, as it stands in a search request.
    #[must_use]
    pub fn encode(&self, subject: Subject<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.write(&mut out, subject);
        out
    }

    /// `(objectClass=*)`, which every entry is.
    #[must_use]
    pub fn any_entry() -> Self {
        Self(Node::Present("objectClass".into()))
    }
}

impl<'a> Subject<'a> {
    /// An address or a user name, taken apart at its last `@`.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        let (local, domain) = name.rsplit_once('@').unwrap_or((name, ""));
        Self { address: name, local, domain }
    }
}

impl Node {
    /// Every value in it.
    fn values(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match self {
            Self::And(all) | Self::Or(all) => Box::new(all.iter().flat_map(Self::values)),
            Self::Not(one) => one.values(),
            Self::Present(_) => Box::new(std::iter::empty()),
            Self::Compare { value, .. } | Self::Extensible { value, .. } => Box::new(std::iter::once(value)),
            Self::Substrings { initial, any, last, .. } => Box::new(initial.iter().chain(any).chain(last)),
        }
    }

    fn write(&self, out: &mut Vec<u8>, subject: Subject<'_>) {
        match self {
            Self::And(all) => {
                ber::element(out, AND, |out| all.iter().for_each(|one| one.write(out, subject)));
            }
            Self::Or(all) => {
                ber::element(out, OR, |out| all.iter().for_each(|one| one.write(out, subject)));
            }
            Self::Not(one) => ber::element(out, NOT, |out| one.write(out, subject)),
            Self::Present(attribute) => ber::octets(out, PRESENT, attribute.as_bytes()),
            Self::Compare { tag, attribute, value } => ber::element(out, *tag, |out| {
                ber::octets(out, ber::OCTETS, attribute.as_bytes());
                ber::octets(out, ber::OCTETS, &value.fill(subject));
            }),
            Self::Substrings { attribute, initial, any, last } => ber::element(out, SUBSTRINGS, |out| {
                ber::octets(out, ber::OCTETS, attribute.as_bytes());
                ber::element(out, ber::SEQUENCE, |out| {
                    let parts = initial.iter().map(|value| (INITIAL, value));
                    let parts = parts.chain(any.iter().map(|value| (ANY, value)));
                    for (tag, value) in parts.chain(last.iter().map(|value| (FINAL, value))) {
                        ber::octets(out, tag, &value.fill(subject));
                    }
                });
            }),
            Self::Extensible { rule, attribute, value, dn_attributes } => {
                ber::element(out, EXTENSIBLE, |out| {
                    for (tag, text) in [(MATCHING_RULE, rule), (MATCHING_TYPE, attribute)] {
                        if let Some(text) = text {
                            ber::octets(out, tag, text.as_bytes());
                        }
                    }
                    ber::octets(out, MATCH_VALUE, &value.fill(subject));
                    if *dn_attributes {
                        ber::octets(out, DN_ATTRIBUTES, &[0xff]);
                    }
                });
            }
        }
    }
}

impl Value {
    fn has_variable(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }

    fn fill(&self, subject: Subject<'_>) -> Vec<u8> {
        let mut octets = Vec::new();
        for piece in &self.0 {
            octets.extend_from_slice(match piece {
                Piece::Octets(octets) => octets,
                Piece::Variable(Variable::Address) => subject.address.as_bytes(),
                Piece::Variable(Variable::Local) => subject.local.as_bytes(),
                Piece::Variable(Variable::Domain) => subject.domain.as_bytes(),
            });
        }
        octets
    }
}

const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUAL: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const GREATER_OR_EQUAL: u8 = 0xa5;
const LESS_OR_EQUAL: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const APPROXIMATE: u8 = 0xa8;
const EXTENSIBLE: u8 = 0xa9;
const INITIAL: u8 = 0x80;
const ANY: u8 = 0x81;
const FINAL: u8 = 0x82;
const MATCHING_RULE: u8 = 0x81;
const MATCHING_TYPE: u8 = 0x82;
const MATCH_VALUE: u8 = 0x83;
const DN_ATTRIBUTES: u8 = 0x84;
