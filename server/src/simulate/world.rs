//! The world outside of one simulated session: who answers its questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use postern_core::envelope::Recipient;
use postern_core::expr::{Lookup, LookupFailure, Value};
use postern_core::policy::directory::Account;
use postern_core::policy::route::{Route, RouteTarget};
use postern_core::session::Session;
use postern_core::session::check::SenderCheck;
use postern_core::session::question::{
    Answer, Authentication, DirectoryAnswer, MessageChecks, Question, Verify,
};
use postern_core::smtp::address::Address;
use sha2::{Digest as _, Sha256};

use super::recording::{Recorded, Recording};
use super::report::{Finding, Source};
use super::stubs::Stubs;
use super::visit::Visit;
use super::words::{described, dns_kind, shown};
use crate::connection;
use crate::filter::Panel;
use crate::gate::Gate;
use crate::message::Whole;
use crate::sender_auth;
use crate::store::{CounterKey, Counters};

/// How the world outside is asked.
#[derive(Debug)]
pub enum Outside {
    /// It is not: stubs answer.
    Stubbed(Stubs),
    /// A recording answers; where it knows nothing, stubs do.
    Recorded(Recording, Stubs),
    /// It is asked; what it says is kept where somebody wants it.
    Live(Option<Mutex<Recording>>),
}

impl Outside {
    /// What a report says about it.
    #[must_use]
    pub const fn described(&self) -> &'static str {
        match self {
            Self::Stubbed(_) => {
                "stubbed: nobody was asked; filters continue and checks find nothing unless told otherwise, \
                 Sieve scripts run"
            }
            Self::Recorded(..) => "recorded: filters and DNS as they answered when the recording was made",
            Self::Live(_) => "live: filters, DNS and the next hops' recipients were really asked",
        }
    }

    pub(super) fn stubs(&self) -> Option<&Stubs> {
        match self {
            Self::Stubbed(stubs) | Self::Recorded(_, stubs) => Some(stubs),
            Self::Live(_) => None,
        }
    }

    pub(super) fn recording(&self) -> Option<&Recording> {
        match self {
            Self::Recorded(recording, _) => Some(recording),
            _ => None,
        }
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Keeps a live answer.
    pub(super) fn keep(&self, key: String, answer: impl FnOnce() -> Option<Recorded>) {
        if let Self::Live(Some(recording)) = self
            && let Some(answer) = answer()
        {
            recording.lock().unwrap_or_else(PoisonError::into_inner).keep(key, answer);
        }
    }
}

/// The world of one session. Counters, keys and greylists begin empty.
pub(super) struct World<'a> {
    pub(super) gate: &'a Arc<Gate>,
    pub(super) visit: &'a Visit,
    pub(super) outside: &'a Outside,
    account: Option<Arc<Account>>,
    counters: Counters,
    keys: HashMap<String, String>,
    counts: HashMap<String, i64>,
    pub(super) panel: Panel,
    /// The message that was read.
    pub(super) kept: Option<Whole>,
    /// By which recordings know it.
    pub(super) digest: String,
    pub(super) now: Timestamp,
    /// Every answer to the decision under way, in order; of lookups only who gave it.
    pub(super) answers: Vec<Told>,
}

/// An answer that was given.
#[derive(Debug)]
pub(super) enum Told {
    Lookup(Lookup, Source),
    Finding(Box<Finding>),
}

impl<'a> World<'a> {
    pub(super) fn new(
        gate: &'a Arc<Gate>,
        visit: &'a Visit,
        outside: &'a Outside,
        account: Option<Arc<Account>>,
        now: Timestamp,
    ) -> Self {
        Self {
            gate,
            visit,
            outside,
            account,
            counters: Counters::default(),
            keys: HashMap::new(),
            counts: HashMap::new(),
            panel: Panel::default(),
            kept: None,
            digest: String::new(),
            now,
            answers: Vec::new(),
        }
    }

    /// The answer to a question, which is also noted for the report.
    pub(super) async fn answer(&mut self, session: &Session, question: &Question) -> Answer {
        if let Question::Consult(consultation) = question {
            let (ruling, finding) = self.consult(session, consultation).await;
            self.answers.push(Told::Finding(Box::new(finding)));
            return Answer::Ruling(ruling);
        }
        let (answer, source) = self.ask(session, question).await;
        self.answers.push(match question {
            Question::Lookup(lookup) => Told::Lookup(lookup.clone(), source),
            Question::Authenticate(_) if source == Source::Stub => Told::Finding(Box::new(Finding::Answer {
                asked: described(session, question),
                answer: format!(
                    "{}; its directory was not asked, so its aliases are not known",
                    shown(&answer)
                ),
                source,
            })),
            question => Told::Finding(Box::new(Finding::Answer {
                asked: described(session, question),
                answer: shown(&answer),
                source,
            })),
        });
        answer
    }

