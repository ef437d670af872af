//! The reference manual: every field of every kind, with type, default and meaning.

use std::fmt::Write;

use serde_json::Value;

use super::definition::Definition;
use crate::kinds::API_VERSION;

/// The manual as Markdown.
#[must_use]
pub fn reference(definitions: &[Definition]) -> String {
    let mut page = format!(
        "# Reference\n\nGenerated from the types of the kinds (`cargo run -p postern-crds --features kube --bin \
         postern-crd-gen`). All of them have `apiVersion: {API_VERSION}`.\n\nAn *expression* is a literal, an \
         expression in quotes, or `{{match: [{{if, then}}], else}}`. A *span of time* is a number with a unit \
         (`500ms`, `30s`, `5m`, `2h`, `7d`); a bare number is milliseconds.\n"
    );
    let mut sorted: Vec<&Definition> = definitions.iter().collect();
    sorted.sort_by(|a, b| a.kind.cmp(&b.kind));
    for definition in sorted {
        kind(&mut page, definition);
    }
    page
}

fn kind(page: &mut String, definition: &Definition) {
    let text = |pointer: &str| definition.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let description = text("/spec/versions/0/schema/openAPIV3Schema/description");
    let short = text("/spec/names/shortNames/0");
    push(page, format_args!("\n## {}\n\n{description} Short name `{short}`.\n", definition.kind));
    page.push('\n');
    for pointer in ["/x-kubernetes-validations", "/properties/spec/x-kubernetes-validations"] {
        for rule in definition.schema().pointer(pointer).and_then(Value::as_array).into_iter().flatten() {
            let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
            push(page, format_args!("* {message}\n"));
        }
    }
    let Some(spec) = definition.schema().pointer("/properties/spec") else { return };
    push(page, format_args!("\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n"));
    rows(page, spec, "");
}

/// Writing into a text cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = page.write_fmt(text);
}

fn rows(page: &mut String, schema: &Value, path: &str) {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}{name}");
        let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let default = match field.get("default") {
            Some(default) if default.is_object() => String::new(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(default) => format!("`{default}`"),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        push(page, format_args!("| `{path}` | {} | {default} | {} |\n", type_of(field), cell(meaning)));
        if is_expression(field) {
            continue;
        }
        rows(page, field, &format!("{path}."));
        if let Some(items) = field.get("items") {
            rows(page, items, &format!("{path}[]."));
        }
    }
}

fn is_expression(field: &Value) -> bool {
    field.get("x-kubernetes-preserve-unknown-fields").is_some()
}

fn type_of(field: &Value) -> String {
    if is_expression(field) {
        return "expression".to_owned();
    }
    if field.get("x-kubernetes-int-or-string").is_some() {
        return "span of time".to_owned();
    }
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        let values: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, field.get("items")) {
        ("array", Some(items)) => {
            let what = if field.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set") {
                "set"
            } else {
                "list"
            };
            format!("{what} of {}", type_of(items))
        }
        ("object", _) if field.get("additionalProperties").is_some() => "map of string".to_owned(),
        _ => kind.to_owned(),
    }
}

/// Text inside a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
