//! Writing YAML. The only place that knows which crate does it.

use serde::Serialize;

/// Why a value cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot be written as YAML")]
pub struct WriteError(#[from] serde_yaml::Error);

/// A value as one YAML document.
///
/// # Errors
/// The value refuses to be serialised.
pub fn to_yaml(value: &impl Serialize) -> Result<String, WriteError> {
    Ok(serde_yaml::to_string(value)?)
}