    async fn ask(&mut self, session: &Session, question: &Question) -> (Answer, Source) {
        let gate = self.gate;
        let (ip, resolver, stubs) = (self.visit.ip, &gate.resolver, Stubs::default());
        let stubs = self.outside.stubs().unwrap_or(&stubs);
        match question {
            Question::Lookup(lookup) => {
                let (value, source) = self.look_up(session, lookup).await;
                (Answer::Value(value), source)
            }
            Question::Throttle { index, key } => self.count(session, *index, key, stubs),
            Question::ReverseDns => {
                let live = async { Answer::Check(sender_auth::reverse_dns(resolver, ip).await) };
                let stub = || {
                    let given = stubs.reverse_dns.is_some() || self.visit.ptr.is_some();
                    (Answer::Check(stubs.reverse_dns(self.visit)), given)
                };
                self.outside(format!("reverse-dns {ip}"), stub, live).await
            }
            Question::SpfEhlo { helo } => {
                let live = async { Answer::Check(sender_auth::spf_of_helo(resolver, ip, helo).await) };
                let stub = || (Answer::Check(stubs.spf_ehlo()), stubs.spf_ehlo.is_some());
                self.outside(format!("spf-ehlo {ip} {helo}"), stub, live).await
            }
            Question::SpfMail { sender, helo } => {
                let live =
                    async { Answer::Check(sender_auth::spf_of_sender(resolver, ip, helo, sender).await) };
                let stub = || (Answer::Check(stubs.spf()), stubs.spf.is_some());
                self.outside(format!("spf {ip} {helo} {sender}"), stub, live).await
            }
            Question::Message(wanted) => self.check_message(session, *wanted, stubs).await,
            Question::Authenticate(_) => {
                let account = self.account.clone();
                let is_listed = account.as_ref().is_none_or(|account| {
                    let mut inline = session.policy().directories.iter().filter_map(|one| one.inline());
                    inline.any(|inline| inline.get(account.address.key()).is_some())
                });
                let outcome = account.map_or(Authentication::Wrong, Authentication::Account);
                (Answer::Authentication(outcome), if is_listed { Source::Here } else { Source::Stub })
            }
            Question::Directory(address) => self.find(session, address).await,
            Question::Greylist { .. } => match stubs.greylisted {
                true => (Answer::Admitted(false), Source::Given),
                false => (Answer::Admitted(true), Source::Stub),
            },
            Question::MayLogIn(_) | Question::LoginFailed(_) => (Answer::Admitted(true), Source::Here),
            Question::Reserve(_) => (Answer::Admitted(true), Source::Here),
            Question::Verify(verify) => self.verify(verify).await,
            // Taken by `answer` before it gets here.
            Question::Consult(_) => (Answer::Admitted(false), Source::Here),
        }
    }

    /// The answer by whoever is to be asked in this manner; a stub says whether it was given on purpose.
    async fn outside(
        &self,
        key: String,
        stub: impl FnOnce() -> (Answer, bool),
        live: impl Future<Output = Answer>,
    ) -> (Answer, Source) {
        match self.outside {
            Outside::Live(_) => {
                let answer = live.await;
                self.outside.keep(key, || Recorded::of(&answer));
                (answer, Source::Live)
            }
            Outside::Stubbed(_) => given_or_stub(stub()),
            Outside::Recorded(recording, _) => match recording.get(&key).and_then(Recorded::answer) {
                Some(answer) => (answer, Source::Recorded),
                None => given_or_stub(stub()),
            },
        }
    }

    fn count(&self, session: &Session, index: usize, key: &str, stubs: &Stubs) -> (Answer, Source) {
        let Some(throttle) = session.policy().throttles.get(index) else {
            return (Answer::Admitted(false), Source::Here);
        };
        if stubs.throttled.iter().any(|name| **name == *throttle.name) {
            return (Answer::Admitted(false), Source::Given);
        }
        let admitted = self.counters.admit(CounterKey::of(throttle, key), &throttle.rate, self.now);
        (Answer::Admitted(admitted), Source::Here)
    }

    async fn check_message(
        &self,
        session: &Session,
        wanted: MessageChecks,
        stubs: &Stubs,
    ) -> (Answer, Source) {
        let stub = || {
            let sender = session.envelope().map(|envelope| &envelope.sender);
            let given = stubs.dkim.is_some() || stubs.arc.is_some() || stubs.dmarc.is_some();
            (Answer::Message(Box::new(stubs.message(wanted, sender))), given)
        };
        let dkim_strict = session.policy().sender_auth.dkim_strict;
        let live = async {
            let Some(kept) = &self.kept else { return Answer::Message(Box::default()) };
            let spf = session.sender_spf().map(|SenderCheck { sender, check }| {
                let domain = sender.address().map_or(session.helo(), Address::key_domain);
                (domain.to_owned(), check.result)
            });
            let subject = sender_auth::Subject {
                message: kept.message.clone(),
                header: Arc::clone(&kept.header),
                now: u64::try_from(self.now.as_second()).unwrap_or_default(),
                dkim_strict,
                spf,
            };
            Answer::Message(Box::new(sender_auth::message(&self.gate.resolver, subject, wanted).await))
        };
        let MessageChecks { dkim, arc, dmarc } = wanted;
        let sender = session.envelope().map(|envelope| envelope.sender.to_string()).unwrap_or_default();
        let spf = session.sender_spf().map_or("-", |spf| spf.check.result.name());
        let key = format!(
            "message {} {sender} {} {} spf={spf} dkim={dkim} dkim-strict={dkim_strict} arc={arc} dmarc={dmarc}",
            self.digest,
            self.visit.ip,
            session.helo()
        );
        self.outside(key, stub, live).await
    }

