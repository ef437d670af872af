//! How the process ends without losing a message.
//!
//! In order: say "not ready" and go on, so that load balancers look elsewhere; close the listeners and
//! send sessions without a transaction away with 421; let transactions run for a while; end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// Where the end of the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Not ending.
    #[default]
    Serving,
    /// Not ready any more, and still accepting.
    Announced,
    /// Listeners are closed; sessions without a transaction get 421, others when theirs ends.
    Closing,
    /// Time is up: every session that waits for its client gets 421 now, in a transaction too.
    Expired,
}

impl Phase {
    /// The name in `/status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Announced => "announced",
            Self::Closing => "closing",
            Self::Expired => "expired",
        }
    }
}

/// The times of the end.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long connections are still accepted after the end was announced.
    pub delay: Duration,
    /// How long transactions may run on after the listeners are closed.
    pub timeout: Duration,
}

/// The state of the end, seen by every session.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    transactions: Arc<Transactions>,
}

/// Held by a session from MAIL to the reply that ends the transaction.
#[derive(Debug)]
pub struct InTransaction(Arc<Transactions>);

#[derive(Debug, Default)]
struct Transactions {
    open: AtomicU32,
    ended: Notify,
}

impl Default for Drain {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving), transactions: Arc::default() }
    }
}

impl Drain {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The phase and its changes, for a session to wait on beside its socket.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits until the listeners are to be closed.
    pub async fn closing(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.watch().wait_for(|phase| *phase >= Phase::Closing).await;
    }

    /// Says that a transaction has begun, which the end of the process waits for.
    #[must_use]
    pub fn begin_transaction(&self) -> InTransaction {
        self.transactions.open.fetch_add(1, Ordering::AcqRel);
        InTransaction(Arc::clone(&self.transactions))
    }

    /// Transactions open now.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        self.transactions.open.load(Ordering::Acquire)
    }

    /// Goes through all phases, and returns when the process may end.
    ///
    /// `sessions_gone` is the moment when no session is left. `hurry` skips what is left of the
    /// delay and of the timeout. Returns the number of transactions that were cut off.
    pub async fn run(
        &self,
        times: Times,
        sessions_gone: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> u32 {
        tokio::pin!(sessions_gone, hurry);
        self.phase.send_replace(Phase::Announced);
        let mut in_a_hurry = tokio::select! {
            () = sleep(times.delay) => false,
            () = &mut hurry => true,
        };
        self.phase.send_replace(Phase::Closing);
        let deadline = Instant::now() + times.timeout;
        if !in_a_hurry {
            in_a_hurry = tokio::select! {
                () = &mut sessions_gone => return 0,
                () = &mut hurry => true,
                () = self.transactions_gone(deadline) => false,
            };
        }
        if in_a_hurry || self.transactions() == 0 {
            // What is left has no transaction: clients that do not read their 421 are not waited for.
            if timeout_at(Instant::now() + FAREWELL, &mut sessions_gone).await.is_ok() {
                return 0;
            }
        }
        self.phase.send_replace(Phase::Expired);
        let cut_off = self.transactions();
        let _ = timeout_at(Instant::now() + LAST_WORDS, &mut sessions_gone).await;
        cut_off
    }

    async fn transactions_gone(&self, deadline: Instant) {
        let gone = async {
            loop {
                let ended = self.transactions.ended.notified();
                if self.transactions() == 0 {
                    return;
                }
                ended.await;
            }
        };
        let _ = timeout_at(deadline, gone).await;
    }
}

impl Drop for InTransaction {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

/// For sessions without a transaction to take their 421 and go; with `LAST_WORDS` less than 5 s.
const FAREWELL: Duration = Duration::from_secs(3);

/// For sessions that are cut off to take theirs. It is more than a session gives its client to hang up, so that even
/// those whose client stays tell of their transaction.
const LAST_WORDS: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::sync::oneshot;

    const TIMES: Times = Times { delay: Duration::from_secs(5), timeout: Duration::from_secs(30) };

    /// Notes the phases and how many seconds after the beginning each one came.
    async fn phases(mut watch: watch::Receiver<Phase>, began: Instant) -> Vec<(Phase, u64)> {
        let mut seen = Vec::new();
        while watch.changed().await.is_ok() {
            let phase = *watch.borrow_and_update();
            seen.push((phase, began.elapsed().as_secs()));
            if phase == Phase::Expired {
                break;
            }
        }
        seen
    }

    async fn gone(receiver: oneshot::Receiver<()>) {
        let _ = receiver.await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_sessions_it_ends_when_the_delay_is_over() {
        let (drain, began) = (Drain::default(), Instant::now());
        assert_eq!(drain.run(TIMES, ready(()), pending()).await, 0);
        assert_eq!(began.elapsed(), TIMES.delay);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_without_a_transaction_are_not_waited_for_long() {
        let (drain, began) = (Drain::default(), Instant::now());
        let times = Times { delay: Duration::ZERO, ..TIMES };
        assert_eq!(drain.run(times, pending(), pending()).await, 0);
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn transactions_may_run_on_until_their_time_is_up() {
        let (drain, began) = (Drain::default(), Instant::now());
        let _stuck = drain.begin_transaction();
        let (cut_off, seen) =
            tokio::join!(drain.run(TIMES, pending(), pending()), phases(drain.watch(), began));
        assert_eq!(cut_off, 1);
        assert_eq!(seen, [(Phase::Announced, 0), (Phase::Closing, 5), (Phase::Expired, 35)]);
        assert_eq!(began.elapsed(), Duration::from_secs(35) + LAST_WORDS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_last_transaction_is_the_end() {
        let (drain, began) = (Drain::default(), Instant::now());
        let (last, waits) = oneshot::channel();
        let transaction = drain.begin_transaction();
        let session = async {
            sleep(Duration::from_secs(12)).await;
            drop(transaction);
            last.send(()).unwrap();
        };
        let (cut_off, ()) = tokio::join!(drain.run(TIMES, gone(waits), pending()), session);
        assert_eq!(cut_off, 0);
        assert_eq!(began.elapsed(), Duration::from_secs(12));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hurry_skips_what_is_left_of_the_waiting() {
        let (drain, began) = (Drain::default(), Instant::now());
        let _stuck = drain.begin_transaction();
        assert_eq!(drain.run(TIMES, pending(), sleep(Duration::from_secs(1))).await, 1);
        assert_eq!(began.elapsed(), Duration::from_secs(1) + FAREWELL + LAST_WORDS);
    }

    #[tokio::test(start_paused = true)]
    async fn listeners_close_when_the_delay_is_over() {
        let (drain, began) = (Drain::default(), Instant::now());
        let closing = async {
            drain.closing().await;
            began.elapsed()
        };
        let (_, closed_after) = tokio::join!(drain.run(TIMES, ready(()), pending()), closing);
        assert_eq!(closed_after, TIMES.delay);
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
