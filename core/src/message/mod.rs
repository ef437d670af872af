//! The message: its header fields, and edits that keep untouched octets.

pub mod draft;
pub mod edit;
pub mod field;
pub mod fields;
pub mod header;
pub mod results;
mod rope;
