//! Reads the folder of manifests when it is at rest.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::fingerprint::Fingerprint;
use super::{Loaded, Source};

/// Reads the folder, and again until nothing changed meanwhile: half of one version and half of the next
/// may well compile, and mean something that nobody wrote.
pub(super) async fn read<S: Source>(source: &Arc<S>, files: &[PathBuf]) -> io::Result<(Fingerprint, Loaded)> {
    loop {
        let before = if source.is_sealed() {
            fingerprint(source, files).await?
        } else {
            at_rest(source, files).await?
        };
        let loaded = load(source).await?;
        if fingerprint(source, files).await? == before {
            return Ok((before, loaded));
        }
    }
}

/// The print of the folder once it is the same for [`REST`].
async fn at_rest<S: Source>(source: &Arc<S>, files: &[PathBuf]) -> io::Result<Fingerprint> {
    let mut last = fingerprint(source, files).await?;
    loop {
        sleep(REST).await;
        let now = fingerprint(source, files).await?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

pub(super) async fn fingerprint<S: Source>(source: &Arc<S>, files: &[PathBuf]) -> io::Result<Fingerprint> {
    let (source, files) = (Arc::clone(source), files.to_owned());
    spawn_blocking(move || Fingerprint::of(source.folder(), &files)).await.map_err(io::Error::other)?
}

/// On a thread of its own, which ends with it. A policy is freed by whoever uses it last, and the allocator, with a heap for
/// each thread, has the memory back only when the thread that made it allocates again or is gone. Threads that wait for
/// work of another sort do neither, so each of them would keep a policy that is long past.
async fn load<S: Source>(source: &Arc<S>) -> io::Result<Loaded> {
    let source = Arc::clone(source);
    let (tell, told) = oneshot::channel();
    thread::Builder::new().name("policy".to_owned()).spawn(move || {
        // At the end of the process nobody waits for it.
        let _ = tell.send(source.load());
    })?;
    told.await.map_err(io::Error::other)?
}

/// How long nothing may change before the folder is read.
const REST: Duration = Duration::from_millis(100);
