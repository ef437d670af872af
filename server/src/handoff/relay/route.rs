//! The hops of one route: which is asked, and what happens when it does not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_core::handoff::Outcome;
use postern_core::policy::route::{Relay, Route};
use postern_core::smtp::reply::Reply;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::Opener;
use super::error::{HopError, Phase};
use super::pool::{Freshness, HopPool, Lease, Permit};
use super::transaction::{Envelope, OfferError, Sent, Transaction};
use super::wire::{Ahead, Letter};
use crate::message::Content;

/// A route of type `Relay` in use.
#[derive(Debug)]
pub(crate) struct RelayRoute {
    route: Arc<Route>,
    relay: Relay,
    pools: Vec<Arc<HopPool>>,
    /// Where the next message begins, when messages are spread.
    turn: AtomicUsize,
}

/// How a transaction comes by its connection.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the only one of its message, and waits while all are in use.
    Queued,
    /// Others of its message have theirs meanwhile, or will. Two messages that wait for what the other one has would
    /// wait for ever, so it takes what was reserved for it, or what is free.
    Reserved(Option<Permit>),
}

/// What came of putting an envelope to a route.
#[derive(Debug)]
pub(crate) enum Offer {
    /// A hop has answered about each recipient.
    Answered(Box<Offered>),
    /// The hop is not asked, or did not answer; this holds for every recipient.
    Failed(Outcome, Option<Phase>),
}

/// An open transaction at a hop.
#[derive(Debug)]
pub(crate) struct Offered {
    lease: Lease,
    answers: Vec<Outcome>,
    sender_accepted: bool,
    sent: Sent,
}

/// A hop came to nothing.
struct Failed {
    offer: Offer,
    /// The message may be put to another one.
    may_retry: bool,
}

