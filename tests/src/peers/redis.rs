//! Redis, in memory only.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

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
    password: Option<String>,
}

impl Redis {
    /// Starts one that asks for this password, if for any.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(password: Option<&str>) -> Result<Self> {
        let mut redis = Self {
            program: None,
            port: Port::reserve()?,
            home: super::open_home("postern-redis-")?,
            password: password.map(str::to_owned),
        };
        redis.begin()?;
        Ok(redis)
    }

    /// Starts it anew on its port, after [`Self::kill`]; what it knew is gone.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn begin(&mut self) -> Result<()> {
        let path = require::program("redis-server").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(path);
        let port = self.port.number().to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.home.path());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
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
        if let Some(password) = &self.password {
            client.args(["--no-auth-warning", "-a", password]);
        }
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
