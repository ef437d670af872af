//! The message: its header fields, and edits that keep untouched bytes.

pub mod edit;
