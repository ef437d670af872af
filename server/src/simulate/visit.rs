//! The session that is simulated: who comes, and what he wants.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use postern_core::policy::Policy;
use postern_core::policy::directory::{Account, Entry};
use postern_core::policy::listener::Listener;
use postern_core::smtp::address::Address;

/// A client with one message.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Name of the listener; unset: the first one of the policy.
    pub listener: Option<String>,
    /// Address of the client.
    pub ip: IpAddr,
    /// The name that reverse DNS confirms, where nobody says otherwise.
    pub ptr: Option<String>,
    /// Name of EHLO or LHLO.
    pub ehlo: String,
    /// Whether the client does STARTTLS.
    pub tls: bool,
    /// The account as which it logs in.
    pub auth: Option<String>,
    /// Sender; empty for the null path.
    pub from: String,
    /// Parameters of MAIL, such as `REQUIRETLS`.
    pub parameters: String,
    /// Recipients.
    pub to: Vec<String>,
    /// The message, with CRLF.
    pub message: Arc<[u8]>,
}

/// Why a session cannot be simulated with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// Nobody listens.
    #[error("the policy has no listener")]
    NoListener,
    /// The listener does not exist.
    #[error("the policy has no listener `{0}`")]
    UnknownListener(String),
    /// The account does not exist.
    #[error("no directory of the policy has the account `{0}`")]
    UnknownAccount(String),
    /// What a client says has to fit a line.
    #[error("{what} `{}` holds a control character", value.escape_debug())]
    ControlCharacter {
        /// What it was to be.
        what: &'static str,
        /// What was given.
        value: String,
    },
}

/// The address of a client of which nothing else is known (RFC 5737).
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// The name of a client of which nothing else is known.
pub const STRANGERS_NAME: &str = "client.example.net";

impl Visit {
    /// The listener that is visited.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn listener<'p>(&self, policy: &'p Policy) -> Result<&'p Arc<Listener>, VisitError> {
        match &self.listener {
            None => policy.listeners.first().ok_or(VisitError::NoListener),
            Some(name) => policy
                .listeners
                .iter()
                .find(|listener| *listener.name == **name)
                .ok_or_else(|| VisitError::UnknownListener(name.clone())),
        }
    }

    /// The account that logs in, if one does. One that the policy does not list is taken at its word where a
    /// directory outside of the policy could have it.
    ///
    /// # Errors
    /// When no directory can have it.
    pub fn account(&self, policy: &Policy) -> Result<Option<Arc<Account>>, VisitError> {
        let Some(name) = &self.auth else { return Ok(None) };
        let key = name.to_lowercase();
        let found = policy.directories.iter().filter_map(|directory| directory.inline()).find_map(|inline| {
            match inline.get(&key) {
                Some(Entry::Account(account)) => Some(Arc::clone(account)),
                _ => None,
            }
        });
        let elsewhere = || {
            let outside = policy.directories.iter().any(|directory| directory.inline().is_none());
            let address = Address::parse(name).ok().filter(|_| outside)?;
            Some(Arc::new(Account { address, aliases: Vec::new(), passwords: Vec::new() }))
        };
        found.or_else(elsewhere).map(Some).ok_or_else(|| VisitError::UnknownAccount(name.clone()))
    }

    /// Whether everything that goes into a command stays in its line.
    ///
    /// # Errors
    /// For the first text that does not.
    pub fn check_lines(&self) -> Result<(), VisitError> {
        let texts =
            [("the EHLO name", &self.ehlo), ("the sender", &self.from), ("the parameter", &self.parameters)];
        let recipients = self.to.iter().map(|recipient| ("the recipient", recipient));
        match texts.into_iter().chain(recipients).find(|(_, text)| text.chars().any(char::is_control)) {
            Some((what, value)) => Err(VisitError::ControlCharacter { what, value: value.clone() }),
            None => Ok(()),
        }
    }
}
