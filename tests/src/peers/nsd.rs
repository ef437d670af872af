//! NSD, an authoritative name server, with one zone that is the whole of DNS for the gate under test.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running NSD.
#[derive(Debug)]
pub struct Nsd {
    _program: Program,
    port: Port,
    _home: TempDir,
}

impl Nsd {
    /// Serves these records, in the format of zone files with complete names, and nothing else in the world.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(records: &str) -> Result<Self> {
        let home = super::open_home("postern-nsd-")?;
        let port = Port::reserve()?;
        let path = home.path().display().to_string();
        let zone = format!(
            "$ORIGIN .\n$TTL 300\n@ IN SOA ns.invalid. hostmaster.invalid. 1 300 300 300 300\n@ IN NS ns.invalid.\n{records}\n"
        );
        fs::write(home.path().join("zone"), zone)?;
        let settings = format!(
            "server:\n  ip-address: 127.0.0.1@{}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\n  zonesdir: \"{path}\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: \"{path}\"\n  zonelistfile: \"{path}/zones\"\nremote-control:\n  control-enable: no\nzone:\n  name: \".\"\n  zonefile: \"zone\"\n",
            port.number()
        );
        let file = home.path().join("nsd.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new(require::program("nsd").unwrap_or_else(|| "nsd".into()));
        command.arg("-d").arg("-c").arg(&file);
        let mut program = Program::start("nsd", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("NSD", PATIENCE, || {
            program.must_run()?;
            Ok(answers(port.address())?.then_some(()))
        })?;
        Ok(Self { _program: program, port, _home: home })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

/// Whether the server says anything to a question for the SOA of the root.
fn answers(server: SocketAddr) -> Result<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.send_to(b"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01", server)?;
    // A port that nobody serves yet is reported as an error of the next receive.
    Ok(socket.recv(&mut [0; 512]).is_ok())
}
