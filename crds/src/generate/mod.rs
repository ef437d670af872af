//! The custom resource definitions and the reference manual, both from the Rust types.

mod definition;
mod reference;
mod structural;

pub use definition::{Definition, definitions};
pub use reference::reference;
pub use structural::lint;
