//! A next hop that does what the test wants at the moment the test names, and remembers every message it took responsibility for.
//!
//! By itself it is a correct SMTP or LMTP server. [`Hop::arm`] makes it misbehave at a [`Phase`]; [`Hop::wait_for`] lets a test act
//! exactly when the gate has come to one. A message is in [`Hop::stored`] from the moment before its positive answer is written:
//! from then on the hop would deliver it, whether or not anybody hears the answer.

mod session;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What the hop speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321: one answer for each message.
    Smtp,
    /// RFC 2033: one answer for each recipient.
    Lmtp,
}

/// A moment in the hop's conversation. Unless said otherwise: the command was read and is not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A connection was accepted, no greeting was sent.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, or the first BDAT of a message.
    Data,
    /// The first octets of the message have come.
    Body,
    /// The whole message was read and is not stored.
    Dot,
    /// The message is stored, nothing was answered.
    Stored,
    /// The answer to the message was written.
    Answered,
}

/// What the hop does instead of going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Gives this reply (CRLF is added) instead of its own.
    Answer(String),
    /// Closes the connection in an orderly way.
    Close,
    /// Breaks the connection with a TCP reset.
    Reset,
    /// Never answers.
    Hang,
    /// Stands still until [`Hop::release`], then goes on correctly.
    Hold,
    /// Sends octets that are no reply, and never more.
    Garbage,
    /// Sends a reply line that does not end, as long as it is taken.
    Flood,
    /// Answers correctly, one octet after each pause; in [`Phase::Body`] it reads that slowly.
    Slow(Duration),
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next time only.
    Once,
    /// Until [`Hop::heal`].
    Always,
}

/// A message that the hop took responsibility for.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Which connection brought it, counted from 1.
    pub connection: u64,
    /// What followed `MAIL FROM:`, parameters included.
    pub sender: String,
    /// The addresses it was taken for, without brackets and parameters.
    pub recipients: Vec<String>,
    /// Length, dots undone.
    pub octets: u64,
    /// The message, cut at 4 MiB.
    pub message: Vec<u8>,
}

impl Stored {
    /// Whether the (kept part of the) message contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        let wanted = text.as_bytes();
        self.message.windows(wanted.len().max(1)).any(|part| part == wanted)
    }
}

/// The running next hop. It ends, and cuts all its connections, when it is dropped.
#[derive(Debug)]
pub struct Hop {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    /// The keywords of its EHLO answer.
    extensions: Vec<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<(Phase, Fault, Times)>,
    reached: HashMap<Phase, u64>,
    releases: u64,
    stored: Vec<Stored>,
    connections: u64,
    open: HashMap<u64, TcpStream>,
    /// Answers to RCPT, by address.
    at_rcpt: HashMap<String, String>,
    /// LMTP answers after the message, by address.
    at_dot: HashMap<String, String>,
    stopped: bool,
}

impl Hop {
    /// Starts a hop on a port of its own, with the extensions that every modern server has.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(protocol: Protocol) -> Result<Self> {
        Self::with_extensions(protocol, &MODERN)
    }

    /// Starts a hop with the same extensions on a socket that is there already.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn on(listener: TcpListener, protocol: Protocol) -> Result<Self> {
        Self::serve(listener, protocol, &MODERN)
    }

    /// Starts a hop that announces exactly these extensions. `CHUNKING` is understood.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn with_extensions(protocol: Protocol, extensions: &[&str]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the next hop cannot listen")?;
        Self::serve(listener, protocol, extensions)
    }

    fn serve(listener: TcpListener, protocol: Protocol, extensions: &[&str]) -> Result<Self> {
        let address = listener.local_addr()?;
        let extensions = extensions.iter().map(|keyword| (*keyword).to_owned()).collect();
        let shared =
            Arc::new(Shared { protocol, extensions, state: Mutex::default(), changed: Condvar::new() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it misbehave at a phase. A later fault for the same phase waits until the earlier one is used up.
    pub fn arm(&self, phase: Phase, fault: Fault, times: Times) {
        self.shared.lock().faults.push((phase, fault, times));
    }

    /// Forgets all faults and particular answers, and lets go whatever it holds.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.faults.clear();
        state.at_rcpt.clear();
        state.at_dot.clear();
        drop(state);
        self.release();
    }

    /// Answers RCPT for this address with `reply`, until [`Hop::heal`].
    pub fn answer_rcpt(&self, address: &str, reply: &str) {
        self.shared.lock().at_rcpt.insert(address.to_owned(), reply.to_owned());
    }

    /// LMTP: answers for this recipient after the message with `reply`, until [`Hop::heal`].
    pub fn answer_dot(&self, address: &str, reply: &str) {
        self.shared.lock().at_dot.insert(address.to_owned(), reply.to_owned());
    }

    /// Lets everything go on that stands at a [`Fault::Hold`] now.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }

    /// Closes every connection that is open now, so that the next message needs a new one.
    pub fn cut(&self) {
        for stream in self.shared.lock().open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How often a phase was reached so far.
    pub fn reached(&self, phase: Phase) -> u64 {
        self.shared.lock().reached.get(&phase).copied().unwrap_or(0)
    }

    /// Waits until a phase was reached more than `before` times, so: `let n = hop.reached(p); …; hop.wait_for(p, n, limit)`.
    ///
    /// # Errors
    /// When that does not happen within `within`.
    pub fn wait_for(&self, phase: Phase, before: u64, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        let mut state = self.shared.lock();
        while state.reached.get(&phase).copied().unwrap_or(0) <= before {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the gate did not come to {phase:?} within {within:?}");
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Every message it took responsibility for, oldest first.
    pub fn stored(&self) -> Vec<Stored> {
        self.shared.lock().stored.clone()
    }

    /// How many copies of the message that contains `mark` it holds for `recipient`.
    pub fn copies(&self, mark: &str, recipient: &str) -> usize {
        let state = self.shared.lock();
        let copies = state.stored.iter().filter(|stored| stored.contains(mark));
        copies.filter(|stored| stored.recipients.iter().any(|address| address == recipient)).count()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // The acceptor looks at `stopped` after each connection.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a phase was reached, and takes the fault armed for it with the count of releases at that moment: a release
    /// that follows the notice at once must already let it go.
    fn reach(&self, phase: Phase) -> Option<(Fault, u64)> {
        let mut state = self.lock();
        *state.reached.entry(phase).or_default() += 1;
        let armed = state.faults.iter().position(|(at, _, _)| *at == phase);
        let fault = armed.and_then(|at| match state.faults.get(at) {
            Some((_, fault, Times::Always)) => Some(fault.clone()),
            Some((_, _, Times::Once)) => Some(state.faults.remove(at).1),
            None => None,
        });
        let releases = state.releases;
        drop(state);
        self.changed.notify_all();
        fault.map(|fault| (fault, releases))
    }

    /// Blocks until there were more releases than `before`, or the end of the hop.
    fn hold(&self, before: u64) {
        let mut state = self.lock();
        while state.releases <= before && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        let mut state = shared.lock();
        if state.stopped {
            return;
        }
        state.connections += 1;
        let number = state.connections;
        if let Ok(copy) = stream.try_clone() {
            state.open.insert(number, copy);
        }
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // An error is the end of this connection, which the fault wanted or the gate caused; the test looks at the outcome.
            let _ = session::serve(&shared, stream, number);
            shared.lock().open.remove(&number);
        });
    }
}

const MODERN: [&str; 6] = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 0", "DSN"];
