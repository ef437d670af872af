//! Builders for tests.

use std::sync::Arc;
use std::time::Duration;

use postern_core::policy::listener::{CertificatePem, Protocol, SocketOptions};
use postern_core::policy::secret::Secret;
use postern_core::policy::{Listener, Policy};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::capacity::Capacity;
use crate::gate::Gate;
use crate::message::{Budget, MessageStore};
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::tls::TlsContext;

/// A self-signed certificate with an elliptic-curve key.
pub(crate) fn certificate(source: &str, names: &[&str]) -> CertificatePem {
    signed(source, names, &KeyPair::generate().unwrap())
}

/// A self-signed certificate with an RSA key.
pub(crate) fn rsa_certificate(source: &str, names: &[&str]) -> CertificatePem {
    signed(source, names, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
}

fn signed(source: &str, names: &[&str], key: &KeyPair) -> CertificatePem {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(key).unwrap();
    CertificatePem {
        source: source.into(),
        chain: certificate.pem().into(),
        key: Secret::new(key.serialize_pem()),
    }
}

/// The same, as the TLS library holds it.
pub(crate) fn certified_key(pem: &CertificatePem) -> Arc<CertifiedKey> {
    let chain = vec![CertificateDer::from_pem_slice(pem.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap())
}

/// A listener in clear text with every default.
pub(crate) fn listener(name: &str, bind: &str) -> Listener {
    Listener {
        name: name.into(),
        bind: vec![bind.parse().unwrap()],
        protocol: Protocol::Smtp,
        tls: None,
        max_connections: 100,
        proxy_trusted_networks: Vec::new(),
        public_port: None,
        relay_for_anyone: false,
        tls_timeout: Duration::from_secs(60),
        socket: SocketOptions::default(),
    }
}

/// A policy ready for connections.
pub(crate) fn snapshot_of(policy: Policy) -> Snapshot {
    Snapshot::compile(policy, &TlsContext::new().unwrap(), &Capacity::default()).unwrap()
}

/// A gate with that policy in force; its temporary files go where the system puts them.
pub(crate) fn gate(policy: Policy) -> Arc<Gate> {
    let capacity = Capacity::default();
    let first = Snapshot::compile(policy, &TlsContext::new().unwrap(), &capacity).unwrap();
    let messages = MessageStore::new(std::env::temp_dir(), Budget::new(0, 0));
    Arc::new(Gate::new(first, capacity, Metrics::default(), messages))
}
