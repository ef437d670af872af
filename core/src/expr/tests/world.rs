//! Facts for tests: a session with values, and answers that were pushed.

use crate::expr::{Answers, Facts, Lookup, LookupFailure, System, Value, Variable};

/// A session at RCPT. Lookups have the answers of a log and stop without one.
pub(super) struct World {
    pub(super) local_port: i64,
    pub(super) authenticated_as: &'static str,
    pub(super) recipients: Vec<Value<'static>>,
    pub(super) answers: Answers,
}

impl Default for World {
    fn default() -> Self {
        Self {
            local_port: 25,
            authenticated_as: "",
            recipients: vec![Value::from("anna@example.org"), Value::from("bert@example.net")],
            answers: Answers::default(),
        }
    }
}

impl Facts for World {
    fn variable(&self, variable: Variable) -> Value<'_> {
        match variable {
            Variable::Listener => Value::from("edge"),
            Variable::RemoteIp => Value::from("192.0.2.7"),
            Variable::LocalPort => Value::from(self.local_port),
            Variable::IsTls => Value::from(true),
            Variable::AuthenticatedAs => Value::from(self.authenticated_as),
            Variable::HeloDomain => Value::from("Mail.Example.COM"),
            Variable::Sender => Value::from("carl@example.com"),
            Variable::SenderDomain => Value::from("example.com"),
            Variable::Rcpt => Value::from("bert@example.net"),
            Variable::RcptDomain => Value::from("example.net"),
            Variable::Recipients => Value::List(crate::expr::List::Shared(&self.recipients)),
            Variable::Priority => Value::from("0"),
            _ => Value::EMPTY,
        }
    }

    fn system(&self, system: System) -> Value<'_> {
        Value::from(system.name())
    }

    fn is_local_domain(&self, domain: &str) -> bool {
        domain == "example.net"
    }

    fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        self.answers.take(lookup)
    }
}
