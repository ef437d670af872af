//! A conversation over TCP: the real driver with its real services, and next hops that follow the transcript.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_core::policy::Policy;
use postern_core::policy::listener::{CertificatePem, Listener, ListenerTls, Protocol, TlsVersion};
use postern_core::policy::route::{
    ClientTls, HopAddress, PoolLimits, Relay, RelayTimeouts, Route, RouteTarget, Routes, TlsMode,
};
use postern_core::policy::secret::Secret;
use postern_server::accepted::{Accepted, Stream};
use postern_server::capacity::Capacity;
use postern_server::connection;
use postern_server::drain::Times;
use postern_server::gate::Gate;
use postern_server::message::{Budget, MessageStore};
use postern_server::metrics::Metrics;
use postern_server::snapshot::Snapshot;
use postern_server::tls::TlsContext;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::format::{Happening, Step, TlsOffer, Transcript};
use super::hop::Hop;
use super::outside::Outside;
use super::play::{Handed, Peer, Seen};

/// Why a transcript cannot be played over TCP, if so.
pub(crate) fn obstacle(transcript: &Transcript, policy: &Policy) -> Option<String> {
    if let Some(given) = transcript.given.iter().find(|given| !HOP_TOPICS.contains(&&*given.topic)) {
        return Some(format!("nobody outside says `{}` by a script", given.topic));
    }
    // Even one without an answer of its own says something in memory, and nobody is there over TCP.
    let filters = &policy.filters;
    if !filters.milters.is_empty() || !filters.hooks.is_empty() {
        return Some("nobody outside plays its filters".to_owned());
    }
    if transcript.objects.contains("MtaSenderAuth") {
        return Some("what senders publish is not scripted".to_owned());
    }
    if transcript.clock_stands_still {
        return Some("its dates are those of a clock that stands still".to_owned());
    }
    let takes_time = |step: &Step| match step {
        Step::Waits(span) => *span > LONGEST_WAIT,
        Step::Passes(_) => true,
        Step::Happens(happening) => *happening != Happening::Shutdown,
        _ => false,
    };
    transcript.steps.iter().any(|(_, step)| takes_time(step)).then(|| "it takes too long".to_owned())
}

/// What all transcripts share: threads of the server, and a certificate.
pub(crate) struct Ground {
    runtime: Runtime,
    context: TlsContext,
    certificate: CertificatePem,
    client: Arc<ClientConfig>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![HOST.to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate.der().to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            context: TlsContext::new().unwrap(),
            certificate: CertificatePem {
                source: "transcripts".into(),
                chain: certificate.pem().into(),
                key: Secret::new(key.serialize_pem()),
            },
            client: Arc::new(client),
        }
    }
}

/// The gate of one transcript, and a client's connection to it.
pub(crate) struct Tcp<'a> {
    ground: &'a Ground,
    gate: Arc<Gate>,
    address: SocketAddr,
    tls: TlsOffer,
    hops: Vec<Hop>,
    client: Client,
    handed: VecDeque<Handed>,
    asked: Instant,
}

impl<'a> Tcp<'a> {
    pub(crate) fn new(
        ground: &'a Ground,
        mut policy: Policy,
        transcript: &Transcript,
        outside: &Rc<Outside>,
    ) -> Result<Self, String> {
        let hops: Vec<Hop> = policy
            .routes
            .iter()
            .map(|route| Hop::start(&route.name, outside))
            .collect::<io::Result<_>>()
            .map_err(text)?;
        policy.routes = Routes::new(policy.routes.iter().zip(&hops).map(|(route, hop)| towards(route, hop)));
        let listener = listener(&policy, transcript, ground)?;
        policy.listeners = vec![Arc::clone(&listener)];
        let capacity = Capacity::default();
        let first =
            Snapshot::compile(policy, &ground.context, &capacity).map_err(|faults| format!("{faults:?}"))?;
        let messages = MessageStore::new(std::env::temp_dir(), Budget::new(0, 0));
        let gate = Arc::new(Gate::new(first, capacity, Metrics::default(), messages));
        let address = serve(ground, &gate, &listener, transcript).map_err(text)?;
        let tls = transcript.client.tls;
        Ok(Self {
            ground,
            gate,
            address,
            tls,
            hops,
            client: Client::connect(ground, address, tls)?,
            handed: VecDeque::new(),
            asked: Instant::now(),
        })
    }
}

