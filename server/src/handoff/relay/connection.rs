//! One connection to a next hop, between its transactions.

use std::net::SocketAddr;
use std::sync::Arc;

use postern_core::policy::route::PoolLimits;
use postern_core::smtp::extensions::Extensions;
use postern_core::smtp::reply::Reply;

use super::conversation::Conversation;
use crate::tls::Security;

/// A connection that was greeted, and authenticated where the route says so.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) talk: Conversation,
    /// What the hop offers, under the present TLS.
    pub(super) offered: Extensions,
    pub(super) security: Security,
    /// Its address, for logs.
    pub(super) peer: SocketAddr,
    /// The name that we gave in EHLO.
    pub(super) hostname: Arc<str>,
    /// What the hop said last about a message, for operators.
    pub(super) last_word: Option<Reply>,
    /// Commands in the making; the room is used again.
    pub(super) commands: Vec<u8>,
    messages: u32,
    refusals: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction is open at the hop.
    Clean,
    /// One is; whoever finds the connection like this must close it.
    InTransaction,
}

impl Connection {
    pub(super) fn new(
        talk: Conversation,
        offered: Extensions,
        security: Security,
        peer: SocketAddr,
        hostname: Arc<str>,
    ) -> Self {
        Self {
            talk,
            offered,
            security,
            peer,
            hostname,
            last_word: None,
            commands: Vec::new(),
            messages: 0,
            refusals: 0,
            state: State::Clean,
        }
    }

    /// MAIL is about to be said.
    pub(super) fn begin(&mut self) {
        self.state = State::InTransaction;
    }

    /// The hop has said its last word on the transaction.
    pub(super) fn end(&mut self) {
        self.state = State::Clean;
        self.messages = self.messages.saturating_add(1);
    }

    /// The hop refused a sender or recipient.
    pub(super) fn refused(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Whether another transaction may follow.
    pub(super) fn is_reusable(&self, limits: &PoolLimits) -> bool {
        self.state == State::Clean
            && self.messages < limits.max_messages
            // Hops slow down or hang up on peers that collect refusals; a fresh start costs less.
            && self.refusals < MAX_REFUSALS
    }
}

/// Refusals after which a connection is closed.
const MAX_REFUSALS: u32 = 10;
