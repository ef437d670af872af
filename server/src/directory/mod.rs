//! Directories outside of the policy: who has an address, and whose password or token this is.
//!
//! ```text
//! RCPT, VRFY, EXPN ──> cache ──> LDAP search            failures are told, and never remembered
//! AUTH with a password ──> LDAP search, then a bind     never remembered
//! AUTH with a token ──> signature and claims, or introspection; only the provider's keys are remembered
//! ```
//!
//! What cannot be found out is never taken for a no: a recipient is answered 451 4.4.3, a login 454 4.7.0.

mod cache;
mod error;
mod ldap;
mod metrics;
mod oidc;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use postern_core::policy::Policy;
use postern_core::policy::directory::{Account, DirectorySource, Ldap, Oidc};
use postern_core::policy::secret::Secret;
use postern_core::session::question::{Authentication, DirectoryAnswer};
use postern_core::smtp::address::Address;
use tokio::time::Instant;

pub(crate) use self::error::DirectoryError;
use self::ldap::LdapDirectory;
pub use self::metrics::DirectoryMetrics;
use self::metrics::Operation;
use self::oidc::{Jwt, OidcDirectory, Token};
use crate::auth::HashPool;

/// The clients of all directories that are in use. They outlive a reload that does not touch them.
#[derive(Debug, Default)]
pub struct DirectoryClients {
    ldap: Mutex<Vec<Arc<LdapDirectory>>>,
    oidc: Mutex<Vec<Arc<OidcDirectory>>>,
    metrics: DirectoryMetrics,
}

/// What a directory says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Mailbox,
    List(Vec<Address>),
    Nobody,
}

/// What a directory says of a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogIn {
    /// They belong to this account.
    Account(Arc<Account>),
    /// The password is another one.
    Wrong,
    /// The password is right, and the account has no address to send from.
    Forbidden,
    /// It knows nobody of that name; another directory may.
    Nobody,
}

impl DirectoryClients {
    /// Clients that count into `metrics`.
    #[must_use]
    pub fn new(metrics: DirectoryMetrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Another policy is in force: clients of directories that it does not have, or has otherwise, are dropped with
    /// their connections and caches; what is under way on them is finished.
    pub fn in_force(&self, policy: &Policy) {
        let has = |is_it: &dyn Fn(&str, &DirectorySource) -> bool| {
            policy.directories.iter().any(|directory| is_it(&directory.name, &directory.source))
        };
        self.ldap.lock().unwrap_or_else(PoisonError::into_inner).retain(|client| {
            has(&|name, source| {
                *name == *client.name
                    && matches!(source, DirectorySource::Ldap(settings) if *settings == client.settings)
            })
        });
        self.oidc.lock().unwrap_or_else(PoisonError::into_inner).retain(|client| {
            has(&|name, source| {
                *name == *client.name
                    && matches!(source, DirectorySource::Oidc(settings) if *settings == client.settings)
            })
        });
    }

    /// Who has this address, as the directories of its domain outside of the policy know it.
    pub async fn find(&self, policy: &Policy, address: &Address) -> DirectoryAnswer {
        let Some(domain) = policy.domains.get(address.key_domain()) else { return DirectoryAnswer::Unknown };
        let mut all_asked = true;
        for directory in policy.directories.of(domain) {
            let DirectorySource::Ldap(settings) = &directory.source else { continue };
            match self.ldap(&directory.name, settings).find(address).await {
                Ok(Found::Mailbox) => return DirectoryAnswer::Mailbox(address.clone()),
                Ok(Found::List(members)) => return DirectoryAnswer::List(members),
                Ok(Found::Nobody) => {}
                Err(error) => {
                    tell(&directory.name, &error);
                    all_asked = false;
                }
            }
        }
        if all_asked { DirectoryAnswer::Unknown } else { DirectoryAnswer::Unavailable }
    }

    /// Whether this is the password of a user of that directory.
    pub(crate) async fn log_in(
        &self,
        (name, settings): (&Arc<str>, &Arc<Ldap>),
        user: &str,
        password: &Secret,
        hashes: &HashPool,
    ) -> Result<LogIn, DirectoryError> {
        let outcome = self.ldap(name, settings).log_in(user, password, hashes).await;
        outcome.inspect_err(|error| tell(name, error))
    }

    /// Whose token this is.
    pub async fn token(&self, policy: &Policy, token: &Secret, user: Option<&str>) -> Authentication {
        let token = token.expose();
        if token.len() > MAX_TOKEN_OCTETS {
            return Authentication::Wrong;
        }
        let jwt = Jwt::parse(token);
        let (mut all_asked, mut names_nobody) = (true, false);
        for directory in policy.directories.iter() {
            let DirectorySource::Oidc(settings) = &directory.source else { continue };
            let client = self.oidc(&directory.name, settings);
            if !client.may_know(jwt.as_ref()) {
                continue;
            }
            let began = Instant::now();
            let outcome = match &jwt {
                Some(jwt) => client.verify(jwt, user).await,
                None => client.introspect(token, user).await,
            };
            self.metrics.asked(&directory.name, Operation::Token, &outcome, began.elapsed());
            match outcome {
                Ok(Token::Account(account)) => return Authentication::Account(Arc::new(account)),
                Ok(Token::Expired) => return Authentication::Expired,
                // Another object for the same provider may take the address from another claim.
                Ok(Token::Forbidden) => names_nobody = true,
                // Another provider, or another object for the same one, may know it.
                Ok(Token::Wrong) => {}
                Err(error) => {
                    tell(&directory.name, &error);
                    all_asked = false;
                }
            }
        }
        match (all_asked, names_nobody) {
            (false, _) => Authentication::Unavailable,
            (true, true) => Authentication::Forbidden,
            (true, false) => Authentication::Wrong,
        }
    }

    fn oidc(&self, name: &Arc<str>, settings: &Arc<Oidc>) -> Arc<OidcDirectory> {
        let mut clients = self.oidc.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |client: &&Arc<OidcDirectory>| {
            client.name == *name && (Arc::ptr_eq(&client.settings, settings) || client.settings == *settings)
        };
        if let Some(known) = clients.iter().find(is_it) {
            return Arc::clone(known);
        }
        let new = Arc::new(OidcDirectory::new(Arc::clone(name), Arc::clone(settings)));
        clients.push(Arc::clone(&new));
        new
    }

    fn ldap(&self, name: &Arc<str>, settings: &Arc<Ldap>) -> Arc<LdapDirectory> {
        let mut clients = self.ldap.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |client: &&Arc<LdapDirectory>| {
            client.name == *name && (Arc::ptr_eq(&client.settings, settings) || client.settings == *settings)
        };
        if let Some(known) = clients.iter().find(is_it) {
            return Arc::clone(known);
        }
        let new = LdapDirectory::new(Arc::clone(name), Arc::clone(settings), self.metrics.clone());
        let new = Arc::new(new);
        clients.push(Arc::clone(&new));
        new
    }
}

/// Longer than any line of AUTH may be.
const MAX_TOKEN_OCTETS: usize = 16 * 1024;

fn tell(directory: &str, error: &DirectoryError) {
    tracing::warn!(directory, error = crate::snapshot::chain(error), "a directory gives no answer");
}
