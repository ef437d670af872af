//! OpenDMARC as a second opinion: it reads the Authentication-Results that the gate wrote, and judges by them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::peers::milter::{self, Envelope};
use crate::port::Port;
use crate::process::{Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running OpenDMARC.
#[derive(Debug)]
pub struct OpenDmarc {
    _program: Program,
    port: Port,
    _home: TempDir,
}

impl OpenDmarc {
    /// Starts an instance that believes what `trusted` says in Authentication-Results.
    ///
    /// It knows only the system's resolver, so it gets a `resolv.conf` of its own in a mount namespace; the name server has to
    /// be on port 53. Needs root.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(dns: SocketAddr, trusted: &str) -> Result<Self> {
        let home = super::open_home("postern-opendmarc-")?;
        let port = Port::reserve()?;
        let path = home.path().display();
        let settings = format!(
            "AuthservID judge.example.test\nTrustedAuthservIDs {trusted}\nSocket inet:{}@127.0.0.1\nPublicSuffixList {path}/suffixes\n\
             Syslog false\nFailureReports false\nRejectFailures false\nSPFSelfValidate false\n",
            port.number()
        );
        let (file, resolver) = (home.path().join("opendmarc.conf"), home.path().join("resolv.conf"));
        fs::write(&file, settings)?;
        fs::write(&resolver, format!("nameserver {}\noptions timeout:1 attempts:2\n", dns.ip()))?;
        fs::write(home.path().join("suffixes"), super::PUBLIC_SUFFIXES)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]);
        command.arg(&resolver).arg(require::program("opendmarc").unwrap_or_else(|| "opendmarc".into()));
        command.arg("-f").arg("-c").arg(&file);
        let mut program = Program::start("opendmarc", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("OpenDMARC", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, _home: home })
    }

    /// The value of the Authentication-Results field that it adds to a message which the gate handed on, if it adds one.
    ///
    /// # Errors
    /// When it refuses the message.
    pub fn results(&self, envelope: &Envelope<'_>, message: &[u8]) -> Result<Option<String>> {
        let added = milter::consult(&self.port, envelope, message)?;
        let field = added.iter().find(|(name, _)| name == "Authentication-Results");
        Ok(field.map(|(_, value)| value.clone()))
    }
}
