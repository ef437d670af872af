//! Where messages are collected.

use std::path::Path;
use std::sync::Arc;

use super::budget::{Budget, Reservation};
use super::writer::MessageWriter;

/// Makes writers for messages. Cheap to clone; every clone is the same store.
#[derive(Debug, Clone)]
pub struct MessageStore {
    folder: Arc<Path>,
    budget: Budget,
}

/// What was set aside for a message before its first octet.
///
/// The default is nothing at all: the writer then reserves as it goes.
#[derive(Debug, Default)]
pub struct Allotment {
    pub(super) memory: Option<Reservation>,
    pub(super) spool: Option<Reservation>,
}

impl MessageStore {
    /// A store that puts large messages into `folder`, which exists and is writable.
    #[must_use]
    pub fn new(folder: impl Into<Arc<Path>>, budget: Budget) -> Self {
        Self { folder: folder.into(), budget }
    }

    /// The budget that everything here is taken from.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Sets aside what a message of that size will need, as `SIZE=` of MAIL announced it (RFC 1870).
    ///
    /// Nothing when so much is not left; the client is then told `452 4.3.1` before it sends anything.
    #[must_use]
    pub fn reserve(&self, octets: u64) -> Option<Allotment> {
        if octets > MEMORY_OCTETS as u64 {
            return Some(Allotment { memory: None, spool: Some(self.budget.spool(octets)?) });
        }
        Some(Allotment { memory: Some(self.budget.memory(octets)?), spool: None })
    }

    /// A writer for one message.
    #[must_use]
    pub fn writer(&self, allotment: Allotment) -> MessageWriter {
        MessageWriter::new(Arc::clone(&self.folder), self.budget.clone(), allotment)
    }
}

/// Messages up to this many octets stay in memory, larger ones go to a file.
///
/// Far above the size of most mail, and small enough that a thousand messages in hand fit the default
/// budget of 256 MiB.
pub(super) const MEMORY_OCTETS: usize = 256 * 1024;
