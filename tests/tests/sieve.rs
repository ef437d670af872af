//! Sieve scripts in a real gate: what they do to a session, to a message, and beside it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, Reply, deliver};
use postern_tests::hop::{Fault, Hop, Phase, Protocol, Stored, Times};
use postern_tests::manifests::{object, relay};
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

/// A script under its name.
fn script(name: &str, text: &str) -> String {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaSieveScript\nmetadata: {{name: {name}}}\nspec:\n  \
         contents: |\n{indented}"
    )
}

/// A script of the DATA stage and a next hop for everything.
fn at_data(text: &str, more: &str) -> Result<(Hop, Site)> {
    let hop = Hop::start(Protocol::Smtp)?;
    let stage = object("MtaStageData", "default", "{script: \"'main'\", maxMessages: 100}");
    let site = Site::start(&(relay("hop", hop.address(), "") + &stage + &script("main", text) + more))?;
    Ok((hop, site))
}

/// Mail for a domain goes to a route of its own, everything else to `hop`.
fn elsewhere(domain: &str, route: &str) -> String {
    let choice = format!(
        "{{route: {{match: [{{if: \"rcpt_domain == '{domain}'\", then: \"'{route}'\"}}], else: \"'hop'\"}}}}"
    );
    object("MtaOutboundStrategy", "default", &choice)
}

fn send(site: &Site, message: &str) -> Result<Reply> {
    deliver(site.address(), "ann@example.org", &["bob@example.test"], message.as_bytes())
}

/// The only message that a hop has taken.
fn only(hop: &Hop) -> Result<Stored> {
    let mut stored = hop.stored();
    ensure!(stored.len() == 1, "{} messages were delivered", stored.len());
    stored.pop().context("none")
}

/// The message without the fields that the gate has put before it.
fn text(stored: &Stored) -> String {
    let text = String::from_utf8_lossy(&stored.message).into_owned();
    let start = text.find("From: ").unwrap_or(0);
    text.get(start..).unwrap_or_default().to_owned()
}

const LETTER: &str = "From: Ann <ann@example.org>\r\nTo: bob@example.test\r\nSubject: hello\r\n\
    Message-ID: <1@example.org>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\nText\r\n";

const MULTIPART: &str = "From: Ann <ann@example.org>\r\nTo: bob@foobar.net\r\nSubject: parts\r\n\
    Message-ID: <2@example.org>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\npreamble\r\n--outer\r\n\
    Content-Type: multipart/alternative; boundary=\"inner\"\r\n\r\n--inner\r\nContent-Type: text/plain\r\n\r\n\
    plain text\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>hello <b>world</b></p>\r\n--inner--\r\n--outer\r\n\
    Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--outer--\r\n\
    epilogue\r\n";

#[test]
fn the_worked_example_of_the_data_stage() -> Result<()> {
    let example = r#"require ["envelope", "variables", "replace", "mime", "foreverypart", "editheader", "extracttext"];
if envelope :domain :is "to" "foobar.net" {
  set "counter" "a";
  foreverypart {
    if header :mime :contenttype "content-type" "text/html" {
      extracttext :upper "text_content";
      replace "${text_content}";
    }
    set :length "part_num" "${counter}";
    addheader :last "X-Part-Number" "${part_num}";
    set "counter" "${counter}a";
  }
}"#;
    let domain = object("MtaDomain", "foobar", "{name: foobar.net, allowRelaying: true}");
    let (hop, site) = at_data(example, &domain)?;
    let reply = deliver(site.address(), "ann@example.org", &["bob@foobar.net"], MULTIPART.as_bytes())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let changed = MULTIPART
        .replace("boundary=\"outer\"\r\n", "boundary=\"outer\"\r\nX-Part-Number: 1\r\n")
        .replace("boundary=\"inner\"\r\n", "boundary=\"inner\"\r\nX-Part-Number: 2\r\n")
        .replace("text/plain\r\n", "text/plain\r\nX-Part-Number: 3\r\n")
        .replace(
            "text/html\r\n\r\n<p>hello <b>world</b></p>\r\n",
            // A paragraph of HTML ends with a line end of its own.
            "text/plain; charset=utf-8\r\nX-Part-Number: 4\r\n\r\nHELLO WORLD\r\n\r\n",
        )
        .replace("base64\r\n", "base64\r\nX-Part-Number: 5\r\n");
    assert_eq!(text(&only(&hop)?), changed);

    let reply = deliver(site.address(), "ann@example.org", &["bob@example.test"], MULTIPART.as_bytes())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(text(hop.stored().last().context("nothing came")?), MULTIPART);
    Ok(())
}

