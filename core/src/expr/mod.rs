//! The expression language of policy fields.
