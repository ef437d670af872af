//! From files or cached objects to an [`ObjectSet`].

mod complete;
mod folder;
mod manifest;
mod object;
mod secrets;

pub use complete::{REVISION_FILE, digest, revision_file};
pub use folder::read_folder;
pub use manifest::{read_json, read_objects, read_yaml};
pub(crate) use object::Source;
pub use object::{Object, ObjectSet};
pub(crate) use secrets::SecretValue;
pub use secrets::{ConfigMap, SecretObject};
