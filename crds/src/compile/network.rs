//! Hosts, networks, URLs and mailboxes in fields that are no expressions.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use postern_core::smtp::address::{Address, normalise_domain};

use super::context::Context;
use crate::node::{Trail, shortened};
use crate::value::SetOf;

impl Context<'_> {
    /// Whether a text is a host name or an IP address; a fault if not.
    pub(super) fn check_host(&mut self, at: &Trail<'_>, host: &str) {
        let bare = host.strip_suffix('.').unwrap_or(host);
        if host.parse::<IpAddr>().is_err() && normalise_domain(bare).is_err() {
            self.fault(at, format!("{} is no host name and no IP address", shortened(host)));
        }
    }

    /// A domain name in the form in which domains are compared.
    pub(super) fn domain_name(&mut self, at: &Trail<'_>, name: &str) -> Option<Arc<str>> {
        match normalise_domain(name) {
            Ok(name) => Some(name.as_ref().into()),
            Err(_) => {
                self.fault(at, format!("{} is no domain name", shortened(name)));
                None
            }
        }
    }

    /// A mailbox.
    pub(super) fn mailbox(&mut self, at: &Trail<'_>, text: &str) -> Option<Address> {
        match Address::parse(text) {
            Ok(address) => Some(address),
            Err(error) => {
                self.fault(at, format!("{} is no mailbox: {error}", shortened(text)));
                None
            }
        }
    }

    /// `ip:port` to listen on.
    pub(super) fn socket_address(&mut self, at: &Trail<'_>, text: &str) -> Option<SocketAddr> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                self.fault(at, "port 0 would be another one after every start");
                None
            }
            Ok(address) => Some(address),
            Err(_) => {
                let text = shortened(text);
                self.fault(
                    at,
                    format!("{text} is no address and port, such as `0.0.0.0:2525` or `[::]:2525`"),
                );
                None
            }
        }
    }

    /// Networks whose peers are trusted to say who the client is.
    pub(super) fn networks(&mut self, at: &Trail<'_>, texts: &SetOf<String>) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in texts.iter() {
            let at = self.element(at, text);
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) if network.prefix_len() == 0 => {
                    let message = format!("{text} lets every client claim to be any other");
                    self.fault_at(&at, message);
                }
                Ok(network) => networks.push(network.trunc()),
                Err(_) => {
                    let message = format!("{} is no IP address and no network", shortened(text));
                    self.fault_at(&at, message);
                }
            }
        }
        networks
    }

    /// An `http`, `https` or other URL with one of these schemes and a host.
    pub(super) fn url(&mut self, at: &Trail<'_>, text: &str, schemes: &[&str]) -> Arc<str> {
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if host.is_none_or(str::is_empty) || !printable {
            let known: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://host")).collect();
            self.fault(at, format!("{} is no URL of the form {}", shortened(text), known.join(" or ")));
        } else if host.is_some_and(|host| host.contains('@')) {
            self.fault(at, "a URL holds no user and no password here; they have fields of their own");
        }
        text.into()
    }

    /// A URL that requests are sent to.
    pub(super) fn http_url(&mut self, at: &Trail<'_>, text: &str) -> Arc<str> {
        if text.bytes().any(|octet| !octet.is_ascii() || b"<>\"{}|\\^`".contains(&octet)) {
            self.fault(at, "holds a character that a URL has as %-escape, or a host name as A-label");
        } else if !has_sound_port(text) {
            self.fault(at, "the port is no number from 1 to 65535");
        }
        self.url(at, text, &["http", "https"])
    }
}

/// Whether the port of a URL can be connected to, if it names one.
fn has_sound_port(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The colons of an IPv6 address stand in brackets.
    let behind = authority.rsplit_once(']').map_or(authority, |(_, behind)| behind);
    behind.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}
