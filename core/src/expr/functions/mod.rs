//! The functions of the language (`docs/spec.md` section 3.6), as tables of names and pointers.

mod address;
mod array;
mod hash;
mod logic;
mod outside;
mod split;
mod text;

pub use address::reverse_name;
pub(super) use outside::{LookupFunction, Question};

use super::facts::Failure;
use super::kinds::Kinds;
use super::syntax::Node;
use super::value::Value;

/// A function: its name, what it does and what may come out.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) body: Body,
    gives: Kinds,
}

/// What a function does.
#[derive(Debug)]
pub(super) enum Body {
    /// A pure function of one argument; likewise the next two.
    One(One),
    Two(Two),
    Three(Three),
    /// `is_local_domain`, which the policy in force answers at once.
    IsLocalDomain,
    /// Needs an answer from outside.
    Lookup(LookupFunction),
    /// `matches`, whose first argument is compiled.
    Matches,
    /// `system`, whose argument is resolved.
    System,
    /// Known to the reference and left out here; says why.
    Refused(&'static str),
}

pub(super) type One = for<'a> fn(Value<'a>) -> Result<Value<'a>, Failure>;
pub(super) type Two = for<'a> fn(Value<'a>, Value<'a>) -> Result<Value<'a>, Failure>;
pub(super) type Three = for<'a> fn(Value<'a>, Value<'a>, Value<'a>) -> Result<Value<'a>, Failure>;

impl Function {
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        [
            text::FUNCTIONS,
            split::FUNCTIONS,
            array::FUNCTIONS,
            address::FUNCTIONS,
            hash::FUNCTIONS,
            logic::FUNCTIONS,
            outside::FUNCTIONS,
        ]
        .into_iter()
        .flatten()
    }

    /// The function of that name; names are case-sensitive.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|function| function.name == name)
    }

    /// Number of arguments it takes.
    pub(super) fn arity(&self) -> usize {
        match &self.body {
            Body::One(_) | Body::IsLocalDomain | Body::System => 1,
            Body::Two(_) | Body::Matches => 2,
            Body::Three(_) => 3,
            Body::Lookup(lookup) => lookup.arity(),
            Body::Refused(_) => 0,
        }
    }

    const fn one(name: &'static str, gives: Kinds, function: One) -> Self {
        Self { name, body: Body::One(function), gives }
    }

    const fn two(name: &'static str, gives: Kinds, function: Two) -> Self {
        Self { name, body: Body::Two(function), gives }
    }

    const fn three(name: &'static str, gives: Kinds, function: Three) -> Self {
        Self { name, body: Body::Three(function), gives }
    }

    const fn special(name: &'static str, gives: Kinds, body: Body) -> Self {
        Self { name, body, gives }
    }
}

/// A pure function with as many arguments as it takes.
#[derive(Debug, Clone)]
pub(super) enum Call {
    One(&'static Function, One, [Node; 1]),
    Two(&'static Function, Two, [Node; 2]),
    Three(&'static Function, Three, [Node; 3]),
}

impl Call {
    /// Puts a pure function and its arguments together; `None` when they do not fit.
    pub(super) fn bind(function: &'static Function, arguments: Vec<Node>) -> Option<Self> {
        Some(match function.body {
            Body::One(pointer) => Self::One(function, pointer, arguments.try_into().ok()?),
            Body::Two(pointer) => Self::Two(function, pointer, arguments.try_into().ok()?),
            Body::Three(pointer) => Self::Three(function, pointer, arguments.try_into().ok()?),
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.function().name
    }

    /// The types the result may have.
    pub(super) fn gives(&self) -> Kinds {
        self.function().gives
    }

    pub(super) fn arguments(&self) -> &[Node] {
        match self {
            Self::One(.., arguments) => arguments,
            Self::Two(.., arguments) => arguments,
            Self::Three(.., arguments) => arguments,
        }
    }

    pub(super) fn arguments_mut(&mut self) -> &mut [Node] {
        match self {
            Self::One(.., arguments) => arguments,
            Self::Two(.., arguments) => arguments,
            Self::Three(.., arguments) => arguments,
        }
    }

    fn function(&self) -> &'static Function {
        match self {
            Self::One(function, ..) | Self::Two(function, ..) | Self::Three(function, ..) => function,
        }
    }
}

/// A function that needs nothing but its arguments, for other languages that share it (Sieve's `eval`).
#[derive(Debug, Clone, Copy)]
pub struct PureFunction(&'static Function);

impl PureFunction {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Number of arguments it takes, 1 to 3.
    pub fn arity(self) -> usize {
        self.0.arity()
    }

    /// The value for these arguments; missing ones are empty text, further ones are ignored.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub fn call<'a>(self, arguments: impl IntoIterator<Item = Value<'a>>) -> Result<Value<'a>, Failure> {
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().unwrap_or(Value::EMPTY);
        match self.0.body {
            Body::One(function) => function(next()),
            Body::Two(function) => function(next(), next()),
            Body::Three(function) => function(next(), next(), next()),
            _ => Ok(Value::EMPTY),
        }
    }
}

/// All functions that need nothing but their arguments.
pub fn pure_functions() -> impl Iterator<Item = PureFunction> {
    Function::all()
        .filter(|function| matches!(function.body, Body::One(_) | Body::Two(_) | Body::Three(_)))
        .map(PureFunction)
}

/// A count or place given as an argument: negative and unreadable ones are 0.
fn size(value: &Value<'_>) -> usize {
    usize::try_from(value.to_integer().unwrap_or(0)).unwrap_or(0)
}
