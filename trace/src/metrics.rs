//! What is counted of spans.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Counts of spans by what became of them. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone)]
pub(crate) struct SpanMetrics {
    family: Family<Labels, Counter>,
    /// Kept apart, since a span that is dropped costs no look-up of a label.
    queue_full: Counter,
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// The collector has it.
    Exported,
    /// There was no room in the queue.
    QueueFull,
    /// The collector did not take it in time, or not at all.
    ExportFailed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

impl Default for SpanMetrics {
    fn default() -> Self {
        let family = Family::<Labels, Counter>::default();
        let queue_full = family.get_or_create_owned(&Labels { outcome: Outcome::QueueFull });
        for outcome in [Outcome::Exported, Outcome::ExportFailed] {
            drop(family.get_or_create(&Labels { outcome }));
        }
        Self { family, queue_full }
    }
}

impl SpanMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Spans that were recorded, by what became of them; none while tracing is off";
        registry.register("trace_spans", help, self.family.clone());
    }

    pub(crate) fn exported(&self, spans: u64) {
        self.count(Outcome::Exported, spans);
    }

    pub(crate) fn lost(&self, spans: u64) {
        self.count(Outcome::ExportFailed, spans);
    }

    pub(crate) fn dropped(&self) {
        self.queue_full.inc();
    }

    fn count(&self, outcome: Outcome, spans: u64) {
        self.family.get_or_create(&Labels { outcome }).inc_by(spans);
    }
}
