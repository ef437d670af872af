//! What a directory said about recipients, for a while. Passwords are never remembered, failures neither.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postern_core::policy::directory::LdapCache;
use tokio::time::Instant;

use super::Found;

/// Answers by address in comparison form.
#[derive(Debug)]
pub(super) struct Answers {
    known: Mutex<HashMap<Box<str>, Known>>,
    settings: LdapCache,
}

#[derive(Debug)]
struct Known {
    found: Found,
    until: Instant,
}

impl Answers {
    pub(super) fn new(settings: LdapCache) -> Self {
        Self { known: Mutex::default(), settings }
    }

    pub(super) fn get(&self, address: &str) -> Option<Found> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(address).filter(|known| known.until > Instant::now()).map(|known| known.found.clone())
    }

    pub(super) fn put(&self, address: &str, found: &Found) {
        let lasts = match found {
            Found::Nobody => self.settings.negative,
            Found::Mailbox | Found::List(_) => self.settings.positive,
        };
        let most = usize::try_from(self.settings.entries).unwrap_or(usize::MAX);
        if lasts == Duration::ZERO || most == 0 {
            return;
        }
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= most && !known.contains_key(address) {
            known.retain(|_, known| known.until > now);
            if known.len() >= most {
                // Full of answers that still hold. To forget all costs a question each, to keep an order of
                // use would cost on every hit.
                known.clear();
            }
        }
        known.insert(address.into(), Known { found: found.clone(), until: now + lasts });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(entries: u32) -> Answers {
        let (positive, negative) = (Duration::from_secs(300), Duration::from_secs(60));
        Answers::new(LdapCache { positive, negative, entries })
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_there_is_remembered_longer_than_who_is_not() {
        let answers = answers(10);
        answers.put("ann@x", &Found::Mailbox);
        answers.put("joe@x", &Found::Nobody);
        assert_eq!(answers.get("joe@x"), Some(Found::Nobody));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((answers.get("ann@x"), answers.get("joe@x")), (Some(Found::Mailbox), None));
        tokio::time::advance(Duration::from_secs(240)).await;
        assert_eq!(answers.get("ann@x"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_answers_is_bounded() {
        let answers = answers(3);
        for address in ["a", "b", "c", "d", "d"] {
            answers.put(address, &Found::Mailbox);
        }
        assert!(answers.known.lock().unwrap().len() <= 3);
        assert_eq!(answers.get("d"), Some(Found::Mailbox));
    }

    #[tokio::test(start_paused = true)]
    async fn without_entries_nothing_is_remembered() {
        let answers = answers(0);
        answers.put("a", &Found::Mailbox);
        assert_eq!(answers.get("a"), None);
    }
}
