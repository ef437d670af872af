//! Hooks of the built gate: what they are told, what their answers do, and what becomes of mail when they break.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::filtered::Filtered;
use postern_tests::http::{Answer, HttpServer, Request};
use postern_tests::manifests::object;
use postern_tests::port::Port;
use postern_tests::process::{Ending, Program};
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};
use serde_json::{Value, json};
use tempfile::TempDir;

const MESSAGE: &[u8] =
    b"From: Bob <bob@sender.example>\r\nTo: anna@example.test\r\nSubject: minutes\r\n of Monday\r\n\
    Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n";

/// A hook at that path of the server, with further fields of its spec.
fn hook(name: &str, server: &HttpServer, more: &str) -> String {
    object("MtaHook", name, &format!("{{url: \"{}\"{more}}}", server.url(name)))
}

fn accepting(modifications: &[Value]) -> Answer {
    Answer::Json(json!({"action": "accept", "modifications": modifications}).to_string())
}

fn only(mut requests: Vec<Request>) -> Result<Request> {
    ensure!(requests.len() == 1, "{} requests", requests.len());
    requests.pop().context("none")
}

#[test]
fn a_hook_is_told_the_whole_message_and_where_it_comes_from() -> Result<()> {
    let server = HttpServer::start(|_| accepting(&[]))?;
    let more = ", httpHeaders: {X-Tenant: one}, httpAuth: {type: Basic, username: gate, secret: {value: 'open sesame'}}";
    let dsn = object("MtaExtensions", "default", "{dsn: true}");
    let gate = Filtered::start(&(dsn + &hook("look", &server, more)))?;
    let mut client = Client::connect(gate.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<Bob@Sender.example> SIZE=2048 BODY=8BITMIME", "250")?;
    client.expect("RCPT TO:<Anna@example.test> NOTIFY=FAILURE", "250")?;
    client.expect("DATA", "354")?;
    ensure!(client.message(MESSAGE)?.is("250 2.0.0"));

    let request = only(server.requests())?;
    ensure!(request.head.starts_with("POST /look HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-tenant"), Some("one"));
    assert_eq!(request.header("authorization"), Some("Basic Z2F0ZTpvcGVuIHNlc2FtZQ=="));
    let told = request.json()?;
    assert_eq!(told["context"]["stage"], "data");
    assert_eq!(told["context"]["client"]["ip"], "127.0.0.1");
    assert_eq!(told["context"]["client"]["ehlo"], "client.example.org");
    assert_eq!(told["context"]["client"]["helo"], "client.example.org");
    assert_eq!(told["context"]["client"]["ptr"], Value::Null);
    assert_eq!(told["context"]["client"]["activeConnections"], 1);
    assert_eq!(told["context"]["server"], json!({"name": "Postern", "port": 25, "ip": "127.0.0.1"}));
    assert_eq!(told["context"]["protocol"]["version"], 1);
    assert_eq!(told["context"].get("sasl"), None);
    assert_eq!(told["context"].get("tls"), None);
    assert_eq!(
        told["envelope"],
        json!({
            "from": {"address": "bob@sender.example", "parameters": {"size": "2048", "body": "8BITMIME"}},
            "to": [{"address": "anna@example.test", "parameters": {"notify": "FAILURE"}}]
        })
    );
    let message = &told["message"];
    assert_eq!(message["headers"][0], json!(["From", "Bob <bob@sender.example>"]));
    assert_eq!(message["headers"][2], json!(["Subject", "minutes\r\n of Monday"]));
    assert_eq!(message["headers"].as_array().map(Vec::len), Some(5));
    assert_eq!(message["contents"], "See you at nine.\r\n");
    assert_eq!(message["size"], MESSAGE.len());

    // The fields of ours are those that stand before the message afterwards.
    let stored = gate.stored()?;
    let ours = message["serverHeaders"].as_array().context("no serverHeaders")?;
    let written: Vec<String> = ours
        .iter()
        .map(|field| format!("{}: {}\r\n", field[0].as_str().unwrap_or(""), field[1].as_str().unwrap_or("")))
        .collect();
    ensure!(
        written.iter().any(|field| field.starts_with("Received: from client.example.org")),
        "{written:?}"
    );
    ensure!(stored.contains(&written.concat()), "{written:?} is not in {stored}");
    ensure!(stored.ends_with(std::str::from_utf8(MESSAGE)?), "{stored}");

    // One id: of the message, in the Received field, and of the trace.
    let id = told["context"]["queue"]["id"].as_str().context("no id")?;
    ensure!(written.concat().to_lowercase().contains(&format!("id {id}")), "{id} {written:?}");
    let parent = request.header("traceparent").context("no traceparent")?;
    ensure!(parent.starts_with(&format!("00-{id}-")) && parent.ends_with("-00"), "{parent}");
    Ok(())
}

#[test]
fn every_stage_is_asked_with_what_is_known_there() -> Result<()> {
    let server = HttpServer::start(|_| accepting(&[]))?;
    let login = object(
        "MtaStageAuth",
        "default",
        "{saslMechanisms: \"[plain]\", allowClearTextAuth: true, require: false}",
    ) + &object(
        "MtaDirectory",
        "people",
        "{type: Inline, accounts: [{address: bob@example.test, passwords: [{value: secret}]}]}",
    );
    let stages = ", stages: [connect, ehlo, auth, mail, rcpt, data], httpAuth: {type: Bearer, bearerToken: {value: abc}}";
    let gate = Filtered::start(&(login + &hook("all", &server, stages)))?;
    let mut client = Client::connect(gate.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("AUTH PLAIN AGJvYkBleGFtcGxlLnRlc3QAc2VjcmV0", "235")?;
    client.envelope("bob@example.test", &["anna@example.test"])?;
    ensure!(client.message(MESSAGE)?.is("250"));
    let told: Vec<Value> = server.requests().iter().map(Request::json).collect::<Result<_>>()?;
    let of = |path: &str| {
        told.iter().map(|one| one.pointer(path).cloned().unwrap_or(Value::Null)).collect::<Vec<_>>()
    };
    assert_eq!(of("/context/stage"), ["connect", "ehlo", "auth", "mail", "rcpt", "data"]);
    let null = Value::Null;
    let name = json!("client.example.org");
    assert_eq!(of("/context/client/ehlo"), [vec![null.clone()], vec![name; 5]].concat());
    let account = json!("bob@example.test");
    assert_eq!(of("/context/sasl/login"), [vec![null.clone(); 2], vec![account.clone(); 4]].concat());
    assert_eq!(of("/context/sasl/method"), [vec![null.clone(); 2], vec![json!("plain"); 4]].concat());
    assert_eq!(of("/envelope/from/address"), [vec![null.clone(); 3], vec![account; 3]].concat());
    let to = json!("anna@example.test");
    assert_eq!(of("/envelope/to/0/address"), [vec![null.clone(); 4], vec![to; 2]].concat());
    assert_eq!(of("/message/contents"), [vec![null; 5], vec![json!("See you at nine.\r\n")]].concat());
    ensure!(server.requests().iter().all(|request| request.header("authorization") == Some("Bearer abc")));
    // All of it went over one connection.
    assert_eq!(server.connections(), 1);
    Ok(())
}

#[test]
fn what_a_hook_asks_for_is_what_is_delivered() -> Result<()> {
    let server = HttpServer::start(|_| {
        accepting(&[
            json!({"type": "addHeader", "name": "X-First", "value": "1"}),
            json!({"type": "insertHeader", "index": 1, "name": "X-Inserted", "value": "2"}),
            json!({"type": "changeHeader", "index": 1, "name": "subject", "value": "moved\r\n to Tuesday"}),
            json!({"type": "deleteHeader", "index": 1, "name": "To"}),
            json!({"type": "replaceContents", "value": "At ten.\n.\nBob\r\n"}),
            json!({"type": "addRecipient", "value": "<berta@example.test>", "parameters": {"NOTIFY": "NEVER"}}),
            json!({"type": "deleteRcpt", "value": "anna@example.test"}),
            json!({"type": "changeFrom", "value": "bounce@example.test", "parameters": null}),
        ])
    })?;
    let gate = Filtered::start(&hook("edit", &server, ""))?;
    ensure!(gate.send("bob@sender.example", MESSAGE)?.is("250 2.0.0"));
    assert_eq!(gate.stored_for("anna")?, [""; 0]);
    let stored = gate.stored_for("berta")?.concat();
    let end = "X-First: 1\r\nFrom: Bob <bob@sender.example>\r\nX-Inserted: 2\r\nsubject: moved\r\n to Tuesday\r\n\
        Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nAt ten.\r\n.\r\nBob\r\n";
    ensure!(stored.ends_with(end), "{stored}");
    ensure!(stored.contains("Return-Path: <bounce@example.test>"), "{stored}");
    Ok(())
}

#[test]
fn base64_loses_no_octet_in_either_direction() -> Result<()> {
    let server = HttpServer::start(|request| {
        let body = request.json().map(|told| told["message"]["contents"].clone()).unwrap_or_default();
        accepting(&[json!({"type": "replaceContents", "contentsEncoding": "base64", "value": body})])
    })?;
    let gate = Filtered::start(&hook("octets", &server, ", bodyEncoding: Base64"))?;
    let message = [MESSAGE, b"\xff\xfe\x00\x80\r\n"].concat();
    ensure!(gate.send("bob@sender.example", &message)?.is("250"));
    assert_eq!(only(server.requests())?.json()?["message"]["contentsEncoding"], "base64");
    let files = postern_tests::maildir::Maildir::at(gate.site.gate.home().join("mail/anna")).messages()?;
    ensure!(files.concat().ends_with(&message), "octets were lost");
    Ok(())
}

#[test]
fn a_hook_decides_at_every_stage() -> Result<()> {
    let said = |response: Value| Answer::Json(json!({"action": "reject", "response": response}).to_string());
    let server = HttpServer::start(move |request| {
        let told = request.json().unwrap_or_default();
        let text = |path: &str| told.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
        match (text("/context/stage").as_str(), text("/envelope/from/address").as_str()) {
            ("ehlo", _) if text("/context/client/ehlo") == "bad.example.org" => {
                said(json!({"status": 550, "enhancedStatus": "5.7.1", "message": "no such name\r\n250 fine"}))
            }
            ("mail", "m@x.example") => said(json!({"status": 451, "message": "later"})),
            ("rcpt", "r@x.example") => said(Value::Null),
            ("mail", "close@x.example") => said(json!({"status": 554, "message": "bye", "disconnect": true})),
            ("mail", "421@x.example") => said(json!({"status": 421, "message": "gone"})),
            ("mail", "doom@x.example") | ("data", "discard@x.example") => {
                Answer::Json(json!({"action": "discard"}).to_string())
            }
            ("data", "d@x.example") => {
                said(json!({"status": 550, "enhanced_status": "5.7.1", "message": "not today"}))
            }
            ("data", "q@x.example") => {
                Answer::Json(json!({"action": "quarantine", "response": {"message": "odd"}}).to_string())
            }
            _ => accepting(&[]),
        }
    })?;
    let gate = Filtered::start(&hook("judge", &server, ", stages: [ehlo, mail, rcpt, data]"))?;
    let mut client = Client::connect(gate.address())?;
    client.play(
        "C: EHLO bad.example.org
         S: 550 5.7.1 no such name  250 fine
         C: EHLO client.example.org
         S: 250
         C: MAIL FROM:<m@x.example>
         S: 451 later
         C: MAIL FROM:<r@x.example>
         S: 250
         C: RCPT TO:<anna@example.test>
         S: 503 5.5.3
         C: RSET
         S: 250
         C: MAIL FROM:<doom@x.example>
         S: 250
         C: RCPT TO:<anna@example.test>
         S: 250
         C: DATA
         S: 354",
    )?;
    ensure!(client.message(MESSAGE)?.is("250 2.0.0"));
    for (from, wanted) in [
        ("d@x.example", "550 5.7.1 not today"),
        ("discard@x.example", "250 2.0.0"),
        ("q@x.example", "250 2.0.0"),
    ] {
        client.envelope(from, &["anna@example.test"])?;
        let reply = client.message(MESSAGE)?;
        ensure!(reply.is(wanted), "{from}: {reply}");
    }
    for (from, wanted) in [("close@x.example", "554 bye"), ("421@x.example", "421 gone")] {
        let mut client = Client::connect(gate.address())?;
        client.expect("EHLO client.example.org", "250")?;
        client.expect(&format!("MAIL FROM:<{from}>"), wanted)?;
        ensure!(client.is_closed(PATIENCE)?, "{from}: the connection stays");
    }
    let stored = gate.stored()?;
    ensure!(stored.contains("X-Quarantine: odd\r\n"), "{stored}");
    Ok(())
}

#[test]
fn a_hook_at_connect_closes_with_its_own_words() -> Result<()> {
    let server = HttpServer::start(|_| {
        Answer::Json(
            json!({"action": "reject", "response": {"status": 554, "message": "not you"}}).to_string(),
        )
    })?;
    let gate = Filtered::start(&hook("door", &server, ", stages: [connect]"))?;
    let mut client = Client::connect_silent(gate.address())?;
    let greeting = client.reply()?;
    ensure!(greeting.is("554 not you"), "{greeting}");
    ensure!(client.is_closed(PATIENCE)?);
    Ok(())
}

/// How a hook can break: a name, what it answers, and what the log says of it.
fn breakages() -> Vec<(&'static str, Answer, &'static str)> {
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let json = |text: &str| Answer::Json(text.to_owned());
    // A good change before the bad one: nothing of it may be left.
    let edit = r#"{"type": "addHeader", "name": "X-Half", "value": "edit"}"#;
    let after_edit =
        |bad: &str| json(&format!(r#"{{"action": "accept", "modifications": [{edit}, {bad}]}}"#));
    let cut = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{{\"action\": \"accept\", \"modifications\": [{edit}"
    );
    vec![
        ("slow", Answer::Silence, "no answer to the request within 500ms"),
        ("closing", raw(""), "connection lost at the answer"),
        ("half", raw(&cut), "connection lost at the answer"),
        ("no-http", raw("220 mail.example ESMTP\r\n"), "no HTTP"),
        (
            "html",
            raw(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>It works</html",
            ),
            "not the JSON of a hook",
        ),
        ("empty", raw("HTTP/1.1 204 No Content\r\n\r\n"), "not the JSON of a hook"),
        (
            "redirect",
            raw("HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
            "HTTP status 307",
        ),
        ("missing", raw("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "HTTP status 404"),
        ("broken", raw("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"), "HTTP status 500"),
        ("announced", raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), "more than 2000 octets"),
        ("endless", Answer::Endless, "more than 2000 octets"),
        ("list", json("[1, 2]"), "not the JSON of a hook"),
        ("truncated", json(r#"{"action": "accept""#), "not the JSON of a hook"),
        ("action", json(r#"{"action": "approve"}"#), "unknown variant"),
        ("type", after_edit(r#"{"type": "setOn\u000a\u001bFire"}"#), "unknown variant `setOn  Fire`"),
        (
            "member",
            after_edit(r#"{"type": "insertHeader", "index": "first", "name": "A", "value": "b"}"#),
            "not the JSON of a hook",
        ),
        (
            "line-end",
            after_edit(r#"{"type": "addHeader", "name": "X-A", "value": "b\r\nX-Injected: c"}"#),
            "no header field",
        ),
        ("name", after_edit(r#"{"type": "addHeader", "name": "X A", "value": "b"}"#), "no header field"),
        ("address", after_edit(r#"{"type": "changeFrom", "value": "nobody"}"#), "no address"),
        (
            "status",
            json(r#"{"action": "reject", "response": {"status": 250, "message": "fine"}}"#),
            "no status",
        ),
    ]
}

/// A hook for each breakage, asked for the sender domain of that name only, once with each failure rule.
fn breaking_hooks(server: &HttpServer, closed: &Port) -> String {
    let hooks = |name: &str, url: &str| -> String {
        let of = |rule: &str, temp_fail: bool| {
            object(
                "MtaHook",
                &format!("{name}-{rule}"),
                &format!(
                    "{{url: \"{url}\", enable: \"sender_domain == '{name}.{rule}.example'\", timeout: 500ms, \
                     maxResponseSize: 2000, tempFailOnError: {temp_fail}}}"
                ),
            )
        };
        of("wait", true) + &of("skip", false)
    };
    let all: String = breakages().iter().map(|(name, ..)| hooks(name, &server.url(name))).collect();
    all + &hooks("down", &format!("http://{}/", closed.address()))
}

#[test]
fn a_hook_that_breaks_defers_or_is_skipped_and_changes_nothing() -> Result<()> {
    let server = HttpServer::start(|request| {
        let name = request.path.trim_start_matches('/');
        let known = breakages().into_iter().find(|(known, ..)| *known == name);
        known.map_or_else(|| accepting(&[]), |(_, answer, _)| answer)
    })?;
    let closed = Port::reserve()?;
    let mut gate = Filtered::start(&breaking_hooks(&server, &closed))?;
    let reasons = breakages().into_iter().map(|(name, _, reason)| (name, reason));
    let reasons: Vec<(&str, &str)> = reasons.chain([("down", "cannot connect")]).collect();
    for (name, _) in &reasons {
        let reply = gate.send(&format!("a@{name}.wait.example"), MESSAGE)?;
        ensure!(reply.is("451 4.3.5"), "{name}: {reply}");
        ensure!(gate.stored_for("anna")?.is_empty(), "{name}: delivered all the same");
    }
    for (name, _) in &reasons {
        let reply = gate.send(&format!("a@{name}.skip.example"), MESSAGE)?;
        ensure!(reply.is("250 2.0.0"), "{name}: {reply}");
    }
    let stored = gate.stored_for("anna")?;
    assert_eq!(stored.len(), reasons.len());
    for message in stored {
        ensure!(message.ends_with(std::str::from_utf8(MESSAGE)?), "{message}");
        ensure!(!message.contains("X-Half") && !message.contains("X-Injected"), "{message}");
    }
    ensure!(server.requests_at("elsewhere").is_empty(), "a redirect was followed");
    for (name, reason) in &reasons {
        for rule in ["wait", "skip"] {
            let lines = gate.log_of(&format!("{name}-{rule}"))?;
            let [line] = &lines[..] else { return Err(anyhow!("{name}-{rule}: {lines:?}")) };
            let error = line["error"].as_str().unwrap_or("");
            ensure!(line["message"] == "a filter failed" && line["level"] == "WARN", "{line}");
            ensure!(error.contains(reason), "{name}: {error} does not say {reason}");
            let failures = gate.metric(
                "postern_filter_verdicts_total",
                &[("filter", &format!("{name}-{rule}")), ("verdict", "failure"), ("stage", "data")],
            )?;
            ensure!(failures == 1.0, "{name}-{rule}: {failures}");
        }
    }
    Ok(())
}

#[test]
fn a_message_larger_than_a_hook_may_see_falls_under_its_failure_rule() -> Result<()> {
    let server = HttpServer::start(|_| accepting(&[]))?;
    let gate = Filtered::start(&hook("small", &server, ", maxMessageSize: 100"))?;
    let reply = gate.send("bob@sender.example", MESSAGE)?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    assert_eq!(server.requests().len(), 0);
    Ok(())
}

/// The hook of examples/filters, in Python, over TLS; it wants a certificate from whoever asks.
fn python_hook(authority: &Authority, home: &TempDir) -> Result<(Program, Port)> {
    authority.issue(&["hooks.example.test"])?.write(home.path())?;
    let port = Port::reserve()?;
    let mut command = Command::new("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/filters/hook.py");
    command.arg(script).arg(port.number().to_string());
    command.arg(home.path().join("tls.crt")).arg(home.path().join("tls.key")).arg(authority.file());
    let mut program = Program::start("hook.py", command, &home.path().join("log"), Ending::Kill)?;
    wait::until("the hook", PATIENCE, || {
        program.must_run()?;
        Ok(TcpStream::connect(port.address()).ok())
    })?;
    Ok((program, port))
}

#[test]
fn over_https_a_hook_must_be_who_it_is_said_to_be() -> Result<()> {
    if !require::peers(&["python3", "openssl"])? {
        return Ok(());
    }
    let (authority, home) = (Authority::new()?, TempDir::with_prefix("postern-hook-")?);
    let (_program, port) = python_hook(&authority, &home)?;
    let secrets = authority.secret("ca")? + &authority.issue(&["gate.example.test"])?.secret("gate");
    let trusted = "caSecretRef: {name: ca, key: ca.crt}";
    let cases = [
        ("good", format!("{trusted}, clientSecretName: gate, serverName: hooks.example.test"), "250 2.0.0"),
        ("anything", "clientSecretName: gate, allowInvalidCerts: true".to_owned(), "250 2.0.0"),
        ("anonymous", format!("{trusted}, serverName: hooks.example.test"), "451 4.3.5"),
        ("misnamed", format!("{trusted}, clientSecretName: gate"), "451 4.3.5"),
        ("stranger", "clientSecretName: gate, serverName: hooks.example.test".to_owned(), "451 4.3.5"),
    ];
    let hooks = cases.iter().map(|(name, tls, _)| {
        let spec = format!(
            "{{url: \"https://{}/\", enable: \"sender_domain == '{name}.example'\", tls: {{{tls}}}}}",
            port.address()
        );
        object("MtaHook", name, &spec)
    });
    let gate = Filtered::start(&(secrets + &hooks.collect::<String>()))?;
    for (name, _, wanted) in &cases {
        let reply = gate.send(&format!("a@{name}.example"), MESSAGE)?;
        ensure!(reply.is(wanted), "{name}: {reply}");
    }
    let stored = gate.stored_for("anna")?;
    assert_eq!(stored.len(), 2);
    ensure!(stored.iter().all(|message| message.contains("X-Filter: hook, after nobody\r\n")), "{stored:?}");
    let secret = [&b"Subject: x\r\n\r\nthe secret recipe\r\n"[..]].concat();
    let reply = gate.send("a@good.example", &secret)?;
    ensure!(reply.is("550 5.7.1 The recipe stays here"), "{reply}");
    Ok(())
}

#[test]
fn a_reload_of_tls_settings_leaves_no_connection_of_the_old_ones() -> Result<()> {
    if !require::peers(&["python3", "openssl"])? {
        return Ok(());
    }
    let (authority, home) = (Authority::new()?, TempDir::with_prefix("postern-hook-")?);
    let (_program, port) = python_hook(&authority, &home)?;
    let secrets =
        Authority::new()?.secret("stranger")? + &authority.issue(&["gate.example.test"])?.secret("gate");
    let with = |tls: &str| {
        let route = object("MtaRoute", "store", "{type: Maildir, path: \"mail/{local}\"}");
        let spec =
            format!("{{url: \"https://{}/\", tls: {{clientSecretName: gate, {tls}}}}}", port.address());
        format!("{route}{secrets}{}", object("MtaHook", "secure", &spec))
    };
    let gate = Filtered::start("")?;
    let revision = || Ok::<_, anyhow::Error>(gate.site.gate.status()?["revision"].clone());
    let apply = |objects: &str| -> Result<()> {
        let before = revision()?;
        gate.site.folder.put("objects.yaml", objects)?;
        wait::until("the reload", PATIENCE, || Ok((revision()? != before).then_some(())))
    };
    apply(&with("allowInvalidCerts: true"))?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("250 2.0.0"));
    // The connection of that message is kept, and would still work.
    apply(&with("caSecretRef: {name: stranger, key: ca.crt}, serverName: hooks.example.test"))?;
    let reply = gate.send("a@sender.example", MESSAGE)?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    apply(&with("allowInvalidCerts: true"))?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("250 2.0.0"));
    Ok(())
}
