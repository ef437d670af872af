//! `openssl s_client`, a TLS client that is not ours.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

/// How s_client reaches TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// By STARTTLS on SMTP.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// What s_client saw.
#[derive(Debug)]
pub struct Handshake {
    /// Whether the chain and the name were right.
    pub verified: bool,
    /// The common name of the server's certificate.
    pub subject: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Everything that was printed, the server's replies inside TLS included.
    pub text: String,
}

/// Shakes hands for the name `sni`, verifies against the authority, then sends `commands` (one line each) and reads until the
/// server closes; so the last command should be QUIT.
///
/// # Errors
/// When s_client cannot be started, or sees no certificate.
pub fn s_client(
    server: SocketAddr,
    start: Start,
    sni: &str,
    authority: &Path,
    commands: &[&str],
) -> Result<Handshake> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.to_string(), "-servername", sni, "-verify_hostname", sni]);
    command.arg("-CAfile").arg(authority).args(["-crlf", "-ign_eof", "-nocommands"]);
    if start == Start::StartTls {
        command.args(["-starttls", "smtp"]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl")?;
    if let Some(mut input) = child.stdin.take() {
        for line in commands {
            input.write_all(format!("{line}\n").as_bytes())?;
        }
    }
    let done = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    let subject = text.lines().find_map(|line| line.trim().strip_prefix("subject=CN = "));
    let subject = subject.ok_or_else(|| anyhow!("no certificate for {sni}:\n{text}"))?.to_owned();
    let serial = serial(&text)?;
    Ok(Handshake { verified: text.contains("Verify return code: 0 (ok)"), subject, serial, text })
}

fn serial(text: &str) -> Result<String> {
    let begin =
        text.find("-----BEGIN CERTIFICATE-----").ok_or_else(|| anyhow!("no certificate in:\n{text}"))?;
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-serial"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("openssl")?;
    if let Some(mut input) = child.stdin.take() {
        // The rest after the certificate is ignored, and may not be read to its end.
        let _ = input.write_all(text.get(begin..).unwrap_or_default().as_bytes());
    }
    let done = child.wait_with_output()?;
    let line = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    line.strip_prefix("serial=").map(str::to_owned).ok_or_else(|| anyhow!("no serial number in {line}"))
}
