//! Where traces begin.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use prometheus_client::registry::Registry;

use crate::export::{Exporter, Queue, Tracing};
use crate::ids;
use crate::metrics::SpanMetrics;
use crate::sampler::Sampler;
use crate::settings::Settings;
use crate::span::{Kind, Span};

/// Begins traces. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracer {
    shared: Option<Arc<Shared>>,
    metrics: SpanMetrics,
}

/// What all spans of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    sampler: Sampler,
    pub(crate) queue: Queue,
}

/// When something began: by the calendar, and by a clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    pub(crate) wall: SystemTime,
    pub(crate) clock: Instant,
}

/// The first span of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Root {
    /// Id of the trace; not zero.
    pub trace: u128,
    /// Name of the span.
    pub name: &'static str,
    /// What it is to others.
    pub kind: Kind,
    /// When it began.
    pub began: Began,
}

impl Began {
    /// Just now.
    #[must_use]
    pub fn now() -> Self {
        Self { wall: SystemTime::now(), clock: Instant::now() }
    }

    /// How long ago that is.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.clock.elapsed()
    }
}

impl Tracer {
    /// Begins to record as settings say. The exporter does nothing until it is [run](Exporter::run).
    #[must_use]
    pub(crate) fn new(settings: Settings) -> (Self, Exporter) {
        let metrics = SpanMetrics::default();
        let queue = Queue::new(settings.batches, metrics.clone());
        let shared = Arc::new(Shared { sampler: settings.sampler, queue });
        let exporter = Exporter::new(Arc::clone(&shared), settings, metrics.clone());
        (Self { shared: Some(shared), metrics }, exporter)
    }

    /// Whether anything is ever recorded.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Begins a trace, which is recorded if the sampler takes it.
    #[must_use]
    pub fn begin(&self, root: Root) -> Span {
        match &self.shared {
            Some(shared) if shared.sampler.takes(root.trace) => open(shared, root),
            _ => Span::NONE,
        }
    }

    /// Begins a trace under an id that nobody has given it; recorded if the sampler takes it.
    #[must_use]
    pub fn begin_anew(&self, name: &'static str, kind: Kind) -> Span {
        let trace = (u128::from(ids::next()) << 64) | u128::from(ids::next());
        self.begin(Root { trace, name, kind, began: Began::now() })
    }

    /// Begins a trace that is recorded whatever the sampler says, because another one that is recorded leads to it.
    #[must_use]
    pub fn begin_regardless(&self, root: Root) -> Span {
        self.shared.as_ref().map_or(Span::NONE, |shared| open(shared, root))
    }

    /// Begins as the environment says; what is at work has to be [ended](Tracing::end). What is wrong with a variable is
    /// told in the log.
    #[must_use]
    pub fn from_env(program: &'static str, version: &'static str) -> (Self, Option<Tracing>) {
        let (settings, complaints) = Settings::from_env(program, version);
        for complaint in complaints {
            tracing::error!(%complaint, "a setting of tracing cannot be obeyed");
        }
        match settings {
            Some(settings) => {
                let (tracer, tracing) = Tracing::begin(settings);
                (tracer, Some(tracing))
            }
            None => (Self::default(), None),
        }
    }

    /// Makes the counts of spans visible.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }
}

fn open(shared: &Arc<Shared>, root: Root) -> Span {
    let Root { trace, name, kind, began } = root;
    Span::open(shared, trace, 0, name, kind, began)
}
