//! `kill -9` at every moment of a message's way through the gate. The gate keeps nothing, so nothing can be lost: what the client
//! saw a 250 for is at the next hop, and what it did not see a 250 for it sends again.
//!
//! Sending again makes a second copy where the next hop had taken the message and the client could not be told (RFC 1047). That
//! can happen in the last two moments only, and the tests hold it to those.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use postern_tests::client::{Client, Reply, letter, stuffed};
use postern_tests::hop::{Fault, Hop, Phase, Protocol, Times};
use postern_tests::manifests::{no_session_limits, relay};
use postern_tests::site::Site;
use postern_tests::wait::PATIENCE;

/// Kills in each moment.
const ROUNDS: u32 = 25;
const RCPT: &str = "user@example.test";

#[test]
fn killed_while_the_client_sends_the_body() -> Result<()> {
    let mut series = Series::new("client body", "")?;
    for round in 0..ROUNDS {
        let mark = series.mark(round);
        let wire = stuffed(&letter(&mark, 1 << 20));
        let part = wire.len() * (round as usize + 1) / (ROUNDS as usize + 2);
        let mut client = Client::connect(series.site.address())?;
        client.open("s@example.org", &[RCPT])?;
        client.send(wire.get(..part).unwrap_or_default())?;
        series.site.gate.program().kill()?;
        series.settle(&mark, client.reply(), Allowed::Nothing)?;
    }
    series.report("none can occur: the next hop was not asked");
    Ok(())
}

#[test]
fn killed_while_the_recipient_is_put_to_the_next_hop() -> Result<()> {
    let mut series = Series::new("hop envelope, at RCPT", "")?;
    for round in 0..ROUNDS {
        let phase = if round % 2 == 0 { Phase::Mail } else { Phase::Rcpt };
        series.kill_at(phase, round, 2000)?;
    }
    series.report("none can occur: the next hop saw no message");
    Ok(())
}

#[test]
fn killed_while_the_envelope_of_a_whole_message_is_put_to_the_next_hop() -> Result<()> {
    let mut series = Series::new("hop envelope, at end of data", "verifyRecipients: false")?;
    for round in 0..ROUNDS {
        let phase = [Phase::Mail, Phase::Rcpt, Phase::Data][round as usize % 3];
        series.kill_at(phase, round, 2000)?;
    }
    series.report("none can occur: the next hop saw no message");
    Ok(())
}

#[test]
fn killed_while_the_message_goes_to_the_next_hop() -> Result<()> {
    let mut series = Series::new("hop data", "")?;
    for round in 0..ROUNDS {
        // Longer than the sockets' buffers, so that the dot cannot be on its way.
        series.kill_at(Phase::Body, round, 8 << 20)?;
    }
    series.report("none can occur: the next hop never saw the final dot");
    Ok(())
}

#[test]
fn killed_after_the_dot_before_the_next_hop_answers() -> Result<()> {
    let mut series = Series::new("after the dot", "")?;
    for round in 0..ROUNDS {
        let mark = series.mark(round);
        let answer = series.held_at(Phase::Dot, &mark, 2000, |series| {
            let before = series.hop.reached(Phase::Stored);
            series.site.gate.program().kill()?;
            series.hop.release();
            // The hop takes a message whose end it has seen, whether or not anybody waits for the answer.
            series.hop.wait_for(Phase::Stored, before, PATIENCE)
        })?;
        series.settle(&mark, answer, Allowed::Duplicate)?;
    }
    series.report("the next hop had the dot and stored the message, the client could not be told and sent it again (RFC 1047)");
    Ok(())
}

#[test]
fn killed_after_the_next_hop_answered_before_the_gate_does() -> Result<()> {
    let mut series = Series::new("after the hop's reply", "")?;
    for round in 0..ROUNDS {
        let mark = series.mark(round);
        let stands_still = round % 2 == 0;
        let answer = series.held_at(Phase::Dot, &mark, 2000, |series| {
            let before = series.hop.reached(Phase::Answered);
            if stands_still {
                // The answer reaches the kernel, never the gate.
                series.site.gate.program().freeze()?;
            }
            series.hop.release();
            series.hop.wait_for(Phase::Answered, before, PATIENCE)?;
            if !stands_still {
                thread::sleep(Duration::from_micros(u64::from(round) * 20));
            }
            series.site.gate.program().kill()
        })?;
        let allowed = if stands_still { Allowed::Duplicate } else { Allowed::DuplicateOrTold };
        series.settle(&mark, answer, allowed)?;
    }
    series.report("the next hop had answered 250, the client could not be told and sent it again (RFC 1047)");
    Ok(())
}

