//! A next hop that is down, slow, lying, or speaks garbage: the client hears 451, sends again later, and nothing is lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Reply, deliver, letter};
use postern_tests::hop::{Fault, Hop, Phase, Protocol, Times};
use postern_tests::manifests::{object, relay};
use postern_tests::port::Port;
use postern_tests::site::Site;

/// Limits so short that a hop that hangs is given up within the test.
const SHORT: &str = "timeouts: {connect: 500ms, command: 500ms, data: 500ms, final: 500ms}";
/// Limits that nothing in these tests should come to.
const LONG: &str = "timeouts: {connect: 30s, command: 30s, data: 30s, final: 30s}";

#[test]
fn a_next_hop_that_is_down_is_451() -> Result<()> {
    let nobody = Port::reserve()?;
    for verify in ["verifyRecipients: true", "verifyRecipients: false"] {
        let site = Site::start(&relay("hop", nobody.address(), verify))?;
        let reply = deliver(site.address(), "s@example.org", &["user@example.test"], &letter("down", 500))?;
        ensure!(reply.is("451 4.3.5") || reply.is("451 4.4.1"), "with {verify} it was answered {reply}");
    }
    Ok(())
}

#[test]
fn the_next_of_several_addresses_is_tried() -> Result<()> {
    let nobody = Port::reserve()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let addresses =
        [nobody.address(), hop.address()].map(|at| format!("{{host: \"{}\", port: {}}}", at.ip(), at.port()));
    let spec = format!("{{type: Relay, addresses: [{}], tls: {{mode: Disable}}}}", addresses.join(", "));
    let site = Site::start(&object("MtaRoute", "two", &spec))?;
    let reply = deliver(site.address(), "s@example.org", &["user@example.test"], &letter("failover", 500))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(hop.copies("failover", "user@example.test"), 1);
    Ok(())
}

#[test]
fn a_next_hop_that_breaks_off_is_451_and_the_retry_arrives_once() -> Result<()> {
    every_phase(&[Fault::Close, Fault::Reset], LONG)
}

#[test]
fn a_next_hop_that_speaks_garbage_is_451_and_the_retry_arrives_once() -> Result<()> {
    every_phase(&[Fault::Garbage, Fault::Flood], LONG)
}

#[test]
fn a_next_hop_that_hangs_is_451_and_the_retry_arrives_once() -> Result<()> {
    every_phase(&[Fault::Hang], SHORT)
}

#[test]
fn a_next_hop_that_says_421_is_451_and_the_retry_arrives_once() -> Result<()> {
    every_phase(&[Fault::Answer("421 4.3.2 going down".into())], LONG)
}

#[test]
fn a_lost_answer_after_the_dot_is_451() -> Result<()> {
    for fault in [Fault::Close, Fault::Reset, Fault::Hang] {
        let (hop, site) = standing("")?;
        hop.arm(Phase::Stored, fault.clone(), Times::Once);
        let reply = send(&site, "lost-answer")?;
        ensure!(reply.is("451"), "{fault:?} after the dot was answered {reply}");
        ensure!(send(&site, "lost-answer")?.is("250 2.0.0"), "the retry was refused");
        // The hop had it and could not say so; a second copy is the price of losing none (RFC 1047).
        assert_eq!(hop.copies("lost-answer", "user@example.test"), 2);
    }
    Ok(())
}

#[test]
fn a_slow_next_hop_that_keeps_its_time_is_waited_for() -> Result<()> {
    let (hop, site) = standing("")?;
    for phase in [Phase::Greeting, Phase::Hello, Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot] {
        hop.arm(phase, Fault::Slow(Duration::from_millis(1)), Times::Once);
    }
    ensure!(send(&site, "slow")?.is("250 2.0.0"), "a slow next hop was given up");
    assert_eq!(hop.copies("slow", "user@example.test"), 1);
    Ok(())
}

#[test]
fn replies_that_fit_no_command_never_become_a_250() -> Result<()> {
    let lies = [
        (Phase::Greeting, "354 go on"),
        (Phase::Hello, "354 go on"),
        (Phase::Mail, "354 go on"),
        (Phase::Rcpt, "354 go on"),
        (Phase::Data, "250 2.0.0 already stored"),
        (Phase::Data, "220 hop.example.test ESMTP"),
        (Phase::Dot, "354 go on"),
        (Phase::Dot, "334 "),
        (Phase::Dot, "000 nothing"),
        (Phase::Dot, "999 everything"),
        (Phase::Dot, "25 0"),
        (Phase::Dot, ""),
        (Phase::Dot, "250-2.0.0 to be\r\n451 4.3.0 or not to be"),
    ];
    let (hop, site) = standing("verifyRecipients: false")?;
    for (number, (phase, lie)) in lies.into_iter().enumerate() {
        hop.cut();
        hop.arm(phase, Fault::Answer(lie.into()), Times::Once);
        let mark = format!("lie-{number}-end");
        let reply = send(&site, &mark)?;
        ensure!(reply.is("451") || reply.is("554"), "{lie:?} at {phase:?} was answered {reply}");
        hop.heal();
        ensure!(send(&site, &mark)?.is("250 2.0.0"), "after {lie:?} at {phase:?} the retry was refused");
        assert_eq!(hop.copies(&mark, "user@example.test"), 1, "{lie:?} at {phase:?}");
    }
    Ok(())
}

