//! Messages in hand: collected within a budget, kept in memory or in an unlinked file, read many times.
//!
//! ```text
//! client's octets -> MessageWriter -> Message -> Content (edits as pieces) -> blocks for a hop or a file
//! ```
//!
//! A [`MessageStore`] makes writers. What a writer takes is reserved in the process-wide [`Budget`]
//! before it is kept; what cannot be reserved is swallowed and the message refused with `452 4.3.1`,
//! so that a flood of mail never becomes an out-of-memory kill. A [`Message`] gives everything back
//! when its last clone is dropped.

mod budget;
mod content;
mod spool;
mod store;
mod stored;
mod survey;
mod writer;

pub use budget::{Budget, Reservation};
pub use content::{Blocks, Content, ContentBuilder, SyncBlocks};
pub use store::{Allotment, MessageStore};
pub use stored::Message;
pub use survey::Survey;
pub use writer::{MessageWriter, Refusal};

use std::sync::Arc;

use postern_core::message::header::Header;

/// A message that was kept whole, and the index of its header.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Its octets.
    pub message: Message,
    /// Its header.
    pub header: Arc<Header>,
}
