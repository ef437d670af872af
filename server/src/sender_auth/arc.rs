//! The chain of earlier hops' results (RFC 8617).

use mail_auth::arc::{ChainValidation, Results, Seal, Signature as MessageSignature};
use mail_auth::dkim::Canonicalization;
use postern_core::message::header::Header;
use postern_core::session::check::CheckResult;

use super::dkim::body::{BodyHash, BodyHashes};
use super::dkim::{
    Claim, Failure, Keys, MAX_SIGNED_NAMES, Part, key, key_of, part, verify_fields, without_signature,
};
use super::tags::Tags;

/// Longest chain (RFC 8617 section 4.2.1).
const MAX_SETS: usize = 50;

/// A chain whose form is right, or why it is not.
#[derive(Debug)]
pub(super) enum Chain {
    /// There is none.
    Absent,
    /// It cannot pass, whatever the signatures say.
    Broken,
    /// Sets in the order of their instances; never empty.
    Whole(Vec<Set>),
}

/// What one hop has added; the numbers are places among the header fields.
#[derive(Debug)]
pub(super) struct Set {
    results: usize,
    signature: (usize, MessageSignature),
    seal: (usize, Seal),
}

/// Reads the chain of a message (RFC 8617 section 5.2, steps 1 to 3).
pub(super) fn read(header: &Header, now: u64) -> Chain {
    let (mut results, mut signatures, mut seals) = (Vec::new(), Vec::new(), Vec::new());
    for (at, field) in header.fields().enumerate() {
        let value = part(&field).value;
        // The list of results is no list of tags throughout, but begins like one.
        let sound = match () {
            () if field.is(b"ARC-Authentication-Results") => {
                Results::parse(value).map(|parsed| results.push((parsed.i, at))).is_ok()
            }
            () if field.is(b"ARC-Message-Signature") => {
                Tags::parse(value).is_some_and(|tags| tags.get("l").is_none())
                    && MessageSignature::parse(value)
                        .map(|parsed| signatures.push((parsed.i, (at, parsed))))
                        .is_ok()
            }
            () if field.is(b"ARC-Seal") => {
                Tags::parse(value).is_some()
                    && Seal::parse(value).map(|parsed| seals.push((parsed.i, (at, parsed)))).is_ok()
            }
            () => continue,
        };
        if !sound || seals.len().max(signatures.len()).max(results.len()) > MAX_SETS {
            return Chain::Broken;
        }
    }
    if results.is_empty() && signatures.is_empty() && seals.is_empty() {
        return Chain::Absent;
    }
    results.sort_by_key(|(instance, _)| *instance);
    signatures.sort_by_key(|(instance, _)| *instance);
    seals.sort_by_key(|(instance, _)| *instance);
    assemble(results, signatures, seals)
        .filter(|sets| is_sound(sets, now))
        .map_or(Chain::Broken, Chain::Whole)
}

/// One of each for every instance from 1 on.
fn assemble(
    results: Vec<(u32, usize)>,
    signatures: Vec<(u32, (usize, MessageSignature))>,
    seals: Vec<(u32, (usize, Seal))>,
) -> Option<Vec<Set>> {
    if results.len() != seals.len() || signatures.len() != seals.len() {
        return None;
    }
    results
        .into_iter()
        .zip(signatures)
        .zip(seals)
        .zip(1..)
        .map(|(((results, signature), seal), instance)| {
            let all = [results.0, signature.0, seal.0] == [instance; 3];
            all.then_some(Set { results: results.1, signature: signature.1, seal: seal.1 })
        })
        .collect()
}

