//! A simulated session and a real one: the same replies, and the same messages handed on.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, Reply};
use postern_tests::gate::{Gate, postern};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer, Request};
use postern_tests::manifests::{Folder, object, open_domain, relay};
use postern_tests::peers::nsd::Nsd;
use postern_tests::port::Port;
use postern_tests::require;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the world publishes: a sender with SPF and one without, a client with a name, a block list, and trouble.
const WORLD: &str = "\
sender.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"
sender.example. IN A 192.0.2.1
_dmarc.sender.example. IN TXT \"v=DMARC1; p=reject\"
plain.example. IN A 192.0.2.2
mx.sender.example. IN A 192.0.2.1
1.2.0.192.in-addr.arpa. IN PTR mx.sender.example.
listed.example.bl.example. IN A 127.0.0.2";

/// One session: who comes from where, to whom, with what.
struct Session {
    ip: &'static str,
    from: &'static str,
    to: &'static [&'static str],
    subject: &'static str,
}

const CLIENTS: [&str; 2] = ["192.0.2.1", "203.0.113.7"];

const LETTERS: [(&str, &[&str], &str); 15] = [
    ("bob@sender.example", &["anna@example.test"], "plain"),
    ("bob@sender.example", &["anna@example.test", "ben@example.test"], "mark"),
    ("bob@sender.example", &["anna@example.test"], "refuse"),
    ("bob@sender.example", &["anna@example.test"], "rewrite"),
    ("bob@sender.example", &["ghost@example.test", "anna@example.test"], "plain"),
    ("bob@sender.example", &["carl@elsewhere.example"], "plain"),
    ("eve@plain.example", &["anna@example.test"], "plain"),
    ("eve@plain.example", &["anna@example.test", "carl@elsewhere.example"], "mark"),
    ("eve@plain.example", &["shy@example.test"], "plain"),
    ("eve@plain.example", &["shy@example.test", "anna@example.test"], "rewrite"),
    ("eve@listed.example", &["anna@example.test"], "plain"),
    ("eve@broken.example", &["anna@example.test"], "plain"),
    ("", &["anna@example.test"], "mark"),
    ("", &["old@example.test"], "plain"),
    ("not an address", &["anna@example.test"], "plain"),
];

fn sessions() -> Vec<Session> {
    let all = CLIENTS
        .iter()
        .flat_map(|ip| LETTERS.iter().map(|(from, to, subject)| Session { ip, from, to, subject }));
    all.collect()
}

fn message(session: &Session) -> Vec<u8> {
    format!(
        "From: <{}>\r\nTo: anna@example.test\r\nSubject: {}\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\
         Message-ID: <1@sender.example>\r\nAuthentication-Results: gate.example.test; spf=pass\r\n\r\n\
         .a dot\r\nSee you at nine.\r\n",
        if session.from.contains('@') { session.from } else { "bob@plain.example" },
        session.subject
    )
    .into_bytes()
}

/// A hook that knows the sessions: it refuses a recipient, and does what the subject says.
fn judge(request: &Request) -> Answer {
    let told = request.json().unwrap_or_default();
    let last = told
        .pointer("/envelope/to")
        .and_then(Value::as_array)
        .and_then(|to| to.last()?.get("address")?.as_str());
    let subject = told.pointer("/message/headers").and_then(Value::as_array).and_then(|headers| {
        headers.iter().find(|header| header.get(0).is_some_and(|name| name == "Subject"))?.get(1)?.as_str()
    });
    let refusal = |text: &str| json!({"action": "reject", "response": {"status": 550, "enhancedStatus": "5.7.1", "message": text}});
    let accept = |changes: Value| json!({"action": "accept", "modifications": changes});
    let answer = match (told.pointer("/context/stage").and_then(Value::as_str), subject) {
        (Some("rcpt"), _) if last == Some("shy@example.test") => refusal("not here"),
        (Some("data"), Some("refuse")) => refusal("no such subject"),
        (Some("data"), Some("mark")) => accept(json!([
            {"type": "addHeader", "name": "X-Judge", "value": "seen"},
            {"type": "addRecipient", "value": "archive@example.test"},
        ])),
        (Some("data"), Some("rewrite")) => accept(json!([
            {"type": "changeHeader", "index": 1, "name": "Subject", "value": "rewritten"},
            {"type": "replaceContents", "value": "At ten.\r\n"},
        ])),
        _ => accept(json!([])),
    };
    Answer::Json(answer.to_string())
}

