//! From the queue to the collector.

mod answer;
mod collector;
mod queue;
mod request;
#[cfg(test)]
mod tests;
mod tls;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use self::collector::{Again, Collector, Failure};
use self::queue::Batch;
pub(crate) use self::queue::Queue;
use crate::metrics::SpanMetrics;
use crate::settings::Settings;
use crate::tracer::{Shared, Tracer};

/// The exporter at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct Tracing {
    exporter: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Tracing {
    /// Begins to record and to send, in a task of its own.
    #[must_use]
    pub fn begin(settings: Settings) -> (Tracer, Self) {
        let (tracer, exporter) = Tracer::new(settings);
        let (end, ended) = oneshot::channel();
        let exporter = tokio::spawn(exporter.run(ended, FAREWELL));
        (tracer, Self { exporter, end })
    }

    /// Sends what is left, for a few seconds at most.
    pub async fn end(self) {
        // Where nobody hears it the exporter has gone already.
        let _ = self.end.send(());
        if let Err(error) = self.exporter.await {
            tracing::error!(%error, "the exporter of spans broke");
        }
    }
}

/// Sends what is in the queue.
#[derive(Debug)]
pub(crate) struct Exporter {
    shared: Arc<Shared>,
    collector: Collector,
    metrics: SpanMetrics,
    /// For one batch with all its tries.
    patience: Duration,
    /// Whether the last batch was lost, so that the log says it once.
    is_failing: bool,
}

impl Exporter {
    pub(crate) fn new(shared: Arc<Shared>, settings: Settings, metrics: SpanMetrics) -> Self {
        let patience = settings.batches.timeout;
        Self { shared, collector: Collector::new(settings), metrics, patience, is_failing: false }
    }

    /// Sends batches until `end` is there, and then what is left, for as long as `farewell` lasts.
    pub(crate) async fn run(mut self, mut end: oneshot::Receiver<()>, farewell: Duration) {
        let shared = Arc::clone(&self.shared);
        let deadline = loop {
            let batch = tokio::select! {
                batch = shared.queue.batch() => batch,
                // A sender that is gone ends it as well.
                _ = &mut end => break Instant::now() + farewell,
            };
            let spans = batch.spans;
            let metrics = self.metrics.clone();
            let mut sending = pin!(self.send(batch));
            tokio::select! {
                () = &mut sending => continue,
                _ = &mut end => {}
            }
            let deadline = Instant::now() + farewell;
            if timeout_at(deadline, sending).await.is_err() {
                metrics.lost(spans);
            }
            break deadline;
        };
        while let Some(batch) = self.shared.queue.take() {
            self.patience = self.patience.min(deadline.saturating_duration_since(Instant::now()));
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Batch) {
        let deadline = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        let failure = loop {
            let failure = match timeout_at(deadline, self.collector.send(&batch)).await {
                Ok(Ok(rejected)) => return self.sent(&batch, rejected),
                Ok(Err(failure)) => failure,
                Err(_) => break Failure::for_good("no answer in time"),
            };
            let wait = match failure.again {
                Again::Never => break failure,
                Again::Soon => pause,
                Again::After(wanted) => wanted.max(pause),
            };
            if Instant::now() + wait >= deadline {
                break failure;
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        self.metrics.lost(batch.spans);
        if !std::mem::replace(&mut self.is_failing, true) {
            let reason = failure.reason;
            tracing::warn!(reason, spans = batch.spans, "spans cannot be sent; they are dropped and counted");
        }
    }

    fn sent(&mut self, batch: &Batch, rejected: u64) {
        let rejected = rejected.min(batch.spans);
        self.metrics.exported(batch.spans - rejected);
        self.metrics.lost(rejected);
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("spans are taken again");
        }
    }
}

/// What the end of the process waits for spans at most: less than the 20 s that a pod is given beyond its drain.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
