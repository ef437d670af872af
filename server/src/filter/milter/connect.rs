//! From the address of a milter to a socket.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_core::policy::filter::{Milter, MilterAddress};
use postern_core::policy::route::ClientTls;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::link::Socket;
use crate::dial::dial;
use crate::filter::FilterError;
use crate::tls::{TlsClient, Trust};

/// The TLS settings of milters, ready to use. They are made when they are first needed: that may read files.
#[derive(Debug, Default)]
pub(in crate::filter) struct TlsClients {
    by_name: Mutex<HashMap<Arc<str>, Made>>,
}

/// What was made of the settings of one milter, which may change with the policy.
#[derive(Debug)]
struct Made {
    settings: ClientTls,
    client: Arc<TlsClient>,
}

impl TlsClients {
    /// Forgets the milters that there are no more.
    pub(in crate::filter) fn retain(&self, milters: &[Arc<Milter>]) {
        self.lock().retain(|name, _| milters.iter().any(|milter| milter.process.name == *name));
    }

    async fn get(&self, milter: &Milter, settings: &ClientTls) -> io::Result<Arc<TlsClient>> {
        let name = &milter.process.name;
        if let Some(made) = self.lock().get(name).filter(|made| made.settings == *settings) {
            return Ok(Arc::clone(&made.client));
        }
        let wanted = settings.clone();
        let built = tokio::task::spawn_blocking(move || TlsClient::new(&wanted, Trust::Demanded)).await;
        let client = Arc::new(built.map_err(io::Error::other)?.map_err(io::Error::other)?);
        let made = Made { settings: settings.clone(), client: Arc::clone(&client) };
        self.lock().insert(Arc::clone(name), made);
        Ok(client)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Made>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the first of a milter's addresses that lets us.
pub(super) async fn connect(milter: &Milter, clients: &TlsClients) -> Result<Box<dyn Socket>, FilterError> {
    match &milter.address {
        MilterAddress::Unix(path) => {
            let to = || path.display().to_string();
            let socket = within(milter, to, UnixStream::connect(path)).await?;
            Ok(Box::new(socket))
        }
        MilterAddress::Tcp { host, port } => {
            let to = || format!("{host}:{port}");
            let literal = host.trim_start_matches('[').trim_end_matches(']');
            let dialled = dial(literal, *port, milter.timeout_connect).await;
            let tcp = dialled.map_err(|source| unreachable(to(), source))?;
            let Some(settings) = &milter.tls else { return Ok(Box::new(tcp)) };
            let secured = async { clients.get(milter, settings).await?.connect(host, tcp).await };
            let (stream, _) = within(milter, to, secured).await?;
            Ok(Box::new(stream))
        }
    }
}

async fn within<T>(
    milter: &Milter,
    to: impl Fn() -> String,
    attempt: impl Future<Output = io::Result<T>>,
) -> Result<T, FilterError> {
    match timeout(milter.timeout_connect, attempt).await {
        Ok(outcome) => outcome.map_err(|source| unreachable(to(), source)),
        Err(_) => Err(unreachable(to(), io::ErrorKind::TimedOut.into())),
    }
}

fn unreachable(to: String, source: io::Error) -> FilterError {
    FilterError::Connect { to, source }
}
