//! A gate with filters that stores what it takes.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;

use crate::client::{Client, Reply};
use crate::gate::Launch;
use crate::maildir::Maildir;
use crate::manifests::object;
use crate::site::Site;

/// The gate, with one mailbox for each local part of `example.test`.
#[derive(Debug)]
pub struct Filtered {
    /// The gate.
    pub site: Site,
}

impl Filtered {
    /// Starts a gate with these filters and other objects.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(objects: &str) -> Result<Self> {
        Self::launch(objects, None)
    }

    /// As [`Self::start`], with a folder of programs for pipes.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn with_programs(objects: &str, programs: &Path) -> Result<Self> {
        Self::launch(objects, Some(programs))
    }

    fn launch(objects: &str, programs: Option<&Path>) -> Result<Self> {
        let mut arguments = vec!["--log-format".into(), "json".into()];
        if let Some(programs) = programs {
            arguments.extend(["--pipe-dir".into(), programs.into()]);
        }
        let route = object("MtaRoute", "store", "{type: Maildir, path: \"mail/{local}\"}");
        let how = Launch { arguments, ..Launch::default() };
        Ok(Self { site: Site::launch(&(route + objects), &how)? })
    }

    /// Where it takes mail.
    pub fn address(&self) -> SocketAddr {
        self.site.address()
    }

    /// One message to `anna@example.test` in a session of its own: the reply after the final dot.
    ///
    /// # Errors
    /// When the session does not come so far.
    pub fn send(&self, from: &str, message: &[u8]) -> Result<Reply> {
        let mut client = Client::connect(self.address())?;
        client.open(from, &["anna@example.test"])?;
        client.message(message)
    }

    /// What one mailbox holds, its lines ended as on the wire.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stored_for(&self, local: &str) -> Result<Vec<String>> {
        let messages = Maildir::at(self.site.gate.home().join("mail").join(local)).messages()?;
        let text =
            |message: &Vec<u8>| String::from_utf8_lossy(message).replace("\r\n", "\n").replace('\n', "\r\n");
        Ok(messages.iter().map(text).collect())
    }

    /// The one message in the mailbox of `anna`.
    ///
    /// # Errors
    /// When there is another number of them.
    pub fn stored(&self) -> Result<String> {
        let mut messages = self.stored_for("anna")?;
        ensure!(messages.len() == 1, "{} messages were stored", messages.len());
        messages.pop().ok_or_else(|| anyhow!("none"))
    }

    /// The lines of the log about one filter.
    ///
    /// # Errors
    /// When a line is no JSON.
    pub fn log_of(&mut self, filter: &str) -> Result<Vec<Value>> {
        let log = self.site.log()?;
        let lines: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(lines.into_iter().filter(|line| line["filter"] == filter).collect())
    }

    /// The value of a metric with all of these labels; 0 when there is none.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let (_, metrics) = self.site.gate.get("/metrics")?;
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label.as_str())));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0))
    }
}
