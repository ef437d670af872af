//! An authoritative name server on loopback, for tests.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinEncodable};
use postern_core::policy::settings::{Dns, DnsProtocol, DnsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::{DnsMetrics, Resolver, transport};

/// What a [`Nameserver`] knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    records: HashMap<Name, Vec<RData>>,
    failing: HashSet<Name>,
    silent: HashSet<Name>,
    truncated: HashSet<Name>,
}

impl Zone {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: &str, data: RData) -> Self {
        self.records.entry(fqdn(name)).or_default().push(data);
        self
    }

    pub(crate) fn a(self, name: &str, address: &str) -> Self {
        self.with(name, RData::A(A(address.parse().unwrap())))
    }

    pub(crate) fn aaaa(self, name: &str, address: &str) -> Self {
        self.with(name, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    pub(crate) fn mx(self, name: &str, preference: u16, host: &str) -> Self {
        self.with(name, RData::MX(MX::new(preference, fqdn(host))))
    }

    pub(crate) fn cname(self, name: &str, target: &str) -> Self {
        self.with(name, RData::CNAME(CNAME(fqdn(target))))
    }

    pub(crate) fn ptr(self, address: &str, name: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        self.with(&Name::from(address).to_ascii(), RData::PTR(PTR(fqdn(name))))
    }

    /// A PTR record under a name that is written out.
    pub(crate) fn ptr_of_name(self, name: &str, target: &str) -> Self {
        self.with(name, RData::PTR(PTR(fqdn(target))))
    }

    /// One record for each text, cut into strings of 255 octets.
    pub(crate) fn txt(self, name: &str, texts: &[&str]) -> Self {
        texts.iter().fold(self, |zone, text| {
            let strings: Vec<String> =
                text.as_bytes().chunks(255).map(|s| String::from_utf8(s.to_vec()).unwrap()).collect();
            zone.with(name, RData::TXT(TXT::new(strings)))
        })
    }

    /// One record of several strings.
    pub(crate) fn txt_strings(self, name: &str, strings: &[&str]) -> Self {
        let strings = strings.iter().map(|string| string.as_bytes()).collect();
        self.with(name, RData::TXT(TXT::from_bytes(strings)))
    }

    /// SERVFAIL for every question about a name that has no record for it.
    pub(crate) fn server_failure(mut self, name: &str) -> Self {
        self.failing.insert(fqdn(name));
        self
    }

    /// No answer to any question about a name.
    pub(crate) fn silence(mut self, name: &str) -> Self {
        self.silent.insert(fqdn(name));
        self
    }

    /// Over UDP only the head of the answer, cut.
    pub(crate) fn truncated(mut self, name: &str) -> Self {
        self.truncated.insert(fqdn(name));
        self
    }

    fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let question = Message::from_bytes(question).ok()?;
        let mut answer = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        for query in &question.queries {
            let name = query.name().to_lowercase();
            if self.silent.contains(&name) {
                return None;
            }
            answer.add_query(query.clone());
            if self.failing.contains(&name) && !self.has(&name, query.query_type()) {
                answer.metadata.response_code = ResponseCode::ServFail;
            } else if udp && self.truncated.contains(&name) {
                answer.metadata.truncation = true;
            } else {
                self.find(&name, query.query_type(), &mut answer);
                // Without it nobody may remember that there is nothing (RFC 2308 section 5).
                let soa = SOA::new(Name::root(), Name::root(), 1, 300, 300, 300, 300);
                answer.add_authority(Record::from_rdata(Name::root(), 300, RData::SOA(soa)));
            }
        }
        answer.to_bytes().ok()
    }

    fn has(&self, name: &Name, kind: RecordType) -> bool {
        self.records.get(name).is_some_and(|records| records.iter().any(|data| data.record_type() == kind))
    }

    /// The records of a name, and behind an alias those of its target.
    fn find(&self, name: &Name, kind: RecordType, answer: &mut Message) {
        let mut name = name.clone();
        for _ in 0..8 {
            let Some(records) = self.records.get(&name) else {
                // A name with others below it exists (RFC 8020).
                if !self.records.keys().any(|other| name.zone_of(other)) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                return;
            };
            for data in records.iter().filter(|data| data.record_type() == kind) {
                answer.add_answer(Record::from_rdata(name.clone(), 300, data.clone()));
            }
            let alias = records.iter().find_map(|data| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            });
            let Some(target) = alias else { return };
            answer.add_answer(Record::from_rdata(name.clone(), 300, RData::CNAME(CNAME(target.clone()))));
            name = target;
        }
    }
}

/// Serves a zone over UDP and TCP on the same port until it is dropped.
#[derive(Debug)]
pub(crate) struct Nameserver {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Nameserver {
    pub(crate) async fn start(zone: Zone) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (zone, questions) = (Arc::new(zone), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&zone), Arc::clone(&questions)));
        tasks.spawn(serve_tcp(tcp, zone));
        Self { address, questions, _tasks: tasks }
    }

    /// The same over UDP alone: whoever comes over TCP finds nobody.
    pub(crate) async fn start_without_tcp(zone: Zone) -> Self {
        let (udp, tcp) = sockets().await;
        drop(tcp);
        let address = udp.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::new(zone), Arc::clone(&questions)));
        Self { address, questions, _tasks: tasks }
    }

    /// Settings that name this server alone.
    pub(crate) fn settings(&self) -> Dns {
        let server = DnsServer { address: self.address, protocol: DnsProtocol::Udp };
        Dns { servers: vec![server], timeout: Duration::from_secs(5), attempts: 1 }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(&self.settings(), DnsMetrics::default())
    }

    /// The resolver of the library, for what takes no other.
    pub(crate) fn library(&self) -> TokioResolver {
        transport::build(&self.settings()).unwrap()
    }

    /// How many questions came over UDP.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Another program may hold the same port for TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Zone>, questions: Arc<AtomicUsize>) {
    let mut question = [0; 4096];
    while let Ok((octets, peer)) = socket.recv_from(&mut question).await {
        questions.fetch_add(1, Ordering::Relaxed);
        if let Some(answer) = zone.answer(&question[..octets], true) {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Zone>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let zone = Arc::clone(&zone);
        connections.spawn(async move {
            while let Ok(octets) = stream.read_u16().await {
                let mut question = vec![0; octets.into()];
                if stream.read_exact(&mut question).await.is_err() {
                    return;
                }
                let Some(answer) = zone.answer(&question, false) else { continue };
                let framed = [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn fqdn(name: &str) -> Name {
    let labels = name.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(|label| label.to_ascii_lowercase().into_bytes())).unwrap()
}
