//! Plans for small clusters.

mod cluster;
mod forms;
mod mounting;
mod statuses;

pub(super) use cluster::Cluster;
