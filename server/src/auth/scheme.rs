//! The forms in which a policy may hold a password.

use argon2::{Argon2, PasswordHash as Phc, PasswordVerifier as _};
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A password as the policy holds it.
#[derive(Debug)]
pub enum StoredPassword<'a> {
    /// The password itself.
    Plain(&'a str),
    /// `$argon2id$…` and its kin (RFC 9106, PHC string format).
    Argon2(Box<Phc<'a>>),
    /// `$2a$`, `$2b$` or `$2y$`
    Bcrypt {
        /// Logarithm of the rounds.
        cost: u32,
        /// The whole hash.
        text: &'a str,
    },
    /// `$5$` (SHA-256) or `$6$` (SHA-512) of crypt(3)
    ShaCrypt {
        /// Rounds, 5000 when not given.
        rounds: u32,
        /// The whole hash.
        text: &'a str,
    },
}

/// Why a stored password can never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoredPasswordError {
    /// It is a hash of a kind that is not supported.
    ///
    /// Taking it for plain text would let in whoever has read the hash.
    #[error("this kind of password hash is not supported")]
    Unsupported,
    /// The kind is known, the hash is damaged.
    #[error("the password hash is malformed")]
    Malformed,
}

impl<'a> StoredPassword<'a> {
    /// Recognises the form: a hash by its prefix, anything else is plain text.
    ///
    /// # Errors
    /// When it looks like a hash and cannot be used.
    pub fn parse(text: &'a str) -> Result<Self, StoredPasswordError> {
        if text.starts_with("$argon2") {
            return Phc::new(text)
                .ok()
                .filter(|hash| hash.hash.is_some() && argon2::Params::try_from(hash).is_ok())
                .map(|hash| Self::Argon2(Box::new(hash)))
                .ok_or(StoredPasswordError::Malformed);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| StoredPasswordError::Malformed)?;
            let cost = parts.get_cost();
            return if (4..=31).contains(&cost) {
                Ok(Self::Bcrypt { cost, text })
            } else {
                Err(StoredPasswordError::Malformed)
            };
        }
        if text.starts_with("$5$") || text.starts_with("$6$") {
            let rounds = sha_crypt_rounds(text).ok_or(StoredPasswordError::Malformed)?;
            return Ok(Self::ShaCrypt { rounds, text });
        }
        if looks_like_a_hash(text) { Err(StoredPasswordError::Unsupported) } else { Ok(Self::Plain(text)) }
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn matches(&self, password: &str) -> bool {
        match self {
            // Digests have one length, so the comparison does not tell how long the password is.
            Self::Plain(plain) => Sha256::digest(plain).ct_eq(&Sha256::digest(password)).into(),
            Self::Argon2(hash) => Argon2::default().verify_password(password.as_bytes(), hash).is_ok(),
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::ShaCrypt { text, .. } => {
                ShaCrypt::default().verify_password(password.as_bytes(), *text).is_ok()
            }
        }
    }

    /// What one check costs, in nanoseconds of a common machine; only good for comparing.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Argon2(hash) => argon2::Params::try_from(&**hash)
                .map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()) * 1_000),
            Self::Bcrypt { cost, .. } => (1_u64 << cost) * 50_000,
            Self::ShaCrypt { rounds, .. } => u64::from(*rounds) * 500,
        }
    }
}

/// The rounds of `$6$[rounds=N$]salt$hash`, if that is what it is.
fn sha_crypt_rounds(text: &str) -> Option<u32> {
    let digest_chars = if text.starts_with("$5$") { 43 } else { 86 };
    let mut fields = text.get(3..)?.split('$').peekable();
    let rounds = match fields.peek()?.strip_prefix("rounds=") {
        Some(rounds) => {
            fields.next();
            rounds.parse().ok().filter(|rounds| (1_000..=999_999_999).contains(rounds))?
        }
        None => sha_crypt::Params::RECOMMENDED_ROUNDS,
    };
    let (_salt, digest) = (fields.next()?, fields.next()?);
    (digest.len() == digest_chars && fields.next().is_none()).then_some(rounds)
}

/// `$id$…` of crypt(3) or `{SCHEME}…` of LDAP (RFC 2307 section 5.3).
fn looks_like_a_hash(text: &str) -> bool {
    let enclosed = |open: char, close: char| {
        text.strip_prefix(open).and_then(|rest| rest.split_once(close)).is_some_and(|(id, _)| {
            !id.is_empty()
                && id.len() <= 24
                && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        })
    };
    enclosed('$', '$') || enclosed('{', '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA512: &str = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    const SHA512_ROUNDS: &str = "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.";
    const SHA256: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    const BCRYPT: &str = "$2b$04$";

    fn matches(stored: &str, password: &str) -> bool {
        StoredPassword::parse(stored).unwrap().matches(password)
    }

    #[test]
    fn published_sha_crypt_hashes_match_their_passwords() {
        assert!(matches(SHA512, "Hello world!"));
        assert!(matches(SHA512_ROUNDS, "Hello world!"));
        assert!(matches(SHA256, "Hello world!"));
        assert!(!matches(SHA512, "Hello world"));
    }

    #[test]
    fn bcrypt_hashes_of_every_prefix_match_their_password() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        for prefix in ["$2a$04$", "$2b$04$", "$2y$04$"] {
            let hash = hash.replacen(BCRYPT, prefix, 1);
            assert!(matches(&hash, "secret"));
            assert!(!matches(&hash, "Secret"));
        }
    }

    #[test]
    fn argon2_hashes_match_with_the_parameters_they_name() {
        use argon2::password_hash::{PasswordHasher as _, SaltString};
        let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
        for algorithm in [argon2::Algorithm::Argon2id, argon2::Algorithm::Argon2i] {
            let params = argon2::Params::new(64, 1, 1, None).unwrap();
            let hasher = Argon2::new(algorithm, argon2::Version::V0x13, params);
            let hash = hasher.hash_password(b"secret", &salt).unwrap().to_string();
            assert!(matches(&hash, "secret"));
            assert!(!matches(&hash, "wrong"));
        }
    }

    #[test]
    fn anything_else_is_the_password_itself() {
        for plain in ["secret", "", "$ecret", "{brace", "pa$$word", "$$"] {
            assert!(matches(plain, plain));
            assert!(!matches(plain, "other"));
        }
    }

    #[test]
    fn a_hash_of_an_unknown_kind_is_never_the_password_itself() {
        for hash in ["$1$salt$qJH7.N4xYta3aEG/dfqo/0", "$y$j9T$abc$def", "{SSHA}bm90aGluZw==", "$2x$04$abc"] {
            assert_eq!(StoredPassword::parse(hash).unwrap_err(), StoredPasswordError::Unsupported, "{hash}");
        }
    }

    #[test]
    fn a_damaged_hash_is_an_error() {
        for hash in
            ["$argon2id$v=19$m=64", "$2b$04$short", "$6$salt$short", "$6$", "$6$rounds=1$a$b", "$2b$99$"]
        {
            assert_eq!(StoredPassword::parse(hash).unwrap_err(), StoredPasswordError::Malformed, "{hash}");
        }
    }

    #[test]
    fn costs_grow_with_the_parameters() {
        let cost = |text: &str| StoredPassword::parse(text).unwrap().cost();
        assert!(cost("plain") < cost(SHA512));
        assert!(cost(SHA512) < cost(SHA512_ROUNDS));
        let bcrypt = bcrypt::hash("x", 4).unwrap();
        assert!(cost(&bcrypt) < cost(&bcrypt.replacen("$04$", "$12$", 1)));
    }
}
