//! TLS towards whatever Postern connects to: what is trusted, and what is merely recorded.

use std::sync::Arc;

use postern_core::policy::route::ClientTls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The TLS settings of one route or filter, ready to use.
#[derive(Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    /// Says afterwards whether a certificate that was let through is a good one; none without any
    /// authority to trust.
    judge: Option<Arc<WebPkiServerVerifier>>,
    server_name: Option<Arc<str>>,
}

/// Which certificate will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// One that a known authority made for this host, unless the settings allow invalid ones.
    Demanded,
    /// Any; whether it is a good one is recorded.
    Recorded,
}

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsClientError {
    #[error("the authorities cannot be read")]
    Authorities(#[source] rustls::pki_types::pem::Error),
    #[error("no authority is known that could vouch for the other side")]
    NoAuthorities,
    #[error("the client certificate {0} cannot be read")]
    ClientCertificate(Arc<str>, #[source] rustls::pki_types::pem::Error),
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Clear text.
    Clear,
    /// TLS with somebody.
    Unverified,
    /// TLS with the host that was meant.
    Verified,
}

impl TlsClient {
    /// Reads certificates and keys. Blocks for the files of the system's authorities.
    pub(crate) fn new(settings: &ClientTls, trust: Trust) -> Result<Self, TlsClientError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let demands_good = trust == Trust::Demanded && !settings.allow_invalid_certs;
        let judge = match authorities(settings)? {
            roots if roots.is_empty() && demands_good => return Err(TlsClientError::NoAuthorities),
            roots if roots.is_empty() => None,
            roots => WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .ok(),
        };
        let verifier: Arc<dyn ServerCertVerifier> = match &judge {
            Some(judge) if demands_good => Arc::clone(judge) as _,
            None if demands_good => return Err(TlsClientError::NoAuthorities),
            _ => Arc::new(Recorder { provider: Arc::clone(&provider) }),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &settings.client_certificate {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let unreadable = |error| TlsClientError::ClientCertificate(Arc::clone(&pem.source), error);
                let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(unreadable)?;
                let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes()).map_err(unreadable)?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        Ok(Self { config: Arc::new(config), judge, server_name: settings.server_name.clone() })
    }

    /// The handshake. `host` is what the policy calls the other side.
    pub(crate) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> std::io::Result<(TlsStream<TcpStream>, Security)> {
        let name = self.server_name.as_deref().unwrap_or(host).trim_end_matches('.');
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name.clone(), tcp).await?;
        let security = self.judge(&name, stream.get_ref().1.peer_certificates().unwrap_or_default());
        Ok((stream, security))
    }

    /// Whether the certificate is good, even where a bad one would do.
    fn judge(&self, name: &ServerName<'_>, chain: &[CertificateDer<'_>]) -> Security {
        let (Some(judge), Some((leaf, others))) = (&self.judge, chain.split_first()) else {
            return Security::Unverified;
        };
        match judge.verify_server_cert(leaf, others, name, &[], UnixTime::now()) {
            Ok(_) => Security::Verified,
            Err(_) => Security::Unverified,
        }
    }
}

/// The authorities that the settings name, else those of the system.
fn authorities(tls: &ClientTls) -> Result<RootCertStore, TlsClientError> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(TlsClientError::Authorities)?)?;
            }
        }
        None => {
            // Single unreadable files of the system are its own affair; none at all is noticed above.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// Takes every certificate, but only from who holds its key.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
