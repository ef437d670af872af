//! Connections for a message that is put to several hops, or several times to one, before any of its transactions begins.
//!
//! Each of these transactions stays open until all hops are willing. If each waited for a connection of its own, two
//! messages could have what the other one waits for; one that needs two connections of a pool of one would wait for
//! itself. So a message gets all that it needs of a pool at the same moment, and goes from pool to pool in an order
//! that is the same for all messages.

use std::sync::Arc;

use super::pool::{HopPool, Permit};
use super::route::RelayRoute;

/// What a message needs of one pool.
struct Need<'a> {
    route: &'a RelayRoute,
    pool: &'a Arc<HopPool>,
    /// Positions of the transactions.
    of: Vec<usize>,
}

/// Reserves a connection for each transaction of a message, given the route of each if that is a relay. There is
/// none where the pool had not enough of them in time.
pub(crate) async fn reserve(routes: &[Option<Arc<RelayRoute>>]) -> Vec<Option<Permit>> {
    let mut needs: Vec<Need<'_>> = Vec::new();
    for (place, route) in routes.iter().enumerate() {
        let Some(route) = route else { continue };
        if let Some(need) = needs.iter_mut().find(|need| std::ptr::eq(need.route, &raw const **route)) {
            need.of.push(place);
        } else if let Some(pool) = route.preferred() {
            needs.push(Need { route, pool, of: vec![place] });
        }
    }
    // Any order will do that all messages keep.
    needs.sort_by_key(|need| Arc::as_ptr(need.pool));
    let mut reserved: Vec<Option<Permit>> = routes.iter().map(|_| None).collect();
    for Need { route, pool, of } in needs {
        // Who gets none says so when it is its turn.
        let permits = pool.permits(of.len(), route.pool_wait()).await.unwrap_or_default();
        for (place, permit) in of.into_iter().zip(permits) {
            if let Some(reserved) = reserved.get_mut(place) {
                *reserved = Some(permit);
            }
        }
    }
    reserved
}
