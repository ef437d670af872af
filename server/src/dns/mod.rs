//! The resolver of the process: every DNS question of Postern goes through here.
//!
//! It asks the servers of `MtaSettings.dns`, or those of the system, and keeps answers for as long as their
//! records allow, in a cache of bounded size. Names are always complete: no search list is ever applied,
//! because what a mail says must not depend on where the server runs.

mod answer;
mod metrics;
mod name;
mod transport;

#[cfg(test)]
pub(crate) mod testing;

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError as ServerError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use postern_core::policy::settings::Dns;
use postern_trace::{Began, Kind};

use self::metrics::Outcome;

pub use self::metrics::{DnsMetrics, RecordKind};

/// Looks names up. One for the process; shared by reference.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwap<Configured>,
    metrics: DnsMetrics,
}

/// Settings, and what was made from them.
#[derive(Debug)]
struct Configured {
    settings: Dns,
    /// Why there is nothing to ask, when there is not.
    resolver: Result<TokioResolver, Arc<str>>,
    /// For one lookup with all its tries.
    patience: Duration,
}

/// Why a lookup has no records to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN, RFC 8020).
    #[error("no such name")]
    NoSuchName,
    /// The name exists and has no records of this kind.
    #[error("no such records")]
    NoRecords,
    /// This can be no name in DNS: an empty label, one of more than 63 octets, or more than 253 in all.
    #[error("not a name that DNS can hold")]
    NotAName,
    /// Nobody answered in time.
    #[error("no answer in time")]
    TimedOut,
    /// The servers failed, or cannot be reached.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl DnsError {
    /// Whether this is an answer, namely that there is nothing; asking again would not change it.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::NoSuchName | Self::NoRecords | Self::NotAName)
    }
}

/// A mail exchanger (RFC 5321 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower is better.
    pub preference: u16,
    /// Its name in lower case, without the final dot; empty for the null MX (RFC 7505).
    pub host: String,
}

impl Resolver {
    /// A resolver for these settings.
    ///
    /// Settings that nothing can be made from, such as an unreadable `/etc/resolv.conf`, leave a resolver
    /// whose every lookup fails: what depends on DNS is then refused for now, the rest works.
    #[must_use]
    pub fn new(settings: &Dns, metrics: DnsMetrics) -> Self {
        Self { current: ArcSwap::from_pointee(Configured::new(settings)), metrics }
    }

    /// One that has nobody to ask: every lookup fails.
    #[must_use]
    pub fn away(&self) -> Self {
        let settings = self.current.load().settings.clone();
        let nobody =
            Configured { settings, resolver: Err("nobody is asked".into()), patience: Duration::ZERO };
        Self { current: ArcSwap::from_pointee(nobody), metrics: self.metrics.clone() }
    }

    /// Goes over to other settings with an empty cache; equal settings change nothing.
    pub fn configure(&self, settings: &Dns) {
        if self.current.load().settings != *settings {
            self.current.store(Arc::new(Configured::new(settings)));
        }
    }

