//! A compiled policy: checked values, every field present, every reference resolved.
//!
//! Only the loader of `postern-crds` makes one from manifests. A `Policy` is the proof that they were
//! sound, and everything that runs reads it and nothing else.

pub mod defaults;
pub mod directory;
pub mod filter;
pub mod listener;
pub mod lookup;
pub mod route;
pub mod secret;
pub mod settings;
pub mod stage;
pub mod table;
pub mod throttle;

use std::sync::Arc;

pub use directory::{Directories, Domains};
pub use filter::Filters;
pub use listener::Listener;
pub use lookup::Lookups;
pub use route::{OutboundStrategy, Route, Routes};
pub use secret::Secret;
pub use settings::Settings;
pub use stage::{
    Extensions, InboundSession, SenderAuth, StageAuth, StageConnect, StageData, StageEhlo, StageMail,
    StageRcpt,
};
pub use throttle::Throttle;

use crate::smtp::address::Address;

/// One revision of the policy, ready to run.
///
/// The default value is what an empty folder means: every singleton at its documented default, no
/// listener, no domain, no route.
#[derive(Debug, Default)]
pub struct Policy {
    /// Identifies the set of manifests that this was compiled from: a hash of their canonical form.
    pub revision: Arc<str>,
    /// `MtaSettings`
    pub settings: Settings,
    /// `MtaInboundSession`
    pub inbound: InboundSession,
    /// `MtaStageConnect`
    pub connect: StageConnect,
    /// `MtaStageEhlo`
    pub ehlo: StageEhlo,
    /// `MtaStageAuth`
    pub auth: StageAuth,
    /// `MtaStageMail`
    pub mail: StageMail,
    /// `MtaStageRcpt`
    pub rcpt: StageRcpt,
    /// `MtaStageData`
    pub data: StageData,
    /// `MtaExtensions`
    pub extensions: Extensions,
    /// `MtaSenderAuth`
    pub sender_auth: SenderAuth,
    /// `MtaInboundThrottle`, in the order in which they are looked at.
    pub throttles: Vec<Throttle>,
    /// `MtaListener`
    pub listeners: Vec<Arc<Listener>>,
    /// `MtaDomain`
    pub domains: Domains,
    /// `MtaDirectory`
    pub directories: Directories,
    /// `MtaLookup`
    pub lookups: Lookups,
    /// Milters, scripts, pipes, hooks, the spam filter and the greylist.
    pub filters: Filters,
    /// `MtaRoute`
    pub routes: Routes,
    /// `MtaOutboundStrategy`
    pub outbound: OutboundStrategy,
}

impl Policy {
    /// Whether an address is a mailbox of ours; nothing when only a directory outside can tell.
    #[must_use]
    pub fn knows_mailbox(&self, address: &Address) -> Option<bool> {
        let Some(domain) = self.domains.get(address.key_domain()) else { return Some(false) };
        let mut all_inline = true;
        for directory in self.directories.of(domain) {
            match directory.inline() {
                Some(inline) if inline.get(address.key()).is_some() => return Some(true),
                Some(_) => {}
                None => all_inline = false,
            }
        }
        all_inline.then_some(false)
    }
}
