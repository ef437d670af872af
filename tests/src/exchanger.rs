//! The gate as the mail exchanger of `example.test`: port 25 to its clients, which PROXY headers put wherever DNS has them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, anyhow, ensure};

use crate::client::{Client, Reply};
use crate::gate::{Gate, Launch};
use crate::maildir::Maildir;
use crate::manifests::{Folder, object, open_domain};
use crate::port::Port;

/// A gate that believes PROXY headers from this machine, asks one name server, and stores in Maildir folders.
#[derive(Debug)]
pub struct Exchanger {
    /// The process. It is declared before the folder, so it ends first.
    pub gate: Gate,
    _folder: Folder,
    port: Port,
}

impl Exchanger {
    /// Starts a gate with this MtaSenderAuth and further objects.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(dns: SocketAddr, sender_auth: &str, more: &str) -> Result<Self> {
        Self::launch(dns, sender_auth, more, &Launch::default())
    }

    /// As [`Self::start`], in a particular way.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn launch(dns: SocketAddr, sender_auth: &str, more: &str, how: &Launch<'_>) -> Result<Self> {
        let port = Port::reserve()?;
        let objects = [
            object(
                "MtaSettings",
                "default",
                &format!(
                    "{{defaultHostname: gate.example.test, dns: {{servers: [{{address: \"{}\", port: {}}}], timeout: 500ms, attempts: 1}}}}",
                    dns.ip(),
                    dns.port()
                ),
            ),
            object("MtaSenderAuth", "default", sender_auth),
            object(
                "MtaListener",
                "smtp",
                &format!(
                    "{{bind: [\"{}\"], publicPort: 25, proxyTrustedNetworks: [127.0.0.1/32]}}",
                    port.address()
                ),
            ),
            object("MtaRoute", "store", "{type: Maildir, path: \"mail/{local}\"}"),
            open_domain(),
            more.to_owned(),
        ];
        let folder = Folder::with(&[("objects.yaml", objects.concat())])?;
        let gate = Gate::launch(folder.path(), how)?;
        Ok(Self { gate, _folder: folder, port })
    }

    /// A client at an address of the documentation networks.
    ///
    /// # Errors
    /// When it is not greeted.
    pub fn client(&self, address: &str) -> Result<Client> {
        client_at(self.port.address(), address)
    }

    /// One message to `anna` from the sender's own server, to the reply after the final dot.
    ///
    /// # Errors
    /// When anything before that is refused.
    pub fn deliver(&self, address: &str, from: &str, message: &[u8]) -> Result<Reply> {
        let mut client = self.client(address)?;
        client.expect("EHLO mx.example.org", "250")?;
        client.envelope(from, &["anna@example.test"])?;
        client.message(message)
    }

    /// The one message that a mailbox holds.
    ///
    /// # Errors
    /// When it holds none, or several.
    pub fn stored(&self, local: &str) -> Result<Vec<u8>> {
        let messages = Maildir::at(self.gate.home().join("mail").join(local)).messages()?;
        ensure!(messages.len() == 1, "{} messages were stored for {local}", messages.len());
        Ok(messages.concat())
    }

    /// The header of the one message for `anna`, with bare line feeds.
    ///
    /// # Errors
    /// As for [`Self::stored`].
    pub fn header(&self) -> Result<String> {
        header_of(&self.stored("anna")?)
    }
}

/// A client of a listener that believes PROXY headers, at an address of the documentation networks.
///
/// # Errors
/// When it is not greeted.
pub fn client_at(gate: SocketAddr, address: &str) -> Result<Client> {
    let mut client = Client::connect_silent(gate)?;
    let (family, server) = match address.parse()? {
        IpAddr::V4(_) => ("TCP4", "198.51.100.25"),
        IpAddr::V6(_) => ("TCP6", "2001:db8::25"),
    };
    client.send(format!("PROXY {family} {address} {server} 40000 25\r\n").as_bytes())?;
    let greeting = client.reply()?;
    ensure!(greeting.is("220"), "{greeting}");
    Ok(client)
}

/// The header of a message, with bare line feeds.
///
/// # Errors
/// When it has none.
pub fn header_of(message: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let (header, _) = text.split_once("\n\n").ok_or_else(|| anyhow!("no header: {text}"))?;
    Ok(header.to_owned())
}

/// The value of the first field of that name, folds taken out.
///
/// # Errors
/// When there is none.
pub fn field(header: &str, name: &str) -> Result<String> {
    let unfolded = header.replace("\n\t", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.map(str::to_owned).ok_or_else(|| anyhow!("no {name} in\n{header}"))
}

/// MtaSenderAuth with every check at this level.
pub fn all_checks(level: &str) -> String {
    let checks = ["spfEhlo", "spfFrom", "reverseIp", "dkim", "arc", "dmarc"];
    let fields: Vec<String> = checks.iter().map(|check| format!("{check}Verify: {level}")).collect();
    format!("{{{}}}", fields.join(", "))
}
