//! `MtaInboundThrottle`: how many of something in a span of time.

use std::sync::Arc;
use std::time::Duration;

use crate::expr::Setting;

/// One throttle.
#[derive(Debug)]
pub struct Throttle {
    /// `metadata.name`, part of the counter's identity.
    pub name: Arc<str>,
    /// What the counter is kept for; empty: one counter for all.
    pub key: Vec<ThrottleKey>,
    /// When it applies.
    pub matches: Setting<bool>,
    /// How many events it admits.
    pub rate: Rate,
    /// The point of a session at which it is looked at.
    pub class: ThrottleClass,
}

/// How many of something in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Events allowed in each period.
    pub count: u64,
    /// Length of the window; whole seconds, at least 1.
    pub period: Duration,
    /// How a window is counted.
    pub algorithm: Algorithm,
}

impl Rate {
    /// The period in seconds, at least 1.
    #[must_use]
    pub fn whole_seconds(&self) -> i64 {
        i64::try_from(self.period.as_secs()).unwrap_or(i64::MAX).max(1)
    }
}

/// A part of a throttle's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThrottleKey {
    /// Name of the listener.
    Listener,
    /// Address of the client.
    RemoteIp,
    /// Our address.
    LocalIp,
    /// Account.
    AuthenticatedAs,
    /// EHLO name.
    HeloDomain,
    /// Sender.
    Sender,
    /// Its domain.
    SenderDomain,
    /// Recipient.
    Rcpt,
    /// Its domain.
    RcptDomain,
}

/// Where a throttle is looked at; follows from what its key and its match mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThrottleClass {
    /// At connect.
    Connection,
    /// At MAIL.
    Sender,
    /// At RCPT.
    Recipient,
}

/// How events of a span of time are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Windows aligned to the epoch; the whole budget is back in the next one.
    #[default]
    FixedWindow,
    /// The last window counts in proportion to its overlap.
    SlidingWindow,
}
