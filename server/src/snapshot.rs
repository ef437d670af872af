//! One policy in force, with everything made from it that connections need.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use postern_core::policy::{Listener, Policy};
use tokio_rustls::TlsAcceptor;

use crate::auth::Decoy;
use crate::capacity::{Capacity, ListenerCount};
use crate::geo::Geo;
use crate::tls::{CertificateFacts, TlsContext, TlsError};

/// A policy and what was made from it. Immutable; a connection holds the one it was accepted with.
#[derive(Debug)]
pub struct Snapshot {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Networks of clients.
    pub geo: Geo,
    served: HashMap<SocketAddr, Arc<Served>>,
    certificates: Vec<CertificateFacts>,
    decoy: Decoy,
}

/// A listener with its TLS and its count of connections.
pub struct Served {
    /// The listener.
    pub listener: Arc<Listener>,
    /// Its handshakes, when it has TLS.
    pub acceptor: Option<TlsAcceptor>,
    /// Its connections.
    pub count: ListenerCount,
}

/// The TLS of one listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("MtaListener/{listener}: tls: {}", chain(fault))]
pub struct ListenerFault {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// What is wrong.
    pub fault: TlsError,
}

impl Snapshot {
    /// Makes what connections need from a policy.
    ///
    /// # Errors
    /// Every listener's TLS faults.
    pub fn compile(
        policy: Policy,
        tls: &TlsContext,
        capacity: &Capacity,
    ) -> Result<Self, Vec<ListenerFault>> {
        let mut served = HashMap::new();
        let mut certificates: Vec<CertificateFacts> = Vec::new();
        let mut faults = Vec::new();
        for listener in &policy.listeners {
            let acceptor = match listener.tls.as_ref().map(|settings| tls.compile(settings)) {
                None => None,
                Some(Ok(compiled)) => {
                    for facts in compiled.certificates {
                        if !certificates.contains(&facts) {
                            certificates.push(facts);
                        }
                    }
                    Some(compiled.acceptor)
                }
                Some(Err(of_listener)) => {
                    let name = || Arc::clone(&listener.name);
                    faults.extend(
                        of_listener.into_iter().map(|fault| ListenerFault { listener: name(), fault }),
                    );
                    continue;
                }
            };
            let count = capacity.of(&listener.name);
            let entry = Arc::new(Served { listener: Arc::clone(listener), acceptor, count });
            served.extend(listener.bind.iter().map(|address| (*address, Arc::clone(&entry))));
        }
        if faults.is_empty() {
            let decoy = Decoy::of(&policy.directories);
            Ok(Self { policy: Arc::new(policy), geo: Geo::default(), served, certificates, decoy })
        } else {
            Err(faults)
        }
    }

    /// With databases that know networks of clients.
    #[must_use]
    pub fn with_geo(self, geo: Geo) -> Self {
        Self { geo, ..self }
    }

    /// The listener that serves a bound address.
    #[must_use]
    pub fn serving(&self, address: SocketAddr) -> Option<&Arc<Served>> {
        self.served.get(&address)
    }

    /// The certificates in use, each once.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateFacts] {
        &self.certificates
    }

    /// What is checked when nobody has the given name, so that the answer takes as long.
    pub(crate) const fn decoy(&self) -> &Decoy {
        &self.decoy
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("listener", &self.listener.name).finish_non_exhaustive()
    }
}

/// An error and its causes in one line; a fault is read by people, who need all of it at once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
