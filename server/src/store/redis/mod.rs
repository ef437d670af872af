//! Redis as the store of all processes: one server, a sentinel's master, or a cluster.

mod gathering;
mod link;
mod script;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::FutureExt as _;
use futures::future::join_all;
use postern_core::policy::filter::Greylist;
use postern_core::policy::settings::RedisStore as Setting;
use postern_core::policy::throttle::Rate;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::gathering::{Gathering, tell};
use self::link::Link;
use self::script::{COUNT, GREYLIST, REMEMBER};
use super::greylist::Triple;
use super::metrics::{RequestOutcome, StoreMetrics};
use super::throttle::{Counted, CounterKey};
use crate::handoff::{Parties, REMEMBERED_FOR, RememberedDelivery};

/// A Redis, with a connection while it answers.
///
/// The first request that is late or fails gives the connection up: sessions do not wait again until a task in
/// the background has found that it answers.
#[derive(Debug)]
pub(super) struct RedisStore {
    setting: Setting,
    link: ArcSwapOption<Link>,
    /// How long it is certain that no delivery is remembered anywhere.
    nothing_until: Mutex<Option<Instant>>,
    gathering: Gathering,
    refusals: Mutex<Refusals>,
    metrics: StoreMetrics,
    /// For the task that connects, which ends with the store.
    this: Weak<Self>,
}

impl RedisStore {
    /// Begins to connect; until that has worked every request is skipped.
    pub(super) fn connect(setting: Setting, metrics: StoreMetrics) -> Arc<Self> {
        metrics.is_up(false);
        let store = Arc::new_cyclic(|this| Self {
            setting,
            link: ArcSwapOption::empty(),
            nothing_until: Mutex::default(),
            gathering: Gathering::default(),
            refusals: Mutex::default(),
            metrics,
            this: Weak::clone(this),
        });
        store.come_back(Duration::ZERO);
        store
    }

