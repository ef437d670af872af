//! Log lines: one for each session and transaction, and nothing in them that is nobody's business.

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::gate::Launch;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer};
use postern_tests::manifests::{no_session_limits, object, relay};
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};
use serde_json::Value;

/// The lines of the log with this message, once there are so many.
fn lines(site: &mut Site, message: &str, wanted: usize) -> Result<Vec<Value>> {
    wait::until(message, PATIENCE, || {
        let log = site.gate.program().log();
        // The last line may be half written.
        let all = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let all: Vec<Value> = all.map(serde_json::from_str).collect::<Result<_, _>>()?;
        let found: Vec<Value> = all.into_iter().filter(|line| line["message"] == message).collect();
        Ok((found.len() >= wanted).then_some(found))
    })
}

fn launch(objects: &str, level: &str) -> Result<Site> {
    let environment = vec![("RUST_LOG", level.to_owned())];
    let arguments = vec!["--log-format".into(), "json".into()];
    Site::launch(objects, &Launch { environment, arguments, ..Launch::default() })
}

#[test]
fn a_transaction_is_one_line_with_all_that_support_asks_for() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    hop.answer_rcpt("gone@example.test", "550 5.1.1 no such user");
    let hook = HttpServer::start(|_| Answer::Json("{\"action\": \"accept\"}".to_owned()))?;
    let hooks = object("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit")));
    let objects = [relay("inside", hop.address(), ""), hooks, no_session_limits()].concat();
    let mut site = launch(&objects, "info")?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<bob@sender.example>", "250")?;
    client.expect("RCPT TO:<anna@example.test>", "250")?;
    client.expect("RCPT TO:<gone@example.test>", "550 5.1.1")?;
    client.expect("DATA", "354")?;
    ensure!(client.message(&letter("logged", 400))?.is("250 2.0.0"));
    client.expect("MAIL FROM:<bob@sender.example>", "250")?;
    client.expect("RSET", "250")?;
    client.quit();

    let transactions = lines(&mut site, "transaction", 2)?;
    let [sent, dropped] = &transactions[..] else { anyhow::bail!("{transactions:?}") };
    let session = &lines(&mut site, "session", 1)?[0];
    assert_eq!(sent["connection"], session["id"]);
    assert_eq!(sent["sender"], "<bob@sender.example>");
    assert_eq!(sent["recipients"], "<anna@example.test>; <gone@example.test> (550)");
    assert_eq!((&sent["recipients_accepted"], &sent["recipients_refused"]), (&1.into(), &1.into()));
    assert_eq!((&sent["verdict"], &sent["code"]), (&"accepted".into(), &250.into()));
    assert_eq!((&sent["ehlo"], &sent["listener"]), (&"client.example.org".into(), &"smtp".into()));
    ensure!(sent["octets"].as_u64() >= Some(400), "{sent}");
    ensure!(sent["seconds"].as_f64() > Some(0.0), "{sent}");
    let text = |name: &str| sent[name].as_str().unwrap_or_default();
    ensure!(text("client").starts_with("127.0.0.1:"), "{sent}");
    ensure!(text("filters").starts_with("hook audit at data: pass in "), "{sent}");
    ensure!(text("next_hops").starts_with(&format!("inside ({}) for 1: 250 ", hop.address())), "{sent}");
    ensure!(text("id").len() == 32 && text("policy").len() > 8, "{sent}");
    assert_eq!(dropped["verdict"], "abandoned");
    assert_eq!((&session["transactions"], &session["accepted"]), (&2.into(), &1.into()));
    ensure!(session["octets_received"].as_u64() > Some(400), "{session}");
    Ok(())
}

#[test]
fn a_refusal_names_what_has_decided_it() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let rule = object("MtaStageMail", "default", "{isSenderAllowed: \"sender != 'evil@sender.example'\"}");
    let mut site = launch(&(relay("inside", hop.address(), "") + &rule), "info")?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    let refusal = client.expect("MAIL FROM:<evil@sender.example>", "550")?.to_string();
    client.quit();
    let line = lines(&mut site, "transaction", 1)?.pop().context("none")?;
    assert_eq!((&line["verdict"], &line["code"]), (&"rejected".into(), &550.into()));
    assert_eq!((&line["object"], &line["rule"]), (&"MtaStageMail/default".into(), &"isSenderAllowed".into()));
    assert_eq!(line["id"].as_str(), Some(crate::bench::id_of(&refusal)?));
    Ok(())
}

#[test]
fn neither_passwords_nor_mail_are_in_any_line() -> Result<()> {
    const PASSWORD: &str = "correct-horse-battery";
    const BODY: &str = "the-secret-of-the-message";
    const TOKEN: &str = "token-of-the-hook";
    let hop = Hop::start(Protocol::Smtp)?;
    let hook = HttpServer::start(|_| Answer::Json("{\"action\": \"accept\"}".to_owned()))?;
    let auth = format!("httpAuth: {{type: Bearer, bearerToken: {{value: {TOKEN}}}}}");
    let account = format!(
        "{{type: Inline, accounts: [{{address: carl@example.test, passwords: [{{value: \"{PASSWORD}\"}}]}}]}}"
    );
    let objects = [
        relay("inside", hop.address(), ""),
        object("MtaHook", "audit", &format!("{{url: \"{}\", {auth}}}", hook.url("audit"))),
        object("MtaDirectory", "people", &account),
        object(
            "MtaStageAuth",
            "default",
            "{saslMechanisms: \"[plain]\", allowClearTextAuth: true, require: false}",
        ),
    ];
    let mut site = launch(&objects.concat(), "trace")?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    // base64 of NUL carl@example.test NUL and a wrong password, then the right one.
    client.expect("AUTH PLAIN AGNhcmxAZXhhbXBsZS50ZXN0AHdyb25nLWhvcnNlLWJhdHRlcnk=", "535")?;
    client.expect("AUTH PLAIN AGNhcmxAZXhhbXBsZS50ZXN0AGNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==", "235")?;
    client.envelope("carl@example.test", &["anna@example.test"])?;
    let message = format!("Subject: hello\r\n\r\n{BODY}\r\n");
    ensure!(client.message(message.as_bytes())?.is("250 2.0.0"));
    client.quit();
    let line = lines(&mut site, "transaction", 1)?.pop().context("none")?;
    assert_eq!(line["account"], "carl@example.test");
    lines(&mut site, "session", 1)?;
    let log = site.gate.program().log();
    ensure!(log.contains("\"level\":\"DEBUG\""), "the log is not as detailed as it should be");
    for secret in [
        PASSWORD,
        "wrong-horse-battery",
        "AGNhcmxAZXhhbXBsZS50ZXN0AHdyb25n",
        "AGNhcmxAZXhhbXBsZS50ZXN0AGNvcnJl",
        BODY,
        TOKEN,
    ] {
        ensure!(!log.contains(secret), "{secret} is in the log");
    }
    Ok(())
}
