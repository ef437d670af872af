//! Functions that ask the directory, a lookup store or the DNS.

use std::net::IpAddr;

use super::{Body, Function};
use crate::expr::facts::{DnsKind, Lookup};
use crate::expr::kinds::Kinds;
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::special("is_local_domain", Kinds::INTEGER, Body::IsLocalDomain),
    LookupFunction::IsLocalAddress.named(),
    LookupFunction::KeyExists.named(),
    LookupFunction::KeyGet.named(),
    LookupFunction::KeySet.named(),
    LookupFunction::CounterGet.named(),
    LookupFunction::CounterIncrease.named(),
    LookupFunction::DnsQuery.named(),
    Function::special(
        "sql_query",
        Kinds::ANY,
        Body::Refused("there is no SQL store; use `key_exists` or `key_get` with an MtaLookup"),
    ),
];

/// A function that needs an answer from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::expr) enum LookupFunction {
    IsLocalAddress,
    KeyExists,
    KeyGet,
    KeySet,
    CounterGet,
    CounterIncrease,
    DnsQuery,
}

/// What a call of such a function comes to.
pub(in crate::expr) enum Question {
    /// Ask this.
    Ask(Lookup),
    /// The arguments decide the answer already.
    Known(Value<'static>),
}

impl LookupFunction {
    const fn named(self) -> Function {
        Function::special(self.name(), Kinds::ANY, Body::Lookup(self))
    }

    pub(in crate::expr) const fn name(self) -> &'static str {
        match self {
            Self::IsLocalAddress => "is_local_address",
            Self::KeyExists => "key_exists",
            Self::KeyGet => "key_get",
            Self::KeySet => "key_set",
            Self::CounterGet => "counter_get",
            Self::CounterIncrease => "counter_incr",
            Self::DnsQuery => "dns_query",
        }
    }

    pub(in crate::expr) fn arity(self) -> usize {
        match self {
            Self::IsLocalAddress => 1,
            Self::KeyExists | Self::KeyGet | Self::CounterGet | Self::DnsQuery => 2,
            Self::KeySet | Self::CounterIncrease => 3,
        }
    }

    /// The types the answer may have; an unknown store is answered with empty text.
    pub(in crate::expr) fn gives(self) -> Kinds {
        match self {
            Self::IsLocalAddress => Kinds::INTEGER,
            Self::KeyExists | Self::KeySet | Self::CounterGet | Self::CounterIncrease => {
                Kinds::INTEGER | Kinds::TEXT
            }
            Self::KeyGet => Kinds::TEXT,
            Self::DnsQuery => Kinds::LIST | Kinds::TEXT,
        }
    }

    /// The question for these arguments, of which there are [`Self::arity`].
    pub(in crate::expr) fn question<'a>(self, arguments: impl IntoIterator<Item = Value<'a>>) -> Question {
        let mut arguments = arguments.into_iter();
        let mut value = || arguments.next().unwrap_or(Value::EMPTY);
        let text = |value: Value<'_>| value.into_text().into_owned();
        Question::Ask(match self {
            Self::IsLocalAddress => Lookup::IsLocalAddress { address: text(value()) },
            Self::KeyExists => Lookup::KeyExists { store: text(value()), key: text(value()) },
            Self::KeyGet => Lookup::KeyGet { store: text(value()), key: text(value()) },
            Self::KeySet => Lookup::KeySet { store: text(value()), key: text(value()), value: text(value()) },
            Self::CounterGet => Lookup::CounterGet { store: text(value()), key: text(value()) },
            Self::CounterIncrease => Lookup::CounterIncrease {
                store: text(value()),
                key: text(value()),
                by: value().to_integer().unwrap_or(0),
            },
            Self::DnsQuery => return dns(text(value()), &text(value())),
        })
    }
}

fn dns(name: String, kind: &str) -> Question {
    let Some(kind) = DnsKind::from_name(kind) else { return Question::Known(Value::EMPTY) };
    let askable = kind != DnsKind::Ptr || name.parse::<IpAddr>().is_ok();
    let lookup = Lookup::Dns { name, kind };
    if askable { Question::Ask(lookup) } else { Question::Known(lookup.nothing_found()) }
}
