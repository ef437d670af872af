//! TLS: from certificates and settings to something that can shake hands.
//!
//! What listeners need is made while a policy is loaded. A certificate that cannot be read, or a key that
//! does not fit, is a fault of the policy and never surfaces at a client's handshake.

mod client;
mod facts;
mod sni;

use std::sync::Arc;

use postern_core::policy::listener::{CertificatePem, ListenerTls, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, Error, InconsistentKeys, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

pub(crate) use client::{Security, TlsClient, Trust};
pub use facts::TlsFacts;
use sni::ByServerName;

/// What all listeners share: the cryptography, and the key of session tickets.
///
/// Made once for the process, so that a client resumes its TLS session across a reload of the policy.
#[derive(Debug, Clone)]
pub struct TlsContext {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
}

/// TLS of one listener, ready for handshakes.
#[derive(Clone)]
pub struct CompiledTls {
    /// Performs handshakes.
    pub acceptor: TlsAcceptor,
    /// The certificates it chooses from, in the order of the policy.
    pub certificates: Vec<CertificateFacts>,
}

/// What is worth knowing about a certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Name of the object that holds it.
    pub source: Arc<str>,
    /// The names it is for, in lower case.
    pub names: Vec<Box<str>>,
    /// When it expires, in seconds since the epoch.
    pub not_after: i64,
}

/// Why the TLS of a listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate at all.
    #[error("TLS is on and there is no certificate")]
    NoCertificate,
    /// The certificate's text is not PEM.
    #[error("certificate of `{source_name}` is not readable")]
    BadChain {
        /// The object that holds it.
        source_name: Arc<str>,
        /// What the reader says.
        #[source]
        cause: pem::Error,
    },
    /// There is PEM, and no certificate in it.
    #[error("`{source_name}` holds no certificate")]
    EmptyChain {
        /// The object that ought to hold it.
        source_name: Arc<str>,
    },
    /// The leaf is not an X.509 certificate.
    #[error("the first certificate of `{source_name}` is not a valid X.509 certificate")]
    BadLeaf {
        /// The object that holds it.
        source_name: Arc<str>,
    },
    /// The private key's text is not PEM or holds no key.
    #[error("private key of `{source_name}` is not readable")]
    BadKey {
        /// The object that holds it.
        source_name: Arc<str>,
        /// What the reader says.
        #[source]
        cause: pem::Error,
    },
    /// The key belongs to another certificate.
    #[error("private key of `{source_name}` does not belong to its certificate")]
    KeyMismatch {
        /// The object that holds them.
        source_name: Arc<str>,
    },
    /// The key is of a kind that cannot be used.
    #[error("private key of `{source_name}` cannot be used")]
    UnusableKey {
        /// The object that holds it.
        source_name: Arc<str>,
        /// What the cryptography says.
        #[source]
        cause: Error,
    },
    /// A name that is no cipher suite; ignoring it might leave one on that ought to be off.
    #[error("unknown cipher suite `{name}`")]
    UnknownCipherSuite {
        /// As written.
        name: Arc<str>,
    },
    /// Every suite of the allowed versions is disabled.
    #[error("no cipher suite is left")]
    NoCipherSuite {
        /// What the library says.
        #[source]
        cause: Error,
    },
}

impl TlsContext {
    /// Takes the process's cryptography and makes a ticket key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, Error> {
        let provider = match CryptoProvider::get_default() {
            Some(provider) => Arc::clone(provider),
            None => Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        };
        Ok(Self { provider, tickets: rustls::crypto::aws_lc_rs::Ticketer::new()? })
    }

    /// Makes the TLS of one listener.
    ///
    /// # Errors
    /// Every fault there is, not just the first.
    pub fn compile(&self, tls: &ListenerTls) -> Result<CompiledTls, Vec<TlsError>> {
        let mut faults = Vec::new();
        let mut certificates = Vec::new();
        let mut keys = Vec::new();
        for pem in &tls.certificates {
            match self.certificate(pem) {
                Ok((facts, key)) => {
                    keys.push((facts.names.clone(), key));
                    certificates.push(facts);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if tls.certificates.is_empty() {
            faults.push(TlsError::NoCertificate);
        }
        faults.extend(unknown_suites(&tls.disabled_cipher_suites));
        match self.configuration(tls, keys) {
            Ok(config) if faults.is_empty() => {
                Ok(CompiledTls { acceptor: TlsAcceptor::from(Arc::new(config)), certificates })
            }
            Ok(_) => Err(faults),
            Err(fault) => {
                faults.push(fault);
                Err(faults)
            }
        }
    }

    fn configuration(
        &self,
        tls: &ListenerTls,
        keys: Vec<(Vec<Box<str>>, Arc<CertifiedKey>)>,
    ) -> Result<ServerConfig, TlsError> {
        let mut provider = CryptoProvider::clone(&self.provider);
        provider
            .cipher_suites
            .retain(|suite| !tls.disabled_cipher_suites.iter().any(|name| is_suite(suite.suite(), name)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions(tls.min_version))
            .map_err(|cause| TlsError::NoCipherSuite { cause })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByServerName::new(keys)));
        config.ignore_client_order = tls.ignore_client_order;
        config.ticketer = Arc::clone(&self.tickets);
        Ok(config)
    }

    fn certificate(&self, pem: &CertificatePem) -> Result<(CertificateFacts, Arc<CertifiedKey>), TlsError> {
        let source_name = || Arc::clone(&pem.source);
        let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| TlsError::BadChain { source_name: source_name(), cause })?;
        let leaf = chain.first().ok_or_else(|| TlsError::EmptyChain { source_name: source_name() })?;
        let facts = leaf_facts(pem, leaf).ok_or_else(|| TlsError::BadLeaf { source_name: source_name() })?;
        let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes())
            .map_err(|cause| TlsError::BadKey { source_name: source_name(), cause })?;
        match CertifiedKey::from_der(chain, key, &self.provider) {
            Ok(key) => Ok((facts, Arc::new(key))),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::KeyMismatch { source_name: source_name() })
            }
            Err(cause) => Err(TlsError::UnusableKey { source_name: source_name(), cause }),
        }
    }
}

