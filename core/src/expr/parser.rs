//! Tokens to tree, by recursive descent over the grammar of `docs/spec.md` section 3.2.
//!
//! Names are resolved here, against the scope. A wrong name or a wrong number of arguments is noted and
//! parsing goes on; a fault in the syntax ends it, since what follows would be guesswork.

use regex::RegexBuilder;

use super::facts::System;
use super::fault::{Fault, Position, closest};
use super::functions::{Body, Call, Function};
use super::operators::Level;
use super::syntax::Node;
use super::token::{Kind, Token, tokenize};
use super::value::Value;
use super::variable::{Scope, Variable, VariableSet};
use super::word::Word;

/// What a source was parsed to.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Where the expression begins.
    pub(super) at: Position,
    pub(super) variables: VariableSet,
    pub(super) captures: bool,
}

/// Parses a source; nothing is folded yet.
pub(super) fn parse(source: &str, scope: Scope) -> Result<Parsed, Vec<Fault>> {
    let tokens = tokenize(source).map_err(|fault| vec![fault])?;
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        scope,
        depth: 0,
        faults: Vec::new(),
        variables: VariableSet::EMPTY,
        captures: false,
    };
    let at = parser.position();
    let node = parser.whole();
    if !parser.faults.is_empty() {
        return Err(parser.faults);
    }
    match node {
        Ok(node) => Ok(Parsed { node, at, variables: parser.variables, captures: parser.captures }),
        Err(Stop) => Err(vec![at.fault("this is no expression")]),
    }
}

/// The syntax is broken; the fault has been noted.
struct Stop;

type Step<T> = Result<T, Stop>;

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    scope: Scope,
    depth: usize,
    faults: Vec<Fault>,
    variables: VariableSet,
    captures: bool,
}

impl Parser {
    fn whole(&mut self) -> Step<Node> {
        if self.at(&Kind::End) {
            return self.stop("an expression is missing");
        }
        let node = self.expression()?;
        if self.at(&Kind::End) {
            return Ok(node);
        }
        self.unexpected("an operator or the end")
    }

    fn expression(&mut self) -> Step<Node> {
        self.nested(|parser| {
            let first = parser.conjunction()?;
            parser.repeated(first, &Kind::Or, Node::Any, Self::conjunction)
        })
    }

    fn conjunction(&mut self) -> Step<Node> {
        let first = self.chain(Level::Xor)?;
        self.repeated(first, &Kind::And, Node::All, |parser| parser.chain(Level::Xor))
    }

    fn repeated(
        &mut self,
        first: Node,
        separator: &Kind,
        make: fn(Vec<Node>) -> Node,
        operand: fn(&mut Self) -> Step<Node>,
    ) -> Step<Node> {
        if !self.at(separator) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.accept(separator) {
            operands.push(operand(self)?);
        }
        Ok(make(operands))
    }

