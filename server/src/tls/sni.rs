//! Which certificate a client gets, by the name it asks for (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by server name; the first one serves clients that name none, or one that nobody has.
///
/// SMTP clients mostly do not check names, so an unknown name is no reason to refuse the handshake.
#[derive(Debug)]
pub(super) struct ByServerName {
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

impl ByServerName {
    /// Takes each certificate with its names, in lower case; the first is the default, and so is every other
    /// that has all of its names (the same site with another kind of key).
    pub(super) fn new(certificates: Vec<(Vec<Box<str>>, Arc<CertifiedKey>)>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>> = HashMap::new();
        let mut default = Vec::new();
        let first_names = certificates.first().map(|(names, _)| names.clone()).unwrap_or_default();
        for (names, key) in certificates {
            let twin = !first_names.is_empty() && first_names.iter().all(|name| names.contains(name));
            if default.is_empty() || twin {
                default.push(Arc::clone(&key));
            }
            for name in names {
                by_name.entry(name).or_default().push(Arc::clone(&key));
            }
        }
        Self { by_name, default }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = name.and_then(|name| self.named(name)).unwrap_or(&self.default);
        candidates
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or_else(|| candidates.first())
            .map(Arc::clone)
    }

    /// An exact name goes before a wildcard, which stands for exactly one label (RFC 9525 section 6.3).
    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(name.as_str()).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(format!("*.{parent}").as_str())
        })
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{certificate, certified_key, rsa_certificate};

    fn chosen(resolver: &ByServerName, keys: &[Arc<CertifiedKey>], name: Option<&str>) -> Option<usize> {
        let all = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
        let key = resolver.choose(name, &all)?;
        keys.iter().position(|candidate| Arc::ptr_eq(candidate, &key))
    }

    fn resolver(sets: &[&[&str]]) -> (ByServerName, Vec<Arc<CertifiedKey>>) {
        let keys: Vec<_> = sets.iter().map(|names| certified_key(&certificate("x", names))).collect();
        let named = sets
            .iter()
            .zip(&keys)
            .map(|(names, key)| (names.iter().map(|name| Box::from(*name)).collect(), Arc::clone(key)))
            .collect();
        (ByServerName::new(named), keys)
    }

    #[test]
    fn the_name_decides_and_an_exact_one_goes_first() {
        let (resolver, keys) =
            resolver(&[&["mx.example.org"], &["*.example.net"], &["smtp.example.net", "example.net"]]);
        let choose = |name| chosen(&resolver, &keys, Some(name));
        assert_eq!(choose("mx.example.org"), Some(0));
        assert_eq!(choose("MX2.Example.NET"), Some(1));
        assert_eq!(choose("smtp.example.net"), Some(2));
        assert_eq!(choose("example.net"), Some(2));
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let (resolver, keys) = resolver(&[&["mx.example.org"], &["*.example.net"]]);
        assert_eq!(chosen(&resolver, &keys, Some("a.b.example.net")), Some(0));
    }

    #[test]
    fn the_first_serves_clients_without_a_known_name() {
        let (resolver, keys) = resolver(&[&["mx.example.org"], &["mx.example.net"]]);
        assert_eq!(chosen(&resolver, &keys, None), Some(0));
        assert_eq!(chosen(&resolver, &keys, Some("elsewhere.example")), Some(0));
    }

    #[test]
    fn of_two_kinds_of_key_the_client_gets_one_it_can_check() {
        let ecdsa = certified_key(&certificate("ecdsa", &["mx.example.org"]));
        let rsa = certified_key(&rsa_certificate("rsa", &["mx.example.org"]));
        let name = || vec![Box::from("mx.example.org")];
        let resolver = ByServerName::new(vec![(name(), Arc::clone(&ecdsa)), (name(), Arc::clone(&rsa))]);
        let only_rsa = [SignatureScheme::RSA_PSS_SHA256];
        for asked in [Some("mx.example.org"), None] {
            let key = resolver.choose(asked, &only_rsa).unwrap();
            assert!(Arc::ptr_eq(&key, &rsa));
        }
    }
}
