//! What can be known of a tree before it runs: constants, and the types of its value.

use super::eval::{Evaluation, NoFacts};
use super::kinds::Kinds;
use super::syntax::Node;
use super::value::Value;

/// Whether a match with a constant subject may be computed at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matches {
    /// Yes.
    Fold,
    /// No: somebody reads the captures it leaves behind.
    Keep,
}

/// Replaces every part of the tree that is constant by its value.
///
/// A part that would fail stays, since it may stand behind an operator that never reaches it.
pub(super) fn fold(node: &mut Node, matches: Matches) {
    let constant = match node {
        Node::Constant(_) | Node::Variable(_) | Node::Capture(_) | Node::System(_) => false,
        Node::List(elements) => fold_all(elements, matches),
        Node::Not(operand) | Node::Negate(operand) => {
            fold(operand, matches);
            operand.is_constant()
        }
        Node::Any(operands) => {
            fold_all(operands, matches);
            stop_at(operands, true);
            operands.iter().all(Node::is_constant)
        }
        Node::All(operands) => {
            fold_all(operands, matches);
            stop_at(operands, false);
            operands.iter().all(Node::is_constant)
        }
        Node::Chain(first, rest) => {
            fold(first, matches);
            rest.iter_mut().for_each(|(_, operand)| fold(operand, matches));
            first.is_constant() && rest.iter().all(|(_, operand)| operand.is_constant())
        }
        Node::Index(base, places) => {
            fold(base, matches);
            fold_all(places, matches) && base.is_constant()
        }
        Node::Call(call) => fold_all(call.arguments_mut(), matches),
        Node::Matches(_, subject) => {
            fold(subject, matches);
            subject.is_constant() && matches == Matches::Fold
        }
        Node::IsLocalDomain(domain) => {
            fold(domain, matches);
            false
        }
        Node::Lookup(_, arguments) => {
            fold_all(arguments, matches);
            false
        }
    };
    if constant {
        let value = Evaluation::new(&NoFacts, false).value(node).map(Value::into_owned);
        if let Ok(value) = value {
            *node = Node::Constant(value);
        }
    }
}

/// The types the value of a tree may have.
pub(super) fn kinds(node: &Node) -> Kinds {
    match node {
        Node::Constant(value) => value.kind(),
        Node::Variable(variable) => variable.kinds(),
        Node::Capture(_) => Kinds::TEXT,
        Node::System(_) => Kinds::TEXT | Kinds::INTEGER,
        Node::List(_) => Kinds::LIST,
        Node::Not(_) | Node::Any(_) | Node::All(_) | Node::Matches(..) | Node::IsLocalDomain(_) => {
            Kinds::INTEGER
        }
        Node::Negate(_) => Kinds::NUMBER,
        Node::Chain(first, rest) => {
            rest.iter().fold(kinds(first), |left, (operator, operand)| operator.kinds(left, kinds(operand)))
        }
        Node::Index(..) => Kinds::ANY,
        Node::Call(call) => match (call.name(), call.arguments()) {
            ("if_then", [_, yes, no]) => kinds(yes) | kinds(no),
            _ => call.gives(),
        },
        Node::Lookup(function, _) => function.gives(),
    }
}

/// Folds all; true when all are constant then.
fn fold_all(nodes: &mut [Node], matches: Matches) -> bool {
    nodes.iter_mut().for_each(|node| fold(node, matches));
    nodes.iter().all(Node::is_constant)
}

/// Drops what can never be reached behind the first constant that decides, and constants that do not. Two stay,
/// since an operand by itself would be no truth value where the tree is written out.
fn stop_at(operands: &mut Vec<Node>, decisive: bool) {
    let decides = |node: &Node| matches!(node, Node::Constant(value) if value.is_true() == decisive);
    if let Some(place) = operands.iter().position(decides) {
        operands.truncate(place + 1);
    }
    let mut left = operands.len();
    operands.retain(|node| {
        let keep = left <= 2 || !node.is_constant() || decides(node);
        left -= usize::from(!keep);
        keep
    });
}