/// The same route, to a hop of ours; it speaks LMTP, so that it can tell recipients apart.
fn towards(route: &Route, hop: &Hop) -> Route {
    let usual = Relay {
        addresses: Vec::new(),
        balance: false,
        protocol: Protocol::Lmtp,
        tls_mode: TlsMode::Disable,
        tls: ClientTls::default(),
        credentials: None,
        verify_recipients: false,
        add_delivered_to: false,
        pool: PoolLimits::default(),
        timeouts: RelayTimeouts::default(),
    };
    let relay = Relay {
        addresses: vec![HopAddress { host: "127.0.0.1".into(), port: hop.port() }],
        verify_recipients: route.verifies_recipients(),
        ..usual
    };
    Route { name: Arc::clone(&route.name), target: RouteTarget::Relay(Box::new(relay)) }
}

fn listener(policy: &Policy, transcript: &Transcript, ground: &Ground) -> Result<Arc<Listener>, String> {
    let listener = policy
        .listeners
        .iter()
        .find(|listener| listener.protocol.name() == transcript.client.protocol)
        .ok_or("the policy has no such listener")?;
    let tls = ListenerTls {
        certificates: vec![ground.certificate.clone()],
        implicit: transcript.client.tls == TlsOffer::Implicit,
        min_version: TlsVersion::default(),
        disabled_cipher_suites: Vec::new(),
        ignore_client_order: true,
    };
    let tls = (transcript.client.tls != TlsOffer::None).then_some(tls);
    Ok(Arc::new(Listener { tls, ..(**listener).clone() }))
}

/// Accepts as the listener would, but with the client's address that the transcript says.
fn serve(
    ground: &Ground,
    gate: &Arc<Gate>,
    listener: &Arc<Listener>,
    transcript: &Transcript,
) -> io::Result<SocketAddr> {
    let acceptor = gate.snapshot().serving(listener.bind[0]).and_then(|served| served.acceptor.clone());
    let (gate, listener, facts) = (Arc::clone(gate), Arc::clone(listener), transcript.client.clone());
    let socket = ground.runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = socket.local_addr()?;
    ground.runtime.spawn(async move {
        while let Ok((stream, remote)) = socket.accept().await {
            let mut stream = Stream::Plain(stream);
            let mut tls = None;
            if let (TlsOffer::Implicit, Some(acceptor)) = (facts.tls, &acceptor) {
                let Ok((inside, of)) = stream.start_tls(acceptor, PATIENCE).await else { continue };
                (stream, tls) = (inside, Some(of));
            }
            let Ok(permit) = gate.capacity.admit(&gate.capacity.of(&listener.name), 10, 10) else { continue };
            let accepted = Accepted {
                snapshot: gate.snapshot(),
                listener: Arc::clone(&listener),
                remote: SocketAddr::new(facts.remote, remote.port()),
                local: address,
                local_port: facts.port,
                acceptor: acceptor.clone(),
                tls,
                stream,
                permit,
            };
            tokio::spawn(connection::serve(accepted, Arc::clone(&gate)));
        }
    });
    Ok(address)
}

