//! The threads on which passwords are hashed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A bounded number of threads with a bounded queue before them.
#[derive(Debug)]
pub struct HashPool {
    /// One for each check that runs.
    pub(super) workers: Arc<Semaphore>,
    /// One for each check that runs or waits.
    pub(super) queue: Arc<Semaphore>,
    patience: Duration,
}

impl Default for HashPool {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self::new(workers, workers * QUEUED_PER_WORKER, PATIENCE)
    }
}

impl HashPool {
    /// `workers` checks run at a time, `queued` more wait, none longer than `patience`.
    #[must_use]
    pub fn new(workers: usize, queued: usize, patience: Duration) -> Self {
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(workers + queued)),
            patience,
        }
    }

    /// What the check says; nothing when it got no turn in time, or broke.
    ///
    /// Dropping the future does not free the worker before its hash is done, so that clients that
    /// hang up cannot make more hashes run than there are workers.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = Arc::clone(&self.queue).try_acquire_owned().ok()?;
        let worker = timeout(self.patience, Arc::clone(&self.workers).acquire_owned()).await.ok()?.ok()?;
        let check = spawn_blocking(move || {
            let _held = (place, worker);
            check()
        });
        check.await.inspect_err(|error| tracing::error!(%error, "a password check broke")).ok()
    }
}

const QUEUED_PER_WORKER: usize = 32;
/// A client waits up to a minute for the reply; a hash of a second must still fit in.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