impl RelayRoute {
    pub(super) fn new(route: Arc<Route>, relay: &Relay, watched: &Arc<Notify>) -> Self {
        let opener = Arc::new(Opener::new(relay.clone()));
        let pools = relay
            .addresses
            .iter()
            .map(|address| {
                let pool =
                    HopPool::new(address.clone(), relay.pool, Arc::clone(&opener), Arc::clone(watched));
                Arc::new(pool)
            })
            .collect();
        Self { route, relay: relay.clone(), pools, turn: AtomicUsize::new(0) }
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn retire(&self) {
        self.pools.iter().for_each(|pool| pool.retire());
    }

    pub(super) fn reap(&self, now: Instant) -> Option<Instant> {
        self.pools.iter().filter_map(|pool| pool.reap(now)).min()
    }

    /// Puts an envelope to the first hop that answers.
    ///
    /// Another hop is tried only while nothing has been said about the message: no connection, a bad
    /// greeting, 421, or a stale connection that broke at once. Any other answer is the route's answer.
    pub(crate) async fn offer(
        &self,
        hostname: &Arc<str>,
        letter: &Letter<'_>,
        ahead: Ahead<'_>,
        claim: Claim,
    ) -> Offer {
        let mut failure = Offer::Failed(Outcome::LOST, None);
        let (waits, mut reserved) = match claim {
            Claim::Queued => (true, None),
            Claim::Reserved(permit) => (false, permit),
        };
        for pool in self.in_order(reserved.as_ref()) {
            let permit = match reserved.take_if(|permit| permit.is_for(pool)) {
                Some(permit) => Ok(permit),
                None if waits => pool.permit(self.pool_wait()).await,
                None => pool.permit_now(),
            };
            let offered = match permit {
                Ok(permit) => self.offer_at(pool, permit, hostname, letter, ahead).await,
                Err(error) => Err(self.failed(pool, OfferError { error, may_retry: true })),
            };
            match offered {
                Ok(offer) => return offer,
                Err(Failed { offer, may_retry: false }) => return offer,
                Err(Failed { offer, may_retry: true }) => failure = offer,
            }
        }
        failure
    }

    /// Puts an envelope to one hop, and once more on a new connection where an idle one was stale.
    async fn offer_at(
        &self,
        pool: &HopPool,
        permit: Permit,
        hostname: &Arc<str>,
        letter: &Letter<'_>,
        ahead: Ahead<'_>,
    ) -> Result<Offer, Failed> {
        let (mut permit, mut freshness) = (permit, Freshness::Any);
        loop {
            let lease = permit.lease(hostname, freshness).await;
            let lease = lease.map_err(|error| self.failed(pool, OfferError { error, may_retry: true }))?;
            let was_idle = lease.idled.is_some();
            match self.offer_on(lease, letter, ahead).await {
                Ok(offer) => return Ok(offer),
                // Its place among those that wait is not lost with the connection.
                Err((error, same)) if error.may_retry && was_idle && error.error.looks_stale() => {
                    self.report(pool, &error.error);
                    (permit, freshness) = (same, Freshness::New);
                }
                Err((error, _)) => return Err(self.failed(pool, error)),
            }
        }
    }

    async fn offer_on(
        &self,
        mut lease: Lease,
        letter: &Letter<'_>,
        ahead: Ahead<'_>,
    ) -> Result<Offer, (OfferError, Permit)> {
        if let Err(refusal) = letter.fits(&lease.connection.offered, lease.connection.security) {
            lease.give_back();
            return Ok(Offer::Failed(Outcome::Refused(refusal), Some(Phase::Mail)));
        }
        let freshly_used = lease.idled.is_none_or(|idled| idled < FRESHLY_USED);
        match self.transaction(&mut lease).offer(letter, ahead, freshly_used).await {
            Ok(Envelope { answers, sender_accepted, sent }) => {
                Ok(Offer::Answered(Box::new(Offered { lease, answers, sender_accepted, sent })))
            }
            Err(error) => Err((error, lease.permit)),
        }
    }

    /// Tells of a failure, and says what it means.
    fn failed(&self, pool: &HopPool, OfferError { error, may_retry }: OfferError) -> Failed {
        self.report(pool, &error);
        Failed { offer: Offer::Failed(error.outcome(), Some(error.phase)), may_retry }
    }

    /// Sends the message to the recipients that the hop accepted; says what became of each recipient, and the hop's
    /// last word if there was one.
    pub(crate) async fn send(
        &self,
        offered: Offered,
        letter: &Letter<'_>,
        content: &Content,
    ) -> (Vec<Outcome>, Option<Reply>) {
        let Offered { mut lease, mut answers, sent, .. } = offered;
        let accepted = answers.iter().filter(|answer| **answer == Outcome::Delivered).count();
        let (last, ended) = self.transaction(&mut lease).send(letter, content, sent, accepted).await;
        let open = answers.iter_mut().filter(|answer| **answer == Outcome::Delivered);
        for (answer, last) in open.zip(last) {
            *answer = last;
        }
        let said = lease.connection.last_word.take();
        self.settle(lease, ended);
        (answers, said)
    }

    /// Takes the envelope back. Nothing is delivered to anybody.
    pub(crate) async fn abandon(&self, offered: Offered) {
        let Offered { mut lease, sent, .. } = offered;
        let ended = self.transaction(&mut lease).abandon(sent).await;
        self.settle(lease, ended);
    }

    fn settle(&self, lease: Lease, ended: Result<(), HopError>) {
        match ended {
            Ok(()) => lease.give_back(),
            Err(error) => tracing::info!(
                route = %self.route.name,
                hop = %lease.address().host,
                peer = %lease.connection.peer,
                %error,
                "connection to next hop given up"
            ),
        }
    }

    fn transaction<'a>(&'a self, lease: &'a mut Lease) -> Transaction<'a> {
        Transaction {
            connection: &mut lease.connection,
            timeouts: &self.relay.timeouts,
            protocol: self.relay.protocol,
        }
    }

    /// The hop that a message is put to first.
    pub(super) fn preferred(&self) -> Option<&Arc<HopPool>> {
        self.in_order(None).next()
    }

    /// The hops, those that failed a moment ago last; in front the one where a connection is reserved.
    fn in_order<'a>(&'a self, reserved: Option<&Permit>) -> impl Iterator<Item = &'a Arc<HopPool>> + use<'a> {
        let at = reserved.and_then(|permit| self.pools.iter().position(|pool| permit.is_for(pool)));
        let first = match (at, self.relay.balance, self.pools.len()) {
            (Some(at), _, _) => at,
            (None, true, hops @ 2..) => self.turn.fetch_add(1, Ordering::Relaxed) % hops,
            (None, _, _) => 0,
        };
        let turned = self.pools.iter().cycle().skip(first).take(self.pools.len());
        let (down, up): (Vec<_>, Vec<_>) = turned.partition(|pool| pool.is_down());
        up.into_iter().chain(down)
    }

    /// As long as a command may take: beyond that the hop is as good as slow.
    pub(super) fn pool_wait(&self) -> Duration {
        self.relay.timeouts.command
    }

    fn report(&self, pool: &HopPool, error: &HopError) {
        tracing::warn!(
            route = %self.route.name,
            hop = %pool.address().host,
            port = pool.address().port,
            phase = error.phase.name(),
            %error,
            "next hop failed"
        );
    }
}

impl Offered {
    /// What the hop said about each recipient of the envelope, in order.
    pub(crate) fn answers(&self) -> &[Outcome] {
        &self.answers
    }

    /// The hop's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.lease.connection.peer
    }

    /// Whether the hop took the sender, so that what it refused are recipients.
    pub(crate) fn sender_accepted(&self) -> bool {
        self.sender_accepted
    }
}

/// A connection used within this time is taken for alive: no sensible hop hangs up so soon.
const FRESHLY_USED: Duration = Duration::from_secs(2);
