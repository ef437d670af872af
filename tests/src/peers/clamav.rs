//! ClamAV: clamd with a signature of our own, and clamav-milter in front of it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Ending, Program};
use crate::require;
use crate::wait;

/// A running clamd and its milter. The milter ends first.
#[derive(Debug)]
pub struct ClamAv {
    _milter: Program,
    _daemon: Program,
    port: Port,
    _home: TempDir,
}

impl ClamAv {
    /// Starts both. The only thing that is found is the test file of EICAR.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start() -> Result<Self> {
        let home = super::open_home("postern-clamav-")?;
        let port = Port::reserve()?;
        let (daemon, milter) = (home.path().join("clamd.conf"), home.path().join("milter.conf"));
        let socket = home.path().join("clamd.sock");
        let database = home.path().join("signatures");
        fs::create_dir(&database)?;
        let eicar: String = EICAR.bytes().map(|octet| format!("{octet:02x}")).collect();
        fs::write(database.join("test.ndb"), format!("Test.Eicar:0:*:{eicar}\n"))?;
        fs::write(
            &daemon,
            format!(
                "DatabaseDirectory {}\nLocalSocket {}\nForeground yes\nUser root\nTemporaryDirectory {}\n",
                database.display(),
                socket.display(),
                home.path().display()
            ),
        )?;
        fs::write(
            &milter,
            format!(
                "MilterSocket inet:{}@127.0.0.1\nClamdSocket unix:{}\nForeground yes\nUser root\nOnInfected Reject\n\
                 RejectMsg 5.7.1 infected with %v\nAddHeader Replace\nTemporaryDirectory {}\n",
                port.number(),
                socket.display(),
                home.path().display()
            ),
        )?;
        let mut clamd = start("clamd", &daemon, home.path())?;
        wait::until("clamd", STARTING, || {
            clamd.must_run()?;
            Ok(UnixStream::connect(&socket).ok())
        })?;
        let mut clamav_milter = start("clamav-milter", &milter, home.path())?;
        wait::until("clamav-milter", STARTING, || {
            clamav_milter.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _milter: clamav_milter, _daemon: clamd, port, _home: home })
    }

    /// Where the milter listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

fn start(name: &str, configuration: &Path, home: &Path) -> Result<Program> {
    let mut command = Command::new(require::program(name).unwrap_or_else(|| name.into()));
    command.arg("--config-file").arg(configuration);
    Program::start(name, command, &home.join(format!("{name}.log")), Ending::Kill)
}

/// The harmless file that every virus scanner is to find (eicar.org).
pub const EICAR: &str = concat!(r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*");

/// How long it may take to come up: it compiles its bytecode first.
const STARTING: Duration = Duration::from_secs(60);
