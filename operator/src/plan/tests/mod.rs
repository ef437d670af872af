//! Plans for small clusters.

mod cluster;
mod forms;
mod mounting;
mod review;
mod statuses;

pub(super) use cluster::Cluster;
