//! The kinds of Postern, and the way from a set of manifests to a compiled policy.

mod fault;
pub mod kinds;
mod load;
mod node;
mod suggest;
pub mod value;

pub use fault::{Fault, FaultClass, ObjectRef};
pub use load::*;
