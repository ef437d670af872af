//! What a finished handshake says about itself.

use std::sync::Arc;

use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The outcome of a handshake, as expressions, milters and the Received field tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`
    pub version: &'static str,
    /// IANA name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// Key length of the cipher, in bits.
    pub cipher_bits: u16,
    /// The server name that the client asked for (RFC 6066 section 3).
    pub server_name: Option<Arc<str>>,
    /// Distinguished name of the client's certificate, when it showed one.
    pub client_subject: Option<Arc<str>>,
    /// Distinguished name of its issuer.
    pub client_issuer: Option<Arc<str>>,
}

impl TlsFacts {
    /// Reads them from a connection whose handshake is done.
    #[must_use]
    pub fn of(connection: &ServerConnection) -> Self {
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite_name(suite.suite()))
            .unwrap_or("unknown");
        let client = connection.peer_certificates().and_then(<[_]>::first).and_then(|leaf| {
            let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
            Some((Arc::from(parsed.subject().to_string()), Arc::from(parsed.issuer().to_string())))
        });
        let (client_subject, client_issuer) = client.unzip();
        Self {
            version: version_name(connection.protocol_version()),
            cipher,
            cipher_bits: cipher_bits(cipher),
            server_name: connection.server_name().map(Arc::from),
            client_subject,
            client_issuer,
        }
    }
}

/// The IANA name of a suite; the library writes the suites of TLS 1.3 in its own way.
pub(super) fn suite_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_AES_128_CCM_SHA256 => "TLS_AES_128_CCM_SHA256",
        CipherSuite::TLS13_AES_128_CCM_8_SHA256 => "TLS_AES_128_CCM_8_SHA256",
        other => return other.as_str(),
    })
}

fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    }
}

fn cipher_bits(cipher: &str) -> u16 {
    if cipher.contains("_AES_128_") {
        128
    } else if cipher.contains("_AES_256_") || cipher.contains("CHACHA20") {
        256
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_their_registered_names() {
        assert_eq!(suite_name(CipherSuite::TLS13_AES_256_GCM_SHA384), Some("TLS_AES_256_GCM_SHA384"));
        assert_eq!(
            suite_name(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
            Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        );
        assert_eq!(suite_name(CipherSuite::Unknown(0xeeee)), None);
    }

    #[test]
    fn bits_follow_from_the_cipher() {
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            assert!(matches!(cipher_bits(suite_name(suite.suite()).unwrap()), 128 | 256));
        }
    }
}
