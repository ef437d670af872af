//! Crowds: what `tests/bench/load` does with ten thousand clients, with as many as a run of the tests can afford.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{object, relay};
use postern_tests::site::Site;
use postern_tests::wait;

const RCPT: &str = "user@example.test";
const PATIENCE: Duration = Duration::from_secs(60);

/// Most that a session may cost beside its message, octets; a debug build needs more than a release.
const SESSION_OCTETS: u64 = 96 << 10;

#[test]
fn five_hundred_clients_in_the_middle_of_their_messages_hold_nobody_up() -> Result<()> {
    const CLIENTS: usize = 500;
    let hop = Hop::start(Protocol::Smtp)?;
    let mut site = Site::start(&relay("hop", hop.address(), ""))?;
    ensure!(deliver(site.address(), "s@example.org", &[RCPT], &letter("first", 300))?.is("250"), "refused");
    let before = site.gate.program().memory()?.resident;
    let mut slow = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(site.address())?;
        client.open("slow@example.org", &[RCPT])?;
        let letter = letter(&format!("slow-{number}-end"), 300);
        let (begin, rest) = letter.split_at(40);
        client.send(begin)?;
        slow.push((client, [rest, b".\r\n"].concat()));
    }
    ensure!(deliver(site.address(), "s@example.org", &[RCPT], &letter("beside", 300))?.is("250"), "refused");
    let grown = site.gate.program().memory()?.resident.saturating_sub(before);
    ensure!(grown < SESSION_OCTETS * CLIENTS as u64, "{CLIENTS} slow clients cost {grown} octets");
    for (number, (mut client, rest)) in slow.into_iter().enumerate() {
        client.send(&rest)?;
        let reply = client.reply()?;
        ensure!(reply.is("250 2.0.0"), "slow client {number} was told {reply}");
        ensure!(hop.copies(&format!("slow-{number}-end"), RCPT) == 1, "{number} did not arrive");
    }
    Ok(())
}

#[test]
fn a_storm_of_connections_is_served() -> Result<()> {
    const CLIENTS: usize = 8;
    const EACH: usize = 250;
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&relay("hop", hop.address(), ""))?;
    let gate = site.address();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            thread::spawn(move || -> Result<()> {
                (0..EACH).try_for_each(|_| Client::connect(gate)?.expect("QUIT", "221").map(drop))
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    wait::until("all sessions to end", PATIENCE, || {
        Ok((site.gate.metric("postern_sessions_open")? == 0.0).then_some(()))
    })
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_costs_little() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let patience = object("MtaInboundSession", "default", "{timeout: 1s}");
    let mut site = Site::start(&(relay("hop", hop.address(), "") + &patience))?;
    let before = site.gate.program().memory()?.resident;
    let mut deaf = TcpStream::connect(site.address())?;
    deaf.set_write_timeout(Some(PATIENCE))?;
    let commands = b"EHLO client.example.org\r\n".repeat(1000);
    // Both kernels take some megabytes first.
    let error = loop {
        if let Err(error) = deaf.write_all(&commands) {
            break error;
        }
    };
    let peak = site.gate.program().memory()?.peak;
    ensure!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    ensure!(peak.saturating_sub(before) < 4 << 20, "its replies cost {} octets", peak - before);
    wait::until("its session to end", PATIENCE, || {
        Ok((site.gate.metric("postern_sessions_open")? == 0.0).then_some(()))
    })
}
