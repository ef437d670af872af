//! The expression language of policy fields (`docs/spec.md` section 3).
//!
//! A field is text in a manifest: `{match: [{if, then}], else}`. [`Setting::parse`] turns it, once, into a
//! typed value: names become enums, functions become pointers, regexes are compiled, whatever does not
//! depend on the session is computed, and what can never become the field's type is a [`Fault`] with line
//! and column. What is left is evaluated against [`Facts`], which the session supplies.
//!
//! Nothing in here performs input or output. An evaluation that needs DNS, a directory or a store stops
//! with [`Interrupt::Needs`]; the host gets the answer and evaluates again, see [`Answers`].
//!
//! ```
//! use postern_core::expr::{ConditionalSource, Scope, Setting};
//!
//! let limit = Setting::<u64>::parse(&ConditionalSource::plain("10 * 1024"), Scope::Mail);
//! assert_eq!(limit.unwrap().constant_value(), Some(&10240));
//! ```
//!
//! From text to value: `token` -> `parser` -> [`Expression`] (a tree of `syntax`) -> `fold` -> `eval`.

mod eval;
mod expression;
mod facts;
mod fault;
mod fold;
mod functions;
mod kinds;
mod operators;
mod parser;
mod setting;
mod syntax;
mod target;
mod token;
mod value;
mod variable;
mod word;

pub use expression::Expression;
pub use facts::{Answers, DnsKind, Facts, Failure, Interrupt, Lookup, LookupFailure, System};
pub use fault::Fault;
pub use functions::{PureFunction, pure_functions, reverse_name};
pub use kinds::Kinds;
pub use setting::{ConditionalSource, Evaluated, FieldPath, Setting};
pub use target::{PriorityProfile, SaslMechanism, SaslMechanisms, Target, Text, TextList, Verify};
pub use value::{List, MAX_VALUE_OCTETS, Value};
pub use variable::{Scope, Variable, VariableSet};
pub use word::Word;

#[cfg(test)]
mod tests;
