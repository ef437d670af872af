//! The kinds of Postern, and the way from a set of manifests to a compiled policy.
//!
//! ```text
//! files ─┐                        ┌─ faults, each with object, path and position
//!        ├─> ObjectSet ─> compile ┤
//! API  ──┘                        └─ core::policy::Policy
//! ```
//!
//! [`load_folder`] goes the whole way. [`read_objects`] and [`compile`] are the same for objects of a cluster.

mod canonical;
mod compile;
mod fault;
#[cfg(feature = "kube")]
pub mod generate;
pub mod kinds;
mod load;
mod node;
mod policy_test;
pub mod sieve;
mod suggest;
pub mod value;
mod yaml_out;

pub use canonical::{CanonicalError, Manifest, canonical, revision};
pub use compile::{Arm, LoadOptions, Origin, Outcome, Use, compile, load_folder};
pub use fault::{Fault, FaultClass, ObjectRef};
pub use load::{
    ConfigMap, Object, ObjectSet, REVISION_FILE, SecretObject, digest, read_folder, read_json, read_objects,
    read_yaml, revision_file,
};
pub use policy_test::schema as policy_test_schema;
pub use yaml_out::{WriteError, to_yaml};
