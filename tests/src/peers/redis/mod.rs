//! Redis, in memory only: one server, replicas under sentinels, or a cluster.

mod cluster;
mod sentinels;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

pub use self::cluster::Cluster;
pub use self::sentinels::{Guard, Sentinels};
use crate::certificate::{Authority, Pair};
use crate::port::Port;
use crate::process::{Ending, Program, run};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running Redis. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    program: Option<Program>,
    port: Port,
    home: TempDir,
    server: Vec<OsString>,
    client: Vec<OsString>,
}

impl Redis {
    /// Starts one that asks for this password, if for any.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(password: Option<&str>) -> Result<Self> {
        let mut redis = Self::idle()?;
        redis.in_clear();
        if let Some(password) = password {
            redis.server.extend(["--requirepass", password].map(OsString::from));
            redis.client.extend(["--no-auth-warning", "-a", password].map(OsString::from));
        }
        redis.begin()?;
        Ok(redis)
    }

    /// Starts one that holds what another holds.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn replica_of(master: &Self) -> Result<Self> {
        let mut redis = Self::idle()?;
        redis.in_clear();
        let port = master.port.number().to_string();
        redis.server.extend(["--replicaof", "127.0.0.1", &port].map(OsString::from));
        redis.begin()?;
        Ok(redis)
    }

    /// Starts one that speaks TLS alone, to clients with a certificate of this authority who are the user `gate`
    /// with the password `open sesame`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn guarded(authority: &Authority, own: &Pair, client: &Pair) -> Result<Self> {
        let mut redis = Self::idle()?;
        let port = redis.port.number().to_string();
        for (folder, pair) in [("server", own), ("client", client)] {
            fs::create_dir(redis.home.path().join(folder))?;
            pair.write(&redis.home.path().join(folder))?;
        }
        let at = |name: &str| redis.home.path().join(name).into_os_string();
        redis.server.extend(["--port", "0", "--tls-port", &port].map(OsString::from));
        redis.server.extend([OsString::from("--tls-cert-file"), at("server/tls.crt")]);
        redis.server.extend([OsString::from("--tls-key-file"), at("server/tls.key")]);
        redis.server.extend([OsString::from("--tls-ca-cert-file"), authority.file().into_os_string()]);
        redis.server.extend(["--user", "default", "off"].map(OsString::from));
        redis.client.extend(["--tls", "--cert"].map(OsString::from));
        redis.client.extend([at("client/tls.crt"), "--key".into(), at("client/tls.key"), "--cacert".into()]);
        redis.client.push(authority.file().into_os_string());
        redis.client.extend(["--no-auth-warning", "--user", "gate", "-a", "open sesame"].map(OsString::from));
        redis.with_user(&[]);
        redis.begin()?;
        Ok(redis)
    }

    fn idle() -> Result<Self> {
        let (port, home) = (Port::reserve()?, super::open_home("postern-redis-")?);
        Ok(Self { program: None, port, home, server: Vec::new(), client: Vec::new() })
    }

    /// The user `gate` with the password `open sesame` and the rights that docs/shared-state.md names.
    fn with_user(&mut self, more: &[&str]) {
        let rights = ["~postern:*", "+@read", "+@write", "+@scripting", "+@connection", "+time"];
        let user = ["--user", "gate", "on", ">open sesame"].into_iter().chain(rights);
        self.server.extend(user.chain(more.iter().copied()).map(OsString::from));
    }

    fn in_clear(&mut self) {
        self.server.extend([OsString::from("--port"), self.port.number().to_string().into()]);
    }

    /// Starts it anew on its port, after [`Self::kill`]; what it knew is gone.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn begin(&mut self) -> Result<()> {
        let path = require::program("redis-server").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(path);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.home.path()).args(&self.server);
        let log = self.home.path().join("log");
        let mut program = Program::start("redis-server", command, &log, Ending::Kill)?;
        wait::until("Redis", PATIENCE, || {
            program.must_run()?;
            Ok(self.ask(&["PING"]).is_ok_and(|answer| answer.contains("PONG")).then_some(()))
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// What the command-line client prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, command: &[&str]) -> Result<String> {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.number().to_string()]);
        client.args(&self.client);
        run(client.args(command))
    }

    /// Kills it with `SIGKILL`.
    ///
    /// # Errors
    /// When it was not running.
    pub fn kill(&mut self) -> Result<()> {
        match self.program.take() {
            Some(mut program) => program.kill(),
            None => anyhow::bail!("Redis does not run"),
        }
    }

    /// The process.
    ///
    /// # Errors
    /// When it was killed.
    pub fn program(&self) -> Result<&Program> {
        self.program.as_ref().ok_or_else(|| anyhow::anyhow!("Redis does not run"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}
