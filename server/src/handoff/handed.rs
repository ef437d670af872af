//! What is told of a hand-off: to operators, never to the client.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_core::handoff::Outcome;
use postern_core::policy::route::{Route, RouteTarget};
use postern_core::smtp::reply::Reply;
use postern_trace::{Kind, Span};

/// A route that a message was put to, and its answer.
#[derive(Debug, Clone)]
pub struct Handed {
    pub(super) route: Arc<str>,
    pub(super) recipients: usize,
    pub(super) hop: Option<Hop>,
    /// What it came to.
    pub(super) answer: Reply,
    pub(super) took: Duration,
}

/// A next hop that has answered.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// Its last word on the message, in its own words.
    pub(crate) said: Option<Reply>,
}

impl fmt::Display for Handed {
    /// `inside (192.0.2.1:25) for 2: 250 2.0.0 Ok: queued as 4F1 in 1.2ms`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.route)?;
        if let Some(hop) = &self.hop {
            write!(f, " ({})", hop.peer)?;
        }
        let said = self.hop.as_ref().and_then(|hop| hop.said.as_ref()).unwrap_or(&self.answer);
        write!(f, " for {}: {said} in {:.1?}", self.recipients, self.took)
    }
}

/// The span of a route's part in a hand-off.
pub(super) fn span(route: &Route, recipients: usize) -> Span {
    let (name, kind) = match &route.target {
        RouteTarget::Relay(_) => ("handoff.relay", Kind::Client),
        RouteTarget::Maildir(_) => ("handoff.maildir", Kind::Internal),
        RouteTarget::Discard => ("handoff.discard", Kind::Internal),
    };
    let mut span = postern_trace::span(name, kind);
    span.text("postern.route", &route.name);
    span.number("postern.recipients", recipients as u64);
    span
}

/// What came of it. A refusal is an answer; that nobody answered is an error.
pub(super) fn finish(span: &mut Span, hop: Option<&Hop>, worst: &Outcome) {
    if let Some(Hop { peer, said }) = hop {
        span.text("server.address", peer.ip());
        span.number("server.port", peer.port().into());
        span.text_if("postern.hop.reply", said.as_ref());
    }
    conclude(span, worst);
}

pub(super) fn conclude(span: &mut Span, outcome: &Outcome) {
    let verdict = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused(_) => "refused",
        Outcome::Deferred(_) => "deferred",
        Outcome::Withheld => "withheld",
    };
    span.text("postern.verdict", verdict);
    if let Outcome::Refused(reply) | Outcome::Deferred(reply) = outcome {
        span.number("postern.reply.code", reply.code().into());
        span.text("postern.reply.text", reply);
    }
    if *outcome == Outcome::LOST {
        span.fail("no next hop has answered");
    }
}
