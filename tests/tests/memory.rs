//! Large messages: the gate's memory does not grow with them, and a small pod is never killed for them.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use postern_tests::cgroup::MemoryCgroup;
use postern_tests::client::{Client, Reply, deliver, letter};
use postern_tests::gate::Launch;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{no_session_limits, relay};
use postern_tests::require;
use postern_tests::site::Site;

const LARGE: u64 = 100_000_000;
const RCPT: &str = "user@example.test";
const MIB: u64 = 1 << 20;

#[test]
fn a_message_of_100_mb_leaves_memory_flat() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let mut site = Site::start(&(relay("hop", hop.address(), "") + &no_session_limits()))?;
    ensure!(deliver(site.address(), "s@example.org", &[RCPT], &letter("small", 1000))?.is("250"), "refused");
    let before = site.gate.program().memory()?;
    let reply = send_large(site.address(), "large")?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let after = site.gate.program().memory()?;
    let grown = after.peak.saturating_sub(before.resident);
    say(&format!(
        "100 MB message: peak of memory {} MiB above the {} MiB before",
        grown / MIB,
        before.resident / MIB
    ));
    ensure!(grown < 32 * MIB, "the peak grew by {grown} octets");
    let stored = hop.stored();
    let octets = stored.last().map_or(0, |stored| stored.octets);
    ensure!(octets > LARGE, "{octets} octets at the next hop");
    Ok(())
}

#[test]
fn memory_does_not_come_in_huge_pages() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let mut site = Site::start(&relay("hop", hop.address(), ""))?;
    let status = fs::read_to_string(format!("/proc/{}/status", site.gate.program().id()))?;
    let said = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    ensure!(said.is_none_or(|said| said.trim() == "0"), "{status}");
    Ok(())
}

#[test]
fn sixteen_of_them_at_once_in_512_mib_are_answered_250_or_452() -> Result<()> {
    let group = match MemoryCgroup::new("sixteen", 512 * MIB) {
        Ok(group) => group,
        Err(error) => return require::skip(&format!("no memory cgroup: {error:#}")).map(drop),
    };
    let hop = Hop::start(Protocol::Smtp)?;
    let how = Launch { cgroup: Some(&group), ..Launch::default() };
    let mut site = Site::launch(&(relay("hop", hop.address(), "") + &no_session_limits()), &how)?;
    let gate = site.address();
    let senders: Vec<_> = (0..16)
        .map(|number| thread::spawn(move || send_large(gate, &format!("large-{number}-end"))))
        .collect();
    let mut accepted = 0;
    for (number, sender) in senders.into_iter().enumerate() {
        let reply = sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        let mark = format!("large-{number}-end");
        ensure!(reply.is("250 2.0.0") || reply.is("452 4.3.1"), "{mark} was answered {reply}");
        let copies = hop.copies(&mark, RCPT);
        ensure!(
            copies == usize::from(reply.is("250")),
            "{mark} was answered {reply}, {copies} copies are at the next hop"
        );
        accepted += usize::from(reply.is("250"));
    }
    for stored in hop.stored() {
        ensure!(stored.octets > LARGE, "{} octets of a message arrived", stored.octets);
    }
    site.gate.program().must_run()?;
    let peak = site.gate.program().memory()?.peak;
    say(&format!(
        "16 x 100 MB in 512 MiB: {accepted} accepted, {} deferred, peak of memory {} MiB",
        16 - accepted,
        peak / MIB
    ));
    ensure!(group.kills()? == 0, "the kernel killed in the cgroup");
    drop(site);
    Ok(())
}

/// Sends 100 MB without holding them in memory. The answer is the one that decided, be it to MAIL or to the final dot.
fn send_large(gate: SocketAddr, mark: &str) -> Result<Reply> {
    let mut client = Client::connect(gate)?;
    client.expect("EHLO client.example.org", "250")?;
    for command in [format!("MAIL FROM:<s@example.org> SIZE={LARGE}"), format!("RCPT TO:<{RCPT}>")] {
        let reply = client.command(&command)?;
        if !reply.is_positive() {
            return Ok(reply);
        }
    }
    let reply = client.command("DATA")?;
    if reply.code != 354 {
        return Ok(reply);
    }
    client.send(&letter(mark, 500))?;
    let line = [vec![b'x'; 900], b"\r\n".to_vec()].concat();
    let block = line.repeat(72);
    for _ in 0..=LARGE / block.len() as u64 {
        client.send(&block)?;
    }
    client.send(b".\r\n")?;
    client.reply()
}

/// Past the test runner: the numbers are wanted when all is well, too.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
