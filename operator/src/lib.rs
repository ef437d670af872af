//! The control plane of Postern: from custom resources to the folder that pods mount.

pub mod plan;
