//! Hosts and ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A server that mail is handed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HopAddressSpec {
    /// Host name or IP address.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// TCP port, 1 to 65535. Default 25.
    #[serde(default = "smtp_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

pub(crate) fn smtp_port() -> u16 {
    25
}
