//! The gate under test: the `postern` binary of this source tree, as a child process.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::cgroup::MemoryCgroup;
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::wait::{self, PATIENCE};

/// The path of the binary: `POSTERN_BIN`, else the one that cargo builds from this workspace in the profile of the running test.
///
/// Cargo is asked even where a binary lies already, so that no test ever runs against an old one; it answers at once when nothing
/// changed.
///
/// # Errors
/// When it does not build.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = env::var_os("POSTERN_BIN") {
        return Ok(PathBuf::from(path));
    }
    BUILT
        .get_or_init(|| build("postern-server", "postern").map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

/// A program of this workspace, built in the profile of the running test.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(package: &str, program: &str) -> Result<PathBuf> {
    let test = env::current_exe()?;
    // <target>/<profile>/deps/<test>
    let profile =
        test.ancestors().nth(2).ok_or_else(|| anyhow!("{} is not in a target folder", test.display()))?;
    let target = profile.parent().ok_or_else(|| anyhow!("{} has no parent", profile.display()))?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace).args(["build", "--quiet", "--package", package, "--bin", program]);
    cargo.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    process::run(&mut cargo).with_context(|| format!("building {program}"))?;
    Ok(profile.join(program))
}

/// How a gate is started.
#[derive(Debug, Default)]
pub struct Launch<'a> {
    /// Further arguments of `postern serve`.
    pub arguments: Vec<OsString>,
    /// Environment variables.
    pub environment: Vec<(&'static str, String)>,
    /// A cgroup that the process enters before it becomes the gate.
    pub cgroup: Option<&'a MemoryCgroup>,
}

/// A running gate that was ready once. Dropping it kills it.
#[derive(Debug)]
pub struct Gate {
    program: Program,
    admin: Port,
    home: TempDir,
}

impl Gate {
    /// Starts `postern serve` on a folder of manifests and waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead, or is not ready in time; the error carries its log.
    pub fn start(config: &Path) -> Result<Self> {
        Self::launch(config, &Launch::default())
    }

    /// As [`Self::start`], in a particular way.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn launch(config: &Path, how: &Launch<'_>) -> Result<Self> {
        let mut gate = Self::begin(config, how)?;
        gate.wait_ready()?;
        Ok(gate)
    }

    /// As [`Self::launch`], without waiting until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(config: &Path, how: &Launch<'_>) -> Result<Self> {
        let home = TempDir::with_prefix("postern-gate-")?;
        let admin = Port::reserve()?;
        let mut command = match how.cgroup {
            None => Command::new(binary()?),
            Some(group) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.procs()).arg(binary()?);
                shell
            }
        };
        command.arg("serve").arg("--config").arg(config).arg("--admin").arg(admin.address().to_string());
        command.args(&how.arguments).envs(how.environment.iter().cloned()).current_dir(home.path());
        let log = home.path().join("log");
        Ok(Self { program: Program::start("postern", command, &log, Ending::Kill)?, admin, home })
    }

    /// The log, with every line about what has happened before. Lines are written a moment later than what they tell of, but
    /// one after the other; so the line about a session at this address has those before it.
    ///
    /// # Errors
    /// When there is no session, or no line about it.
    pub fn log(&mut self, address: SocketAddr) -> Result<String> {
        let session = TcpStream::connect(address)?;
        let client = session.local_addr()?.to_string();
        drop(session);
        wait::until("the log to be written", PATIENCE, || {
            let log = self.program.log();
            Ok(log.lines().any(|line| line.contains("session") && line.contains(&client)).then_some(log))
        })
    }

    /// The process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The folder in which the gate runs, where relative paths of its manifests lead.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// One GET on the admin port: the HTTP status and the body.
    ///
    /// # Errors
    /// When there is no HTTP answer within 5 s.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        get(self.admin.address(), path)
    }

    /// What `/status` says.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn status(&self) -> Result<Value> {
        let (code, body) = self.get("/status")?;
        serde_json::from_str(&body).with_context(|| format!("/status answered {code}: {body}"))
    }

    /// The sum over all labels of a metric of `/metrics`.
    ///
    /// # Errors
    /// When the metrics cannot be read or there is none of this name.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let (_, body) = self.get("/metrics")?;
        let lines = body
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        if values.is_empty() { Err(anyhow!("no metric {name} in:\n{body}")) } else { Ok(values.iter().sum()) }
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When the gate ends instead, or takes too long.
    pub fn wait_ready(&mut self) -> Result<()> {
        let admin = self.admin.address();
        let ready = wait::until("the gate to be ready", PATIENCE, || {
            self.program.must_run()?;
            Ok(get(admin, "/readyz").ok().filter(|(code, _)| *code == 200))
        });
        ready.map(drop).with_context(|| self.program.log())
    }

    /// SIGTERM, and the end within `within`.
    ///
    /// # Errors
    /// When it goes on running.
    pub fn stop(mut self, within: Duration) -> Result<ExitStatus> {
        self.program.stop(within)
    }
}

/// `postern` with arguments, run to its end: the status, and what it printed, standard output first.
///
/// # Errors
/// When it cannot be started.
pub fn postern(arguments: &[&str]) -> Result<(ExitStatus, String)> {
    process::output(Command::new(binary()?).args(arguments))
}

/// One GET: the HTTP status and the body.
pub(crate) fn get(server: SocketAddr, path: &str) -> Result<(u16, String)> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("not HTTP: {answer}"))?;
    let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    let code: u16 = code.ok_or_else(|| anyhow!("no status in: {head}"))?;
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Ok((code, unchunked(body)?));
    }
    Ok((code, body.to_owned()))
}

fn unchunked(mut body: &str) -> Result<String> {
    let mut text = String::new();
    loop {
        let Some((size, rest)) = body.split_once("\r\n") else { bail!("a chunk without a size: {body}") };
        let size = usize::from_str_radix(size.trim(), 16)?;
        if size == 0 {
            return Ok(text);
        }
        text.push_str(rest.get(..size).ok_or_else(|| anyhow!("a chunk is cut short"))?);
        body = rest.get(size + 2..).unwrap_or_default();
    }
}

/// The certificate, the key or any other file of the tree, by its path from the root of the workspace.
///
/// # Errors
/// When it cannot be read.
pub fn file_of_tree(path: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}
