//! TLS towards the collector.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;

use crate::settings::{Certificates, Protocol};

/// Reads the certificates. They are read anew for each connection, since they are replaced while the process runs.
pub(super) fn connector(certificates: &Certificates, protocol: Protocol) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    match &certificates.authorities {
        Some(file) => {
            for certificate in chain(file)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match &certificates.client {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
            config.with_client_auth_cert(chain(certificate)?, key).map_err(io::Error::other)?
        }
        None => config.with_no_client_auth(),
    };
    if protocol == Protocol::Grpc {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

fn chain(file: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(file, error))?;
    certificates.collect::<Result<_, _>>().map_err(|error| unreadable(file, error))
}

fn unreadable(file: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{file}: {error}"))
}
