//! A gate that traces.

use anyhow::{Context, Result};
use postern_tests::gate::Launch;
use postern_tests::site::Site;

/// A gate with these objects that sends its spans there.
pub(crate) fn traced(objects: &str, endpoint: &str, more: &[(&'static str, &str)]) -> Result<Site> {
    Site::launch(objects, &tracing(endpoint, more))
}

/// How a gate is started that sends its spans there.
pub(crate) fn tracing(endpoint: &str, more: &[(&'static str, &str)]) -> Launch<'static> {
    let mut environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("OTEL_SERVICE_NAME", "gate".to_owned()),
    ];
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let arguments = vec!["--log-format".into(), "json".into()];
    Launch { environment, arguments, ..Launch::default() }
}

/// The id at the end of a refusal.
pub(crate) fn id_of(refusal: &str) -> Result<&str> {
    let id = refusal.trim_end().rsplit_once("[id ").and_then(|(_, id)| id.strip_suffix(']'));
    id.with_context(|| format!("no id in {refusal}"))
}
