//! A single expression.

use std::fmt;

use super::eval::Evaluation;
use super::facts::{Facts, Interrupt};
use super::fault::Fault;
use super::fold::{Matches, fold};
use super::kinds::Kinds;
use super::parser::parse;
use super::syntax::Node;
use super::value::Value;
use super::variable::{Scope, VariableSet};

/// A parsed expression: names resolved, regexes compiled, constants computed.
///
/// Its `Display` form is source that parses to an expression with the same value.
#[derive(Debug, Clone)]
pub struct Expression {
    node: Node,
    variables: VariableSet,
    captures: bool,
}

impl Expression {
    /// Parses the source of an expression for a field of this scope.
    ///
    /// # Errors
    /// Every fault found; after one in the syntax the rest of the source is not looked at. Sources over
    /// 65536 octets and more than 32 levels of nesting are faults.
    pub fn parse(source: &str, scope: Scope) -> Result<Self, Vec<Fault>> {
        let parsed = parse(source, scope)?;
        let mut node = parsed.node;
        fold(&mut node, if parsed.captures { Matches::Keep } else { Matches::Fold });
        Ok(Self { node, variables: parsed.variables, captures: parsed.captures })
    }

    /// The value under these facts.
    ///
    /// # Errors
    /// [`Interrupt::Needs`] when the host must answer a question first, [`Interrupt::Failed`] when there
    /// is no value.
    pub fn evaluate<'a>(&'a self, facts: &'a dyn Facts) -> Result<Value<'a>, Interrupt> {
        Evaluation::new(facts, self.captures).value(&self.node)
    }

    /// The value, when it depends on nothing.
    pub fn constant_value(&self) -> Option<&Value<'static>> {
        match &self.node {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The variables its source mentions.
    pub fn variables(&self) -> VariableSet {
        self.variables
    }

    /// The types its value may have.
    pub fn kinds(&self) -> Kinds {
        super::fold::kinds(&self.node)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}
