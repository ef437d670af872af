//! A gate with one scripted milter and a next hop that remembers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, Reply, deliver, letter};
use postern_tests::hop::{Hop, Protocol, Stored};
use postern_tests::manifests::{no_session_limits, object, relay};
use postern_tests::milter::{Milter, Reaction, Told};
use postern_tests::site::Site;

/// All stages that a milter can be asked at.
pub(crate) const ALL_STAGES: &str = "stages: [connect, ehlo, mail, rcpt, data]";

/// A gate, its milter and its next hop.
pub(crate) struct Bench {
    pub(crate) site: Site,
    pub(crate) milter: Milter,
    pub(crate) hop: Hop,
}

impl Bench {
    /// A gate whose milter has these further fields.
    pub(crate) fn start(
        fields: &str,
        script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::with_objects(fields, "", script)
    }

    /// As [`Self::start`], with further objects.
    pub(crate) fn with_objects(
        fields: &str,
        objects: &str,
        script: impl Fn(&Told) -> Option<Reaction> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (milter, hop) = (Milter::start(script)?, Hop::start(Protocol::Smtp)?);
        let site = site(&hop, &milter_object(&milter.fields(), fields), objects)?;
        Ok(Self { site, milter, hop })
    }

    /// One message in a session of its own.
    pub(crate) fn send(&self, message: &[u8]) -> Result<Reply> {
        deliver(self.site.address(), "s@example.org", &["user@example.test"], message)
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.site.address())
    }

    /// The one message that the next hop has.
    pub(crate) fn stored(&self) -> Result<Stored> {
        let mut stored = self.hop.stored();
        ensure!(stored.len() == 1, "the next hop has {} messages", stored.len());
        stored.pop().context("no message")
    }

    /// Lines of the gate's log that hold this.
    pub(crate) fn log_lines(&mut self, text: &str) -> Result<Vec<String>> {
        let log = self.site.log()?;
        Ok(log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect())
    }

    /// What the milter was told, once every connection to it is closed.
    pub(crate) fn commands(&self) -> Result<Vec<String>> {
        self.milter.wait_idle(Duration::from_secs(20))?;
        Ok(self.milter.commands())
    }
}

/// An MtaMilter.
pub(crate) fn milter_object(place: &str, fields: &str) -> String {
    let fields = if fields.is_empty() { String::new() } else { format!(", {fields}") };
    object("MtaMilter", "scripted", &format!("{{{place}{fields}}}"))
}

/// A gate with these objects and a relay to the hop.
pub(crate) fn site(hop: &Hop, milters: &str, objects: &str) -> Result<Site> {
    let objects = format!("{}{milters}{}{objects}", relay("hop", hop.address(), ""), no_session_limits());
    Site::start(&objects)
}

/// What arrives of a letter that nobody has changed, behind the gate's own fields.
pub(crate) fn is_intact(stored: &Stored, message: &[u8]) -> Result<()> {
    ensure!(stored.message.ends_with(message), "{}", String::from_utf8_lossy(&stored.message));
    let own = stored.message.len() - message.len();
    let own = String::from_utf8_lossy(stored.message.get(..own).unwrap_or_default()).into_owned();
    ensure!(own.lines().all(|line| line.starts_with([' ', '\t']) || is_ours(line)), "{own}");
    Ok(())
}

fn is_ours(line: &str) -> bool {
    ["Received:", "Authentication-Results:", "Return-Path:", "Date:", "Message-ID:"]
        .iter()
        .any(|name| line.starts_with(name))
}

/// A small letter.
pub(crate) fn note() -> Vec<u8> {
    letter("note", 400)
}
