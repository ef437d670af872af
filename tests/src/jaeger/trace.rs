//! A trace as Jaeger tells it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// All spans of one trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// In the order of their beginnings.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its id.
    pub id: String,
    /// The span that it is a part of, in the same trace.
    pub parent: Option<String>,
    /// Ids of other traces that it is linked to.
    pub links: Vec<String>,
    /// Name of the step.
    pub name: String,
    /// `service.name` of who has made it.
    pub service: String,
    /// When it began, microseconds since the epoch.
    pub began: u64,
    /// How long it took, microseconds.
    pub took: u64,
    /// Attributes, numbers as text.
    pub tags: BTreeMap<String, String>,
}

impl Trace {
    pub(super) fn read(answer: &Value) -> Result<Self> {
        let trace = answer.pointer("/data/0").context("no trace")?;
        let spans = trace.get("spans").and_then(Value::as_array).context("no spans")?;
        let mut spans: Vec<Span> = spans.iter().map(|span| Span::read(span, trace)).collect::<Result<_>>()?;
        spans.sort_by_key(|span| (span.began, std::cmp::Reverse(span.took)));
        Ok(Self { spans })
    }

    /// Whether every span but one has its parent here.
    pub fn is_connected(&self) -> bool {
        let has = |id: &String| self.spans.iter().any(|span| span.id == *id);
        self.spans.iter().filter(|span| !span.parent.as_ref().is_some_and(has)).count() == 1
    }

    /// The spans of a name, in order.
    pub fn named<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Span> + use<'a, 'n> {
        self.spans.iter().filter(move |span| span.name == name)
    }

    /// The one span of a name.
    ///
    /// # Errors
    /// When there is another number of them.
    pub fn one(&self, name: &str) -> Result<&Span> {
        let mut all = self.named(name);
        let first = all.next().with_context(|| format!("no {name} in\n{}", self.outline()))?;
        ensure!(all.next().is_none(), "more than one {name} in\n{}", self.outline());
        Ok(first)
    }

    /// Name of a span's parent; empty for the first.
    pub fn parent_of(&self, span: &Span) -> &str {
        let parent = self.spans.iter().find(|other| Some(&other.id) == span.parent.as_ref());
        parent.map_or("", |parent| &parent.name)
    }

    /// The tree of names, two blanks for each level.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        self.write_below(None, 0, &mut out);
        out
    }

    fn write_below(&self, parent: Option<&Span>, level: usize, out: &mut String) {
        for span in &self.spans {
            let known = self.spans.iter().find(|other| Some(&other.id) == span.parent.as_ref());
            if known.map(|known| &known.id) == parent.map(|parent| &parent.id) {
                let _ = writeln!(out, "{}{}", "  ".repeat(level), span.name);
                self.write_below(Some(span), level + 1, out);
            }
        }
    }
}

impl Span {
    fn read(span: &Value, trace: &Value) -> Result<Self> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let field = |name: &str| span.get(name).with_context(|| format!("no {name} in {span}"));
        let references = span.get("references").and_then(Value::as_array).cloned().unwrap_or_default();
        let (own, other): (Vec<_>, Vec<_>) =
            references.iter().partition(|reference| reference.get("traceID") == span.get("traceID"));
        let id_of = |reference: &&Value, name: &str| reference.get(name).map(text);
        let tags = span.get("tags").and_then(Value::as_array).into_iter().flatten();
        let process = field("processID").map(text)?;
        Ok(Self {
            id: text(field("spanID")?),
            parent: own.first().and_then(|reference| id_of(reference, "spanID")),
            links: other.iter().filter_map(|reference| id_of(reference, "traceID")).collect(),
            name: text(field("operationName")?),
            service: trace
                .pointer(&format!("/processes/{process}/serviceName"))
                .map(text)
                .unwrap_or_default(),
            began: field("startTime")?.as_u64().context("no start")?,
            took: field("duration")?.as_u64().context("no duration")?,
            tags: tags.filter_map(|tag| Some((text(tag.get("key")?), text(tag.get("value")?)))).collect(),
        })
    }

    /// An attribute; empty when there is none.
    pub fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }
}
