//! The data plane of Postern.
