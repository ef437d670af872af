//! NSD, an authoritative name server, with one zone that is the whole of DNS for the gate under test.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A domain of which nothing can be learned.
pub const BROKEN: &str = "broken.example";

/// A running NSD.
#[derive(Debug)]
pub struct Nsd {
    _program: Program,
    address: SocketAddr,
    _port: Option<Port>,
    _home: TempDir,
}

impl Nsd {
    /// Serves these records, in the format of zone files with complete names, and nothing else in the world.
    /// Whatever is asked about [`BROKEN`] and below it is answered SERVFAIL.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(records: &str) -> Result<Self> {
        let port = Port::reserve()?;
        Self::launch(records, port.address(), Some(port))
    }

    /// As [`Self::start`], on port 53, the only one that the system's resolver knows, of a loopback address that nobody else
    /// is likely to have. Needs root.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_for_system(records: &str) -> Result<Self> {
        let [_, one, two, three] = RandomState::new().hash_one(records).to_be_bytes()[..4] else {
            bail!("a hash of less than four octets");
        };
        let address = Ipv4Addr::new(127, one | 1, two, three.clamp(1, 254));
        Self::launch(records, (address, 53).into(), None)
    }

    fn launch(records: &str, address: SocketAddr, port: Option<Port>) -> Result<Self> {
        let home = super::open_home("postern-nsd-")?;
        let path = home.path().display().to_string();
        let zone = format!(
            "$ORIGIN .\n$TTL 300\n@ IN SOA ns.invalid. hostmaster.invalid. 1 300 300 300 300\n@ IN NS ns.invalid.\n{records}\n"
        );
        fs::write(home.path().join("zone"), zone)?;
        let settings = format!(
            "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\n  zonesdir: \"{path}\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: \"{path}\"\n  zonelistfile: \"{path}/zones\"\nremote-control:\n  control-enable: no\nzone:\n  name: \".\"\n  zonefile: \"zone\"\nzone:\n  name: \"{BROKEN}\"\n  zonefile: \"absent\"\n",
            address.ip(),
            address.port()
        );
        let file = home.path().join("nsd.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new(require::program("nsd").unwrap_or_else(|| "nsd".into()));
        command.arg("-d").arg("-c").arg(&file);
        let mut program = Program::start("nsd", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("NSD", PATIENCE, || {
            program.must_run()?;
            Ok(answers(address)?.then_some(()))
        })
        .with_context(|| program.log())?;
        Ok(Self { _program: program, address, _port: port, _home: home })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Whether the server answers a question for the SOA of the root; without its zone it would refuse to.
fn answers(server: SocketAddr) -> Result<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.send_to(b"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01", server)?;
    // A port that nobody serves yet is reported as an error of the next receive.
    let mut answer = [0; 512];
    Ok(socket.recv(&mut answer).is_ok() && answer[3] & 0x0f == 0)
}
