//! MtaSpamFilter beside a real rspamd: what it is told, what each of its actions becomes, and what becomes of mail without it.

use anyhow::{Context, Result, anyhow, ensure};
use postern_tests::client::Client;
use postern_tests::filtered::Filtered;
use postern_tests::http::{Answer, HttpServer};
use postern_tests::manifests::object;
use postern_tests::peers::rspamd::Rspamd;
use postern_tests::port::Port;
use postern_tests::require;
use serde_json::json;

/// The subject says what rspamd is to do.
fn message(subject: &str) -> Vec<u8> {
    format!(
        "From: Bob <bob@sender.example>\r\nTo: anna@example.test\r\nX-Spam: No\r\nSubject: {subject}\r\n\
         Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n"
    )
    .into_bytes()
}

/// Rules in rspamd's own language.
const RULES: &str = r#"
rspamd_config:register_symbol{
  name = 'POSTERN', type = 'prefilter', callback = function(task)
    local wanted = task:get_subject() or ''
    if wanted == 'told' then
      local from, to = task:get_from('smtp')[1].addr, task:get_recipients('smtp')
      local text = string.format('ip=%s helo=%s host=%s from=%s to=%s,%s user=%s id=%s mta=%s size=%d', task:get_from_ip():to_string(),
        task:get_helo(), tostring(task:get_hostname()), from, to[1].addr, to[2].addr, tostring(task:get_user()), task:get_queue_id(),
        tostring(task:get_request_header('MTA-Name')), task:get_size())
      task:set_milter_reply({add_headers = {['X-Told'] = text}})
    elseif wanted == 'milter' then
      task:set_milter_reply({
        add_headers = {['X-Rspamd'] = {value = 'placed', order = 1}, ['X-Two'] = {{value = 'a'}, {value = 'b'}}},
        remove_headers = {['X-Spam'] = 0}, change_from = 'bounce@example.test', add_rcpt = {'berta@example.test'}})
    elseif wanted ~= 'fine' then
      task:set_pre_result(wanted, 'rspamd means ' .. wanted .. '\r\n250 injected')
    end
  end}
"#;

fn filter(url: &str, more: &str) -> String {
    object("MtaSpamFilter", "default", &format!("{{url: \"{url}\"{more}}}"))
}

fn rspamd() -> Result<Option<Rspamd>> {
    if !require::peers(&["rspamd"])? {
        return Ok(None);
    }
    Rspamd::with_rules(RULES).map(Some)
}

fn url(rspamd: &Rspamd) -> String {
    format!("http://{}", rspamd.address())
}

#[test]
fn rspamd_is_told_who_sends_what_to_whom() -> Result<()> {
    let Some(rspamd) = rspamd()? else { return Ok(()) };
    let gate = Filtered::start(&filter(&url(&rspamd), ""))?;
    let mut client = Client::connect(gate.address())?;
    client.open("Bob@Sender.example", &["anna@example.test", "berta@example.test"])?;
    let told = message("told");
    ensure!(client.message(&told)?.is("250 2.0.0"));
    let stored = gate.stored()?;
    let id = stored.split("ESMTP id ").nth(1).and_then(|rest| rest.split(';').next()).context("no id")?;
    let wanted = format!(
        "X-Told: ip=127.0.0.1 helo=client.example.org host=nil from=Bob@sender.example \
         to=anna@example.test,berta@example.test user=nil id={id} mta=gate.example.test size={}\r\n",
        told.len()
    );
    ensure!(stored.to_lowercase().contains(&wanted.to_lowercase()), "{wanted}{stored}");
    Ok(())
}

#[test]
fn every_action_of_rspamd_has_its_consequence() -> Result<()> {
    let Some(rspamd) = rspamd()? else { return Ok(()) };
    let gate = Filtered::start(&filter(&url(&rspamd), ""))?;
    for (subject, wanted) in [
        ("fine", "250 2.0.0"),
        ("no action", "250 2.0.0"),
        ("reject", "554 5.7.1 rspamd means reject"),
        ("soft reject", "451 4.7.1 rspamd means soft reject"),
        ("greylist", "451 4.7.1 rspamd means greylist"),
        ("add header", "250 2.0.0"),
        ("rewrite subject", "250 2.0.0"),
    ] {
        let reply = gate.send("bob@sender.example", &message(subject))?;
        ensure!(reply.is(wanted) && reply.lines.len() == 1, "{subject}: {reply}");
    }
    let stored = gate.stored_for("anna")?;
    let of = |subject: &str| {
        stored
            .iter()
            .find(|text| text.contains(subject))
            .cloned()
            .ok_or_else(|| anyhow!("no {subject}: {stored:?}"))
    };
    ensure!(of("Subject: fine\r\n")?.ends_with(std::str::from_utf8(&message("fine"))?));
    let tagged = of("Subject: add header\r\n")?;
    ensure!(tagged.contains("X-Spam: Yes\r\n") && !tagged.contains("X-Spam: No"), "{tagged}");
    let rewritten = of("*** SPAM *** rewrite subject\r\n")?;
    ensure!(
        rewritten.contains("X-Spam: No\r\n") && rewritten.matches("Subject:").count() == 1,
        "{rewritten}"
    );
    assert_eq!(stored.len(), 4);
    Ok(())
}

