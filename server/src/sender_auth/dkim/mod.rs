//! DKIM signatures of a message (RFC 6376, RFC 8301, RFC 8463).
//!
//! Reading signatures and keys, canonical header fields and the arithmetic are the library's. What a
//! signature has to cover, how many are looked at and what each fault means is decided here: the library
//! does not ask whether From is signed, takes a tag that stands twice, and has no limits.

pub(super) mod body;
pub(super) mod key;
mod signed_fields;

use std::collections::HashMap;
use std::sync::Arc;

use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::{Canonicalization, Signature as Parsed};
use postern_core::message::field::Field;
use postern_core::message::header::Header;
use postern_core::session::check::{CheckResult, Signature, SignatureTags};

use self::body::{BodyHash, BodyHashes};
use self::key::Key;
use super::domains::is_within;
use super::tags::Tags;

pub(super) use self::signed_fields::{Part, part, signed_fields, without_signature};

/// Most signatures that are looked at; the rest of a message's is passed over.
pub(super) const MAX_SIGNATURES: usize = 10;

/// Most names in `h=`; more make work for the verifier and mean nothing.
pub(super) const MAX_SIGNED_NAMES: usize = 256;

/// The keys of a message's signatures, by the name they are published under.
pub(super) type Keys = HashMap<String, Result<Key, Failure>>;

/// Why a signature does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) result: CheckResult,
    pub(super) reason: Arc<str>,
}

impl Failure {
    pub(super) fn new(result: CheckResult, reason: impl Into<Arc<str>>) -> Self {
        Self { result, reason: reason.into() }
    }

    pub(super) fn permanent(reason: &'static str) -> Self {
        Self::new(CheckResult::PermError, reason)
    }

    /// The signature is not written as it has to be (RFC 8601 section 2.7.1).
    fn unreadable(reason: impl Into<Arc<str>>) -> Self {
        Self::new(CheckResult::Neutral, reason)
    }

    pub(super) fn mismatch(reason: &'static str) -> Self {
        Self::new(CheckResult::Fail, reason)
    }
}

/// A signature as the message has it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Its place among the header fields.
    field: usize,
    tags: Option<SignatureTags>,
    /// What there is to verify, or why there is nothing.
    sound: Result<Sound, Failure>,
}

/// A signature that can be verified.
#[derive(Debug)]
struct Sound {
    signature: Parsed,
    body: BodyHash,
}

/// Reads the signatures of a message, from the top, at most [`MAX_SIGNATURES`] of them.
///
/// `strict` takes no signature that leaves a part of the body unsigned (`l=`).
pub(super) fn read(header: &Header, strict: bool, now: u64) -> Vec<Candidate> {
    header
        .fields()
        .enumerate()
        .filter(|(_, field)| field.is(b"DKIM-Signature"))
        .take(MAX_SIGNATURES)
        .map(|(at, field)| Candidate::read(at, &field, strict, now))
        .collect()
}

impl Candidate {
    fn read(at: usize, field: &Field<'_>, strict: bool, now: u64) -> Self {
        let Part { value, .. } = part(field);
        let unreadable =
            |reason: String| Self { field: at, tags: None, sound: Err(Failure::unreadable(reason)) };
        let Some(tags) = Tags::parse(value) else { return unreadable("signature is malformed".into()) };
        let signature = match Parsed::parse(value) {
            Ok(signature) => signature,
            Err(error) => return unreadable(format!("signature is malformed: {error}")),
        };
        let told = SignatureTags {
            domain: signature.d.as_str().into(),
            selector: signature.s.as_str().into(),
            identity: Some(signature.i.as_str()).filter(|identity| !identity.is_empty()).map(Into::into),
            start: start_of(&signature.b),
        };
        let sound = check(&signature, &tags, strict, now).map(|body| Sound { signature, body });
        Self { field: at, tags: Some(told), sound }
    }

    /// The hash of the body that it needs.
    pub(super) fn body_hash(&self) -> Option<BodyHash> {
        self.sound.as_ref().ok().map(|sound| sound.body)
    }

    /// The name of the key that it needs.
    pub(super) fn key_name(&self) -> Option<String> {
        let signature = &self.sound.as_ref().ok()?.signature;
        Some(key::name_of(&signature.s, &signature.d))
    }

    /// What becomes of it.
    pub(super) fn verify(self, header: &Header, hashes: &BodyHashes, keys: &Keys) -> Signature {
        let outcome = self.sound.and_then(|sound| sound.verify(self.field, header, hashes, keys));
        match outcome {
            Ok(()) => Signature { result: CheckResult::Pass, tags: self.tags, reason: None },
            Err(Failure { result, reason }) => Signature { result, tags: self.tags, reason: Some(reason) },
        }
    }
}

