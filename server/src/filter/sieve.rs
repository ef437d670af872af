//! Placeholder until this filter is built; policies that need it are refused.

use postern_core::session::consult::ScriptCall;
use postern_core::verdict::Verdict;

use super::{Case, FilterError};

pub(super) async fn judge(_call: &ScriptCall, _case: &Case<'_>) -> Result<Verdict, FilterError> {
    Err(FilterError::Failed("not built".into()))
}
