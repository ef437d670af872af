//! What is counted of the shared store.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Requests to Redis and whether it is there. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct StoreMetrics {
    requests: Family<RequestLabels, Counter>,
    up: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    outcome: RequestOutcome,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum RequestOutcome {
    Answered,
    /// No answer in time.
    Late,
    /// The connection broke, or the answer was an error.
    Failed,
    /// Not asked, because it was gone at the last request and has not come back.
    Skipped,
}

impl StoreMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let requests = "Requests to the shared store; what is not answered is counted in this process";
        registry.register("store_requests", requests, self.requests.clone());
        registry.register("store_up", "1 while the shared store answers", self.up.clone());
    }

    /// Counts each thing once, so that every metric shows.
    #[cfg(test)]
    pub(crate) fn count_everything(&self) {
        self.asked(RequestOutcome::Answered);
    }

    pub(super) fn asked(&self, outcome: RequestOutcome) {
        self.requests.get_or_create(&RequestLabels { outcome }).inc();
    }

    pub(super) fn is_up(&self, up: bool) {
        self.up.set(up.into());
    }
}
