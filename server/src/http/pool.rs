//! The connections to one server with one set of TLS settings.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_core::policy::route::ClientTls;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::connection::Connection;
use super::target::Target;
use crate::dial::dial;
use crate::filter::FilterError;
use crate::tls::{TlsClient, Trust};

/// Connections that wait for the next request, and the way to new ones.
#[derive(Debug)]
pub(super) struct Pool {
    is_secure: bool,
    host: Arc<str>,
    port: u16,
    tls: ClientTls,
    /// Built at the first handshake: it may have to read files.
    built: OnceCell<TlsClient>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(target: &Target, tls: &ClientTls) -> Self {
        Self {
            is_secure: target.is_secure,
            host: Arc::clone(&target.host),
            port: target.port,
            tls: tls.clone(),
            built: OnceCell::new(),
            idle: Mutex::default(),
        }
    }

    pub(super) fn serves(&self, target: &Target, tls: &ClientTls) -> bool {
        (self.is_secure, &*self.host, self.port) == (target.is_secure, &*target.host, target.port)
            && self.tls == *tls
    }

    pub(super) fn tls(&self) -> &ClientTls {
        &self.tls
    }

    /// The connection that was used last, so that the others can grow old; those that did are closed.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.connection.is_open() && kept.since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|kept| kept.connection)
    }

    pub(super) fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_open() && idle.len() < MOST_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// A new connection, to the first of the host's addresses that takes it. Names are looked up each time.
    pub(super) async fn open(&self, limit: Duration) -> Result<Connection, FilterError> {
        let stream = dial(&self.host, self.port, limit).await.map_err(|source| self.unreachable(source))?;
        if !self.is_secure {
            return Connection::new(stream).await;
        }
        let secured = async {
            let tls = self.built.get_or_try_init(|| async {
                let settings = self.tls.clone();
                let built = spawn_blocking(move || TlsClient::new(&settings, Trust::Demanded)).await;
                built.map_err(io::Error::other)?.map_err(io::Error::other)
            });
            tls.await?.connect(&self.host, stream).await
        };
        let (stream, _) = secured.await.map_err(|source| self.unreachable(source))?;
        Connection::new(stream).await
    }

    fn unreachable(&self, source: io::Error) -> FilterError {
        FilterError::Connect { to: format!("{}:{}", self.host, self.port), source }
    }
}

/// How long a connection waits for the next request. Most servers wait longer.
const LONGEST_IDLE: Duration = Duration::from_secs(15);

/// Most connections that wait.
const MOST_IDLE: usize = 64;
