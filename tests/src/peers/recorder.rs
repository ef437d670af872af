//! A milter built with libmilter (by python3-milter) that writes down commands and macros, and uses every change there is.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// The running recorder.
#[derive(Debug)]
pub struct Recorder {
    _program: Program,
    port: Port,
    home: TempDir,
}

/// One thing that it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which session it belongs to.
    pub session: u64,
    /// `connect`, `helo`, `mail`, `rcpt`, `data`, `header`, `eoh`, `eom`, `abort`, `close`.
    pub command: String,
    /// What came with it.
    pub arguments: Vec<String>,
    /// The macros that were known then.
    pub macros: BTreeMap<String, String>,
}

impl Recorder {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> Result<Self> {
        let home = TempDir::with_prefix("postern-recorder-")?;
        let port = Port::reserve()?;
        let script = home.path().join("recorder.py");
        fs::write(&script, include_str!("recorder.py"))?;
        // python3-milter belongs to the system's Python, whatever else is first in PATH.
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(format!("inet:{}@127.0.0.1", port.number())).arg(home.path().join("told"));
        let mut program = Program::start("recorder", command, &home.path().join("log"), Ending::Kill)?;
        wait::until("the recorder", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, home })
    }

    /// Whether it can run here.
    ///
    /// # Errors
    /// When it cannot, and that is not allowed.
    pub fn is_there() -> Result<bool> {
        if !require::peers(&["python3"])? {
            return Ok(false);
        }
        match process::output(Command::new(PYTHON).args(["-c", "import Milter"])) {
            Ok((status, _)) if status.success() => Ok(true),
            _ => require::skip("not installed: python3-milter"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it was told of the first session that brought a message, once that is closed.
    ///
    /// # Errors
    /// When no session was closed in time.
    pub fn session(&self) -> Result<Vec<Entry>> {
        let file: PathBuf = self.home.path().join("told");
        wait::until("the end of a recorded session", Duration::from_secs(60), || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let entries = text.lines().map(entry).collect::<Result<Vec<_>>>()?;
            // Sessions without a message are those that only looked whether a server is up.
            let Some(message) = entries.iter().find(|entry| entry.command == "eom") else { return Ok(None) };
            let session = entries.iter().filter(|entry| entry.session == message.session);
            let mut session: Vec<Entry> = session.cloned().collect();
            let is_over = session.pop_if(|last| last.command == "close").is_some();
            Ok(is_over.then_some(session))
        })
    }
}

fn entry(line: &str) -> Result<Entry> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arguments = value.get("arguments").and_then(Value::as_array);
    let macros = value.get("macros").and_then(Value::as_object);
    Ok(Entry {
        session: value.get("session").and_then(Value::as_u64).unwrap_or_default(),
        command: value.get("command").map(text).unwrap_or_default(),
        arguments: arguments.into_iter().flatten().map(text).collect(),
        macros: macros.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect(),
    })
}

const PYTHON: &str = "/usr/bin/python3";