#[test]
fn the_worked_example_of_the_connect_stage() -> Result<()> {
    let example = r#"if string "${env.remote_ip}" "127.0.0.9" { reject "Your IP '${env.remote_ip}' is not welcomed here."; }"#;
    let hop = Hop::start(Protocol::Smtp)?;
    let stage = object("MtaStageConnect", "default", "{script: \"'door'\"}");
    let site = Site::start(&(relay("hop", hop.address(), "") + &stage + &script("door", example)))?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "another address is not welcomed either");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&"127.0.0.9:0".parse::<std::net::SocketAddr>()?.into())?;
    socket.connect(&site.address().into())?;
    let mut client = Client::on(socket.into())?;
    let greeting = client.reply()?;
    ensure!(greeting.is("503 5.5.3 Your IP '127.0.0.9' is not welcomed here. [id "), "{greeting}");
    ensure!(client.is_closed(PATIENCE)?, "the connection stays open");
    Ok(())
}

#[test]
fn a_redirect_counts_as_a_delivery() -> Result<()> {
    let (hop, other) = (Hop::start(Protocol::Smtp)?, Hop::start(Protocol::Smtp)?);
    let routes = relay("hop", hop.address(), "")
        + &relay("other", other.address(), "verifyRecipients: false")
        + &elsewhere("elsewhere.test", "other")
        + &object("MtaSieveInterpreter", "default", "{defaultReturnPath: \"'bounce@example.test'\"}")
        + &object("MtaStageData", "default", "{script: \"'main'\", maxMessages: 100}");
    let text = "addheader \"X-Gate\" \"seen\";\nredirect \"cid@elsewhere.test\";";
    let site = Site::start(&(routes + &script("main", text)))?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "it was refused");
    let (kept, redirected) = (only(&hop)?, only(&other)?);
    assert_eq!(kept.recipients, ["bob@example.test"]);
    ensure!(kept.sender.starts_with("<ann@example.org>"), "{}", kept.sender);
    assert_eq!(redirected.recipients, ["cid@elsewhere.test"]);
    ensure!(redirected.sender.starts_with("<bounce@example.test>"), "{}", redirected.sender);
    for stored in [&kept, &redirected] {
        ensure!(
            stored.contains("X-Gate: seen\r\nFrom: Ann") && stored.contains("Received: from "),
            "{stored:?}"
        );
    }
    // What the second next hop says counts, and the client has to come again.
    other.arm(Phase::Dot, Fault::Answer("451 4.3.0 not now".into()), Times::Once);
    let again = LETTER.replace("hello", "again");
    ensure!(send(&site, &again)?.is("451"), "a redirect that failed was taken for delivered");
    ensure!(send(&site, &again)?.is("250 2.0.0"), "the retry was refused");
    assert_eq!(
        (hop.copies("again", "bob@example.test"), other.copies("again", "cid@elsewhere.test")),
        (1, 1)
    );
    other.arm(Phase::Dot, Fault::Answer("554 5.7.1 never".into()), Times::Once);
    let never = LETTER.replace("hello", "never-sent");
    ensure!(send(&site, &never)?.is("554"), "a redirect that was refused was taken for delivered");
    Ok(())
}

#[test]
fn discard_after_redirect_delivers_only_what_was_redirected() -> Result<()> {
    let (hop, site) = at_data("redirect \"cid@example.test\";\ndiscard;", "")?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "it was refused");
    let stored = only(&hop)?;
    assert_eq!(stored.recipients, ["cid@example.test"]);
    assert_eq!(text(&stored), LETTER);
    hop.arm(Phase::Dot, Fault::Answer("451 4.3.0 not now".into()), Times::Once);
    let again = LETTER.replace("hello", "again");
    ensure!(send(&site, &again)?.is("451"), "nobody has it, and the client was told 250");
    Ok(())
}

