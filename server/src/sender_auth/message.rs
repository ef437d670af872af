//! The checks of a whole message: what they need is fetched once, side by side, and shared.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use postern_core::message::header::Header;
use postern_core::session::check::{CheckResult, Dmarc, DmarcPolicy, MessageResults, Signature};
use postern_core::session::question::MessageChecks;
use tokio::time::timeout;

use super::arc::{self, Chain};
use super::dkim::body::{self, BodyHash, BodyHashes};
use super::dkim::key::{self, Key};
use super::dkim::{self, Candidate, Keys};
use super::dmarc::{self, SpfIdentity};
use super::spans::Spans;
use super::{PATIENCE, author};
use crate::dns::Resolver;
use crate::message::Message;

/// Keys that are looked up at the same time for one message.
const KEYS_AT_A_TIME: usize = 16;

/// Header sections up to this size are worked on where they are.
const INLINE_OCTETS: u64 = 64 * 1024;

/// Arithmetic that takes no longer than this is done where it is asked for: up to ten signatures with RSA keys
/// of 2048 bits.
const INLINE_TIME: Duration = Duration::from_micros(500);

/// A message that is to be checked.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The message as received.
    pub message: Message,
    /// Its header section.
    pub header: Arc<Header>,
    /// Seconds since the epoch, by which signatures expire.
    pub now: u64,
    /// Take no signature that leaves a part of the body unsigned.
    pub dkim_strict: bool,
    /// The domain that SPF was checked for, and its result, if it was.
    pub spf: Option<(String, CheckResult)>,
}

/// Runs the checks that are wanted, and no others. One that cannot be done is a temporary error.
pub async fn check(resolver: &Resolver, subject: Subject, wanted: MessageChecks) -> MessageResults {
    let author = if wanted.dmarc { author::domain(&subject.header) } else { None };
    // Without a single author there is no policy to ask for, nor anything to align with.
    let wanted = MessageChecks { dmarc: author.is_some(), ..wanted };
    let checks = run(resolver, subject, wanted, author.as_deref());
    match timeout(PATIENCE, checks).await {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a message cannot be checked");
            undecided(wanted, author.as_deref())
        }
        Err(_) => undecided(wanted, author.as_deref()),
    }
}

/// What is said when nothing could be found out.
fn undecided(wanted: MessageChecks, author: Option<&str>) -> MessageResults {
    let temporary = CheckResult::TempError;
    MessageResults {
        dkim: wanted.dkim.then(|| vec![Signature::from(temporary)]),
        arc: wanted.arc.then_some(temporary),
        dmarc: wanted.dmarc.then(|| Dmarc {
            result: temporary,
            policy: DmarcPolicy::None,
            from: author.unwrap_or_default().into(),
            reason: None,
        }),
    }
}

async fn run(
    resolver: &Resolver,
    subject: Subject,
    wanted: MessageChecks,
    author: Option<&str>,
) -> io::Result<MessageResults> {
    let claims = Claims::read(&subject, wanted);
    let mut spans = Spans::begin(&claims, wanted, author);
    let walk = async {
        match author {
            Some(author) => Some((author, dmarc::walk(resolver, author).await)),
            None => None,
        }
    };
    let walk = spans.dmarc.around(walk);
    let hashes = body::hash(&subject.message, subject.header.octets(), claims.body_hashes());
    let keys = spans.of_keys().around(fetch_keys(resolver, claims.key_names()));
    let (hashes, keys, walk) = tokio::join!(hashes, keys, walk);
    let (signatures, chain) = verify(&subject.header, claims, hashes?, keys).await?;
    spans.signatures_verified(&signatures, chain);
    let spf = subject.spf.map(|(domain, result)| SpfIdentity { domain, result });
    let dmarc = match walk {
        Some((author, walk)) => {
            let evaluation = dmarc::evaluate(resolver, author, walk, &signatures, spf.as_ref());
            Some(spans.dmarc.around(evaluation).await)
        }
        None => None,
    };
    spans.end(dmarc.as_ref());
    Ok(MessageResults { dkim: wanted.dkim.then_some(signatures), arc: chain, dmarc })
}

/// What a message claims to prove.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) signatures: Vec<Candidate>,
    chain: Option<Chain>,
}

impl Claims {
    fn read(subject: &Subject, wanted: MessageChecks) -> Self {
        let header = &subject.header;
        let signatures = match wanted.dkim || wanted.dmarc {
            true => dkim::read(header, subject.dkim_strict, subject.now),
            false => Vec::new(),
        };
        Self { signatures, chain: wanted.arc.then(|| arc::read(header, subject.now)) }
    }

    fn body_hashes(&self) -> Vec<BodyHash> {
        let of_signatures = self.signatures.iter().filter_map(Candidate::body_hash);
        of_signatures.chain(self.chain.as_ref().and_then(Chain::body_hash)).collect()
    }

    /// The names of the keys, as often as there are signatures to be verified with them.
    fn key_names(&self) -> impl Iterator<Item = String> {
        let of_chain = self.chain.iter().flat_map(Chain::key_names);
        self.signatures.iter().filter_map(Candidate::key_name).chain(of_chain)
    }

    /// How long all the signatures take.
    fn cost(&self, keys: &Keys) -> Duration {
        self.key_names().filter_map(|name| keys.get(&name)?.as_ref().ok()).map(Key::cost).sum()
    }
}

/// Looks every key up once.
async fn fetch_keys(resolver: &Resolver, names: impl Iterator<Item = String>) -> Keys {
    let names: BTreeSet<String> = names.collect();
    stream::iter(names)
        .map(|name| async move {
            let key = key::fetch(resolver, &name).await;
            (name, key)
        })
        .buffer_unordered(KEYS_AT_A_TIME)
        .collect()
        .await
}

/// Does the arithmetic; for a large header section or long keys, where no other connection waits for it.
async fn verify(
    header: &Arc<Header>,
    claims: Claims,
    hashes: BodyHashes,
    keys: Keys,
) -> io::Result<(Vec<Signature>, Option<CheckResult>)> {
    let large = header.octets() > INLINE_OCTETS || claims.cost(&keys) > INLINE_TIME;
    let header = Arc::clone(header);
    let all = move || {
        let chain = claims.chain.map(|chain| chain.verify(&header, &hashes, &keys));
        let signatures =
            claims.signatures.into_iter().map(|candidate| candidate.verify(&header, &hashes, &keys));
        (signatures.collect(), chain)
    };
    match large {
        true => tokio::task::spawn_blocking(all).await.map_err(io::Error::other),
        false => Ok(all()),
    }
}

#[cfg(test)]
mod tests;
