//! OpenDKIM as a signer: the daemon as Debian ships it, spoken to as a mail server would, by the milter protocol.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use crate::peers::milter::{self, Envelope};
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running OpenDKIM that signs for one domain.
#[derive(Debug)]
pub struct OpenDkim {
    _program: Program,
    port: Port,
    home: TempDir,
    selector: String,
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `c=simple/simple`
    Simple,
    /// `c=relaxed/relaxed`
    Relaxed,
}

impl OpenDkim {
    /// Makes a key of 2048 bits and starts a signer with it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(domain: &str, selector: &str, form: Form) -> Result<Self> {
        let home = TempDir::with_prefix("postern-opendkim-")?;
        let mut generate = Command::new(program("opendkim-genkey"));
        generate.args(["-a", "-b", "2048", "-d", domain, "-s", selector, "-D"]).arg(home.path());
        process::run(&mut generate)?;
        let port = Port::reserve()?;
        let form = match form {
            Form::Simple => "simple/simple",
            Form::Relaxed => "relaxed/relaxed",
        };
        let key = home.path().join(format!("{selector}.private"));
        // The key lies in a temporary folder, which others can pass through.
        let settings = format!(
            "Mode s\nCanonicalization {form}\nSignatureAlgorithm rsa-sha256\nDomain {domain}\nSelector {selector}\nKeyFile {}\n\
             RequireSafeKeys no\nSocket inet:{}@127.0.0.1\nSyslog no\n",
            key.display(),
            port.number()
        );
        let file = home.path().join("opendkim.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new(program("opendkim"));
        command.arg("-f").arg("-x").arg(&file);
        let mut program = Program::start("opendkim", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("OpenDKIM", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, home, selector: selector.to_owned() })
    }

    /// The record of its key, for a zone file.
    ///
    /// # Errors
    /// When the file that was made is not there.
    pub fn record(&self) -> Result<String> {
        let file: PathBuf = self.home.path().join(format!("{}.txt", self.selector));
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// The message with the signature above it.
    ///
    /// # Errors
    /// When it signs nothing, or does not speak as expected.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let envelope = Envelope {
            client: "127.0.0.1",
            name: "client.example.org",
            helo: "client.example.org",
            sender: "s@example.org",
        };
        let added = milter::consult(&self.port, &envelope, message)?;
        let signature = added.into_iter().find(|(name, _)| name == "DKIM-Signature");
        let (_, signature) = signature.ok_or_else(|| anyhow!("nothing was signed"))?;
        Ok([format!("DKIM-Signature: {signature}\r\n").as_bytes(), message].concat())
    }
}

fn program(name: &str) -> PathBuf {
    require::program(name).unwrap_or_else(|| name.into())
}
