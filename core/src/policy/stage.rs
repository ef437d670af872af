//! The stages' own settings, each with its documented default.

use std::sync::Arc;
use std::time::Duration;

use crate::expr::{PriorityProfile, SaslMechanisms, Setting, Verify};

/// A text that an expression yields; anything but a string means "none".
pub type OptionalText = Option<Arc<str>>;

/// A span of time that an expression yields; `false` and 0 mean "off".
pub type OptionalDuration = Option<Duration>;

/// `MtaInboundSession`
#[derive(Debug)]
pub struct InboundSession {
    /// Silence before the connection is dropped.
    pub timeout: Setting<OptionalDuration>,
    /// Longest life of a connection.
    pub max_duration: Setting<OptionalDuration>,
    /// Most octets that a client may send.
    pub transfer_limit: Setting<u64>,
}

/// `MtaStageConnect`
#[derive(Debug)]
pub struct StageConnect {
    /// Name in replies, Received and Authentication-Results.
    pub hostname: Setting<OptionalText>,
    /// Text after `220 `.
    pub smtp_greeting: Setting<OptionalText>,
    /// Sieve script before the greeting.
    pub script: Setting<OptionalText>,
}

/// `MtaStageEhlo`
#[derive(Debug)]
pub struct StageEhlo {
    /// EHLO before MAIL.
    pub require: Setting<bool>,
    /// Refuse names without a dot.
    pub reject_non_fqdn: Setting<bool>,
    /// Sieve script after EHLO.
    pub script: Setting<OptionalText>,
}

/// `MtaStageAuth`
#[derive(Debug)]
pub struct StageAuth {
    /// What AUTH offers.
    pub sasl_mechanisms: Setting<SaslMechanisms>,
    /// MAIL needs AUTH.
    pub require: Setting<bool>,
    /// The sender must belong to the account.
    pub must_match_sender: Setting<bool>,
    /// Failures before the close.
    pub max_failures: Setting<u64>,
    /// Delay before a failure reply.
    pub wait_on_fail: Setting<OptionalDuration>,
    /// Wrong credentials from one network in a period, over all sessions; 0: any number.
    pub failure_count: Setting<u64>,
    /// That period. Default 1 h.
    pub failure_period: Duration,
    /// Offer and accept AUTH outside TLS. Default false.
    pub allow_clear_text_auth: bool,
}

/// `MtaStageMail`
#[derive(Debug)]
pub struct StageMail {
    /// Whether the sender is accepted at all.
    pub is_sender_allowed: Setting<bool>,
    /// New sender address.
    pub rewrite: Setting<OptionalText>,
    /// Sieve script.
    pub script: Setting<OptionalText>,
}

/// `MtaStageRcpt`
#[derive(Debug)]
pub struct StageRcpt {
    /// Accept domains that are not local.
    pub allow_relaying: Setting<bool>,
    /// New recipient address.
    pub rewrite: Setting<OptionalText>,
    /// Sieve script.
    pub script: Setting<OptionalText>,
    /// Recipients of a transaction.
    pub max_recipients: Setting<u64>,
    /// Errors before the close.
    pub max_failures: Setting<u64>,
    /// Delay before an error reply.
    pub wait_on_fail: Setting<OptionalDuration>,
}

/// `MtaStageData`
#[derive(Debug)]
pub struct StageData {
    /// Sieve script at the end of data.
    pub script: Setting<OptionalText>,
    /// Messages of a connection.
    pub max_messages: Setting<u64>,
    /// Octets of a message; 0 = no limit.
    pub max_message_size: Setting<u64>,
    /// Received fields on arrival; more are refused.
    pub max_received_headers: Setting<u64>,
    /// Add `Received`.
    pub add_received_header: Setting<bool>,
    /// Add `Received-SPF`.
    pub add_received_spf_header: Setting<bool>,
    /// Add `Authentication-Results`.
    pub add_auth_results_header: Setting<bool>,
    /// Add `Return-Path`.
    pub add_return_path_header: Setting<bool>,
    /// Add `Date` when the message lacks it.
    pub add_date_header: Setting<bool>,
    /// Add `Message-ID` when the message lacks it.
    pub add_message_id_header: Setting<bool>,
    /// Add `Delivered-To` to copies with one recipient. Default true.
    pub add_delivered_to_header: bool,
    /// Ask the spam filter, if there is one.
    pub enable_spam_filter: Setting<bool>,
    /// What happens to a bare CR or LF.
    pub bare_line_ends: BareLineEnds,
    /// Time for all filters of one message. Default 4 m.
    pub filter_budget: Duration,
}

/// `MtaStageData.bareLineEnds`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareLineEnds {
    /// Turn it into CRLF.
    #[default]
    Normalize,
    /// Refuse the message with `550 5.6.0`.
    Reject,
}

/// `MtaExtensions`
#[derive(Debug)]
pub struct Extensions {
    /// RFC 2920
    pub pipelining: Setting<bool>,
    /// RFC 3030
    pub chunking: Setting<bool>,
    /// RFC 8689; inside TLS only.
    pub require_tls: Setting<bool>,
    /// RFC 3461
    pub dsn: Setting<bool>,
    /// RFC 4865: the longest hold.
    pub future_release: Setting<OptionalDuration>,
    /// RFC 2852: the largest by-time.
    pub deliver_by: Setting<OptionalDuration>,
    /// RFC 6710
    pub mt_priority: Setting<Option<PriorityProfile>>,
    /// RFC 3865: `None` off, an empty text the bare keyword.
    pub no_soliciting: Setting<OptionalText>,
    /// VRFY
    pub vrfy: Setting<bool>,
    /// EXPN
    pub expn: Setting<bool>,
}

/// `MtaSenderAuth`
#[derive(Debug)]
pub struct SenderAuth {
    /// SPF of the EHLO name.
    pub spf_ehlo_verify: Setting<Verify>,
    /// SPF of the sender.
    pub spf_from_verify: Setting<Verify>,
    /// Forward-confirmed reverse DNS.
    pub reverse_ip_verify: Setting<Verify>,
    /// DKIM
    pub dkim_verify: Setting<Verify>,
    /// ARC
    pub arc_verify: Setting<Verify>,
    /// DMARC
    pub dmarc_verify: Setting<Verify>,
    /// Ignore signatures with `l=`. Default true.
    pub dkim_strict: bool,
}