impl Peer for Tcp<'_> {
    fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.asked = Instant::now();
        self.client.transport.write(octets).map_err(text)
    }

    fn next(&mut self) -> Option<Seen> {
        self.client.next()
    }

    fn unexpected(&mut self) -> Option<Seen> {
        self.client.unread()
    }

    fn pause(&mut self, span: Duration) -> Result<(), String> {
        let line = self.client.next();
        if self.asked.elapsed() < span {
            return Err(format!("a pause of {span:?} was expected"));
        }
        self.client.put_back(line);
        Ok(())
    }

    fn handshake(&mut self) -> Result<(), String> {
        self.client.handshake(self.ground)
    }

    fn happens(&mut self, _: Happening) -> Result<(), String> {
        let gate = Arc::clone(&self.gate);
        self.ground.runtime.spawn(async move {
            let times = Times { delay: Duration::ZERO, timeout: PATIENCE };
            gate.drain.run(times, std::future::pending(), std::future::pending()).await
        });
        Ok(())
    }

    fn later(&mut self, _: Duration) -> Result<(), String> {
        Err("time cannot be moved here".to_owned())
    }

    fn connect_again(&mut self) -> Result<(), String> {
        self.client = Client::connect(self.ground, self.address, self.tls)?;
        Ok(())
    }

    fn handed(&mut self) -> &mut VecDeque<Handed> {
        self.handed.extend(self.hops.iter().flat_map(Hop::take));
        &mut self.handed
    }
}

/// The client's end of a connection.
struct Client {
    transport: Transport,
    heard: Vec<u8>,
    seen: VecDeque<Seen>,
    has_ended: bool,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Broken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Patiently,
    No,
}

impl Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
            Self::Broken => Ok(0),
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets),
            Self::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a read waits for octets to come, for as long as a test is patient, or takes what is here.
    fn wait(&self, wait: Wait) -> io::Result<()> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
            Self::Broken => return Ok(()),
        };
        stream.set_nonblocking(wait == Wait::No)?;
        stream.set_read_timeout(Some(PATIENCE))
    }
}

impl Client {
    fn connect(ground: &Ground, address: SocketAddr, tls: TlsOffer) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let transport = Transport::Plain(stream);
        let mut client = Self { transport, heard: Vec::new(), seen: VecDeque::new(), has_ended: false };
        if tls == TlsOffer::Implicit {
            client.handshake(ground)?;
        }
        Ok(client)
    }

    fn handshake(&mut self, ground: &Ground) -> Result<(), String> {
        let name = ServerName::try_from(HOST).map_err(text)?;
        let connection = ClientConnection::new(Arc::clone(&ground.client), name).map_err(text)?;
        let Transport::Plain(stream) = std::mem::replace(&mut self.transport, Transport::Broken) else {
            return Err("TLS is already on".to_owned());
        };
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock).map_err(text)?;
        self.transport = Transport::Tls(Box::new(stream));
        Ok(())
    }

    fn next(&mut self) -> Option<Seen> {
        self.seen.pop_front().or_else(|| {
            self.hear(Wait::Patiently);
            self.seen.pop_front()
        })
    }

    /// What is here already. Replies come in the order of commands, so one that is too many and still on
    /// its way is seen in the place of the next.
    fn unread(&mut self) -> Option<Seen> {
        if self.seen.is_empty() && !self.has_ended {
            self.hear(Wait::No);
            // What follows is written, and waits.
            let _ = self.transport.wait(Wait::Patiently);
        }
        self.seen.pop_front()
    }

    fn put_back(&mut self, seen: Option<Seen>) {
        self.seen.extend(seen);
        self.seen.rotate_right(1);
    }

    fn hear(&mut self, wait: Wait) {
        let mut block = [0; 4096];
        if let Err(error) = self.transport.wait(wait) {
            self.seen.push_back(Seen::Line(error.to_string()));
        }
        while self.seen.is_empty() {
            match self.transport.read(&mut block) {
                Ok(octets) if octets > 0 => self.heard.extend_from_slice(&block[..octets]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break;
                }
                // A gate that closes with octets of ours unread resets the connection.
                Ok(_) | Err(_) => {
                    self.has_ended = true;
                    self.seen.push_back(Seen::End);
                }
            }
            while let Some(at) = self.heard.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=at).collect();
                self.seen.push_back(Seen::Line(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Topics that a next hop answers.
const HOP_TOPICS: [&str; 2] = ["next hop", "last answer"];
const HOST: &str = "mx.example.org";
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);