    async fn verify(&self, verify: &Verify) -> (Answer, Source) {
        let is_here = |(_, route): &(Recipient, Arc<Route>)| matches!(route.target, RouteTarget::Maildir(_));
        let (here, elsewhere) = verify.recipients.iter().cloned().partition(is_here);
        // Nobody is asked whether an address makes a folder.
        let here = Verify { recipients: here, ..verify.clone() };
        let refusal = connection::verify(self.gate, &here).await;
        match refusal.is_some() || elsewhere.is_empty() {
            true => (Answer::Verified(refusal), Source::Here),
            false => self.verify_elsewhere(&Verify { recipients: elsewhere, ..verify.clone() }).await,
        }
    }

    async fn verify_elsewhere(&self, verify: &Verify) -> (Answer, Source) {
        let recipients = verify
            .recipients
            .iter()
            .map(|(recipient, route)| format!("{} {}", route.name, recipient.address.key()));
        let sender = &verify.envelope.sender;
        let key = format!("next-hop {sender} {}", recipients.collect::<Vec<_>>().join(" "));
        let live = async { Answer::Verified(connection::verify(self.gate, verify).await) };
        self.outside(key, || (Answer::Verified(None), false), live).await
    }

    /// Who has an address, as directories outside of the policy know it.
    async fn find(&self, session: &Session, address: &Address) -> (Answer, Source) {
        let live = async { Answer::Directory(self.gate.directories.find(session.policy(), address).await) };
        let stub = || (Answer::Directory(DirectoryAnswer::Mailbox(address.clone())), false);
        self.outside(format!("directory {}", address.key()), stub, live).await
    }

    async fn is_local(
        &self,
        session: &Session,
        address: &str,
    ) -> (Result<Value<'static>, LookupFailure>, Source) {
        let Ok(address) = Address::parse(address) else { return (Ok(Value::Integer(0)), Source::Here) };
        let (answer, source) = self.find(session, &address).await;
        let value = match answer {
            Answer::Directory(DirectoryAnswer::Mailbox(_) | DirectoryAnswer::List(_)) => {
                Ok(Value::Integer(1))
            }
            Answer::Directory(DirectoryAnswer::Unknown) => Ok(Value::Integer(0)),
            _ => Err(LookupFailure::Directory("a directory gives no answer".to_owned())),
        };
        (value, source)
    }

    async fn look_up(
        &mut self,
        session: &Session,
        lookup: &Lookup,
    ) -> (Result<Value<'static>, LookupFailure>, Source) {
        if let Some(value) = self.outside.stubs().and_then(|stubs| stubs.lookup(lookup)) {
            return (value, Source::Given);
        }
        let truth = |yes: bool| Value::Integer(yes.into());
        let value = match lookup {
            Lookup::Dns { name, kind } => {
                let key = format!("dns {} {}", dns_kind(*kind), name.to_lowercase());
                let live = async { Answer::Value(self.gate.resolver.answer(lookup).await) };
                let stub = || (Answer::Value(Ok(lookup.nothing_found())), false);
                return match self.outside(key, stub, live).await {
                    (Answer::Value(value), source) => (value, source),
                    (_, source) => (Err(LookupFailure::OutOfStep), source),
                };
            }
            Lookup::KeyExists { key, .. } => truth(self.keys.contains_key(key)),
            Lookup::KeyGet { key, .. } => {
                self.keys.get(key).map_or(Value::EMPTY, |value| Value::from(value.clone()))
            }
            Lookup::KeySet { key, value, .. } => {
                self.keys.insert(key.clone(), value.clone());
                truth(true)
            }
            Lookup::CounterGet { key, .. } => {
                Value::Integer(self.counts.get(key).copied().unwrap_or_default())
            }
            Lookup::CounterIncrease { key, by, .. } => {
                let count = self.counts.entry(key.clone()).or_default();
                *count = count.saturating_add(*by);
                Value::Integer(*count)
            }
            Lookup::IsLocalAddress { address } => return self.is_local(session, address).await,
        };
        (Ok(value), Source::Here)
    }
}

/// By which recordings know octets.
pub(super) fn digest(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

fn given_or_stub((answer, given): (Answer, bool)) -> (Answer, Source) {
    (answer, if given { Source::Given } else { Source::Stub })
}
