//! One row of the table: a message, where it comes from, and what is to be found out about it.

use std::fmt;

/// The address that every record of the tests permits.
pub(crate) const CLIENT: &str = "192.0.2.1";

/// A message and what the three say of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) client: &'static str,
    pub(crate) helo: &'static str,
    /// Without brackets; empty for the null sender.
    pub(crate) sender: String,
    pub(crate) message: Vec<u8>,
    /// What the gate has to find.
    pub(crate) wanted: Results,
    pub(crate) rspamd: Option<Difference>,
    pub(crate) opendmarc: Option<Difference>,
}

/// What somebody finds instead, and why that is so.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) found: Results,
    /// A heading of `docs/sender-authentication.md`.
    pub(crate) heading: &'static str,
}

/// The result words of an Authentication-Results field; `none` for what it does not mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Results {
    /// One for each signature, in alphabetical order.
    pub(crate) dkim: Vec<String>,
    /// Of the sender.
    pub(crate) spf: String,
    pub(crate) arc: String,
    pub(crate) dmarc: String,
}

impl Results {
    /// Reads words such as `dkim=pass,fail spf=pass`.
    pub(crate) fn of(words: &str) -> Self {
        let mut results = Self::nothing();
        for word in words.split_whitespace() {
            results = results.with(word);
        }
        results
    }

    /// The same with another word in one place.
    pub(crate) fn with(mut self, word: &str) -> Self {
        match word.split_once('=') {
            Some(("dkim", all)) => self.dkim = all.split(',').map(str::to_owned).collect(),
            Some(("spf", word)) => self.spf = word.to_owned(),
            Some(("arc", word)) => self.arc = word.to_owned(),
            Some(("dmarc", word)) => self.dmarc = word.to_owned(),
            _ => assert!(word.is_empty(), "no result: {word}"),
        }
        self.dkim.sort_unstable();
        self
    }

    /// Reads the value of an Authentication-Results field.
    pub(crate) fn read(field: &str) -> Self {
        let mut results = Self::nothing();
        let mut dkim = Vec::new();
        for result in without_comments(field).split(';').skip(1) {
            let mut words = result.split_whitespace();
            let Some((method, word)) = words.next().and_then(|first| first.split_once('=')) else { continue };
            match method {
                "dkim" => dkim.push(word.to_owned()),
                "spf" if words.clone().any(|word| word.starts_with("smtp.helo")) && results.spf != "none" => {
                }
                // A field with both identities has that of EHLO first; where it is alone, the sender is null.
                "spf" => results.spf = word.to_owned(),
                // rspamd's word for what RFC 8617 section 4.2 calls a failure.
                "arc" if word == "reject" => results.arc = "fail".to_owned(),
                "arc" => results.arc = word.to_owned(),
                "dmarc" => results.dmarc = word.to_owned(),
                _ => {}
            }
        }
        if !dkim.is_empty() {
            dkim.sort_unstable();
            results.dkim = dkim;
        }
        results
    }

    fn nothing() -> Self {
        let none = || "none".to_owned();
        Self { dkim: vec![none()], spf: none(), arc: none(), dmarc: none() }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dkim={} spf={} arc={} dmarc={}", self.dkim.join(","), self.spf, self.arc, self.dmarc)
    }
}

impl Row {
    /// A message from the client that the records permit; what is to be found out is written as for [`Results::of`].
    pub(crate) fn new(
        name: impl Into<String>,
        sender: &str,
        message: impl Into<Vec<u8>>,
        wanted: &str,
    ) -> Self {
        Self {
            name: name.into(),
            client: CLIENT,
            helo: "mx.good.example",
            sender: sender.to_owned(),
            message: message.into(),
            wanted: Results::of(wanted),
            rspamd: None,
            opendmarc: None,
        }
    }

    pub(crate) fn with_client(mut self, client: &'static str) -> Self {
        self.client = client;
        self
    }

    pub(crate) fn greeting_as(mut self, helo: &'static str) -> Self {
        self.helo = helo;
        self
    }

    /// rspamd says one word otherwise.
    pub(crate) fn rspamd_says(mut self, words: &str, heading: &'static str) -> Self {
        let found = words.split_whitespace().fold(self.wanted.clone(), |found, word| found.with(word));
        self.rspamd = Some(Difference { found, heading });
        self
    }

    /// OpenDMARC says one word otherwise.
    pub(crate) fn opendmarc_says(mut self, word: &str, heading: &'static str) -> Self {
        self.opendmarc = Some(Difference { found: self.wanted.clone().with(word), heading });
        self
    }
}

/// A letter by this author.
pub(crate) fn letter(author: &str) -> Vec<u8> {
    format!(
        "From: Alice <{author}>\r\nTo: anna@example.test\r\nSubject: hello\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\
         Message-ID: <1@good.example>\r\n\r\nDear Anna,\r\n\r\nwell met.\r\n"
    )
    .into_bytes()
}

/// The message with one thing in it changed, which has to be there.
pub(crate) fn changed(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    assert!(text.contains(from), "no {from} in {text}");
    text.replacen(from, to, 1).into_bytes()
}

fn without_comments(field: &str) -> String {
    let (mut depth, mut quoted) = (0_u32, false);
    let mut text = String::new();
    for c in field.chars() {
        match c {
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            c if depth == 0 && !quoted => text.push(c),
            _ => {}
        }
    }
    text
}
