//! Public keys in DNS (RFC 6376 section 3.6.1).

use std::fmt;
use std::time::Duration;

use mail_auth::common::crypto::{Algorithm, VerifyingKey};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use postern_core::session::check::CheckResult;

use super::Failure;
use crate::dns::Resolver;
use crate::sender_auth::tags::Tags;

/// Shortest RSA key that is good for anything, in bits (RFC 8301 section 3.2).
const MIN_RSA_BITS: usize = 1024;

/// A key, and what it may be used for.
pub(in crate::sender_auth) struct Key {
    key: DomainKey,
    kind: Kind,
    /// `i=` has to name the very domain of `d=`.
    pub(in crate::sender_auth) exact_identity: bool,
}

/// The kind of a key (`k=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    Ed25519,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Where a key is published.
pub(in crate::sender_auth) fn name_of(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// Looks a key up.
///
/// # Errors
///
/// What that means for the signature.
pub(in crate::sender_auth) async fn fetch(resolver: &Resolver, name: &str) -> Result<Key, Failure> {
    let texts = match resolver.txt(name).await {
        Ok(texts) => texts,
        Err(error) if error.is_nothing() => return Err(Failure::permanent("there is no key")),
        Err(error) => return Err(Failure::new(CheckResult::TempError, format!("key: {error}"))),
    };
    // Nothing says which of several records holds; a record that is no key is none.
    let mut failure = Failure::permanent("there is no key");
    for text in &texts {
        match Key::parse(text) {
            Ok(key) => return Ok(key),
            Err(other) => failure = other,
        }
    }
    Err(failure)
}

impl Key {
    fn parse(text: &[u8]) -> Result<Self, Failure> {
        let tags = Tags::parse(text).ok_or_else(|| Failure::permanent("key is malformed"))?;
        let unusable = |reason: &'static str| Err(Failure::permanent(reason));
        match (tags.first(), tags.get("v")) {
            (_, None) | (Some(("v", "DKIM1")), _) => {}
            _ => return unusable("key is malformed"),
        }
        if tags.get("p") == Some("") {
            return unusable("key is revoked");
        }
        if tags.get("h").is_some() && !tags.lists("h", "sha256") {
            return unusable("key is not for sha256");
        }
        if tags.get("s").is_some() && !tags.lists("s", "*") && !tags.lists("s", "email") {
            return unusable("key is not for mail");
        }
        let kind = match tags.get("k") {
            None => Kind::Rsa,
            Some(kind) if kind.eq_ignore_ascii_case("rsa") => Kind::Rsa,
            Some(kind) if kind.eq_ignore_ascii_case("ed25519") => Kind::Ed25519,
            Some(_) => return unusable("key is of an unknown kind"),
        };
        let key = DomainKey::parse(text).map_err(|_| Failure::permanent("key is malformed"))?;
        Ok(Self { key, kind, exact_identity: tags.lists("t", "s") })
    }

    /// How long it takes to verify one signature with it; for RSA that grows with the square of the length.
    pub(in crate::sender_auth) fn cost(&self) -> Duration {
        match self.kind {
            Kind::Rsa => {
                let length = u32::try_from(self.key.p.public_key_bits() / 1024).unwrap_or(u32::MAX);
                Duration::from_micros(8).saturating_mul(length.saturating_mul(length).max(1))
            }
            Kind::Ed25519 => Duration::from_micros(50),
        }
    }

    /// The key itself, if it is of use for the algorithm.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(in crate::sender_auth) fn usable_for(
        &self,
        algorithm: Algorithm,
    ) -> Result<&(dyn VerifyingKey + Send + Sync), Failure> {
        match (algorithm, self.kind) {
            (Algorithm::RsaSha256, Kind::Rsa) if self.key.p.public_key_bits() < MIN_RSA_BITS => {
                Err(Failure::permanent("key is too short"))
            }
            (Algorithm::RsaSha256, Kind::Rsa) | (Algorithm::Ed25519Sha256, Kind::Ed25519) => Ok(&*self.key.p),
            // RFC 8301 section 3.1.
            (Algorithm::RsaSha1, _) => Err(Failure::permanent("rsa-sha1 is not accepted")),
            (Algorithm::RsaSha256, _) | (Algorithm::Ed25519Sha256, _) => {
                Err(Failure::permanent("key is of another kind"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sender_auth::testing::tags;

    const ED25519: &str = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn keys_are_for_what_they_say() {
        for (tags, wanted) in [
            ("k=ed25519; ", Ok(false)),
            ("v=DKIM1; k=ed25519; ", Ok(false)),
            ("v=DKIM1; k=ed25519; t=y:s; h=sha1:sha256; s=email; ", Ok(true)),
            ("v=DKIM1; k=ed25519; s=*; ", Ok(false)),
            ("v=DKIM1; k=ed25519; s=tlsrpt; ", Err("key is not for mail")),
            ("v=DKIM1; k=ed25519; h=sha1; ", Err("key is not for sha256")),
            ("v=DKIM2; k=ed25519; ", Err("key is malformed")),
            ("k=ed25519; v=DKIM1; ", Err("key is malformed")),
            ("k=dsa; ", Err("key is of an unknown kind")),
            ("nonsense; ", Err("key is malformed")),
            ("k=ed25519; k=ed25519; ", Err("key is malformed")),
        ] {
            let found = Key::parse(format!("{tags}{ED25519}").as_bytes());
            let found = found.as_ref().map(|key| key.exact_identity).map_err(|failure| &*failure.reason);
            assert_eq!(found, wanted, "{tags}");
        }
        let reason = |text: &str| Key::parse(text.as_bytes()).unwrap_err().reason;
        assert_eq!(&*reason("v=DKIM1; p="), "key is revoked");
        assert_eq!(&*reason("v=DKIM1"), "key is malformed");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in tags()) {
            let _ = Key::parse(&text);
        }
    }

    #[test]
    fn long_keys_cost_more() {
        let ed25519 = Key::parse(format!("k=ed25519; {ED25519}").as_bytes()).unwrap();
        assert_eq!(ed25519.cost(), Duration::from_micros(50));
        // 4096 bits, from `openssl genrsa 4096`.
        let long = Key::parse(b"p=MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAuzqphvLdf39LWq+psMeave7Tj06DOeqWs320+MYzrfrdxTZqGzMhH/37Mo/wTfRoCuXuEL4NFVtQZYsIodLbJorIib43BAXUQEZJHV2LLLE8vFoDg/6zTDH8bM0MAFGkt1eLYBgpBUD3hfv6SFyF+wjA1bH0alY5slKmpsvcGIUHv/KhrxW/NCB0PKdCF6WrGqCSTxIG4tMDv0cgrLcgbBiy3LUjubE3k4+udecRkluCA6DsYOWtOc5DBcgodBuZU4rd9o3ftNs5n785jNLvM5rta/n7vHZL8sCdpGVKKBZlmiD06efknhGTFSB9QGj5hnTm2Trm72DuZTI3K5n1CsBTl0/qbl4YNlvEhPCnwGuUC0mnfQVsF5OuvYBPoUx5Gh5hKDNnemFlnVnysFwVD6E20kdrKiQXP91YTYqMmax9J5oqrCgQb08p0FSKbAIGJaYwyGgu0OGX/9wZ09xWLKUL+xWKpygKpvoUffZ+EAPvz6ztw9Ig0hoSOYNvQpoNCnh0HkJbR94ZIlUofcEuSnKUidXymv9k0f168RfoNyp2lzI5gmlGYgety2JQg7wvripzWtLJBnmaVtiucf2tYoWq9cgbyvOhB0Yf56BDyZjzha4SA+LFOfQbx8TRzDUgRTfivSzFrAt/6Ry0SCDtf0xphyM8+KGNwp4FGGyhgqECAwEAAQ==").unwrap();
        assert_eq!(long.cost(), Duration::from_micros(128));
    }
}
