//! What is counted, in the OpenMetrics format.

use std::sync::Arc;
use std::time::Duration;

use postern_trace::Tracer;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All metrics of the process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Histogram,
    leads: Gauge,
    held: Gauge,
    reviews: Family<ReviewLabels, Counter>,
    tracer: Tracer,
}

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Everything is as planned.
    Done,
    /// It is tried again.
    Failed,
}

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Decision {
    /// The object may be written.
    Allowed,
    /// It may be written, and there is something to say about it.
    Warned,
    /// It has faults of its own.
    Denied,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    decision: Decision,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Tracer::default())
    }
}

impl Metrics {
    /// Counts of nothing yet, with those of this tracer.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        let mut registry = Registry::with_prefix("postern_operator");
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles of the whole policy", reconciles.clone());
        let durations = Histogram::new(exponential_buckets(0.005, 2.0, 12));
        registry.register_with_unit("reconcile", "Time of a reconcile", Unit::Seconds, durations.clone());
        let (leads, held) = (Gauge::default(), Gauge::default());
        registry.register("leader", "Whether this replica writes", leads.clone());
        registry.register("held", "Whether an older policy stays because of faults", held.clone());
        let reviews = Family::default();
        registry.register("reviews", "Objects reviewed on admission", reviews.clone());
        tracer.register(&mut registry);
        Self { registry: Arc::new(registry), reconciles, durations, leads, held, reviews, tracer }
    }

    /// What records spans; its counts are among these.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// A reconcile has ended.
    pub fn reconciled(&self, outcome: Outcome, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { outcome }).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Whether an older policy stays.
    pub fn held(&self, is_held: bool) {
        self.held.set(is_held.into());
    }

    /// Whether this replica writes.
    pub fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
    }

    /// An object was reviewed.
    pub fn reviewed(&self, decision: Decision) {
        self.reviews.get_or_create(&ReviewLabels { decision }).inc();
    }

    /// All of it as text.
    ///
    /// # Errors
    /// It cannot be written, for which there is no known cause.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn outcomes_are_counted_under_closed_labels() {
        let metrics = Metrics::default();
        metrics.reconciled(Outcome::Done, Duration::from_millis(7));
        metrics.reviewed(Decision::Denied);
        let text = metrics.encode().unwrap();
        assert!(text.contains("postern_operator_reconciles_total{outcome=\"Done\"} 1\n"), "{text}");
        assert!(text.contains("postern_operator_reviews_total{decision=\"Denied\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_document_lists_exactly_what_is_shown() {
        let metrics = Metrics::default();
        metrics.reconciled(Outcome::Done, Duration::ZERO);
        metrics.reviewed(Decision::Allowed);
        let text = metrics.encode().unwrap();
        let name = |line: &str| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name)
                .to_owned()
        };
        let shown: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).map(name).collect();
        let document =
            include_str!("../../docs/observability.md").split("### Of the operator").nth(1).unwrap();
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `postern_operator_"));
        let rows = rows.map(|row| format!("postern_operator_{}", row.split('`').next().unwrap()));
        assert_eq!(rows.collect::<BTreeSet<_>>(), shown);
    }
}
