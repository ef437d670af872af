//! DMARC: whether an identifier that passed belongs to the author, and what the author's domain asks for when
//! none does (RFC 9989, which replaced RFC 7489).

mod record;

use futures::future::join_all;
use postern_core::session::check::{CheckResult, Dmarc, DmarcPolicy, Signature};
use postern_core::smtp::address::normalise_domain;

use self::record::{Alignment, Record, Suffix};
use super::domains::is_within;
use crate::dns::{DnsError, Resolver};

/// Longest name below which a walk goes on label by label (RFC 9989 section 4.10).
const MAX_LABELS: usize = 8;

/// The records on the way from a domain up to its top-level domain.
#[derive(Debug)]
pub(super) struct Walk {
    start: String,
    /// From the longest name to the shortest.
    records: Vec<(String, Record)>,
}

/// Who passed SPF, and how that went.
#[derive(Debug, Clone)]
pub(super) struct SpfIdentity {
    pub(super) domain: String,
    pub(super) result: CheckResult,
}

/// Looks up the records from a domain upwards, all at once (RFC 9989 section 4.10).
///
/// # Errors
///
/// When one of them that matters cannot be had.
pub(super) async fn walk(resolver: &Resolver, start: &str) -> Result<Walk, DnsError> {
    let names = names_of_walk(start);
    let lookups = names.iter().map(|name| find(resolver, name));
    let found = join_all(lookups).await;
    let mut records = Vec::new();
    for (name, found) in names.into_iter().zip(found) {
        let Some(record) = found? else { continue };
        let suffix = record.suffix;
        records.push((name, record));
        if suffix != Suffix::Unsaid {
            break;
        }
    }
    Ok(Walk { start: start.to_owned(), records })
}

/// The one record of a name. Several are as good as none.
async fn find(resolver: &Resolver, name: &str) -> Result<Option<Record>, DnsError> {
    let texts = match resolver.txt(&format!("_dmarc.{name}")).await {
        Ok(texts) => texts,
        Err(error) if error.is_nothing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut records = texts.iter().filter_map(|text| Record::parse(text));
    Ok(records.next().filter(|_| records.next().is_none()))
}

/// The names to ask: the start itself, and from seven labels down to one.
fn names_of_walk(start: &str) -> Vec<String> {
    let labels: Vec<&str> = start.split('.').collect();
    if labels.len() < 2 {
        return Vec::new();
    }
    let longest = if labels.len() >= MAX_LABELS { MAX_LABELS - 1 } else { labels.len() - 1 };
    let suffix = |count: usize| labels.get(labels.len() - count..).unwrap_or_default().join(".");
    std::iter::once(start.to_owned()).chain((1..=longest).rev().map(suffix)).collect()
}

impl Walk {
    /// The organizational domain (RFC 9989 section 4.10.2).
    fn organization(&self) -> &str {
        for (name, record) in &self.records {
            match record.suffix {
                Suffix::Organization => return name,
                Suffix::Public if *name != self.start => return one_label_below(name, &self.start),
                Suffix::Public | Suffix::Unsaid => {}
            }
        }
        self.records.last().map_or(&self.start, |(name, _)| name)
    }

    /// The record that holds for the start of the walk (RFC 9989 section 4.10.1).
    fn applicable(&self) -> Option<(&str, &Record)> {
        let named = |wanted: &str| self.records.iter().find(|(name, _)| name == wanted);
        let found = named(&self.start).or_else(|| named(self.organization())).or(self.records.last());
        found.map(|(name, record)| (name.as_str(), record))
    }
}

/// The part of `start` that has one label more than `suffix`, which it ends in.
fn one_label_below<'a>(suffix: &str, start: &'a str) -> &'a str {
    let before = start.len().saturating_sub(suffix.len() + 1);
    let cut = start.get(..before).and_then(|before| before.rfind('.')).map_or(0, |dot| dot + 1);
    start.get(cut..).unwrap_or(start)
}

