//! What was delivered before a client tries again, for all processes behind one Redis.

use super::Store;
use crate::handoff::{Answer, DeliveredStore, Parties, RememberedDelivery};

impl DeliveredStore for Store {
    fn holds_anything(&self) -> Answer<'_, bool> {
        Box::pin(async move {
            if self.delivered.holds_anything().await {
                return true;
            }
            match self.shared() {
                Some(shared) => shared.holds_deliveries().await.unwrap_or(false),
                None => false,
            }
        })
    }

    fn knows<'a>(&'a self, parties: &'a [Parties]) -> Answer<'a, Vec<usize>> {
        Box::pin(async move {
            // What this process knows it knows, whether or not others have heard of it.
            let mut known = self.delivered.knows(parties).await;
            if let Some(shared) = self.shared() {
                known.extend(shared.knows_parties(parties).await);
                known.sort_unstable();
                known.dedup();
            }
            known
        })
    }

    fn was_delivered<'a>(&'a self, delivery: &'a RememberedDelivery) -> Answer<'a, bool> {
        Box::pin(async move {
            if self.delivered.was_delivered(delivery).await {
                return true;
            }
            match self.shared() {
                Some(shared) => shared.was_delivered(delivery).await.unwrap_or(false),
                None => false,
            }
        })
    }

    fn remember<'a>(&'a self, deliveries: &'a [RememberedDelivery]) -> Answer<'a, ()> {
        Box::pin(async move {
            self.delivered.remember(deliveries).await;
            if let Some(shared) = self.shared() {
                // Unheard they are remembered here at least, where most clients come back to.
                let _: Option<()> = shared.remember(deliveries).await;
            }
        })
    }
}
