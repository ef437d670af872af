//! Collects one message as its octets arrive.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use postern_core::smtp::reply::{EnhancedCode, Reply};

use super::budget::{Budget, Reservation};
use super::spool::{BLOCK_OCTETS, SpoolFile};
use super::store::{Allotment, MEMORY_OCTETS};
use super::stored::{Body, Message};
use super::survey::Survey;

/// Takes the octets of a message in slices of any size, within the budget.
///
/// Once something does not fit, everything that follows is swallowed: the client must be let finish
/// before it can be told (RFC 5321 section 4.2.5), and must not be able to hold memory meanwhile.
#[derive(Debug)]
pub struct MessageWriter {
    folder: Arc<Path>,
    budget: Budget,
    state: State,
}

/// Why a message could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The budget has no room for it now.
    #[error("the budget for messages in hand is used up")]
    NoRoom,
    /// The header section is longer than [`MessageWriter::MAX_HEADER_OCTETS`].
    #[error("the header section is longer than {} octets", MessageWriter::MAX_HEADER_OCTETS)]
    HeaderTooLong,
    /// The temporary file failed.
    #[error("the temporary file for a message failed")]
    Storage(#[source] io::Error),
}

impl Refusal {
    /// What the client is told after its last octet.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::NoRoom => NO_ROOM,
            Self::Storage(error) if error.kind() == io::ErrorKind::StorageFull => NO_ROOM,
            Self::HeaderTooLong => Reply::TOO_BIG.with_text("Message header section too long"),
            Self::Storage(_) => STORAGE_FAILED,
        }
    }
}

impl MessageWriter {
    /// Longest header section, in octets. It is kept in memory, whatever the size of the message.
    pub const MAX_HEADER_OCTETS: usize = 1 << 20;

    pub(super) fn new(folder: Arc<Path>, budget: Budget, allotment: Allotment) -> Self {
        let Allotment { memory, spool } = allotment;
        let held = memory.or_else(|| budget.memory(0));
        let state = match held {
            Some(held) => State::Memory(InMemory { buffer: Vec::new(), searched: 0, held, spool }),
            None => State::Swallowing(Refusal::NoRoom),
        };
        Self { folder, budget, state }
    }

    /// Takes the next octets.
    ///
    /// A call that is dropped before it ends loses the message, as it must: it is not known what was kept.
    pub async fn write(&mut self, octets: &[u8]) {
        let interrupted = State::Swallowing(Refusal::Storage(io::ErrorKind::Interrupted.into()));
        let next = match std::mem::replace(&mut self.state, interrupted) {
            State::Memory(memory) => self.push_to_memory(memory, octets).await,
            State::Spooling(mut spooling) => spooling.push(octets).await.map(|()| State::Spooling(spooling)),
            State::Swallowing(refusal) => Err(refusal),
        };
        self.state = next.unwrap_or_else(State::Swallowing);
    }

