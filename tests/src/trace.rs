//! System calls of a running process, as `strace` saw them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Ending, Program, Signal};
use crate::wait::{self, PATIENCE};

/// A trace in progress.
#[derive(Debug)]
pub struct Trace {
    program: Program,
    file: PathBuf,
    _home: TempDir,
}

/// One system call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The line on which it began; the order of beginnings.
    pub begun: usize,
    /// The line on which it ended; the order of ends. The same as `begun` unless other threads came between.
    pub ended: usize,
    /// Name, arguments and result. File descriptors carry their paths.
    pub text: String,
}

impl Trace {
    /// Attaches to all threads of a process, those it will start included.
    ///
    /// # Errors
    /// When `strace` cannot attach.
    pub fn attach(process: u32, calls: &str) -> Result<Self> {
        let home = TempDir::with_prefix("postern-trace-")?;
        let file = home.path().join("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-yy", "-s", "80", "-e", &format!("trace={calls}"), "-p", &process.to_string()]);
        strace.arg("-o").arg(&file);
        let mut program = Program::start("strace", strace, &home.path().join("log"), Ending::Terminate)?;
        wait::until("strace to attach", PATIENCE, || {
            program.must_run()?;
            Ok(program.log().contains("attached").then_some(()))
        })?;
        Ok(Self { program, file, _home: home })
    }

    /// Detaches and gives what was seen, in the order of beginnings.
    ///
    /// # Errors
    /// When `strace` does not end or its output cannot be read.
    pub fn finish(mut self) -> Result<Vec<Call>> {
        self.program.signal(Signal::Interrupt)?;
        self.program.wait(Duration::from_secs(10))?;
        Ok(parse(&fs::read_to_string(&self.file)?))
    }
}

/// Joins calls that were cut in two because another thread came between.
fn parse(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, calls.len());
            calls.push(Call { begun: number, ended: usize::MAX, text: head.to_owned() });
        } else if rest.starts_with("<... ") {
            let tail = rest.split_once("resumed>").map_or("", |(_, tail)| tail);
            if let Some(call) = open.remove(thread).and_then(|at| calls.get_mut(at)) {
                call.ended = number;
                call.text.push_str(tail);
            }
        } else {
            calls.push(Call { begun: number, ended: number, text: rest.to_owned() });
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_cut_in_two_is_joined() {
        let calls = parse(
            "11 fsync(7</m/tmp/a> <unfinished ...>\n12 write(5<TCP:[x]>, \"250\", 3) = 3\n11 <... fsync resumed>) = 0\n",
        );
        assert_eq!(calls[0].text, "fsync(7</m/tmp/a> ) = 0");
        assert_eq!((calls[0].begun, calls[0].ended, calls[1].begun), (0, 2, 1));
    }
}
