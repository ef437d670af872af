//! Every service that the gate depends on, spoiled in every way, at every stage: the client hears the documented reply within the
//! documented time, the gate goes on when the service comes back, and nothing is left over.
//!
//! One table for each service, below: the stage, the objects that make the gate ask the service there, and what the client hears. The
//! ways of spoiling are those of [`Spoiling`]; programs of pipes have ways of their own.

#[path = "fault_matrix/parts.rs"]
mod parts;
#[path = "fault_matrix/pipe.rs"]
mod pipe;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, Reply};
use postern_tests::gate::Gate;
use postern_tests::manifests::{Folder, listener, open_domain};
use postern_tests::port::Port;
use postern_tests::saboteur::{Saboteur, Spoiling};
use postern_tests::wait::{self, PATIENCE};

/// The point of a session at which the service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connect,
    Ehlo,
    Auth,
    Mail,
    Rcpt,
    Data,
}

/// One row of the matrix.
struct Part {
    stage: Stage,
    /// Objects of the gate but listener and domain, given where the service is.
    objects: Box<dyn Fn(SocketAddr) -> String>,
    /// What the client hears while the service is spoiled.
    spoiled: &'static str,
}

/// Everything but [`Spoiling::Nothing`].
const WAYS: [Spoiling; 7] = [
    Spoiling::Refuses,
    Spoiling::Hangs,
    Spoiling::Resets,
    Spoiling::Garbage,
    Spoiling::SlowOctets,
    Spoiling::ClosesHalfWay,
    Spoiling::Endless,
];

/// What a stage may take when each answer of the service is waited for half a second: several answers and tries, on a busy machine.
const LIMIT: Duration = Duration::from_secs(8);

/// Runs one row: every way, and after each the service as it should be.
fn hold(name: &str, part: &Part, service: SocketAddr) -> Result<()> {
    let mut saboteur = Saboteur::before(service)?;
    let port = Port::reserve()?;
    let address = port.address();
    let folder = Folder::with(&[
        ("listener.yaml", listener("smtp", address)),
        ("domain.yaml", open_domain()),
        ("objects.yaml", (part.objects)(saboteur.address())),
    ])?;
    let mut gate = Gate::start(folder.path())?;
    let mut turn = 0;
    let mut talk = |what: &str, wanted: &str| -> Result<()> {
        turn += 1;
        let began = Instant::now();
        let reply = said_at(address, part.stage, turn)?;
        ensure!(reply.is(wanted), "{name} {what} at {:?} was answered {reply}, not {wanted}", part.stage);
        ensure!(began.elapsed() < LIMIT, "{name} {what} at {:?} took {:?}", part.stage, began.elapsed());
        Ok(())
    };
    talk("whole", success(part.stage))?;
    let before = open_files(&mut gate)?;
    for way in WAYS {
        saboteur.spoil(way)?;
        talk(&format!("that {way:?}"), part.spoiled)?;
        saboteur.spoil(Spoiling::Nothing)?;
        // Connections that were cut may be noticed by the first message only; a second one has no such excuse.
        wait::until(&format!("{name} to be back after {way:?}"), PATIENCE, || {
            Ok(talk("back", success(part.stage)).ok())
        })?;
    }
    nothing_is_left(&mut gate, before)
}

/// The reply to the command that belongs to a stage, in a session where all before it went well.
fn said_at(gate: SocketAddr, stage: Stage, turn: usize) -> Result<Reply> {
    let mut client = Client::connect_silent(gate)?;
    // Names that were not asked for before: an answer of DNS must not come from the cache.
    let name = format!("turn{turn}.example.org");
    let script = [
        (Stage::Connect, None),
        (Stage::Ehlo, Some(format!("EHLO {name}"))),
        (Stage::Auth, Some("AUTH PLAIN AGJvYkBleGFtcGxlLnRlc3QAc2VjcmV0".to_owned())),
        (Stage::Mail, Some(format!("MAIL FROM:<bob@{name}>"))),
        (Stage::Rcpt, Some(format!("RCPT TO:<anna{turn}@example.test>"))),
        (Stage::Data, Some("DATA".to_owned())),
    ];
    for (at, line) in script.iter().filter(|(at, _)| *at != Stage::Auth || stage == Stage::Auth) {
        let reply = match line {
            None => client.reply()?,
            Some(line) => client.command(line)?,
        };
        if *at == stage && stage != Stage::Data {
            return Ok(reply);
        }
        ensure!(reply.is("220") || reply.is("250") || reply.is("354"), "{at:?} was answered {reply}");
    }
    let message = format!(
        "From: Bob <bob@{name}>\r\nTo: anna@example.test\r\nSubject: turn {turn}\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\
         Message-ID: <{turn}@{name}>\r\n\r\nSee you at nine.\r\n"
    );
    client.message(message.as_bytes())
}

fn success(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "220",
        Stage::Auth => "235",
        _ => "250",
    }
}

fn open_files(gate: &mut Gate) -> Result<usize> {
    let folder = format!("/proc/{}/fd", gate.program().id());
    Ok(fs::read_dir(&folder).with_context(|| folder.clone())?.count())
}

/// No session is open, and no more files than before but what pools may keep.
fn nothing_is_left(gate: &mut Gate, before: usize) -> Result<()> {
    wait::until("the last session to end", PATIENCE, || {
        Ok((gate.metric("postern_sessions_open")? == 0.0).then_some(()))
    })?;
    wait::until("files to be closed", PATIENCE, || {
        let now = open_files(gate)?;
        Ok((now <= before + KEPT).then_some(()))
    })
}

/// Connections to a service that are kept for the next message.
const KEPT: usize = 4;
