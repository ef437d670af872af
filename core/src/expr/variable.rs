//! The variables of the language and where each may be used (`docs/spec.md` section 3.5).

use super::kinds::Kinds;

/// Something the session knows.
///
/// One that is allowed but not known yet is empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// `listener`: name of the listener.
    Listener,
    /// `remote_ip`: address of the client, after PROXY.
    RemoteIp,
    /// `remote_port`: port of the client.
    RemotePort,
    /// `local_ip`: address the client connected to.
    LocalIp,
    /// `local_port`: port the client connected to, as the world sees it.
    LocalPort,
    /// `protocol`: `smtp` or `lmtp`.
    Protocol,
    /// `is_tls`: 1 inside TLS, else 0.
    IsTls,
    /// `asn`: number of the client's network, 0 when unknown.
    Asn,
    /// `country`: country of the client, empty when unknown.
    Country,
    /// `helo_domain`: argument of EHLO, HELO or LHLO as sent.
    HeloDomain,
    /// `authenticated_as`: name of the account, empty before authentication.
    AuthenticatedAs,
    /// `sender`: lower-cased address of MAIL, empty for the null sender.
    Sender,
    /// `sender_domain`: its domain.
    SenderDomain,
    /// `rcpt`: lower-cased address of the last recipient; in a sub-addressing rule its local part.
    Rcpt,
    /// `rcpt_domain`: its domain.
    RcptDomain,
    /// `recipients`: list of all recipients so far.
    Recipients,
    /// `priority`: MT-PRIORITY as text, `0` when not given (RFC 6710).
    Priority,
    /// `size`: octets of the message, when a route is chosen.
    Size,
    /// `source`: `authenticated`, `dmarc_pass` or `unauthenticated`, when a route is chosen.
    Source,
    /// `received_from_ip`: address of the client, when a route is chosen.
    ReceivedFromIp,
    /// `received_via_port`: port the message came in by, when a route is chosen.
    ReceivedViaPort,
}

impl Variable {
    /// Every variable there is.
    pub const ALL: [Self; 21] = [
        Self::Listener,
        Self::RemoteIp,
        Self::RemotePort,
        Self::LocalIp,
        Self::LocalPort,
        Self::Protocol,
        Self::IsTls,
        Self::Asn,
        Self::Country,
        Self::HeloDomain,
        Self::AuthenticatedAs,
        Self::Sender,
        Self::SenderDomain,
        Self::Rcpt,
        Self::RcptDomain,
        Self::Recipients,
        Self::Priority,
        Self::Size,
        Self::Source,
        Self::ReceivedFromIp,
        Self::ReceivedViaPort,
    ];

    /// The variable as it is written in an expression.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::RemoteIp => "remote_ip",
            Self::RemotePort => "remote_port",
            Self::LocalIp => "local_ip",
            Self::LocalPort => "local_port",
            Self::Protocol => "protocol",
            Self::IsTls => "is_tls",
            Self::Asn => "asn",
            Self::Country => "country",
            Self::HeloDomain => "helo_domain",
            Self::AuthenticatedAs => "authenticated_as",
            Self::Sender => "sender",
            Self::SenderDomain => "sender_domain",
            Self::Rcpt => "rcpt",
            Self::RcptDomain => "rcpt_domain",
            Self::Recipients => "recipients",
            Self::Priority => "priority",
            Self::Size => "size",
            Self::Source => "source",
            Self::ReceivedFromIp => "received_from_ip",
            Self::ReceivedViaPort => "received_via_port",
        }
    }

    /// The variable of that name; names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }

    /// The types it may have. Text is always among them, since what is not known yet is empty text.
    pub(super) fn kinds(self) -> Kinds {
        match self {
            Self::RemotePort
            | Self::LocalPort
            | Self::IsTls
            | Self::Asn
            | Self::Size
            | Self::ReceivedViaPort => Kinds::INTEGER | Kinds::TEXT,
            Self::Recipients => Kinds::LIST | Kinds::TEXT,
            _ => Kinds::TEXT,
        }
    }
}

/// A set of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct VariableSet(u32);

impl VariableSet {
    /// The set without members.
    pub const EMPTY: Self = Self(0);

    /// The set of these variables.
    pub const fn of(variables: &[Variable]) -> Self {
        let mut bits = 0;
        let mut rest = variables;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u32;
            rest = others;
        }
        Self(bits)
    }

    /// True when the variable is a member.
    pub const fn contains(self, variable: Variable) -> bool {
        self.0 & (1 << variable as u32) != 0
    }

    /// True when there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members that `other` has too.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, in the order of [`Variable::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Variable> {
        Variable::ALL.into_iter().filter(move |variable| self.contains(*variable))
    }
}

/// The place where a field is evaluated, which decides the variables it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The connection: addresses, ports, TLS.
    Connection,
    /// EHLO and AUTH: also `helo_domain` and `authenticated_as`.
    Ehlo,
    /// MAIL: also the sender.
    Mail,
    /// RCPT, the data and the filters: also the recipients and `priority`.
    Rcpt,
    /// A rule for sub-addresses: only `rcpt`, here the local part.
    SubAddress,
    /// The choice of a route for one recipient.
    Outbound,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 6] =
        [Self::Connection, Self::Ehlo, Self::Mail, Self::Rcpt, Self::SubAddress, Self::Outbound];

    /// The variables an expression may use here.
    pub const fn variables(self) -> VariableSet {
        match self {
            Self::Connection => CONNECTION,
            Self::Ehlo => EHLO,
            Self::Mail => MAIL,
            Self::Rcpt => RCPT,
            Self::SubAddress => VariableSet::of(&[Variable::Rcpt]),
            Self::Outbound => OUTBOUND,
        }
    }

    /// The scope as a message names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Ehlo => "EHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::SubAddress => "sub-address",
            Self::Outbound => "route",
        }
    }
}

const CONNECTION: VariableSet = VariableSet::of(&[
    Variable::Listener,
    Variable::RemoteIp,
    Variable::RemotePort,
    Variable::LocalIp,
    Variable::LocalPort,
    Variable::Protocol,
    Variable::IsTls,
    Variable::Asn,
    Variable::Country,
]);
const EHLO: VariableSet =
    CONNECTION.union(VariableSet::of(&[Variable::HeloDomain, Variable::AuthenticatedAs]));
const MAIL: VariableSet = EHLO.union(VariableSet::of(&[Variable::Sender, Variable::SenderDomain]));
const RCPT: VariableSet = MAIL.union(VariableSet::of(&[
    Variable::Rcpt,
    Variable::RcptDomain,
    Variable::Recipients,
    Variable::Priority,
]));
const OUTBOUND: VariableSet = VariableSet::of(&[
    Variable::Sender,
    Variable::SenderDomain,
    Variable::Rcpt,
    Variable::RcptDomain,
    Variable::Recipients,
    Variable::Priority,
    Variable::Size,
    Variable::Source,
    Variable::ReceivedFromIp,
    Variable::ReceivedViaPort,
]);
