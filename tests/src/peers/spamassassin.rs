//! SpamAssassin with its local rules only, and spamass-milter in front of it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Ending, Program};
use crate::wait;

/// A running spamd and its milter. The milter ends first.
#[derive(Debug)]
pub struct SpamAssassin {
    _milter: Program,
    _daemon: Program,
    _port: Port,
    socket: PathBuf,
    _home: TempDir,
}

impl SpamAssassin {
    /// Starts both; mail of 15 points and more is refused.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start() -> Result<Self> {
        let home = super::open_home("postern-spamassassin-")?;
        let port = Port::reserve()?;
        let site = home.path().join("site");
        fs::create_dir(&site)?;
        fs::write(site.join("init.pre"), "loadplugin Mail::SpamAssassin::Plugin::Check\n")?;
        // The rules of a few words are enough to see the milter at work, and are there in a second.
        fs::write(
            site.join("local.cf"),
            "use_bayes 0\nskip_rbl_checks 1\nbody GTUBE_OF_TEST /XJS\\*C4JDBQADN1\\.NSBN3\\*2IDNEN\\*GTUBE/\n\
             score GTUBE_OF_TEST 1000\nadd_header all Status \"_YESNO_, score=_SCORE_ required=_REQD_\"\n",
        )?;
        let mut command = Command::new("spamd");
        command.args([
            "--local",
            "--nouser-config",
            "--max-children",
            "1",
            "--listen",
            "127.0.0.1",
            "--port",
        ]);
        command.arg(port.number().to_string()).arg("--siteconfigpath").arg(&site);
        command.arg("--configpath").arg(&site).args(["--syslog", "stderr"]);
        command.env("HOME", home.path());
        let mut spamd = Program::start("spamd", command, &home.path().join("spamd.log"), Ending::Terminate)?;
        wait::until("spamd", STARTING, || {
            spamd.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        let socket = home.path().join("milter.sock");
        let mut command = Command::new("spamass-milter");
        command.arg("-p").arg(&socket).args(["-r", "15", "--", "-d", "127.0.0.1", "-p"]);
        command.arg(port.number().to_string());
        let mut milter =
            Program::start("spamass-milter", command, &home.path().join("milter.log"), Ending::Kill)?;
        wait::until("spamass-milter", STARTING, || {
            milter.must_run()?;
            Ok(UnixStream::connect(&socket).ok())
        })?;
        Ok(Self { _milter: milter, _daemon: spamd, _port: port, socket, _home: home })
    }

    /// The Unix socket of the milter.
    pub fn socket(&self) -> String {
        self.socket.display().to_string()
    }
}

/// The text that every spam filter takes for spam (spamassassin.apache.org/gtube).
pub const GTUBE: &str = concat!("XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");

const STARTING: Duration = Duration::from_secs(60);
