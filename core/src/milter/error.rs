//! How a milter can break the rules of its protocol.

use super::frame::FrameError;

/// What a milter said cannot be used. The connection to it is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MilterError {
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It did not answer the offer.
    #[error("`{0}` in place of an answer to the offer")]
    NoNegotiation(char),
    /// It wants a version that was not offered.
    #[error("protocol version {0}, which was not offered")]
    Version(u32),
    /// An answer that may not stand there, or one that nobody knows.
    #[error("`{answer}` is no answer to {to}")]
    WrongPlace {
        /// Its code.
        answer: char,
        /// What it came after.
        to: &'static str,
    },
    /// An answer whose parts are missing or cannot be read.
    #[error("`{0}` cannot be read")]
    Malformed(char),
    /// A reply that is no refusal.
    #[error("a reply that is no refusal: {0}")]
    NoRefusal(String),
    /// A change that was not offered.
    #[error("a change (`{0}`) that was not offered")]
    NotOffered(char),
    /// A header field that would break the header.
    #[error("a header field that would break the header")]
    BrokenField,
    /// An address that is none.
    #[error("an address that is none: {0}")]
    Address(String),
    /// More changes than are accepted.
    #[error("more than {most} changes")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// Changes that are larger together than is accepted.
    #[error("changes of more than {most} octets")]
    TooLarge {
        /// The limit.
        most: u64,
    },
}
