//! Why a directory gave no answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use postern_core::ldap::BerError;

use crate::filter::FilterError;

/// A directory could not be asked, or did not answer. It never means that somebody does not exist.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// There is no connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// Host and port.
        to: Arc<str>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long, waiting for a connection of the pool included.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("connection lost")]
    Lost(#[source] io::Error),
    /// What came is no LDAP.
    #[error("the answer is no LDAP")]
    Malformed(#[from] BerError),
    /// An answer that does not belong to what was asked.
    #[error("{0}")]
    Unexpected(&'static str),
    /// It has answered that it cannot or will not.
    #[error("{operation} is answered with result code {code}: {diagnostic}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// Result code (RFC 4511 appendix A).
        code: u32,
        /// Its own words.
        diagnostic: Box<str>,
    },
    /// The provider gives no answer over HTTP.
    #[error("the provider gives no answer")]
    Provider(#[source] FilterError),
    /// A mailing list has more members than are looked up while a client waits.
    #[error("a mailing list of more than {0} members")]
    ListTooLong(usize),
    /// The pool of password checks has no turn to give.
    #[error("too many passwords wait to be checked")]
    NoTurn,
}

impl DirectoryError {
    /// Whether a connection that was kept may just have been closed from the other side.
    pub(super) const fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}
