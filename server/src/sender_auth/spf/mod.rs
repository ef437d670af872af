//! SPF: whether a domain lets this client send in its name (RFC 7208).
//!
//! Evaluated by our own hand, because what the RFC limits (terms that need lookups, lookups that find nothing,
//! names of an address, hosts of an exchanger, and several records for one name) has to be limited here too,
//! whatever a record says.

mod domain_spec;
mod record;

use std::net::IpAddr;

use futures::future::{BoxFuture, join_all};
use postern_core::session::check::CheckResult;

use self::domain_spec::{DomainSpec, Values};
use self::record::{Mechanism, Qualifier, Record};
use super::domains::{is_within, plain};
use crate::dns::{DnsError, Resolver};

/// Most terms that need lookups (RFC 7208 section 4.6.4).
const MAX_TERMS: u32 = 10;

/// Most terms whose lookups may find nothing (RFC 7208 section 4.6.4).
const MAX_VOID: u32 = 2;

/// Most hosts of an exchanger, and names of an address, that are looked at (RFC 7208 section 4.6.4).
const MAX_NAMES: usize = 10;

/// Who sends, as SPF asks about it (RFC 7208 section 4.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    /// The client's address.
    pub(super) ip: IpAddr,
    /// The name of EHLO.
    pub(super) helo: &'a str,
    /// The local part of the sender; `postmaster` when there is none.
    pub(super) local_part: &'a str,
    /// The domain in question.
    pub(super) domain: &'a str,
}

/// A result, and why it is no better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) result: CheckResult,
    pub(super) reason: Option<String>,
}

/// Evaluates the SPF record of an identity's domain: `check_host()`.
pub(super) async fn check_host(resolver: &Resolver, identity: Identity<'_>) -> Outcome {
    let ip = identity.ip.to_canonical();
    let mut evaluation = Evaluation {
        resolver,
        identity: Identity { ip, ..identity },
        terms: 0,
        void: 0,
        names_of_client: None,
    };
    match evaluation.evaluate(identity.domain.to_owned()).await {
        Ok(result) => Outcome { result, reason: None },
        Err(Stop { result, reason }) => Outcome { result, reason: Some(reason) },
    }
}

/// One evaluation, with what it has used up.
struct Evaluation<'a> {
    resolver: &'a Resolver,
    identity: Identity<'a>,
    terms: u32,
    void: u32,
    /// Names of the client's address that have this address; unset: not looked up yet.
    names_of_client: Option<Vec<String>>,
}

/// An error, which ends the whole evaluation.
#[derive(Debug)]
struct Stop {
    result: CheckResult,
    reason: String,
}

impl Stop {
    fn permanent(reason: impl Into<String>) -> Self {
        Self { result: CheckResult::PermError, reason: reason.into() }
    }

    fn temporary(domain: &str, error: &DnsError) -> Self {
        Self { result: CheckResult::TempError, reason: format!("{domain}: {error}") }
    }
}

