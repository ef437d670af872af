//! Which form of an object is mounted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Cluster;
use crate::plan::Hold;

fn by_route(name: &str) -> Value {
    json!({"name": "example.org", "route": name})
}

fn discard() -> Value {
    json!({"type": "Discard"})
}

#[test]
fn an_accepted_object_is_mounted_in_its_newest_form() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 6}));
    cluster.converge();
    assert_eq!(cluster.mounted()["MtaStageData/default"]["spec"]["maxMessages"], "6");
}

#[test]
fn a_broken_object_keeps_its_last_accepted_form_and_others_go_on() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "sender_doman == ''"}));
    cluster.apply("MtaRoute", "sink", json!({"type": "Discard"}));
    cluster.converge();
    assert_eq!(cluster.mounted()["MtaStageData/default"]["spec"]["maxMessages"], "5");
    assert!(cluster.mounted().contains_key("MtaRoute/sink"));
    let (accepted, message) = cluster.condition("MtaStageData", "default", "Accepted");
    assert_eq!(accepted, "False Invalid");
    assert!(message.starts_with("spec.maxMessages: line 1 column 1: "), "{message}");
    assert!(message.contains("did you mean `sender_domain`?"), "{message}");
    let (programmed, message) = cluster.condition("MtaStageData", "default", "Programmed");
    assert_eq!(programmed, "False Invalid");
    assert!(message.contains("what was in force before stays"));
    assert_eq!(cluster.condition("MtaRoute", "sink", "Programmed").0, "True InForce");
}

#[test]
fn a_broken_object_that_was_never_accepted_is_not_mounted() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMesages": 5}));
    cluster.converge();
    assert_eq!(cluster.mounted().into_keys().collect::<Vec<_>>(), ["MtaListener/smtp"]);
    assert!(cluster.condition("MtaStageData", "default", "Accepted").1.contains("maxMessages"));
}

#[test]
fn what_names_something_that_is_not_there_waits_for_it() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaDomain", "example", by_route("later"));
    cluster.converge();
    assert!(!cluster.mounted().contains_key("MtaDomain/example"));
    let (resolved, message) = cluster.condition("MtaDomain", "example", "ResolvedRefs");
    assert_eq!(resolved, "False RefNotFound");
    assert!(message.contains("there is no MtaRoute `later`"), "{message}");
    assert_eq!(cluster.condition("MtaDomain", "example", "Accepted").0, "True Accepted");
    cluster.apply("MtaRoute", "later", discard());
    cluster.converge();
    assert!(cluster.mounted().contains_key("MtaDomain/example"));
    assert_eq!(cluster.condition("MtaDomain", "example", "Programmed").0, "True InForce");
}

#[test]
fn what_names_a_broken_object_keeps_its_last_form_too() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.apply("MtaDomain", "example", json!({"name": "example.org"}));
    cluster.converge();
    cluster.apply("MtaRoute", "relay", json!({"type": "Relay", "address": "not a host"}));
    cluster.apply("MtaDomain", "example", json!({"name": "example.org", "route": "relay"}));
    cluster.converge();
    let mounted = cluster.mounted();
    assert!(!mounted.contains_key("MtaRoute/relay"));
    assert!(mounted["MtaDomain/example"]["spec"].get("route").is_none());
    assert_eq!(cluster.condition("MtaDomain", "example", "ResolvedRefs").0, "False RefNotFound");
}

#[test]
fn a_deleted_route_stays_while_it_is_named() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaRoute", "used", discard());
    cluster.apply("MtaRoute", "spare", discard());
    cluster.apply("MtaDomain", "example", by_route("used"));
    cluster.converge();
    cluster.delete("MtaRoute", "used");
    cluster.delete("MtaRoute", "spare");
    cluster.converge();
    assert!(cluster.mounted().contains_key("MtaRoute/used"));
    assert!(!cluster.mounted().contains_key("MtaRoute/spare"));
    let (resolved, message) = cluster.condition("MtaDomain", "example", "ResolvedRefs");
    assert_eq!(resolved, "False RefNotFound");
    assert!(message.contains("MtaRoute/used has been deleted"), "{message}");
    cluster.apply("MtaDomain", "example", json!({"name": "example.org"}));
    cluster.converge();
    assert!(!cluster.mounted().contains_key("MtaRoute/used"));
    assert_eq!(cluster.condition("MtaDomain", "example", "ResolvedRefs").0, "True ResolvedRefs");
}