    pub(super) fn is_for(&self, setting: &Setting) -> bool {
        self.setting == *setting
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    /// Adds one event to a counter, and says what it came to.
    pub(super) async fn count(&self, key: CounterKey, rate: &Rate) -> Option<Counted> {
        let (waiting, told) = oneshot::channel();
        let (store, rate) = (self.this.upgrade()?, *rate);
        if self.gathering.join(key, waiting) {
            // A task of its own, because the session may end, and others wait for what it has begun.
            tokio::spawn(async move {
                while let Some(waiting) = store.gathering.next(key) {
                    // Whatever becomes of one request, nobody may wait for ever.
                    let added = AssertUnwindSafe(store.add(key, &rate, waiting.len())).catch_unwind().await;
                    tell(waiting, added.unwrap_or_default());
                }
            });
        }
        told.await.ok().flatten()
    }

    /// What a counter has come to.
    pub(super) async fn counted(&self, key: CounterKey, rate: &Rate) -> Option<Counted> {
        self.add(key, rate, 0).await
    }

    async fn add(&self, key: CounterKey, rate: &Rate, events: usize) -> Option<Counted> {
        let (period, events) = (rate.whole_seconds().to_string(), events.to_string());
        let (current, previous, elapsed): (u64, u64, u64) = self
            .ask(|link| async move {
                link.run(&COUNT, &named("throttle", &key.to_bytes()), &[&period, &events]).await
            })
            .await?;
        Some(Counted { current, previous, elapsed: Duration::from_millis(elapsed) })
    }

    pub(super) async fn value(&self, key: &str) -> Option<Option<String>> {
        self.query(Cmd::get(named("key", key.as_bytes()))).await
    }

    pub(super) async fn set_value(&self, key: &str, value: &str) -> Option<()> {
        self.query(Cmd::set(named("key", key.as_bytes()), value)).await
    }

    pub(super) async fn counter(&self, key: &str) -> Option<i64> {
        let count: Option<i64> = self.query(Cmd::get(named("counter", key.as_bytes()))).await?;
        Some(count.unwrap_or(0))
    }

    pub(super) async fn increase(&self, key: &str, by: i64) -> Option<i64> {
        self.query(Cmd::incr(named("counter", key.as_bytes()), by)).await
    }

    pub(super) async fn has_waited(&self, triple: Triple, greylist: &Greylist) -> Option<bool> {
        let (delay, expiry) = (greylist.delay.as_secs().to_string(), greylist.expiry.as_secs().to_string());
        let key = named("greylist", triple.as_bytes());
        self.ask(|link| async move { link.run(&GREYLIST, &key, &[&delay, &expiry]).await }).await
    }

    /// Whether any delivery is remembered. Mixed answers are rare, so mostly there is none. That there is none holds for
    /// a while: who remembers something waits for as long before the client is told to try again.
    pub(super) async fn holds_deliveries(&self) -> Option<bool> {
        let asked = Instant::now();
        if self.nothing_until().is_some_and(|end| asked < end) {
            return Some(false);
        }
        let anything: bool = self.query(Cmd::exists(ANYTHING)).await?;
        *self.nothing_until() = (!anything).then_some(asked + NOTHING_HOLDS_FOR);
        Some(anything)
    }

    /// The places of those of whom anything is known.
    pub(super) async fn knows_parties(&self, parties: &[Parties]) -> Vec<usize> {
        let asked = parties.iter().enumerate().map(async |(place, parties)| {
            let known = self.query(Cmd::exists(named("delivered", parties))).await;
            known.unwrap_or(false).then_some(place)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn nothing_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.nothing_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn was_delivered(&self, delivery: &RememberedDelivery) -> Option<bool> {
        self.query(Cmd::sismember(named("delivered", &delivery.parties), &delivery.message)).await
    }

    pub(super) async fn remember(&self, deliveries: &[RememberedDelivery]) -> Option<()> {
        let lasts = REMEMBERED_FOR.as_secs();
        self.query::<()>(Cmd::set_ex(ANYTHING, 1, lasts)).await?;
        let all_know = Instant::now() + NOTHING_HOLDS_FOR;
        let lasts = lasts.to_string();
        let remembered = join_all(deliveries.iter().map(|delivery| {
            let (key, lasts) = (named("delivered", &delivery.parties), lasts.as_bytes());
            self.ask(move |link| async move { link.run(&REMEMBER, &key, &[&delivery.message, lasts]).await })
        }));
        let remembered: Option<()> = remembered.await.into_iter().collect();
        sleep_until(all_know).await;
        remembered
    }

    async fn query<T: FromRedisValue>(&self, command: Cmd) -> Option<T> {
        self.ask(|link| async move { link.query(&command).await }).await
    }

    /// The answer, if there is a connection and it comes in time.
    async fn ask<T, F>(&self, request: impl FnOnce(Arc<Link>) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some(link) = self.link.load_full() else {
            self.metrics.asked(RequestOutcome::Skipped);
            return None;
        };
        match timeout(self.setting.timeout, request(Arc::clone(&link))).await {
            Ok(Ok(answer)) => {
                self.metrics.asked(RequestOutcome::Answered);
                Some(answer)
            }
            // It is there and answers; the next request may well be to its liking.
            Ok(Err(error)) if refuses_this_request(&error) => {
                self.metrics.asked(RequestOutcome::Failed);
                tracing::warn!(%error, "the shared store has refused a request");
                None
            }
            Ok(Err(error)) => {
                self.metrics.asked(RequestOutcome::Failed);
                self.give_up(&link, &error.to_string(), Lost::of(&error));
                None
            }
            Err(_) => {
                self.metrics.asked(RequestOutcome::Late);
                self.give_up(&link, "no answer in time", Lost::Connection);
                None
            }
        }
    }

    fn give_up(&self, link: &Arc<Link>, reason: &str, lost: Lost) {
        let before = self.link.compare_and_swap(link, None);
        // Of many sessions that notice it at once one says so and looks after it.
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, link)) {
            self.metrics.is_up(false);
            tracing::warn!(reason, "the shared store is left alone, this process counts by itself");
            self.come_back(match lost {
                Lost::Connection => Duration::ZERO,
                Lost::Willingness => self.refusals().one_more(Instant::now()),
            });
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects in the background after that pause, as often as it takes.
    fn come_back(&self, pause: Duration) {
        let (this, setting) = (Weak::clone(&self.this), self.setting.clone());
        tokio::spawn(async move {
            let mut failures = 0_u32;
            sleep(pause).await;
            loop {
                let outcome = timeout(CONNECT_LIMIT, Link::open(&setting)).await;
                let Some(store) = this.upgrade() else { return };
                match outcome {
                    Ok(Ok(link)) => {
                        store.link.store(Some(Arc::new(link)));
                        store.metrics.is_up(true);
                        tracing::info!("the shared store answers");
                        return;
                    }
                    Ok(Err(error)) if failures == 0 => {
                        tracing::warn!(%error, "the shared store cannot be reached, trying on");
                    }
                    Err(_) if failures == 0 => tracing::warn!("the shared store does not answer, trying on"),
                    _ => {}
                }
                drop(store);
                failures = failures.saturating_add(1);
                sleep(RETRY).await;
            }
        });
    }
}

/// What a store that is given up lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// A new connection may be all that it takes.
    Connection,
    /// It answers, and refuses what is asked of it: `OOM`, `NOPERM`, `READONLY`. It would answer the `PING` of a new
    /// connection, and refuse the next request again.
    Willingness,
}

impl Lost {
    fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Willingness,
            _ => Self::Connection,
        }
    }
}

/// Refusals one soon after the other.
#[derive(Debug, Default)]
struct Refusals {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Refusals {
    /// How long the store is left alone after one more.
    fn one_more(&mut self, now: Instant) -> Duration {
        let goes_on = self.last.is_some_and(|last| now.duration_since(last) < 2 * LONGEST_PAUSE);
        self.in_a_row = if goes_on { self.in_a_row.saturating_add(1) } else { 0 };
        self.last = Some(now);
        RETRY.saturating_mul(1 << self.in_a_row.min(10)).min(LONGEST_PAUSE)
    }
}

/// Whether an error is about one request, such as a counter that would overflow, and not about the store. When the
/// octets themselves make no sense the client library closes the connection, and the next request finds that.
fn refuses_this_request(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => true,
        ErrorKind::Server(kind) => kind == ServerErrorKind::ResponseError,
        // Others of these, such as `OOM` and `NOAUTH`, would be the answer to every request.
        ErrorKind::Extension => error.code() == Some("WRONGTYPE"),
        _ => false,
    }
}

/// Keys are hashed or taken as they are; the prefix keeps them apart from those of others.
fn named(kind: &str, key: &[u8]) -> Vec<u8> {
    [b"postern:", kind.as_bytes(), b":", key].concat()
}

/// Set while any delivery is remembered.
const ANYTHING: &str = "postern:delivered:any";
/// The time that a client with a mixed answer waits in addition, and that a gate need not ask for.
const NOTHING_HOLDS_FOR: Duration = Duration::from_millis(500);

/// Patience when nobody waits.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(500);
/// For a store that refuses again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_refuses_again_and_again_is_left_alone_for_longer() {
        let mut refusals = Refusals::default();
        let mut now = Instant::now();
        let mut next = |after: Duration| {
            now += after;
            refusals.one_more(now).as_millis()
        };
        let pauses: Vec<u128> = (0..9).map(|_| next(Duration::from_secs(31))).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(next(Duration::from_secs(61)), 500, "that was long ago");
    }
}
