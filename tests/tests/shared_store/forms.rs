//! The forms that Redis has: sentinels with replicas, a cluster, and one behind TLS.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{Client, letter};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{object, relay};
use postern_tests::peers::redis::{Cluster, Guard, Redis, Sentinels};
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};

use super::{Member, discard, senders, throttle};

const PROGRAMS: &[&str] = &["redis-server", "redis-cli"];

fn under(sentinels: &Sentinels) -> String {
    let urls =
        sentinels.addresses().iter().map(|at| format!("'redis+sentinel://{at}/gate'")).collect::<Vec<_>>();
    format!("{{type: Redis, urls: [{}], timeout: 2s}}", urls.join(", "))
}

#[test]
fn the_master_that_sentinels_name_counts_for_all_gates() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let master = Redis::start(None)?;
    let _replica = Redis::replica_of(&master)?;
    let sentinels = Sentinels::watching(&master, 1, Guard::Open)?;
    let gates =
        [(); 2].map(|()| Member::start(&under(&sentinels), &(discard() + &throttle(15, "FixedWindow"))));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    assert_eq!(senders(gates[0].address(), 10)? + senders(gates[1].address(), 10)?, 15);
    ensure!(master.ask(&["DBSIZE"])?.trim() == "1", "counted at the master");
    Ok(())
}

#[test]
fn sentinels_that_ask_for_a_password_get_theirs() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let master = Redis::start(None)?;
    let sentinels = Sentinels::watching(&master, 0, Guard::Password("who is there"))?;
    let knows = |password: &str| under(&sentinels).replace("timeout:", &format!("{password}timeout:"));
    let right = Member::start(&knows("sentinelPassword: {value: 'who is there'}, "), &discard())?;
    right.wait_for_store(true)?;
    let mut wrong = Member::start(&knows(""), &discard())?;
    wait::until("a gate without the password to be refused", PATIENCE, || {
        Ok(wrong.gate.program().log().contains("the shared store cannot be reached").then_some(()))
    })
}

#[test]
fn a_failover_loses_no_session_and_the_new_master_is_followed() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let mut master = Redis::start(None)?;
    let replica = Redis::replica_of(&master)?;
    let mut sentinels = Sentinels::watching(&master, 1, Guard::Open)?;
    let hop = Hop::start(Protocol::Smtp)?;
    let objects = relay("hop", hop.address(), "")
        + &throttle(100_000, "FixedWindow")
        + &object("MtaStageData", "default", "{maxMessages: 100000}");
    let gate = Member::start(&under(&sentinels), &objects)?;
    gate.wait_for_store(true)?;
    let mut client = Client::connect(gate.address())?;
    client.expect("EHLO client.example", "250")?;
    let mut number = 0;
    let mut slowest = Duration::ZERO;
    let mut one_more = || {
        let mark = format!("failover-{number}");
        number += 1;
        let began = Instant::now();
        client.envelope("a@example.org", &["user@example.test"])?;
        let reply = client.message(&letter(&mark, 500))?;
        ensure!(reply.is("250"), "{mark}: {reply}");
        slowest = slowest.max(began.elapsed());
        assert_eq!(hop.copies(&mark, "user@example.test"), 1);
        Ok(())
    };
    one_more()?;
    wait::until("the replica to hold the counter", PATIENCE, || {
        Ok((replica.ask(&["DBSIZE"])?.trim() == "1").then_some(()))
    })?;
    // With the master goes the sentinel that the gate asks first.
    master.kill()?;
    sentinels.lose_one()?;
    let began = Instant::now();
    one_more()?;
    gate.wait_for_store(false)?;
    wait::until("the new master", PATIENCE, || {
        one_more()?;
        Ok((gate.gate.metric("postern_store_up")? == 1.0).then_some(()))
    })?;
    let followed = began.elapsed();
    let counted = || -> Result<u32> {
        let key = replica.ask(&[
            "--raw",
            "EVAL",
            "return redis.call('HGET', redis.call('KEYS', '*')[1], 'current')",
            "0",
        ])?;
        Ok(key.trim().parse()?)
    };
    let before = counted()?;
    one_more()?;
    assert_eq!(counted()?, before + 1, "counted at the new master, which knows what the old one did");
    println!(
        "{number} messages on one connection over a failover of {followed:?}; the slowest took {slowest:?}"
    );
    ensure!(slowest < Duration::from_secs(5), "a message took {slowest:?}");
    Ok(())
}