    /// The TXT records of a name, the strings of each joined (RFC 7208 section 3.3); never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.records(RecordKind::Txt, name::parse(name)?, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// The IPv4 addresses of a name; never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        self.records(RecordKind::A, name::parse(name)?, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        })
        .await
    }

    /// The IPv6 addresses of a name; never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        self.records(RecordKind::Aaaa, name::parse(name)?, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        })
        .await
    }

    /// The addresses of a name that are of the same family as `like`; never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn addresses_like(&self, name: &str, like: IpAddr) -> Result<Vec<IpAddr>, DnsError> {
        Ok(match like {
            IpAddr::V4(_) => self.ipv4(name).await?.into_iter().map(IpAddr::V4).collect(),
            IpAddr::V6(_) => self.ipv6(name).await?.into_iter().map(IpAddr::V6).collect(),
        })
    }

    /// The mail exchangers of a name, best first; never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn mx(&self, name: &str) -> Result<Vec<Exchanger>, DnsError> {
        let mut exchangers = self
            .records(RecordKind::Mx, name::parse(name)?, |data| match data {
                RData::MX(mx) => {
                    Some(Exchanger { preference: mx.preference, host: name::text(&mx.exchange) })
                }
                _ => None,
            })
            .await?;
        exchangers.sort_by_key(|exchanger| exchanger.preference);
        Ok(exchangers)
    }

    /// The names of an address, in lower case and without the final dot; never empty.
    ///
    /// # Errors
    ///
    /// [`DnsError`].
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        self.records(RecordKind::Ptr, Name::from(address.to_canonical()), |data| match data {
            RData::PTR(ptr) => Some(name::text(&ptr.0)),
            _ => None,
        })
        .await
    }

    /// The records of a kind, as far as `pick` wants them.
    async fn records<T>(
        &self,
        kind: RecordKind,
        name: Name,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let found = self.ask_traced(kind, name).await.and_then(|answers| {
            let picked: Vec<T> = answers.iter().filter_map(pick).collect();
            // An answer of nothing but aliases holds no records of the kind.
            if picked.is_empty() { Err(DnsError::NoRecords) } else { Ok(picked) }
        });
        self.metrics.looked_up(kind, Outcome::of(&found));
        if let Err(error) = &found
            && !error.is_nothing()
        {
            tracing::debug!(kind = kind.name(), %error, "a name could not be looked up");
        }
        found
    }

    /// Asks, in a span if the question leaves the process: an answer of the cache is there at once, any other is not.
    async fn ask_traced(&self, kind: RecordKind, name: Name) -> Result<Vec<RData>, DnsError> {
        let began = Began::now();
        let mut asking = pin!(self.ask(kind, name.clone()));
        if let Poll::Ready(cached) = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await {
            return cached;
        }
        let mut span = postern_trace::span_since("dns.query", Kind::Client, began);
        span.text("dns.question.name", &name);
        span.text("postern.dns.record_type", kind.name());
        let found = asking.await;
        match &found {
            Ok(answers) => span.number("postern.dns.answers", answers.len() as u64),
            Err(error) => {
                span.text("postern.dns.result", error);
                if !error.is_nothing() {
                    span.fail(error);
                }
            }
        }
        found
    }

    async fn ask(&self, kind: RecordKind, name: Name) -> Result<Vec<RData>, DnsError> {
        let configured = self.current.load_full();
        let resolver = configured.resolver.as_ref().map_err(|reason| DnsError::Failed(Arc::clone(reason)))?;
        let lookup = async {
            let found = resolver.lookup(name, kind.record_type()).await;
            match found {
                Err(NetError::Dns(ServerError::NoRecordsFound(nothing)))
                    if ends_in_alias(resolver, &nothing).await =>
                {
                    Err(DnsError::Failed("aliases without an end".into()))
                }
                Err(error) => Err(error.into()),
                Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            }
        };
        tokio::time::timeout(configured.patience, lookup).await.unwrap_or(Err(DnsError::TimedOut))
    }
}

/// Whether the library gave up on a chain of aliases, which it reports as the answer that there is nothing.
///
/// A server that says so itself sends its authority along (RFC 2308 section 2.2), as a rule; where there is none, the last name
/// is asked about.
async fn ends_in_alias(resolver: &TokioResolver, nothing: &NoRecords) -> bool {
    if nothing.response_code != ResponseCode::NoError || nothing.authorities.is_some() {
        return false;
    }
    let last = nothing.query.name().clone();
    let aliases = resolver.lookup(last, RecordType::CNAME).await;
    aliases.is_ok_and(|found| found.answers().iter().any(|record| record.record_type() == RecordType::CNAME))
}

impl Configured {
    fn new(settings: &Dns) -> Self {
        let resolver = transport::build(settings).map_err(|error| {
            tracing::error!(%error, "there is no DNS until its settings change");
            Arc::from(error.to_string())
        });
        // Every server may be asked in turn within a try; nobody waits for all of them.
        let patience = settings.timeout.saturating_mul(settings.attempts.max(1));
        Self { settings: settings.clone(), resolver, patience }
    }
}

impl From<NetError> for DnsError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Dns(ServerError::NoRecordsFound(nothing)) => match nothing.response_code {
                ResponseCode::NXDomain => Self::NoSuchName,
                ResponseCode::NoError => Self::NoRecords,
                code => Self::Failed(code.to_string().into()),
            },
            NetError::Timeout => Self::TimedOut,
            error => Self::Failed(error.to_string().into()),
        }
    }
}

impl RecordKind {
    const fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Mx => RecordType::MX,
            Self::Ptr => RecordType::PTR,
            Self::Txt => RecordType::TXT,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::testing::{Nameserver, Zone};
    use super::*;

