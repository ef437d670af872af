//! An LDAP server as a directory: who lives there, and whose password this is.

mod connection;
mod members;
mod pace;
mod password;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use postern_core::ldap::{Entry, Filter, Scope, Search, Subject};
use postern_core::policy::directory::{Account, Ldap, LdapAuthentication};
use postern_core::policy::secret::Secret;
use postern_core::smtp::address::Address;
use tokio::time::Instant;

use self::connection::Bound;
use self::pace::Pace;
use self::password::UserPassword;
use self::pool::Pool;
use super::cache::Answers;
use super::metrics::{CacheOutcome, DirectoryMetrics, Operation};
use super::{DirectoryError, Found, LogIn};
use crate::auth::HashPool;

/// A client of one LDAP server with one set of settings.
#[derive(Debug)]
pub(super) struct LdapDirectory {
    pub(super) name: Arc<str>,
    pub(super) settings: Arc<Ldap>,
    pool: Pool,
    answers: Answers,
    pace: Pace,
    metrics: DirectoryMetrics,
}

impl LdapDirectory {
    pub(super) fn new(name: Arc<str>, settings: Arc<Ldap>, metrics: DirectoryMetrics) -> Self {
        Self {
            pool: Pool::new(Arc::clone(&settings)),
            answers: Answers::new(settings.cache),
            pace: Pace::default(),
            name,
            settings,
            metrics,
        }
    }

    /// Who has this address.
    pub(super) async fn find(&self, address: &Address) -> Result<Found, DirectoryError> {
        if let Some(found) = self.answers.get(address.key()) {
            let outcome = if found == Found::Nobody { CacheOutcome::Nobody } else { CacheOutcome::Found };
            self.metrics.cached(&self.name, outcome);
            return Ok(found);
        }
        self.metrics.cached(&self.name, CacheOutcome::Miss);
        let found = self.ask(address).await?;
        self.answers.put(address.key(), &found);
        Ok(found)
    }

    async fn ask(&self, address: &Address) -> Result<Found, DirectoryError> {
        // That an entry is there is all there is to know of a mailbox: `1.1` asks for no attribute.
        let subject = Subject::of(address.key());
        if !self.search(&self.settings.user_filter, subject, &["1.1"]).await?.is_empty() {
            return Ok(Found::Mailbox);
        }
        let Some(lists) = &self.settings.lists else { return Ok(Found::Nobody) };
        let attributes: Vec<&str> =
            lists.member_attributes.iter().chain(&lists.member_dn_attributes).map(|name| &**name).collect();
        let entries = self.search(&lists.filter, subject, &attributes).await?;
        match entries.first() {
            Some(entry) => self.members(entry, lists).await.map(Found::List),
            None => Ok(Found::Nobody),
        }
    }

    /// Whether this is the user's password. Nobody's name costs as much time as a wrong password does.
    pub(super) async fn log_in(
        &self,
        user: &str,
        password: &Secret,
        hashes: &HashPool,
    ) -> Result<LogIn, DirectoryError> {
        let filter = self.settings.login_filter.as_ref().unwrap_or(&self.settings.user_filter);
        let mut attributes: Vec<&str> = self.settings.mail_attributes.iter().map(|name| &**name).collect();
        if self.settings.authentication == LdapAuthentication::Hash {
            attributes.push(password::ATTRIBUTE);
        }
        let entries = self.search(filter, Subject::of(user), &attributes).await?;
        let began = Instant::now();
        let entry = match entries.as_slice() {
            [] => None,
            [entry] => Some(entry),
            _ => {
                tracing::warn!(directory = %self.name, "a user name that belongs to several entries is nobody's");
                None
            }
        };
        let Some(entry) = entry else {
            self.decoy().await?;
            self.pace.keep(began).await;
            return Ok(LogIn::Nobody);
        };
        let is_right = match self.settings.authentication {
            LdapAuthentication::Bind => self.bind(&entry.dn, password.expose()).await? == Bound::Accepted,
            LdapAuthentication::Hash => UserPassword::of(entry).matches(password, hashes).await?,
        };
        if !is_right {
            self.pace.refused_after(began.elapsed());
            return Ok(LogIn::Wrong);
        }
        Ok(match account(entry, &self.settings.mail_attributes) {
            Some(account) => LogIn::Account(Arc::new(account)),
            None => {
                tracing::warn!(directory = %self.name, "an entry without an address may not send");
                LogIn::Forbidden
            }
        })
    }

    /// A bind that fails, at an entry that nobody has.
    async fn decoy(&self) -> Result<(), DirectoryError> {
        if self.settings.authentication == LdapAuthentication::Bind {
            let dn = format!("cn={},{}", pace::nobody(), self.settings.base_dn);
            self.bind(&dn, &pace::nobody()).await?;
        }
        Ok(())
    }

    async fn search(
        &self,
        filter: &Filter,
        subject: Subject<'_>,
        attributes: &[&str],
    ) -> Result<Vec<Entry>, DirectoryError> {
        self.search_below(&self.settings.base_dn, Scope::Subtree, &filter.encode(subject), attributes).await
    }

    async fn search_below(
        &self,
        base: &str,
        scope: Scope,
        filter: &[u8],
        attributes: &[&str],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let seconds = u32::try_from(self.settings.timeout.as_secs()).unwrap_or(u32::MAX).max(1);
        // One would do, but for finding out that a name belongs to several.
        let search = Search { base, scope, filter, attributes, most: 2, seconds };
        let began = Instant::now();
        let outcome = self.pool.search(search).await;
        self.metrics.asked(&self.name, Operation::Search, &outcome, began.elapsed());
        outcome
    }

    async fn bind(&self, dn: &str, password: &str) -> Result<Bound, DirectoryError> {
        let began = Instant::now();
        let outcome = self.pool.bind(dn, password).await;
        self.metrics.asked(&self.name, Operation::Bind, &outcome, began.elapsed());
        outcome
    }
}

/// The account that an entry describes; none when it has no address.
fn account(entry: &Entry, attributes: &[Arc<str>]) -> Option<Account> {
    let mut all: Vec<Address> = Vec::new();
    for value in attributes.iter().flat_map(|attribute| entry.values(attribute)) {
        if let Some(address) = address(value)
            && all.iter().all(|known| known.key() != address.key())
        {
            all.push(address);
        }
    }
    let mut all = all.into_iter();
    let address = all.next()?;
    Some(Account { address, aliases: all.collect(), passwords: Vec::new() })
}

/// An address as directories hold them. Active Directory writes `smtp:` before those in `proxyAddresses`.
fn address(value: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let plain = match text.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("smtp:") => rest,
        _ => text,
    };
    Address::parse(plain).ok()
}
