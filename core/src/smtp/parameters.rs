//! The parameters of MAIL and RCPT, checked for form but not yet for whether the extension is on.

/// Parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// `SIZE=`, octets (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030).
    pub body: Option<BodyType>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// `RET=` (RFC 3461 section 4.3).
    pub ret: Option<DsnReturn>,
    /// `ENVID=`, decoded from xtext (RFC 3461 section 4.4).
    pub envid: Option<String>,
    /// `BY=` (RFC 2852).
    pub by: Option<DeliverBy>,
    /// `MT-PRIORITY=`, as given; the allowed range depends on the session (RFC 6710).
    pub mt_priority: Option<i64>,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865).
    pub hold: Option<Hold>,
    /// `AUTH=`, decoded from xtext; read, not used (RFC 4954 section 5).
    pub auth: Option<String>,
}

/// `BODY=`: what the message's octets are (RFC 6152, RFC 3030 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// Lines of 7-bit text.
    SevenBit,
    /// Lines with octets above 127.
    EightBitMime,
    /// No lines at all; only for BDAT.
    BinaryMime,
}

/// `RET=`: how much of the message a failure notification carries (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

/// `BY=`: deliver by a time, or say so (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// Seconds from now; negative when already late.
    pub seconds: i64,
    /// What happens when the time has passed.
    pub mode: DeliverByMode,
    /// Whether each relay is to be reported.
    pub trace: bool,
}

/// The mode of `BY=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliverByMode {
    /// `N`: notify and go on.
    Notify,
    /// `R`: return the message.
    Return,
}

/// A request to hold a message back (RFC 4865 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// `HOLDFOR=`: seconds, 1 to 999999999.
    For(u32),
    /// `HOLDUNTIL=`: a point in time.
    Until(jiff::Timestamp),
    /// Both were given, which the session refuses.
    Contradictory,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461 section 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 section 4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// `NOTIFY=`: when the sender wants to hear of this recipient. All false is `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notify {
    /// `SUCCESS`
    pub success: bool,
    /// `FAILURE`
    pub failure: bool,
    /// `DELAY`
    pub delay: bool,
}

/// `ORCPT=`: the recipient that the sender first named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// Address type, as given; usually `rfc822`.
    pub kind: String,
    /// The address, decoded from xtext.
    pub address: String,
}
