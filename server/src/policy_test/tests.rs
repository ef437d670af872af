//! What running tests of a policy promises.

use std::fs;
use std::path::Path;

use postern_crds::LoadOptions;
use tempfile::TempDir;

use super::coverage::Coverage;
use super::{Verdict, junit, run};
use crate::simulate::{Network, Simulator};

const POLICY: &str = r#"
apiVersion: mta.postern.dev/v1alpha1
kind: MtaListener
metadata: {name: smtp}
spec: {bind: ["127.0.0.1:2525"], publicPort: 25}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaSettings
metadata: {name: default}
spec: {defaultHostname: gate.example.org}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaStageMail
metadata: {name: default}
spec:
  isSenderAllowed:
    match:
    - {if: "sender_domain == 'spam.example'", then: false}
    - {if: "sender_domain == 'odd.example'", then: false}
    else: true
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaDomain
metadata: {name: example-org}
spec: {name: example.org, allowRelaying: true}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaHook
metadata: {name: judge}
spec: {url: "http://127.0.0.1:1/", stages: [data]}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaRoute
metadata: {name: inside}
spec: {type: Relay, address: mx.example.org}
"#;

fn folder(tests: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gate.yaml"), POLICY).unwrap();
    fs::write(folder.path().join("tests.yaml"), tests).unwrap();
    folder
}

fn test(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaPolicyTest\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn simulator(folder: &Path) -> Simulator {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Simulator::load(folder, &LoadOptions::default(), Network::Away).unwrap()
}

/// Runs these tests: the verdicts, or the faults.
async fn outcome(tests: &str) -> (Simulator, Result<Vec<Verdict>, Vec<String>>) {
    let folder = folder(tests);
    let simulator = simulator(folder.path());
    let (tests, faults) = simulator.objects.policy_tests();
    let texts = |faults: Vec<postern_crds::Fault>| faults.iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return (simulator, Err(texts(faults)));
    }
    let verdicts = run(&simulator, &tests, folder.path()).await.map_err(texts);
    (simulator, verdicts)
}

async fn deviations(spec: &str) -> Vec<String> {
    let verdicts = outcome(&test("one", spec)).await.1.unwrap();
    let [verdict] = &verdicts[..] else { panic!("{verdicts:?}") };
    verdict.deviations.clone()
}

async fn faults(spec: &str) -> Vec<String> {
    outcome(&test("one", spec)).await.1.unwrap_err()
}

const SPAM: &str = "session: {from: a@spam.example, to: [ann@example.org]}";
const HAM: &str = "session: {from: a@b.example, to: [ann@example.org]}";

#[tokio::test]
async fn what_holds_passes() {
    for spec in [
        format!(
            "{{{SPAM}, expect: {{reply: 550 5.7.1, stage: mail, by: {{object: MtaStageMail/default, field: isSenderAllowed}}, handedOn: []}}}}"
        ),
        format!(
            "{{{HAM}, expect: {{reply: 250 2.0.0, stage: data, recipients: {{ann@example.org: 250 2.1.5}}, handedOn: [{{route: inside, from: a@b.example, to: [ann@example.org], fields: {{Received: from client.example.net}}, noFields: [X-Spam], contains: never sent}}]}}}}"
        ),
        format!(
            "{{{HAM}, given: {{filters: [{{filter: MtaHook/judge, says: Reject, reply: 554 5.6.0 no}}]}}, expect: {{reply: 554 5.6.0 no, by: {{object: MtaHook/judge}}}}}}"
        ),
        format!(
            "{{{HAM}, given: {{filters: [{{filter: MtaHook/judge, says: Continue, addFields: {{X-Seen: 'yes'}}}}]}}, expect: {{handedOn: [{{fields: {{x-seen: 'yes'}}}}]}}}}"
        ),
        format!(
            "{{{HAM}, given: {{filters: [{{filter: MtaHook/judge, says: Fail}}]}}, expect: {{reply: 451 4.3.5, by: {{object: MtaHook/judge}}}}}}"
        ),
    ] {
        assert_eq!(deviations(&spec).await, [""; 0], "{spec}");
    }
}

