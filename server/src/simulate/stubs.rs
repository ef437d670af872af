//! What the world outside says where nobody asks it.

use std::sync::Arc;

use postern_core::expr::{DnsKind, Lookup, LookupFailure, Value};
use postern_core::policy::Policy;
use postern_core::session::check::{Check, CheckResult, Dmarc, DmarcPolicy, MessageResults, Signature};
use postern_core::session::consult::Rule;
use postern_core::session::question::MessageChecks;
use postern_core::smtp::address::{Address, ReversePath};
use postern_core::verdict::{FilterKind, Stage, Verdict};

use super::visit::Visit;

/// Answers that are given instead of asking. The default is a world without troubles: filters say "continue", checks
/// have nothing to go by, names do not exist, throttles only count this session.
#[derive(Debug, Clone, Default)]
pub struct Stubs {
    /// Reverse DNS; unset: `pass` when the client has a name, else `none`.
    pub reverse_dns: Option<CheckResult>,
    /// SPF of the EHLO name.
    pub spf_ehlo: Option<CheckResult>,
    /// SPF of the sender.
    pub spf: Option<CheckResult>,
    /// The one DKIM signature; unset: there is none.
    pub dkim: Option<CheckResult>,
    /// The ARC chain.
    pub arc: Option<CheckResult>,
    /// DMARC, and what the domain asks for.
    pub dmarc: Option<(CheckResult, DmarcPolicy)>,
    /// What filters say.
    pub filters: Vec<FilterStub>,
    /// What expressions find.
    pub lookups: Vec<LookupStub>,
    /// Names of throttles that refuse.
    pub throttled: Vec<String>,
    /// Whether the greylist lets everybody wait.
    pub greylisted: bool,
}

/// What one filter says.
#[derive(Debug, Clone)]
pub struct FilterStub {
    /// What it is.
    pub kind: FilterKind,
    /// `metadata.name`
    pub name: String,
    /// Where; unset: at every stage.
    pub stage: Option<Stage>,
    /// Its verdict; none: it breaks.
    pub says: Option<Verdict>,
}

/// What one lookup finds.
#[derive(Debug, Clone)]
pub struct LookupStub {
    /// What is looked up.
    pub what: LookupKey,
    /// What is found; none: nobody could tell.
    pub finds: Option<Vec<String>>,
}

/// A lookup that can be answered in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupKey {
    /// `dns_query`
    Dns {
        /// The kind of records.
        kind: DnsKind,
        /// The name.
        name: String,
    },
    /// `key_exists` and `key_get`
    Key {
        /// The store; empty: the one of the server.
        store: String,
        /// The key.
        key: String,
    },
}

impl Stubs {
    /// What is said of the client's address.
    pub(super) fn reverse_dns(&self, visit: &Visit) -> Check {
        let by_name = if visit.ptr.is_some() { CheckResult::Pass } else { CheckResult::None };
        let result = self.reverse_dns.unwrap_or(by_name);
        let detail = visit.ptr.as_deref().filter(|_| result == CheckResult::Pass).map(Arc::from);
        Check { result, detail }
    }

    pub(super) fn spf_ehlo(&self) -> Check {
        plain(self.spf_ehlo)
    }

    pub(super) fn spf(&self) -> Check {
        plain(self.spf)
    }

    /// What is said of the message of a sender.
    pub(super) fn message(&self, wanted: MessageChecks, sender: Option<&ReversePath>) -> MessageResults {
        let domain = sender.and_then(ReversePath::address).map_or("", Address::key_domain);
        let (result, policy) = self.dmarc.unwrap_or((CheckResult::None, DmarcPolicy::None));
        MessageResults {
            dkim: wanted.dkim.then(|| self.dkim.map(Signature::from).into_iter().collect()),
            arc: wanted.arc.then(|| self.arc.unwrap_or(CheckResult::None)),
            dmarc: wanted.dmarc.then(|| Dmarc { result, policy, from: domain.into(), reason: None }),
        }
    }