impl Evaluation<'_> {
    /// The result of a domain's record, `redirect` included.
    fn evaluate(&mut self, domain: String) -> BoxFuture<'_, Result<CheckResult, Stop>> {
        Box::pin(async move {
            if !is_checkable(&domain) {
                return Ok(CheckResult::None);
            }
            let Some(record) = self.record(&domain).await? else { return Ok(CheckResult::None) };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    return Ok(directive.qualifier.result());
                }
            }
            let Some(redirect) = &record.redirect else { return Ok(CheckResult::Neutral) };
            self.count_term()?;
            let target = self.expand(redirect, &domain).await;
            match self.evaluate(target).await? {
                // What a record sends to has to be there (RFC 7208 section 6.1).
                CheckResult::None => Err(Stop::permanent("redirect to a domain without a record")),
                result => Ok(result),
            }
        })
    }

    /// The one SPF record of a domain, if it has any (RFC 7208 sections 4.4 and 4.5).
    async fn record(&self, domain: &str) -> Result<Option<Record>, Stop> {
        let texts = match self.resolver.txt(domain).await {
            Ok(texts) => texts,
            Err(error) if error.is_nothing() => return Ok(None),
            Err(error) => return Err(Stop::temporary(domain, &error)),
        };
        let mut records = texts.iter().filter(|text| record::is_spf(text));
        let Some(text) = records.next() else { return Ok(None) };
        if records.next().is_some() {
            return Err(Stop::permanent(format!("{domain} has several records")));
        }
        Record::parse(text).map(Some).map_err(|malformed| Stop::permanent(format!("{domain}: {malformed}")))
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => return Ok(true),
            Mechanism::Ip(net) => return Ok(net.contains(&self.identity.ip)),
            _ => self.count_term()?,
        }
        let ip = self.identity.ip;
        match mechanism {
            Mechanism::All | Mechanism::Ip(_) => Ok(false),
            Mechanism::Include(spec) => {
                let target = self.expand(spec, domain).await;
                match self.evaluate(target).await? {
                    CheckResult::Pass => Ok(true),
                    // RFC 7208 section 5.2: a record that includes nothing is broken.
                    CheckResult::None => Err(Stop::permanent("include of a domain without a record")),
                    _ => Ok(false),
                }
            }
            Mechanism::A(spec, masks) => {
                let target = self.target(spec.as_ref(), domain).await;
                let addresses = self.resolver.addresses_like(&target, ip).await;
                let addresses = self.found(&target, addresses)?;
                Ok(addresses.into_iter().any(|address| masks.equal(address, ip)))
            }
            Mechanism::Mx(spec, masks) => {
                let target = self.target(spec.as_ref(), domain).await;
                let addresses = self.addresses_of_exchangers(&target).await?;
                Ok(addresses.into_iter().any(|address| masks.equal(address, ip)))
            }
            Mechanism::Ptr(spec) => {
                let target = self.target(spec.as_ref(), domain).await;
                Ok(self.names_of_client().await.iter().any(|name| is_within(name, &target)))
            }
            Mechanism::Exists(spec) => {
                let target = self.expand(spec, domain).await;
                // IPv4 addresses whatever the client has (RFC 7208 section 5.7).
                let addresses = self.resolver.ipv4(&target).await;
                Ok(!self.found(&target, addresses)?.is_empty())
            }
        }
    }

    async fn addresses_of_exchangers(&mut self, domain: &str) -> Result<Vec<IpAddr>, Stop> {
        let exchangers = self.resolver.mx(domain).await;
        let exchangers = self.found(domain, exchangers)?;
        if exchangers.len() > MAX_NAMES {
            return Err(Stop::permanent(format!("{domain} has more than {MAX_NAMES} exchangers")));
        }
        let ip = self.identity.ip;
        let lookups = exchangers.iter().map(|exchanger| self.resolver.addresses_like(&exchanger.host, ip));
        let mut addresses = Vec::new();
        for (found, exchanger) in join_all(lookups).await.into_iter().zip(&exchangers) {
            match found {
                Ok(found) => addresses.extend(found),
                Err(error) if error.is_nothing() => {}
                // One that matches decides, whatever became of the others.
                Err(_) if addresses.contains(&ip) => {}
                Err(error) => return Err(Stop::temporary(&exchanger.host, &error)),
            }
        }
        Ok(addresses)
    }

    /// Records, none of them when there are none; too many times none is an error.
    fn found<T>(&mut self, domain: &str, found: Result<Vec<T>, DnsError>) -> Result<Vec<T>, Stop> {
        match found {
            Ok(records) => Ok(records),
            // Such a name is never asked for, so it costs nothing.
            Err(DnsError::NotAName) => Ok(Vec::new()),
            Err(error) if error.is_nothing() => {
                self.void += 1;
                if self.void > MAX_VOID {
                    return Err(Stop::permanent(format!("more than {MAX_VOID} lookups find nothing")));
                }
                Ok(Vec::new())
            }
            Err(error) => Err(Stop::temporary(domain, &error)),
        }
    }

    fn count_term(&mut self) -> Result<(), Stop> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(Stop::permanent(format!("more than {MAX_TERMS} terms need lookups")));
        }
        Ok(())
    }

    /// Names of the client's address that have this address. Failures count as no name
    /// (RFC 7208 section 5.5).
    async fn names_of_client(&mut self) -> &[String] {
        if self.names_of_client.is_none() {
            let ip = self.identity.ip;
            let mut names = self.resolver.names(ip).await.unwrap_or_default();
            names.truncate(MAX_NAMES);
            let found = join_all(names.iter().map(|name| self.resolver.addresses_like(name, ip))).await;
            let confirmed = names.into_iter().zip(found);
            let confirmed = confirmed.filter(|(_, found)| found.as_ref().is_ok_and(|ips| ips.contains(&ip)));
            self.names_of_client = Some(confirmed.map(|(name, _)| name).collect());
        }
        self.names_of_client.as_deref().unwrap_or_default()
    }

    async fn target(&mut self, spec: Option<&DomainSpec>, domain: &str) -> String {
        match spec {
            Some(spec) => self.expand(spec, domain).await,
            None => domain.to_owned(),
        }
    }

    async fn expand(&mut self, spec: &DomainSpec, domain: &str) -> String {
        let name = match spec.wants_validated_name() {
            true => preferred(self.names_of_client().await, domain).map(str::to_owned),
            false => None,
        };
        spec.expand(&Values {
            local_part: self.identity.local_part,
            sender_domain: self.identity.domain,
            helo: self.identity.helo,
            ip: self.identity.ip,
            domain,
            validated_name: name.as_deref(),
        })
    }
}

impl Qualifier {
    const fn result(self) -> CheckResult {
        match self {
            Self::Pass => CheckResult::Pass,
            Self::Fail => CheckResult::Fail,
            Self::SoftFail => CheckResult::SoftFail,
            Self::Neutral => CheckResult::Neutral,
        }
    }
}

/// A domain of at least two labels that DNS can hold (RFC 7208 section 4.3).
fn is_checkable(domain: &str) -> bool {
    let domain = plain(domain);
    domain.len() <= 253
        && domain.contains('.')
        && !domain.starts_with('[')
        && domain.split('.').all(|label| (1..=63).contains(&label.len()))
        && domain.parse::<IpAddr>().is_err()
}

/// The name that `%{p}` stands for: the domain itself, else one below it, else any (RFC 7208 section 7.3).
fn preferred<'a>(names: &'a [String], domain: &str) -> Option<&'a str> {
    let same = names.iter().find(|name| name.eq_ignore_ascii_case(domain));
    same.or_else(|| names.iter().find(|name| is_within(name, domain)))
        .or_else(|| names.first())
        .map(String::as_str)
}

#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;