#[tokio::test]
async fn what_does_not_hold_is_told_with_what_was_found() {
    let found = deviations(&format!(
        "{{{SPAM}, expect: {{reply: 250, stage: data, by: {{object: MtaStageRcpt/default}}}}}}"
    ))
    .await;
    assert!(
        found[0].starts_with("reply: expected `250`, found `550 5.7.1 Sender is not allowed"),
        "{found:?}"
    );
    assert_eq!(found[1], "stage: expected data, found mail");
    assert_eq!(found[2], "by: expected MtaStageRcpt/default, found MtaStageMail/default isSenderAllowed");

    let found = deviations(&format!(
        "{{{HAM}, expect: {{handedOn: [{{from: '', to: [ben@example.org], fields: {{Subject: other, X-No: a}}, noFields: [Received], contains: nothing of the kind}}]}}}}"
    ))
    .await;
    let begins = [
        "handedOn[0].from: expected ``, found `a@b.example`",
        "handedOn[0].to: expected `ben@example.org`, found `ann@example.org`",
        "handedOn[0].fields.Subject: expected `other`, found `a simulated message`",
        "handedOn[0].fields.X-No: expected `a`, found `no such field`",
        "handedOn[0].noFields.Received: expected `no such field`, found `from client",
        "handedOn[0].contains: expected `nothing of the kind`",
    ];
    assert_eq!(found.len(), begins.len(), "{found:?}");
    assert!(found.iter().zip(begins).all(|(found, begin)| found.starts_with(begin)), "{found:?}");

    let found = deviations(&format!("{{{HAM}, expect: {{handedOn: []}}}}")).await;
    assert_eq!(found, ["handedOn: expected 0, found 1: inside to ann@example.org"]);
}

#[tokio::test]
async fn a_test_with_a_fault_is_not_run_and_says_where() {
    for (spec, wanted) in [
        (
            format!("{{{HAM}, expect: {{by: {{object: MtaStageMial/default}}}}}}"),
            "tests.yaml:5:83: MtaPolicyTest/one spec.expect.by.object: there is no kind `MtaStageMial`, did you mean `MtaStageMail`?",
        ),
        (
            format!("{{{HAM}, expect: {{by: {{object: MtaHook/jugde}}}}}}"),
            "there is no MtaHook `jugde`, did you mean `judge`?",
        ),
        (
            format!("{{{HAM}, expect: {{by: {{object: MtaStageMail/default, field: isSenderAlowed}}}}}}"),
            "there is no field of MtaStageMail `isSenderAlowed`, did you mean `isSenderAllowed`?",
        ),
        (
            format!("{{{HAM}, expect: {{reply: 550 4.7.1}}}}"),
            "this can never hold: 550 and 4.7.1 are of different classes",
        ),
        (format!("{{{HAM}, expect: {{reply: 350}}}}"), "no reply begins with `350`"),
        (
            format!("{{{HAM}, expect: {{reply: 550, handedOn: [{{}}]}}}}"),
            "this can never hold: a message that is refused is not handed on",
        ),
        (
            format!("{{{HAM}, expect: {{handedOn: [{{fields: {{X-A: b}}, noFields: [x-a]}}]}}}}"),
            "this can never hold: `x-a` is in `fields` too",
        ),
        (format!("{{{HAM}, expect: {{handedOn: [{{route: outside}}]}}}}"), "there is no MtaRoute `outside`"),
        (format!("{{{HAM}, expect: {{}}}}"), "nothing is expected, so the test could not fail"),
        (
            format!("{{{HAM}, expect: {{recipients: {{bob@example.org: 250}}}}}}"),
            "there is no recipient in `session.to` that is called `bob@example.org`",
        ),
        (
            format!("{{{HAM}, expct: {{reply: 250}}}}"),
            "spec.expct: unknown field `expct`, did you mean `expect`?",
        ),
        (
            format!("{{{HAM}, given: {{throttled: [nobody]}}, expect: {{reply: 4}}}}"),
            "there is no MtaInboundThrottle `nobody`",
        ),
        (
            format!(
                "{{{HAM}, given: {{filters: [{{filter: MtaHook/judge, says: Reject}}]}}, expect: {{reply: 5}}}}"
            ),
            "spec.given.filters[0].reply: is required with `Reject`",
        ),
        (
            format!(
                "{{{HAM}, given: {{filters: [{{filter: MtaHook/judge, says: Defer, reply: 550 no}}]}}, expect: {{reply: 5}}}}"
            ),
            "is no reply of class 4",
        ),
        (
            "{session: {from: a@b.example}, expect: {reply: 2}}".to_owned(),
            "spec.session.to: needs at least one recipient",
        ),
        (
            "{session: {from: a@b.example, to: [c@example.org], message: 'From: cut'}, expect: {reply: 2}}"
                .to_owned(),
            "spec.session.message: this message:1:10: the message is truncated",
        ),
        (
            "{session: {from: a@b.example, to: [c@example.org], messageFile: gone.eml}, expect: {reply: 2}}"
                .to_owned(),
            "spec.session.messageFile: ",
        ),
        (
            "{session: {from: a@b.example, to: [c@example.org], auth: eve@example.org}, expect: {reply: 2}}"
                .to_owned(),
            "no directory of the policy has the account `eve@example.org`",
        ),
    ] {
        let faults = faults(&spec).await;
        assert!(
            faults.iter().any(|fault| fault.contains(wanted) && fault.starts_with("tests.yaml:5:")),
            "{spec}: {faults:?}"
        );
    }
}

