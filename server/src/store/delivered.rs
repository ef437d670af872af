//! What was delivered before a client tries again, for all processes behind one Redis.

use super::Store;
use crate::handoff::{Answer, DeliveredStore, RememberedDelivery};

impl DeliveredStore for Store {
    fn knows<'a>(&'a self, parties: &'a [u8; 32]) -> Answer<'a, bool> {
        Box::pin(async move {
            // What this process knows it knows, whether or not others have heard of it.
            if self.delivered.knows(parties).await {
                return true;
            }
            match self.shared() {
                Some(shared) => shared.knows_parties(parties).await.unwrap_or(false),
                None => false,
            }
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

    fn remember(&self, delivery: RememberedDelivery) -> Answer<'_, ()> {
        Box::pin(async move {
            self.delivered.remember(delivery).await;
            if let Some(shared) = self.shared() {
                // Unheard it is remembered here at least, where most clients come back to.
                let _: Option<()> = shared.remember(&delivery).await;
            }
        })
    }
}
