//! State that several gates share through Redis, and what they do without it.

#[path = "shared_store/forms.rs"]
mod forms;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, listener, object, open_domain, relay};
use postern_tests::peers::redis::Redis;
use postern_tests::port::Port;
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};

/// A gate whose settings name a store.
struct Member {
    gate: Gate,
    port: Port,
    _folder: Folder,
}

impl Member {
    fn start(store: &str, objects: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let settings = object(
            "MtaSettings",
            "default",
            &format!("{{defaultHostname: gate.example.test, store: {store}}}"),
        ) + &object(
            "MtaSenderAuth",
            "default",
            "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, dkimVerify: disable, dmarcVerify: disable}",
        );
        let folder = Folder::with(&[
            ("settings.yaml", settings),
            ("listener.yaml", listener("smtp", port.address())),
            ("domain.yaml", open_domain()),
            ("objects.yaml", objects.to_owned()),
        ])?;
        let gate = Gate::start(folder.path())?;
        Ok(Self { gate, port, _folder: folder })
    }

    fn address(&self) -> SocketAddr {
        self.port.address()
    }

    fn wait_for_store(&self, up: bool) -> Result<()> {
        wait::until("the gate's view of Redis", PATIENCE, || {
            Ok((self.gate.metric("postern_store_up")? == f64::from(u8::from(up))).then_some(()))
        })
    }
}

fn store(redis: &Redis, more: &str) -> String {
    format!("{{type: Redis, urls: ['redis://{}']{more}}}", redis.address())
}

fn discard() -> String {
    object("MtaRoute", "nowhere", "{type: Discard}")
}

/// A throttle for all senders together, in a window that does not end within the test.
fn throttle(count: u32, algorithm: &str) -> String {
    let spec =
        format!("{{key: [senderDomain], rate: {{count: {count}, period: 1d}}, algorithm: {algorithm}}}");
    object("MtaInboundThrottle", "senders", &spec)
}

/// Some MAIL commands on one connection; how many were accepted.
fn senders(server: SocketAddr, times: usize) -> Result<usize> {
    let mut client = Client::connect(server)?;
    client.expect("EHLO client.example", "250")?;
    let mut accepted = 0;
    for _ in 0..times {
        let reply = client.command("MAIL FROM:<a@example.org>")?;
        ensure!(reply.is("250") || reply.is("452 4.4.5"), "{reply}");
        if reply.is("250") {
            accepted += 1;
            client.expect("RSET", "250")?;
        }
    }
    client.quit();
    Ok(accepted)
}

#[test]
fn three_gates_behind_one_redis_admit_exactly_what_a_throttle_allows() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    for algorithm in ["FixedWindow", "SlidingWindow"] {
        let redis = Redis::start(Some("open sesame"))?;
        let store = store(&redis, ", password: {value: 'open sesame'}, timeout: 2s");
        let objects = discard() + &throttle(100, algorithm);
        let gates = [(); 3].map(|()| Member::start(&store, &objects));
        let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
        gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
        let clients: Vec<_> = (0..12)
            .map(|number| {
                let server = gates[number % gates.len()].address();
                thread::spawn(move || senders(server, 20))
            })
            .collect();
        let mut accepted = 0;
        for client in clients {
            accepted += client.join().map_err(|_| anyhow!("a client has panicked"))??;
        }
        println!("{algorithm}: 240 senders at 3 gates, 100 allowed, {accepted} accepted");
        assert_eq!(accepted, 100, "{algorithm}");
    }
    Ok(())
}

#[test]
fn a_redis_that_dies_loses_no_session_and_is_found_again() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let mut redis = Redis::start(None)?;
    let hop = Hop::start(Protocol::Smtp)?;
    let objects = relay("hop", hop.address(), "")
        + &throttle(1000, "FixedWindow")
        + &object("MtaStageData", "default", "{maxMessages: 100}");
    let gate = Member::start(&store(&redis, ""), &objects)?;
    gate.wait_for_store(true)?;
    let mut client = Client::connect(gate.address())?;
    client.expect("EHLO client.example", "250")?;
    for number in 0..40 {
        if number == 10 {
            redis.kill()?;
        }
        if number == 20 {
            redis.begin()?;
            gate.wait_for_store(true)?;
        }
        let mark = format!("dying-{number}");
        let began = Instant::now();
        client.envelope("a@example.org", &["user@example.test"])?;
        let reply = client.message(&letter(&mark, 500))?;
        ensure!(reply.is("250"), "message {number}: {reply}");
        ensure!(began.elapsed() < Duration::from_secs(2), "message {number} took {:?}", began.elapsed());
        assert_eq!(hop.copies(&mark, "user@example.test"), 1);
        if number == 15 {
            gate.wait_for_store(false)?;
        }
    }
    client.quit();
    let late = gate.gate.metric("postern_store_requests_total{outcome=\"Skipped\"}")?;
    println!(
        "40 messages on one connection, Redis gone for 10 of them: 40 accepted, {late} counted without it"
    );
    ensure!(late > 0.0);
    Ok(())
}