#[test]
fn a_notification_never_changes_the_reply() -> Result<()> {
    let ops = Hop::start(Protocol::Smtp)?;
    let objects = relay("ops", ops.address(), "verifyRecipients: false") + &elsewhere("ops.test", "ops");
    let notify = "notify :message \"mail for ${envelope.to}\" \"mailto:staff@ops.test\";";
    let (hop, site) = at_data(notify, &objects)?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "it was refused");
    ops.wait_for(Phase::Answered, 0, PATIENCE)?;
    let notice = only(&ops)?;
    assert_eq!(notice.recipients, ["staff@ops.test"]);
    ensure!(notice.sender.starts_with("<>"), "{}", notice.sender);
    ensure!(notice.contains("Subject: mail for bob@example.test\r\n"), "{notice:?}");
    ensure!(!notice.contains("Received: "), "{notice:?}");
    // Nobody waits for what becomes of it.
    let before = ops.reached(Phase::Rcpt);
    ops.answer_rcpt("staff@ops.test", "550 5.1.1 nobody");
    ensure!(send(&site, &LETTER.replace("hello", "again"))?.is("250 2.0.0"), "the notification counted");
    ops.wait_for(Phase::Rcpt, before, PATIENCE)?;
    ops.heal();
    // A message that its next hop does not take is not announced.
    hop.arm(Phase::Dot, Fault::Answer("554 5.7.1 no".into()), Times::Once);
    ensure!(send(&site, &LETTER.replace("hello", "refused"))?.is("554"), "it was taken");
    let before = ops.reached(Phase::Answered);
    ensure!(send(&site, &LETTER.replace("hello", "last"))?.is("250 2.0.0"), "it was refused");
    ops.wait_for(Phase::Answered, before, PATIENCE)?;
    assert_eq!(ops.stored().len(), 2);
    Ok(())
}

#[test]
fn every_stage_has_its_script() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let stages = object("MtaStageEhlo", "default", "{script: \"'at-ehlo'\", rejectNonFqdn: false}")
        + &object("MtaStageMail", "default", "{script: \"'at-mail'\"}")
        + &object("MtaStageRcpt", "default", "{script: \"'at-rcpt'\"}")
        + &object("MtaStageData", "default", "{script: \"'at-data'\"}")
        + &object("MtaLookup", "blocked", "{entries: [{key: \"eve@example.org\"}]}")
        + &script(
            "at-ehlo",
            "if string \"${env.helo_domain}\" \"bad.example\" { reject \"550 5.7.1 bad name at ${env.stage}\"; }",
        )
        + &script(
            "at-mail",
            "if envelope :list \"from\" \"blocked\" { reject \"553 5.7.1 blocked\"; }\nif envelope \"from\" \"old@example.org\" { set \"envelope.from\" \"new@example.org\"; }",
        )
        + &script(
            "at-rcpt",
            "if envelope :detail \"to\" \"none\" { discard; }\nif envelope \"to\" \"alias@example.test\" { set \"envelope.to\" \"bob@example.test\"; }\nif envelope \"to\" \"late@example.test\" { ereject \"450 4.2.1 later\"; }",
        )
        + &script(
            "at-data",
            "if header :contains \"subject\" \"lottery\" { reject \"no lotteries\"; }\nif header \"subject\" \"away\" { discard; }\nset \"envelope.from\" \"final@example.org\";",
        );
    let site = Site::start(&(relay("hop", hop.address(), "") + &stages))?;
    let mut client = Client::connect(site.address())?;
    client.play(
        "C: EHLO bad.example\nS: 550 5.7.1 bad name at ehlo\nC: MAIL FROM:<old@example.org>\nS: 503\n\
         C: EHLO good.example\nS: 250 \nC: MAIL FROM:<eve@example.org>\nS: 553 5.7.1 blocked\n\
         C: MAIL FROM:<old@example.org>\nS: 250 \nC: RCPT TO:<late@example.test>\nS: 450 4.2.1 later\n\
         C: RCPT TO:<alias@example.test>\nS: 250 \nC: RCPT TO:<x+none@example.test>\nS: 250 \nC: DATA\nS: 354 \n",
    )?;
    let reply = client.message(LETTER.as_bytes())?;
    ensure!(reply.is("250 2.0.0"), "{reply}\n{}", client.transcript());
    let stored = only(&hop)?;
    assert_eq!(stored.recipients, ["bob@example.test"]);
    ensure!(stored.sender.starts_with("<final@example.org>"), "{}", stored.sender);
    assert_eq!(text(&stored), LETTER);
    let lottery = LETTER.replace("hello", "The lottery");
    ensure!(send(&site, &lottery)?.is("503 5.5.3 no lotteries [id "));
    ensure!(send(&site, &LETTER.replace("hello", "away"))?.is("250 2.0.0"), "a discard is no refusal");
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn an_unedited_message_stays_octet_for_octet() -> Result<()> {
    let odd = "From:  Ann  <ann@example.org>\r\nX-Odd :a\r\nX-Folded: one\r\n\ttwo\r\nDate: x\r\nMessage-ID: y\r\n\r\n\
               t\u{e9}xt  \r\n.leading dot\r\n\r\n";
    for (name, body) in [("keep", "keep;"), ("tests", "if header :mime :anychild \"x\" \"y\" { discard; }")] {
        let (hop, site) = at_data(body, "")?;
        ensure!(send(&site, odd)?.is("250 2.0.0"), "{name}");
        assert_eq!(text(&only(&hop)?), odd, "{name}");
    }
    let (hop, site) = at_data("addheader :last \"X-New\" \"1\";", "")?;
    ensure!(send(&site, odd)?.is("250 2.0.0"), "it was refused");
    assert_eq!(text(&only(&hop)?), odd.replace("Message-ID: y\r\n", "Message-ID: y\r\nX-New: 1\r\n"));
    Ok(())
}

