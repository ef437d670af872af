//! What is counted for operators, in the OpenMetrics format.
//!
//! Labels come from closed sets or from names in the policy, never from what a client sends.

use std::sync::Arc;

use postern_core::policy::throttle::ThrottleClass;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::Stage;
use postern_trace::Tracer;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::capacity::Full;
use crate::directory::DirectoryMetrics;
use crate::dns::DnsMetrics;
use crate::filter::FilterMetrics;
use crate::handoff;
use crate::snapshot::Snapshot;
use crate::store::StoreMetrics;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sessions_open: Family<OfListener, Gauge>,
    sessions: Family<OfListener, Counter>,
    turned_away: Family<TurnedAwayLabels, Counter>,
    replies: Family<ReplyLabels, Counter>,
    transactions: Family<TransactionLabels, Counter>,
    messages: Family<MessageLabels, Counter>,
    message_octets: Counter,
    octets: Family<DirectionLabels, Counter>,
    throttled: Family<ThrottleLabels, Counter>,
    authentications: Family<AuthLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    revision: Family<RevisionLabels, Gauge>,
    certificates: Family<CertificateLabels, Gauge>,
    handoff: handoff::Metrics,
    dns: DnsMetrics,
    filters: FilterMetrics,
    store: StoreMetrics,
    directories: DirectoryMetrics,
    tracer: Tracer,
}

/// Why a connection ended before it was a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum TurnedAway {
    /// The listener's limit of connections.
    ListenerFull,
    /// The server's limit of connections.
    ServerFull,
    /// No valid PROXY header from a peer that must send one.
    ProxyHeader,
    /// No handshake on a port with implicit TLS.
    TlsHandshake,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum MessageOutcome {
    /// The next hop has it.
    Accepted,
    /// Refused for good.
    Rejected,
    /// Refused for now.
    Deferred,
    /// Accepted towards the client, and delivered nowhere.
    Discarded,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The next hops have it.
    Accepted,
    /// Taken from the client and delivered nowhere, as a filter wanted.
    Discarded,
    /// Refused for good: MAIL, all recipients, or the message.
    Rejected,
    /// Refused for now.
    Deferred,
    /// The client has thought better of it.
    Abandoned,
    /// The connection broke.
    Lost,
}

impl Verdict {
    /// The name in logs, traces and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Discarded => "discarded",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Abandoned => "abandoned",
            Self::Lost => "lost",
        }
    }

    /// How the message ended, where there was one.
    const fn of_message(self) -> Option<MessageOutcome> {
        Some(match self {
            Self::Accepted => MessageOutcome::Accepted,
            Self::Discarded => MessageOutcome::Discarded,
            Self::Rejected => MessageOutcome::Rejected,
            Self::Deferred => MessageOutcome::Deferred,
            Self::Abandoned | Self::Lost => return None,
        })
    }
}

/// How an AUTH command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum AuthOutcome {
    /// Logged in.
    Accepted,
    /// Wrong name, password or token.
    Wrong,
    /// A token that was right once.
    Expired,
    /// Right, and the account may not send.
    Forbidden,
    /// It could not be found out.
    Unavailable,
    /// Not even tried: too many failures from the client's network.
    Throttled,
}

#[cfg(test)]
impl AuthOutcome {
    const ALL: [Self; 6] =
        [Self::Accepted, Self::Wrong, Self::Expired, Self::Forbidden, Self::Unavailable, Self::Throttled];
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadOutcome {
    /// The new policy is in force.
    Applied,
    /// It has faults; the old one stays.
    Faulty,
}

/// Which way octets went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Direction {
    /// From clients.
    Received,
    /// To clients.
    Sent,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Tracer::default())
    }
}

