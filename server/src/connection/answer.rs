//! The questions of the session, and who answers them.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use postern_core::cause::Cause;
use postern_core::expr::{Lookup, LookupFailure, Value};
use postern_core::policy::throttle::Rate;
use postern_core::session::check::{MessageResults, SenderCheck};
use postern_core::session::question::{
    Answer, Authentication, Credentials, DirectoryAnswer, MessageChecks, Question, Verify,
};
use postern_core::smtp::address::Address;
use postern_core::smtp::reply::{EnhancedCode, Reply};

use super::Connection;
use crate::auth;
use crate::gate::Gate;
use crate::handoff::{Inquiry, Verification};
use crate::metrics::AuthOutcome;
use crate::sender_auth;
use crate::store::Triple;

impl Connection {
    /// Asks whoever knows.
    ///
    /// Long questions are boxed: a connection has room for the largest future within it for as long as it lives.
    pub(super) async fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Lookup(lookup) => Answer::Value(Box::pin(self.look_up(&lookup)).await),
            Question::Throttle { index, key } => Answer::Admitted(self.count(index, &key).await),
            Question::Reserve(octets) => {
                self.allotment = self.gate.messages.reserve(octets);
                Answer::Admitted(self.allotment.is_some())
            }
            Question::Authenticate(credentials) => {
                Answer::Authentication(Box::pin(self.authenticate(credentials)).await)
            }
            Question::MayLogIn(rate) => Answer::Admitted(self.may_log_in(&rate).await),
            Question::LoginFailed(rate) => {
                let (store, client) = (&self.gate.store, self.remote_ip());
                Answer::Admitted(store.login_failed(&rate, client, Timestamp::now()).await)
            }
            Question::Verify(verify) => Answer::Verified(self::verify(&self.gate, &verify).await),
            Question::ReverseDns => {
                let check = sender_auth::reverse_dns(&self.gate.resolver, self.remote_ip());
                Answer::Check(Box::pin(check).await)
            }
            Question::SpfEhlo { helo } => {
                Answer::Check(sender_auth::spf_of_helo(&self.gate.resolver, self.remote_ip(), &helo).await)
            }
            Question::SpfMail { sender, helo } => Answer::Check(
                sender_auth::spf_of_sender(&self.gate.resolver, self.remote_ip(), &helo, &sender).await,
            ),
            Question::Message(wanted) => match Box::pin(self.check_message(wanted)).await {
                Some(results) => Answer::Message(Box::new(results)),
                // Nothing was kept to be checked, which the session refuses as any answer out of place.
                None => Answer::Admitted(false),
            },
            Question::Directory(address) => {
                let found = self.gate.directories.find(self.session.policy(), &address);
                Answer::Directory(Box::pin(found).await)
            }
            Question::Greylist { sender, recipient } => {
                Answer::Admitted(self.has_waited(&sender, &recipient).await)
            }
            Question::Consult(consultation) => {
                if consultation.asks_milters() {
                    self.refusable = None;
                }
                let kept = self.kept.as_ref();
                let ruling = self.panel.consult(&self.gate, &self.session, kept, &consultation);
                let ruling = Box::pin(ruling).await;
                self.journal.asked(self.panel.take_asked());
                Answer::Ruling(ruling)
            }
        }
    }

    fn remote_ip(&self) -> IpAddr {
        self.session.client().remote.ip()
    }

    /// The checks of the message in hand; nothing when there is none.
    async fn check_message(&self, wanted: MessageChecks) -> Option<MessageResults> {
        let kept = self.kept.as_ref()?;
        let spf = self.session.sender_spf().map(|SenderCheck { sender, check }| {
            let domain = sender.address().map_or(self.session.helo(), Address::key_domain);
            (domain.to_owned(), check.result)
        });
        let subject = sender_auth::Subject {
            message: kept.message.clone(),
            header: Arc::clone(&kept.header),
            now: u64::try_from(Timestamp::now().as_second()).unwrap_or_default(),
            dkim_strict: self.session.policy().sender_auth.dkim_strict,
            spf,
        };
        Some(sender_auth::message(&self.gate.resolver, subject, wanted).await)
    }

    async fn look_up(&self, lookup: &Lookup) -> Result<Value<'static>, LookupFailure> {
        let store = &self.gate.store;
        let truth = |yes: bool| Value::Integer(yes.into());
        Ok(match lookup {
            Lookup::KeyExists { key, .. } => truth(store.value(key).await.is_some()),
            Lookup::KeyGet { key, .. } => match store.value(key).await {
                Some(value) => Value::Text(value.into_string().into()),
                None => Value::EMPTY,
            },
            Lookup::KeySet { key, value, .. } => {
                store.set_value(key, value).await;
                truth(true)
            }
            Lookup::CounterGet { key, .. } => Value::Integer(store.count(key).await),
            Lookup::CounterIncrease { key, by, .. } => Value::Integer(store.increase(key, *by).await),
            Lookup::Dns { .. } => return self.gate.resolver.answer(lookup).await,
            Lookup::IsLocalAddress { address } => return self.is_local(address).await,
        })
    }

    async fn is_local(&self, address: &str) -> Result<Value<'static>, LookupFailure> {
        let Ok(address) = Address::parse(address) else { return Ok(Value::Integer(0)) };
        match self.gate.directories.find(self.session.policy(), &address).await {
            DirectoryAnswer::Mailbox(_) | DirectoryAnswer::List(_) => Ok(Value::Integer(1)),
            DirectoryAnswer::Unknown => Ok(Value::Integer(0)),
            DirectoryAnswer::Unavailable => {
                Err(LookupFailure::Directory("a directory gives no answer".into()))
            }
        }
    }

    async fn count(&self, index: usize, key: &str) -> bool {
        // An index comes from this very policy, so that nothing is found only if the session is wrong.
        let Some(throttle) = self.session.policy().throttles.get(index) else { return false };
        let admitted = self.gate.store.admit(throttle, key, Timestamp::now()).await;
        if !admitted {
            self.gate.metrics.throttled(throttle.class);
        }
        admitted
    }

    async fn may_log_in(&self, rate: &Rate) -> bool {
        let may = self.gate.store.may_log_in(rate, self.remote_ip(), Timestamp::now()).await;
        if !may {
            self.gate.metrics.authenticated(AuthOutcome::Throttled);
        }
        may
    }

    async fn has_waited(&self, sender: &str, recipient: &str) -> bool {
        // Asked only under a policy that has one.
        let Some(greylist) = &self.session.policy().filters.greylist else { return false };
        let triple = Triple::of(greylist, self.remote_ip(), sender, recipient);
        self.gate.store.has_waited(triple, greylist, Timestamp::now()).await
    }

    async fn authenticate(&self, credentials: Credentials) -> Authentication {
        let (outcome, counted) = match credentials {
            Credentials::Password { user, password } => {
                let clients = &self.gate.directories;
                match self.gate.authenticator.authenticate(&self.snapshot, clients, &user, &password).await {
                    auth::Outcome::Account(account) => {
                        (Authentication::Account(account), AuthOutcome::Accepted)
                    }
                    auth::Outcome::Wrong => (Authentication::Wrong, AuthOutcome::Wrong),
                    auth::Outcome::Forbidden => (Authentication::Forbidden, AuthOutcome::Forbidden),
                    auth::Outcome::Unavailable => (Authentication::Unavailable, AuthOutcome::Unavailable),
                }
            }
            Credentials::Token { user, token } => {
                let policy = self.session.policy();
                let outcome = self.gate.directories.token(policy, &token, user.as_deref()).await;
                let counted = match outcome {
                    Authentication::Account(_) => AuthOutcome::Accepted,
                    Authentication::Wrong => AuthOutcome::Wrong,
                    Authentication::Expired => AuthOutcome::Expired,
                    Authentication::Forbidden => AuthOutcome::Forbidden,
                    Authentication::Unavailable => AuthOutcome::Unavailable,
                };
                (outcome, counted)
            }
        };
        self.gate.metrics.authenticated(counted);
        outcome
    }
}

/// The first refusal among the next hops of new recipients.
pub(crate) async fn verify(gate: &Gate, verify: &Verify) -> Option<Reply> {
    for (recipient, route) in &verify.recipients {
        let inquiry = Inquiry {
            hostname: &verify.hostname,
            route,
            sender: &verify.envelope.sender,
            parameters: &verify.envelope.parameters,
            recipient,
        };
        match gate.handoff.verify(inquiry).await {
            Verification::Accepted => {}
            Verification::Refused(reply) | Verification::Unreachable(reply) => {
                let cause = Cause::object("MtaRoute", Arc::clone(&route.name));
                return Some(reply.or_because(Some(&cause)));
            }
        }
    }
    None
}

pub(super) const UNABLE: Reply =
    Reply::new(451, EnhancedCode(4, 3, 5), "Unable to handle this now, try again later");