#[tokio::test]
async fn tests_are_no_objects_of_the_policy() {
    let with = simulator(folder(&test("one", &format!("{{{HAM}, expect: {{reply: 2}}}}"))).path());
    let without = simulator(folder("").path());
    assert_eq!(with.policy().revision, without.policy().revision);
    // Not even a broken one keeps a policy from being served.
    let broken = simulator(folder(&test("Not A Name", "{expect: 7}")).path());
    assert_eq!(broken.policy().revision, without.policy().revision);
    assert_eq!(broken.objects.policy_tests().1.len(), 3);
}

#[tokio::test]
async fn coverage_names_what_no_test_reached() {
    let tests = test("one", &format!("{{{SPAM}, expect: {{reply: 550}}}}"));
    let (simulator, verdicts) = outcome(&tests).await;
    let text = Coverage::of(&simulator, &verdicts.unwrap()).text();
    assert_eq!(
        text,
        "\ncoverage: 1 of 4 values of fields, scripts and filters were reached\n  \
         not reached: gate.yaml:19: MtaStageMail/default isSenderAllowed match[1].then\n  \
         not reached: gate.yaml:20: MtaStageMail/default isSenderAllowed else\n  \
         not reached: MtaHook/judge was never asked\n"
    );
}

#[tokio::test]
async fn junit_has_a_case_for_each_test() {
    let tests = test("good", &format!("{{{SPAM}, expect: {{reply: 550}}}}"))
        + &test("bad", &format!("{{{SPAM}, expect: {{reply: 250}}}}"));
    let xml = junit::xml("a & b", &outcome(&tests).await.1.unwrap());
    assert!(xml.contains("<testsuite name=\"a &amp; b\" tests=\"2\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("<testcase name=\"good\" classname=\"a &amp; b\" file=\"tests.yaml\" line=\"2\""),
        "{xml}"
    );
    assert!(xml.contains("<failure message=\"reply: expected `250`, found `550 5.7.1"), "{xml}");
}