#[test]
fn the_changes_of_rspamd_are_applied() -> Result<()> {
    let Some(rspamd) = rspamd()? else { return Ok(()) };
    let gate = Filtered::start(&filter(&url(&rspamd), ""))?;
    ensure!(gate.send("bob@sender.example", &message("milter"))?.is("250 2.0.0"));
    for local in ["anna", "berta"] {
        let stored = gate.stored_for(local)?.concat();
        let end = "X-Two: a\r\nX-Two: b\r\nFrom: Bob <bob@sender.example>\r\nX-Rspamd: placed\r\nTo: anna@example.test\r\nSubject: milter\r\n\
            Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n";
        ensure!(stored.ends_with(end), "{local}: {stored}");
        ensure!(stored.contains("Return-Path: <bounce@example.test>"), "{stored}");
    }
    Ok(())
}

#[test]
fn the_policy_says_what_becomes_of_spam() -> Result<()> {
    let Some(rspamd) = rspamd()? else { return Ok(()) };
    let more = ", onReject: Quarantine, onSoftReject: Tag, onGreylist: Ignore";
    let gate = Filtered::start(&filter(&url(&rspamd), more))?;
    for subject in ["reject", "soft reject", "greylist"] {
        let reply = gate.send("bob@sender.example", &message(subject))?;
        ensure!(reply.is("250 2.0.0"), "{subject}: {reply}");
    }
    let stored = gate.stored_for("anna")?;
    let with = |text: &str| stored.iter().filter(|message| message.contains(text)).count();
    assert_eq!(with("X-Quarantine: rspamd means reject"), 1);
    assert_eq!(with("X-Spam: Yes\r\n"), 1);
    assert_eq!(with("injected\r\n"), 1, "only in the reason, on one line");
    ensure!(
        stored.iter().any(|text| text.ends_with(std::str::from_utf8(&message("greylist")).unwrap_or("?")))
    );
    Ok(())
}

#[test]
fn mail_that_needs_no_check_is_not_shown_to_rspamd() -> Result<()> {
    let server = HttpServer::start(|_| Answer::Json(json!({"action": "reject"}).to_string()))?;
    let stage =
        object("MtaStageData", "default", "{enableSpamFilter: \"sender_domain != 'friend.example'\"}");
    let gate = Filtered::start(&(stage + &filter(&server.url("base/"), ", password: {value: q1}")))?;
    ensure!(gate.send("bob@friend.example", &message("fine"))?.is("250"));
    assert_eq!(server.requests().len(), 0);
    ensure!(gate.send("bob@sender.example", &message("fine"))?.is("554 5.7.1"));
    let request = server.requests().pop().context("nothing was asked")?;
    assert_eq!(request.path, "/base/checkv2");
    assert_eq!(request.header("password"), Some("q1"));
    assert_eq!(request.body, message("fine"));
    Ok(())
}

#[test]
fn a_spam_filter_that_breaks_defers_or_is_skipped_and_changes_nothing() -> Result<()> {
    let edit = r#"{"action": "no action", "milter": {"add_headers": {"X-Half": "edit", "X-Bad": "a\r\nX-Injected: b"}}}"#;
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let cases: Vec<(Answer, &str)> = vec![
        (Answer::Silence, "no answer to the request within 500ms"),
        (raw(""), "connection lost at the answer"),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"action\": \"no"),
            "connection lost at the answer",
        ),
        (raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), "HTTP status 403"),
        (raw("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), "HTTP status 302"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"), "not the JSON of rspamd"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), "more than 16777216 octets"),
        (Answer::Json(r#"{"error": "not now"}"#.into()), "rspamd says: not now"),
        (Answer::Json(r#"{"action": "set on fire"}"#.into()), "none that is known"),
        (Answer::Json(edit.into()), "no header field"),
    ];
    for (answer, reason) in cases {
        let server = HttpServer::start(move |_| answer.clone())?;
        let mut gate = Filtered::start(&filter(&server.url(""), ", timeout: 500ms"))?;
        let reply = gate.send("bob@sender.example", &message("fine"))?;
        ensure!(reply.is("451 4.3.5"), "{reason}: {reply}");
        let lines = gate.log_of("default")?;
        let [line] = &lines[..] else { return Err(anyhow!("{reason}: {lines:?}")) };
        ensure!(line["error"].as_str().is_some_and(|error| error.contains(reason)), "{reason}: {line}");
        let skip = filter(&server.url(""), ", timeout: 500ms, tempFailOnError: false");
        let gate = Filtered::start(&skip)?;
        ensure!(gate.send("bob@sender.example", &message("fine"))?.is("250 2.0.0"), "{reason}");
        ensure!(gate.stored()?.ends_with(std::str::from_utf8(&message("fine"))?), "{reason}");
    }
    let closed = Port::reserve()?;
    let mut gate = Filtered::start(&filter(&format!("http://{}/", closed.address()), ""))?;
    ensure!(gate.send("bob@sender.example", &message("fine"))?.is("451 4.3.5"));
    let lines = gate.log_of("default")?;
    ensure!(
        lines.len() == 1 && lines[0]["error"].as_str().is_some_and(|error| error.contains("cannot connect")),
        "{lines:?}"
    );
    Ok(())
}