/// Whether every hop found the chain good, and the last signature is one that can be verified.
fn is_sound(sets: &[Set], now: u64) -> bool {
    let validated = sets.iter().enumerate().all(|(at, set)| {
        set.seal.1.cv == if at == 0 { ChainValidation::None } else { ChainValidation::Pass }
    });
    let verifiable = sets.last().is_some_and(|set| {
        let signature = &set.signature.1;
        signature.h.len() <= MAX_SIGNED_NAMES
            // RFC 8617 section 4.1.2.
            && !signature.h.iter().any(|name| name.eq_ignore_ascii_case("arc-seal"))
            && (signature.x == 0 || (signature.x > signature.t && signature.x > now))
    });
    validated && verifiable
}

impl Chain {
    /// The hash of the body that it needs.
    pub(super) fn body_hash(&self) -> Option<BodyHash> {
        match self {
            Self::Whole(sets) => sets.last().map(Set::body_hash),
            Self::Absent | Self::Broken => None,
        }
    }

    /// The names of the keys that it needs, one for each signature in it.
    pub(super) fn key_names(&self) -> Vec<String> {
        let Self::Whole(sets) = self else { return Vec::new() };
        let of_seals = sets.iter().map(|set| key::name_of(&set.seal.1.s, &set.seal.1.d));
        let last = sets.last().map(|set| key::name_of(&set.signature.1.s, &set.signature.1.d));
        of_seals.chain(last).collect()
    }

    /// What becomes of it (RFC 8617 section 5.2, steps 4 to 7).
    pub(super) fn verify(&self, header: &Header, hashes: &BodyHashes, keys: &Keys) -> CheckResult {
        let sets = match self {
            Self::Absent => return CheckResult::None,
            Self::Broken => return CheckResult::Fail,
            Self::Whole(sets) => sets,
        };
        match verify(sets, header, hashes, keys) {
            Ok(()) => CheckResult::Pass,
            Err(Failure { result: CheckResult::TempError, .. }) => CheckResult::TempError,
            Err(_) => CheckResult::Fail,
        }
    }
}

impl Set {
    fn body_hash(&self) -> BodyHash {
        BodyHash { canonicalization: self.signature.1.cb, limit: None }
    }
}

fn verify(sets: &[Set], header: &Header, hashes: &BodyHashes, keys: &Keys) -> Result<(), Failure> {
    let broken = || Failure::mismatch("chain is broken");
    let last = sets.last().ok_or_else(broken)?;
    let (at, signature) = &last.signature;
    let hash = hashes.iter().find(|(wanted, _)| *wanted == last.body_hash()).and_then(|(_, hash)| *hash);
    if hash.is_none_or(|hash| signature.bh != hash) {
        return Err(Failure::mismatch("body has changed"));
    }
    let claim =
        Claim { names: &signature.h, octets: &signature.b, form: signature.ch, algorithm: signature.a };
    let own = header.field(*at).ok_or_else(broken)?;
    verify_fields(header, &own, &claim, key_of(keys, &signature.s, &signature.d)?)?;
    for sealed in (1..=sets.len()).rev() {
        verify_seal(sets.get(..sealed).unwrap_or_default(), header, keys)?;
    }
    Ok(())
}

/// Verifies the last seal of some sets, which covers all of them (RFC 8617 section 5.1.1).
fn verify_seal(sets: &[Set], header: &Header, keys: &Keys) -> Result<(), Failure> {
    let broken = || Failure::mismatch("chain is broken");
    let (at, seal) = &sets.last().ok_or_else(broken)?.seal;
    let own = part(&header.field(*at).ok_or_else(broken)?);
    let unsigned = without_signature(own.value);
    let places = sets.iter().flat_map(|set| [set.results, set.signature.0, set.seal.0]);
    let covered: Vec<Part<'_>> =
        places.filter(|place| place != at).filter_map(|place| Some(part(&header.field(place)?))).collect();
    let mut parts =
        covered.iter().map(|part| (part.name, part.value)).chain([(own.name, unsigned.as_slice())]);
    key_of(keys, &seal.s, &seal.d)?
        .usable_for(seal.a)?
        .verify(&mut parts, &seal.b, Canonicalization::Relaxed, seal.a)
        .map_err(|_| Failure::mismatch("seal does not verify"))
}
