//! The questions of the session, and who answers them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_core::expr::{Lookup, LookupFailure, Value};
use postern_core::handoff::Outcome;
use postern_core::message::draft::Draft;
use postern_core::message::draft::Piece;
use postern_core::policy::listener::Protocol;
use postern_core::session::check::{MessageResults, SenderCheck};
use postern_core::session::event::{Delivery, HandedOff};
use postern_core::session::question::{
    Answer, Authentication, Credentials, DirectoryAnswer, MessageChecks, Question, Verify,
};
use postern_core::smtp::address::Address;
use postern_core::smtp::reply::{EnhancedCode, Reply};
use postern_core::verdict::Verdict;
use tokio::time::Instant;

use super::Connection;
use crate::auth;
use crate::handoff::{self, Answers, Inquiry, Verification};
use crate::message::{Content, ContentBuilder};
use crate::metrics::{AuthOutcome, MessageOutcome};
use crate::sender_auth;
use crate::throttle::CounterKey;

impl Connection {
    pub(super) async fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Lookup(lookup) => Answer::Value(self.look_up(&lookup).await),
            Question::Throttle { index, key } => Answer::Admitted(self.count(index, &key)),
            Question::Reserve(octets) => {
                self.allotment = self.gate.messages.reserve(octets);
                Answer::Admitted(self.allotment.is_some())
            }
            Question::Authenticate(credentials) => {
                Answer::Authentication(self.authenticate(credentials).await)
            }
            Question::Verify(verify) => Answer::Verified(self.verify(*verify).await),
            Question::ReverseDns => {
                Answer::Check(sender_auth::reverse_dns(&self.gate.resolver, self.remote_ip()).await)
            }
            Question::SpfEhlo { helo } => {
                Answer::Check(sender_auth::spf_of_helo(&self.gate.resolver, self.remote_ip(), &helo).await)
            }
            Question::SpfMail { sender, helo } => Answer::Check(
                sender_auth::spf_of_sender(&self.gate.resolver, self.remote_ip(), &helo, &sender).await,
            ),
            Question::Message(wanted) => match self.check_message(wanted).await {
                Some(results) => Answer::Message(Box::new(results)),
                // Nothing was kept to be checked, which the session refuses as any answer out of place.
                None => Answer::Admitted(false),
            },
            // What this build cannot ask is never taken for a yes: checks have a temporary error,
            // directories are unavailable, filters defer. `serve` refuses policies that would need them.
            Question::Directory(_) => Answer::Directory(DirectoryAnswer::Unavailable),
            Question::Greylist { .. } => Answer::Admitted(false),
            Question::Consult(_) => Answer::Verdict(Verdict::Defer(UNABLE)),
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
            Lookup::KeyExists { key, .. } => truth(store.get(key).is_some()),
            Lookup::KeyGet { key, .. } => match store.get(key) {
                Some(value) => Value::Text(value.into_string().into()),
                None => Value::EMPTY,
            },
            Lookup::KeySet { key, value, .. } => {
                store.set(key, value);
                truth(true)
            }
            Lookup::CounterGet { key, .. } => Value::Integer(store.count(key)),
            Lookup::CounterIncrease { key, by, .. } => Value::Integer(store.increase(key, *by)),
            Lookup::Dns { .. } => return self.gate.resolver.answer(lookup).await,
            Lookup::IsLocalAddress { .. } => {
                return Err(LookupFailure::Directory(
                    "directories outside of the policy cannot be asked".into(),
                ));
            }
        })
    }

    fn count(&self, index: usize, key: &str) -> bool {
        // An index comes from this very policy, so that nothing is found only if the session is wrong.
        let Some(throttle) = self.session.policy().throttles.get(index) else { return false };
        let admitted = self.gate.throttles.admit(CounterKey::of(throttle, key), throttle, Timestamp::now());
        if !admitted {
            self.gate.metrics.throttled(throttle.class);
        }
        admitted
    }

    async fn authenticate(&self, credentials: Credentials) -> Authentication {
        let (outcome, counted) = match credentials {
            Credentials::Password { user, password } => {
                match self.gate.authenticator.authenticate(&self.snapshot, &user, password).await {
                    auth::Outcome::Account(account) => {
                        (Authentication::Account(account), AuthOutcome::Accepted)
                    }
                    auth::Outcome::Wrong => (Authentication::Wrong, AuthOutcome::Wrong),
                    auth::Outcome::Unavailable => (Authentication::Unavailable, AuthOutcome::Unavailable),
                }
            }
            Credentials::Token { .. } => (Authentication::Unavailable, AuthOutcome::Unavailable),
        };
        self.gate.metrics.authenticated(counted);
        outcome
    }

    /// The first refusal among the next hops of new recipients.
    async fn verify(&self, verify: Verify) -> Option<Reply> {
        for (recipient, route) in &verify.recipients {
            let inquiry = Inquiry {
                hostname: &verify.hostname,
                route,
                sender: &verify.envelope.sender,
                parameters: &verify.envelope.parameters,
                recipient,
            };
            match self.gate.handoff.verify(inquiry).await {
                Verification::Accepted => {}
                Verification::Refused(reply) | Verification::Unreachable(reply) => return Some(reply),
            }
        }
        None
    }

    pub(super) async fn hand_off(&mut self, delivery: Delivery) -> HandedOff {
        let recipients = delivery.copies.len();
        let Some(content) = self.content(&delivery) else {
            return HandedOff { overall: UNABLE, each: vec![UNABLE; recipients] };
        };
        let octets = content.octets();
        let answers = match self.session.client().listener.protocol {
            Protocol::Smtp => Answers::One,
            Protocol::Lmtp => Answers::PerRecipient,
        };
        let copies = delivery.copies.into_iter();
        let delivered = self
            .gate
            .handoff
            .deliver(handoff::Delivery {
                id: delivery.id.to_string().into(),
                hostname: delivery.hostname,
                sender: delivery.envelope.sender,
                parameters: delivery.envelope.parameters,
                copies: copies
                    .map(|copy| handoff::Copy { recipient: copy.recipient, route: copy.route })
                    .collect(),
                content,
                delivered_to: delivery.delivered_to,
                answers,
                deadline: Instant::now() + CLIENT_PATIENCE,
            })
            .await;
        self.gate.metrics.message(outcome_of(&delivered.overall), octets);
        let each = delivered.outcomes.iter().map(Outcome::reply).collect();
        HandedOff { overall: delivered.overall, each }
    }

    /// The message as it goes out: our fields, then what was received with its changes.
    fn content(&mut self, delivery: &Delivery) -> Option<Content> {
        let kept = self.kept.take()?;
        if delivery.edits.is_empty() {
            return Some(Content::unchanged(kept.message).prepended(delivery.prefix.clone()));
        }
        let mut draft = Draft::new(kept.header, kept.message.octets());
        if let Err(error) = draft.apply(delivery.edits.iter().cloned()) {
            tracing::warn!(id = %delivery.id, %error, "the changes to a message cannot be applied");
            return None;
        }
        let content = ContentBuilder::new(kept.message).new_octets(delivery.prefix.clone());
        let content = draft.pieces().into_iter().fold(content, |content, piece| match piece {
            Piece::Original(range) => content.original(range),
            Piece::New(octets) => content.new_octets(octets),
        });
        Some(content.build())
    }
}

fn outcome_of(reply: &Reply) -> MessageOutcome {
    match () {
        () if reply.is_positive() => MessageOutcome::Accepted,
        () if reply.is_permanent() => MessageOutcome::Rejected,
        () => MessageOutcome::Deferred,
    }
}

/// How long a client waits for the reply after its final dot (RFC 5321 section 4.5.3.2.6 asks for 10
/// minutes), less what the way back may take. The loader holds filters and final replies below it.
const CLIENT_PATIENCE: Duration = Duration::from_secs(9 * 60 + 30);

const UNABLE: Reply = Reply::new(451, EnhancedCode(4, 3, 5), "Unable to handle this now, try again later");
