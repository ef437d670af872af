//! examples/filters as it stands, but for the ports: one message through filters of every kind, each of which sees what those before
//! it have made of the message.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use postern_tests::client::Client;
use postern_tests::gate::{Gate, Launch, file_of_tree};
use postern_tests::maildir::Maildir;
use postern_tests::manifests::Folder;
use postern_tests::peers::rspamd::Rspamd;
use postern_tests::port::Port;
use postern_tests::process::{Ending, Program};
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};
use tempfile::TempDir;

const MESSAGE: &[u8] = b"From: Bob <bob@sender.example>\r\nTo: ann@example.org\r\nSubject: minutes\r\n\
    Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n";

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/filters").join(name)
}

/// The manifests of the example, with other addresses.
fn manifests(addresses: &[(&str, String)]) -> Result<Folder> {
    let folder = Folder::with(&[])?;
    for entry in fs::read_dir(example(""))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".yaml") {
            let text = fs::read_to_string(&path)?;
            let text = addresses.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
            folder.put(name, &text)?;
        }
    }
    Ok(folder)
}

/// A program of the example that listens on that port.
fn start(script: &str, arguments: &[&str], port: &Port, home: &TempDir) -> Result<Program> {
    let mut command = Command::new(example(script));
    command.args(arguments);
    let mut program = Program::start(script, command, &home.path().join(script), Ending::Kill)?;
    wait::until(script, PATIENCE, || {
        program.must_run()?;
        Ok(TcpStream::connect(port.address()).ok())
    })?;
    Ok(program)
}

/// Whether the milter can run: it is written for Debian's own Python and its package python3-milter.
fn has_python_milter() -> Result<bool> {
    let there = Command::new("/usr/bin/python3").args(["-c", "import Milter"]).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        Ok(true)
    } else {
        require::skip("not installed: python3-milter")
    }
}

/// The fields that the filters have added, from the top.
fn marks(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("X-Filter:")).collect()
}

#[test]
fn one_message_goes_through_filters_of_every_kind_in_order() -> Result<()> {
    if !require::peers(&["python3", "rspamd"])? || !has_python_milter()? {
        return Ok(());
    }
    let home = TempDir::with_prefix("postern-example-")?;
    let (smtp, hook, milter) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
    let rspamd = Rspamd::with_rules(&file_of_tree("examples/filters/rspamd.lua")?)?;
    let _hook = start("hook.py", &[&hook.number().to_string()], &hook, &home)?;
    let socket = format!("inet:{}@127.0.0.1", milter.number());
    let _milter = start("marker.py", &[&socket], &milter, &home)?;
    let folder = manifests(&[
        ("8891", milter.number().to_string()),
        ("127.0.0.1:2525", smtp.address().to_string()),
        ("127.0.0.1:11333", rspamd.address().to_string()),
        ("127.0.0.1:8080", hook.address().to_string()),
    ])?;
    let arguments = vec!["--pipe-dir".into(), example("programs").into()];
    let mut gate = Gate::launch(folder.path(), &Launch { arguments, ..Launch::default() })?;
    let mut client = Client::connect(smtp.address())?;
    client.open("bob@sender.example", &["ann@example.org"])?;
    let reply = client.message(MESSAGE)?;
    ensure!(reply.is("250 2.0.0"), "{reply}\n{}", gate.program().log());

    let stored = Maildir::at(gate.home().join("mail/ann")).messages()?.concat();
    let stored = String::from_utf8_lossy(&stored).replace("\r\n", "\n");
    let read_me = file_of_tree("examples/filters/README.md")?;
    let transcript = read_me.split("```").nth(3).context("no transcript")?;
    assert_eq!(marks(&stored), marks(transcript), "README.md says something else");
    let plain = String::from_utf8_lossy(MESSAGE).replace("\r\n", "\n");
    let unmarked: Vec<&str> = stored.lines().filter(|line| !line.starts_with("X-Filter:")).collect();
    ensure!(unmarked.join("\n").ends_with(plain.trim_end()), "{stored}");
    let log = gate.log(smtp.address())?;
    ensure!(log.contains("an observed filter would have acted"), "{log}");
    Ok(())
}
