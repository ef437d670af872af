//! The data plane of Postern: listeners, connections, filters and the hand-off.

pub mod accepted;
pub mod admin;
pub mod auth;
pub mod capacity;
pub mod check;
pub mod cli;
pub mod connection;
mod dial;
pub mod directory;
pub mod dns;
mod doorstep;
pub mod drain;
pub mod filter;
pub mod folder;
pub mod gate;
pub mod geo;
pub mod handoff;
mod http;
pub mod listener;
pub mod message;
pub mod metrics;
pub mod policy_diff;
pub mod policy_test;
pub mod probe;
pub mod reload;
pub mod sender_auth;
pub mod serve;
pub mod simulate;
pub mod snapshot;
pub mod status;
pub mod store;
pub mod tls;
pub mod watched_files;

#[cfg(test)]
mod testing;
