//! The client's socket with its read buffer, its replies to come, and the clocks that watch over it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use postern_core::session::Limits;
use postern_core::session::event::Event;
use postern_core::smtp::line::LineReader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::accepted::Stream;
use crate::drain::Phase;
use crate::tls::TlsFacts;

/// The octets of a connection, both ways.
pub(super) struct Wire {
    /// Absent only while a handshake runs, and after one that failed.
    stream: Option<Stream>,
    reader: LineReader,
    outgoing: Vec<u8>,
    drain: watch::Receiver<Phase>,
    limits: Limits,
    began: Instant,
    /// One timer for all waits; it is set anew only when it fires too early.
    timer: Pin<Box<Sleep>>,
    received: u64,
    sent: u64,
}

/// What a wait for octets has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    Some,
    /// The client has closed its side.
    Gone,
    Idle,
    Expired,
    Flooded,
    Draining,
}

/// Where in a session a wait for octets is, which decides when the end of the server cuts it short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing is lost: as soon as the listeners are closed.
    BetweenTransactions,
    /// When the time for transactions is up.
    InTransaction,
}

/// How long a client may take to read what we sent when the policy sets no limit.
const PATIENCE: Duration = Duration::from_secs(300);

impl Wire {
    pub(super) fn new(stream: Stream, drain: watch::Receiver<Phase>) -> Self {
        let began = Instant::now();
        Self {
            stream: Some(stream),
            reader: LineReader::new(),
            outgoing: Vec::new(),
            drain,
            limits: Limits { timeout: None, max_duration: None, transfer_limit: u64::MAX },
            began,
            timer: Box::pin(sleep_until(began + PATIENCE)),
            received: 0,
            sent: 0,
        }
    }

    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(super) fn reader(&mut self) -> &mut LineReader {
        &mut self.reader
    }

    /// Where replies are gathered until the client has nothing more for us to read.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    pub(super) fn octets(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Sends what is gathered and waits for more octets.
    pub(super) async fn fill(&mut self, room: usize, wait: Wait) -> io::Result<Filled> {
        self.flush().await?;
        // Between transactions, where a client may be silent for long, a session has no buffer. Within one the buffer
        // stays, unless it is larger than what is read next.
        self.reader.release(match wait {
            Wait::BetweenTransactions => 0,
            Wait::InTransaction => room,
        });
        // A client that never pauses has no wait that could be cut short.
        if *self.drain.borrow() >= Phase::Expired {
            return Ok(Filled::Draining);
        }
        if self.received > self.limits.transfer_limit {
            return Ok(Filled::Flooded);
        }
        let waiting_since = Instant::now();
        let Some(stream) = &mut self.stream else { return Ok(Filled::Gone) };
        // One octet beyond the limit is read, to know that there was one.
        let left = self.limits.transfer_limit.saturating_sub(self.received).saturating_add(1);
        let room_left = usize::try_from(left).unwrap_or(usize::MAX).min(room);
        let mut space = self.reader.space(room_left.max(1));
        let expiry = Expiry::of(&self.limits, waiting_since, self.began);
        let outcome = tokio::select! {
            biased;
            read = stream.read_buf(&mut space) => Ok(read?),
            late = expiry.wait(&mut self.timer) => Err(late),
            () = draining(&mut self.drain, wait) => Err(Filled::Draining),
        };
        match outcome {
            Ok(0) => Ok(Filled::Gone),
            Ok(octets) => {
                self.received = self.received.saturating_add(octets as u64);
                // What lies within the limit is still executed; the next wait ends with the flood.
                let excess = self.received.saturating_sub(self.limits.transfer_limit);
                let excess = usize::try_from(excess).unwrap_or(usize::MAX).min(octets);
                drop(space);
                self.reader.forget_last(excess);
                Ok(if octets > excess { Filled::Some } else { Filled::Flooded })
            }
            Err(filled) => Ok(filled),
        }
    }