/// What may be found after a kill, beyond one copy of each message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Nothing: the next hop had not taken the message, so a 250 would be a lie and a second copy a fault.
    Nothing,
    /// A second copy: the next hop took the message and the gate never learned it, so a 250 would still be a lie.
    Duplicate,
    /// A second copy, or the client's 250.
    DuplicateOrTold,
}

struct Series {
    name: &'static str,
    site: Site,
    hop: Hop,
    kills: u32,
    /// Killed, and yet the client saw 250.
    told: u32,
    duplicates: usize,
}

impl Series {
    fn new(name: &'static str, route: &str) -> Result<Self> {
        let hop = Hop::start(Protocol::Smtp)?;
        let site = Site::start(&(relay("hop", hop.address(), route) + &no_session_limits()))?;
        Ok(Self { name, site, hop, kills: 0, told: 0, duplicates: 0 })
    }

    fn mark(&self, round: u32) -> String {
        format!("{}-{round}-end", self.name.replace([' ', ',', '\''], "-"))
    }

    /// One round whose moment is a phase of the next hop before it can have stored anything.
    fn kill_at(&mut self, phase: Phase, round: u32, octets: usize) -> Result<()> {
        let mark = self.mark(round);
        let answer = self.held_at(phase, &mark, octets, |series| {
            series.site.gate.program().kill()?;
            series.hop.release();
            Ok(())
        })?;
        self.settle(&mark, answer, Allowed::Nothing)
    }

    /// A client sends a message, the next hop stands still at `phase`, then `act` runs. Gives what the client was told.
    fn held_at(
        &mut self,
        phase: Phase,
        mark: &str,
        octets: usize,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Result<Reply>> {
        self.hop.arm(phase, Fault::Hold, Times::Once);
        let before = self.hop.reached(phase);
        let (gate, message) = (self.site.address(), letter(mark, octets));
        let client = thread::spawn(move || send(gate, &message));
        self.hop.wait_for(phase, before, PATIENCE)?;
        act(self)?;
        client.join().map_err(|_| anyhow!("the client panicked"))
    }

    /// After a kill: counts, starts a new gate, and has the client send again if it was not told 250.
    fn settle(&mut self, mark: &str, answer: Result<Reply>, allowed: Allowed) -> Result<()> {
        self.kills += 1;
        let told = answer.is_ok_and(|reply| reply.is_positive());
        self.told += u32::from(told);
        ensure!(
            !told || allowed == Allowed::DuplicateOrTold,
            "{mark}: the client was told 250 before the next hop had answered"
        );
        let copies = self.hop.copies(mark, RCPT);
        ensure!(
            !told || copies == 1,
            "{mark}: LOST, the client was told 250 and the next hop holds {copies}"
        );
        self.hop.heal();
        self.site.restart()?;
        if !told {
            let reply = send(self.site.address(), &letter(mark, 2000))?;
            ensure!(reply.is("250 2.0.0"), "{mark}: the second try was answered {reply}");
        }
        let copies = self.hop.copies(mark, RCPT);
        let most = if allowed != Allowed::Nothing && !told { 2 } else { 1 };
        ensure!(
            (1..=most).contains(&copies),
            "{mark}: {copies} copies at the next hop, at most {most} are explained"
        );
        self.duplicates += copies - 1;
        Ok(())
    }

    fn report(&self, why: &str) {
        let Self { name, kills, told, duplicates, .. } = self;
        // Past the test runner: the numbers are wanted when all is well, too.
        let _ = writeln!(
            io::stderr(),
            "kill -9, {name}: {kills} kills, 0 lost, {duplicates} duplicates ({why}); {told} times the client had its 250"
        );
    }
}

/// A session with one message, up to whatever answer comes.
fn send(gate: std::net::SocketAddr, message: &[u8]) -> Result<Reply> {
    postern_tests::client::deliver(gate, "s@example.org", &[RCPT], message)
}