impl Metrics {
    /// Counts of nothing yet, with those of this tracer.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("postern"),
            sessions_open: Family::default(),
            sessions: Family::default(),
            turned_away: Family::default(),
            replies: Family::default(),
            transactions: Family::default(),
            messages: Family::default(),
            message_octets: Counter::default(),
            octets: Family::default(),
            throttled: Family::default(),
            authentications: Family::default(),
            reloads: Family::default(),
            revision: Family::default(),
            certificates: Family::default(),
            handoff: handoff::Metrics::default(),
            dns: DnsMetrics::default(),
            filters: FilterMetrics::default(),
            store: StoreMetrics::default(),
            directories: DirectoryMetrics::default(),
            tracer,
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("sessions_open", "Sessions open now", self.sessions_open.clone());
        r.register("sessions", "Sessions begun", self.sessions.clone());
        r.register(
            "connections_turned_away",
            "Connections closed before a session",
            self.turned_away.clone(),
        );
        r.register("replies", "Replies to clients", self.replies.clone());
        let transactions = "Transactions that came to an end, by how; a refused MAIL is one too";
        r.register("transactions", transactions, self.transactions.clone());
        r.register("messages", "Messages at the end of their data", self.messages.clone());
        r.register_with_unit(
            "messages_accepted",
            "Octets of accepted messages",
            Unit::Bytes,
            self.message_octets.clone(),
        );
        r.register_with_unit("traffic", "Octets exchanged with clients", Unit::Bytes, self.octets.clone());
        r.register("throttled", "Events refused by a throttle", self.throttled.clone());
        r.register("authentications", "AUTH commands that came to an end", self.authentications.clone());
        r.register("reloads", "Attempts to put a new policy in force", self.reloads.clone());
        r.register("policy", "1 for the revision in force", self.revision.clone());
        r.register_with_unit(
            "certificate_expiry_timestamp",
            "When a certificate in use expires",
            Unit::Seconds,
            self.certificates.clone(),
        );
        self.handoff.register(r);
        self.dns.register(r);
        self.filters.register(r);
        self.store.register(r);
        self.directories.register(r);
        self.tracer.register(r);
    }

    /// What records spans; its counts are among these.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The counters of the hand-off.
    #[must_use]
    pub fn handoff(&self) -> handoff::Metrics {
        self.handoff.clone()
    }

    /// A session has begun; it is open until the returned value is dropped.
    #[must_use]
    pub fn session_begins(&self, listener: &Arc<str>) -> OpenSession {
        let labels = OfListener { listener: Arc::clone(listener) };
        self.sessions.get_or_create(&labels).inc();
        let open = self.sessions_open.get_or_create_owned(&labels);
        open.inc();
        OpenSession(open)
    }

    /// A connection was closed before it became a session.
    pub fn turned_away(&self, listener: &Arc<str>, reason: TurnedAway) {
        let labels = TurnedAwayLabels { listener: Arc::clone(listener), reason };
        self.turned_away.get_or_create(&labels).inc();
    }

    /// A reply was sent in answer to a command of this stage; none for commands that belong to no stage.
    pub fn replied(&self, stage: Option<Stage>, reply: &Reply) {
        let stage = stage.map_or("other", Stage::name);
        self.replies.get_or_create(&ReplyLabels { stage, class: class_of(reply.code()) }).inc();
    }

    /// A transaction came to its end; `octets` is the size of its message, where that was read whole.
    pub fn transaction(&self, verdict: Verdict, octets: Option<u64>) {
        self.transactions.get_or_create(&TransactionLabels { verdict: verdict.name() }).inc();
        if let (Some(outcome), Some(octets)) = (verdict.of_message(), octets) {
            self.message(outcome, octets);
        }
    }

    fn message(&self, outcome: MessageOutcome, octets: u64) {
        self.messages.get_or_create(&MessageLabels { outcome }).inc();
        if outcome == MessageOutcome::Accepted {
            self.message_octets.inc_by(octets);
        }
    }

    /// Octets were exchanged with a client.
    pub fn traffic(&self, direction: Direction, octets: u64) {
        self.octets.get_or_create(&DirectionLabels { direction }).inc_by(octets);
    }

    /// A throttle refused something.
    pub fn throttled(&self, class: ThrottleClass) {
        let class = match class {
            ThrottleClass::Connection => "connection",
            ThrottleClass::Sender => "sender",
            ThrottleClass::Recipient => "recipient",
        };
        self.throttled.get_or_create(&ThrottleLabels { class }).inc();
    }

    /// An AUTH command came to its end.
    pub fn authenticated(&self, outcome: AuthOutcome) {
        self.authentications.get_or_create(&AuthLabels { outcome }).inc();
    }

    /// A reload came to its end.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// A policy is in force from now on.
    pub fn applied(&self, snapshot: &Snapshot) {
        self.revision.clear();
        let labels = RevisionLabels { revision: Arc::clone(&snapshot.policy.revision) };
        self.revision.get_or_create(&labels).set(1);
        self.certificates.clear();
        for facts in snapshot.certificates() {
            let labels = CertificateLabels { certificate: Arc::clone(&facts.source) };
            self.certificates.get_or_create(&labels).set(facts.not_after);
        }
    }

    /// The counters of the resolver.
    #[must_use]
    pub fn dns(&self) -> &DnsMetrics {
        &self.dns
    }

    /// The counters of the shared store.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// The counters of directories.
    #[must_use]
    pub fn directories(&self) -> DirectoryMetrics {
        self.directories.clone()
    }

    /// The counters of filters.
    #[must_use]
    pub fn filters(&self) -> &FilterMetrics {
        &self.filters
    }

    /// All of it as OpenMetrics text.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a mistake in its definition.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// A session that counts as open until this is dropped.
#[derive(Debug)]
pub struct OpenSession(Gauge);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl From<Full> for TurnedAway {
    fn from(full: Full) -> Self {
        match full {
            Full::Listener => Self::ListenerFull,
            Full::Server => Self::ServerFull,
        }
    }
}