    fn chain(&mut self, level: Level) -> Step<Node> {
        let operand = |parser: &mut Self| match level.tighter() {
            Some(tighter) => parser.chain(tighter),
            None => parser.unary(),
        };
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(Kind::Operator(operator)) = self.peek() {
            let operator = *operator;
            if operator.level() != level {
                break;
            }
            self.advance();
            rest.push((operator, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Node::Chain(Box::new(first), rest) })
    }

    fn unary(&mut self) -> Step<Node> {
        if self.accept(&Kind::Not) {
            return self.nested(Self::unary).map(|operand| Node::Not(Box::new(operand)));
        }
        if self.accept(&Kind::Operator(super::operators::BinaryOperator::Subtract)) {
            return self.nested(Self::unary).map(|operand| Node::Negate(Box::new(operand)));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Step<Node> {
        let base = self.primary()?;
        let mut places = Vec::new();
        while self.accept(&Kind::OpenSquare) {
            places.push(self.expression()?);
            self.expect(&Kind::CloseSquare)?;
        }
        Ok(if places.is_empty() { base } else { Node::Index(Box::new(base), places) })
    }

    fn primary(&mut self) -> Step<Node> {
        let Some(Token { kind, at }) = self.tokens.next_if(|token| token.kind.begins_primary()) else {
            return self.unexpected("a value");
        };
        Ok(match kind {
            Kind::Integer(number) => Node::Constant(Value::Integer(number)),
            Kind::Float(number) => Node::Constant(Value::Float(number)),
            Kind::Text(text) => Node::Constant(Value::from(text)),
            Kind::Capture(group) => {
                self.captures = true;
                Node::Capture(group)
            }
            Kind::OpenRound => {
                let inner = self.expression()?;
                self.expect(&Kind::CloseRound)?;
                inner
            }
            Kind::OpenSquare => Node::List(self.list(&Kind::CloseSquare)?),
            Kind::Name(name) if self.accept(&Kind::OpenRound) => self.call(&name, at)?,
            Kind::Name(name) => self.name(&name, at),
            _ => return self.unexpected("a value"),
        })
    }

    /// Expressions up to a closing bracket, whose opening one has been read.
    fn list(&mut self, close: &Kind) -> Step<Vec<Node>> {
        let mut elements = Vec::new();
        if self.accept(close) {
            return Ok(elements);
        }
        loop {
            elements.push(self.expression()?);
            if self.accept(close) {
                return Ok(elements);
            }
            if !self.accept(&Kind::Comma) {
                return self.unexpected(&format!("`,` or {}", close.describe()));
            }
        }
    }

    fn name(&mut self, name: &str, at: Position) -> Node {
        match name {
            "true" => return Node::Constant(Value::Integer(1)),
            "false" => return Node::Constant(Value::Integer(0)),
            _ => {}
        }
        if let Some(word) = Word::from_name(name) {
            return Node::Constant(Value::Word(word));
        }
        let allowed = self.scope.variables();
        let fault = match Variable::from_name(name) {
            Some(variable) if allowed.contains(variable) => {
                self.variables = self.variables.union(VariableSet::of(&[variable]));
                return Node::Variable(variable);
            }
            Some(variable) => at.fault(format!(
                "`{name}` is not available in the {} scope; it is in: {}",
                self.scope.name(),
                scopes_of(variable)
            )),
            None if Function::find(name).is_some() => {
                at.fault(format!("`{name}` is a function and needs its arguments in parentheses"))
            }
            None => {
                let words = Word::ALL.into_iter().map(Word::name);
                let known = allowed.iter().map(Variable::name).chain(words).chain(["true", "false"]);
                Fault {
                    suggestion: closest(name, known),
                    ..at.fault(format!("`{name}` is no variable or constant; a text needs quotes"))
                }
            }
        };
        self.faults.push(fault);
        PLACEHOLDER
    }

    /// A call whose opening parenthesis has been read.
    fn call(&mut self, name: &str, at: Position) -> Step<Node> {
        let Some(function) = Function::find(name) else {
            let fault = if Variable::from_name(name).is_some() || Word::from_name(name).is_some() {
                at.fault(format!("`{name}` is no function and takes no arguments"))
            } else {
                Fault {
                    suggestion: closest(name, Function::all().map(|function| function.name)),
                    ..at.fault(format!("there is no function `{name}`"))
                }
            };
            self.faults.push(fault);
            self.list(&Kind::CloseRound)?;
            return Ok(PLACEHOLDER);
        };
        match &function.body {
            Body::Matches => self.matches(at),
            Body::System => self.system(at),
            Body::Refused(reason) => {
                self.faults.push(at.fault(format!("`{name}` is not available in Postern: {reason}")));
                self.list(&Kind::CloseRound)?;
                Ok(PLACEHOLDER)
            }
            _ => {
                let arguments = self.list(&Kind::CloseRound)?;
                Ok(self.bind(function, arguments, at))
            }
        }
    }

    fn bind(&mut self, function: &'static Function, arguments: Vec<Node>, at: Position) -> Node {
        let given = arguments.len();
        if given != function.arity() {
            self.arity(function.name, function.arity(), given, at);
            return PLACEHOLDER;
        }
        match (&function.body, arguments) {
            (Body::IsLocalDomain, mut arguments) => {
                arguments.pop().map_or(PLACEHOLDER, |domain| Node::IsLocalDomain(Box::new(domain)))
            }
            (Body::Lookup(lookup), arguments) => Node::Lookup(*lookup, arguments),
            (_, arguments) => {
                Call::bind(function, arguments).map_or(PLACEHOLDER, |call| Node::Call(Box::new(call)))
            }
        }
    }

    fn arity(&mut self, name: &str, wanted: usize, given: usize, at: Position) {
        let plural = if wanted == 1 { "" } else { "s" };
        self.faults.push(at.fault(format!("`{name}` takes {wanted} argument{plural}, {given} given")));
    }

    fn matches(&mut self, at: Position) -> Step<Node> {
        let (pattern, pattern_at) = self.literal("matches")?;
        let subjects = if self.accept(&Kind::Comma) { self.list(&Kind::CloseRound)? } else { self.close()? };
        let given = subjects.len() + 1;
        let subject = <[Node; 1]>::try_from(subjects);
        let regex = RegexBuilder::new(&pattern).build().map_err(|error| {
            // The first lines of a syntax error draw the pattern, the last one says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            pattern_at.fault(format!("this is no regular expression: {reason}"))
        });
        match (regex, subject) {
            (Ok(regex), Ok([subject])) => return Ok(Node::Matches(Box::new(regex), Box::new(subject))),
            (regex, subject) => {
                self.faults.extend(regex.err());
                if subject.is_err() {
                    self.arity("matches", 2, given, at);
                }
            }
        }
        Ok(PLACEHOLDER)
    }

    fn system(&mut self, at: Position) -> Step<Node> {
        let (name, name_at) = self.literal("system")?;
        let more = if self.accept(&Kind::Comma) { self.list(&Kind::CloseRound)? } else { self.close()? };
        if !more.is_empty() {
            self.arity("system", 1, more.len() + 1, at);
        }
        Ok(System::from_name(&name).map(Node::System).unwrap_or_else(|| {
            self.faults.push(Fault {
                suggestion: closest(&name, System::ALL.into_iter().map(System::name)),
                ..name_at.fault("`system` does not know this name")
            });
            PLACEHOLDER
        }))
    }

    /// The first argument of a function that needs it written out as a text.
    fn literal(&mut self, function: &str) -> Step<(String, Position)> {
        let at = self.position();
        match self.tokens.next_if(|token| matches!(token.kind, Kind::Text(_))) {
            Some(Token { kind: Kind::Text(text), at }) if self.at_any(&[Kind::Comma, Kind::CloseRound]) => {
                Ok((text, at))
            }
            _ => {
                self.faults.push(at.fault(format!("the first argument of `{function}` is a text in quotes")));
                Err(Stop)
            }
        }
    }

    fn close(&mut self) -> Step<Vec<Node>> {
        self.expect(&Kind::CloseRound).map(|()| Vec::new())
    }

    /// Runs one level deeper, if the limit allows.
    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Step<Node>) -> Step<Node> {
        if self.depth == MAX_DEPTH {
            return self.stop(&format!("this is nested more than {MAX_DEPTH} levels deep"));
        }
        self.depth += 1;
        let node = inner(self);
        self.depth -= 1;
        node
    }

    fn peek(&mut self) -> Option<&Kind> {
        self.tokens.peek().map(|token| &token.kind)
    }

    fn position(&mut self) -> Position {
        self.tokens.peek().map_or(Position::START, |token| token.at)
    }

    fn at(&mut self, kind: &Kind) -> bool {
        self.peek() == Some(kind)
    }

    fn at_any(&mut self, kinds: &[Kind]) -> bool {
        self.peek().is_some_and(|kind| kinds.contains(kind))
    }

    fn advance(&mut self) {
        self.tokens.next();
    }

    fn accept(&mut self, kind: &Kind) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    fn expect(&mut self, kind: &Kind) -> Step<()> {
        if self.accept(kind) { Ok(()) } else { self.unexpected(&kind.describe()) }
    }

    fn unexpected<T>(&mut self, wanted: &str) -> Step<T> {
        let found = self.peek().unwrap_or(&Kind::End).describe();
        self.stop(&format!("{wanted} is expected here, not {found}"))
    }

    fn stop<T>(&mut self, message: &str) -> Step<T> {
        let fault = self.position().fault(message);
        self.faults.push(fault);
        Err(Stop)
    }
}

impl Kind {
    fn begins_primary(&self) -> bool {
        matches!(
            self,
            Self::Integer(_)
                | Self::Float(_)
                | Self::Text(_)
                | Self::Name(_)
                | Self::Capture(_)
                | Self::OpenRound
                | Self::OpenSquare
        )
    }
}

fn scopes_of(variable: Variable) -> String {
    let names: Vec<_> = Scope::ALL
        .into_iter()
        .filter(|scope| scope.variables().contains(variable))
        .map(Scope::name)
        .collect();
    names.join(", ")
}

/// Stands where a fault was noted, so that parsing can go on; never part of a result.
const PLACEHOLDER: Node = Node::Constant(Value::EMPTY);

/// Deepest nesting of parentheses, brackets, arguments and unary operators.
const MAX_DEPTH: usize = 32;
