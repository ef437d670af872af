//! Spans that wait to be sent: encoded, in batches, and never more than there is room for.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::encoding::{self, field};
use crate::metrics::SpanMetrics;
use crate::settings::Batches;

/// The queue of the process.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Batches,
    waiting: Mutex<Waiting>,
    /// Told when a batch is full, and not at each span: waking a task costs more than a span.
    full: Notify,
    metrics: SpanMetrics,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    spans: usize,
}

/// Spans of one request, each with the key of its field.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) encoded: Vec<u8>,
    pub(crate) spans: u64,
}

impl Queue {
    pub(crate) fn new(limits: Batches, metrics: SpanMetrics) -> Self {
        Self { limits, waiting: Mutex::default(), full: Notify::new(), metrics }
    }

    /// Takes a copy of an encoded span, or counts it where there is no room.
    pub(crate) fn push(&self, span: &[u8]) {
        let is_full = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.spans >= self.limits.queue {
                drop(waiting);
                self.metrics.dropped();
                return;
            }
            waiting.spans += 1;
            waiting.push(span, self.limits.batch as u64)
        };
        if is_full {
            self.full.notify_one();
        }
    }

    /// The next batch: as soon as there is a full one, or what there is after the delay.
    pub(super) async fn batch(&self) -> Batch {
        loop {
            if !self.has_full_batch() {
                tokio::select! {
                    () = self.full.notified() => {}
                    () = sleep(self.limits.delay) => {}
                }
            }
            if let Some(batch) = self.take() {
                return batch;
            }
        }
    }

    /// The oldest batch, full or not.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = waiting.batches.pop_front()?;
        waiting.spans = waiting.spans.saturating_sub(usize::try_from(batch.spans).unwrap_or(usize::MAX));
        Some(batch)
    }

    fn has_full_batch(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.batches.front().is_some_and(|batch| batch.spans >= self.limits.batch as u64)
    }
}

impl Waiting {
    /// Appends a span to the last batch; says whether that has become full.
    fn push(&mut self, span: &[u8], most: u64) -> bool {
        let batch = match self.batches.back_mut().filter(|batch| batch.spans < most) {
            Some(batch) => batch,
            None => self.batches.push_back_mut(Batch::default()),
        };
        encoding::head(field::SPANS, span.len(), &mut batch.encoded);
        batch.encoded.extend_from_slice(span);
        batch.spans += 1;
        batch.spans == most
    }
}