/// Everything about a signature that needs neither the body nor the key.
fn check(signature: &Parsed, tags: &Tags, strict: bool, now: u64) -> Result<BodyHash, Failure> {
    if signature.v != 1 {
        return Err(Failure::unreadable("signature has no version"));
    }
    if signature.a == Algorithm::RsaSha1 {
        return Err(Failure::permanent("rsa-sha1 is not accepted"));
    }
    let limit = match tags.get("l").map(str::parse::<u64>) {
        None => None,
        Some(Err(_)) => return Err(Failure::unreadable("l= is no number")),
        Some(Ok(_)) if strict => return Err(Failure::unreadable("l= is not accepted")),
        Some(Ok(octets)) => Some(octets),
    };
    if !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return Err(Failure::permanent("From is not signed"));
    }
    if signature.h.len() > MAX_SIGNED_NAMES {
        return Err(Failure::permanent("h= is too long"));
    }
    if tags.get("q").is_some() && !tags.lists("q", "dns/txt") {
        return Err(Failure::permanent("q= is not dns/txt"));
    }
    let identity = signature.i.rsplit_once('@').map(|(_, domain)| domain);
    if !signature.i.is_empty() && !identity.is_some_and(|domain| is_within(domain, &signature.d)) {
        return Err(Failure::permanent("i= is not within d="));
    }
    if tags.get("x").is_some() && (signature.x <= signature.t || signature.x <= now) {
        return Err(Failure::mismatch("signature has expired"));
    }
    Ok(BodyHash { canonicalization: signature.cb, limit })
}

impl Sound {
    fn verify(&self, field: usize, header: &Header, hashes: &BodyHashes, keys: &Keys) -> Result<(), Failure> {
        let signature = &self.signature;
        let hash = hashes.iter().find(|(wanted, _)| *wanted == self.body).and_then(|(_, hash)| *hash);
        if hash.is_none_or(|hash| signature.bh != hash) {
            return Err(Failure::mismatch("body has changed"));
        }
        let key = key_of(keys, &signature.s, &signature.d)?;
        let identity = signature.i.rsplit_once('@').map(|(_, domain)| domain);
        if key.exact_identity && identity.is_some_and(|domain| !domain.eq_ignore_ascii_case(&signature.d)) {
            return Err(Failure::permanent("i= is not d="));
        }
        let Some(field) = header.field(field) else { return Err(Failure::mismatch("signature is gone")) };
        verify_fields(
            header,
            &field,
            &Claim { names: &signature.h, octets: &signature.b, form: signature.ch, algorithm: signature.a },
            key,
        )
    }
}

/// What a signature over header fields claims.
pub(super) struct Claim<'a> {
    /// `h=`
    pub(super) names: &'a [String],
    /// `b=`
    pub(super) octets: &'a [u8],
    /// The form of the fields.
    pub(super) form: Canonicalization,
    /// `a=`
    pub(super) algorithm: Algorithm,
}

/// Verifies a signature over fields of the header and its own field.
pub(super) fn verify_fields(
    header: &Header,
    own: &Field<'_>,
    claim: &Claim<'_>,
    key: &Key,
) -> Result<(), Failure> {
    let own = part(own);
    let unsigned = without_signature(own.value);
    let fields = signed_fields(header, claim.names);
    let mut parts =
        fields.iter().map(|field| (field.name, field.value)).chain([(own.name, unsigned.as_slice())]);
    key.usable_for(claim.algorithm)?
        .verify(&mut parts, claim.octets, claim.form, claim.algorithm)
        .map_err(|_| Failure::mismatch("signature does not verify"))
}

/// A key that was fetched.
pub(super) fn key_of<'a>(keys: &'a Keys, selector: &str, domain: &str) -> Result<&'a Key, Failure> {
    match keys.get(&key::name_of(selector, domain)) {
        Some(Ok(key)) => Ok(key),
        Some(Err(failure)) => Err(failure.clone()),
        None => Err(Failure::new(CheckResult::TempError, "key was not looked up")),
    }
}

/// The first eight characters of `b=`.
fn start_of(signature: &[u8]) -> Arc<str> {
    use base64::Engine as _;
    let octets = signature.get(..6).unwrap_or(signature);
    base64::engine::general_purpose::STANDARD.encode(octets).into()
}

#[cfg(test)]
mod tests;
