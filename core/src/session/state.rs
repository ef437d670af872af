//! The states of a session. What belongs to a state lives in it, so leaving the state is the only reset.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Check, SenderCheck};
use super::id::TraceId;
use crate::cause::Cause;
use crate::envelope::{Envelope, Recipient};
use crate::expr::{SaslMechanism, Verify};
use crate::message::fields::Greeting;
use crate::policy::directory::Account;
use crate::policy::stage::OptionalDuration;
use crate::smtp::reply::Reply;

/// Where a session stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was said yet.
    Connecting,
    /// No transaction is open.
    Ready,
    /// An AUTH exchange is under way.
    Authenticating(Exchange),
    /// MAIL was accepted.
    Open(Box<Transaction>),
    /// Nothing more will happen.
    Closed,
}

/// An AUTH exchange (RFC 4954).
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) mechanism: SaslMechanism,
    /// LOGIN: the user name, once it was sent.
    pub(super) user: Option<Arc<str>>,
    /// The token mechanisms: the refusal, once the client was told its reason and has yet to confirm that.
    pub(super) refusal: Option<Reply>,
}

/// From MAIL to the end of data.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) id: TraceId,
    pub(super) envelope: Envelope,
    /// Recipients that a filter has discarded: accepted towards the client, never delivered.
    pub(super) doomed_recipients: Vec<Recipient>,
    /// A filter has discarded the whole transaction.
    pub(super) doomed: Option<Doom>,
    /// LMTP: for each RCPT that was accepted, the recipients it has brought (RFC 2033 section 4.2).
    pub(super) slots: Vec<Vec<Arc<str>>>,
    /// The recipients of the hand-off under way, in its order.
    pub(super) handed_off: Vec<Arc<str>>,
    /// SPF of the sender, if it was checked.
    pub(super) spf: Option<SenderCheck>,
    /// How the data arrives.
    pub(super) data: DataState,
    pub(super) limits: TransactionLimits,
}

impl Transaction {
    pub(super) fn has_recipients(&self) -> bool {
        !self.envelope.recipients.is_empty() || !self.doomed_recipients.is_empty()
    }

    pub(super) fn recipients_accepted(&self) -> usize {
        self.envelope.recipients.len().saturating_add(self.doomed_recipients.len())
    }
}

/// Why nothing of a transaction is delivered.
#[derive(Debug, Clone)]
pub(super) struct Doom {
    /// The filter that has discarded it.
    pub(super) by: Option<Cause>,
}

/// Settings that hold for a transaction, evaluated when MAIL was accepted.
#[derive(Debug, Clone)]
pub(super) struct TransactionLimits {
    pub(super) max_recipients: u64,
    pub(super) max_failures: u64,
    pub(super) wait_on_fail: OptionalDuration,
    pub(super) dsn: bool,
    pub(super) max_message_size: u64,
}

/// How far the data of a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataState {
    /// Neither DATA nor BDAT was sent.
    Awaited,
    /// Some chunks were read (RFC 3030).
    Chunks,
    /// A chunk was refused: what follows is swallowed until RSET or MAIL.
    Dead,
}

/// What an accepted EHLO, HELO or LHLO said.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    pub(super) name: Arc<str>,
    pub(super) greeting: Greeting,
    /// SPF of the name, if it was checked.
    pub(super) spf: Option<Check>,
}

/// Settings evaluated at connect, and again after STARTTLS.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) timeout: OptionalDuration,
    pub(super) max_duration: OptionalDuration,
    pub(super) transfer_limit: u64,
    pub(super) require_ehlo: bool,
    pub(super) reject_non_fqdn: bool,
    pub(super) require_auth: bool,
    pub(super) auth_max_failures: u64,
    pub(super) auth_wait_on_fail: OptionalDuration,
    pub(super) vrfy: bool,
    pub(super) expn: bool,
    pub(super) spf_ehlo: Verify,
    pub(super) spf_from: Verify,
    pub(super) reverse_ip: Verify,
}

/// Who is logged in, and by which mechanism.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) account: Arc<Account>,
    pub(super) mechanism: SaslMechanism,
}

impl Parameters {
    /// What holds until the settings are evaluated: only time and octets are limited.
    pub(super) fn before_connect() -> Self {
        Self {
            timeout: Some(Duration::from_secs(300)),
            max_duration: Some(Duration::from_secs(600)),
            transfer_limit: u64::MAX,
            require_ehlo: true,
            reject_non_fqdn: false,
            require_auth: true,
            auth_max_failures: 0,
            auth_wait_on_fail: None,
            vrfy: false,
            expn: false,
            spf_ehlo: Verify::Disable,
            spf_from: Verify::Disable,
            reverse_ip: Verify::Disable,
        }
    }
}
