//! The message: its header fields, and edits that keep untouched octets.

pub mod authentication_results;
pub mod checks;
pub mod draft;
pub mod edit;
pub mod field;
pub mod fields;
pub mod header;

mod rope;
