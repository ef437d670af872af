//! `postern serve`: from the first bind to the last transaction.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::admin::{Admin, AdminError};
use crate::cli::Serve;
use crate::drain::Times;
use crate::gate::Gate;
use crate::listener::Handler;
use crate::message::{Budget, MessageStore};
use crate::metrics::Metrics;
use crate::reload::{Reloader, Source, StartError};

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
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let admin = Admin::bind(options.admin).await?;
    let spool = options.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
    check_spool(&spool)?;
    tokio::select! {
        () = arrival(&source) => {}
        stop = signals.next() => {
            tracing::info!(signal = ?stop, "ended without a policy");
            return Ok(());
        }
    }
    // The budget follows from the policy, and is set when one is put in force.
    let messages = MessageStore::new(spool, Budget::new(0, 0));
    let metrics = Metrics::default();
    let reloader = Reloader::start(source, handler, messages, metrics).await?;
    let (gate, status) = (Arc::clone(reloader.gate()), Arc::clone(reloader.status()));
    let report = status.report();
    for socket in &report.listeners {
        tracing::info!(listener = %socket.name, address = %socket.address, "listening");
    }
    if let Some(attempt) = &report.last_reload {
        crate::reload::log_findings(&attempt.faults, &attempt.warnings);
    }
    tracing::info!(revision = %gate.snapshot().policy.revision, admin = %options.admin, "ready");
    tokio::spawn(admin.serve(Arc::clone(&gate), status));
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
    Ok(())
}

/// Waits until there is something to read.
async fn arrival(source: &impl Source) {
    if !source.has_arrived() {
        tracing::info!(folder = %source.folder().display(), "waiting for a policy");
    }
    while !source.has_arrived() {
        sleep(ARRIVAL_POLL).await;
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
