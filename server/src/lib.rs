//! The data plane of Postern.

pub mod message;
