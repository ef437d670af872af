//! Placeholder until this filter is built; policies that need it are refused.

use std::sync::Arc;

use postern_core::policy::filter::Milter;
use postern_core::verdict::Verdict;

use super::{Case, FilterError};

/// The milters of one session.
#[derive(Debug, Default)]
pub(super) struct Conversations;

impl Conversations {
    pub(super) async fn judge(
        &mut self,
        _milter: &Arc<Milter>,
        _case: &Case<'_>,
    ) -> Result<Verdict, FilterError> {
        Err(FilterError::Failed("not built".into()))
    }

    pub(super) async fn abort(&mut self) {}

    pub(super) async fn quit(self) {}
}
