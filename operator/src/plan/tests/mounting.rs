//! What lies in the parts, and when nothing new does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_crds::{REVISION_FILE, read_folder};
use serde_json::json;

use super::Cluster;
use crate::plan::{Hold, PartError};

#[test]
fn the_first_plan_mounts_the_baseline() {
    let mut cluster = Cluster::new();
    let made = cluster.reconcile();
    assert_eq!(made.held, None);
    assert!(made.parts.revision_id().is_some_and(|revision| revision.len() == 64));
    assert!(cluster.mounted().contains_key("MtaListener/smtp"));
}

#[test]
fn a_pod_reads_the_revision_that_the_plan_names() {
    let mut cluster = Cluster::new();
    cluster.secret("relay", json!({"password": STANDARD.encode("pw"), "other": STANDARD.encode("x")}));
    cluster.apply(
        "MtaRoute",
        "relay",
        json!({"type": "Relay", "address": "mx.example.org", "tls": {"mode": "Require"},
               "authUsername": "u", "authSecret": {"secretKeyRef": {"name": "relay", "key": "password"}}}),
    );
    let parts = cluster.reconcile().parts;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in parts.manifests() {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join(REVISION_FILE), &parts.revision).unwrap();
    let (set, faults) = read_folder(folder.path()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(postern_crds::revision(&set).unwrap(), parts.revision_id().unwrap());
}

#[test]
fn of_a_directorys_secrets_only_the_keys_that_it_names_are_mounted() {
    let mut cluster = Cluster::new();
    for name in ["ldap", "oidc"] {
        cluster.secret(name, json!({"password": STANDARD.encode("pw"), "other": STANDARD.encode("x")}));
    }
    let secret = |name: &str| json!({"secretKeyRef": {"name": name, "key": "password"}});
    cluster.apply(
        "MtaDirectory",
        "staff",
        json!({"type": "Ldap", "url": "ldaps://ldap.example.org", "baseDn": "dc=example", "bindDn": "cn=postern",
               "bindPassword": secret("ldap")}),
    );
    cluster.apply(
        "MtaDirectory",
        "sso",
        json!({"type": "Oidc", "issuer": "https://id.example.org", "audience": "mail",
               "introspection": {"clientId": "postern", "clientSecret": secret("oidc")}}),
    );
    cluster.converge();
    let mounted = cluster.mounted();
    for name in ["ldap", "oidc"] {
        assert_eq!(mounted[&format!("Secret/{name}")]["data"], json!({"password": STANDARD.encode("pw")}));
    }
    assert!(cluster.condition("MtaDirectory", "sso", "Accepted").0.starts_with("True "));
}

#[test]
fn only_keys_that_are_named_are_mounted() {
    let mut cluster = Cluster::new();
    cluster.secret("relay", json!({"password": STANDARD.encode("pw"), "other": STANDARD.encode("x")}));
    cluster.secret("unrelated", json!({"token": STANDARD.encode("t")}));
    cluster.config_map("lists", json!({"blocked": "a@example.org\n", "notes": "text"}));
    cluster.apply(
        "MtaRoute",
        "relay",
        json!({"type": "Relay", "address": "mx.example.org", "tls": {"mode": "Require"},
               "authUsername": "u", "authSecret": {"secretKeyRef": {"name": "relay", "key": "password"}}}),
    );
    cluster.apply("MtaLookup", "blocked", json!({"configMapKeyRef": {"name": "lists", "key": "blocked"}}));
    cluster.converge();
    let mounted = cluster.mounted();
    assert_eq!(mounted["Secret/relay"]["data"], json!({"password": STANDARD.encode("pw")}));
    assert_eq!(mounted["ConfigMap/lists"]["data"], json!({"blocked": "a@example.org\n"}));
    assert!(!mounted.contains_key("Secret/unrelated"));
    assert!(cluster.inputs.mounted.objects.iter().all(|part| !part.contains("kind: Secret")));
}

#[test]
fn a_deleted_secret_stays_while_it_is_named() {
    let mut cluster = Cluster::new();
    cluster.config_map("lists", json!({"blocked": "a@example.org\n"}));
    cluster.apply("MtaLookup", "blocked", json!({"configMapKeyRef": {"name": "lists", "key": "blocked"}}));
    cluster.converge();
    cluster.inputs.config_maps.clear();
    cluster.converge();
    assert!(cluster.mounted().contains_key("ConfigMap/lists"));
    let (resolved, message) = cluster.condition("MtaLookup", "blocked", "ResolvedRefs");
    assert_eq!(resolved, "False RefNotFound");
    assert!(message.contains("key `blocked` of ConfigMap/lists has been deleted"), "{message}");
    assert_eq!(cluster.condition("MtaLookup", "blocked", "Programmed").0, "True InForce");
}

#[test]
fn objects_that_do_not_go_together_hold_the_whole_revision() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaSettings", "default", json!({}));
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 5}));
    cluster.converge();
    let before = cluster.inputs.mounted.clone();
    cluster.apply("MtaRoute", "one", json!({"name": "relay", "type": "Discard"}));
    cluster.apply("MtaRoute", "two", json!({"name": "relay", "type": "Discard"}));
    cluster.apply("MtaStageData", "default", json!({"maxMessages": 6}));
    let made = cluster.reconcile();
    assert!(matches!(made.held, Some(Hold::Faults(_))), "{:?}", made.held);
    assert_eq!(made.parts, before);
    for (kind, name) in [("MtaRoute", "one"), ("MtaRoute", "two"), ("MtaStageData", "default")] {
        let (programmed, message) = cluster.condition(kind, name, "Programmed");
        assert_eq!(programmed, "False Held");
        assert!(message.contains("has the name `relay` too"), "{message}");
        assert_eq!(cluster.condition(kind, name, "Accepted").0, "True Accepted");
    }
    assert_eq!(cluster.condition("MtaSettings", "default", "Programmed").0, "True InForce");
    assert_eq!(cluster.condition("MtaSettings", "default", "Converged").0, "False Held");
}