#[test]
fn a_permanent_refusal_is_passed_on_in_its_own_words() -> Result<()> {
    let (hop, site) = standing("verifyRecipients: false")?;
    for phase in [Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot] {
        hop.arm(phase, Fault::Answer("552 5.2.2 the mailbox is full".into()), Times::Once);
        let reply = send(&site, "full")?;
        ensure!(
            reply.is("552 5.2.2") && reply.to_string().contains("the mailbox is full"),
            "at {phase:?}: {reply}"
        );
    }
    hop.arm(Phase::Dot, Fault::Answer("550".into()), Times::Once);
    let reply = send(&site, "full")?;
    ensure!(reply.is("550 5.0.0"), "a bare 550 was answered {reply}");
    hop.arm(Phase::Dot, Fault::Answer("450 4.2.1 not now".into()), Times::Once);
    let reply = send(&site, "full")?;
    ensure!(reply.is("451 4.2.1"), "450 4.2.1 was answered {reply}");
    assert!(hop.stored().is_empty());
    Ok(())
}

#[test]
fn no_next_hop_gets_data_before_all_have_taken_their_envelope() -> Result<()> {
    let (first, second, site) = fan_out("verifyRecipients: false")?;
    second.arm(Phase::Rcpt, Fault::Answer("450 4.2.1 not now".into()), Times::Once);
    let to = ["user@example.test", "user@second.test"];
    let reply = deliver(site.address(), "s@example.org", &to, &letter("prepare", 500))?;
    ensure!(reply.is("451"), "{reply}");
    assert_eq!((first.reached(Phase::Body), second.reached(Phase::Body)), (0, 0), "data went out");
    Ok(())
}

#[test]
fn a_hop_that_fails_at_the_last_step_gets_its_copy_by_the_retry_and_the_others_no_second() -> Result<()> {
    let (first, second, site) = fan_out("verifyRecipients: false")?;
    let to = ["user@example.test", "user@second.test"];
    second.arm(Phase::Dot, Fault::Answer("451 4.3.0 disk trouble".into()), Times::Always);
    for attempt in 1..=4 {
        let reply = deliver(site.address(), "s@example.org", &to, &letter("mixed", 500))?;
        ensure!(reply.is("451"), "try {attempt} was answered {reply}");
    }
    second.heal();
    let reply = deliver(site.address(), "s@example.org", &to, &letter("mixed", 500))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!((first.copies("mixed", to[0]), second.copies("mixed", to[1])), (1, 1));
    // What is remembered is this message, not these recipients.
    let reply = deliver(site.address(), "s@example.org", &to, &letter("another", 500))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!((first.copies("another", to[0]), second.copies("another", to[1])), (1, 1));
    Ok(())
}

/// Each fault at each phase before the hop has stored anything, by RCPT-time verification and without, by DATA and by BDAT.
fn every_phase(faults: &[Fault], limits: &str) -> Result<()> {
    let phases =
        [Phase::Greeting, Phase::Hello, Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Body, Phase::Dot];
    for extensions in [&["PIPELINING", "8BITMIME"][..], &["8BITMIME"], &["PIPELINING", "CHUNKING", "SIZE 0"]]
    {
        for verify in ["verifyRecipients: true", "verifyRecipients: false"] {
            let hop = Hop::with_extensions(Protocol::Smtp, extensions)?;
            let site = Site::start(&relay("hop", hop.address(), &format!("{verify}, {limits}")))?;
            for fault in faults {
                for phase in phases {
                    one_fault(&hop, &site, phase, fault)
                        .with_context(|| format!("{fault:?} at {phase:?}, {verify}, {extensions:?}"))?;
                }
            }
        }
    }
    Ok(())
}

fn one_fault(hop: &Hop, site: &Site, phase: Phase, fault: &Fault) -> Result<()> {
    let mark = format!("{phase:?}-{}-end", hop.stored().len());
    // A recipient of its own: an earlier answer may be remembered. A new connection: Greeting and Hello need one.
    let rcpt = format!("{mark}@example.test");
    hop.cut();
    hop.arm(phase, fault.clone(), Times::Once);
    let message = letter(&mark, 4000);
    let reply = deliver(site.address(), "s@example.org", &[&rcpt], &message)?;
    ensure!(reply.is("451"), "answered {reply}");
    assert_eq!(hop.copies(&mark, &rcpt), 0);
    hop.heal();
    let reply = deliver(site.address(), "s@example.org", &[&rcpt], &message)?;
    ensure!(reply.is("250 2.0.0"), "the retry was answered {reply}");
    let copies = hop.copies(&mark, &rcpt);
    ensure!(copies == 1, "{copies} copies");
    Ok(())
}

fn standing(more: &str) -> Result<(Hop, Site)> {
    let hop = Hop::start(Protocol::Smtp)?;
    let more = if more.is_empty() { SHORT.to_owned() } else { format!("{more}, {SHORT}") };
    let site = Site::start(&relay("hop", hop.address(), &more))?;
    Ok((hop, site))
}

/// Two next hops: one for `example.test`, one for `second.test`.
fn fan_out(more: &str) -> Result<(Hop, Hop, Site)> {
    let (first, second) = (Hop::start(Protocol::Smtp)?, Hop::start(Protocol::Smtp)?);
    let objects = relay("default", first.address(), more)
        + &relay("second", second.address(), more)
        + &object("MtaDomain", "second", "{name: second.test, allowRelaying: true, route: second}");
    let site = Site::start(&objects)?;
    Ok((first, second, site))
}

fn send(site: &Site, mark: &str) -> Result<Reply> {
    deliver(site.address(), "s@example.org", &["user@example.test"], &letter(mark, 4000))
}