    /// Reads so many octets and throws them away; an event says why that was not possible.
    pub(super) async fn swallow(&mut self, mut octets: u64) -> io::Result<Option<Event>> {
        while octets > 0 {
            let unread = self.reader.unread().len();
            if unread > 0 {
                let taken = usize::try_from(octets).unwrap_or(usize::MAX).min(unread);
                self.reader.consume(taken);
                octets -= taken as u64;
            } else if let Some(event) = self.more(SLOW_OCTETS).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Reads more in the middle of a message.
    pub(super) async fn more(&mut self, room: usize) -> io::Result<Option<Event>> {
        Ok(match self.fill(room, Wait::InTransaction).await? {
            Filled::Some => None,
            Filled::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
            Filled::Idle => Some(Event::Idle),
            Filled::Expired => Some(Event::Expired),
            Filled::Flooded => Some(Event::Flooded),
            Filled::Draining => Some(Event::Shutdown),
        })
    }

    /// Sends what is gathered once it is much, so that a client which pipelines and never reads is waited for before memory
    /// has grown with its commands.
    pub(super) async fn flush_much(&mut self) -> io::Result<()> {
        if self.outgoing.len() < KEPT_OCTETS {
            return Ok(());
        }
        self.flush().await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let patience = self.limits.timeout.unwrap_or(PATIENCE);
        let sending = async {
            stream.write_all(&self.outgoing).await?;
            stream.flush().await
        };
        timeout(patience, sending).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.sent = self.sent.saturating_add(self.outgoing.len() as u64);
        self.outgoing.clear();
        if self.outgoing.capacity() > KEPT_OCTETS {
            self.outgoing = Vec::new();
        }
        Ok(())
    }

    /// Throws away what was received in clear, and shakes hands.
    pub(super) async fn start_tls(
        &mut self,
        acceptor: &TlsAcceptor,
        limit: Duration,
    ) -> io::Result<TlsFacts> {
        let in_clear = std::mem::take(&mut self.reader).discard();
        if in_clear > 0 {
            tracing::warn!(octets = in_clear, "clear text behind STARTTLS was thrown away");
        }
        let stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let (stream, facts) = stream.start_tls(acceptor, limit).await?;
        self.stream = Some(stream);
        Ok(facts)
    }

    /// Sends what is gathered, ends our side, and lets the client end its own.
    ///
    /// What the client has sent meanwhile is read and thrown away for a moment: a socket that is closed
    /// over unread octets answers them with a reset, which can overtake our last reply.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        timeout(PATIENCE, stream.shutdown())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // The buffer of the reader, since one of our own would make every idle session larger.
        let reader = &mut self.reader;
        let farewell = async {
            for _ in 0..FAREWELL_READS {
                reader.consume(reader.unread().len());
                let mut rest = reader.space(FAREWELL_OCTETS);
                if !matches!(stream.read_buf(&mut rest).await, Ok(octets) if octets > 0) {
                    break;
                }
            }
        };
        // A client that stays longer is left alone.
        let _ = timeout(FAREWELL, farewell).await;
        Ok(())
    }
}

/// How long a client may take to end its side after ours.
const FAREWELL: Duration = Duration::from_secs(1);

/// Octets of one read of what a client sent after the end, at the least, and such reads at the most.
const FAREWELL_OCTETS: usize = 4096;
const FAREWELL_READS: usize = 64;

/// Room for reading message data: what a usual message fits into, and for a client that has filled it.
pub(super) const SLOW_OCTETS: usize = 16 * 1024;
pub(super) const FAST_OCTETS: usize = 64 * 1024;

/// So many octets of replies are sent before the next command is read; a buffer that grew beyond it is given back.
const KEPT_OCTETS: usize = 4096;

/// The moment at which a wait is over, and what it is over for.
struct Expiry {
    at: Option<Instant>,
    reason: Filled,
}

impl Expiry {
    fn of(limits: &Limits, waiting_since: Instant, began: Instant) -> Self {
        let idle = limits.timeout.and_then(|timeout| waiting_since.checked_add(timeout));
        let aged = limits.max_duration.and_then(|most| began.checked_add(most));
        match (idle, aged) {
            (Some(idle), Some(aged)) if aged < idle => Self { at: Some(aged), reason: Filled::Expired },
            (Some(idle), _) => Self { at: Some(idle), reason: Filled::Idle },
            (None, aged) => Self { at: aged, reason: Filled::Expired },
        }
    }

    /// Waits for that moment. The timer is moved only when it fires before it, or lies behind it: a busy
    /// connection sets it once in a while and not with every read.
    async fn wait(&self, timer: &mut Pin<Box<Sleep>>) -> Filled {
        let Some(at) = self.at else { return std::future::pending().await };
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            timer.as_mut().await;
            if Instant::now() >= at {
                return self.reason;
            }
            timer.as_mut().reset(at);
        }
    }
}

async fn draining(drain: &mut watch::Receiver<Phase>, wait: Wait) {
    let end = match wait {
        Wait::BetweenTransactions => Phase::Closing,
        Wait::InTransaction => Phase::Expired,
    };
    // A sender that is gone means that the process ends anyway.
    let _ = drain.wait_for(|phase| *phase >= end).await;
}
