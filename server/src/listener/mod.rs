//! Listeners: sockets, the loops that accept from them, and their change from one policy to the next.
//!
//! ```text
//! accept -> counted (limits) -> PROXY header -> implicit TLS -> Accepted -> the session
//! ```

mod admission;
mod proxy;
mod socket;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use postern_core::policy::{Listener, Policy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::Admitted;
pub use self::socket::BindError;
use self::socket::Endpoint;
use crate::accepted::Accepted;
use crate::gate::Gate;

/// What becomes of a connection that may speak SMTP.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Serves the connection to its end.
    fn serve(&self, accepted: Accepted, gate: Arc<Gate>) -> impl Future<Output = ()> + Send;
}

impl<F, S> Handler for F
where
    F: Fn(Accepted, Arc<Gate>) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = ()> + Send,
{
    fn serve(&self, accepted: Accepted, gate: Arc<Gate>) -> impl Future<Output = ()> + Send {
        self(accepted, gate)
    }
}

/// All listening sockets of the process.
#[derive(Debug)]
pub struct Listeners<H> {
    handler: H,
    running: HashMap<Endpoint, Running>,
    /// Accept loops and connections.
    tasks: TaskTracker,
}

/// Sockets that a policy needs and that were not there yet: bound, and not accepting.
#[derive(Debug)]
pub struct Prepared {
    wanted: Vec<(Endpoint, Arc<Listener>)>,
    fresh: HashMap<Endpoint, TcpListener>,
}

/// A socket in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The address that the system gave.
    pub address: SocketAddr,
}

#[derive(Debug)]
struct Running {
    socket: Arc<TcpListener>,
    stop: CancellationToken,
}

impl<H: Handler> Listeners<H> {
    /// No listener yet.
    #[must_use]
    pub fn new(handler: H) -> Self {
        Self { handler, running: HashMap::new(), tasks: TaskTracker::new() }
    }

    /// Binds what a policy needs and what is not bound yet. Changes nothing that runs.
    ///
    /// # Errors
    /// Every address that cannot be bound.
    pub fn prepare(&self, policy: &Policy) -> Result<Prepared, Vec<BindError>> {
        let wanted = Endpoint::all(policy);
        let mut fresh = HashMap::new();
        let mut errors = Vec::new();
        for (endpoint, listener) in &wanted {
            if self.running.contains_key(endpoint) {
                continue;
            }
            match endpoint.bind(listener) {
                Ok(socket) => {
                    fresh.insert(*endpoint, socket);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Prepared { wanted, fresh }) } else { Err(errors) }
    }

    /// Begins to accept on new sockets, and stops on those that the policy does not name any more.
    ///
    /// Called after the policy was put in force, so that every connection finds its listener.
    pub fn commit(&mut self, prepared: Prepared, gate: &Arc<Gate>) {
        self.running.retain(|endpoint, running| {
            let stays = prepared.wanted.iter().any(|(wanted, _)| wanted == endpoint);
            if !stays {
                running.stop.cancel();
            }
            stays
        });
        for (endpoint, listener) in &prepared.wanted {
            if let Some(running) = self.running.get(endpoint)
                && let Err(error) = socket::adjust(&running.socket, endpoint.address, &listener.socket)
            {
                tracing::warn!(listener = %listener.name, %error, "socket options could not be changed");
            }
        }
        for (endpoint, socket) in prepared.fresh {
            let (socket, stop) = (Arc::new(socket), CancellationToken::new());
            let accepting = Accepting {
                gate: Arc::clone(gate),
                endpoint: endpoint.address,
                handler: self.handler.clone(),
                tasks: self.tasks.clone(),
            };
            self.tasks.spawn(accepting.run(Arc::clone(&socket), stop.clone()));
            self.running.insert(endpoint, Running { socket, stop });
        }
    }

    /// The sockets in use, with the names of their listeners.
    #[must_use]
    pub fn bound(&self, policy: &Policy) -> Vec<Bound> {
        Endpoint::all(policy)
            .into_iter()
            .filter_map(|(endpoint, listener)| {
                let address = self.running.get(&endpoint)?.socket.local_addr().ok()?;
                Some(Bound { listener: Arc::clone(&listener.name), address })
            })
            .collect()
    }

    /// Stops accepting everywhere. Connections go on; the returned tracker's `wait` ends with the last one.
    pub fn close(&mut self) -> TaskTracker {
        for (_, running) in self.running.drain() {
            running.stop.cancel();
        }
        self.tasks.close();
        self.tasks.clone()
    }
}

/// The loop of one socket.
struct Accepting<H> {
    gate: Arc<Gate>,
    endpoint: SocketAddr,
    handler: H,
    tasks: TaskTracker,
}

impl<H: Handler> Accepting<H> {
    async fn run(self, socket: Arc<TcpListener>, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    self.begin(stream, peer);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: at once again would only burn the processor.
                    tracing::warn!(address = %self.endpoint, %error, "cannot accept connections");
                    if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                        break;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        // Clients that were already connected are told why they cannot stay, rather than reset.
        while let Some(Ok((stream, peer))) = socket.accept().now_or_never() {
            self.begin(stream, peer);
        }
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(admitted) = Admitted::new(&self.gate, self.endpoint, stream, peer) else { return };
        let (gate, handler) = (Arc::clone(&self.gate), self.handler.clone());
        self.tasks.spawn(async move {
            let accepted = tokio::select! {
                // Who needs no preparation gets through, and is told 421 by the session.
                biased;
                accepted = admitted.prepare(&gate) => accepted,
                () = gate.drain.closing() => None,
            };
            if let Some(accepted) = accepted {
                handler.serve(accepted, Arc::clone(&gate)).await;
            }
        });
    }
}

/// Errors that accept(2) reports for the connection it would have returned.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
