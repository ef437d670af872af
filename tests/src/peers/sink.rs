//! smtp-source and smtp-sink, Postfix's generator and sink.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::client::Client;
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running smtp-sink, which takes everything.
#[derive(Debug)]
pub struct Sink {
    _program: Program,
    port: Port,
    home: TempDir,
}

impl Sink {
    /// Starts a sink with further arguments; with `-d message.` each message becomes a file in [`Self::files`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let home = super::open_home("postern-sink-")?;
        let port = Port::reserve()?;
        let mut command = Command::new("smtp-sink");
        command.current_dir(home.path());
        if require::is_root() {
            // It refuses to run as root, and leaves that user before it writes anything.
            command.args(["-u", "nobody"]);
            fs::set_permissions(home.path(), Permissions::from_mode(0o777))?;
        }
        command.args(arguments).arg(port.address().to_string()).arg("128");
        let mut program = Program::start("smtp-sink", command, &home.path().join("log"), Ending::Kill)?;
        wait::until("smtp-sink", PATIENCE, || {
            program.must_run()?;
            Ok(Client::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, home })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The files that the `-d` and `-D` arguments made it write.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.home.path())? {
            let path = entry?.path();
            if path.is_file() && !path.ends_with("log") {
                files.push(path);
            }
        }
        Ok(files)
    }
}

/// Sends generated mail with these arguments (`-s` sessions, `-m` messages, `-l` octets …); any refusal is an error.
///
/// # Errors
/// When the generator gives up, which it does at the first reply it does not expect.
pub fn smtp_source(server: SocketAddr, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("smtp-source");
    command.args(arguments).arg(server.to_string());
    process::run(&mut command).map(drop)
}
