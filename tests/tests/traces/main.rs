//! Every message is a trace: the built gate beside a real Jaeger, and beside collectors that are none.

mod attributes;
mod bench;
mod collectors;
mod logs;
mod tree;
