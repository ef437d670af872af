//! A real Kubernetes, as `tests/run` starts it, and what runs in it: releases of the chart, a sink, load.

mod load;
mod node;
mod release;
mod sink;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::gate;

pub use load::{Load, Pace, Tally};
pub use node::{ApiServer, Process};
pub use release::{Chart, Pod, Release, VALUES_OF_IMAGE};
pub use sink::Sink;

/// How long a test waits for what a cluster does at its leisure: pods that start, replicas that take over.
pub const LEISURE: Duration = Duration::from_secs(90);

/// The cluster of the environment.
#[derive(Debug, Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    programs: PathBuf,
}

/// What a program of the cluster said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Cluster {
    /// The cluster whose kubeconfig `POSTERN_TEST_CLUSTER` names; none without it, and then the test is skipped.
    pub fn of_environment() -> Option<Self> {
        let Some(kubeconfig) = env::var_os("POSTERN_TEST_CLUSTER").filter(|path| !path.is_empty()) else {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test");
            let _ = writeln!(std::io::stderr(), "skipped: {name}: it needs `tests/run --cluster`");
            return None;
        };
        let kubeconfig = PathBuf::from(kubeconfig);
        let programs = kubeconfig.parent().map(|folder| folder.join("bin")).unwrap_or_default();
        Some(Self { kubeconfig, programs })
    }

    /// The folder that `tests/cluster/up` made for it; none when somebody else runs it.
    pub fn folder(&self) -> Option<&Path> {
        self.kubeconfig.parent().filter(|folder| folder.join("node.pid").is_file())
    }

    /// Runs kubectl, which must succeed.
    ///
    /// # Errors
    /// It does not.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let said = self.run("kubectl", arguments, input)?;
        ensure!(said.success, "kubectl {}: {}", arguments.join(" "), said.errors);
        Ok(said.output)
    }

    /// Runs `kubectl` or `helm` with something on its standard input.
    ///
    /// # Errors
    /// It cannot be started. What it says is the caller's to judge.
    pub fn run<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
        input: &str,
    ) -> Result<Said> {
        let mut command = self.command(program);
        command.args(arguments);
        say(command, input)
    }

    /// Runs `kubectl postern`, the plugin of this source tree, with another kubeconfig if one is given.
    ///
    /// # Errors
    /// It does not build or cannot be started.
    pub fn plugin(&self, arguments: &[&str], kubeconfig: Option<&Path>) -> Result<Said> {
        let plugin = gate::build("postern-kubectl", "kubectl-postern")?;
        let folder = plugin.parent().unwrap_or_else(|| Path::new(""));
        let path = env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
        let mut command = self.command("kubectl");
        command.arg("postern").args(arguments).env("PATH", env::join_paths(paths)?);
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        say(command, "")
    }

    /// Where the kubeconfig of an administrator lies.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    fn command(&self, program: &str) -> Command {
        let own = self.programs.join(program);
        let path = if own.is_file() { own } else { PathBuf::from(program) };
        let mut command = Command::new(path);
        // What kinds there are is remembered by the cluster's address. That of an earlier cluster knows no kind of ours.
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.memory_of(program));
        command
    }

    /// There may be new kinds: kubectl asks for them again.
    pub(crate) fn forget_kinds(&self) {
        // Nothing is there to be removed when nothing was asked yet.
        let _ = fs::remove_dir_all(self.memory_of("kubectl"));
    }

    fn memory_of(&self, program: &str) -> PathBuf {
        self.kubeconfig.with_file_name(format!("{program}-cache"))
    }
}

/// Runs a command to its end, with something on its standard input.
fn say(mut command: Command, input: &str) -> Result<Said> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let stdin = child.stdin.take();
    // Both ways at once: it may say more than a pipe holds before it has read everything.
    let done = thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    })?;
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    Ok(Said { success: done.status.success(), output: text(done.stdout), errors: text(done.stderr) })
}

/// The value at a JSON pointer (RFC 6901), or null.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
