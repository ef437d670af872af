//! Results of sender authentication: what the session decides on, and what header fields and filters tell of
//! them (RFC 8601 section 2.7).

use std::sync::Arc;

use crate::expr::Verify;
use crate::smtp::address::ReversePath;
use crate::smtp::reply::Reply;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The result word.
    pub result: CheckResult,
    /// What the check found out beside its result: for reverse DNS the name of the address, without the final
    /// dot; for SPF why there is no better result.
    pub detail: Option<Arc<str>>,
}

/// SPF of a sender, and the sender it was checked for; filters may have changed that of the envelope since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderCheck {
    /// What MAIL said.
    pub sender: ReversePath,
    /// The result.
    pub check: Check,
}

/// The result words of RFC 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckResult {
    /// Confirmed.
    Pass,
    /// Contradicted.
    Fail,
    /// Contradicted, weakly (SPF).
    SoftFail,
    /// No statement.
    Neutral,
    /// Nothing published, or nothing to check.
    None,
    /// No answer for now.
    TempError,
    /// What is published cannot be used.
    PermError,
}

impl CheckResult {
    /// The word in header fields and in `env.*.result`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// Results of the checks of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageResults {
    /// One result for each signature that was looked at; unset: not checked.
    pub dkim: Option<Vec<Signature>>,
    /// The chain; unset: not checked.
    pub arc: Option<CheckResult>,
    /// The policy of the From domain; unset: not checked, as when there is no single From domain.
    pub dmarc: Option<Dmarc>,
}

/// A DKIM signature, and what became of it (RFC 6376).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The result.
    pub result: CheckResult,
    /// What the signature says of itself; unset when it cannot be read.
    pub tags: Option<SignatureTags>,
    /// Why it does not pass.
    pub reason: Option<Arc<str>>,
}

/// What a signature says of itself (RFC 6376 section 3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureTags {
    /// `d=`: the domain that signs, in lower case.
    pub domain: Arc<str>,
    /// `s=`: where its key is, in lower case.
    pub selector: Arc<str>,
    /// `i=`: on whose behalf, if it says so.
    pub identity: Option<Arc<str>>,
    /// The first eight characters of `b=`, by which signatures of a message are told apart (RFC 6008).
    pub start: Arc<str>,
}

impl From<CheckResult> for Signature {
    /// A result without anything known about the signature.
    fn from(result: CheckResult) -> Self {
        Self { result, tags: None, reason: None }
    }
}

/// The result of DMARC (RFC 7489).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dmarc {
    /// Whether an aligned identifier passed; `none`: the domain has no policy.
    pub result: CheckResult,
    /// What the domain asks for when none did.
    pub policy: DmarcPolicy,
    /// The domain of the From field, in lower case and A-labels.
    pub from: Arc<str>,
    /// Why it does not pass.
    pub reason: Option<Arc<str>>,
}

/// What a domain asks for (RFC 7489 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcPolicy {
    /// Nothing.
    None,
    /// Suspicion.
    Quarantine,
    /// Refusal.
    Reject,
}

impl DmarcPolicy {
    /// The word in header fields and in `env.dmarc.policy`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// The refusals of a check that must pass.
pub(super) struct Refusals {
    pub(super) permanent: Reply,
    pub(super) temporary: Reply,
}

/// Judges a result at a level: only `strict` refuses, and then everything but a pass.
pub(super) fn judge(level: Verify, result: CheckResult, refusals: &Refusals) -> Result<(), Reply> {
    match (level, result) {
        (Verify::Disable | Verify::Relaxed, _) | (Verify::Strict, CheckResult::Pass) => Ok(()),
        (Verify::Strict, CheckResult::TempError) => Err(refusals.temporary.clone()),
        (Verify::Strict, _) => Err(refusals.permanent.clone()),
    }
}
