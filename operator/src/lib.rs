//! The control plane of Postern: from custom resources to the folder that pods mount.
//!
//! ```text
//! API server ──> world ──> plan ──> apply ──> API server ──> kubelet ──> pods
//!                  │                                                      │
//!                  ├──> webhook                              pods <── /status
//! ```
//!
//! All that is decided is decided in [`plan`], which talks to nobody. Every replica watches and reviews; the
//! one that holds the Lease writes.

mod api_error;
pub mod apply;
pub mod cli;
pub mod health;
mod json;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod plan;
pub mod pods;
pub mod reconcile;
pub mod run;
pub mod webhook;
pub mod world;
