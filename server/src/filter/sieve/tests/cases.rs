//! Plays the cases of `server/tests/sieve`: one file for each extension, each case a script and its outcome.
//!
//! ```text
//! == name of the case
//! stage: data                     also env.NAME:, list NAME:, limit NAME:, from:, to:
//! -- script                       `-- script NAME` is one to include
//! -- message
//! -- expect
//! ```
//!
//! `POSTERN_BLESS=1` writes what came out in the place of what was expected, for a person to read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use postern_core::message::draft::{Draft, Piece};
use postern_core::message::edit::Edit;
use postern_core::message::header::Header;
use postern_core::policy::filter::ScriptError;
use postern_core::verdict::{Generated, GeneratedMessage, Modification};

use super::*;

struct Case {
    name: String,
    /// `key: value` lines, as they are.
    settings: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    message: String,
    expected: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sieve")
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut section = "settings".to_owned();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: name.to_owned(),
                settings: Vec::new(),
                scripts: Vec::new(),
                message: String::new(),
                expected: String::new(),
            });
            section = "settings".to_owned();
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(next) = line.strip_prefix("-- ") {
            section = next.to_owned();
            if let Some(name) = section.strip_prefix("script") {
                let name = if name.trim().is_empty() { "main" } else { name.trim() };
                case.scripts.push((name.to_owned(), String::new()));
            }
            continue;
        }
        match section.as_str() {
            "settings" if !line.is_empty() => {
                let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("no setting: {line}"));
                case.settings.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            "settings" => {}
            "message" => case.message.push_str(&format!("{line}\r\n")),
            "expect" => case.expected.push_str(&format!("{line}\n")),
            _ => case.scripts.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    cases
}

fn scene(case: &Case) -> Scene {
    // The line that parts a case from the next one is not part of its message.
    let mut scene = Scene::new(case.message.as_bytes());
    for (name, source) in &case.scripts {
        scene = scene.with_script(name, source);
    }
    for (key, value) in &case.settings {
        set(&mut scene, key, value);
    }
    scene
}

fn set(scene: &mut Scene, key: &str, value: &str) {
    if let Some(name) = key.strip_prefix("env.") {
        scene.environment.push((name.to_owned(), Variable::from(value)));
        return;
    }
    if let Some(name) = key.strip_prefix("list ") {
        scene.policy.lookups.namespace(name);
        for entry in value.split(',').map(str::trim) {
            let (entry, value) = entry.split_once('=').unwrap_or((entry, ""));
            if entry.contains('*') {
                scene.policy.lookups.insert_glob(name, entry, value.into());
            } else {
                scene.policy.lookups.insert(name, entry, value.into());
            }
        }
        return;
    }
    let interpreter = &mut scene.policy.filters.interpreter;
    match key {
        "stage" => {
            let all = [Stage::Connect, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data];
            scene.stage = all.into_iter().find(|stage| stage.name() == value).unwrap();
        }
        "from" if value == "<>" => scene.envelope.sender = ReversePath::Null,
        "from" => {
            let (from, parameters) = value.split_once(' ').unwrap_or((value, ""));
            scene.envelope.sender = ReversePath::Mailbox(address(from));
            scene.envelope.parameters = MailParameters::from_filter(parameters);
        }
        "to" => {
            let recipients = value.split('|').map(str::trim).map(|to| {
                let (to, parameters) = to.split_once(' ').unwrap_or((to, ""));
                Recipient { address: address(to), parameters: RcptParameters::from_filter(parameters) }
            });
            scene.envelope.recipients = recipients.collect();
        }
        "return path" => scene.return_path = Some(value.into()),
        "limit redirects" => interpreter.max_redirects = value.parse().unwrap(),
        "limit out" => interpreter.max_out_messages = value.parse().unwrap(),
        "limit received" => interpreter.max_received_headers = value.parse().unwrap(),
        "limit includes" => interpreter.max_nested_includes = value.parse().unwrap(),
        "limit cycles" => interpreter.max_cpu_cycles = value.parse().unwrap(),
        "limit value" => interpreter.max_var_size = value.parse().unwrap(),
        "limit output" => interpreter.max_output_size = value.parse().unwrap(),
        "on error" => {
            interpreter.on_error = if value == "keep" { ScriptError::Keep } else { ScriptError::TempFail }
        }
        _ => panic!("unknown setting {key}"),
    }
}

