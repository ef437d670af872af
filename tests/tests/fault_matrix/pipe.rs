//! The programs of pipes, which break in ways of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use postern_tests::filtered::Filtered;
use postern_tests::manifests::object;
use tempfile::TempDir;

use super::{Stage, nothing_is_left, open_files, said_at};

#[test]
fn a_pipe() -> Result<()> {
    let folder = TempDir::with_prefix("postern-pipes-")?;
    let program = folder.path().join("judge");
    let write = |script: &str| -> Result<()> {
        // A new file in place of the old: one that is running cannot be written to.
        let draft = folder.path().join(".judge");
        fs::write(&draft, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&draft, Permissions::from_mode(0o755))?;
        Ok(fs::rename(&draft, &program)?)
    };
    write("exec cat")?;
    let spec = "{command: \"'judge'\", timeout: 500ms, breaker: {failures: 1000}}";
    let mut gate = Filtered::with_programs(&object("MtaPipe", "judge", spec), folder.path())?;
    let address = gate.address();
    ensure!(said_at(address, Stage::Data, 0)?.is("250"));
    let before = open_files(&mut gate.site.gate)?;
    let ways = [
        ("refuses", "exit 75"),
        ("hangs", "sleep 60"),
        ("reads nothing and hangs", "exec sleep 60 </dev/null"),
        ("is killed", "kill -9 $$"),
        ("answers nothing", "exec cat >/dev/null"),
        ("answers slowly", "while read -r line; do echo \"$line\"; sleep 0.3; done"),
        ("is killed half way", "head -c 50; kill -9 $$"),
        ("answers endlessly", "exec yes"),
    ];
    for (turn, (way, script)) in ways.into_iter().enumerate() {
        write(script)?;
        let reply = said_at(address, Stage::Data, 2 * turn + 1)?;
        ensure!(reply.is("451 4.3.5"), "a pipe that {way} was answered {reply}");
        write("exec cat")?;
        let reply = said_at(address, Stage::Data, 2 * turn + 2)?;
        ensure!(reply.is("250"), "a pipe that is back after it {way} was answered {reply}");
    }
    fs::remove_file(&program)?;
    let reply = said_at(address, Stage::Data, 100)?;
    ensure!(reply.is("451 4.3.5"), "a pipe without a program was answered {reply}");
    nothing_is_left(&mut gate.site.gate, before)
}
