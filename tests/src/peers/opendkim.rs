//! OpenDKIM as a signer and as a verifier: the daemon as Debian ships it, spoken to as a mail server would, by the milter protocol.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use crate::peers::milter::{self, Envelope};
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running OpenDKIM that signs for one domain, or verifies.
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
        let form = match form {
            Form::Simple => "simple/simple",
            Form::Relaxed => "relaxed/relaxed",
        };
        let key = home.path().join(format!("{selector}.private"));
        // The key lies in a temporary folder, which others can pass through.
        let settings = format!(
            "Mode s\nCanonicalization {form}\nSignatureAlgorithm rsa-sha256\nDomain {domain}\nSelector {selector}\nKeyFile {}\n\
             RequireSafeKeys no\n",
            key.display()
        );
        Self::launch(home, selector, &settings)
    }

    /// Starts a verifier that knows the keys of these signers and asks no name server.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn verifier(signers: &[(&str, &Self)]) -> Result<Self> {
        let home = TempDir::with_prefix("postern-opendkim-")?;
        let mut keys = String::new();
        for (domain, signer) in signers {
            keys.push_str(&format!("{}._domainkey.{domain} {}\n", signer.selector, signer.text()?));
        }
        let file = home.path().join("keys");
        fs::write(&file, keys)?;
        // Mail from this machine is verified too: nobody is internal.
        let settings = format!(
            "Mode v\nInternalHosts 192.0.2.1\nAlwaysAddARHeader yes\nAuthservID verifier.example.test\nTestDNSData file:{}\n",
            file.display()
        );
        Self::launch(home, "", &settings)
    }

    fn launch(home: TempDir, selector: &str, settings: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let file = home.path().join("opendkim.conf");
        fs::write(&file, format!("{settings}Socket inet:{}@127.0.0.1\nSyslog no\n", port.number()))?;
        let mut command = Command::new(program("opendkim"));
        command.arg("-f").arg("-x").arg(&file);
        let mut program = Program::start("opendkim", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("OpenDKIM", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, home, selector: selector.to_owned() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The record of its key, as one text.
    fn text(&self) -> Result<String> {
        // The zone file has it in quoted pieces.
        let record = self.record()?;
        let pieces = record.split('"').skip(1).step_by(2);
        Ok(pieces.flat_map(|piece| piece.split_whitespace()).collect::<Vec<_>>().concat())
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
