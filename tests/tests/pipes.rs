//! Pipes of the built gate, with real programs: what they change, and what becomes of mail when they break.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use postern_tests::filtered::Filtered;
use postern_tests::gate;
use postern_tests::manifests::{Folder, object};
use postern_tests::wait::{self, PATIENCE};
use tempfile::TempDir;

const MESSAGE: &[u8] = b"From: Bob <bob@sender.example>\r\nTo: anna@example.test\r\nSubject: minutes\r\n\
    Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n";

/// A folder of programs, each a shell script.
fn programs(scripts: &[(&str, &str)]) -> Result<TempDir> {
    let folder = TempDir::with_prefix("postern-pipes-")?;
    for (name, script) in scripts {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

fn pipe(name: &str, spec: &str) -> String {
    object("MtaPipe", name, &format!("{{{spec}}}"))
}

#[test]
fn pipes_change_the_message_one_after_the_other() -> Result<()> {
    let folder = programs(&[
        ("tag", "exec sed '1s/^/X-Tag: '\"$1\"'\\r\\n/'"),
        ("upper", "exec sed '1,/^\\r$/!y/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/'"),
        ("same", "exec cat"),
    ])?;
    let pipes = pipe("b", "command: \"'upper'\"")
        + &pipe("c", "command: \"'tag'\", arguments: \"['last of ' + sender]\"")
        + &pipe("a", "command: \"'tag'\", arguments: \"['first']\"")
        + &pipe("z", "command: \"'same'\", order: -1")
        + &pipe("never", "command: \"false\"");
    let mut gate = Filtered::with_programs(&pipes, folder.path())?;
    ensure!(gate.send("bob@sender.example", MESSAGE)?.is("250 2.0.0"));
    let stored = gate.stored()?;
    let wanted = "X-Tag: last of bob@sender.example\r\nX-Tag: first\r\nFrom: Bob <bob@sender.example>\r\nTo: anna@example.test\r\n\
        Subject: minutes\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSEE YOU AT NINE.\r\n";
    ensure!(stored.ends_with(wanted), "{stored}");
    ensure!(stored.contains("Received: from client.example.org"), "{stored}");
    for (filter, verdict) in [("a", "modify"), ("b", "modify"), ("z", "pass")] {
        let labels = [("kind", "pipe"), ("filter", filter), ("verdict", verdict)];
        assert_eq!(gate.metric("postern_filter_verdicts_total", &labels)?, 1.0, "{filter}");
    }
    assert_eq!(gate.log_of("never")?.len(), 0);
    Ok(())
}

#[test]
fn a_program_runs_in_its_folder_and_knows_nothing_of_the_gate() -> Result<()> {
    let script = "printf 'X-Env: %s\\r\\nX-Home: %s\\r\\n' \"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\" \"$PWD\"; exec cat";
    let folder = programs(&[("look", script)])?;
    let gate = Filtered::with_programs(&pipe("look", "command: \"'look'\""), folder.path())?;
    ensure!(gate.send("bob@sender.example", MESSAGE)?.is("250"));
    let stored = gate.stored()?;
    ensure!(stored.contains("X-Env: LC_ALL PATH PWD \r\n"), "{stored}");
    ensure!(stored.contains(&format!("X-Home: {}\r\n", folder.path().canonicalize()?.display())), "{stored}");
    Ok(())
}

/// How a program can break: its name, what it does, and what the log says of it.
const BREAKAGES: &[(&str, &str, &str)] = &[
    ("fails", "cat; exit 3", "the program ended with exit status: 3"),
    ("silent", "cat > /dev/null", "the program wrote nothing"),
    ("killed", "cat; kill -9 $$", "the program ended with signal: 9"),
    (
        "slow",
        "sleep 1000 & echo $! > $0.child; echo $$ > $0.leader; cat; wait",
        "no answer to the message within 500ms",
    ),
    ("flood", "echo $$ > $0.leader; exec yes", "an answer of more than 1000 octets"),
    ("babble", "cat > /dev/null; echo this is no message", "what the program wrote is no message"),
    ("missing", "", "cannot be used"),
    ("plain", "", "cannot be started"),
    ("outside", "", "is a link out of the folder of programs"),
];

/// A pipe for each breakage and failure rule, run for the sender domain of that name only.
fn breaking_pipes() -> String {
    let of = |name: &str, rule: &str| {
        let temp_fail = rule == "wait";
        let command = format!(
            "{{match: [{{if: \"sender_domain == '{name}.{rule}.example'\", then: \"'{name}'\"}}], else: false}}"
        );
        let more = format!("timeout: 500ms, maxOutputSize: 1000, tempFailOnError: {temp_fail}");
        pipe(&format!("{name}-{rule}"), &format!("command: {command}, {more}"))
    };
    BREAKAGES.iter().map(|(name, ..)| of(name, "wait") + &of(name, "skip")).collect()
}

fn is_gone(file: &Path) -> Result<()> {
    let stat = format!("/proc/{}/stat", fs::read_to_string(file)?.trim());
    wait::until("the end of the program", PATIENCE, || {
        Ok(fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")).then_some(()))
    })
}

#[test]
fn a_pipe_that_breaks_defers_or_is_skipped_and_changes_nothing() -> Result<()> {
    let scripts: Vec<(&str, &str)> = BREAKAGES.iter().map(|(name, script, _)| (*name, *script)).collect();
    let folder = programs(&scripts)?;
    fs::remove_file(folder.path().join("missing"))?;
    fs::set_permissions(folder.path().join("plain"), Permissions::from_mode(0o644))?;
    fs::remove_file(folder.path().join("outside"))?;
    symlink("/bin/cat", folder.path().join("outside"))?;
    let mut gate = Filtered::with_programs(&breaking_pipes(), folder.path())?;
    for (name, ..) in BREAKAGES {
        let reply = gate.send(&format!("a@{name}.wait.example"), MESSAGE)?;
        ensure!(reply.is("451 4.3.5"), "{name}: {reply}");
    }
    ensure!(gate.stored_for("anna")?.is_empty());
    for (name, ..) in BREAKAGES {
        let reply = gate.send(&format!("a@{name}.skip.example"), MESSAGE)?;
        ensure!(reply.is("250 2.0.0"), "{name}: {reply}");
    }
    let stored = gate.stored_for("anna")?;
    assert_eq!(stored.len(), BREAKAGES.len());
    for message in stored {
        ensure!(message.ends_with(std::str::from_utf8(MESSAGE)?), "{message}");
    }
    for (name, _, reason) in BREAKAGES {
        for rule in ["wait", "skip"] {
            let lines = gate.log_of(&format!("{name}-{rule}"))?;
            let [line] = &lines[..] else { return Err(anyhow!("{name}-{rule}: {lines:?}")) };
            let error = line["error"].as_str().unwrap_or("");
            ensure!(line["message"] == "a filter failed" && error.contains(reason), "{name}: {line}");
        }
    }
    let home = folder.path();
    for file in ["slow.child", "slow.leader", "flood.leader"] {
        is_gone(&home.join(file))?;
    }
    Ok(())
}

#[test]
fn without_a_folder_of_programs_every_pipe_is_a_fault() -> Result<()> {
    let port = postern_tests::port::Port::reserve()?;
    let files = [
        ("listener.yaml", postern_tests::manifests::listener("smtp", port.address())),
        ("route.yaml", object("MtaRoute", "store", "{type: Discard}")),
        ("pipe.yaml", pipe("tag", "command: \"'tag'\"")),
    ];
    let folder = Folder::with(&files)?;
    let path = folder.path().display().to_string();
    let (status, said) = gate::postern(&["check", &path])?;
    ensure!(!status.success() && said.contains("MtaPipe/tag") && said.contains("--pipe-dir"), "{said}");
    let (status, said) = gate::postern(&["serve", "--config", &path, "--admin", "127.0.0.1:0"])?;
    ensure!(!status.success() && said.contains("--pipe-dir"), "{said}");
    let (status, said) = gate::postern(&["check", &path, "--pipe-dir", "/usr/lib/postern/pipes"])?;
    ensure!(status.success(), "{said}");
    // What can be known of a name is known when the policy is loaded.
    folder.put("pipe.yaml", &pipe("tag", "command: \"'../tag'\""))?;
    let (status, said) = gate::postern(&["check", &path, "--pipe-dir", "/usr/lib/postern/pipes"])?;
    ensure!(!status.success() && said.contains("no bare file name"), "{said}");
    Ok(())
}

#[test]
fn a_pipe_is_killed_when_the_time_for_all_filters_is_over() -> Result<()> {
    let folder = programs(&[("sleepy", "sleep 1000 & echo $! > $0.child; cat; wait")])?;
    let objects = object("MtaStageData", "default", "{filterBudget: 1s}")
        + &pipe("sleepy", "command: \"'sleepy'\", timeout: 3m, tempFailOnError: false");
    let gate = Filtered::with_programs(&objects, folder.path())?;
    let reply = gate.send("bob@sender.example", MESSAGE)?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    is_gone(&folder.path().join("sleepy.child"))
}
