//! A program with its children: started apart from us, and ended as a whole.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use postern_core::expr::TextList;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::spawn_blocking;

use crate::filter::FilterError;

/// A running program, the leader of its own process group. Dropping it kills the whole group.
pub(super) struct Process {
    child: Child,
    /// The leader's number, as long as it is known to mean this group.
    leader: Option<Pid>,
}

impl Process {
    /// Starts a program in the folder that it lies in. It gets two pipes, nothing of our environment, and no
    /// other file of ours.
    pub(super) fn start(program: &Path, arguments: &TextList, folder: &Path) -> Result<Self, FilterError> {
        let child = Command::new(program)
            .args(arguments.iter().map(|argument| &**argument))
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&error))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader = id.ok_or_else(|| not_started(&io::ErrorKind::NotFound.into()))?;
        Ok(Self { child, leader: Some(leader) })
    }

    /// What it reads and what it writes; only once.
    pub(super) fn ends(&mut self) -> Result<(ChildStdin, ChildStdout), FilterError> {
        let ends = self.child.stdin.take().zip(self.child.stdout.take());
        ends.ok_or_else(|| not_started(&io::ErrorKind::BrokenPipe.into()))
    }

    /// Waits until the program ends by itself, and kills what it leaves behind.
    pub(super) async fn end(&mut self) -> Result<ExitStatus, FilterError> {
        let gone =
            |error: io::Error| FilterError::Failed(format!("the program cannot be waited for: {error}"));
        if let Some(leader) = self.leader {
            // Without reaping it, so that its number goes on meaning this group. Killed, it ends the wait as well.
            let ended = move || waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let waited = spawn_blocking(move || retry_on_intr(ended)).await;
            waited.map_err(io::Error::other).and_then(|ended| Ok(ended?)).map_err(gone)?;
        }
        self.kill();
        self.child.wait().await.map_err(gone)
    }

    fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            // An error says that nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Before the child, whose own drop may reap it.
        self.kill();
    }
}

fn not_started(error: &io::Error) -> FilterError {
    FilterError::Failed(format!("the program cannot be started: {error}"))
}

/// All that a program finds in its environment.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")];