/// What came of a case, as text.
fn shown(message: &[u8], outcome: Result<Verdict, RunError>) -> String {
    let mut out = String::new();
    match outcome {
        Err(error) => writeln!(out, "error {error:?}").unwrap(),
        Ok(Verdict::Reject(reply)) => writeln!(out, "reject {reply}").unwrap(),
        Ok(Verdict::Defer(reply)) => writeln!(out, "defer {reply}").unwrap(),
        Ok(Verdict::Disconnect(reply)) => writeln!(out, "disconnect {}", reply.unwrap()).unwrap(),
        Ok(Verdict::Discard) => out.push_str("discard\n"),
        Ok(Verdict::Pass(all)) => {
            let mut edits: Vec<Edit> = Vec::new();
            for one in &all {
                match one {
                    Modification::Edit(edit) => edits.push(edit.clone()),
                    Modification::Generate(generated) => {
                        out.push_str(&generation(message, &edits, generated))
                    }
                    Modification::SetSender(sender, parameters) => {
                        writeln!(out, "sender <{}>", sender.as_str()).unwrap();
                        if let Some(MailParameters { ret, envid, by, .. }) = parameters.as_deref() {
                            writeln!(out, "  ret {ret:?} envid {envid:?} by {by:?}").unwrap();
                        }
                    }
                    Modification::SetRecipient(to) => writeln!(out, "recipient <{}>", to.as_str()).unwrap(),
                    Modification::SetRecipientParameters(parameters) => {
                        writeln!(out, "recipient {parameters:?}").unwrap();
                    }
                    Modification::Drop => out.push_str("drop\n"),
                    other => panic!("no script asks for {other:?}"),
                }
            }
            let end = if edits.is_empty() { "keep\n" } else { "keep with changes\n" };
            if !all.contains(&Modification::Drop) {
                out.push_str(end);
            }
            if edits.iter().any(|edit| matches!(edit, Edit::ReplaceMessage(_))) {
                out.push_str("(the message as a whole)\n");
            }
            if !edits.is_empty() {
                out.push_str(&after(message, &edits));
            }
        }
    }
    masked(&out)
}

fn generation(message: &[u8], edits: &[Edit], generated: &Generated) -> String {
    let mut out = String::new();
    let Generated { sender, parameters, recipient, message: form } = generated;
    let to = recipient.address.as_str();
    match form {
        GeneratedMessage::Own(octets) => {
            write!(out, "notice <{}> to <{to}>\n{}", sender.as_str(), lines(octets)).unwrap();
        }
        GeneratedMessage::InHand if edits.is_empty() => {
            writeln!(out, "redirect <{}> to <{to}>", sender.as_str()).unwrap();
        }
        GeneratedMessage::InHand => {
            write!(out, "redirect <{}> to <{to}>\n{}", sender.as_str(), after(message, edits)).unwrap();
        }
        GeneratedMessage::Edited(octets) => {
            write!(out, "redirect <{}> to <{to}>\n{}", sender.as_str(), lines(octets)).unwrap();
        }
    }
    let of_recipient = &recipient.parameters;
    if let (GeneratedMessage::InHand | GeneratedMessage::Edited(_), Some(notify)) =
        (form, of_recipient.notify)
    {
        writeln!(out, "  {notify:?}").unwrap();
    }
    if parameters.ret.is_some() || parameters.by.is_some() {
        writeln!(out, "  ret {:?} by {:?}", parameters.ret, parameters.by).unwrap();
    }
    out
}

fn after(message: &[u8], edits: &[Edit]) -> String {
    let mut draft = Draft::new(Arc::new(Header::parse(message).unwrap()), message.len() as u64);
    draft.apply(edits.iter().cloned()).unwrap();
    let octets: Vec<u8> = draft
        .pieces()
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Original(range) => message[range.start as usize..range.end as usize].to_vec(),
            Piece::New(octets) => octets.to_vec(),
        })
        .collect();
    lines(&octets)
}

fn lines(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.split_inclusive('\n').map(|line| format!("| {}\n", line.trim_end_matches(['\r', '\n']))).collect()
}

/// The same text with whatever the interpreter makes up taken out.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut boundary: Option<String> = None;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("multipart/mixed; boundary=\"")
            && boundary.is_none()
            && rest.contains('.')
        {
            boundary = rest.split('"').next().map(str::to_owned);
        }
        let mut line = line.to_owned();
        if let Some(boundary) = &boundary {
            line = line.replace(boundary.as_str(), "BOUNDARY");
        }
        if line.starts_with("| Message-ID: <") && line.ends_with("@gate.example.net>") {
            line = "| Message-ID: <…@gate.example.net>".to_owned();
        }
        if line.starts_with("| Date: ") && !line.contains("2001") {
            line = "| Date: …".to_owned();
        }
        masked.push_str(line.trim_end());
        masked.push('\n');
    }
    masked
}

#[tokio::test]
async fn every_case_has_its_outcome() {
    let bless = std::env::var_os("POSTERN_BLESS").is_some();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut played, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut blessed = text.clone();
        for case in parse(&text) {
            let outcome = shown(case.message.as_bytes(), scene(&case).verdict().await);
            played += 1;
            let expected = case.expected.trim_end();
            if outcome.trim_end() != expected {
                let file = file.file_name().unwrap().to_string_lossy();
                wrong.push(format!("{file}: {}\nwanted:\n{expected}\ngot:\n{outcome}", case.name));
                blessed = with_expectation(&blessed, &case.name, outcome.trim_end());
            }
        }
        if bless && blessed != text {
            std::fs::write(&file, blessed).unwrap();
        }
    }
    assert!(bless || wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(played >= 60, "only {played} cases were found");
}

/// The file with another expectation of one case.
fn with_expectation(text: &str, name: &str, outcome: &str) -> String {
    let mut out = String::new();
    let (mut here, mut skipping) = (false, false);
    for line in text.lines() {
        if let Some(case) = line.strip_prefix("== ") {
            if skipping {
                out.push('\n');
            }
            (here, skipping) = (case == name, false);
        }
        if !skipping {
            writeln!(out, "{line}").unwrap();
        }
        if here && line == "-- expect" {
            writeln!(out, "{outcome}").unwrap();
            skipping = true;
        }
    }
    out
}
