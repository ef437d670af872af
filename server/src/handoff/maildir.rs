//! `MtaRoute` of type `Maildir`: a file for each recipient, on the disk before the client hears 250.
//!
//! The message is written to `tmp`, synced, renamed into `new`, and the folder is synced. So a reader
//! sees whole messages only, and a crash at any moment leaves either a message or at most a file in
//! `tmp`. Everything here blocks and runs on a blocking thread.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use postern_core::handoff::Outcome;
use postern_core::policy::route::Maildir;
use postern_core::smtp::address::Address;
use postern_core::smtp::reply::{EnhancedCode, Reply};

use super::maildir_path::{UnusableAddress, folder};
use crate::message::Content;

/// A message on the disk that no reader sees yet. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Written {
    temporary: Option<PathBuf>,
    folder: PathBuf,
    name: String,
}

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaildirError {
    #[error(transparent)]
    Address(#[from] UnusableAddress),
    #[error("the file could not be written")]
    File(#[from] io::Error),
}

impl MaildirError {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Address(_) => Outcome::Refused(UNUSABLE),
            Self::File(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Outcome::Deferred(FULL)
                }
                _ => Outcome::Deferred(FAILED),
            },
        }
    }
}

/// Whether a recipient has a folder at all.
pub(super) fn check(maildir: &Maildir, recipient: &Address) -> Result<(), MaildirError> {
    Ok(folder(maildir, recipient).map(drop)?)
}

/// Writes a recipient's copy and syncs it.
///
/// # Errors
///
/// A [`MaildirError`]; nothing is left behind then.
pub(super) fn write(
    maildir: &Maildir,
    recipient: &Address,
    content: &Content,
    hostname: &str,
) -> Result<Written, MaildirError> {
    let folder = folder(maildir, recipient)?;
    for part in ["tmp", "new", "cur"] {
        create_folder(&folder.join(part))?;
    }
    let name = unique_name(hostname)?;
    let path = folder.join("tmp").join(&name);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    // From here on, whatever goes wrong, the file goes away.
    let written = Written { temporary: Some(path), folder, name };
    let mut out = BufWriter::with_capacity(WRITE_OCTETS, file);
    copy(content, &mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(written)
}

impl Written {
    /// Lets readers see the message; once this has returned it survives a crash.
    ///
    /// # Errors
    ///
    /// When it would not; the message is gone then.
    pub(super) fn publish(mut self) -> Result<(), MaildirError> {
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        let new = self.folder.join("new");
        let published = new.join(&self.name);
        if let Err(error) = fs::rename(&temporary, &published) {
            self.temporary = Some(temporary);
            return Err(error.into());
        }
        if let Err(error) = sync_folder(&new) {
            // The client will send it again, so this copy must not stay.
            remove(&published);
            return Err(error.into());
        }
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            remove(temporary);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a file could not be removed");
    }
}

/// Creates a folder and those above it that are missing, each synced into the one above.
fn create_folder(path: &Path) -> io::Result<()> {
    // Most mail goes to folders that are there; one call then is enough.
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_above(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.parent().ok_or(error)?;
            create_folder(above)?;
            match DirBuilder::new().mode(0o700).create(path) {
                // Somebody else was quicker.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                created => created.and_then(|()| sync_above(path)),
            }
        }
        Err(error) => Err(error),
    }
}

fn sync_above(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(above) => sync_folder(above),
        None => Ok(()),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes the message with the line ends of this system, as readers of Maildir expect; one that is not
/// made of lines is written as it is.
fn copy(content: &Content, out: &mut impl Write) -> io::Result<()> {
    let as_lines = content.survey().is_whole_lines_of_crlf() && !content.survey().nul;
    let mut blocks = content.blocks_now();
    let mut after_cr = false;
    while let Some(block) = blocks.next_block()? {
        if !as_lines {
            out.write_all(block)?;
            continue;
        }
        // Every CR is followed by an LF, perhaps in the next block; so leaving out each CR will do.
        for run in block.split(|octet| *octet == b'\r') {
            out.write_all(run)?;
        }
        after_cr = block.ends_with(b"\r");
    }
    debug_assert!(!after_cr, "a survey that says whole lines ends none with CR");
    out.flush()
}

/// A name that no other delivery has, on this host or on one that shares the folder.
fn unique_name(hostname: &str) -> io::Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 8];
    // Pods that share a volume may share name and process id too; chance tells them apart.
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let host: String = hostname
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .take(MAX_HOST_OCTETS)
        .collect();
    Ok(format!(
        "{}.M{}P{}Q{}R{:016x}.{host}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed),
        u64::from_ne_bytes(random),
    ))
}

const WRITE_OCTETS: usize = 64 * 1024;

/// So much of the host's name leaves room for the rest in a file name.
const MAX_HOST_OCTETS: usize = 100;

const UNUSABLE: Reply =
    Reply::new(550, EnhancedCode(5, 1, 3), "The recipient's address does not make a mailbox here");
const FULL: Reply = Reply::new(451, EnhancedCode(4, 3, 1), "Mailbox storage is full, try again later");
const FAILED: Reply = Reply::new(451, EnhancedCode(4, 3, 0), "Mailbox could not be written, try again later");
