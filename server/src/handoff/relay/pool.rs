//! The connections to one address of one route.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_core::policy::route::{HopAddress, PoolLimits};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connect::Opener;
use super::connection::Connection;
use super::error::{Fault, HopError, Phase};

/// Idle connections, and how many may be open at a time.
#[derive(Debug)]
pub(super) struct HopPool {
    address: HopAddress,
    limits: PoolLimits,
    opener: Arc<Opener>,
    permits: Arc<Semaphore>,
    /// The most recently used is last and is taken first, so that those in excess grow old.
    idle: Mutex<IdleConnections>,
    /// Until when the address is only a last resort, because it did not answer.
    down_until: Mutex<Option<Instant>>,
    /// The route is gone: nothing is kept any more.
    retired: AtomicBool,
    /// Tells the reaper that there is something to watch.
    watched: Arc<Notify>,
}

#[derive(Debug, Default)]
struct IdleConnections {
    list: Vec<Idle>,
    /// The reaper will look at them by itself before one is too old.
    is_watched: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A borrowed connection. Dropping it closes the connection; [`Lease::give_back`] keeps it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// How long it lay idle; none for a new one.
    pub(super) idled: Option<Duration>,
    pool: Arc<HopPool>,
    _permit: OwnedSemaphorePermit,
}

/// Which connections will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Any.
    Any,
    /// A new one, after an idle one turned out to be stale.
    New,
}

impl HopPool {
    pub(super) fn new(
        address: HopAddress,
        limits: PoolLimits,
        opener: Arc<Opener>,
        watched: Arc<Notify>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(limits.max_connections.max(1) as usize));
        Self {
            address,
            limits,
            opener,
            permits,
            idle: Mutex::default(),
            down_until: Mutex::default(),
            retired: AtomicBool::new(false),
            watched,
        }
    }

    /// Borrows a connection, idle or new; waits at most `limit` for one of the others to come free.
    pub(super) async fn lease(
        self: &Arc<Self>,
        hostname: &Arc<str>,
        freshness: Freshness,
        limit: Duration,
    ) -> Result<Lease, HopError> {
        let permit = match timeout(limit, Arc::clone(&self.permits).acquire_owned()).await {
            Err(_) => return Err(HopError::new(Phase::Pool, Fault::TimedOut(limit))),
            // Nobody closes the semaphore.
            Ok(Err(_)) => return Err(HopError::new(Phase::Pool, Fault::Closed)),
            Ok(Ok(permit)) => permit,
        };
        if freshness == Freshness::Any {
            while let Some(idle) = self.take_idle(hostname) {
                let idled = idle.since.elapsed();
                let mut connection = idle.connection;
                if idled < self.limits.idle && connection.talk.is_quiet() {
                    return Ok(Lease {
                        connection,
                        idled: Some(idled),
                        pool: Arc::clone(self),
                        _permit: permit,
                    });
                }
                connection.talk.part();
            }
        }
        match self.opener.open(&self.address, hostname).await {
            Ok(connection) => {
                *lock(&self.down_until) = None;
                Ok(Lease { connection, idled: None, pool: Arc::clone(self), _permit: permit })
            }
            Err(error) => {
                *lock(&self.down_until) = Some(Instant::now() + LAST_RESORT);
                Err(error)
            }
        }
    }

    /// Whether the address failed a moment ago.
    pub(super) fn is_down(&self) -> bool {
        lock(&self.down_until).is_some_and(|until| Instant::now() < until)
    }

    /// The address, for logs.
    pub(super) fn address(&self) -> &HopAddress {
        &self.address
    }

    /// Keeps nothing from now on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.close(|_| true);
    }

    /// Closes what has been idle for too long; says when to look again.
    pub(super) fn reap(&self, now: Instant) -> Option<Instant> {
        self.close(|idle| now.duration_since(idle.since) >= self.limits.idle);
        let mut idle = lock(&self.idle);
        let next = idle.list.iter().map(|idle| idle.since + self.limits.idle).min();
        idle.is_watched = next.is_some();
        next
    }

    fn close(&self, goes: impl Fn(&Idle) -> bool) {
        // Parting writes to sockets, which is not done under the lock.
        let gone: Vec<Idle> = lock(&self.idle).list.extract_if(.., |idle| goes(idle)).collect();
        for idle in gone {
            idle.connection.talk.part();
        }
    }

    fn take_idle(&self, hostname: &str) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        let place = idle.list.iter().rposition(|idle| *idle.connection.hostname == *hostname)?;
        Some(idle.list.remove(place))
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        // Looked at under the lock, or a connection could slip in behind `retire`.
        if self.retired.load(Ordering::Acquire) {
            drop(idle);
            connection.talk.part();
            return;
        }
        idle.list.push(Idle { connection, since: Instant::now() });
        // What comes later is too old later, so the reaper is only woken when it has nothing to wait for here.
        if !std::mem::replace(&mut idle.is_watched, true) {
            self.watched.notify_one();
        }
    }
}

impl Lease {
    /// Ends the loan. The connection is kept when another transaction may follow on it.
    pub(super) fn give_back(self) {
        let Self { connection, pool, .. } = self;
        if connection.is_reusable(&pool.limits) {
            pool.keep(connection);
        } else {
            connection.talk.part();
        }
    }

    /// The address that was connected to, for logs.
    pub(super) fn address(&self) -> &HopAddress {
        self.pool.address()
    }
}

/// A poisoned lock guards a list that is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For how long an address that did not answer is tried after the others: long enough that a dead host
/// does not cost each message a time-out, short enough that a restarted one is found again soon.
const LAST_RESORT: Duration = Duration::from_secs(10);
