//! Counters of the hand-off. Every label comes from a closed set.

use std::time::Duration;

use postern_core::handoff::Outcome;
use postern_core::policy::listener::Protocol;
use postern_core::policy::route::{Route, RouteTarget};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::relay::Phase;

/// What the hand-off counts. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    recipients: Family<RecipientLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    verifications: Family<VerificationLabels, Counter>,
    skipped: Counter,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

/// The kind of a route, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the label values are their own names")]
pub enum RouteKind {
    Smtp,
    Lmtp,
    Maildir,
    Discard,
}

impl RouteKind {
    /// The kind of a route.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        match &route.target {
            RouteTarget::Relay(relay) => match relay.protocol {
                Protocol::Smtp => Self::Smtp,
                Protocol::Lmtp => Self::Lmtp,
            },
            RouteTarget::Maildir(_) => Self::Maildir,
            RouteTarget::Discard => Self::Discard,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum OutcomeLabel {
    Delivered,
    Refused,
    Deferred,
    Withheld,
}

/// How a recipient's verification went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum VerificationLabel {
    Accepted,
    Refused,
    Unreachable,
    KnownGood,
    KnownBad,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecipientLabels {
    route: RouteKind,
    outcome: OutcomeLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    route: RouteKind,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerificationLabels {
    result: VerificationLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: RouteKind,
}

impl EncodeLabelValue for Phase {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            recipients: Family::default(),
            failures: Family::default(),
            verifications: Family::default(),
            skipped: Counter::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }
}

impl Metrics {
    /// Makes the counters visible.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "handoff_recipients",
            "Recipients handed on, by kind of route and by what became of them",
            self.recipients.clone(),
        );
        registry.register(
            "handoff_failures",
            "Next hops or files that failed, by kind of route and phase",
            self.failures.clone(),
        );
        registry.register(
            "handoff_verifications",
            "Recipients put to a next hop while the client waited for its RCPT",
            self.verifications.clone(),
        );
        registry.register(
            "handoff_skipped_recipients",
            "Recipients not delivered to again, because an earlier try of the client had reached them",
            self.skipped.clone(),
        );
        registry.register(
            "handoff_seconds",
            "Time from the end of data to the next hop's last word",
            self.seconds.clone(),
        );
    }

    /// Counts each thing once, so that every metric shows.
    #[cfg(test)]
    pub(crate) fn count_everything(&self) {
        self.count_recipients(RouteKind::Smtp, &[Outcome::Delivered]);
        self.count_failure(RouteKind::Smtp, Phase::Connect);
        self.count_verification(VerificationLabel::Accepted);
        self.observe(RouteKind::Smtp, Duration::ZERO);
    }

    pub(super) fn count_recipients(&self, route: RouteKind, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let outcome = match outcome {
                Outcome::Delivered => OutcomeLabel::Delivered,
                Outcome::Refused(_) => OutcomeLabel::Refused,
                Outcome::Deferred(_) => OutcomeLabel::Deferred,
                Outcome::Withheld => OutcomeLabel::Withheld,
            };
            self.recipients.get_or_create(&RecipientLabels { route, outcome }).inc();
        }
    }

    pub(super) fn count_failure(&self, route: RouteKind, phase: Phase) {
        self.failures.get_or_create(&FailureLabels { route, phase }).inc();
    }

    pub(super) fn count_verification(&self, result: VerificationLabel) {
        self.verifications.get_or_create(&VerificationLabels { result }).inc();
    }

    pub(super) fn count_skipped(&self) {
        self.skipped.inc();
    }

    pub(super) fn observe(&self, route: RouteKind, took: Duration) {
        self.seconds.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }
}

const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 30.0, 300.0];
