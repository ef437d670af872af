//! A field of a policy: expressions with conditions, and the type they become.

use std::fmt;
use std::sync::Arc;

use super::eval::Evaluation;
use super::facts::{Facts, Failure, Interrupt};
use super::fault::{Fault, Position};
use super::fold::{self, Matches};
use super::parser::{Parsed, parse};
use super::syntax::Node;
use super::target::Target;
use super::value::Value;
use super::variable::{Scope, VariableSet};
use crate::cause::Cause;

/// A field as it is written: `{match: [{if, then}, ...], else}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConditionalSource {
    /// `match`: pairs of `if` and `then`; the first whose `if` is true decides.
    pub cases: Vec<(String, String)>,
    /// `else`: what holds when no `if` is true.
    pub otherwise: String,
}

impl ConditionalSource {
    /// A field that is only an `else`, as a bare scalar in a manifest.
    pub fn plain(source: impl Into<String>) -> Self {
        Self { cases: Vec::new(), otherwise: source.into() }
    }
}

/// A part of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldPath {
    /// The condition of a case, counted from 0.
    If(usize),
    /// The result of a case, counted from 0.
    Then(usize),
    /// The `else`.
    Else,
}

impl FieldPath {
    /// The condition of the case that this belongs to; `else` has none.
    fn condition(self) -> Self {
        match self {
            Self::If(case) | Self::Then(case) => Self::If(case),
            Self::Else => Self::Else,
        }
    }

    /// Sorts as the source is read.
    fn order(self) -> (usize, u8) {
        match self {
            Self::If(case) => (case, 0),
            Self::Then(case) => (case, 1),
            Self::Else => (usize::MAX, 2),
        }
    }
}

impl fmt::Display for FieldPath {
    /// `match[2].if`, `match[2].then`, `else`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::If(case) => write!(f, "match[{case}].if"),
            Self::Then(case) => write!(f, "match[{case}].then"),
            Self::Else => f.write_str("else"),
        }
    }
}

/// A field as the server runs it: a value of type `T`, or how to get one.
///
/// Cases are tried in order. Captures that an `if` sets are seen by the next `if`s, by its `then` and by
/// `else`. A field that folds holds its value, and so does each `then` and `else` that does.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    form: Form<T>,
    variables: VariableSet,
    origin: Option<Cause>,
}

/// What came of the evaluation of a field.
#[derive(Debug)]
pub struct Evaluated<T> {
    /// The part that the value comes from; without a value the part that has none.
    pub part: FieldPath,
    /// The value.
    pub value: Result<T, Interrupt>,
}

impl<T> Setting<T> {
    /// A field that always has this value.
    pub const fn constant(value: T) -> Self {
        Self { form: Form::Constant(value, FieldPath::Else), variables: VariableSet::EMPTY, origin: None }
    }

    /// The same, said to stand at that field of an object.
    #[must_use]
    pub fn at(self, origin: Cause) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// The field of an object that it stands at; unset for what no policy holds.
    pub const fn origin(&self) -> Option<&Cause> {
        self.origin.as_ref()
    }

    /// The value, when it depends on nothing.
    pub fn constant_value(&self) -> Option<&T> {
        match &self.form {
            Form::Constant(value, _) => Some(value),
            Form::Computed(_) => None,
        }
    }

    /// The variables that its source mentions.
    pub fn variables(&self) -> VariableSet {
        self.variables
    }

    /// The values that it can have and that are known at load, with their place: what a loader checks for
    /// references to objects that do not exist.
    pub fn literals(&self) -> Vec<(FieldPath, &T)> {
        let cases = match &self.form {
            Form::Constant(value, path) => return vec![(*path, value)],
            Form::Computed(cases) => cases,
        };
        let thens = cases.cases.iter().filter_map(|case| Some((case.path, case.then.known()?)));
        let otherwise = cases.otherwise.known().map(|value| (cases.otherwise_path, value));
        thens.chain(otherwise).collect()
    }
}

impl<T: Target> Setting<T> {
    /// Parses a field.
    ///
    /// # Errors
    /// Every fault with the part it is in: those of [`super::Expression::parse`], and results that can
    /// never become a `T`.
    pub fn parse(source: &ConditionalSource, scope: Scope) -> Result<Self, Vec<(FieldPath, Fault)>> {
        let mut parts = Parts { scope, faults: Vec::new(), variables: VariableSet::EMPTY, captures: false };
        let cases: Vec<_> = source
            .cases
            .iter()
            .enumerate()
            .map(|(place, (condition, then))| {
                let condition = parts.parse(FieldPath::If(place), condition);
                (place, condition, parts.parse(FieldPath::Then(place), then))
            })
            .collect();
        let otherwise = parts.parse(FieldPath::Else, &source.otherwise);
        let matches = if parts.captures { Matches::Keep } else { Matches::Fold };

        let mut kept = Vec::new();
        for (place, condition, then) in cases {
            let then = parts.outcome(FieldPath::Then(place), then, matches);
            if let (Some(mut condition), Some(then)) = (condition, then) {
                fold::fold(&mut condition.node, matches);
                kept.push(Case { path: FieldPath::Then(place), condition: condition.node, then });
            }
        }
        let otherwise = parts.outcome(FieldPath::Else, otherwise, matches);
        match otherwise {
            Some(otherwise) if parts.faults.is_empty() => {
                let (captures, otherwise_path) = (parts.captures, FieldPath::Else);
                let form = Cases { cases: kept, otherwise, otherwise_path, captures }.reduce();
                Ok(Self { form, variables: parts.variables, origin: None })
            }
            _ => {
                parts.faults.sort_by_key(|(path, _)| path.order());
                Err(parts.faults)
            }
        }
    }

