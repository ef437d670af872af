//! Evaluation of a tree against facts.

use std::borrow::Cow;
use std::ops::Range;

use regex::Regex;

use super::facts::{Facts, Failure, Interrupt, Lookup, LookupFailure, System};
use super::functions::{Call, LookupFunction, Question};
use super::operators::{BinaryOperator, negate};
use super::syntax::Node;
use super::value::Value;
use super::variable::Variable;

/// One evaluation: of an expression, or of all the expressions of one field.
pub(super) struct Evaluation<'a> {
    facts: &'a dyn Facts,
    /// The last match; `None` when nobody reads captures, so that matching can be cheaper.
    captures: Option<Captures<'a>>,
}

impl<'a> Evaluation<'a> {
    /// Begins an evaluation; `captures` says whether a capture is read anywhere in it.
    pub(super) fn new(facts: &'a dyn Facts, captures: bool) -> Self {
        Self { facts, captures: captures.then(Captures::default) }
    }

    /// The value of a tree.
    ///
    /// # Errors
    /// [`Interrupt`].
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Interrupt> {
        match node {
            Node::Constant(value) => Ok(value.borrowed()),
            Node::Variable(variable) => Ok(self.facts.variable(*variable)),
            Node::Capture(group) => {
                Ok(self.captures.as_ref().map_or(Value::EMPTY, |last| last.group(*group)))
            }
            Node::System(system) => Ok(self.facts.system(*system)),
            Node::List(elements) => self.list(elements),
            Node::Not(operand) => Ok(Value::truth(!self.truth(operand)?)),
            Node::Negate(operand) => Ok(negate(&self.value(operand)?)),
            Node::Any(operands) => self.any(operands),
            Node::All(operands) => self.all(operands),
            Node::Chain(first, rest) => self.chain(first, rest),
            Node::Index(base, places) => self.index(base, places),
            Node::Call(call) => self.call(call),
            Node::Matches(regex, subject) => self.matches(regex, subject),
            Node::IsLocalDomain(domain) => {
                let domain = self.value(domain)?.into_text();
                Ok(Value::truth(self.facts.is_local_domain(&domain)))
            }
            Node::Lookup(function, arguments) => self.lookup(*function, arguments),
        }
    }

    /// The truth of a tree's value.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Interrupt> {
        Ok(self.value(node)?.is_true())
    }

    fn list(&mut self, elements: &'a [Node]) -> Result<Value<'a>, Interrupt> {
        let mut interrupt = None;
        let values = elements.iter().map_while(|element| match self.value(element) {
            Ok(value) => Some(value),
            Err(reason) => {
                interrupt = Some(reason);
                None
            }
        });
        let list = Value::list(values)?;
        interrupt.map_or(Ok(list), Err)
    }

    fn any(&mut self, operands: &'a [Node]) -> Result<Value<'a>, Interrupt> {
        for operand in operands {
            if self.truth(operand)? {
                return Ok(Value::truth(true));
            }
        }
        Ok(Value::truth(false))
    }

    fn all(&mut self, operands: &'a [Node]) -> Result<Value<'a>, Interrupt> {
        for operand in operands {
            if !self.truth(operand)? {
                return Ok(Value::truth(false));
            }
        }
        Ok(Value::truth(true))
    }

    fn chain(&mut self, first: &'a Node, rest: &'a [(BinaryOperator, Node)]) -> Result<Value<'a>, Interrupt> {
        let mut result = self.value(first)?;
        for (operator, operand) in rest {
            let operand = self.value(operand)?;
            result = operator.apply(result, operand)?;
        }
        Ok(result)
    }

    fn index(&mut self, base: &'a Node, places: &'a [Node]) -> Result<Value<'a>, Interrupt> {
        let mut value = self.value(base)?;
        for place in places {
            let place = self.value(place)?.to_integer().and_then(|place| usize::try_from(place).ok());
            value = match (place, value) {
                (Some(place), Value::List(list)) => list.take(place).unwrap_or(Value::EMPTY),
                (Some(0), scalar) => scalar,
                _ => Value::EMPTY,
            };
        }
        Ok(value)
    }

    fn call(&mut self, call: &'a Call) -> Result<Value<'a>, Interrupt> {
        Ok(match call {
            Call::One(_, function, [argument]) => function(self.value(argument)?)?,
            Call::Two(_, function, [first, second]) => function(self.value(first)?, self.value(second)?)?,
            Call::Three(_, function, [first, second, third]) => {
                function(self.value(first)?, self.value(second)?, self.value(third)?)?
            }
        })
    }

    fn matches(&mut self, regex: &Regex, subject: &'a Node) -> Result<Value<'a>, Interrupt> {
        let subject = self.value(subject)?.into_text();
        Ok(Value::truth(match &mut self.captures {
            Some(captures) => captures.read(regex, subject),
            None => regex.is_match(&subject),
        }))
    }

    fn lookup(&mut self, function: LookupFunction, arguments: &'a [Node]) -> Result<Value<'a>, Interrupt> {
        let values: Result<Vec<_>, _> = arguments.iter().map(|argument| self.value(argument)).collect();
        let lookup = match function.question(values?) {
            Question::Known(value) => return Ok(value),
            Question::Ask(lookup) => lookup,
        };
        match self.facts.lookup(&lookup) {
            Some(Ok(value)) => Ok(value.bounded()?),
            Some(Err(failure)) => Err(Interrupt::Failed(Failure::Lookup(failure))),
            None => Err(Interrupt::Needs(lookup)),
        }
    }
}

/// The groups of the last match.
#[derive(Default)]
struct Captures<'a> {
    subject: Cow<'a, str>,
    groups: Vec<Option<Range<usize>>>,
}

impl<'a> Captures<'a> {
    /// Matches; the groups of an earlier match are gone even if this one fails.
    fn read(&mut self, regex: &Regex, subject: Cow<'a, str>) -> bool {
        self.groups.clear();
        let Some(found) = regex.captures(&subject) else { return false };
        self.groups.extend(found.iter().map(|group| group.map(|group| group.range())));
        self.subject = subject;
        true
    }

    fn group(&self, group: usize) -> Value<'a> {
        let Some(range) = self.groups.get(group).cloned().flatten() else { return Value::EMPTY };
        match &self.subject {
            Cow::Borrowed(subject) => subject.get(range).map_or(Value::EMPTY, Value::from),
            Cow::Owned(subject) => {
                subject.get(range).map_or(Value::EMPTY, |text| Value::from(text.to_owned()))
            }
        }
    }
}

/// The facts of a place where nothing is known: while constants are folded.
pub(super) struct NoFacts;

impl Facts for NoFacts {
    fn variable(&self, _: Variable) -> Value<'_> {
        Value::EMPTY
    }

    fn system(&self, _: System) -> Value<'_> {
        Value::EMPTY
    }

    fn is_local_domain(&self, _: &str) -> bool {
        false
    }

    fn lookup(&self, _: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        None
    }
}