impl std::fmt::Debug for CompiledTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledTls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// Names (subjectAltName; RFC 9525 gives the common name no meaning) and end of a leaf certificate.
fn leaf_facts(pem: &CertificatePem, leaf: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_boxed_str()),
                _ => None,
            })
            .collect(),
        Ok(None) => Vec::new(),
        Err(_) => return None,
    };
    Some(CertificateFacts {
        source: Arc::clone(&pem.source),
        names,
        not_after: parsed.validity().not_after.timestamp(),
    })
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => TLS_1_3_ONLY,
    }
}

fn unknown_suites(names: &[Arc<str>]) -> impl Iterator<Item = TlsError> {
    names
        .iter()
        .filter(|name| !(0..=u16::MAX).any(|code| is_suite(CipherSuite::from(code), name)))
        .map(|name| TlsError::UnknownCipherSuite { name: Arc::clone(name) })
}

fn is_suite(suite: CipherSuite, name: &str) -> bool {
    facts::suite_name(suite).is_some_and(|known| known.eq_ignore_ascii_case(name))
}

const TLS_1_3_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::certificate;
    use postern_core::policy::secret::Secret;

    fn context() -> TlsContext {
        TlsContext::new().unwrap()
    }

    fn tls(certificates: Vec<CertificatePem>) -> ListenerTls {
        ListenerTls {
            certificates,
            implicit: false,
            min_version: TlsVersion::Tls12,
            disabled_cipher_suites: Vec::new(),
            ignore_client_order: true,
        }
    }

    fn faults(tls: &ListenerTls) -> Vec<String> {
        context().compile(tls).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn certificates_tell_their_names_and_their_end() {
        let compiled = context().compile(&tls(vec![certificate("mx-tls", &["MX.example.org"])])).unwrap();
        let facts = compiled.certificates.first().unwrap();
        assert_eq!(&*facts.source, "mx-tls");
        assert_eq!(facts.names, [Box::from("mx.example.org")]);
        assert!(facts.not_after > 1_800_000_000);
    }

    #[test]
    fn a_key_of_another_certificate_is_a_fault() {
        let mut wrong = certificate("mx-tls", &["mx.example.org"]);
        wrong.key = certificate("other", &["mx.example.org"]).key;
        assert_eq!(faults(&tls(vec![wrong])), ["private key of `mx-tls` does not belong to its certificate"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let good = certificate("good", &["a.example.org"]);
        let no_chain =
            CertificatePem { source: "no-chain".into(), chain: "nothing".into(), key: good.key.clone() };
        let cut = CertificatePem {
            source: "cut".into(),
            chain: good.chain.chars().take(60).collect::<String>().into(),
            key: good.key.clone(),
        };
        let no_key = CertificatePem { source: "no-key".into(), key: Secret::new("nothing"), ..good.clone() };
        let mut tls = tls(vec![good, no_chain, cut, no_key]);
        tls.disabled_cipher_suites = vec!["TLS_NONSENSE".into()];
        assert_eq!(
            faults(&tls),
            [
                "`no-chain` holds no certificate",
                "certificate of `cut` is not readable",
                "private key of `no-key` is not readable",
                "unknown cipher suite `TLS_NONSENSE`",
            ]
        );
    }

    #[test]
    fn a_chain_that_is_no_certificate_is_a_fault() {
        let mut broken = certificate("mx-tls", &["mx.example.org"]);
        broken.chain = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into();
        assert_eq!(
            faults(&tls(vec![broken])),
            ["the first certificate of `mx-tls` is not a valid X.509 certificate"]
        );
    }

    #[test]
    fn tls_without_a_certificate_is_a_fault() {
        assert_eq!(faults(&tls(Vec::new())), ["TLS is on and there is no certificate"]);
    }

    #[test]
    fn disabling_every_suite_is_a_fault() {
        let mut tls = tls(vec![certificate("mx-tls", &["mx.example.org"])]);
        tls.min_version = TlsVersion::Tls13;
        tls.disabled_cipher_suites = ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"]
            .map(|name| Arc::from(format!("TLS_{name}")))
            .to_vec();
        assert_eq!(faults(&tls), ["no cipher suite is left"]);
    }

    #[test]
    fn suites_that_are_never_offered_may_be_disabled() {
        let mut tls = tls(vec![certificate("mx-tls", &["mx.example.org"])]);
        tls.disabled_cipher_suites = vec!["TLS_RSA_WITH_RC4_128_MD5".into()];
        assert!(context().compile(&tls).is_ok());
    }
}
