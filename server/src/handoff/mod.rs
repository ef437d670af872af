//! The hand-off: a message to its next hops, and their answer to the client.
//!
//! ```text
//! Delivery --(route of each recipient)--> groups --prepare--> all willing? --send--> worst answer
//!                                                     \--no--> taken back from everyone
//! ```
//!
//! 250 means that every next hop has answered 2xx, so a process that dies loses nothing: the client
//! still has the message. See [`deliver`](HandOff::deliver) and [`verify`](HandOff::verify).

mod deliver;
mod handed;
mod maildir;
mod maildir_path;
mod metrics;
mod part;
mod preview;
mod relay;
mod remembered;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use postern_core::envelope::Recipient;
use postern_core::handoff::Outcome;
use postern_core::policy::route::{Route, RouteTarget, Routes};
pub use postern_core::session::event::Copy;
use postern_core::smtp::address::ReversePath;
use postern_core::smtp::parameters::MailParameters;
use postern_core::smtp::reply::Reply;
use postern_trace::{Kind, span};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use self::handed::Handed;
use self::metrics::VerificationLabel;
pub use self::metrics::{Metrics, RouteKind};
pub(crate) use self::preview::preview;
pub use self::relay::Phase;
use self::relay::{Ahead, Claim, Letter, Offer, Relays};
pub use self::remembered::{
    Answer, DeliveredStore, Delivery as RememberedDelivery, InMemory, Parties, REMEMBERED_FOR,
};
pub use self::verify::Verification;
use self::verify::Verified;
use crate::message::Content;

/// Gives messages to next hops. Cheap to clone; every clone shares pools, caches and counters.
#[derive(Debug, Clone)]
pub struct HandOff {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    relays: Relays,
    verified: Verified,
    remembered: Arc<dyn DeliveredStore>,
    metrics: Metrics,
    /// Deliveries to files at a time. Without a limit a stuck disk would take all blocking threads, and
    /// messages of other routes need those too.
    files: Arc<Semaphore>,
}

/// A message, and where it goes.
#[derive(Debug)]
pub struct Delivery {
    /// The queue id, for logs.
    pub id: Arc<str>,
    /// Our name towards next hops.
    pub hostname: Arc<str>,
    /// What is delivered: the message itself, and what filters made beside it.
    pub mailings: Vec<Mailing>,
    /// Whether a copy with one recipient says `Delivered-To`, where its route does so.
    pub delivered_to: bool,
    /// What the client can be told.
    pub answers: Answers,
    /// When the client's patience ends; whoever has not answered by then has not taken the message.
    pub deadline: Instant,
}

/// One message with its envelope.
#[derive(Debug)]
pub struct Mailing {
    /// Sender of the final envelope.
    pub sender: ReversePath,
    /// What MAIL asked for.
    pub parameters: MailParameters,
    /// Each recipient of the final envelope, with its route.
    pub copies: Vec<Copy>,
    /// The final message.
    pub content: Content,
}

/// How many answers the client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One for all recipients (SMTP): nothing is sent to anybody unless all next hops are willing.
    One,
    /// One for each (LMTP): the willing get the message, whatever the others say.
    PerRecipient,
}

/// What came of a delivery.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// What became of each recipient of each mailing, in order.
    pub outcomes: Vec<Outcome>,
    /// The one reply for all.
    pub overall: Reply,
    /// What each route has answered.
    pub handed: Vec<Handed>,
}

/// One recipient that a client has just named.
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// Our name towards the next hop.
    pub hostname: &'a Arc<str>,
    /// Where mail for the recipient would go.
    pub route: &'a Arc<Route>,
    /// Sender of the envelope so far.
    pub sender: &'a ReversePath,
    /// What MAIL asked for.
    pub parameters: &'a MailParameters,
    /// The recipient.
    pub recipient: &'a Recipient,
}

