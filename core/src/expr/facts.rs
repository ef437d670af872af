//! What an evaluation is told from outside, and how it asks.

use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

use super::value::Value;
use super::variable::Variable;

/// The world as one evaluation sees it.
///
/// An implementation answers the same for the length of one evaluation and of its replays; evaluation is
/// deterministic, so it then asks the same questions in the same order.
pub trait Facts {
    /// The value of a variable, [`Value::EMPTY`] when it is not known yet.
    fn variable(&self, variable: Variable) -> Value<'_>;

    /// A property of this server.
    fn system(&self, system: System) -> Value<'_>;

    /// True when mail for this domain is ours. Names compare as lower-case A-labels.
    fn is_local_domain(&self, domain: &str) -> bool;

    /// The answer to a question that only the outside can answer, `None` when it is not here yet.
    ///
    /// The n-th call of an evaluation belongs to the n-th answer; [`Answers`] keeps such a log.
    fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>>;
}

/// A property of this server: the argument of `system()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    /// `hostname`: the default host name.
    Hostname,
    /// `domain`: the default domain, else the host name.
    Domain,
    /// `node_id`: number of this node.
    NodeId,
    /// `node_hostname`: the node's own name.
    NodeHostname,
    /// `node_role`: the node's role, empty without one.
    NodeRole,
}

impl System {
    /// Every property there is.
    pub const ALL: [Self; 5] =
        [Self::Hostname, Self::Domain, Self::NodeId, Self::NodeHostname, Self::NodeRole];

    /// The name that `system()` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::Domain => "domain",
            Self::NodeId => "node_id",
            Self::NodeHostname => "node_hostname",
            Self::NodeRole => "node_role",
        }
    }

    /// The property of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }
}

/// A question that needs input or output.
///
/// `store` is a lookup namespace, the name of a store, or empty for the default store; one that does not
/// exist is answered with empty text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// `dns_query`: addresses, names and hosts as a list of text, `txt` as one text. For [`DnsKind::Ptr`]
    /// the name is a valid IP address. NXDOMAIN and no data are answered with [`Lookup::nothing_found`].
    Dns {
        /// The name to ask for, as the expression gave it.
        name: String,
        /// What is asked.
        kind: DnsKind,
    },
    /// `key_exists`: 1 or 0.
    KeyExists {
        /// Where to look.
        store: String,
        /// What to look for.
        key: String,
    },
    /// `key_get`: the value as text, empty when absent.
    KeyGet {
        /// Where to look.
        store: String,
        /// What to look for.
        key: String,
    },
    /// `key_set`: 1 when it was stored.
    KeySet {
        /// Where to store.
        store: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `counter_get`: the count, 0 when absent.
    CounterGet {
        /// Where to look.
        store: String,
        /// Name of the counter.
        key: String,
    },
    /// `counter_incr`: the count after adding.
    CounterIncrease {
        /// Where to count.
        store: String,
        /// Name of the counter.
        key: String,
        /// What to add.
        by: i64,
    },
    /// `is_local_address`: 1 when the directory knows the address, else 0.
    IsLocalAddress {
        /// The address in question.
        address: String,
    },
}

impl Lookup {
    /// The answer that says that there is nothing: an empty list, empty text, or 0.
    pub fn nothing_found(&self) -> Value<'static> {
        match self {
            Self::Dns { kind: DnsKind::Txt, .. } | Self::KeyGet { .. } => Value::EMPTY,
            Self::Dns { .. } => Value::from(Vec::new()),
            Self::KeyExists { .. }
            | Self::KeySet { .. }
            | Self::CounterGet { .. }
            | Self::CounterIncrease { .. }
            | Self::IsLocalAddress { .. } => Value::Integer(0),
        }
    }
}

/// The type argument of `dns_query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsKind {
    /// `ipv4`: A records.
    Ipv4,
    /// `ipv6`: AAAA records.
    Ipv6,
    /// `ip`: A records, then AAAA records.
    Ip,
    /// `ptr`: names of an IP address.
    Ptr,
    /// `mx`: hosts without the final dot, best first.
    Mx,
    /// `txt`: one text.
    Txt,
}

impl DnsKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            "ip" => Some(Self::Ip),
            "ptr" => Some(Self::Ptr),
            "mx" => Some(Self::Mx),
            "txt" => Some(Self::Txt),
            _ => None,
        }
    }
}

/// Why an evaluation stopped before it had a value.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Interrupt {
    /// The host must answer this question and evaluate again.
    #[error("an answer from outside is needed")]
    Needs(Lookup),
    /// There is no value. What that means is decided where the field is used; it never opens the gate.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why an evaluation has no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// A question could not be answered.
    #[error(transparent)]
    Lookup(#[from] LookupFailure),
    /// The value is not one the field can use.
    #[error("the result is {found}, where {wanted} is needed")]
    NotConvertible {
        /// What came out.
        found: super::kinds::Kinds,
        /// What the field needs.
        wanted: &'static str,
    },
    /// A value exceeded [`super::MAX_VALUE_OCTETS`].
    #[error("a value grew beyond {} octets", super::MAX_VALUE_OCTETS)]
    TooLarge,
}

/// Why a question could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupFailure {
    /// DNS failed otherwise than by NXDOMAIN or no data.
    #[error("DNS failed: {0}")]
    Dns(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// The directory failed.
    #[error("the directory failed: {0}")]
    Directory(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// A replay asked something else than the evaluation before it: its facts have changed meanwhile.
    #[error("the facts changed between two replays")]
    OutOfStep,
}

/// The answers one evaluation was given so far, in the order of its questions.
///
/// The host's loop: evaluate; on [`Interrupt::Needs`] get the answer, [`push`](Self::push) it and evaluate
/// again. Every evaluation starts at the first answer, so a question is asked outside once, however often
/// the evaluation is replayed; that matters for `counter_incr` and `key_set`.
#[derive(Debug, Default)]
pub struct Answers {
    log: Vec<(Lookup, Result<Value<'static>, LookupFailure>)>,
    /// The place of the next answer. Atomic only so that a host may share what holds it; one evaluation runs
    /// at a time.
    next: AtomicUsize,
}

impl Answers {
    /// Adds the answer to the question the last evaluation stopped at, and starts over.
    pub fn push(&mut self, lookup: Lookup, answer: Result<Value<'static>, LookupFailure>) {
        self.log.push((lookup, answer));
        self.rewind();
    }

    /// Starts over with the first answer; needed before an evaluation that follows no [`push`](Self::push).
    pub fn rewind(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// Forgets everything, for the next expression.
    pub fn clear(&mut self) {
        self.log.clear();
        self.rewind();
    }

    /// The answer to the next question, `None` when it was not asked yet.
    ///
    /// # Errors
    /// The failure that was pushed, or [`LookupFailure::OutOfStep`] when another question was asked at this
    /// place before.
    pub fn take(&self, lookup: &Lookup) -> Option<Result<Value<'_>, LookupFailure>> {
        let place = self.next.load(Ordering::Relaxed);
        let (asked, answer) = self.log.get(place)?;
        self.next.store(place + 1, Ordering::Relaxed);
        if asked != lookup {
            return Some(Err(LookupFailure::OutOfStep));
        }
        Some(match answer {
            Ok(value) => Ok(value.borrowed()),
            Err(failure) => Err(failure.clone()),
        })
    }
}