fn policy(port: &Port, dns: &Nsd, hook: &HttpServer, hop: &Hop) -> String {
    let settings = format!(
        "{{defaultHostname: gate.example.test, dns: {{servers: [{{address: \"{}\", port: {}}}], timeout: 500ms, attempts: 1}}}}",
        dns.address().ip(),
        dns.address().port()
    );
    let listener =
        format!("{{bind: [\"{}\"], publicPort: 25, proxyTrustedNetworks: [127.0.0.1/32]}}", port.address());
    let allowed = "{isSenderAllowed: {match: [{if: \"is_empty(sender)\", then: true}], \
        else: \"is_empty(dns_query(sender_domain + '.bl.example', 'ipv4'))\"}}";
    let rewrite = "{rewrite: {match: [{if: \"rcpt == 'old@example.test'\", then: \"'anna@example.test'\"}], else: false}, \
        waitOnFail: false}";
    let script = "{contents: 'require [\"editheader\"]; addheader \"X-Script\" \"ran\";'}";
    [
        object("MtaSettings", "default", &settings),
        object("MtaListener", "smtp", &listener),
        object("MtaSenderAuth", "default", "{spfFromVerify: relaxed, dmarcVerify: strict}"),
        object("MtaStageMail", "default", allowed),
        object("MtaStageRcpt", "default", rewrite),
        object("MtaStageData", "default", "{script: \"'mark'\"}"),
        object("MtaSieveScript", "mark", script),
        object("MtaHook", "judge", &format!("{{url: \"{}\", stages: [rcpt, data]}}", hook.url("judge"))),
        open_domain(),
        relay("inside", hop.address(), ""),
    ]
    .concat()
}

/// What a client heard, and what the next hop got.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    replies: Vec<String>,
    handed_on: Vec<(String, Vec<String>, String)>,
}

/// The session over TCP, by a client that gives up where the simulated one does.
fn really(session: &Session, gate: &Port, hop: &Hop) -> Result<Course> {
    let before = hop.stored().len();
    let mut client = Client::connect_silent(gate.address())?;
    client.send(format!("PROXY TCP4 {} 198.51.100.25 40000 25\r\n", session.ip).as_bytes())?;
    let mut replies = vec![client.reply()?];
    let mut say = |client: &mut Client, line: &str| -> Result<bool> {
        let reply = client.command(line)?;
        let is_positive = reply.is_positive() || reply.code == 354;
        replies.push(reply);
        Ok(is_positive)
    };
    say(&mut client, "EHLO client.example.net")?;
    if say(&mut client, &format!("MAIL FROM:<{}>", session.from))? {
        let mut accepted = false;
        for recipient in session.to {
            accepted |= say(&mut client, &format!("RCPT TO:<{recipient}>"))?;
        }
        if accepted && say(&mut client, "DATA")? {
            let reply = client.message(&message(session))?;
            replies.push(reply);
        }
    }
    replies.push(client.command("QUIT")?);
    let stored = hop.stored().split_off(before);
    let handed_on = stored.into_iter().map(|stored| {
        let sender = stored.sender.split(' ').next().unwrap_or_default().trim_matches(['<', '>']).to_owned();
        (sender, stored.recipients, comparable(&String::from_utf8_lossy(&stored.message)))
    });
    Ok(Course {
        replies: replies.iter().map(|reply| comparable(&as_text(reply))).collect(),
        handed_on: handed_on.collect(),
    })
}

