//! The committed definitions and the manual are those of the types, and the API server will take them.

#![cfg(feature = "kube")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use postern_core::session::DECIDING_FIELDS;
use postern_crds::generate::{definitions, lint, reference};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn committed_definitions_are_those_of_the_types() {
    let mut expected = BTreeSet::new();
    for definition in definitions().unwrap() {
        let name = format!("{}.yaml", definition.plural);
        let committed = fs::read_to_string(project("crds/yaml").join(&name)).unwrap();
        assert!(committed == definition.yaml().unwrap(), "{name} is not what postern-crd-gen writes");
        expected.insert(name);
    }
    let files: BTreeSet<String> = fs::read_dir(project("crds/yaml"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, expected);
}

#[test]
fn committed_manual_is_that_of_the_types() {
    let committed = fs::read_to_string(project("docs/reference.md")).unwrap();
    assert!(
        committed == reference(&definitions().unwrap()),
        "docs/reference.md is not what postern-crd-gen writes"
    );
}

#[test]
fn every_schema_is_structural_and_every_field_is_described() {
    for definition in definitions().unwrap() {
        let findings = lint(definition.schema());
        assert!(findings.is_empty(), "{}:\n{}", definition.kind, findings.join("\n"));
    }
}

#[test]
fn whatever_can_decide_is_a_field_of_its_kind() {
    let definitions = definitions().unwrap();
    for (kind, field) in DECIDING_FIELDS {
        let definition = definitions.iter().find(|definition| definition.kind == **kind);
        let schema = definition.unwrap_or_else(|| panic!("{kind} is no kind")).schema();
        let path = format!("/properties/spec/properties/{field}");
        assert!(schema.pointer(&path).is_some(), "{kind} has no field {field}");
    }
}

#[test]
fn every_kind_is_seen_by_kubectl_get_mta() {
    let mut short_names = BTreeSet::new();
    for definition in definitions().unwrap() {
        let text = |pointer: &str| {
            definition.json.pointer(pointer).and_then(|value| value.as_str()).unwrap().to_owned()
        };
        assert_eq!(text("/spec/names/categories/0"), "mta", "{}", definition.kind);
        assert_eq!(text("/spec/scope"), "Namespaced", "{}", definition.kind);
        assert!(
            short_names.insert(text("/spec/names/shortNames/0")),
            "{} shares its short name",
            definition.kind
        );
        let columns = definition.json.pointer("/spec/versions/0/additionalPrinterColumns").unwrap();
        let names: Vec<&str> =
            columns.as_array().unwrap().iter().filter_map(|column| column.get("name")?.as_str()).collect();
        for column in ["Accepted", "In force", "Age"] {
            assert!(names.contains(&column), "{} has no column {column}", definition.kind);
        }
        assert!(
            definition.json.pointer("/spec/versions/0/subresources/status").is_some(),
            "{}",
            definition.kind
        );
    }
}