#[test]
fn throttles_count_on_every_node_of_a_cluster() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let mut cluster = Cluster::start()?;
    let urls = cluster.nodes().iter().map(|node| format!("'redis://{}'", node.address())).collect::<Vec<_>>();
    let login = "username: gate, password: {value: 'open sesame'}";
    let store = format!("{{type: Redis, urls: [{}], {login}, timeout: 2s}}", urls.join(", "));
    let rate = "{key: [senderDomain], rate: {count: 3, period: 1d}}";
    let objects = discard() + &object("MtaInboundThrottle", "domains", rate);
    let gates = [(); 2].map(|()| Member::start(&store, &objects));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    let mail = |gate: &Member, domain: &str| {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example", "250")?;
        client.command(&format!("MAIL FROM:<a@{domain}>"))
    };
    for number in 0..30 {
        let domain = format!("sender{number}.example");
        for (turn, gate) in gates.iter().cycle().take(4).enumerate() {
            let reply = mail(gate, &domain)?;
            ensure!(reply.is(if turn < 3 { "250" } else { "452 4.4.5" }), "{domain}, {turn}: {reply}");
        }
    }
    for node in cluster.nodes() {
        ensure!(node.ask(&["DBSIZE"])?.trim() != "0", "a node has counted nothing");
    }
    assert!(gates.iter().all(|gate| gate.gate.metric("postern_store_up").is_ok_and(|up| up == 1.0)));
    // While slots move, nodes send requests on to each other.
    cluster.move_slots()?;
    for number in 0..30 {
        let reply = mail(&gates[number % 2], &format!("sender{number}.example"))?;
        ensure!(reply.is("452 4.4.5"), "sender{number}.example after the move: {reply}");
    }
    for gate in &gates {
        let requests = |of: &str| gate.gate.metric(&format!("postern_store_requests_total{of}"));
        assert_eq!(requests("")?, requests("{outcome=\"Answered\"}")?);
    }
    // A cluster without a third of its keys serves nobody; gates do.
    cluster.lose_one()?;
    for number in 0..30 {
        let reply = mail(&gates[number % 2], &format!("other{number}.example"))?;
        ensure!(reply.is("250"), "{reply}");
    }
    Ok(())
}

#[test]
fn redis_is_trusted_by_its_certificate_and_trusts_ours() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["openssl"]].concat())? {
        return Ok(());
    }
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let client = authority.issue(&["gate.example.test"])?;
    let redis = Redis::guarded(&authority, &authority.issue(&["localhost"])?, &client)?;
    let objects = discard()
        + &throttle(15, "FixedWindow")
        + &authority.secret("redis-ca")?
        + &stranger.secret("stranger")?
        + &client.secret("gate-tls");
    let port = redis.address().port();
    let store = |password: &str, tls: &str| {
        let login = format!("username: gate, password: {{value: '{password}'}}");
        format!("{{type: Redis, urls: ['rediss://localhost:{port}'], {login}, timeout: 2s, tls: {{{tls}}}}}")
    };
    let ours = "caSecretRef: {name: redis-ca}, clientSecretName: gate-tls";
    let gates = [(); 2].map(|()| Member::start(&store("open sesame", ours), &objects));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    assert_eq!(senders(gates[0].address(), 10)? + senders(gates[1].address(), 10)?, 15);
    let strange = "caSecretRef: {name: stranger}, clientSecretName: gate-tls";
    for (why, password, tls) in [
        ("a certificate of nobody we know", "open sesame", strange),
        ("no certificate of ours", "open sesame", "caSecretRef: {name: redis-ca}"),
        ("a wrong password", "open", ours),
    ] {
        let mut gate = Member::start(&store(password, tls), &objects)?;
        wait::until(why, PATIENCE, || {
            Ok(gate.gate.program().log().contains("the shared store cannot be reached").then_some(()))
        })?;
        assert_eq!(gate.gate.metric("postern_store_up")?, 0.0, "{why}");
        assert_eq!(senders(gate.address(), 10)?, 10, "{why}: it counts by itself");
    }
    Ok(())
}