/// Evaluates the policy of an author's domain.
pub(super) async fn evaluate(
    resolver: &Resolver,
    author: &str,
    walk: Result<Walk, DnsError>,
    signatures: &[Signature],
    spf: Option<&SpfIdentity>,
) -> Dmarc {
    let dmarc = |result, policy, reason: Option<&str>| Dmarc {
        result,
        policy,
        from: author.into(),
        reason: reason.map(Into::into),
    };
    let walk = match walk {
        Ok(walk) => walk,
        Err(error) => {
            let reason = format!("policy: {error}");
            return dmarc(CheckResult::TempError, DmarcPolicy::None, Some(&reason));
        }
    };
    let Some((policy, record)) = policy(resolver, &walk).await else {
        return dmarc(CheckResult::None, DmarcPolicy::None, Some("no policy"));
    };
    match alignment(resolver, &walk, record, signatures, spf).await {
        CheckResult::Pass => dmarc(CheckResult::Pass, policy, None),
        CheckResult::TempError => {
            dmarc(CheckResult::TempError, policy, Some("an aligned identifier could not be checked"))
        }
        _ => dmarc(CheckResult::Fail, policy, Some("no aligned identifier passed")),
    }
}

/// What the domain asks for, and the record that says so.
async fn policy<'a>(resolver: &Resolver, walk: &'a Walk) -> Option<(DmarcPolicy, &'a Record)> {
    let (name, record) = walk.applicable()?;
    let policy = match name == walk.start {
        true => record.policy?,
        false if record.nonexistent != record.subdomains && !exists(resolver, &walk.start).await => {
            record.nonexistent?
        }
        false => record.subdomains?,
    };
    let policy = match (record.testing, policy) {
        (true, DmarcPolicy::Reject) => DmarcPolicy::Quarantine,
        (true, _) => DmarcPolicy::None,
        (false, policy) => policy,
    };
    Some((policy, record))
}

/// Whether a name exists (RFC 8020); one that nobody can tell of does.
async fn exists(resolver: &Resolver, name: &str) -> bool {
    !matches!(resolver.ipv4(name).await, Err(DnsError::NoSuchName | DnsError::NotAName))
}

/// Whether an identifier passed that belongs to the author; a temporary error when one might have.
async fn alignment(
    resolver: &Resolver,
    walk: &Walk,
    record: &Record,
    signatures: &[Signature],
    spf: Option<&SpfIdentity>,
) -> CheckResult {
    let of_dkim = signatures.iter().filter_map(|signature| {
        let domain = &signature.tags.as_ref()?.domain;
        Some((domain.to_string(), signature.result, record.dkim_alignment))
    });
    let of_spf = spf.map(|spf| (spf.domain.clone(), spf.result, record.spf_alignment));
    let mut identifiers: Vec<_> = of_dkim
        .chain(of_spf)
        .filter(|(_, result, _)| matches!(result, CheckResult::Pass | CheckResult::TempError))
        .filter_map(|(domain, result, alignment)| {
            Some((normalise_domain(domain.trim_end_matches('.')).ok()?.into_owned(), result, alignment))
        })
        .collect();
    identifiers.dedup();
    // The best first: nothing more is looked up once one has passed.
    identifiers.sort_by_key(|(domain, result, _)| (*result != CheckResult::Pass, *domain != walk.start));
    let mut uncertain = false;
    for (domain, result, alignment) in identifiers {
        match (is_aligned(resolver, walk, &domain, alignment).await, result) {
            (Ok(true), CheckResult::Pass) => return CheckResult::Pass,
            (Ok(true), _) | (Err(_), _) => uncertain = true,
            (Ok(false), _) => {}
        }
    }
    if uncertain { CheckResult::TempError } else { CheckResult::Fail }
}

async fn is_aligned(
    resolver: &Resolver,
    author: &Walk,
    domain: &str,
    alignment: Alignment,
) -> Result<bool, DnsError> {
    if domain == author.start {
        return Ok(true);
    }
    let organization = author.organization();
    if alignment == Alignment::Strict || !is_within(domain, organization) {
        return Ok(false);
    }
    Ok(walk(resolver, domain).await?.organization() == organization)
}

#[cfg(test)]
mod tests;
