//! Temporary files without a name, written and read in large blocks off the async threads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

/// Octets that one visit to a blocking thread writes or reads.
///
/// A visit costs some 10 us; at this size that is lost beside the copy, and a transfer in hand takes no
/// more memory than this.
pub(crate) const BLOCK_OCTETS: usize = 256 * 1024;

/// A file that nobody else can see and that is gone when its last user is.
///
/// Page cache makes most accesses quick, but a write is throttled by the kernel when too much is dirty
/// and a read waits for the disk when memory is short; neither may hold up the other connections of an
/// async thread, so every access goes through a blocking thread.
#[derive(Debug, Clone)]
pub(crate) struct SpoolFile {
    file: Arc<File>,
}

impl SpoolFile {
    /// Creates an empty file in `folder`.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::StorageFull`] when the disk is full.
    pub(crate) async fn create(folder: Arc<Path>) -> io::Result<Self> {
        let file = off_thread(move || tempfile::tempfile_in(folder)).await?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Writes a block at an offset, looks at it with `inspect` while it is warm, and hands it back empty
    /// for the next use.
    pub(crate) async fn write_at<T: Send + 'static>(
        &self,
        offset: u64,
        mut block: Vec<u8>,
        inspect: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> io::Result<(Vec<u8>, T)> {
        let file = Arc::clone(&self.file);
        off_thread(move || {
            file.write_all_at(&block, offset)?;
            let seen = inspect(&block);
            block.clear();
            Ok((block, seen))
        })
        .await
    }

    /// Reads a range of at most [`BLOCK_OCTETS`] into `block`, whose room is used again.
    pub(crate) async fn read(&self, range: Range<u64>, mut block: Vec<u8>) -> io::Result<Vec<u8>> {
        let spool = self.clone();
        off_thread(move || spool.read_now(range, &mut block).map(|()| block)).await
    }

    /// As [`SpoolFile::read`], for callers that are on a blocking thread already.
    pub(crate) fn read_now(&self, range: Range<u64>, block: &mut Vec<u8>) -> io::Result<()> {
        let octets = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        block.resize(octets, 0);
        self.file.read_exact_at(block, range.start)
    }
}

/// Runs file work on tokio's blocking threads.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A join error is a panic of the work, or the runtime going down; for the caller the storage failed.
    spawn_blocking(work).await.map_err(io::Error::other)?
}