#[test]
fn without_a_listener_nothing_changes() {
    let mut cluster = Cluster::new();
    cluster.converge();
    cluster.inputs.baseline = Some(Vec::new());
    assert_eq!(cluster.reconcile().held, Some(Hold::NoListener));
    assert!(cluster.mounted().contains_key("MtaListener/smtp"));
}

#[test]
fn what_does_not_fit_keeps_the_old_revision_and_says_so() {
    let mut cluster = Cluster::new();
    cluster.converge();
    let before = cluster.inputs.mounted.clone();
    cluster.config_map("large", json!({"list": "a".repeat(1 << 20)}));
    cluster.apply("MtaLookup", "large", json!({"configMapKeyRef": {"name": "large", "key": "list"}}));
    let made = cluster.reconcile();
    assert!(matches!(&made.held, Some(Hold::TooLarge(PartError { octets, .. })) if *octets > 1 << 20));
    assert_eq!(made.parts, before);
    assert_eq!(cluster.condition("MtaLookup", "large", "Programmed").0, "False TooLarge");
}

#[test]
fn a_thousand_objects_use_every_part_and_a_change_of_one_touches_one() {
    let mut cluster = Cluster::new();
    for index in 0..1000 {
        cluster.apply("MtaRoute", &format!("r{index}"), json!({"type": "Discard"}));
    }
    let before = cluster.reconcile().parts;
    assert!(before.objects.iter().all(|part| !part.is_empty()));
    cluster.apply("MtaRoute", "r7", json!({"type": "Discard", "description": "changed"}));
    let after = cluster.reconcile().parts;
    let changed = before.objects.iter().zip(&after.objects).filter(|(old, new)| old != new).count();
    assert_eq!(changed, 1);
    assert_eq!(before.secrets, after.secrets);
}

#[test]
fn parts_that_somebody_has_spoilt_are_written_anew() {
    let mut cluster = Cluster::new();
    cluster.converge();
    let good = cluster.inputs.mounted.clone();
    cluster.inputs.mounted.objects.fill("a: [".to_owned());
    assert_eq!(cluster.reconcile().parts, good);
}
