//! Tokens that are good, and all the ways not to be. A real provider is asked by the black-box tests.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_core::policy::route::ClientTls;
use serde_json::{Map, Value, json};

use super::jwt::Key;
use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.org";

fn packed(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A token with that header, signed by `sign`.
fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", packed(header.to_string()), packed(claims.to_string()));
    let signature = packed(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "mail", "exp": NOW + 600, "email": "ann@example.org"})
}

struct Signer {
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        Self {
            ed25519: Ed25519KeyPair::generate().unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// The published halves; `fields` go into each.
    fn set(&self, fields: &Value) -> Vec<Key> {
        let point = self.p256.public_key().as_ref();
        let rsa = self.rsa.public_key();
        let mut keys = [
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": packed(self.ed25519.public_key())}),
            json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": packed(&point[1..33]), "y": packed(&point[33..])}),
            json!({
                "kty": "RSA",
                "kid": "rsa",
                "n": packed(rsa.modulus().big_endian_without_leading_zero()),
                "e": packed(rsa.exponent().big_endian_without_leading_zero()),
            }),
        ];
        for key in &mut keys {
            key.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        Key::set(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn ed25519(&self, message: &[u8]) -> Vec<u8> {
        self.ed25519.sign(message).as_ref().to_vec()
    }

    fn p256(&self, message: &[u8]) -> Vec<u8> {
        self.p256.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn rsa(&self, message: &[u8], pss: bool) -> Vec<u8> {
        let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
            if pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

fn is_good(token: &str, keys: &[Key]) -> bool {
    Jwt::parse(token).unwrap().verified_by(keys).is_some()
}

#[test]
fn every_algorithm_verifies_with_its_key_and_no_other() {
    let signer = Signer::new();
    let keys = signer.set(&json!({}));
    let stranger = Signer::new().set(&json!({}));
    let made = [
        token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(), |message| signer.ed25519(message)),
        token(&json!({"alg": "ES256", "kid": "ec"}), &claims(), |message| signer.p256(message)),
        token(&json!({"alg": "RS256", "kid": "rsa"}), &claims(), |message| signer.rsa(message, false)),
        token(&json!({"alg": "PS256", "kid": "rsa"}), &claims(), |message| signer.rsa(message, true)),
        token(&json!({"alg": "ES256", "typ": "at+JWT"}), &claims(), |message| signer.p256(message)),
    ];
    for token in &made {
        assert!(is_good(token, &keys), "{token}");
        assert!(!is_good(token, &stranger), "{token}");
        assert!(!is_good(token, &[]), "{token}");
        // One octet of the claims is another.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let header = signed.split_once('.').unwrap().0;
        let other = claims().to_string().replace("ann@", "bob@");
        assert!(!is_good(&format!("{header}.{}.{signature}", packed(other)), &keys), "{token}");
    }
}

#[test]
fn keys_of_other_kinds_do_not_keep_the_right_one_from_being_tried() {
    let signer = Signer::new();
    let point = signer.p256.public_key().as_ref();
    let ec = json!({"kty": "EC", "crv": "P-256", "x": packed(&point[1..33]), "y": packed(&point[33..])});
    let mut keys = vec![ec; 20];
    keys.push(json!({"kty": "OKP", "crv": "Ed25519", "x": packed(signer.ed25519.public_key())}));
    let keys = Key::set(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    let token = token(&json!({"alg": "EdDSA"}), &claims(), |message| signer.ed25519(message));
    assert!(is_good(&token, &keys));
}

#[test]
fn a_key_for_one_algorithm_is_good_for_no_other() {
    let signer = Signer::new();
    let keys = signer.set(&json!({"alg": "PS256"}));
    let token = token(&json!({"alg": "RS256"}), &claims(), |message| signer.rsa(message, false));
    assert!(!is_good(&token, &keys));
    assert!(signer.set(&json!({"use": "enc"})).is_empty());
    assert!(signer.set(&json!({"alg": "RSA-OAEP"})).is_empty());
}

#[test]
fn no_signature_and_shared_secrets_are_refused() {
    let signer = Signer::new();
    let keys = signer.set(&json!({}));
    let modulus = signer.rsa.public_key().modulus().big_endian_without_leading_zero().as_ref().to_vec();
    let secrets =
        [modulus, signer.rsa.public_key().as_ref().to_vec(), signer.ed25519.public_key().as_ref().to_vec()];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        for kid in [json!(null), json!("rsa"), json!("ed")] {
            let header = json!({"alg": "HS256", "kid": kid});
            let token = token(&header, &claims(), |message| hmac::sign(&key, message).as_ref().to_vec());
            assert!(!is_good(&token, &keys));
        }
    }
    for alg in ["none", "None", "NONE", "", "RS1", "ES256K"] {
        let header = json!({ "alg": alg });
        assert!(!is_good(&token(&header, &claims(), |_| Vec::new()), &keys), "{alg}");
        assert!(!is_good(&token(&header, &claims(), |message| signer.rsa(message, false)), &keys), "{alg}");
    }
    let oct = json!({"keys": [{"kty": "oct", "k": packed("secret")}]});
    assert_eq!(Key::set(oct.to_string().as_bytes()), Some(Vec::new()));
}

#[test]
fn headers_that_are_not_understood_are_refused() {
    let signer = Signer::new();
    let keys = signer.set(&json!({}));
    for header in [
        json!({"alg": "EdDSA", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "typ": "logout+jwt"}),
        json!({"alg": "EdDSA", "kid": "other"}),
    ] {
        assert!(!is_good(&token(&header, &claims(), |message| signer.ed25519(message)), &keys), "{header}");
    }
}

#[test]
fn what_is_no_jwt_is_opaque() {
    let huge = "a".repeat(1 << 20);
    for token in ["", "a", "a.b.c", "..", "e30.e30", "e30.e30.", "!.!.!", "eyJhbGciOiJub25lIn0.W10.", &huge] {
        assert!(Jwt::parse(token).is_none(), "{}", &token[..token.len().min(40)]);
    }
}

fn oidc(scopes: &[&str], required: &[(&str, &str)]) -> Oidc {
    Oidc {
        issuer: ISSUER.into(),
        audience: "mail".into(),
        username_claim: "email".into(),
        required_claims: required.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        required_scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        introspection: None,
        timeout: Duration::from_secs(5),
        tls: ClientTls::default(),
    }
}

/// The claims with these in place of their own; null takes one away.
fn with(changes: Value) -> Map<String, Value> {
    let mut all = claims().as_object().unwrap().clone();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    all
}

fn judged(changes: Value, source: Source, oidc: &Oidc) -> Token {
    claims::judge(&with(changes), source, oidc, None, NOW)
}

fn ann() -> Token {
    let address = postern_core::smtp::address::Address::parse("ann@example.org").unwrap();
    Token::Account(Account { address, aliases: Vec::new(), passwords: Vec::new() })
}

#[test]
fn a_token_is_for_us_from_them_and_now() {
    let oidc = oidc(&[], &[]);
    for (changes, wanted) in [
        (json!({}), ann()),
        (json!({"aud": ["other", "mail"]}), ann()),
        (json!({"exp": NOW - 29}), ann()),
        (json!({"exp": NOW as f64 + 0.5}), ann()),
        (json!({"nbf": NOW + 30}), ann()),
        (json!({"email_verified": true}), ann()),
        (json!({"exp": NOW - 30}), Token::Expired),
        (json!({"exp": null}), Token::Wrong),
        (json!({"exp": "tomorrow"}), Token::Wrong),
        (json!({"nbf": NOW + 31}), Token::Wrong),
        (json!({"iss": "https://other.example.org"}), Token::Wrong),
        (json!({"iss": null}), Token::Wrong),
        (json!({"aud": "other"}), Token::Wrong),
        (json!({"aud": []}), Token::Wrong),
        (json!({"aud": null, "client_id": "mail"}), Token::Wrong),
        (json!({"aud": "other", "exp": NOW - 99}), Token::Wrong),
        (json!({"email_verified": false}), Token::Wrong),
        (json!({"email_verified": "false"}), Token::Wrong),
        (json!({"typ": "Refresh"}), Token::Wrong),
        (json!({"token_use": "refresh_token"}), Token::Wrong),
        (json!({"email": null}), Token::Forbidden),
        (json!({"email": "ann"}), Token::Forbidden),
        (json!({"email": 7}), Token::Forbidden),
    ] {
        assert_eq!(judged(changes.clone(), Source::Signed, &oidc), wanted, "{changes}");
    }
}

#[test]
fn scopes_and_claims_that_are_required_must_be_there() {
    let oidc = oidc(&["mail", "openid"], &[("groups", "staff"), ("active", "true")]);
    let good = json!({"scope": "openid mail x", "groups": ["staff", "x"], "active": true});
    assert_eq!(judged(good.clone(), Source::Signed, &oidc), ann());
    for (name, value) in [
        ("scope", json!("openid")),
        ("scope", json!("openid mailx")),
        ("scope", json!(null)),
        ("groups", json!("staffx")),
        ("groups", json!([])),
        ("active", json!(false)),
    ] {
        let mut changes = good.clone();
        changes[name] = value;
        assert_eq!(judged(changes.clone(), Source::Signed, &oidc), Token::Wrong, "{changes}");
    }
    let other = json!({"scp": ["openid", "mail"], "groups": "staff", "active": "true"});
    assert_eq!(judged(other, Source::Signed, &oidc), ann());
}

#[test]
fn the_answer_about_a_token_may_say_less() {
    let oidc = oidc(&[], &[]);
    for (changes, wanted) in [
        (json!({"iss": null, "exp": null}), ann()),
        (json!({"aud": null, "client_id": "mail"}), ann()),
        (json!({"aud": null}), Token::Wrong),
        (json!({"aud": "other", "client_id": "mail"}), Token::Wrong),
        (json!({"iss": "https://other.example.org"}), Token::Wrong),
        (json!({"exp": NOW - 60}), Token::Expired),
        (json!({"token_use": "refresh_token"}), Token::Wrong),
    ] {
        assert_eq!(judged(changes.clone(), Source::Introspection, &oidc), wanted, "{changes}");
    }
}

#[test]
fn who_the_client_says_to_be_is_whom_the_token_means() {
    let oidc = oidc(&[], &[]);
    for (user, wanted) in [
        ("ann@example.org", ann()),
        ("ANN@Example.org", ann()),
        ("bob@example.org", Token::Wrong),
        ("ann", Token::Wrong),
    ] {
        let token = claims::judge(&with(json!({})), Source::Signed, &oidc, Some(user), NOW);
        assert_eq!(token, wanted, "{user}");
    }
}
