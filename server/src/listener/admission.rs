//! From a fresh socket to a connection that may speak SMTP: limits, PROXY header, implicit TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use postern_core::policy::Listener;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::{self, Proxied, canonical};
use crate::accepted::{Accepted, Stream};
use crate::capacity::Permit;
use crate::gate::Gate;
use crate::metrics::TurnedAway;
use crate::snapshot::{Served, Snapshot};

/// A connection that is counted, and nothing more yet.
pub(super) struct Admitted {
    snapshot: Arc<Snapshot>,
    served: Arc<Served>,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    permit: Permit,
}

impl Admitted {
    /// Takes a place for the connection. `None`: it is to be closed without an octet.
    pub(super) fn new(
        gate: &Gate,
        endpoint: SocketAddr,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Self> {
        let snapshot = gate.snapshot();
        // The listener may have gone between the accept and now.
        let served = Arc::clone(snapshot.serving(endpoint)?);
        let limits = (served.listener.max_connections, snapshot.policy.settings.max_connections);
        let permit = match gate.capacity.admit(&served.count, limits.0, limits.1) {
            Ok(permit) => permit,
            Err(full) => {
                gate.metrics.turned_away(&served.listener.name, TurnedAway::from(full));
                return None;
            }
        };
        let local = stream.local_addr().ok()?;
        if served.listener.socket.no_delay {
            // A socket that is gone by now shows at its first read.
            let _ = stream.set_nodelay(true);
        }
        Some(Self { snapshot, served, stream, peer: canonical(peer), local: canonical(local), permit })
    }

    /// Reads the PROXY header where one is due, and shakes hands where TLS comes first. `None`: close.
    pub(super) async fn prepare(self, gate: &Gate) -> Option<Accepted> {
        let listener = Arc::clone(&self.served.listener);
        match self.try_prepare().await {
            Ok(accepted) => Some(accepted),
            Err((reason, error)) => {
                gate.metrics.turned_away(&listener.name, reason);
                tracing::debug!(listener = %listener.name, ?reason, error = %crate::snapshot::chain(&error), "turned away");
                None
            }
        }
    }

    async fn try_prepare(mut self) -> Result<Accepted, (TurnedAway, io::Error)> {
        let listener = Arc::clone(&self.served.listener);
        if is_trusted(&listener, self.peer.ip()) {
            let header = timeout(listener.tls_timeout, proxy::read_header(&mut self.stream)).await;
            match header
                .map_err(|_| io::ErrorKind::TimedOut.into())
                .and_then(|read| read.map_err(io::Error::other))
            {
                Ok(Proxied::Local) => {}
                Ok(Proxied::Client { source, destination }) => {
                    (self.peer, self.local) = (source, destination)
                }
                Err(error) => return Err((TurnedAway::ProxyHeader, error)),
            }
        }
        let mut stream = Stream::Plain(self.stream);
        let mut tls = None;
        if let (Some(acceptor), true) = (&self.served.acceptor, is_implicit(&listener)) {
            let (secured, facts) = stream
                .start_tls(acceptor, listener.tls_timeout)
                .await
                .map_err(|error| (TurnedAway::TlsHandshake, error))?;
            (stream, tls) = (secured, Some(facts));
        }
        Ok(Accepted {
            snapshot: self.snapshot,
            remote: self.peer,
            local: self.local,
            local_port: listener.public_port.unwrap_or_else(|| self.local.port()),
            acceptor: self.served.acceptor.clone(),
            listener,
            tls,
            stream,
            permit: self.permit,
        })
    }
}

fn is_trusted(listener: &Listener, peer: IpAddr) -> bool {
    listener.proxy_trusted_networks.iter().any(|network| network.contains(&peer))
}

fn is_implicit(listener: &Listener) -> bool {
    listener.tls.as_ref().is_some_and(|tls| tls.implicit)
}