#[test]
fn a_redis_that_hangs_is_left_alone_after_its_timeout() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let gate = Member::start(&store(&redis, ""), &(discard() + &throttle(1000, "FixedWindow")))?;
    gate.wait_for_store(true)?;
    redis.program()?.freeze()?;
    assert_eq!(senders(gate.address(), 20)?, 20);
    gate.wait_for_store(false)?;
    let late = gate.gate.metric("postern_store_requests_total{outcome=\"Late\"}")?;
    assert_eq!(late, 1.0, "only the first one waits");
    Ok(())
}

#[test]
fn a_request_that_redis_refuses_does_not_give_redis_up() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let allowed = "counter_incr('', sender_domain, 1) > 0 && counter_get('', 'word') == 0";
    let stage = object("MtaStageMail", "default", &format!("{{isSenderAllowed: \"{allowed}\"}}"));
    let gate = Member::start(&store(&redis, ", timeout: 2s"), &(discard() + &stage))?;
    gate.wait_for_store(true)?;
    let largest = i64::MAX.to_string();
    redis.ask(&["SET", "postern:counter:full.example", &largest])?;
    redis.ask(&["RPUSH", "postern:counter:list.example", "1"])?;
    let mail = |domain: &str| {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example", "250")?;
        // Counted in memory, where the counter is new.
        client.expect(&format!("MAIL FROM:<a@{domain}>"), "250")?;
        ensure!(gate.gate.metric("postern_store_up")? == 1.0, "{domain}: given up");
        Ok(())
    };
    let refused = || gate.gate.metric("postern_store_requests_total{outcome=\"Failed\"}");
    mail("good.example")?;
    mail("full.example")?;
    assert_eq!(refused()?, 1.0, "it would overflow");
    mail("list.example")?;
    assert_eq!(refused()?, 2.0, "it is no number");
    redis.ask(&["SET", "postern:counter:word", "none"])?;
    mail("good.example")?;
    assert_eq!(refused()?, 3.0, "what is read is no number");
    ensure!(redis.ask(&["GET", "postern:counter:good.example"])?.trim() == "2");
    Ok(())
}

#[test]
fn a_redis_that_takes_no_writes_is_not_come_back_to_at_once() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let objects = discard() + &throttle(1_000_000, "FixedWindow");
    let mut gate = Member::start(&store(&redis, ", timeout: 2s"), &objects)?;
    gate.wait_for_store(true)?;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"])?;
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(senders(gate.address(), 20)?, 20, "counted in memory");
        sent += 20;
    }
    let log = gate.gate.program().log();
    let given_up = log.matches("the shared store is left alone").count();
    println!("{sent} senders at a Redis without room: given up {given_up} times");
    // After half a second, one second, two seconds.
    ensure!((1..=4).contains(&given_up), "{log}");
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"])?;
    gate.wait_for_store(true)
}

#[test]
fn who_has_waited_at_one_gate_passes_the_greylist_of_another() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let objects = discard() + &object("MtaGreylist", "default", "{delay: 1s}");
    let gates = [(); 2].map(|()| Member::start(&store(&redis, ", timeout: 2s"), &objects));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    let asked = |gate: &Member| {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example", "250")?;
        client.expect("MAIL FROM:<a@example.org>", "250")?;
        client.command("RCPT TO:<user@example.test>")
    };
    let first = asked(&gates[0])?;
    ensure!(first.is("452 4.2.2"), "{first}");
    wait::until("the end of the delay", PATIENCE, || {
        let reply = asked(&gates[1])?;
        ensure!(reply.is("250") || reply.is("452 4.2.2"), "{reply}");
        Ok(reply.is("250").then_some(()))
    })
}