#[test]
fn a_route_that_takes_over_the_name_of_a_deleted_one_replaces_it() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaRoute", "old", json!({"name": "relay", "type": "Discard"}));
    cluster.apply("MtaDomain", "example", json!({"name": "example.org", "route": "relay"}));
    cluster.converge();
    cluster.delete("MtaRoute", "old");
    cluster.apply("MtaRoute", "new", json!({"name": "relay", "type": "Discard"}));
    cluster.converge();
    assert!(!cluster.mounted().contains_key("MtaRoute/old"));
    assert_eq!(cluster.condition("MtaDomain", "example", "ResolvedRefs").0, "True ResolvedRefs");
}

#[test]
fn a_deleted_singleton_returns_to_the_baseline_or_to_its_defaults() {
    let mut cluster = Cluster::new();
    let settings = "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaSettings\nmetadata: {name: default}\n\
                    spec: {defaultHostname: mx.example.org}\n";
    cluster.inputs.baseline.as_mut().unwrap()[0].1.push_str(settings);
    cluster.apply("MtaSettings", "default", json!({"defaultHostname": "other.example.org"}));
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    let hostname = |cluster: &Cluster| {
        cluster.mounted()["MtaSettings/default"]["spec"]["defaultHostname"].as_str().unwrap().to_owned()
    };
    assert_eq!(hostname(&cluster), "other.example.org");
    cluster.delete("MtaSettings", "default");
    cluster.delete("MtaStageData", "default");
    cluster.converge();
    assert_eq!(hostname(&cluster), "mx.example.org");
    assert!(!cluster.mounted().contains_key("MtaStageData/default"));
}

#[test]
fn the_settings_that_the_operator_made_leave_the_baseline_in_force_until_they_are_edited() {
    let mut cluster = Cluster::new();
    let settings = "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaSettings\nmetadata: {name: default}\n\
                    spec: {maxConnections: 7}\n";
    cluster.inputs.baseline.as_mut().unwrap()[0].1.push_str(settings);
    cluster.apply("MtaSettings", "default", json!({}));
    cluster.annotate("MtaSettings", "default", crate::plan::PLACEHOLDER);
    cluster.converge();
    assert_eq!(cluster.mounted()["MtaSettings/default"]["spec"]["maxConnections"], 7);
    cluster.apply("MtaSettings", "default", json!({"maxConnections": 9}));
    cluster.annotate("MtaSettings", "default", crate::plan::PLACEHOLDER);
    cluster.converge();
    assert_eq!(cluster.mounted()["MtaSettings/default"]["spec"]["maxConnections"], 9);
}

#[test]
fn a_missing_baseline_changes_nothing() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaSettings", "default", json!({}));
    cluster.converge();
    let mounted = cluster.inputs.mounted.clone();
    for baseline in [None, Some(vec![("baseline.yaml".to_owned(), "a: [".to_owned())])] {
        cluster.inputs.baseline = baseline;
        cluster.apply("MtaRoute", "sink", json!({"type": "Discard"}));
        let made = cluster.reconcile();
        assert!(matches!(made.held, Some(Hold::Baseline(_))));
        assert_eq!(made.parts, mounted);
        assert_eq!(cluster.condition("MtaRoute", "sink", "Programmed").0, "False Held");
        assert_eq!(cluster.condition("MtaSettings", "default", "Baseline").0, "False NotUsable");
    }
}

#[test]
fn a_bad_value_in_a_secret_stays_out_and_does_not_hold_up_others() {
    let mut cluster = Cluster::new();
    let pem =
        |label: &str| STANDARD.encode(format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"));
    let (certificate, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    cluster.secret("tls", json!({"tls.crt": certificate, "tls.key": key}));
    cluster.apply(
        "MtaListener",
        "smtps",
        json!({"bind": ["0.0.0.0:2465"], "tls": {"secretNames": ["tls"], "implicit": true}}),
    );
    cluster.converge();
    cluster.secret("tls", json!({"tls.crt": STANDARD.encode("nonsense"), "tls.key": key}));
    cluster.apply("MtaRoute", "sink", json!({"type": "Discard"}));
    cluster.converge();
    let mounted = cluster.mounted();
    assert_eq!(mounted["Secret/tls"]["data"]["tls.crt"].as_str(), Some(certificate.as_str()));
    assert!(mounted.contains_key("MtaRoute/sink"));
    assert_eq!(cluster.condition("MtaListener", "smtps", "Accepted").0, "False Invalid");
}
