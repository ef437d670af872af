//! What milters, hooks, pipes and the spam filter have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{SetOf, TimeSpan};

/// Whether a verdict counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Mode {
    /// It counts.
    #[default]
    Enforce,
    /// It is reported.
    Observe,
}

/// A stage of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StageName {
    /// After the accept.
    Connect,
    /// After EHLO.
    Ehlo,
    /// After AUTH.
    Auth,
    /// After MAIL.
    Mail,
    /// After RCPT.
    Rcpt,
    /// After the end of data.
    Data,
}

pub(crate) fn data_only() -> SetOf<StageName> {
    std::iter::once(StageName::Data).collect()
}

/// A filter that fails is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerSpec {
    /// Failures in a row after which it is left alone, 1 to 1000. Default 5.
    #[schemars(range(min = 1, max = 1000))]
    pub failures: u32,
    /// How long it is left alone; its failure rule applies meanwhile. Default `10s`.
    pub cooldown: TimeSpan,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self { failures: 5, cooldown: TimeSpan::seconds(10) }
    }
}
