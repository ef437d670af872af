//! What next hops said about recipients, for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_core::policy::route::Route;
use postern_core::smtp::reply::Reply;
use tokio::time::Instant;

/// What a next hop says about a recipient while its client waits for the reply to RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// It would take mail for it, or the route does not ask.
    Accepted,
    /// It would not (5xx); the client's error.
    Refused(Reply),
    /// Not now, or nobody answered (451).
    Unreachable(Reply),
}

/// Answers by route and recipient: good ones for 10 minutes, refusals for 1, temporary ones not at all.
#[derive(Debug)]
pub(super) struct Verified {
    known: Mutex<HashMap<Key, Known>>,
    capacity: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    route: Arc<str>,
    recipient: Box<str>,
}

#[derive(Debug)]
struct Known {
    /// The settings that the answer was got with; others may lead to another hop.
    route: Arc<Route>,
    until: Instant,
    refusal: Option<Reply>,
}

impl Verified {
    pub(super) fn new(capacity: usize) -> Self {
        Self { known: Mutex::default(), capacity }
    }

    /// The answer, if it is known.
    pub(super) fn get(&self, route: &Arc<Route>, recipient: &str) -> Option<Verification> {
        let known = self.lock();
        let known = known.get(&key(route, recipient))?;
        if known.until <= Instant::now() || !is_same(&known.route, route) {
            return None;
        }
        Some(known.refusal.clone().map_or(Verification::Accepted, Verification::Refused))
    }

    /// The hop accepted the recipient.
    pub(super) fn accepted(&self, route: &Arc<Route>, recipient: &str) {
        self.put(route, recipient, None, GOOD_FOR);
    }

    /// The hop refused the recipient for good.
    pub(super) fn refused(&self, route: &Arc<Route>, recipient: &str, reply: Reply) {
        self.put(route, recipient, Some(reply), BAD_FOR);
    }

    fn put(&self, route: &Arc<Route>, recipient: &str, refusal: Option<Reply>, lasts: Duration) {
        let now = Instant::now();
        let mut known = self.lock();
        if known.len() >= self.capacity {
            known.retain(|_, known| known.until > now);
            if known.len() >= self.capacity {
                // Full of answers that still hold. To forget all costs a question each, to keep an order
                // of use would cost on every hit.
                known.clear();
            }
        }
        let route = Arc::clone(route);
        known.insert(key(&route, recipient), Known { until: now + lasts, refusal, route });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(route: &Route, recipient: &str) -> Key {
    Key { route: Arc::clone(&route.name), recipient: recipient.into() }
}

fn is_same(one: &Arc<Route>, other: &Arc<Route>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// How long a recipient that was accepted is not asked about again.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// As for refusals: a mailbox that was just created should not wait longer.
const BAD_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use postern_core::policy::route::RouteTarget;

    use super::*;

    fn route(name: &str) -> Arc<Route> {
        Arc::new(Route { name: name.into(), target: RouteTarget::Discard })
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_last_longer_than_bad_ones() {
        let verified = Verified::new(10);
        let route = route("a");
        verified.accepted(&route, "good@x");
        verified.refused(&route, "bad@x", Reply::NO_SUCH_RECIPIENT);
        assert_eq!(verified.get(&route, "good@x"), Some(Verification::Accepted));
        assert_eq!(verified.get(&route, "bad@x"), Some(Verification::Refused(Reply::NO_SUCH_RECIPIENT)));
        tokio::time::advance(BAD_FOR).await;
        assert_eq!(verified.get(&route, "bad@x"), None);
        assert!(verified.get(&route, "good@x").is_some());
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(verified.get(&route, "good@x"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_route_only() {
        let verified = Verified::new(10);
        verified.accepted(&route("a"), "x@x");
        assert_eq!(verified.get(&route("b"), "x@x"), None);
        let relay = RouteTarget::Maildir(postern_core::policy::route::Maildir {
            base: "/".into(),
            pattern: Vec::new(),
        });
        let changed = Arc::new(Route { name: "a".into(), target: relay });
        assert_eq!(verified.get(&changed, "x@x"), None, "a route that was changed is asked afresh");
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_answers_is_bounded() {
        let verified = Verified::new(3);
        let route = route("a");
        for recipient in ["a", "b", "c", "d"] {
            verified.accepted(&route, recipient);
        }
        assert!(verified.lock().len() <= 3);
        assert!(verified.get(&route, "d").is_some());
    }
}
