//! Sentinels: they watch a master and its replicas, and say who is the master.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::Redis;
use crate::peers::open_home;
use crate::port::Port;
use crate::process::{Ending, Program, run};
use crate::require;
use crate::wait::{self, PATIENCE};

/// Three sentinels, of which two have to agree. Dropping them kills them.
#[derive(Debug)]
pub struct Sentinels(Vec<Sentinel>);

/// Whether sentinels ask for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// They do not.
    Open,
    /// This one.
    Password(&'static str),
}

#[derive(Debug)]
struct Sentinel {
    program: Program,
    port: Port,
    guard: Guard,
    _home: TempDir,
}

impl Sentinels {
    /// Starts them to watch a master under the name `gate`, and waits until they know its replicas and each other.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn watching(master: &Redis, replicas: usize, guard: Guard) -> Result<Self> {
        let sentinels = Self((0..3).map(|_| Sentinel::start(master, guard)).collect::<Result<_>>()?);
        for sentinel in &sentinels.0 {
            wait::until("the sentinels to know everybody", PATIENCE, || {
                let known = sentinel.ask(&["SENTINEL", "MASTER", "gate"]).unwrap_or_default();
                let lines: Vec<&str> = known.lines().collect();
                let says = |field: &str, number: usize| {
                    lines.windows(2).any(|pair| pair == [field, number.to_string().as_str()])
                };
                Ok((says("num-slaves", replicas) && says("num-other-sentinels", 2)).then_some(()))
            })?;
        }
        Ok(sentinels)
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|sentinel| sentinel.port.address()).collect()
    }

    /// Kills the first one.
    ///
    /// # Errors
    /// When there is none.
    pub fn lose_one(&mut self) -> Result<()> {
        anyhow::ensure!(!self.0.is_empty(), "there is no sentinel");
        self.0.remove(0).program.kill()
    }
}

impl Sentinel {
    fn start(master: &Redis, guard: Guard) -> Result<Self> {
        let (port, home) = (Port::reserve()?, open_home("postern-sentinel-")?);
        let config = home.path().join("sentinel.conf");
        let watched = master.address();
        let password = match guard {
            Guard::Open => String::new(),
            Guard::Password(password) => format!("requirepass \"{password}\"\n"),
        };
        fs::write(
            &config,
            format!(
                "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor gate {} {} 2\n\
                 sentinel down-after-milliseconds gate 1000\nsentinel failover-timeout gate 4000\n{password}",
                port.number(),
                home.path().display(),
                watched.ip(),
                watched.port()
            ),
        )?;
        let path = require::program("redis-server").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(path);
        command.arg(&config).arg("--sentinel");
        let program = Program::start("redis-sentinel", command, &home.path().join("log"), Ending::Kill)?;
        let mut sentinel = Self { program, port, guard, _home: home };
        wait::until("a sentinel", PATIENCE, || {
            sentinel.program.must_run()?;
            Ok(sentinel.ask(&["PING"]).is_ok_and(|answer| answer.contains("PONG")).then_some(()))
        })?;
        Ok(sentinel)
    }

    fn ask(&self, command: &[&str]) -> Result<String> {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.number().to_string()]);
        if let Guard::Password(password) = self.guard {
            client.args(["--no-auth-warning", "-a", password]);
        }
        run(client.args(command))
    }
}
