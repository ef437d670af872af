use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Trail, read_documents};
use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Outer {
    name: String,
    port: u16,
    #[serde(default)]
    items: Vec<Inner>,
    mode: Option<Mode>,
    inner: Option<Inner>,
    #[serde(default)]
    free: BTreeMap<String, u8>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Inner {
    count: u32,
    tail: Deep,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Deep {
    on: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Mode {
    Enforce,
    Observe,
}

fn problems(yaml: &str) -> Vec<String> {
    let document = read_documents(yaml).unwrap().remove(0);
    let decoded = decode::<Outer>(&document, &Trail::SPEC, &[("useTls", "`tls: {}`")]);
    let mut lines: Vec<String> = decoded
        .problems
        .iter()
        .map(|p| {
            format!(
                "{}: {}{}",
                p.path,
                p.message,
                p.suggestion.as_ref().map_or(String::new(), |s| format!(" ({s}?)"))
            )
        })
        .collect();
    if decoded.value.is_none() {
        lines.push("no value".to_owned());
    }
    lines
}

#[test]
fn a_sound_document_has_no_problems() {
    let text = "{name: a, port: 25, items: [{count: 1, tail: {'on': true}}], mode: Observe, free: {x: 1}}";
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn all_problems_are_found_in_one_go() {
    let text = "nmae: a\nport: 70000\nmode: observe\nitems:\n- count: x\n  tail: {on: 1}\n- {cuont: 1}\nfree: {y: 300, z: 1}\nuseTls: true\n";
    let mut found = problems(text);
    found.sort();
    assert_eq!(
        found,
        [
            "spec.free.y: expected a whole number from 0 to 255, found the number `300`",
            "spec.items[0].count: expected a whole number from 0 to 4294967295, found the text `x`",
            "spec.items[0].tail.on: expected a boolean, found the number `1`",
            "spec.items[1].count: is required",
            "spec.items[1].cuont: unknown field `cuont` (count?)",
            "spec.items[1].tail: is required",
            "spec.mode: unknown value `observe`, expected one of `Enforce`, `Observe` (Observe?)",
            "spec.name: is required",
            "spec.nmae: unknown field `nmae` (name?)",
            "spec.port: expected a whole number from 0 to 65535, found the number `70000`",
            "spec.useTls: unknown field `useTls`; write `tls: {}`",
        ]
    );
}

#[test]
fn a_stand_in_is_not_trusted() {
    let document = read_documents("{name: a, port: x}").unwrap().remove(0);
    let decoded = decode::<Outer>(&document, &Trail::SPEC, &[]);
    assert!(decoded.value.is_some());
    assert_eq!(decoded.untrusted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["spec.port"]);
}

#[test]
fn lists_may_be_written_as_maps() {
    let by_position = problems(
        "{name: a, port: 1, items: {'1': {count: 1, tail: {'on': true}}, '0': {count: x, tail: {'on': true}}}}",
    );
    assert_eq!(
        by_position,
        ["spec.items[0].count: expected a whole number from 0 to 4294967295, found the text `x`"]
    );
    let members: Vec<String> = {
        let document = read_documents("{a: true, b: false, c: true}").unwrap().remove(0);
        decode(&document, &Trail::SPEC, &[]).value.unwrap()
    };
    assert_eq!(members, ["a", "c"]);
}

#[test]
fn nothing_is_no_value() {
    assert_eq!(
        problems("name: a\nport: 1\nmode:\n"),
        ["spec.mode: has no value; leave the field out to keep its default"]
    );
}
