//! The spans of a message's checks, which run side by side.

use postern_core::session::check::{CheckResult, Dmarc, Signature};
use postern_core::session::question::MessageChecks;
use postern_trace::{Kind, Span, span};

use super::conclude;
use super::message::Claims;

/// One for each check that is wanted.
pub(super) struct Spans {
    dkim: Span,
    arc: Span,
    pub(super) dmarc: Span,
}

impl Spans {
    pub(super) fn begin(claims: &Claims, wanted: MessageChecks, author: Option<&str>) -> Self {
        let step = |is_wanted, name| match is_wanted {
            true => span(name, Kind::Internal),
            false => Span::NONE,
        };
        let mut spans = Self {
            // DMARC needs the signatures, whether their results are wanted or not.
            dkim: step(wanted.dkim || wanted.dmarc, "auth.dkim"),
            arc: step(wanted.arc, "auth.arc"),
            dmarc: step(wanted.dmarc, "auth.dmarc"),
        };
        spans.dkim.number("postern.auth.signatures", claims.signatures.len() as u64);
        spans.dmarc.text_if("postern.auth.domain", author);
        spans
    }

    /// Where keys are looked up: they are fetched once for signatures and chain.
    pub(super) fn of_keys(&self) -> &Span {
        if self.dkim.is_recorded() { &self.dkim } else { &self.arc }
    }

    /// Signatures and chain are done.
    pub(super) fn signatures_verified(&mut self, signatures: &[Signature], chain: Option<CheckResult>) {
        let mut dkim = std::mem::take(&mut self.dkim);
        if dkim.is_recorded() {
            // One good signature is enough.
            let results = || signatures.iter().map(|signature| signature.result);
            let best = results().find(|result| *result == CheckResult::Pass).or_else(|| results().next());
            conclude(&mut dkim, best.unwrap_or(CheckResult::None), None);
        }
        let mut arc = std::mem::take(&mut self.arc);
        if let Some(result) = chain {
            conclude(&mut arc, result, None);
        }
    }

    /// All is done.
    pub(super) fn end(mut self, dmarc: Option<&Dmarc>) {
        if let Some(Dmarc { result, policy, reason, .. }) = dmarc {
            conclude(&mut self.dmarc, *result, reason.as_deref());
            self.dmarc.text("postern.auth.policy", policy.name());
        }
    }
}
