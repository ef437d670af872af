//! The folder of manifests: loaded at the start, watched, and put in force again when it changes.
//!
//! One attempt is: wait until the folder is at rest, load it, make TLS, bind what is new, and only then
//! replace the policy in one step. Whatever goes wrong before that step changes nothing but the report.

mod fingerprint;
mod reading;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher};
use postern_core::policy::Policy;
use postern_crds::{Fault, FaultClass, ObjectRef};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use self::fingerprint::Fingerprint;
pub(crate) use self::fingerprint::Stamp;
use self::reading::{fingerprint, read};
use crate::capacity::Capacity;
use crate::gate::Gate;
use crate::geo::Geo;
use crate::listener::{BindError, Handler, Listeners, Prepared};
use crate::message::MessageStore;
use crate::metrics::{Metrics, ReloadOutcome};
use crate::snapshot::{ListenerFault, Snapshot};
use crate::status::{ObjectInForce, Status};
use crate::tls::TlsContext;

/// What came of reading manifests.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The policy, unless there are faults.
    pub policy: Option<Policy>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    /// What is worth a look and no reason to refuse.
    pub warnings: Vec<Fault>,
    /// Networks of clients, from the files that the policy names.
    pub geo: Geo,
    /// The objects it was made from.
    pub objects: Vec<ObjectInForce>,
    /// Files outside of the folder that manifests refer to.
    pub files: Vec<PathBuf>,
}

/// Where policies come from.
pub trait Source: Send + Sync + 'static {
    /// The folder to watch.
    fn folder(&self) -> &Path;

    /// Whether there is something to read yet; until then a start waits.
    fn has_arrived(&self) -> bool {
        true
    }

    /// Whether reading it shows by itself that it is whole, so that nobody has to wait until nobody writes.
    fn is_sealed(&self) -> bool {
        false
    }

    /// Reads it and makes a policy of it.
    ///
    /// # Errors
    /// When the folder itself cannot be read, or is not complete yet (`WouldBlock`).
    fn load(&self) -> io::Result<Loaded>;
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be read.
    #[error("{}: {cause}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The system lacks what TLS needs.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// The policy has faults.
    #[error("the policy in {} cannot be put in force", folder.display())]
    Faults {
        /// The folder.
        folder: PathBuf,
        /// All of them.
        faults: Vec<Fault>,
        /// What is worth a look besides.
        warnings: Vec<Fault>,
    },
}

/// Keeps the policy in force equal to the folder.
pub struct Reloader<S, H> {
    source: Arc<S>,
    tls: TlsContext,
    listeners: Listeners<H>,
    gate: Arc<Gate>,
    status: Arc<Status>,
    files: Vec<PathBuf>,
    seen: Option<Fingerprint>,
    retry_at: Option<Instant>,
    incomplete_since: Option<Instant>,
}

impl<S: Source, H: Handler> Reloader<S, H> {
    /// Loads the folder for the first time, puts its policy in force, and begins to accept. What comes of this attempt
    /// and of later ones goes to `status`.
    ///
    /// # Errors
    /// When there is no policy to put in force. Nothing is accepted then.
    pub async fn start(
        source: Arc<S>,
        handler: H,
        messages: MessageStore,
        metrics: Metrics,
        status: Arc<Status>,
    ) -> Result<Self, StartError> {
        let tls = TlsContext::new().map_err(StartError::Tls)?;
        let (print, loaded) = read(&source, &[]).await.map_err(|cause| unreadable(&*source, cause))?;
        let capacity = Capacity::default();
        let files = loaded.files.clone();
        let mut listeners = Listeners::new(handler);
        let (candidate, prepared) = prepare(loaded, &tls, &capacity, &listeners).map_err(|refusal| {
            let Refusal { faults, warnings, transient: _ } = refusal;
            StartError::Faults { folder: source.folder().to_owned(), faults, warnings }
        })?;
        let Candidate { snapshot, objects, warnings } = candidate;
        let gate = Arc::new(Gate::new(snapshot, capacity, metrics, messages));
        listeners.commit(prepared, &gate);
        status.applied(Timestamp::now(), objects, listeners.bound(&gate.snapshot().policy), warnings);
        let seen = files.is_empty().then_some(print);
        Ok(Self { source, tls, listeners, gate, status, files, seen, retry_at: None, incomplete_since: None })
    }

