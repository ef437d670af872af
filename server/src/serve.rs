//! `postern serve`: from the first bind to the last transaction.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use postern_trace::Tracer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::admin::{Admin, AdminError};
use crate::cli::Serve;
use crate::doorstep::Doorstep;
use crate::drain::Times;
use crate::gate::Gate;
use crate::listener::Handler;
use crate::message::{Budget, MessageStore};
use crate::metrics::Metrics;
use crate::reload::{Reloader, Source, StartError};
use crate::status::Status;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The folder, or what is in it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The folder for large messages.
    #[error("spool folder {}: {cause}", folder.display())]
    Spool {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Signals cannot be waited for.
    #[error("signals: {0}")]
    Signals(io::Error),
}

/// Runs until a signal ends it and the last session has gone.
///
/// # Errors
/// Only before the first connection is accepted.
pub async fn serve<S: Source, H: Handler>(options: &Serve, source: S, handler: H) -> Result<(), ServeError> {
    raise_descriptor_limit();
    decline_huge_pages();
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let (tracer, tracing) = Tracer::from_env("postern", env!("CARGO_PKG_VERSION"));
    let admin = Admin::bind(options.admin).await?;
    let spool = options.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
    check_spool(&spool)?;
    let (visible, status) = (Arc::new(OnceLock::new()), Arc::<Status>::default());
    tokio::spawn(admin.serve(Arc::clone(&visible), Arc::clone(&status)));
    let beginning =
        Beginning { source: Arc::new(source), handler, spool, tracer, status: Arc::clone(&status) };
    let reloader = tokio::select! {
        reloader = beginning.first_policy(&options.wait_at) => reloader?,
        stop = signals.next() => {
            tracing::info!(signal = ?stop, "ended without a policy");
            return Ok(());
        }
    };
    let gate = Arc::clone(visible.get_or_init(|| Arc::clone(reloader.gate())));
    let report = status.report();
    for socket in &report.listeners {
        tracing::info!(listener = %socket.name, address = %socket.address, "listening");
    }
    if let Some(attempt) = &report.last_reload {
        crate::reload::log_findings(&attempt.faults, &attempt.warnings);
    }
    tracing::info!(revision = %gate.snapshot().policy.revision, admin = %options.admin, "ready");
    tokio::spawn(forget_old_counters(Arc::clone(&gate)));
    let reloading = tokio::spawn(reloader.run());

    let stop = signals.next().await;
    let times = match stop {
        Stop::Terminate => Times { delay: options.drain_delay, timeout: options.drain_timeout },
        Stop::Interrupt => Times { delay: Duration::ZERO, timeout: options.drain_timeout },
    };
    tracing::info!(signal = ?stop, sessions = gate.capacity.open(), "ending");
    let sessions_gone = async {
        match reloading.await {
            Ok(connections) => connections.wait().await,
            Err(error) => tracing::error!(%error, "the reload broke"),
        }
    };
    let again = async {
        signals.next().await;
    };
    match gate.drain.run(times, sessions_gone, again).await {
        0 => tracing::info!("ended"),
        transactions => {
            tracing::warn!(transactions, "ended with transactions cut off; their clients keep the mail")
        }
    }
    if let Some(tracing) = tracing {
        tracing.end().await;
    }
    Ok(())
}

/// What the first policy is made with.
struct Beginning<S, H> {
    source: Arc<S>,
    handler: H,
    spool: PathBuf,
    tracer: Tracer,
    status: Arc<Status>,
}

impl<S: Source, H: Handler> Beginning<S, H> {
    /// Puts the first policy in force. With addresses to wait at, one that cannot be is reported, and the next is
    /// waited for.
    async fn first_policy(&self, wait_at: &[SocketAddr]) -> Result<Reloader<S, H>, StartError> {
        if !self.source.has_arrived() {
            tracing::info!(folder = %self.source.folder().display(), "waiting for a policy");
            let doorstep = Doorstep::open(wait_at).await;
            while !self.source.has_arrived() {
                sleep(ARRIVAL_POLL).await;
            }
            doorstep.close().await;
        }
        let mut said = None;
        loop {
            let error = match self.attempt().await {
                Err(error) if !wait_at.is_empty() => error,
                done => return done,
            };
            let (faults, warnings) = error.into_faults();
            if said.as_ref() != Some(&faults) {
                crate::reload::log_findings(&faults, &warnings);
                tracing::error!(
                    faults = faults.len(),
                    "the policy cannot be put in force; waiting for another"
                );
                said = Some(faults.clone());
            }
            self.status.refused(Timestamp::now(), faults, warnings);
            let doorstep = Doorstep::open(wait_at).await;
            crate::reload::another_chance(&self.source).await;
            // The next attempt may want to bind the same addresses.
            doorstep.close().await;
        }
    }

    async fn attempt(&self) -> Result<Reloader<S, H>, StartError> {
        // The budget follows from the policy, and is set when one is put in force.
        let messages = MessageStore::new(self.spool.clone(), Budget::new(0, 0));
        let metrics = Metrics::new(self.tracer.clone());
        let (source, status) = (Arc::clone(&self.source), Arc::clone(&self.status));
        Reloader::start(source, self.handler.clone(), messages, metrics, status).await
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

#[derive(Debug, Clone, Copy)]
enum Stop {
    /// SIGTERM: from the cluster, which needs time to look elsewhere.
    Terminate,
    /// SIGINT: from a person at a terminal.
    Interrupt,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// A folder that cannot be written would only show at the first large message.
fn check_spool(folder: &Path) -> Result<(), ServeError> {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(cause) => Err(ServeError::Spool { folder: folder.to_owned(), cause }),
    }
}

/// Every session is a descriptor, and the usual soft limit of 1024 is far below what one pod holds.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = ?limit.current, "the limit of open files could not be raised");
    }
}

/// The allocator asks for huge pages, and one of them stays resident for as long as anything within it is in use: under
/// mixed load a gate grew in steps to twice its size. In a pod memory is what ends the process; without huge
/// pages a message costs some 4 % more processor time.
fn decline_huge_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "memory may come in huge pages");
    }
}

async fn forget_old_counters(gate: Arc<Gate>) {
    let mut ticks = interval(COUNTERS_KEPT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        gate.store.purge(Timestamp::now());
    }
}

/// How often a folder is looked at that has not arrived.
const ARRIVAL_POLL: Duration = Duration::from_millis(200);
const COUNTERS_KEPT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap().path().join("nowhere");
        let error = check_spool(&folder).unwrap_err();
        assert!(error.to_string().starts_with(&format!("spool folder {}: ", folder.display())));
    }
}
