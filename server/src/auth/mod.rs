//! Checking user names and passwords against the directories of a policy.
//!
//! Hashing is slow on purpose, so it runs on a bounded number of threads with a bounded queue before
//! them; who does not get a turn in time learns that the check was not possible, never that it passed.

mod hash_pool;
mod scheme;

use std::sync::Arc;

use postern_core::policy::directory::{Account, Directories, DirectorySource, Entry};
use postern_core::policy::secret::Secret;
use postern_core::smtp::address::Address;

pub use hash_pool::HashPool;
pub use scheme::{StoredPassword, StoredPasswordError};

use crate::directory::{DirectoryClients, LogIn};
use crate::snapshot::Snapshot;

/// The answer to a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They belong to this account; an alias has become the account it stands for.
    Account(Arc<Account>),
    /// Nobody has this name and this password.
    Wrong,
    /// They are right, and the account has no address to send from.
    Forbidden,
    /// It could not be found out; the client may try again.
    Unavailable,
}

/// Whoever checks passwords.
#[derive(Debug, Default)]
pub struct Authenticator {
    hashes: HashPool,
}

/// A stored password that is checked in vain when nobody has the given name, so that the time does not
/// tell which names exist.
#[derive(Debug, Default)]
pub struct Decoy(Option<Secret>);

impl Authenticator {
    /// Hashes run on this pool.
    #[must_use]
    pub const fn new(hashes: HashPool) -> Self {
        Self { hashes }
    }

    /// Finds the account of a user name, which is compared without case, and checks the password. The first
    /// directory that has the account decides; behind one that gives no answer nobody can tell which that is.
    pub async fn authenticate(
        &self,
        snapshot: &Arc<Snapshot>,
        clients: &DirectoryClients,
        user: &str,
        password: &Secret,
    ) -> Outcome {
        // Hashing time grows with the length; nobody types this much.
        if password.expose().len() > MAX_PASSWORD_OCTETS {
            return Outcome::Wrong;
        }
        let user = comparison_form(user);
        for directory in snapshot.policy.directories.iter() {
            match &directory.source {
                DirectorySource::Inline(inline) => {
                    if let Some(Entry::Account(account)) = inline.get(&user) {
                        return self.check(snapshot, Some(account), password).await;
                    }
                }
                DirectorySource::Ldap(ldap) => {
                    let place = (&directory.name, ldap);
                    match clients.log_in(place, &user, password, &self.hashes).await {
                        Ok(LogIn::Account(account)) => return Outcome::Account(account),
                        Ok(LogIn::Wrong) => return Outcome::Wrong,
                        Ok(LogIn::Forbidden) => return Outcome::Forbidden,
                        Ok(LogIn::Nobody) => {}
                        // A later one may have another password for the user, so neither its yes nor its no counts.
                        Err(_) => return Outcome::Unavailable,
                    }
                }
                // Knows tokens; a password is never right there.
                DirectorySource::Oidc(_) => {}
            }
        }
        self.check(snapshot, None, password).await
    }

    /// Hashes, be it in vain.
    async fn check(
        &self,
        snapshot: &Arc<Snapshot>,
        account: Option<&Arc<Account>>,
        password: &Secret,
    ) -> Outcome {
        let (snapshot, account, password) = (Arc::clone(snapshot), account.cloned(), password.clone());
        let check = move || match account {
            Some(account) => check_account(&account, snapshot.decoy(), password.expose()),
            None => {
                snapshot.decoy().check(password.expose());
                Outcome::Wrong
            }
        };
        self.hashes.run(check).await.unwrap_or(Outcome::Unavailable)
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

const MAX_PASSWORD_OCTETS: usize = 1024;

#[cfg(test)]
mod tests;
