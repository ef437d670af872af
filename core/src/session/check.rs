//! Results of sender authentication, as far as the session decides on them (RFC 8601 section 2.7).

use std::sync::Arc;

use crate::expr::Verify;
use crate::smtp::reply::Reply;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The result word.
    pub result: CheckResult,
    /// What the check found out beside its result: for reverse DNS the confirmed name.
    pub detail: Option<Arc<str>>,
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
    pub dkim: Option<Vec<CheckResult>>,
    /// The chain; unset: not checked.
    pub arc: Option<CheckResult>,
    /// The policy of the From domain; unset: not checked.
    pub dmarc: Option<Dmarc>,
}

/// The result of DMARC (RFC 7489).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dmarc {
    /// Whether an aligned identifier passed.
    pub result: CheckResult,
    /// What the domain asks for when none did.
    pub policy: DmarcPolicy,
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
