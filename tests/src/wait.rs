//! Waiting for another process: polled, with a limit, and with a sentence for the case that it never comes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a test waits for anything that should take well under a second.
///
/// Generous, because the machine may be building something else; it is only ever reached by a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `look` until it finds something, every 5 ms.
///
/// # Errors
/// When `within` has passed (the error names `what`), or as soon as `look` itself fails.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {within:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
