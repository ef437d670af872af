//! `userPassword` (RFC 4519 section 2.41) in the forms of RFC 2307 section 5.3 and of OpenLDAP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_core::ldap::Entry;
use postern_core::policy::secret::Secret;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use crate::auth::{HashPool, StoredPassword};
use crate::directory::DirectoryError;

/// Where passwords stand.
pub(super) const ATTRIBUTE: &str = "userPassword";

/// The passwords of an entry, any of which is right.
pub(super) struct UserPassword(Vec<Secret>);

impl UserPassword {
    pub(super) fn of(entry: &Entry) -> Self {
        let texts = entry.values(ATTRIBUTE).filter_map(|value| std::str::from_utf8(value).ok());
        Self(texts.map(Secret::new).collect())
    }

    /// Compares on the pool for passwords.
    pub(super) async fn matches(self, password: &Secret, hashes: &HashPool) -> Result<bool, DirectoryError> {
        let password = password.clone();
        let check = move || self.0.iter().any(|stored| is_password(stored.expose(), password.expose()));
        hashes.run(check).await.ok_or(DirectoryError::NoTurn)
    }
}

/// A scheme that is not known matches nothing: taken for plain text it would let in whoever has read the hash.
fn is_password(stored: &str, password: &str) -> bool {
    let Some((scheme, rest)) = stored.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return StoredPassword::parse(stored).is_ok_and(|stored| stored.matches(password));
    };
    match scheme.to_ascii_uppercase().as_str() {
        "SSHA" | "SHA" => salted::<Sha1>(rest, password),
        "SSHA256" | "SHA256" => salted::<Sha256>(rest, password),
        "SSHA512" | "SHA512" => salted::<Sha512>(rest, password),
        "CRYPT" | "ARGON2" | "BCRYPT" => match StoredPassword::parse(rest) {
            // A hash of a kind that is not known looks like plain text here.
            Ok(StoredPassword::Plain(_)) | Err(_) => false,
            Ok(stored) => stored.matches(password),
        },
        _ => false,
    }
}

/// The digest of password and salt, and behind it the salt, which may be empty.
fn salted<D: Digest>(packed: &str, password: &str) -> bool {
    let Ok(octets) = STANDARD.decode(packed.trim()) else { return false };
    let Some((digest, salt)) = octets.split_at_checked(<D as Digest>::output_size()) else { return false };
    let ours = D::new().chain_update(password).chain_update(salt).finalize();
    ours.as_slice().ct_eq(digest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed<D: Digest>(scheme: &str, password: &str, salt: &[u8]) -> String {
        let digest = D::new().chain_update(password).chain_update(salt).finalize();
        format!("{{{scheme}}}{}", STANDARD.encode([digest.as_slice(), salt].concat()))
    }

    #[test]
    fn the_forms_of_openldap_match_their_password_and_no_other() {
        let bcrypt = bcrypt::hash("secret", 4).unwrap();
        for stored in [
            "secret".to_owned(),
            packed::<Sha1>("SSHA", "secret", b"salt"),
            packed::<Sha1>("ssha", "secret", b"12345678"),
            packed::<Sha1>("SHA", "secret", b""),
            packed::<Sha256>("SSHA256", "secret", b"salt"),
            packed::<Sha512>("SSHA512", "secret", b"salt"),
            format!("{{CRYPT}}{bcrypt}"),
        ] {
            assert!(is_password(&stored, "secret"), "{stored}");
            assert!(!is_password(&stored, "Secret"), "{stored}");
            assert!(!is_password(&stored, ""), "{stored}");
            assert!(stored == "secret" || !is_password(&stored, &stored), "{stored}");
        }
    }

    #[test]
    fn what_slappasswd_makes_is_right() {
        // slappasswd -h {SSHA} -s secret
        assert!(is_password("{SSHA}ThBNqV7Cj+pWedD9VkXlmYHGt6KGZsAE", "secret"));
    }

    #[test]
    fn damaged_and_unknown_forms_match_nothing() {
        for stored in
            ["{SSHA}", "{SSHA}!!!", "{SSHA}YQ==", "{MD5}abc", "{CRYPT}secret", "{ARGON2}secret", "{}"]
        {
            for password in ["", "secret", "abc", stored] {
                assert!(!is_password(stored, password), "{stored} {password}");
            }
        }
    }
}
