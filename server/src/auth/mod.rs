//! Checking user names and passwords against the directories of a policy.
//!
//! Hashing is slow on purpose, so it runs on a bounded number of threads with a bounded queue before
//! them; who does not get a turn in time learns that the check was not possible, never that it passed.

mod scheme;

use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::directory::{Account, Directories, DirectorySource, Entry};
use postern_core::policy::secret::Secret;
use postern_core::smtp::address::Address;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub use scheme::{StoredPassword, StoredPasswordError};

use crate::snapshot::Snapshot;

/// The answer to a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They belong to this account; an alias has become the account it stands for.
    Account(Arc<Account>),
    /// Nobody has this name and this password.
    Wrong,
    /// It could not be found out; the client may try again.
    Unavailable,
}

/// The bounded pool of password checks.
#[derive(Debug)]
pub struct Authenticator {
    /// One for each check that runs.
    workers: Arc<Semaphore>,
    /// One for each check that runs or waits.
    queue: Arc<Semaphore>,
    patience: Duration,
}

/// A stored password that is checked in vain when nobody has the given name, so that the time does not
/// tell which names exist.
#[derive(Debug, Default)]
pub struct Decoy(Option<Secret>);

impl Default for Authenticator {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self::new(workers, workers * QUEUED_PER_WORKER, PATIENCE)
    }
}

impl Authenticator {
    /// `workers` checks run at a time, `queued` more wait, none longer than `patience`.
    #[must_use]
    pub fn new(workers: usize, queued: usize, patience: Duration) -> Self {
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(workers + queued)),
            patience,
        }
    }

    /// Finds the account of a user name, which is compared without case, and checks the password.
    ///
    /// Dropping the future does not free the worker before its hash is done, so that clients that
    /// hang up cannot make more hashes run than there are workers.
    pub async fn authenticate(&self, snapshot: &Arc<Snapshot>, user: &str, password: Secret) -> Outcome {
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else {
            return Outcome::Unavailable;
        };
        let worker = match timeout(self.patience, Arc::clone(&self.workers).acquire_owned()).await {
            Ok(Ok(worker)) => worker,
            Ok(Err(_)) | Err(_) => return Outcome::Unavailable,
        };
        let snapshot = Arc::clone(snapshot);
        let user = comparison_form(user);
        let check = spawn_blocking(move || {
            let _held = (place, worker);
            check(&snapshot.policy.directories, snapshot.decoy(), &user, password.expose())
        });
        check.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a password check broke");
            Outcome::Unavailable
        })
    }
}

impl Decoy {
    /// Takes the most expensive password of all inline accounts.
    #[must_use]
    pub fn of(directories: &Directories) -> Self {
        let cost = |secret: &Secret| StoredPassword::parse(secret.expose()).map_or(0, |stored| stored.cost());
        Self(
            directories
                .iter()
                .filter_map(|directory| match &directory.source {
                    DirectorySource::Inline(inline) => Some(inline),
                    DirectorySource::Ldap(_) | DirectorySource::Oidc(_) => None,
                })
                .flat_map(|inline| inline.accounts())
                .flat_map(|account| &account.passwords)
                .max_by_key(|secret| cost(secret))
                .cloned(),
        )
    }

    fn check(&self, password: &str) {
        if let Some(Ok(stored)) = self.0.as_ref().map(|secret| StoredPassword::parse(secret.expose())) {
            std::hint::black_box(stored.matches(password));
        }
    }
}

/// The first directory that has the account decides.
fn check(directories: &Directories, decoy: &Decoy, user: &str, password: &str) -> Outcome {
    // Hashing time grows with the length; nobody types this much.
    if password.len() > MAX_PASSWORD_OCTETS {
        return Outcome::Wrong;
    }
    let mut all_asked = true;
    for directory in directories.iter() {
        match &directory.source {
            DirectorySource::Inline(inline) => {
                if let Some(Entry::Account(account)) = inline.get(user) {
                    return check_account(account, decoy, password);
                }
            }
            DirectorySource::Ldap(_) => all_asked = false,
            // Knows tokens; a password is never right there.
            DirectorySource::Oidc(_) => {}
        }
    }
    decoy.check(password);
    if all_asked { Outcome::Wrong } else { Outcome::Unavailable }
}

fn check_account(account: &Arc<Account>, decoy: &Decoy, password: &str) -> Outcome {
    if account.passwords.is_empty() {
        decoy.check(password);
        return Outcome::Wrong;
    }
    for secret in &account.passwords {
        match StoredPassword::parse(secret.expose()) {
            Ok(stored) if stored.matches(password) => return Outcome::Account(Arc::clone(account)),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(account = %account.address, %error, "a password of this account is no use")
            }
        }
    }
    Outcome::Wrong
}

/// The form in which accounts are found; a name that is no address is nobody's.
fn comparison_form(user: &str) -> String {
    Address::parse(user).map_or_else(|_| user.to_lowercase(), |address| address.key().to_owned())
}

const QUEUED_PER_WORKER: usize = 32;
/// A client waits up to a minute for the reply; a hash of a second must still fit in.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_PASSWORD_OCTETS: usize = 1024;

#[cfg(test)]
mod tests;
