//! The gate as most tests want it: one SMTP listener for strangers, the domain `example.test`, and whatever objects the test adds.

use std::net::SocketAddr;

use anyhow::Result;

use crate::gate::{Gate, Launch};
use crate::manifests::{self, Folder};
use crate::port::Port;

/// A running gate with its folder and its port.
#[derive(Debug)]
pub struct Site {
    /// The process. It is declared before the folder, so it ends first.
    pub gate: Gate,
    /// What it was started on.
    pub folder: Folder,
    port: Port,
}

impl Site {
    /// Starts a gate with these further objects, at least a route; they become the file `objects.yaml`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(objects: &str) -> Result<Self> {
        Self::launch(objects, &Launch::default())
    }

    /// As [`Self::start`], in a particular way.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn launch(objects: &str, how: &Launch<'_>) -> Result<Self> {
        let port = Port::reserve()?;
        let folder = Folder::with(&[
            ("settings.yaml", manifests::settings()),
            ("listener.yaml", manifests::listener("smtp", port.address())),
            ("domain.yaml", manifests::open_domain()),
            ("objects.yaml", objects.to_owned()),
        ])?;
        let gate = Gate::launch(folder.path(), how)?;
        Ok(Self { gate, folder, port })
    }

    /// Where it takes mail.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The log, with every line about what has happened before.
    ///
    /// # Errors
    /// When the gate takes no connection, or does not tell of it.
    pub fn log(&mut self) -> Result<String> {
        self.gate.log(self.address())
    }

    /// Starts a new process on the same folder, after the old one was killed.
    ///
    /// # Errors
    /// When the new one does not become ready.
    pub fn restart(&mut self) -> Result<()> {
        self.gate = Gate::start(self.folder.path())?;
        Ok(())
    }
}
