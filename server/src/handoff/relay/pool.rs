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
    connection: Box<Connection>,
    since: Instant,
}

/// Leave to use one connection of a pool.
#[derive(Debug)]
pub(crate) struct Permit {
    pool: Arc<HopPool>,
    /// None for what a message needs beyond all connections of the pool, which it has.
    share: Option<OwnedSemaphorePermit>,
}

/// A borrowed connection. Dropping it closes the connection; [`Lease::give_back`] keeps it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    /// How long it lay idle; none for a new one.
    pub(super) idled: Option<Duration>,
    pub(super) permit: Permit,
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

    /// Leave to use a connection; waits at most `limit` for one of the others to come free.
    pub(super) async fn permit(self: &Arc<Self>, limit: Duration) -> Result<Permit, HopError> {
        let share = self.shares(1, limit).await?;
        Ok(Permit { pool: Arc::clone(self), share: Some(share) })
    }

    /// Leave to use a connection, if there is one without waiting.
    pub(super) fn permit_now(self: &Arc<Self>) -> Result<Permit, HopError> {
        let share = Arc::clone(&self.permits).try_acquire_owned();
        let share = share.map_err(|_| HopError::new(Phase::Pool, Fault::AllInUse))?;
        Ok(Permit { pool: Arc::clone(self), share: Some(share) })
    }

    /// Leave to use so many connections, all of them at the same moment; waits at most `limit`.
    ///
    /// Whoever needs more than the pool may have gets the whole pool, and what is missing beside it: its
    /// transactions are open at the same time and cannot share a connection, so waiting would not help.
    pub(super) async fn permits(
        self: &Arc<Self>,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Permit>, HopError> {
        let most = self.most();
        let mut shares = self.shares(u32::try_from(count).unwrap_or(most).min(most), limit).await?;
        let permit = |_| Permit { pool: Arc::clone(self), share: shares.split(1) };
        Ok((0..count).map(permit).collect())
    }

    async fn shares(&self, count: u32, limit: Duration) -> Result<OwnedSemaphorePermit, HopError> {
        match timeout(limit, Arc::clone(&self.permits).acquire_many_owned(count)).await {
            Err(_) => Err(HopError::new(Phase::Pool, Fault::TimedOut(limit))),
            // Nobody closes the semaphore.
            Ok(Err(_)) => Err(HopError::new(Phase::Pool, Fault::Closed)),
            Ok(Ok(shares)) => Ok(shares),
        }
    }

    fn most(&self) -> u32 {
        self.limits.max_connections.max(1)
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

    /// Closes those that have been idle for longest until one more may be opened. Idle connections have no
    /// permit: they stay while nobody needs their place, under whatever name we are known there.
    fn make_room(&self) {
        let most_idle = self.permits.available_permits();
        let gone: Vec<Idle> = {
            let mut idle = lock(&self.idle);
            let excess = idle.list.len().saturating_sub(most_idle);
            idle.list.drain(..excess).collect()
        };
        for idle in gone {
            idle.connection.talk.part();
        }
    }

    fn take_idle(&self, hostname: &str) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        let place = idle.list.iter().rposition(|idle| *idle.connection.hostname == *hostname)?;
        Some(idle.list.remove(place))
    }

    fn keep(&self, connection: Box<Connection>) {
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

impl Permit {
    /// Whether it is one of this pool.
    pub(super) fn is_for(&self, pool: &Arc<HopPool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }

    /// Borrows a connection, idle or new.
    pub(super) async fn lease(self, hostname: &Arc<str>, freshness: Freshness) -> Result<Lease, HopError> {
        let pool = &self.pool;
        if freshness == Freshness::Any {
            while let Some(idle) = pool.take_idle(hostname) {
                let idled = idle.since.elapsed();
                let mut connection = idle.connection;
                if idled < pool.limits.idle && connection.talk.is_quiet() {
                    return Ok(Lease { connection, idled: Some(idled), permit: self });
                }
                connection.talk.part();
            }
        }
        pool.make_room();
        // Boxed, as most messages find an idle one.
        match Box::pin(pool.opener.open(&pool.address, hostname)).await {
            Ok(connection) => {
                *lock(&pool.down_until) = None;
                Ok(Lease { connection: Box::new(connection), idled: None, permit: self })
            }
            Err(error) => {
                *lock(&pool.down_until) = Some(Instant::now() + LAST_RESORT);
                Err(error)
            }
        }
    }
}

impl Lease {
    /// Ends the loan. The connection is kept when another transaction may follow on it, and the pool has a place
    /// for it.
    pub(super) fn give_back(self) {
        let Self { connection, permit: Permit { pool, share }, .. } = self;
        if share.is_some() && connection.is_reusable(&pool.limits) {
            pool.keep(connection);
        } else {
            connection.talk.part();
        }
    }

    /// The address that was connected to, for logs.
    pub(super) fn address(&self) -> &HopAddress {
        self.permit.pool.address()
    }
}

/// A poisoned lock guards a list that is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For how long an address that did not answer is tried after the others: long enough that a dead host
/// does not cost each message a time-out, short enough that a restarted one is found again soon.
const LAST_RESORT: Duration = Duration::from_secs(10);
