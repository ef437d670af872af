//! The connections to one LDAP server: a bounded number, kept while they are good.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_core::ldap::{Entry, Filter, Outcome, Scope, Search, Subject};
use postern_core::policy::directory::{Ldap, LdapSecurity};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::connection::{Bound, Connection};
use crate::directory::DirectoryError;
use crate::tls::{TlsClient, Trust};

/// Connections that wait for the next request, and the way to new ones.
///
/// A connection on which a user has bound is that user from then on, so it is never searched on: there are
/// connections for searches, bound as the service, and others for passwords.
#[derive(Debug)]
pub(super) struct Pool {
    ldap: Arc<Ldap>,
    /// Built at the first handshake: it may have to read files.
    tls: OnceCell<TlsClient>,
    /// One for each request under way.
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    purpose: Purpose,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Searches,
    Passwords,
}

impl Pool {
    pub(super) fn new(ldap: Arc<Ldap>) -> Self {
        let most = ldap.pool as usize;
        Self { ldap, tls: OnceCell::new(), turns: Semaphore::new(most), idle: Mutex::default() }
    }

    /// Searches as the service.
    pub(super) async fn search(&self, search: Search<'_>) -> Result<Vec<Entry>, DirectoryError> {
        self.in_time(async {
            let _turn = self.turn().await?;
            if let Some(mut kept) = self.take(Purpose::Searches).await {
                match kept.search(search).await {
                    // Mostly the server has closed it just now, as it may.
                    Err(error) if error.is_lost_connection() => {}
                    outcome => return self.finish(kept, Purpose::Searches, outcome),
                }
            }
            let mut fresh = self.open(Purpose::Searches).await?;
            let outcome = fresh.search(search).await;
            self.finish(fresh, Purpose::Searches, outcome)
        })
        .await
    }

    /// Whether this is the password of that entry. An empty one is refused without asking: a server would take
    /// the request for an anonymous one, and call it a success.
    pub(super) async fn bind(&self, dn: &str, password: &str) -> Result<Bound, DirectoryError> {
        if dn.is_empty() || password.is_empty() {
            return Ok(Bound::Refused);
        }
        self.in_time(async {
            let _turn = self.turn().await?;
            if let Some(mut kept) = self.take(Purpose::Passwords).await {
                match kept.bind(dn, password).await {
                    Err(error) if error.is_lost_connection() => {}
                    outcome => return self.finish(kept, Purpose::Passwords, outcome),
                }
            }
            let mut fresh = self.open(Purpose::Passwords).await?;
            let outcome = fresh.bind(dn, password).await;
            self.finish(fresh, Purpose::Passwords, outcome)
        })
        .await
    }

    async fn in_time<T>(
        &self,
        exchange: impl Future<Output = Result<T, DirectoryError>>,
    ) -> Result<T, DirectoryError> {
        let limit = self.ldap.timeout;
        // Boxed: the exchange is large, and most sessions never have one.
        timeout(limit, Box::pin(exchange)).await.unwrap_or(Err(DirectoryError::Timeout(limit)))
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, DirectoryError> {
        // The semaphore is never closed.
        self.turns.acquire().await.map_err(|_| DirectoryError::Unexpected("the pool is closed"))
    }

    /// Keeps a connection that has answered, and passes the answer on.
    fn finish<T>(
        &self,
        connection: Connection,
        purpose: Purpose,
        outcome: Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        if outcome.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(Idle { connection, purpose, since: Instant::now() });
        }
        outcome
    }

    /// The connection for this purpose that was used last. One that has waited for long is asked first whether
    /// it still leads anywhere: a firewall in between may have forgotten it without a word.
    async fn take(&self, purpose: Purpose) -> Option<Connection> {
        loop {
            let kept = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain(|kept| kept.since.elapsed() < LONGEST_IDLE);
                let at = idle.iter().rposition(|kept| kept.purpose == purpose)?;
                idle.remove(at)
            };
            let Idle { mut connection, since, .. } = kept;
            if since.elapsed() < FRESH || self.is_alive(&mut connection).await {
                return Some(connection);
            }
            // What has forgotten this one has forgotten those that wait for longer as well; to ask each would take
            // a second for each.
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|kept| kept.since > since);
        }
    }

    /// Reads the root of the directory, which everybody may. Any answer is one.
    async fn is_alive(&self, connection: &mut Connection) -> bool {
        let filter = Filter::any_entry().encode(Subject::of(""));
        let search = Search {
            base: "",
            scope: Scope::Base,
            filter: &filter,
            attributes: &["supportedLDAPVersion"],
            most: 1,
            seconds: 1,
        };
        let limit = (self.ldap.timeout / 4).min(LONGEST_CHECK);
        let answer = timeout(limit, connection.search(search)).await;
        matches!(answer, Ok(Ok(_) | Err(DirectoryError::Refused { .. })))
    }

    async fn open(&self, purpose: Purpose) -> Result<Connection, DirectoryError> {
        self.make_room();
        let tls = match self.ldap.security {
            LdapSecurity::Clear => None,
            LdapSecurity::StartTls | LdapSecurity::Implicit => Some(self.tls().await?),
        };
        let mut connection = Connection::open(&self.ldap, tls).await?;
        if let (Purpose::Searches, Some(service)) = (purpose, &self.ldap.service)
            && connection.bind(&service.dn, service.password.expose()).await? == Bound::Refused
        {
            return Err(DirectoryError::Refused {
                operation: "bind as bindDn",
                code: Outcome::INVALID_CREDENTIALS,
                diagnostic: "the password is wrong".into(),
            });
        }
        Ok(connection)
    }

    async fn tls(&self) -> Result<&TlsClient, DirectoryError> {
        let built = self.tls.get_or_try_init(|| async {
            let settings = self.ldap.tls.clone();
            let built = spawn_blocking(move || TlsClient::new(&settings, Trust::Demanded)).await;
            built.map_err(io::Error::other)?.map_err(io::Error::other)
        });
        built.await.map_err(|source| DirectoryError::Connect { to: Arc::clone(&self.ldap.host), source })
    }

    /// Whoever opens a connection has a turn; with those that wait there must not be more than the pool has.
    fn make_room(&self) {
        let in_use = (self.ldap.pool as usize).saturating_sub(self.turns.available_permits());
        let most_idle = (self.ldap.pool as usize).saturating_sub(in_use);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.len() > most_idle {
            // The oldest is the first.
            drop(idle.remove(0));
        }
    }
}

/// How long a connection waits for the next request. Many servers wait for minutes, some firewalls do not.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// How long it is taken to be good without being asked.
const FRESH: Duration = Duration::from_secs(5);
/// How long a connection may take to show that it is alive.
const LONGEST_CHECK: Duration = Duration::from_secs(1);
