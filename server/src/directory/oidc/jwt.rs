//! JSON Web Tokens in their compact form (RFC 7515 section 7.1), signed with keys of two halves and with nothing else.

use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token whose signature is not verified yet.
#[derive(Debug)]
pub(in crate::directory) struct Jwt<'a> {
    header: Header,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A way to sign with the private half of a key. Neither `none` nor the HMACs are among them: a public key that is
/// taken for a shared secret would let everybody sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// A public key of a provider (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart; none when it is no JWT but an opaque one.
    pub(in crate::directory) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&json(header)?).ok()?;
        let claims = serde_json::from_slice(&json(claims)?).ok()?;
        Some(Self { header, signed, signature: json(signature)?, claims })
    }

    /// Whether a key that is not among these may have signed it.
    pub(super) fn lacks_key(&self, keys: &[Key]) -> bool {
        match self.header.kid {
            Some(_) => keys.iter().all(|key| key.id != self.header.kid),
            None => self.verified_by(keys).is_none(),
        }
    }

    /// Who it says has made it; not to be believed.
    pub(super) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Its claims, if one of the keys has signed it.
    pub(super) fn verified_by(&self, keys: &[Key]) -> Option<&Map<String, Value>> {
        let algorithm = Algorithm::parse(&self.header.alg)?;
        // RFC 7515 section 4.1.11: what is critical and not understood makes a token invalid.
        if self.header.crit.is_some() || !self.is_for_access() {
            return None;
        }
        let mut candidates = keys
            .iter()
            .filter(|key| self.header.kid.is_none() || key.id == self.header.kid)
            .filter(|key| key.is_for(algorithm))
            .take(MOST_TRIED);
        let is_good =
            candidates.any(|key| key.has_signed(algorithm, self.signed.as_bytes(), &self.signature));
        is_good.then_some(&self.claims)
    }

    /// Not, for instance, a notice that a session has ended (`logout+jwt`).
    fn is_for_access(&self) -> bool {
        let Some(kind) = &self.header.typ else { return true };
        let kind = kind.to_ascii_lowercase();
        matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
    }
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    const fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

impl Key {
    /// The keys of a set that can verify signatures; others are none of our business.
    pub(super) fn set(document: &[u8]) -> Option<Vec<Self>> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(document).ok()?;
        let keys = set.keys.into_iter().filter_map(|key| Self::of(serde_json::from_value(key).ok()?));
        Some(keys.take(MOST_KEYS).collect())
    }

    fn of(jwk: Jwk) -> Option<Self> {
        if jwk.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let algorithm = match &jwk.alg {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let octets = |field: &Option<String>| URL_SAFE_NO_PAD.decode(field.as_deref()?).ok();
        let point = |size: usize| {
            let (x, y) = (octets(&jwk.x)?, octets(&jwk.y)?);
            // An uncompressed point (SEC 1 section 2.3.3).
            (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: octets(&jwk.n)?, e: octets(&jwk.e)? },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(octets(&jwk.x)?),
            // `oct` is a shared secret, which a provider never publishes.
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm, material })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm)
            && match self.material {
                Material::Rsa { .. } => algorithm.rsa().is_some(),
                Material::P256(_) => algorithm == Algorithm::Es256,
                Material::P384(_) => algorithm == Algorithm::Es384,
                Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            }
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let curve = |algorithm: &'static dyn signature::VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
        };
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, algorithm) => algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            (Material::P256(point), Algorithm::Es256) => curve(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), Algorithm::Es384) => curve(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Material::Ed25519(point), Algorithm::EdDsa) => curve(&signature::ED25519, point),
            _ => false,
        }
    }
}

/// Keys that are kept of one set.
const MOST_KEYS: usize = 64;
/// Keys of the right kind that are tried on a token that names none.
const MOST_TRIED: usize = 8;
