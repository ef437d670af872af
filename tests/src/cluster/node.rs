//! The processes behind the cluster that `tests/cluster/up` starts: what a test may kill or stop.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Cluster;
use crate::process;

/// A process of a pod, as this machine numbers it.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    id: u32,
}

impl Process {
    /// The program of a pod, by the pod's `metadata.uid`, which its cgroup is named for; none when it runs elsewhere.
    pub fn of_pod(uid: &str, program: &str) -> Option<Self> {
        let in_cgroup = format!("pod{uid}");
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let of = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
            let is_of_pod = String::from_utf8_lossy(&of("cgroup")).contains(&in_cgroup);
            (is_of_pod && of("cmdline").starts_with(program.as_bytes())).then_some(Self { id })
        })
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It has gone.
    pub fn kill(self) -> Result<()> {
        process::run(Command::new("kill").args(["-9", &self.id.to_string()])).map(drop)
    }

    /// Its resident memory at its height, in octets.
    ///
    /// # Errors
    /// It has gone.
    pub fn most_memory(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

/// The API server's process.
#[derive(Debug)]
pub struct ApiServer;

impl ApiServer {
    /// Ends it at once; the value starts it again when it is dropped at the latest. None when somebody else runs the cluster.
    ///
    /// # Errors
    /// It is not there.
    pub fn stop(cluster: &Cluster) -> Result<Option<Self>> {
        if cluster.folder().is_none() {
            return Ok(None);
        }
        command("stop")?;
        Ok(Some(Self))
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(self) -> Result<()> {
        std::mem::forget(self);
        command("start")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = command("start");
    }
}

fn command(what: &str) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/api-server");
    process::run(Command::new(script).arg(what)).map(drop)
}
