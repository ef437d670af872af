//! From a set of objects to a [`Policy`]: the only way there is, for folders and clusters alike.

mod context;
mod directory;
mod domain;
mod filters;
mod ldap;
mod listener;
mod lookup;
mod names;
mod network;
mod oidc;
mod relay;
mod route;
mod settings;
mod sieve;
mod stages;
mod throttle;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_core::policy::{Filters, Policy, Routes};

use crate::canonical;
use crate::fault::{self, Fault};
use crate::load::{Object, ObjectSet, read_folder};
pub use context::{Arm, Use};
use context::{Compiler, Report};
use names::Names;
use relay::World;

/// Where objects come from, which decides what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Files that somebody wrote. They are complete, so a reference to nothing is a fault; secrets may stand in
    /// the manifests, in the environment and in files.
    #[default]
    Folder,
    /// The API server, or a folder that the operator made from it. Objects arrive in any order, so a reference
    /// to nothing is a warning and yields no policy; secrets come from Secrets only.
    Cluster,
}

/// What the loader has to know beside the manifests.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where the manifests come from.
    pub origin: Origin,
    /// The folder of programs that pipes may run. Without one every MtaPipe is a fault.
    pub pipe_dir: Option<PathBuf>,
    /// The folder that relative paths of `file` secrets begin at; [`load_folder`] sets it.
    pub base: Option<PathBuf>,
}

/// What became of a set of objects.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The policy. Only when there is no fault, and nothing is missing that an object names.
    pub policy: Option<Policy>,
    /// Everything that is wrong, in the order of the files.
    pub faults: Vec<Fault>,
    /// What is allowed and may not be meant, in the same order.
    pub warnings: Vec<Fault>,
    /// Which object names which, sorted.
    pub uses: Vec<Use>,
    /// Every value of every field with conditions, in the order of compilation.
    pub arms: Vec<Arm>,
}

/// Reads a folder of manifests and compiles it.
///
/// # Errors
/// The folder cannot be listed. Everything else that can go wrong is a fault in the outcome.
pub fn load_folder(folder: &Path, options: &LoadOptions) -> io::Result<Outcome> {
    let (set, faults) = read_folder(folder)?;
    let options = LoadOptions { base: Some(folder.to_owned()), ..options.clone() };
    Ok(compile(&set, faults, &options))
}

/// Compiles a set of objects. `faults` are those that were found while it was read; with any of them there is
/// no policy, and the rest is checked all the same.
#[must_use]
pub fn compile(set: &ObjectSet, faults: Vec<Fault>, options: &LoadOptions) -> Outcome {
    let names = Names::of(set);
    let mut report = Report { faults, ..Report::default() };
    let policy = Compiler { set, names: &names, options, report: &mut report }.policy();
    fault::sort(&mut report.faults);
    fault::sort(&mut report.warnings);
    let sound = report.faults.is_empty() && !report.is_dangling;
    Outcome {
        policy: sound.then_some(policy),
        faults: report.faults,
        warnings: report.warnings,
        uses: report.uses.into_iter().collect(),
        arms: report.arms,
    }
}

impl Compiler<'_> {
    /// Every part. What is wrong is left out or at its default; the faults say that this is not to be run.
    fn policy(&mut self) -> Policy {
        let settings = self.settings();
        let routes = self.routes();
        let inbound = self.inbound_session();
        let connect = self.stage_connect();
        let ehlo = self.stage_ehlo();
        let auth = self.stage_auth();
        let mail = self.stage_mail();
        let rcpt = self.stage_rcpt();
        let data = self.stage_data();
        self.check_time_budget(&data, &routes);
        let listeners = self.listeners(&settings);
        let domains = self.domains();
        let lookups = self.lookups();
        let world = World { settings: &settings, domains: &domains, lookups: &lookups };
        self.check_open_relay(&listeners, &rcpt, &world);
        Policy {
            revision: self.revision(),
            extensions: self.extensions(),
            sender_auth: self.sender_auth(),
            throttles: self.throttles(),
            directories: self.directories(),
            filters: self.filters(),
            outbound: self.outbound_strategy(),
            listeners: listeners.into_iter().map(|(_, listener)| Arc::new(listener)).collect(),
            settings,
            inbound,
            connect,
            ehlo,
            auth,
            mail,
            rcpt,
            data,
            domains,
            lookups,
            routes: Routes::new(routes.into_iter().map(|(_, route)| route)),
        }
    }

    fn filters(&mut self) -> Filters {
        let interpreter = self.interpreter();
        Filters {
            milters: self.milters(),
            pipes: self.pipes(),
            hooks: self.hooks(),
            spam_filter: self.spam_filter(),
            greylist: self.greylist(),
            scripts: self.scripts(interpreter.no_capability_check),
            interpreter,
        }
    }

    fn revision(&mut self) -> Arc<str> {
        // An object that cannot be written cannot be read either, and was reported when it was.
        canonical::revision(self.set).unwrap_or_default().into()
    }
}

/// The object of a singleton; of several the first, the others are faults.
fn only<T>(objects: &[Object<T>]) -> Option<&Object<T>> {
    objects.first()
}
