//! What is counted of directories. Labels are names in the policy, operations and outcomes.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::DirectoryError;
use crate::filter::FilterError;

/// Requests to directories and what their caches spared. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone)]
pub struct DirectoryMetrics {
    seconds: Family<RequestLabels, Histogram, fn() -> Histogram>,
    cache: Family<CacheLabels, Counter>,
}

/// What is asked of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Operation {
    /// A search or a read.
    Search,
    /// A password.
    Bind,
    /// A token.
    Token,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Outcome {
    Answered,
    /// Not in time.
    Late,
    Failed,
}

/// What a cache had to say about a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum CacheOutcome {
    /// A mailbox or a list.
    Found,
    /// That there is nobody.
    Nobody,
    /// Nothing: the directory is asked.
    Miss,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    directory: Arc<str>,
    operation: Operation,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    directory: Arc<str>,
    outcome: CacheOutcome,
}

impl Default for DirectoryMetrics {
    fn default() -> Self {
        Self { seconds: Family::new_with_constructor(histogram), cache: Family::default() }
    }
}

impl DirectoryMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "How long a directory took, waiting for a connection included";
        registry.register_with_unit("directory_request", help, Unit::Seconds, self.seconds.clone());
        let help = "Recipients that were looked for in the cache of a directory";
        registry.register("directory_cache", help, self.cache.clone());
    }

    /// Counts each thing once, so that every metric shows.
    #[cfg(test)]
    pub(crate) fn count_everything(&self) {
        let directory = Arc::from("people");
        self.asked(&directory, Operation::Search, &Ok(()), Duration::ZERO);
        self.cached(&directory, CacheOutcome::Miss);
    }

    pub(super) fn asked<T>(
        &self,
        directory: &Arc<str>,
        operation: Operation,
        outcome: &Result<T, DirectoryError>,
        took: Duration,
    ) {
        let outcome = match outcome {
            Ok(_) => Outcome::Answered,
            Err(DirectoryError::Timeout(_) | DirectoryError::Provider(FilterError::Timeout { .. })) => {
                Outcome::Late
            }
            Err(_) => Outcome::Failed,
        };
        let labels = RequestLabels { directory: Arc::clone(directory), operation, outcome };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn cached(&self, directory: &Arc<str>, outcome: CacheOutcome) {
        self.cache.get_or_create(&CacheLabels { directory: Arc::clone(directory), outcome }).inc();
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}
