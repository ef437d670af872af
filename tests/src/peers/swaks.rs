//! swaks, the SMTP client that administrators use.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// How a run of swaks ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status; 0 only when the whole session went well.
    pub status: i32,
    /// What both sides said: ` <-` and ` ->` in clear, ` <~` and ` ~>` inside TLS.
    pub transcript: String,
}

/// Sends one message with these further arguments, for instance `["--to", "user@example.test", "--tls"]`.
///
/// # Errors
/// When swaks cannot be started. A refusal is an [`Outcome`].
pub fn swaks(server: SocketAddr, arguments: &[&str]) -> Result<Outcome> {
    let mut command = Command::new("swaks");
    command.args(["--server", &server.ip().to_string(), "--port", &server.port().to_string()]);
    command.args(["--helo", "client.example.org", "--timeout", "20"]).args(arguments);
    let (status, transcript) = process::output(&mut command)?;
    Ok(Outcome { status: status.code().unwrap_or(-1), transcript })
}
