//! The relay routes that are in use, so that pools outlive a reload that does not touch them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use postern_core::policy::route::{Relay, Route, RouteTarget, Routes};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::route::RelayRoute;

/// Finds the pools of a route by its settings.
///
/// Sessions keep the policy that they began with, so for a while two versions of a route may be in use.
/// Both work; only those of the policy in force keep idle connections.
#[derive(Debug)]
pub(crate) struct Relays {
    state: Arc<Mutex<State>>,
    watched: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    by_name: HashMap<Arc<str>, Vec<Arc<RelayRoute>>>,
    /// The routes in force, once that was said.
    in_force: Option<Vec<Arc<Route>>>,
    reaping: bool,
}

impl Relays {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), watched: Arc::default() }
    }

    /// The pools of a route, made at its first use. Called within a tokio runtime.
    pub(crate) fn get(&self, route: &Arc<Route>, relay: &Relay) -> Arc<RelayRoute> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.by_name.get(&route.name).and_then(|same| find(same, route)) {
            return Arc::clone(known);
        }
        if !state.reaping {
            state.reaping = true;
            tokio::spawn(reap(Arc::downgrade(&self.state), Arc::clone(&self.watched)));
        }
        let new = Arc::new(RelayRoute::new(Arc::clone(route), relay, &self.watched));
        if !state.is_in_force(route) {
            new.retire();
        }
        state.by_name.entry(Arc::clone(&route.name)).or_default().push(Arc::clone(&new));
        new
    }

    /// Another policy is in force: the pools of routes that it does not have, or has otherwise, are
    /// emptied; what is under way on them is finished.
    pub(crate) fn in_force(&self, routes: &Routes) {
        let relays =
            routes.iter().filter(|route| matches!(route.target, RouteTarget::Relay(_))).cloned().collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_force = Some(relays);
        let mut by_name = std::mem::take(&mut state.by_name);
        for same in by_name.values_mut() {
            same.retain(|known| {
                let stays = state.is_in_force(known.route());
                if !stays {
                    known.retire();
                }
                stays
            });
        }
        by_name.retain(|_, same| !same.is_empty());
        state.by_name = by_name;
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        // Lets the reaper see that nobody is left.
        self.watched.notify_one();
    }
}

impl State {
    fn is_in_force(&self, route: &Arc<Route>) -> bool {
        self.in_force.as_ref().is_none_or(|routes| routes.contains(route))
    }
}

/// Most look-ups are by the very object that made the pools; a reload makes an equal one.
fn find<'a>(same: &'a [Arc<RelayRoute>], route: &Arc<Route>) -> Option<&'a Arc<RelayRoute>> {
    same.iter()
        .find(|known| Arc::ptr_eq(known.route(), route))
        .or_else(|| same.iter().find(|known| known.route() == route))
}

/// Closes connections that are idle for too long: one task for all of them, asleep while there are none.
async fn reap(state: Weak<Mutex<State>>, watched: Arc<Notify>) {
    loop {
        let Some(shared) = state.upgrade() else { return };
        let routes: Vec<Arc<RelayRoute>> = {
            let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.by_name.values().flatten().cloned().collect()
        };
        drop(shared);
        let now = Instant::now();
        let next = routes.iter().filter_map(|route| route.reap(now)).min();
        drop(routes);
        match next {
            // What comes to be idle meanwhile at a pool that was looked at expires later than `next`; the notice
            // is for other pools.
            Some(next) => tokio::select! {
                () = sleep_until(next) => {}
                () = watched.notified() => {}
            },
            None => watched.notified().await,
        }
    }
}