    #[tokio::test]
    async fn records_are_told_from_their_absence_and_from_failures() {
        let zone = Zone::new()
            .txt("example.org", &["v=spf1 -all"])
            .txt_strings("long.example.org", &["one ", "two"])
            .a("mx.example.org", "192.0.2.1")
            .cname("alias.example.org", "mx.example.org")
            .server_failure("broken.example.org");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        assert_eq!(resolver.txt("example.org").await, Ok(vec![b"v=spf1 -all".to_vec()]));
        assert_eq!(resolver.txt("LONG.example.org.").await, Ok(vec![b"one two".to_vec()]));
        assert_eq!(resolver.ipv4("alias.example.org").await, Ok(vec![Ipv4Addr::new(192, 0, 2, 1)]));
        assert_eq!(resolver.ipv6("mx.example.org").await, Err(DnsError::NoRecords));
        assert_eq!(resolver.ipv6("alias.example.org").await, Err(DnsError::NoRecords));
        assert_eq!(resolver.txt("nowhere.example").await, Err(DnsError::NoSuchName));
        assert_eq!(resolver.txt("a..b").await, Err(DnsError::NotAName));
        let failure = resolver.txt("broken.example.org").await.unwrap_err();
        assert!(!failure.is_nothing(), "{failure}");
    }

    #[tokio::test]
    async fn exchangers_come_best_first_without_a_final_dot() {
        let zone = Zone::new().mx("example.org", 20, "B.example.org").mx("example.org", 10, "a.example.org");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        let hosts: Vec<_> = resolver
            .mx("example.org")
            .await
            .unwrap()
            .into_iter()
            .map(|mx| (mx.preference, mx.host))
            .collect();
        assert_eq!(hosts, [(10, "a.example.org".to_owned()), (20, "b.example.org".to_owned())]);
    }

    #[tokio::test]
    async fn addresses_have_names() {
        let zone = Zone::new().ptr("192.0.2.1", "MX.example.org").ptr("2001:db8::1", "six.example.org");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        assert_eq!(resolver.names("192.0.2.1".parse().unwrap()).await.unwrap(), ["mx.example.org"]);
        assert_eq!(resolver.names("::ffff:192.0.2.1".parse().unwrap()).await.unwrap(), ["mx.example.org"]);
        assert_eq!(resolver.names("2001:db8::1".parse().unwrap()).await.unwrap(), ["six.example.org"]);
    }

    #[tokio::test]
    async fn an_answer_is_asked_for_once() {
        let zone = Zone::new().txt("example.org", &["one"]);
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        for name in ["example.org", "EXAMPLE.org", "nowhere.example", "nowhere.example"] {
            let _ = resolver.txt(name).await;
        }
        assert_eq!(server.questions(), 2);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
        let long = "x".repeat(255);
        let zone =
            Zone::new().txt_strings("big.example.org", &[long.as_str(); 20]).truncated("big.example.org");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        assert_eq!(resolver.txt("big.example.org").await.unwrap(), [long.repeat(20).into_bytes()]);
    }

    #[tokio::test]
    async fn aliases_in_a_circle_are_a_failure_and_end() {
        let zone = Zone::new().cname("a.example", "b.example").cname("b.example", "a.example");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        for name in ["a.example", "b.example"] {
            let failure = resolver.txt(name).await.unwrap_err();
            assert!(!failure.is_nothing(), "{name}: {failure}");
        }
        let empty = Zone::new().cname("alias.example", "end.example").a("end.example", "192.0.2.1");
        let server = Nameserver::start(empty).await;
        assert_eq!(server.resolver().txt("alias.example").await, Err(DnsError::NoRecords));
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for_longer_than_its_tries() {
        let server = Nameserver::start(Zone::new().silence("slow.example")).await;
        let settings = Dns { timeout: Duration::from_millis(40), attempts: 2, ..server.settings() };
        let resolver = Resolver::new(&settings, DnsMetrics::default());
        assert_eq!(resolver.txt("slow.example").await, Err(DnsError::TimedOut));
    }

    #[tokio::test]
    async fn only_other_settings_make_another_resolver() {
        let one = Nameserver::start(Zone::new().txt("example.org", &["one"])).await;
        let two = Nameserver::start(Zone::new().txt("example.org", &["two"])).await;
        let resolver = one.resolver();
        assert_eq!(resolver.txt("example.org").await.unwrap(), [b"one"]);
        resolver.configure(&one.settings());
        assert_eq!(resolver.txt("example.org").await.unwrap(), [b"one"]);
        assert_eq!(one.questions(), 1, "the cache was kept");
        resolver.configure(&two.settings());
        assert_eq!(resolver.txt("example.org").await.unwrap(), [b"two"]);
    }
}
