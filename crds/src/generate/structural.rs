//! The rules for structural schemas, checked without a cluster.
//!
//! What the API server demands of `openAPIV3Schema` in apiextensions.k8s.io/v1, as its documentation puts it.
//! A definition that passes here may still be refused there for its CEL rules.

use serde_json::Value;

/// Everything in a schema that the API server would refuse, and every property without a description.
#[must_use]
pub fn lint(schema: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    level(schema, "", &mut findings);
    findings
}

/// Keywords of JSON Schema that structural schemas do not have.
const FORBIDDEN: [&str; 16] = [
    "$ref",
    "$schema",
    "$defs",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "if",
    "then",
    "else",
    "const",
    "patternProperties",
    "readOnly",
    "writeOnly",
    "xml",
];

/// One level of the schema that specifies values.
fn level(schema: &Value, path: &str, findings: &mut Vec<String>) {
    let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
    let mut find =
        |what: &str| findings.push(format!("{}: {what}", if path.is_empty() { "." } else { path }));
    let is_untyped_by_intent =
        flag("x-kubernetes-int-or-string") || flag("x-kubernetes-preserve-unknown-fields");
    match schema.get("type") {
        None if path.is_empty() || !is_untyped_by_intent => find("has no type"),
        Some(kind) if !kind.is_string() => find("type is not one word"),
        _ => {}
    }
    for keyword in FORBIDDEN.iter().filter(|keyword| schema.get(**keyword).is_some()) {
        find(&format!("`{keyword}` is not allowed"));
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
        find("has both properties and additionalProperties");
    }
    if flag("uniqueItems") {
        find("uniqueItems is not allowed");
    }
    let is_array = schema.get("type").and_then(Value::as_str) == Some("array");
    if is_array && !schema.get("items").is_some_and(Value::is_object) {
        find("is a list of nothing in particular");
    }
    if is_array && schema.get("x-kubernetes-list-type").is_none() {
        find("is a list without x-kubernetes-list-type");
    }
    if !path.is_empty() && !path.ends_with(']') && !path.ends_with('}') && schema.get("description").is_none()
    {
        find("has no description");
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, part) in schema.get(junctor).and_then(Value::as_array).into_iter().flatten().enumerate() {
            constraint(part, schema, &format!("{path}.{junctor}[{index}]"), findings);
        }
    }
    if let Some(part) = schema.get("not") {
        constraint(part, schema, &format!("{path}.not"), findings);
    }
    inner_levels(schema, path, findings);
}

fn inner_levels(schema: &Value, path: &str, findings: &mut Vec<String>) {
    for (name, part) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        // The API server knows what these are, and forbids to say more about them.
        if path.is_empty() && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") {
            continue;
        }
        level(part, &format!("{path}.{name}"), findings);
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        level(items, &format!("{path}[]"), findings);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        level(values, &format!("{path}{{}}"), findings);
    }
}

/// A part of a junctor, which only restricts what is specified outside of it.
fn constraint(part: &Value, outer: &Value, path: &str, findings: &mut Vec<String>) {
    for keyword in ["description", "default", "additionalProperties", "nullable", "title", "type"] {
        let int_or_string = outer.get("x-kubernetes-int-or-string").is_some();
        if part.get(keyword).is_some() && !(keyword == "type" && int_or_string) {
            findings.push(format!("{path}: `{keyword}` is not allowed inside a junctor"));
        }
    }
    for (name, inner) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match outer.get("properties").and_then(|properties| properties.get(name)) {
            Some(specified) => constraint(inner, specified, &format!("{path}.{name}"), findings),
            None => findings.push(format!("{path}.{name}: is not specified outside the junctor")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lint;

    #[test]
    fn what_the_api_server_refuses_is_found() {
        let schema = json!({"type": "object", "properties": {
            "a": {"description": "untyped"},
            "b": {"type": "array", "description": "list", "items": {"type": "string"}},
            "c": {"type": "string"},
            "d": {"type": "object", "description": "refers", "$ref": "#/x"},
            "e": {"type": "object", "description": "junctor", "anyOf": [{"properties": {"x": {"type": "string"}}}]}
        }});
        assert_eq!(
            lint(&schema),
            [
                ".a: has no type",
                ".b: is a list without x-kubernetes-list-type",
                ".c: has no description",
                ".d: `$ref` is not allowed",
                ".e.anyOf[0].x: is not specified outside the junctor",
            ]
        );
    }
}
