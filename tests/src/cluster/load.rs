//! Clients that send all the time, and take notes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Client, Reply, letter};

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Connections at a time.
    pub connections: usize,
    /// Longest pause of a connection between two messages; each connection has another, in equal steps up to this one.
    pub pause: Duration,
    /// Messages on one connection before it says QUIT.
    pub messages: usize,
}

/// Twenty connections that take half a second to eight seconds for the ten messages that a connection may bring by default: some
/// are done when a pod that ends has waited for its `drainDelay`, and some are idle then.
impl Default for Pace {
    fn default() -> Self {
        Self { connections: 20, pause: Duration::from_millis(800), messages: 10 }
    }
}

/// Connections that send until they are stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Tally>>,
    begun: Instant,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Marks of the messages that were answered 250.
    pub taken: BTreeSet<String>,
    /// What went wrong, one line for each.
    pub failed: Vec<String>,
    /// How often a connection without a transaction heard 421, which is how a pod that ends says goodbye.
    pub farewells: u64,
    /// How long it took.
    pub lasted: Duration,
}

impl Load {
    /// Begins to send to `server`, for a recipient whose mail goes to a sink. `name` begins each mark.
    pub fn start(name: &str, server: SocketAddr, recipient: &str, pace: Pace) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let workers = (0..pace.connections)
            .map(|number| {
                let share = (number + 1) as f64 / pace.connections as f64;
                let pace = Pace { pause: pace.pause.mul_f64(share), ..pace };
                let worker = Worker {
                    mark: format!("{name}-{number}"),
                    server,
                    recipient: recipient.to_owned(),
                    pace,
                    stop: Arc::clone(&stop),
                    sent: Arc::clone(&sent),
                    tally: Tally::default(),
                };
                thread::spawn(move || worker.run())
            })
            .collect();
        Self { stop, sent, workers, begun: Instant::now() }
    }

    /// Messages taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Lets transactions in hand end; the sum of all connections.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally { lasted: self.begun.elapsed(), ..Tally::default() };
        for worker in self.workers {
            match worker.join() {
                Ok(tally) => {
                    sum.taken.extend(tally.taken);
                    sum.failed.extend(tally.failed);
                    sum.farewells += tally.farewells;
                }
                Err(_) => sum.failed.push("a client broke".to_owned()),
            }
        }
        sum
    }
}

impl Tally {
    /// Nothing failed, and every message that was taken is among those that the sink has.
    ///
    /// # Errors
    /// The first few of what is not so.
    pub fn is_whole(&self, roster: &BTreeSet<String>) -> Result<()> {
        let failed: Vec<&String> = self.failed.iter().take(5).collect();
        ensure!(failed.is_empty(), "{} failed, such as {failed:#?}", self.failed.len());
        let lost: Vec<&String> = self.taken.difference(roster).take(5).collect();
        ensure!(lost.is_empty(), "taken and not in the sink: {lost:?}");
        ensure!(!self.taken.is_empty(), "nothing was sent");
        Ok(())
    }
}

/// What a connection came to.
enum End {
    /// It said QUIT, or heard 421 outside of a transaction.
    Orderly,
    Broken(String),
}

struct Worker {
    mark: String,
    server: SocketAddr,
    recipient: String,
    pace: Pace,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    tally: Tally,
}

impl Worker {
    fn run(mut self) -> Tally {
        while !self.stop.load(Ordering::Relaxed) {
            let ended = self.connection().unwrap_or_else(|error| End::Broken(format!("{error:#}")));
            if let End::Broken(why) = ended {
                self.tally.failed.push(why);
                thread::sleep(Duration::from_millis(100));
            }
        }
        self.tally
    }

    fn connection(&mut self) -> Result<End> {
        let mut client = Client::connect_silent(self.server)?;
        let greeting = client.reply()?;
        if let Some(end) = self.unless(&greeting, 220) {
            return Ok(end);
        }
        let hello = client.command("EHLO client.example.org")?;
        if let Some(end) = self.unless(&hello, 250) {
            return Ok(end);
        }
        for _ in 0..self.pace.messages {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let open = client.command("MAIL FROM:<load@example.net>")?;
            if let Some(end) = self.unless(&open, 250) {
                return Ok(end);
            }
            self.transaction(&mut client)?;
            thread::sleep(self.pace.pause);
        }
        client.quit();
        Ok(End::Orderly)
    }

    /// From RCPT to the answer to the message: nothing but success will do.
    fn transaction(&mut self, client: &mut Client) -> Result<()> {
        client.expect(&format!("RCPT TO:<{}>", self.recipient), "250")?;
        client.expect("DATA", "354")?;
        let mark = format!("{}-{}", self.mark, self.tally.taken.len());
        let reply = client.message(&letter(&mark, 1500))?;
        ensure!(reply.is("250"), "{mark} was answered {reply}\n{}", client.transcript());
        self.tally.taken.insert(mark);
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Why a connection without a transaction ends, when it does not hear `wanted`.
    fn unless(&mut self, reply: &Reply, wanted: u16) -> Option<End> {
        if reply.code == wanted {
            return None;
        }
        if reply.code == 421 {
            self.tally.farewells += 1;
            return Some(End::Orderly);
        }
        Some(End::Broken(format!("{reply} instead of {wanted}")))
    }
}