impl HandOff {
    /// A hand-off without any connection yet. `remembered` outlives reloads, as does everything here.
    #[must_use]
    pub fn new(metrics: Metrics, remembered: Arc<dyn DeliveredStore>) -> Self {
        let shared = Shared {
            relays: Relays::new(),
            verified: Verified::new(VERIFIED_RECIPIENTS),
            remembered,
            metrics,
            files: Arc::new(Semaphore::new(FILES_AT_A_TIME)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Another policy is in force. Idle connections of routes that it does not have, or has otherwise,
    /// are closed; those of unchanged routes stay.
    pub fn in_force(&self, routes: &Routes) {
        self.shared.relays.in_force(routes);
    }

    /// Asks the next hop about a recipient, as `verifyRecipients` says, while the client waits.
    ///
    /// MAIL, RCPT and RSET go to a borrowed connection. Answers are kept for a while: good ones for 10
    /// minutes, refusals for 1, temporary ones not at all. Takes 2 minutes at most.
    pub async fn verify(&self, inquiry: Inquiry<'_>) -> Verification {
        let Inquiry { route, recipient, .. } = inquiry;
        match &route.target {
            RouteTarget::Relay(relay) if relay.verify_recipients => {}
            RouteTarget::Maildir(maildir) => {
                return match maildir::check(maildir, &recipient.address) {
                    Ok(()) => Verification::Accepted,
                    Err(error) => self.judged(&error.outcome()),
                };
            }
            RouteTarget::Relay(_) | RouteTarget::Discard => return Verification::Accepted,
        }
        if let Some(known) = self.shared.verified.get(route, recipient.address.key()) {
            self.shared.metrics.count_verification(match known {
                Verification::Accepted => VerificationLabel::KnownGood,
                Verification::Refused(_) | Verification::Unreachable(_) => VerificationLabel::KnownBad,
            });
            return known;
        }
        let mut span = span("handoff.verify", Kind::Client);
        span.text("postern.route", &route.name);
        // Boxed, as most recipients are known.
        let asked = span.around(Box::pin(self.ask(inquiry)));
        let outcome = timeout(VERIFY_LIMIT, asked).await.unwrap_or(Outcome::LOST);
        handed::conclude(&mut span, &outcome);
        self.judged(&outcome)
    }

    /// What the next hop says about a recipient.
    async fn ask(&self, inquiry: Inquiry<'_>) -> Outcome {
        let Inquiry { hostname, route, sender, parameters, recipient } = inquiry;
        let RouteTarget::Relay(relay) = &route.target else { return Outcome::Delivered };
        let relay = self.shared.relays.get(route, relay);
        let letter = Letter::inquiry(sender, parameters, recipient);
        match relay.offer(hostname, &letter, Ahead::Reset, Claim::Queued).await {
            Offer::Failed(outcome, phase) => {
                if let Some(phase) = phase {
                    self.shared.metrics.count_failure(RouteKind::of(route), phase);
                }
                outcome
            }
            Offer::Answered(offered) => {
                let outcome = offered.answers().first().cloned().unwrap_or(Outcome::LOST);
                let sender_accepted = offered.sender_accepted();
                relay.abandon(*offered).await;
                // A refusal of the sender says nothing about the recipient.
                if sender_accepted {
                    self.learn(route, recipient, &outcome);
                }
                outcome
            }
        }
    }

    /// Keeps what a next hop said about a recipient.
    fn learn(&self, route: &Arc<Route>, recipient: &Recipient, outcome: &Outcome) {
        match outcome {
            Outcome::Delivered => self.shared.verified.accepted(route, recipient.address.key()),
            Outcome::Refused(reply) => {
                self.shared.verified.refused(route, recipient.address.key(), reply.clone());
            }
            Outcome::Deferred(_) | Outcome::Withheld => {}
        }
    }

    fn judged(&self, outcome: &Outcome) -> Verification {
        let (label, verification) = match outcome {
            Outcome::Delivered => (VerificationLabel::Accepted, Verification::Accepted),
            Outcome::Refused(reply) => (VerificationLabel::Refused, Verification::Refused(reply.clone())),
            Outcome::Deferred(_) | Outcome::Withheld => {
                (VerificationLabel::Unreachable, Verification::Unreachable(outcome.reply()))
            }
        };
        self.shared.metrics.count_verification(label);
        verification
    }
}

/// Recipients whose verification is kept; some 10 MB when full.
const VERIFIED_RECIPIENTS: usize = 65_536;

/// A client gives RCPT 5 minutes (RFC 5321 section 4.5.3.2.3), for everything that is done there.
const VERIFY_LIMIT: Duration = Duration::from_secs(120);

/// Deliveries to files at a time, of the 512 blocking threads that tokio has.
const FILES_AT_A_TIME: usize = 64;