#[test]
fn passwords_that_are_guessed_at_two_gates_are_counted_together() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let stage = "{allowClearTextAuth: true, saslMechanisms: '[plain]', maxFailures: 100, waitOnFail: false, \
                 failureRate: {count: 20, period: 1d}}";
    let people = "{type: Inline, accounts: [{address: ann@example.test, passwords: [{value: secret}]}]}";
    let objects =
        discard() + &object("MtaStageAuth", "default", stage) + &object("MtaDirectory", "people", people);
    let gates = [(); 2].map(|()| Member::start(&store(&redis, ", timeout: 2s"), &objects));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    let login = |gate: &Member, response: &str| {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example", "250")?;
        let reply = client.command(&format!("AUTH PLAIN {response}"))?;
        let closed = reply.is("421").then(|| client.is_closed(PATIENCE)).transpose()?;
        Ok::<_, anyhow::Error>((reply, closed))
    };
    for number in 0..20 {
        let (reply, _) = login(&gates[number % 2], WRONG)?;
        ensure!(reply.is("535 5.7.8"), "guess {number}: {reply}");
    }
    for gate in &gates {
        let (reply, closed) = login(gate, RIGHT)?;
        ensure!(reply.is("421 4.7.0 Too many failures from your address"), "{reply}");
        assert_eq!(closed, Some(true));
        let throttled = gate.gate.metric("postern_authentications_total{outcome=\"Throttled\"}")?;
        assert_eq!(throttled, 1.0);
    }
    ensure!(redis.ask(&["DBSIZE"])?.trim() == "1", "one counter for both gates");
    Ok(())
}

/// `ann@example.test` with the password `wrong`, and with her own, `secret`.
const WRONG: &str = "AGFubkBleGFtcGxlLnRlc3QAd3Jvbmc=";
const RIGHT: &str = "AGFubkBleGFtcGxlLnRlc3QAc2VjcmV0";

#[test]
fn what_one_gate_delivered_is_not_delivered_again_by_another() -> Result<()> {
    if !require::peers(&["redis-server", "redis-cli"])? {
        return Ok(());
    }
    let redis = Redis::start(None)?;
    let hop = Hop::start(Protocol::Lmtp)?;
    let objects = relay("hop", hop.address(), "protocol: lmtp");
    let gates = [(); 2].map(|()| Member::start(&store(&redis, ", timeout: 2s"), &objects));
    let gates = gates.into_iter().collect::<Result<Vec<_>>>()?;
    gates.iter().try_for_each(|gate| gate.wait_for_store(true))?;
    hop.answer_dot("full@example.test", "452 4.2.2 Over quota");
    let to = ["ann@example.test", "full@example.test"];
    // The second gate has just heard that nothing is remembered, and what the first remembers must reach it all the same.
    let reply = deliver(gates[1].address(), "s@example.org", &to[..1], &letter("plain", 500))?;
    ensure!(reply.is("250"), "{reply}");
    for gate in [&gates[0], &gates[1], &gates[0], &gates[1]] {
        let reply = deliver(gate.address(), "s@example.org", &to, &letter("mixed", 500))?;
        ensure!(reply.is("451"), "{reply}");
    }
    assert_eq!(hop.copies("mixed", "ann@example.test"), 1);
    Ok(())
}

#[test]
fn a_lookup_file_of_a_million_entries_fits_and_is_read_again_when_it_changes() -> Result<()> {
    let lists = tempfile::tempdir()?;
    let path = lists.path().join("blocked");
    let mut text = String::new();
    for number in 0..1_000_000 {
        writeln!(text, "sender{number}.example reason {number}")?;
    }
    std::fs::write(&path, &text)?;
    let lookup = object("MtaLookup", "blocked", &format!("{{file: '{}'}}", path.display()));
    let stage =
        object("MtaStageMail", "default", "{isSenderAllowed: \"!key_exists('blocked', sender_domain)\"}");
    let gate = Member::start("{type: Memory}", &(discard() + &lookup + &stage))?;
    let mut gate = gate;
    let memory = gate.gate.program().memory()?;
    println!("a table of 1,000,000 entries, {} MB of text: {memory:?}", text.len() / 1_000_000);
    let asked = |domain: &str| {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example", "250")?;
        client.command(&format!("MAIL FROM:<a@{domain}>"))
    };
    ensure!(asked("sender999999.example")?.is("550 5.7.1"));
    ensure!(asked("sender1000000.example")?.is("250"));
    std::fs::write(&path, "sender1000000.example now\n")?;
    wait::until("the changed file", PATIENCE, || {
        Ok(asked("sender1000000.example")?.is("550 5.7.1").then_some(()))
    })?;
    ensure!(asked("sender999999.example")?.is("250"));
    ensure!(memory.resident < 200 << 20, "{memory:?}");
    std::fs::remove_file(&path).context("removing the list")?;
    wait::until("the fault", PATIENCE, || {
        let status = gate.gate.status()?.to_string();
        Ok(status.contains("cannot be read").then_some(()))
    })?;
    ensure!(asked("sender1000000.example")?.is("550 5.7.1"), "what was in force stays");
    Ok(())
}
