//! What a test needs from the machine, and what happens where it is missing.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, bail};

/// Where a program of this name lies, in `PATH` or in the system's folders for daemons.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/lib/postfix/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether the test may run: all `programs` are there, and so is root if `programs` holds a daemon that drops privileges.
///
/// With `false` the caller returns: the reason stands on standard error, in the words `skipped: …`.
///
/// # Errors
/// With `POSTERN_TEST_REQUIRE_PEERS=1` a missing program is a failure.
pub fn peers(programs: &[&str]) -> Result<bool> {
    if flag("POSTERN_TEST_NO_PEERS") {
        return skip("POSTERN_TEST_NO_PEERS is set");
    }
    let missing: Vec<&str> = programs.iter().copied().filter(|name| program(name).is_none()).collect();
    if !missing.is_empty() {
        return skip(&format!("not installed: {}", missing.join(", ")));
    }
    let daemons = programs.iter().any(|name| ["postfix", "dovecot"].contains(name));
    if daemons && !is_root() {
        return skip("Postfix and Dovecot change their user and need root");
    }
    Ok(true)
}

/// Skips the running test: says why, and gives the `false` that its caller returns on.
///
/// # Errors
/// With `POSTERN_TEST_REQUIRE_PEERS=1` there is no skipping.
pub fn skip(reason: &str) -> Result<bool> {
    if flag("POSTERN_TEST_REQUIRE_PEERS") {
        bail!("this test may not be skipped (POSTERN_TEST_REQUIRE_PEERS=1): {reason}");
    }
    let test = thread::current();
    // Past the test runner, which keeps what a passing test prints to itself.
    let _ = writeln!(io::stderr(), "skipped: {}: {reason}", test.name().unwrap_or("a test"));
    Ok(false)
}

/// Whether this process is root, by the owner of its entry in `/proc`.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

fn flag(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !value.is_empty() && value != "0")
}