    /// Whether the message is lost already and the rest only swallowed.
    #[must_use]
    pub fn is_swallowing(&self) -> bool {
        matches!(self.state, State::Swallowing(_))
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// The first reason for which it could not be kept.
    pub async fn finish(self) -> Result<Message, Refusal> {
        match self.state {
            State::Memory(memory) => Ok(memory.finish()),
            State::Spooling(spooling) => spooling.finish().await,
            State::Swallowing(refusal) => Err(refusal),
        }
    }

    async fn push_to_memory(&self, mut memory: InMemory, octets: &[u8]) -> Result<State, Refusal> {
        memory.push(octets)?;
        if memory.buffer.len() <= MEMORY_OCTETS {
            return Ok(State::Memory(memory));
        }
        match memory.find_header_end() {
            Some(header_octets) if header_octets <= Self::MAX_HEADER_OCTETS => {
                Ok(State::Spooling(Box::new(self.spill(memory, header_octets).await?)))
            }
            // It alone may make a message in memory larger than others.
            None if memory.buffer.len() <= Self::MAX_HEADER_OCTETS => Ok(State::Memory(memory)),
            _ => Err(Refusal::HeaderTooLong),
        }
    }

    /// Moves what follows the header section from memory to a file.
    async fn spill(&self, memory: InMemory, header_octets: usize) -> Result<Spooling, Refusal> {
        let InMemory { buffer: mut header, held, spool, .. } = memory;
        let spool = spool.or_else(|| self.budget.spool(0)).ok_or(Refusal::NoRoom)?;
        let file = SpoolFile::create(Arc::clone(&self.folder)).await.map_err(Refusal::Storage)?;
        let block = header.split_off(header_octets);
        header.shrink_to_fit();
        let mut spooling =
            Spooling { header, block, file, written: 0, survey: Survey::default(), held, spool };
        spooling.write_block().await?;
        spooling.block = Vec::new();
        let room = (spooling.header.len() + BLOCK_OCTETS) as u64;
        spooling.held.shrink_to(room);
        if spooling.held.grow_to(room) { Ok(spooling) } else { Err(Refusal::NoRoom) }
    }
}

#[derive(Debug)]
enum State {
    /// All of it, so far.
    Memory(InMemory),
    /// The header section in memory, the rest in a file.
    Spooling(Box<Spooling>),
    /// Nothing is kept any more.
    Swallowing(Refusal),
}

#[derive(Debug)]
struct InMemory {
    buffer: Vec<u8>,
    /// How much of the buffer was searched for the end of the header section.
    searched: usize,
    held: Reservation,
    /// Set aside for the file, should there be one.
    spool: Option<Reservation>,
}

impl InMemory {
    fn push(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        let needed = self.buffer.len() + octets.len();
        if needed > self.buffer.capacity() {
            // As much again, so that growth costs few reservations and copies; but what SIZE announced
            // is taken at once.
            let announced = usize::try_from(self.held.octets()).unwrap_or(MEMORY_OCTETS).min(MEMORY_OCTETS);
            let capacity = needed.max(self.buffer.capacity() * 2).max(announced).max(MIN_OCTETS);
            if !self.held.grow_to(capacity as u64) {
                return Err(Refusal::NoRoom);
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    /// Where the body begins. Goes on where the last search ended, or a long header section that comes
    /// in small slices would be searched over and over.
    fn find_header_end(&mut self) -> Option<usize> {
        let found = header_end(&self.buffer, self.searched);
        // The empty line may have arrived in part: begin again at the last line end.
        self.searched = memchr::memrchr(b'\n', &self.buffer).unwrap_or(0);
        found
    }

    fn finish(mut self) -> Message {
        let header_octets = self.find_header_end().unwrap_or(self.buffer.len());
        Message::new(Bytes::from(self.buffer), header_octets, None, vec![self.held])
    }
}

#[derive(Debug)]
struct Spooling {
    header: Vec<u8>,
    /// Received, not yet written.
    block: Vec<u8>,
    file: SpoolFile,
    /// Octets in the file.
    written: u64,
    survey: Survey,
    held: Reservation,
    spool: Reservation,
}

impl Spooling {
    async fn push(&mut self, mut octets: &[u8]) -> Result<(), Refusal> {
        while !octets.is_empty() {
            let room = BLOCK_OCTETS.saturating_sub(self.block.len());
            let (now, later) = octets.split_at(room.min(octets.len()));
            self.block.extend_from_slice(now);
            if self.block.len() >= BLOCK_OCTETS {
                self.write_block().await?;
            }
            octets = later;
        }
        Ok(())
    }

    async fn write_block(&mut self) -> Result<(), Refusal> {
        let end = self.written + self.block.len() as u64;
        if !self.spool.grow_to(end) {
            return Err(Refusal::NoRoom);
        }
        let block = std::mem::take(&mut self.block);
        let (block, seen) =
            self.file.write_at(self.written, block, Survey::of).await.map_err(Refusal::Storage)?;
        self.survey = self.survey.then(seen);
        self.block = block;
        self.written = end;
        Ok(())
    }

    async fn finish(mut self) -> Result<Message, Refusal> {
        if !self.block.is_empty() {
            self.write_block().await?;
        }
        let Self { header, file, written, survey, mut held, mut spool, .. } = self;
        held.shrink_to(header.len() as u64);
        spool.shrink_to(written);
        let header_octets = header.len();
        let body = Body { file, octets: written, survey };
        Ok(Message::new(Bytes::from(header), header_octets, Some(body), vec![held, spool]))
    }
}

/// Where the body begins: behind the first empty line.
///
/// Lines that end in a bare LF count, as they do for every program that will read the message; a
/// stricter rule here would let a filter and a mail reader see different headers.
fn header_end(octets: &[u8], from: usize) -> Option<usize> {
    let unsearched = octets.get(from..)?;
    memchr::memchr_iter(b'\n', unsearched).find_map(|lf| {
        let line = octets.get(..from + lf)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (line.is_empty() || line.ends_with(b"\n")).then_some(from + lf + 1)
    })
}

/// First reservation for a message of unknown size.
const MIN_OCTETS: usize = 4096;

const NO_ROOM: Reply = Reply::new(452, EnhancedCode(4, 3, 1), "Insufficient storage, try again later");
const STORAGE_FAILED: Reply =
    Reply::new(451, EnhancedCode(4, 3, 0), "Message could not be stored, try again later");

#[cfg(test)]
mod tests {
    use super::super::{Content, ContentBuilder, MessageStore};
    use super::*;

    fn store(memory: u64, spool: u64) -> (MessageStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (MessageStore::new(folder.path(), Budget::new(memory, spool)), folder)
    }

    async fn collect(store: &MessageStore, octets: &[u8], slice: usize) -> Result<Message, Refusal> {
        let mut writer = store.writer(Allotment::default());
        for part in octets.chunks(slice) {
            writer.write(part).await;
        }
        writer.finish().await
    }

    async fn read(content: &Content) -> Vec<u8> {
        let (mut all, mut blocks) = (Vec::new(), content.blocks());
        while let Some(block) = blocks.next().await.unwrap() {
            all.extend_from_slice(block);
        }
        let (mut again, mut blocks) = (Vec::new(), content.blocks_now());
        while let Some(block) = blocks.next_block().unwrap() {
            again.extend_from_slice(block);
        }
        assert!(all == again && all.len() as u64 == content.octets());
        all
    }

    fn large() -> Vec<u8> {
        let mut octets = b"Subject: x\r\n\r\n".to_vec();
        octets.extend((0..60_000u32).flat_map(|line| format!("line number {line}\r\n").into_bytes()));
        octets
    }

    const HUGE: u64 = 1 << 30;

    #[tokio::test]
    async fn small_messages_stay_in_memory_and_come_back_whole() {
        let (store, _folder) = store(HUGE, 0);
        for slice in [1, 3, 1000] {
            let message = collect(&store, b"A: b\r\nC: d\r\n\r\nbody\r\n", slice).await.unwrap();
            assert_eq!(message.in_memory().unwrap(), &b"A: b\r\nC: d\r\n\r\nbody\r\n"[..]);
            assert_eq!(message.header(), &b"A: b\r\nC: d\r\n\r\n"[..]);
        }
        assert_eq!(store.budget().memory_used(), 0, "dropped messages give their memory back");
    }

    #[tokio::test]
    async fn large_messages_leave_memory_and_come_back_whole() {
        let (store, folder) = store(HUGE, HUGE);
        let octets = large();
        for slice in [1000, 300_000] {
            let message = collect(&store, &octets, slice).await.unwrap();
            assert_eq!(message.octets(), octets.len() as u64);
            assert_eq!(message.header(), &b"Subject: x\r\n\r\n"[..]);
            assert!(message.in_memory().is_none());
            assert!(store.budget().memory_used() < 100);
            assert_eq!(store.budget().spool_used(), octets.len() as u64 - 14);
            assert!(message.to_bytes().await.unwrap() == octets);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
            let content = Content::unchanged(message);
            assert!(read(&content).await == octets);
            assert!(content.survey().is_whole_lines_of_crlf() && !content.survey().eight_bit);
        }
        assert_eq!((store.budget().memory_used(), store.budget().spool_used()), (0, 0));
    }

    #[tokio::test]
    async fn both_ways_of_keeping_have_one_digest() {
        let (store, _folder) = store(HUGE, HUGE);
        let octets = large();
        let message = collect(&store, &octets, 5000).await.unwrap();
        let expected: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&octets).into();
        assert_eq!(message.digest().await.unwrap(), expected);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_swallowed_and_refused_for_now() {
        for (memory, spool) in [(4000, 0), (HUGE, 0), (HUGE, 300_000), (100_000, HUGE)] {
            let (store, _folder) = store(memory, spool);
            let octets = large();
            let refusal = collect(&store, &octets, 5000).await.unwrap_err();
            assert_eq!(
                (refusal.reply().code(), refusal.reply().enhanced()),
                (452, Some(EnhancedCode(4, 3, 1)))
            );
            assert_eq!((store.budget().memory_used(), store.budget().spool_used()), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_refused_message_holds_nothing_while_it_goes_on() {
        let (store, _folder) = store(10_000, 0);
        let mut writer = store.writer(Allotment::default());
        for _ in 0..100 {
            writer.write(&[b'a'; 1000]).await;
        }
        assert!(writer.is_swallowing());
        assert_eq!(store.budget().memory_used(), 0);
    }

    #[tokio::test]
    async fn an_announced_size_is_set_aside_before_the_first_octet() {
        let (store, _folder) = store(100_000, 1_000_000);
        let small = store.reserve(60_000).unwrap();
        assert!(store.reserve(60_000).is_none());
        let big = store.reserve(900_000).unwrap();
        assert!(store.reserve(900_000).is_none());
        drop(big);
        let mut writer = store.writer(small);
        writer.write(&[b'a'; 50_000]).await;
        assert_eq!(store.budget().memory_used(), 60_000);
        assert_eq!(writer.finish().await.unwrap().octets(), 50_000);
    }

    #[tokio::test]
    async fn endless_header_sections_are_refused() {
        let (store, _folder) = store(HUGE, HUGE);
        let octets = b"X-Long: abcdefghijklmnopqrstuvwxyz\r\n".repeat(60_000);
        let refusal = collect(&store, &octets, 4096).await.unwrap_err();
        assert_eq!(refusal.reply().code(), 552);
        let mut fitting = b"X-Long: abcdefghijklmnopqrstuvwxyz\r\n".repeat(20_000);
        fitting.extend_from_slice(b"\r\nbody\r\n");
        let message = collect(&store, &fitting, 777).await.unwrap();
        assert_eq!(message.header_octets(), 36 * 20_000 + 2);
    }

    #[tokio::test]
    async fn pieces_are_read_in_order_across_memory_and_file() {
        let (store, _folder) = store(HUGE, HUGE);
        let octets = large();
        let message = collect(&store, &octets, 9999).await.unwrap();
        let content =
            ContentBuilder::new(message).new_octets(&b"Received: y\r\n"[..]).original_from(12).build();
        let mut expected = b"Received: y\r\n".to_vec();
        expected.extend_from_slice(&octets[12..]);
        assert!(read(&content).await == expected);
        let marked = content.prepended(&b"Delivered-To: z\r\n"[..]);
        assert!(read(&marked).await.starts_with(b"Delivered-To: z\r\nReceived: y\r\n\r\nline"));
    }

    #[tokio::test]
    async fn a_missing_spool_folder_refuses_and_does_not_panic() {
        let store = MessageStore::new(Path::new("/nonexistent/folder"), Budget::new(HUGE, HUGE));
        assert_eq!(collect(&store, &large(), 5000).await.unwrap_err().reply().code(), 451);
    }
}