#[test]
fn what_breaks_the_interpreter_is_a_451_and_the_gate_goes_on() -> Result<()> {
    for text in [
        "foreverypart { replace \"x\"; }",
        "foreverypart { replace \"x\"; addheader \"X\" \"y\"; }",
        "while \"true\" { set \"a\" \"b\"; }",
        "require \"ihave\";\nerror \"not today\";",
        "set \"n\" \"nothing\";\ninclude \"${n}\";",
        "include \"main\";",
    ] {
        let guarded = format!(
            "{}if header \"x-harm\" \"yes\" {{\n{}\n}}",
            if text.starts_with("require") { "require [\"ihave\"];\n" } else { "" },
            text.trim_start_matches("require \"ihave\";\n")
        );
        let (hop, mut site) = at_data(&guarded, "")?;
        let harm = MULTIPART.replace("Subject: parts", "X-Harm: yes");
        for _ in 0..20 {
            let reply = send(&site, &harm)?;
            ensure!(reply.is("451 4.3.5"), "{text} was answered {reply}");
        }
        ensure!(send(&site, MULTIPART)?.is("250 2.0.0"), "after {text} nothing goes through");
        ensure!(site.gate.metric("postern_sieve_errors_total")? >= 20.0, "{text} is not counted");
        assert_eq!(hop.stored().len(), 1);
        site.gate.program().must_run()?;
    }
    Ok(())
}

#[test]
fn messages_within_messages_do_not_end_the_gate() -> Result<()> {
    let (hop, mut site) = at_data("foreverypart { addheader \"X-Part\" \"y\"; }", "")?;
    let pit = "Content-Type: message/rfc822\r\n\r\n".repeat(200_000) + "Subject: x\r\n\r\nbody\r\n";
    let reply = send(&site, &format!("From: Ann <ann@example.org>\r\n{pit}"))?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    site.gate.program().must_run()?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "after it nothing goes through");
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn a_script_that_does_not_stop_keeps_its_thread_and_nobody_else_waits_for_ever() -> Result<()> {
    // So many instructions take minutes; the session is answered after a tenth of a second.
    let interpreter =
        object("MtaSieveInterpreter", "default", "{maxCpuCycles: 100000000000, maxWallTime: 100ms}");
    let text = "if header \"x-harm\" \"yes\" { while \"true\" { set \"a\" \"b\"; } }";
    let (hop, site) = at_data(text, &interpreter)?;
    ensure!(send(&site, LETTER)?.is("250 2.0.0"), "it was refused");
    let harm = LETTER.replace("Subject: hello", "X-Harm: yes");
    let starved = wait::until("every thread to be taken", Duration::from_secs(60), || {
        ensure!(send(&site, &harm)?.is("451 4.3.5"), "an endless script was not a 451");
        Ok((site.gate.metric("postern_sieve_starved_total")? > 0.0).then_some(()))
    });
    starved?;
    ensure!(send(&site, LETTER)?.is("451 4.3.5"), "a message passed by its script");
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("NOOP", "250")?;
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn a_policy_with_a_broken_script_does_not_start_and_says_where() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = script("main", "keep;\nfileinto \"Junk\";\naddhaeder \"X\" \"y\";\ninclude \"mian\";");
    fs::write(folder.path().join("script.yaml"), text)?;
    let path = folder.path().to_str().context("a path")?;
    let (status, said) = postern_tests::gate::postern(&["check", path])?;
    ensure!(!status.success(), "{said}");
    for wanted in [
        "script.yaml:8:5: MtaSieveScript/main spec.contents: line 2 column 1: the command `fileinto` is not available: \
         a gate has no mailboxes",
        "script.yaml:9:5: MtaSieveScript/main spec.contents: line 3 column 1: unknown command `addhaeder`, did you mean \
         `addheader`?",
    ] {
        ensure!(said.contains(wanted), "{wanted}\nis not in\n{said}");
    }
    Ok(())
}