fn as_text(reply: &Reply) -> String {
    let last = reply.lines.len().saturating_sub(1);
    let lines = reply.lines.iter().enumerate().map(|(at, line)| {
        let mark = if at == last { ' ' } else { '-' };
        format!("{}{mark}{line}", reply.code)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn simulated(session: &Session, folder: &Path, home: &Path, how: &[&str]) -> Result<Course> {
    let file = home.join("message.eml");
    fs::write(&file, message(session))?;
    let (folder, file) = (folder.display().to_string(), file.display().to_string());
    let mut arguments = vec!["simulate", &folder, &file, "--format", "json", "--ip", session.ip];
    arguments.extend(["--from", session.from]);
    session.to.iter().for_each(|recipient| arguments.extend(["--to", recipient]));
    arguments.extend(how);
    let (status, text) = postern(&arguments)?;
    ensure!(status.success(), "{status}: {text}");
    let course: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let texts = |value: Option<&Value>| -> Vec<String> {
        value
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let steps = course.get("steps").and_then(Value::as_array).context("no steps")?;
    let handed_on = course.get("handedOn").and_then(Value::as_array).context("no handedOn")?;
    Ok(Course {
        replies: steps
            .iter()
            .flat_map(|step| texts(step.get("replies")))
            .map(|reply| comparable(&reply))
            .collect(),
        handed_on: handed_on
            .iter()
            .map(|one| {
                let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                (text("from"), texts(one.get("to")), comparable(&text("message")))
            })
            .collect(),
    })
}

/// A text without the ids of one run, and without the time in its Received field.
fn comparable(text: &str) -> String {
    let mut kept = Vec::new();
    let mut after_id = false;
    for line in text.replace("\r\n", "\n").lines() {
        let words = line.split_inclusive([' ', ']', ';', '@']).map(|word| {
            let id = word.get(..32).filter(|id| id.bytes().all(|octet| octet.is_ascii_hexdigit()));
            id.map_or_else(|| word.to_owned(), |id| word.replace(id, "ID"))
        });
        let line: String = words.collect();
        kept.push(if after_id { "\tDATE".to_owned() } else { line.clone() });
        after_id = line.ends_with(" id ID;");
    }
    kept.join("\n")
}

#[test]
fn thirty_sessions_go_the_same_way_simulated_and_over_tcp() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let home = TempDir::with_prefix("postern-simulate-")?;
    let (port, dns, hook) = (Port::reserve()?, Nsd::start(WORLD)?, HttpServer::start(judge)?);
    let hop = Hop::start(Protocol::Smtp)?;
    hop.answer_rcpt("ghost@example.test", "550 5.1.1 nobody");
    let folder = Folder::with(&[("gate.yaml", policy(&port, &dns, &hook, &hop))])?;
    let _gate = Gate::start(folder.path())?;
    let file = home.path().join("answers.json").display().to_string();
    let sessions = sessions();
    assert_eq!(sessions.len(), 30);
    let (mut with, mut without) = (0, 0);
    for (number, session) in sessions.iter().enumerate() {
        let real = really(session, &port, &hop)?;
        let stored = hop.stored().len();
        let live = simulated(session, folder.path(), home.path(), &["--live", "--record", &file])?;
        assert_eq!(live, real, "session {number}, simulated live");
        let asked = hook.requests().len();
        let recorded = simulated(session, folder.path(), home.path(), &["--recorded", &file])?;
        assert_eq!(recorded, real, "session {number}, simulated with recorded answers");
        assert_eq!(hop.stored().len(), stored, "a simulation has handed something on");
        assert_eq!(hook.requests().len(), asked, "a recorded filter was asked");
        if real.handed_on.is_empty() { without += 1 } else { with += 1 }
    }
    println!("{with} sessions with a message handed on, {without} without");
    ensure!(with >= 8 && without >= 8, "the sessions are all alike");
    Ok(())
}

#[test]
fn bad_input_is_told_from_a_refused_message_by_the_exit_status() -> Result<()> {
    let home = TempDir::with_prefix("postern-simulate-")?;
    let port = Port::reserve()?;
    let listener =
        object("MtaListener", "smtp", &format!("{{bind: [\"{}\"], publicPort: 25}}", port.address()));
    let folder = Folder::with(&[("gate.yaml", listener)])?;
    let path = folder.path().display().to_string();
    let to = ["--from", "a@sender.example", "--to", "b@elsewhere.example"];
    let run = |arguments: &[&str]| postern(&[&["simulate", &path], &to[..], arguments].concat());

    let (status, text) = run(&[])?;
    assert_eq!(status.code(), Some(0), "{text}");
    ensure!(
        text.contains("S: 550 5.1.2") && text.contains("because MtaStageRcpt/default allowRelaying"),
        "{text}"
    );
    ensure!(text.contains("nobody was asked") && !text.contains('\u{1b}'), "{text}");

    let cut = home.path().join("cut.eml");
    fs::write(&cut, "From: a@sender.example\nSubject: cu")?;
    let broken = home.path().join("broken.json");
    fs::write(&broken, "{\"format\": \"postern-recording/2\",\n")?;
    let (cut, broken) = (cut.display().to_string(), broken.display().to_string());
    for (arguments, wanted) in [
        (&[cut.as_str()][..], "cut.eml:2:12: the message is truncated"),
        (&["--recorded", broken.as_str()], "broken.json:2:0: this is no recording"),
        (
            &["--auth", "nobody@example.test"],
            "no directory of the policy has the account `nobody@example.test`",
        ),
        (&["--listener", "lmtp"], "the policy has no listener `lmtp`"),
        (&["--filter", "MtaHook/judge=discard"], "the policy has no MtaHook/judge"),
        (&["--spf", "maybe"], "expected pass, fail"),
        (&["--record", "x.json"], "--live"),
    ] {
        let (status, text) = run(arguments)?;
        assert_eq!(status.code(), Some(2), "{arguments:?}: {text}");
        ensure!(text.contains(wanted), "{arguments:?}: {text}");
    }
    folder
        .put("more.yaml", &object("MtaStageMail", "default", "{isSenderAllowed: \"sender_doman == 'a'\"}"))?;
    let (status, text) = run(&[])?;
    assert_eq!(status.code(), Some(2), "{text}");
    ensure!(text.contains("error: more.yaml:5:26: MtaStageMail/default spec.isSenderAllowed"), "{text}");
    Ok(())
}
