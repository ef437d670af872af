//! The threads that run scripts.
//!
//! The interpreter is synchronous and cannot be interrupted between two events, so it gets threads of its own:
//! few, always the same, none of the runtime's. A session waits for one of them only so long, and for the end
//! of its run only so long; a run that goes on after that keeps its thread until its instructions are used up.
//! When all threads are taken in that way, whoever comes next is told so, and the server goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// A fixed number of threads, started when the first script runs.
#[derive(Debug)]
pub(super) struct Pool {
    threads: usize,
    started: OnceLock<Started>,
}

#[derive(Debug)]
struct Started {
    /// As many permits as threads.
    free: Arc<Semaphore>,
    tasks: mpsc::Sender<Task>,
}

type Task = Box<dyn FnOnce() + Send>;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolError {
    /// All threads are taken.
    Busy,
    /// The time is over; the work goes on without anybody waiting.
    TimedOut,
    /// The work has panicked.
    Panicked,
}

impl Default for Pool {
    fn default() -> Self {
        // Scripts compute, so more threads than processors gain nothing but room for those that are stuck.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads((processors * 2).clamp(4, 64))
    }
}

impl Pool {
    pub(super) fn with_threads(threads: usize) -> Self {
        Self { threads, started: OnceLock::new() }
    }

    /// Does some work on one of the threads, which is waited for at most `patience`, and likewise its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let started = self.started.get_or_init(|| start(self.threads));
        let acquired = timeout(patience, Arc::clone(&started.free).acquire_owned()).await;
        let Ok(Ok(permit)) = acquired else { return Err(PoolError::Busy) };
        let (answer, answered) = oneshot::channel();
        let task = move || {
            let outcome = guarded(work, permit);
            // Nobody may be waiting any more.
            let _ = answer.send(outcome);
        };
        started.tasks.send(Box::new(task)).map_err(|_| PoolError::Busy)?;
        match timeout(patience, answered).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(_)) | Err(_)) => Err(PoolError::Panicked),
            Err(_) => Err(PoolError::TimedOut),
        }
    }
}

/// Nothing that the work leaves behind is used after a panic: all of it is its own and is dropped here.
fn guarded<T>(work: impl FnOnce() -> T, permit: OwnedSemaphorePermit) -> Result<T, Box<dyn Any + Send>> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    drop(permit);
    outcome
}

fn start(threads: usize) -> Started {
    let (tasks, queue) = mpsc::channel::<Task>();
    let queue = Arc::new(Mutex::new(queue));
    let running = (0..threads).filter(|number| {
        let queue = Arc::clone(&queue);
        let thread = thread::Builder::new().name(format!("sieve-{number}")).stack_size(STACK);
        let spawned = thread.spawn(move || serve(&queue));
        if let Err(error) = &spawned {
            tracing::warn!(%error, "a thread for scripts cannot be started");
        }
        spawned.is_ok()
    });
    Started { free: Arc::new(Semaphore::new(running.count())), tasks }
}

/// One task after the other, until the pool is gone.
fn serve(queue: &Mutex<mpsc::Receiver<Task>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return };
        task();
    }
}

/// Octets of a thread's stack. Messages within messages are dropped by recursion; this is room for the deepest
/// that the parser makes, and costs only what is used of it.
const STACK: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_panic_is_an_error_and_leaves_the_threads_as_they_were() {
        let pool = Pool::with_threads(1);
        for _ in 0..3 {
            let outcome = pool.run(LONG, || std::panic::resume_unwind(Box::new("broken"))).await;
            assert_eq!(outcome, Err::<(), _>(PoolError::Panicked));
        }
        assert_eq!(pool.run(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn who_waits_is_told_when_the_time_is_over_and_when_every_thread_is_taken() {
        let pool = Pool::with_threads(1);
        let (release, released) = mpsc::channel::<()>();
        let short = Duration::from_millis(20);
        assert_eq!(pool.run(short, move || released.recv().is_ok()).await, Err(PoolError::TimedOut));
        assert_eq!(pool.run(short, || 7).await, Err(PoolError::Busy));
        release.send(()).unwrap();
        assert_eq!(pool.run(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn as_many_run_at_once_as_there_are_threads() {
        let pool = Pool::with_threads(2);
        let meeting = Arc::new(std::sync::Barrier::new(2));
        let other = Arc::clone(&meeting);
        let both = tokio::join!(
            pool.run(LONG, move || meeting.wait().is_leader()),
            pool.run(LONG, move || other.wait().is_leader())
        );
        assert_ne!(both.0.unwrap(), both.1.unwrap());
    }
}
