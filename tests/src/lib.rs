//! Helpers that start Postern and its real peers.