    /// What connections share.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The state of the policy.
    #[must_use]
    pub const fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Follows the folder until the listeners are to be closed, and closes them.
    ///
    /// The returned tracker's `wait` ends with the last connection.
    pub async fn run(mut self) -> TaskTracker {
        let gate = Arc::clone(&self.gate);
        tokio::select! {
            biased;
            () = gate.drain.closing() => {}
            () = self.follow() => {}
        }
        self.listeners.close()
    }

    async fn follow(&mut self) {
        let changed = Arc::new(Notify::new());
        let _watcher = watch(self.source.folder(), Arc::clone(&changed));
        loop {
            // An event makes it quick; looking from time to time makes it certain.
            let _ = timeout(POLL, changed.notified()).await;
            self.look().await;
        }
    }

    /// One look at the folder, and an attempt when it has changed.
    async fn look(&mut self) {
        if self.retry_at.is_some_and(|retry_at| retry_at <= Instant::now()) {
            (self.retry_at, self.seen) = (None, None);
        }
        match fingerprint(&self.source, &self.files).await {
            Ok(now) if self.seen.as_ref() == Some(&now) => {}
            Ok(_) => self.attempt().await,
            Err(cause) => self.folder_is_gone(&cause),
        }
    }

    async fn attempt(&mut self) {
        match read(&self.source, &self.files).await {
            Ok((print, loaded)) => {
                // Files that were not looked at before are looked at once more.
                self.seen = (self.files == loaded.files).then_some(print);
                self.files.clone_from(&loaded.files);
                self.incomplete_since = None;
                self.apply(loaded);
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => self.wait_for_the_rest(&cause),
            Err(cause) => self.folder_is_gone(&cause),
        }
    }

    fn apply(&mut self, loaded: Loaded) {
        let outcome = prepare(loaded, &self.tls, &self.gate.capacity, &self.listeners);
        match outcome {
            Ok((Candidate { snapshot, objects, warnings }, prepared)) => {
                self.retry_at = None;
                self.gate.replace(snapshot);
                self.listeners.commit(prepared, &self.gate);
                self.gate.metrics.reloaded(ReloadOutcome::Applied);
                let policy = &self.gate.snapshot().policy;
                log_findings(&[], &warnings);
                tracing::info!(revision = %policy.revision, objects = objects.len(), "policy in force");
                self.status.applied(Timestamp::now(), objects, self.listeners.bound(policy), warnings);
            }
            Err(refusal) => self.refused(refusal),
        }
    }

    fn refused(&mut self, refusal: Refusal) {
        self.gate.metrics.reloaded(ReloadOutcome::Faulty);
        log_findings(&refusal.faults, &refusal.warnings);
        tracing::error!(
            faults = refusal.faults.len(),
            "the changed policy has faults; the one in force stays"
        );
        self.retry_at = refusal.transient.then(|| Instant::now() + RETRY);
        self.status.refused(Timestamp::now(), refusal.faults, refusal.warnings);
    }

    /// Parts of the set are still on their way, which is no fault unless it lasts.
    fn wait_for_the_rest(&mut self, cause: &io::Error) {
        self.seen = None;
        let since = *self.incomplete_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= RETRY {
            self.folder_is_gone(cause);
        }
    }

    /// The folder cannot be listed; said at once, and then every [`RETRY`].
    fn folder_is_gone(&mut self, cause: &io::Error) {
        if self.seen.take().is_some() || self.retry_at.is_none() {
            let fault = fault(None, String::new(), format!("{}: {cause}", self.source.folder().display()));
            self.refused(Refusal { faults: vec![fault], warnings: Vec::new(), transient: true });
        }
    }
}

impl StartError {
    /// What there is to say about it on the admin port.
    pub(crate) fn into_faults(self) -> (Vec<Fault>, Vec<Fault>) {
        match self {
            Self::Faults { faults, warnings, .. } => (faults, warnings),
            other => (vec![fault(None, String::new(), other.to_string())], Vec::new()),
        }
    }
}

/// Waits until the folder is another one than now, or what the system refused may be granted.
pub(crate) async fn another_chance<S: Source>(source: &Arc<S>) {
    let before = fingerprint(source, &[]).await.ok();
    let end = Instant::now() + RETRY;
    while Instant::now() < end && fingerprint(source, &[]).await.ok() == before {
        sleep(POLL).await;
    }
}

/// A policy that could be put in force, if its sockets can be bound.
pub(crate) struct Candidate {
    pub(crate) snapshot: Snapshot,
    pub(crate) objects: Vec<ObjectInForce>,
    pub(crate) warnings: Vec<Fault>,
}

/// Why a policy is not put in force.
pub(crate) struct Refusal {
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
    /// It may pass without a change to the folder.
    transient: bool,
}

impl Candidate {
    /// Makes what connections need; a fault of TLS is a fault of the policy.
    pub(crate) fn new(loaded: Loaded, tls: &TlsContext, capacity: &Capacity) -> Result<Self, Refusal> {
        let Loaded { policy, mut faults, mut warnings, geo, objects, files: _ } = loaded;
        let compiled = policy.map(|policy| Snapshot::compile(policy, tls, capacity));
        let snapshot = match compiled {
            Some(Ok(snapshot)) if faults.is_empty() => Some(snapshot),
            Some(Ok(_)) | None => None,
            Some(Err(errors)) => {
                faults.extend(errors.iter().map(tls_fault));
                None
            }
        };
        let Some(snapshot) = snapshot else {
            return Err(Refusal { faults, warnings, transient: false });
        };
        warnings.extend(expired(&snapshot, Timestamp::now()));
        Ok(Self { snapshot: snapshot.with_geo(geo), objects, warnings })
    }

