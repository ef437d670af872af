//! TLS in front of a server that has none.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::certificate::Pair;
use crate::port::Port;
use crate::process::{Ending, Program};
use crate::wait::{self, PATIENCE};

/// A running proxy.
#[derive(Debug)]
pub struct TlsProxy {
    _program: Program,
    port: Port,
    _home: TempDir,
}

impl TlsProxy {
    /// Starts a proxy with this certificate in front of a server on this machine.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(pair: &Pair, target: SocketAddr) -> Result<Self> {
        let home = TempDir::with_prefix("postern-tls-proxy-")?;
        let port = Port::reserve()?;
        pair.write(home.path())?;
        let script = home.path().join("tls_proxy.py");
        fs::write(&script, include_str!("tls_proxy.py"))?;
        let mut command = Command::new("python3");
        command.arg(script).arg(port.number().to_string());
        command.arg(home.path().join("tls.crt")).arg(home.path().join("tls.key"));
        command.arg(target.port().to_string());
        let mut program = Program::start("tls-proxy", command, &home.path().join("log"), Ending::Kill)?;
        wait::until("the TLS proxy", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, _home: home })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}
