//! What is said about an object before it is written.

use serde_json::{Value, json};

use super::Cluster;
use crate::plan::{Review, review};

fn about(cluster: &mut Cluster, kind: &str, name: &str, spec: Value) -> Review {
    cluster.converge();
    let newest = json!({
        "apiVersion": "mta.postern.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    review(cluster.inputs.clone(), &newest)
}

fn texts(faults: &[postern_crds::Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn all_faults_of_an_object_are_told_with_their_positions() {
    let spec = json!({"maxMessages": "1 + sender_doman", "maxMessageSze": 5});
    let review = about(&mut Cluster::new(), "MtaStageData", "default", spec);
    let faults = texts(&review.faults);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults.iter().any(|fault| fault.contains("line 1 column 5") && fault.contains("`sender_domain`"))
    );
    assert!(faults.iter().any(|fault| fault.contains("`maxMessageSize`")));
}

#[test]
fn a_script_is_refused_with_the_place_in_it_and_what_it_includes_may_come_later() {
    let contents = "include \"later\";\n  fileinto \"Junk\";\nif heder \"a\" \"b\" { keep; }\n";
    let review = about(&mut Cluster::new(), "MtaSieveScript", "main", json!({"contents": contents}));
    assert_eq!(
        texts(&review.faults),
        [
            "MtaSieveScript/main spec.contents: line 2 column 3: the command `fileinto` is not available: a \
             gate has no mailboxes",
            "MtaSieveScript/main spec.contents: line 3 column 4: unknown command `heder`, did you mean \
             `header`?",
        ]
    );
    let spec = json!({"contents": "include \"later\";"});
    let review = about(&mut Cluster::new(), "MtaSieveScript", "main", spec);
    assert_eq!(review.faults, []);
    assert!(
        texts(&review.warnings)[0].contains("line 1 column 9: there is no active script `later`"),
        "{review:?}"
    );
}

#[test]
fn what_an_object_names_need_not_be_there_yet() {
    let review = about(&mut Cluster::new(), "MtaStageData", "default", json!({"script": "'later'"}));
    assert_eq!(review.faults, []);
    assert!(texts(&review.warnings)[0].contains("there is no active MtaSieveScript `later`"));
}

#[test]
fn what_does_not_go_together_is_a_warning() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaRoute", "one", json!({"name": "relay", "type": "Discard"}));
    let review = about(&mut cluster, "MtaRoute", "two", json!({"name": "relay", "type": "Discard"}));
    assert_eq!(review.faults, []);
    assert_eq!(review.warnings.len(), 1);
}

#[test]
fn an_open_relay_is_refused_from_whichever_side_it_comes() {
    let mut cluster = Cluster::new();
    let review = about(&mut cluster, "MtaStageRcpt", "default", json!({"allowRelaying": true}));
    assert!(texts(&review.faults)[0].contains("an open relay"));
    cluster.apply("MtaListener", "smtp", json!({"bind": ["127.0.0.1:2525"]}));
    cluster.apply("MtaStageRcpt", "default", json!({"allowRelaying": true}));
    let review = about(&mut cluster, "MtaListener", "public", json!({"bind": ["0.0.0.0:2526"]}));
    assert!(texts(&review.faults)[0].contains("an open relay"), "{review:?}");
}

#[test]
fn faults_that_others_have_already_are_not_held_against_an_object() {
    let mut cluster = Cluster::new();
    cluster.apply("MtaStageData", "default", json!({"maxMessages": "nonsense("}));
    let review = about(&mut cluster, "MtaRoute", "sink", json!({"type": "Discard"}));
    assert_eq!(review, Review::default());
}

#[test]
fn a_secret_by_value_is_refused_in_a_cluster() {
    let spec = json!({"type": "Relay", "address": "mx.example.org", "tls": {"mode": "Require"},
                      "authUsername": "u", "authSecret": {"value": "pw"}});
    let review = about(&mut Cluster::new(), "MtaRoute", "relay", spec);
    assert!(texts(&review.faults)[0].contains("secretKeyRef"), "{review:?}");
}
