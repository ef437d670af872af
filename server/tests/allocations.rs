//! How often a message makes the gate ask for memory, from MAIL to the next hop's answer.
//!
//! The gate is the real one, with its listener and its hand-off, in this process; client and next hop use the same
//! buffers for every message, so what is counted is the gate's. A figure that grows is a step back on the path that
//! every message takes; one that shrinks is lowered here. `POSTERN_ALLOCATIONS=FILE` writes who asked for the memory,
//! as DHAT's viewer reads it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that trips over itself has failed")]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use postern_server::connection;
use postern_server::folder::Folder;
use postern_server::message::{Budget, MessageStore};
use postern_server::metrics::Metrics;
use postern_server::reload::{Loaded, Reloader, Source};
use postern_server::status::Status;
use tracing_subscriber::filter::LevelFilter;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Allocations of one message that is relayed, at the most: 86 are known, and some that come once in a while.
const OF_A_MESSAGE: f64 = 87.0;

const WARM_UP: u32 = 50;
const MESSAGES: u32 = 200;
const OCTETS: usize = 4096;

#[test]
fn a_relayed_message_asks_for_memory_no_oftener_than_it_has_to() {
    let profiler = match std::env::var_os("POSTERN_ALLOCATIONS") {
        Some(file) => dhat::Profiler::builder().file_name(file).build(),
        None => dhat::Profiler::builder().testing().build(),
    };
    // As `serve` logs, but to nobody.
    tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).with_writer(io::sink).init();
    let hop = next_hop();
    // One thread, so that no second one grows buffers of its own in the middle.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (address, _gate) = runtime.block_on(gate(hop));
    let mut client = Client::connect(address);
    client.send(WARM_UP);
    let before = dhat::HeapStats::get();
    client.send(MESSAGES);
    let after = dhat::HeapStats::get();
    let each = |before: u64, after: u64| (after - before) as f64 / f64::from(MESSAGES);
    let blocks = each(before.total_blocks, after.total_blocks);
    let octets = each(before.total_bytes, after.total_bytes);
    println!("a message of {OCTETS} octets: {blocks:.2} allocations, {octets:.0} octets");
    drop(profiler);
    assert!(blocks <= OF_A_MESSAGE, "{blocks} allocations, {OF_A_MESSAGE} are allowed");
}

/// A gate that relays everything to this next hop; it runs for as long as the second value lives.
async fn gate(hop: SocketAddr) -> (SocketAddr, impl Sized) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gate.yaml"), manifests(hop)).unwrap();
    let source = Arc::new(AnyPort(Folder::new(folder.path().to_owned(), None)));
    let messages = MessageStore::new(folder.path(), Budget::new(0, 0));
    let status = Arc::<Status>::default();
    let reloader =
        Reloader::start(source, connection::serve, messages, Metrics::default(), Arc::clone(&status));
    let reloader = reloader.await.unwrap();
    let address = status.report().listeners[0].address.parse().unwrap();
    (address, (reloader, folder))
}

fn manifests(hop: SocketAddr) -> String {
    let objects = [
        ("MtaSettings", "{defaultHostname: gate.example.test}".to_owned()),
        ("MtaListener", "{bind: [\"127.0.0.1:2525\"], publicPort: 25}".to_owned()),
        ("MtaDomain", "{name: example.test, allowRelaying: true}".to_owned()),
        ("MtaRoute", format!("{{type: Relay, address: \"{}\", port: {}}}", hop.ip(), hop.port())),
        ("MtaStageData", "{maxMessages: 1000000}".to_owned()),
        (
            "MtaSenderAuth",
            "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, dkimVerify: disable, \
             dmarcVerify: disable}"
                .to_owned(),
        ),
    ];
    let document = |(kind, spec): &(&str, String)| {
        format!(
            "---\napiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: default}}\nspec: {spec}\n"
        )
    };
    objects.iter().map(document).collect()
}

/// A folder whose listeners take whatever port is free, which manifests may not ask for.
struct AnyPort(Folder);

impl Source for AnyPort {
    fn folder(&self) -> &Path {
        self.0.folder()
    }

    fn load(&self) -> io::Result<Loaded> {
        let mut loaded = self.0.load()?;
        for listener in loaded.policy.iter_mut().flat_map(|policy| &mut policy.listeners) {
            Arc::make_mut(listener).bind = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        }
        Ok(loaded)
    }
}

/// A client that says one command at a time, as most do.
struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    message: Vec<u8>,
}

impl Client {
    fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut message = b"From: a@example.org\r\nTo: b@example.test\r\nSubject: one of many\r\n\
            Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
            .to_vec();
        while message.len() < OCTETS {
            message
                .extend_from_slice(b"Nothing in this line is out of the ordinary, nor in the next one.\r\n");
        }
        message.extend_from_slice(b".\r\n");
        let mut client = Self { stream: BufReader::new(stream), line: Vec::new(), message };
        client.expect(b"220");
        client.say(b"EHLO client.example.org\r\n", b"250");
        client
    }

    fn send(&mut self, messages: u32) {
        for _ in 0..messages {
            self.say(b"MAIL FROM:<a@example.org>\r\n", b"250");
            self.say(b"RCPT TO:<b@example.test>\r\n", b"250");
            self.say(b"DATA\r\n", b"354");
            self.stream.get_ref().write_all(&self.message).unwrap();
            self.expect(b"250");
        }
    }

    fn say(&mut self, command: &[u8], code: &[u8]) {
        self.stream.get_ref().write_all(command).unwrap();
        self.expect(code);
    }

    /// Reads a reply to its last line.
    fn expect(&mut self, code: &[u8]) {
        loop {
            self.line.clear();
            self.stream.read_until(b'\n', &mut self.line).unwrap();
            assert!(self.line.starts_with(code), "{}", String::from_utf8_lossy(&self.line));
            if self.line.get(3) == Some(&b' ') {
                return;
            }
        }
    }
}

/// A next hop that takes everything.
fn next_hop() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(|| take(stream.unwrap()));
        }
    });
    address
}

fn take(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(65_536, stream);
    let (mut line, mut replies) = (Vec::new(), b"220 hop.example.test ESMTP\r\n".to_vec());
    let mut in_message = false;
    loop {
        // A group of commands has its replies in one piece.
        if reader.buffer().is_empty() {
            reader.get_ref().write_all(&replies)?;
            replies.clear();
        }
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match &*line {
            b".\r\n" if in_message => {
                in_message = false;
                b"250 2.0.0 taken\r\n"
            }
            _ if in_message => b"",
            b"DATA\r\n" => {
                in_message = true;
                b"354 go ahead\r\n"
            }
            _ if line.starts_with(b"EHLO") => b"250-hop.example.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            _ => b"250 2.1.0 OK\r\n",
        };
        replies.extend_from_slice(reply);
    }
}
