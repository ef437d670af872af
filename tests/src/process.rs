//! Child processes: started with their output in a file, watched through `/proc`, stopped by their own id.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::wait;

/// A running child. Dropping it ends it; what it wrote last is then printed, which the test runner shows for failed tests only.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    ending: Ending,
}

/// How a child is ended when its owner goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `SIGKILL`, for a program without children of its own.
    Kill,
    /// `SIGTERM` first, for a program that has to end its own children; `SIGKILL` when that takes more than 10 s.
    Terminate,
}

/// A signal that a test sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`
    Terminate,
    /// `SIGINT`
    Interrupt,
}

impl Program {
    /// Starts `command` without standard input, its output in the file `log`.
    ///
    /// # Errors
    /// When the log cannot be created or the program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path, ending: Ending) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), ending })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The status, if it has ended.
    ///
    /// # Errors
    /// When the kernel refuses to say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking for the state of {}", self.name))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.send(match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
        })
    }

    /// Stops every thread where it is; the kernel goes on receiving for the process. Only [`Self::kill`] is of use afterwards.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn freeze(&self) -> Result<()> {
        self.send("-STOP")?;
        // The signal stops one thread, which then stops the others.
        wait::until("all threads to stop", wait::PATIENCE, || {
            for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
                // A thread may end between the listing and the look.
                let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
                let state = stat.rsplit_once(") ").map_or("", |(_, state)| state);
                if !state.starts_with('T') {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    fn send(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").arg(name).arg(self.id().to_string()).status()?;
        if status.success() { Ok(()) } else { Err(anyhow!("{} could not be sent {name}", self.name)) }
    }

    /// Sends `SIGKILL` and waits until the process is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, within, || self.ended())
    }

    /// Sends `SIGTERM` and waits.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::Terminate)?;
        self.wait(within)
    }

    /// Memory now: resident, and the most there ever was.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))
            .with_context(|| format!("{} has ended", self.name))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
            kib.map(|kib| kib * 1024).ok_or_else(|| anyhow!("no {name} for {}", self.name))
        };
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }

    /// How many file descriptors it has open.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn open_files(&self) -> Result<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.id()));
        Ok(entries.with_context(|| format!("{} has ended", self.name))?.count())
    }

    /// Fails with the program's own last words if it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log()),
            None => Ok(()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ending == Ending::Terminate {
            let _ = self.stop(Duration::from_secs(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n");
        eprintln!("--- last words of {}\n{last}", self.name);
    }
}

/// Resident memory, in octets.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The highest since the start.
    pub peak: u64,
}

/// Runs a command to its end and gives its status with all it printed, standard output first.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> Result<(ExitStatus, String)> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("running {program}"))?;
    let text = [done.stdout, done.stderr].concat();
    Ok((done.status, String::from_utf8_lossy(&text).into_owned()))
}

/// Runs a command that must succeed and gives what it printed.
///
/// # Errors
/// When it cannot be started or ends with another status than 0; the error carries its output.
pub fn run(command: &mut Command) -> Result<String> {
    let (status, text) = output(command)?;
    if status.success() { Ok(text) } else { bail!("{command:?} ended with {status}:\n{text}") }
}
