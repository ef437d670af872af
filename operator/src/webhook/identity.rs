//! The certificate that is shown now. It changes without a restart.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::json::at;
use crate::world::World;

/// A place for a certificate with its key.
#[derive(Clone)]
pub struct Identity {
    shown: Arc<Shown>,
    provider: Arc<CryptoProvider>,
}

struct Shown(ArcSwapOption<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.0.load().is_some()).finish()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// Why a Secret is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("`{0}` is missing or no text")]
    Missing(&'static str),
    #[error("it is not PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Default for Identity {
    fn default() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { shown: Arc::new(Shown(ArcSwapOption::empty())), provider }
    }
}

impl Identity {
    /// Whether there is a certificate to show. Without one every handshake fails.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.shown.0.load().is_some()
    }

    /// TLS that always shows the newest one.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&self.shown);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = match builder.with_safe_default_protocol_versions() {
            Ok(builder) => builder,
            // The provider has them all; and if it had none, no handshake could succeed either way.
            Err(_) => ServerConfig::builder(),
        };
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Follows a Secret for as long as it runs.
    pub async fn follow(self, world: Arc<World>, secret: String) {
        let mut changes = world.subscribe();
        let mut last = None;
        loop {
            changes.mark_unchanged();
            let found = world.get("Secret", &secret).map(|value| at(&value, &["data"]).clone());
            // A Secret is there a moment before its contents are.
            if found != last && found.as_ref().is_some_and(|data| !data.is_null()) {
                match found.as_ref().map(|data| self.show(data)) {
                    Some(Ok(())) => tracing::info!(secret, "the webhook has its certificate"),
                    // The one that was shown before may still be good.
                    Some(Err(error)) => tracing::warn!(secret, %error, "no certificate for the webhook"),
                    None => {}
                }
                last = found;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Shows the certificate in the data of a Secret.
    pub(super) fn show(&self, data: &Value) -> Result<(), IdentityError> {
        let certificate = text(data, "tls.crt").ok_or(IdentityError::Missing("tls.crt"))?;
        let key = text(data, "tls.key").ok_or(IdentityError::Missing("tls.key"))?;
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let certified = CertifiedKey::from_der(chain, key, &self.provider)?;
        self.shown.0.store(Some(Arc::new(certified)));
        Ok(())
    }
}

/// A value of a Secret.
pub(super) fn text(data: &Value, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(crate::json::text(data, &[key])?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::authority::make;
    use serde_json::json;

    #[test]
    fn a_certificate_is_shown_and_nonsense_does_not_take_its_place() {
        let identity = Identity::default();
        assert!(!identity.is_known());
        let made = make(&["gate-webhook.mail.svc".to_owned()], jiff::Timestamp::now()).unwrap();
        let data =
            json!({"tls.crt": STANDARD.encode(&made.certificate), "tls.key": STANDARD.encode(&made.key)});
        identity.show(&data).unwrap();
        let before = identity.shown.0.load_full().unwrap();
        assert!(identity.show(&json!({"tls.crt": "AAAA"})).is_err());
        assert!(Arc::ptr_eq(&before, &identity.shown.0.load_full().unwrap()));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let hosts = ["gate-webhook.mail.svc".to_owned()];
        let now = jiff::Timestamp::now();
        let (one, two) = (make(&hosts, now).unwrap(), make(&hosts, now).unwrap());
        let data = json!({"tls.crt": STANDARD.encode(one.certificate), "tls.key": STANDARD.encode(two.key)});
        assert!(Identity::default().show(&data).is_err());
    }
}
