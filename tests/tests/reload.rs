//! A change of the folder: in force for new connections within a second, invisible to open ones, and without effect when it is
//! faulty.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{self, Mount, listener, no_session_limits, object, relay};
use postern_tests::port::Port;
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

const RELOADS: u32 = 50;
const CONNECTIONS: usize = 20;
/// A second is promised; the rest is for a machine that is building something else.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn fifty_reloads_under_load_fail_no_transaction() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&(relay("hop", hop.address(), "") + &no_session_limits() + &greeting(0)))?;
    let objects = |number| relay("hop", hop.address(), "") + &no_session_limits() + &greeting(number);
    let sent = under_load(site.address(), |number| site.folder.put("objects.yaml", &objects(number)))?;
    assert_eq!(hop.stored().len() as u64, sent, "every accepted message is at the next hop, once");
    Ok(())
}

#[test]
fn fifty_switches_of_a_mounted_folder_fail_no_transaction() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let port = Port::reserve()?;
    let files = |number| {
        [
            ("settings.yaml", manifests::settings() + &listener("smtp", port.address())),
            ("domain.yaml", manifests::open_domain()),
            ("objects.yaml", relay("hop", hop.address(), "") + &no_session_limits() + &greeting(number)),
        ]
    };
    let mut mount = Mount::with(&files(0))?;
    let _gate = Gate::start(mount.path())?;
    let sent = under_load(port.address(), |number| mount.switch(&files(number)))?;
    assert_eq!(hop.stored().len() as u64, sent, "every accepted message is at the next hop, once");
    Ok(())
}

#[test]
fn an_open_connection_keeps_the_policy_it_was_accepted_with() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&relay("hop", hop.address(), ""))?;
    let mut old = Client::connect(site.address())?;
    let changed = relay("hop", hop.address(), "")
        + &greeting(1)
        + &object("MtaStageData", "default", "{maxMessageSize: 1000}");
    site.folder.put("objects.yaml", &changed)?;
    in_force(site.address(), 1)?;
    let ehlo = old.expect("EHLO client.example.org", "250")?;
    ensure!(ehlo.has_line("SIZE 104857600"), "the open connection sees the new size: {ehlo}");
    let mut new = Client::connect(site.address())?;
    let ehlo = new.expect("EHLO client.example.org", "250")?;
    ensure!(ehlo.has_line("SIZE 1000"), "the new connection sees the old size: {ehlo}");
    Ok(())
}

#[test]
fn a_faulty_folder_changes_nothing_and_is_reported_until_it_is_repaired() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&(relay("hop", hop.address(), "") + &greeting(1)))?;
    let extra = Port::reserve()?;
    let before = site.gate.status()?;
    // Good and bad news in one file: neither may take effect.
    let faulty = relay("hop", hop.address(), "")
        + &object("MtaStageConnect", "default", "{smtpGreetting: \"'gate 2'\"}")
        + &listener("extra", extra.address());
    site.folder.put("objects.yaml", &faulty)?;
    let status = wait::until("the fault on /status", SOON, || {
        Ok(Some(site.gate.status()?).filter(|status| status.to_string().contains("smtpGreetting")))
    })?;
    assert_eq!(before.get("revision"), status.get("revision"), "a faulty folder has no revision");
    ensure!(greets_with(site.address(), 1)?, "the old policy is not in force any more");
    ensure!(TcpStream::connect(extra.address()).is_err(), "a listener of the faulty folder was opened");
    let (code, _) = site.gate.get("/readyz")?;
    assert_eq!(code, 200, "a gate with a policy in force is ready");

    let repaired = relay("hop", hop.address(), "") + &greeting(3) + &listener("extra", extra.address());
    site.folder.put("objects.yaml", &repaired)?;
    in_force(site.address(), 3)?;
    Client::connect(extra.address()).context("the listener of the repaired folder")?;
    ensure!(!site.gate.status()?.to_string().contains("smtpGreetting"), "the old fault is still reported");
    Ok(())
}

#[test]
fn a_listener_that_cannot_bind_leaves_the_old_policy_in_force() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&(relay("hop", hop.address(), "") + &greeting(1)))?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let clash = relay("hop", hop.address(), "") + &greeting(2) + &listener("clash", address);
    site.folder.put("objects.yaml", &clash)?;
    wait::until("the clash on /status", SOON, || {
        Ok(Some(site.gate.status()?)
            .filter(|status| status.to_string().contains(&address.to_string()))
            .map(drop))
    })?;
    ensure!(greets_with(site.address(), 1)?, "half of the new folder is in force");
    Ok(())
}

#[test]
fn listeners_come_and_go_with_their_objects() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&relay("hop", hop.address(), ""))?;
    let extra = Port::reserve()?;
    site.folder.put("extra.yaml", &listener("extra", extra.address()))?;
    let mut open = wait::until("the new listener", SOON, || Ok(Client::connect(extra.address()).ok()))?;
    site.folder.remove("extra.yaml")?;
    wait::until("the end of the listener", SOON, || {
        Ok(TcpStream::connect(extra.address()).is_err().then_some(()))
    })?;
    open.open("s@example.org", &["user@example.test"]).context("a session outlives its listener")?;
    ensure!(open.message(&letter("outlived", 300))?.is("250 2.0.0"), "{}", open.transcript());
    Ok(())
}

/// Sends mail over many connections while the folder is changed again and again. Gives the number of messages, all accepted.
fn under_load(gate: SocketAddr, mut publish: impl FnMut(u32) -> Result<()>) -> Result<u64> {
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                scope.spawn({
                    let (done, sent) = (&done, &sent);
                    move || sender(gate, number, done, sent)
                })
            })
            .collect();
        let reloads = (1..=RELOADS).try_for_each(|number| {
            publish(number)?;
            in_force(gate, number)
        });
        done.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        }
        reloads
    })?;
    Ok(sent.into_inner())
}

/// Opens session after session, three messages each; the first thing that is not accepted is an error.
fn sender(gate: SocketAddr, number: usize, done: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        let mut client = Client::connect(gate)?;
        client.expect("EHLO client.example.org", "250")?;
        for _ in 0..3 {
            client.envelope("s@example.org", &[&format!("user{number}@example.test")])?;
            ensure!(client.message(&letter("load", 2000))?.is("250 2.0.0"), "{}", client.transcript());
            sent.fetch_add(1, Ordering::Relaxed);
        }
        client.expect("QUIT", "221")?;
    }
    Ok(())
}

/// Waits until new connections are greeted as number `number` wants.
fn in_force(gate: SocketAddr, number: u32) -> Result<()> {
    let what = format!("reload {number} to be in force");
    wait::until(&what, SOON.max(PATIENCE / 4), || Ok(greets_with(gate, number)?.then_some(())))
}

fn greets_with(gate: SocketAddr, number: u32) -> Result<bool> {
    let mut client = Client::connect_silent(gate)?;
    let right = client.reply()?.is(&format!("220 gate {number}"));
    client.quit();
    Ok(right)
}

fn greeting(number: u32) -> String {
    object("MtaStageConnect", "default", &format!("{{smtpGreeting: \"'gate {number}'\"}}"))
}