const fn class_of(code: u16) -> &'static str {
    match code / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAwayLabels {
    listener: Arc<str>,
    reason: TurnedAway,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplyLabels {
    stage: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    outcome: MessageOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransactionLabels {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThrottleLabels {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    outcome: AuthOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: ReloadOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevisionLabels {
    revision: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: Arc<str>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{certificate, listener, snapshot_of};
    use postern_core::policy::Policy;
    use postern_core::policy::listener::ListenerTls;

    #[test]
    fn a_session_is_open_until_its_guard_is_dropped() {
        let metrics = Metrics::default();
        let open = metrics.session_begins(&Arc::from("smtp"));
        assert!(metrics.encode().unwrap().contains("postern_sessions_open{listener=\"smtp\"} 1\n"));
        drop(open);
        let text = metrics.encode().unwrap();
        assert!(text.contains("postern_sessions_open{listener=\"smtp\"} 0\n"));
        assert!(text.contains("postern_sessions_total{listener=\"smtp\"} 1\n"));
    }

    #[test]
    fn only_the_policy_in_force_is_shown() {
        let metrics = Metrics::default();
        metrics.applied(&snapshot_of(Policy { revision: "one".into(), ..Policy::default() }));
        metrics.applied(&snapshot_of(Policy { revision: "two".into(), ..Policy::default() }));
        let text = metrics.encode().unwrap();
        assert!(text.contains("postern_policy{revision=\"two\"} 1\n"));
        assert!(!text.contains("revision=\"one\""));
    }

    #[test]
    fn certificates_show_when_they_expire() {
        let metrics = Metrics::default();
        let mut smtp = listener("smtp", "127.0.0.1:0");
        smtp.tls = Some(ListenerTls {
            certificates: vec![certificate("mx-tls", &["mx.example.org"])],
            implicit: false,
            min_version: Default::default(),
            disabled_cipher_suites: Vec::new(),
            ignore_client_order: true,
        });
        metrics.applied(&snapshot_of(Policy { listeners: vec![Arc::new(smtp)], ..Policy::default() }));
        let text = metrics.encode().unwrap();
        assert!(text.contains("postern_certificate_expiry_timestamp_seconds{certificate=\"mx-tls\"} "));
    }

    #[test]
    fn replies_are_counted_by_stage_and_class() {
        let metrics = Metrics::default();
        metrics.turned_away(&Arc::from("smtp"), TurnedAway::from(Full::Server));
        metrics.message(MessageOutcome::Accepted, 70);
        metrics.message(MessageOutcome::Rejected, 900);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(
                "postern_connections_turned_away_total{listener=\"smtp\",reason=\"ServerFull\"} 1\n"
            )
        );
        assert!(text.contains("postern_messages_accepted_bytes_total 70\n"));
        assert_eq!(
            [class_of(250), class_of(354), class_of(421), class_of(550)],
            ["2xx", "3xx", "4xx", "5xx"]
        );
    }

    /// Name and labels of every metric that is shown, as the document has them.
    fn shown(text: &str) -> BTreeMap<String, String> {
        let mut metrics = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = match line.split_once('{') {
                Some((name, rest)) => (name, rest.rsplit_once('}').unwrap().0),
                None => (line.split_once(' ').unwrap().0, ""),
            };
            let name =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels = labels
                .split(',')
                .filter_map(|label| Some(label.split_once('=')?.0))
                .filter(|name| *name != "le");
            let mut labels: Vec<_> = labels.map(|label| format!("`{label}`")).collect();
            labels.sort();
            let known: &mut String = metrics.entry(name.to_owned()).or_default();
            if known.is_empty() {
                *known = labels.join(", ");
            }
        }
        metrics
    }

    #[test]
    fn the_document_lists_exactly_what_is_shown() {
        let mut smtp = listener("smtp", "127.0.0.1:0");
        smtp.tls = Some(ListenerTls {
            certificates: vec![certificate("mx-tls", &["mx.example.org"])],
            implicit: false,
            min_version: Default::default(),
            disabled_cipher_suites: Vec::new(),
            ignore_client_order: true,
        });
        let metrics = Metrics::default();
        metrics.applied(&snapshot_of(Policy { listeners: vec![Arc::new(smtp)], ..Policy::default() }));
        drop(metrics.session_begins(&Arc::from("smtp")));
        metrics.turned_away(&Arc::from("smtp"), TurnedAway::ServerFull);
        metrics.replied(Some(Stage::Mail), &Reply::plain(250, ""));
        metrics.transaction(Verdict::Accepted, Some(1));
        metrics.traffic(Direction::Received, 1);
        metrics.throttled(ThrottleClass::Sender);
        metrics.authenticated(AuthOutcome::Accepted);
        metrics.reloaded(ReloadOutcome::Applied);
        metrics.handoff.count_everything();
        metrics.dns.count_everything();
        metrics.filters.count_everything();
        metrics.store.count_everything();
        metrics.directories.count_everything();
        let document = include_str!("../../docs/observability.md");
        let ours = document.split("### Of the server").nth(1).unwrap().split("\n### ").next().unwrap();
        let rows = ours.lines().filter(|line| line.starts_with("| `postern_")).map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            (cells.next().unwrap().trim_matches('`').to_owned(), cells.next().unwrap().to_owned())
        });
        assert_eq!(rows.collect::<BTreeMap<_, _>>(), shown(&metrics.encode().unwrap()));
        let row = ours.lines().find(|line| line.starts_with("| `postern_authentications_total`")).unwrap();
        for outcome in AuthOutcome::ALL {
            assert!(row.contains(&format!("`{outcome:?}`")), "{outcome:?}");
        }
    }
}