    /// The value under these facts. When the field is constant this copies the value and nothing else.
    ///
    /// # Errors
    /// [`Interrupt::Needs`] when the host must answer a question first, [`Interrupt::Failed`] when there
    /// is no value or none that becomes a `T`.
    pub fn evaluate(&self, facts: &dyn Facts) -> Result<T, Interrupt> {
        self.appraise(facts).value
    }

    /// As [`evaluate`](Self::evaluate), with the part of the field that decided.
    pub fn appraise(&self, facts: &dyn Facts) -> Evaluated<T> {
        match &self.form {
            Form::Constant(value, part) => Evaluated { part: *part, value: Ok(value.clone()) },
            Form::Computed(cases) => cases.appraise(facts),
        }
    }
}

#[derive(Debug, Clone)]
enum Form<T> {
    /// The value, and the part it comes from.
    Constant(T, FieldPath),
    Computed(Arc<Cases<T>>),
}

#[derive(Debug)]
struct Cases<T> {
    cases: Vec<Case<T>>,
    otherwise: Outcome<T>,
    /// The `then` that took the place of `else` because its condition always holds, or `else`.
    otherwise_path: FieldPath,
    captures: bool,
}

#[derive(Debug)]
struct Case<T> {
    /// The place of `then` in the source.
    path: FieldPath,
    condition: Node,
    then: Outcome<T>,
}

/// A `then` or an `else`.
#[derive(Debug)]
enum Outcome<T> {
    Known(T),
    Computed(Node),
}

impl<T> Outcome<T> {
    fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Computed(_) => None,
        }
    }
}

impl<T: Target> Cases<T> {
    /// Drops the cases that never hold, and what stands behind one that always does.
    fn reduce(mut self) -> Form<T> {
        let holds = |case: &Case<T>| match &case.condition {
            Node::Constant(value) => Some(value.is_true()),
            _ => None,
        };
        self.cases.retain(|case| holds(case) != Some(false));
        if let Some(place) = self.cases.iter().position(|case| holds(case) == Some(true)) {
            self.cases.truncate(place + 1);
            if let Some(last) = self.cases.pop() {
                self.otherwise = last.then;
                self.otherwise_path = last.path;
            }
        }
        match self.otherwise {
            Outcome::Known(value) if self.cases.is_empty() => Form::Constant(value, self.otherwise_path),
            _ => Form::Computed(Arc::new(self)),
        }
    }

    fn appraise(&self, facts: &dyn Facts) -> Evaluated<T> {
        let mut evaluation = Evaluation::new(facts, self.captures);
        let (mut part, mut outcome) = (self.otherwise_path, &self.otherwise);
        for case in &self.cases {
            match evaluation.truth(&case.condition) {
                Ok(false) => {}
                Ok(true) => {
                    (part, outcome) = (case.path, &case.then);
                    break;
                }
                Err(interrupt) => {
                    return Evaluated { part: case.path.condition(), value: Err(interrupt) };
                }
            }
        }
        let value = match outcome {
            Outcome::Known(value) => Ok(value.clone()),
            Outcome::Computed(node) => evaluation.value(node).and_then(|value| Ok(convert(value)?)),
        };
        Evaluated { part, value }
    }
}

/// The parts of a field while they are parsed, and what is wrong with them.
struct Parts {
    scope: Scope,
    faults: Vec<(FieldPath, Fault)>,
    variables: VariableSet,
    captures: bool,
}

impl Parts {
    fn parse(&mut self, path: FieldPath, source: &str) -> Option<Parsed> {
        match parse(source, self.scope) {
            Ok(parsed) => {
                self.variables = self.variables.union(parsed.variables);
                self.captures |= parsed.captures;
                Some(parsed)
            }
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| (path, fault)));
                None
            }
        }
    }

    fn outcome<T: Target>(
        &mut self,
        path: FieldPath,
        parsed: Option<Parsed>,
        matches: Matches,
    ) -> Option<Outcome<T>> {
        let Parsed { mut node, at, .. } = parsed?;
        fold::fold(&mut node, matches);
        let kinds = fold::kinds(&node);
        if !kinds.overlaps(T::ACCEPTED) {
            self.mismatch(path, at, format!("this is {kinds}, where {} is needed", T::WANTED));
            return None;
        }
        let Node::Constant(value) = node else { return Some(Outcome::Computed(node)) };
        match T::convert(value.borrowed()) {
            Some(known) => Some(Outcome::Known(known)),
            None => {
                let source = Node::Constant(value).to_string();
                let shown = if source.len() > LONGEST_SHOWN { "this value" } else { &source };
                self.mismatch(path, at, format!("{shown} cannot be used where {} is needed", T::WANTED));
                None
            }
        }
    }

    fn mismatch(&mut self, path: FieldPath, at: Position, message: String) {
        self.faults.push((path, at.fault(message)));
    }
}

fn convert<T: Target>(value: Value<'_>) -> Result<T, Failure> {
    let found = value.kind();
    T::convert(value).ok_or(Failure::NotConvertible { found, wanted: T::WANTED })
}

/// Octets of a constant that a message repeats.
const LONGEST_SHOWN: usize = 60;