    /// A policy may be sound without a listener, as a part of a larger one; a server cannot run on it.
    pub(crate) fn nobody_listens(&self) -> Option<Fault> {
        let message = "there is no MtaListener, so nobody could connect";
        self.snapshot.policy.listeners.is_empty().then(|| fault(None, String::new(), message.to_owned()))
    }
}

/// Everything that can go wrong, before anything changes.
fn prepare<H: Handler>(
    loaded: Loaded,
    tls: &TlsContext,
    capacity: &Capacity,
    listeners: &Listeners<H>,
) -> Result<(Candidate, Prepared), Refusal> {
    let candidate = Candidate::new(loaded, tls, capacity)?;
    if let Some(fault) = candidate.nobody_listens() {
        return Err(Refusal { faults: vec![fault], warnings: candidate.warnings, transient: false });
    }
    match listeners.prepare(&candidate.snapshot.policy) {
        Ok(prepared) => Ok((candidate, prepared)),
        Err(errors) => Err(Refusal {
            faults: errors.iter().map(bind_fault).collect(),
            warnings: candidate.warnings,
            transient: true,
        }),
    }
}

/// Writes faults and warnings to the log, one line each.
pub(crate) fn log_findings(faults: &[Fault], warnings: &[Fault]) {
    for fault in faults {
        tracing::error!("{fault}");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn expired(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = Fault> {
    let expired = snapshot.certificates().iter().filter(move |facts| facts.not_after <= now.as_second());
    expired.map(|facts| {
        let secret = ObjectRef { kind: "Secret".into(), name: Arc::clone(&facts.source) };
        fault(Some(secret), "data[tls.crt]".to_owned(), "the certificate has expired".to_owned())
    })
}

fn tls_fault(error: &ListenerFault) -> Fault {
    let message = crate::snapshot::chain(&error.fault);
    fault(Some(of_listener(&error.listener)), "spec.tls".to_owned(), message)
}

fn bind_fault(error: &BindError) -> Fault {
    fault(Some(of_listener(&error.listener)), "spec.bind".to_owned(), error.problem())
}

fn of_listener(name: &Arc<str>) -> ObjectRef {
    ObjectRef { kind: "MtaListener".into(), name: Arc::clone(name) }
}

fn fault(object: Option<ObjectRef>, path: String, message: String) -> Fault {
    Fault {
        class: FaultClass::Own,
        object,
        path,
        file: None,
        line: None,
        column: None,
        message,
        suggestion: None,
        position_in_source: None,
    }
}

fn unreadable(source: &impl Source, cause: io::Error) -> StartError {
    StartError::Folder { folder: source.folder().to_owned(), cause }
}

/// Watches the folder for as long as the returned watcher lives. Without it there is still the poll.
fn watch(folder: &Path, changed: Arc<Notify>) -> Option<impl Watcher + use<>> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too, and must not wake us up again.
        let only_read = matches!(&event, Ok(event) if is_reading(event.kind));
        if !only_read {
            changed.notify_one();
        }
    });
    let watched = watcher.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watched.inspect_err(|error| tracing::warn!(%error, "changes of the folder are only seen by polling")).ok()
}

fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// How often the folder is looked at without an event.
const POLL: Duration = Duration::from_millis(500);
/// When an address could not be bound, or the folder was gone.
const RETRY: Duration = Duration::from_secs(5);