    /// What a filter says, where it was told to say anything.
    pub(super) fn filter(&self, rule: &Rule, stage: Stage) -> Option<&FilterStub> {
        self.filters.iter().find(|stub| {
            stub.kind == rule.kind && *stub.name == *rule.name && stub.stage.is_none_or(|only| only == stage)
        })
    }

    /// What a lookup finds, where that was said.
    pub(super) fn lookup(&self, lookup: &Lookup) -> Option<Result<Value<'static>, LookupFailure>> {
        let key = match lookup {
            Lookup::Dns { name, kind } => LookupKey::Dns { kind: *kind, name: name.to_lowercase() },
            Lookup::KeyExists { store, key } | Lookup::KeyGet { store, key } => {
                LookupKey::Key { store: store.clone(), key: key.clone() }
            }
            _ => return None,
        };
        let stub = self.lookups.iter().find(|stub| stub.what == key)?;
        let Some(found) = &stub.finds else {
            let why = "as the stub says".to_owned();
            return Some(Err(match lookup {
                Lookup::Dns { .. } => LookupFailure::Dns(why),
                _ => LookupFailure::Store(why),
            }));
        };
        Some(Ok(match lookup {
            Lookup::KeyExists { .. } => Value::Integer(1),
            Lookup::KeyGet { .. } | Lookup::Dns { kind: DnsKind::Txt, .. } => Value::from(found.concat()),
            _ => Value::from(found.iter().cloned().map(Value::from).collect::<Vec<_>>()),
        }))
    }
}

fn plain(result: Option<CheckResult>) -> Check {
    Check { result: result.unwrap_or(CheckResult::None), detail: None }
}

/// The result of that name.
pub fn result_of(word: &str) -> Option<CheckResult> {
    use CheckResult::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
    [Pass, Fail, SoftFail, Neutral, None, TempError, PermError]
        .into_iter()
        .find(|result| result.name() == word)
}

/// `fail`, `fail:quarantine`: a result, and what the domain asks for (`reject` when that is not said).
pub fn dmarc_of(text: &str) -> Option<(CheckResult, DmarcPolicy)> {
    let (word, policy) = text.split_once(':').unwrap_or((text, "reject"));
    let policies = [DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject];
    let policy = policies.into_iter().find(|known| known.name() == policy)?;
    Some((result_of(word)?, policy))
}

/// The stage of that name.
pub fn stage_of(name: &str) -> Option<Stage> {
    [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data]
        .into_iter()
        .find(|stage| stage.name() == name)
}

/// The kind of filter that objects of that kind describe.
pub fn filter_kind_of(object_kind: &str) -> Option<FilterKind> {
    [FilterKind::Milter, FilterKind::Sieve, FilterKind::SpamFilter, FilterKind::Pipe, FilterKind::Hook]
        .into_iter()
        .find(|kind| kind.object_kind() == object_kind)
}

impl Stubs {
    /// Whether everything that is stubbed exists.
    ///
    /// # Errors
    /// The first filter or throttle that the policy does not have.
    pub fn check(&self, policy: &Policy) -> Result<(), String> {
        for stub in &self.filters {
            if !has_filter(policy, stub.kind, &stub.name) {
                return Err(format!("{}/{}", stub.kind.object_kind(), stub.name));
            }
        }
        match self.throttled.iter().find(|name| policy.throttles.iter().all(|known| *known.name != ***name)) {
            Some(name) => Err(format!("MtaInboundThrottle/{name}")),
            None => Ok(()),
        }
    }
}

/// Whether a policy has that filter.
#[must_use]
pub fn has_filter(policy: &Policy, kind: FilterKind, name: &str) -> bool {
    let filters = &policy.filters;
    match kind {
        FilterKind::Milter => filters.milters.iter().any(|milter| *milter.process.name == *name),
        FilterKind::Sieve => filters.scripts.values().any(|script| *script.name == *name),
        FilterKind::SpamFilter => filters.spam_filter.iter().any(|filter| *filter.process.name == *name),
        FilterKind::Pipe => filters.pipes.iter().any(|pipe| *pipe.process.name == *name),
        FilterKind::Hook => filters.hooks.iter().any(|hook| *hook.process.name == *name),
    }
}
