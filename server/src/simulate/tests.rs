//! What a simulation promises.

use std::fs;
use std::sync::Mutex;

use postern_core::session::check::CheckResult;
use postern_core::verdict::{FilterKind, Verdict};
use postern_crds::LoadOptions;

use super::recording::{Recorded, Recording, VerdictRecord};
use super::report::{Course, Decider, Finding, Source};
use super::stubs::{FilterStub, LookupKey, LookupStub, Stubs};
use super::visit::{STRANGER, Visit, VisitError};
use super::{Network, Outside, PolicyError, Simulator, message};

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
    - {if: "!is_empty(dns_query(sender_domain + '.bl.example', 'ipv4'))", then: false}
    else: true
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaSenderAuth
metadata: {name: default}
spec: {spfFromVerify: strict}
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
kind: MtaInboundThrottle
metadata: {name: per-sender}
spec: {key: [sender], rate: {count: 1, period: 1h}}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaSieveScript
metadata: {name: mark}
spec: {contents: 'require ["editheader"]; addheader "X-Script" "ran";'}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaStageData
metadata: {name: default}
spec: {script: "'mark'"}
---
apiVersion: mta.postern.dev/v1alpha1
kind: MtaRoute
metadata: {name: inside}
spec: {type: Relay, address: mx.example.org}
"#;

fn load(manifests: &str) -> Result<Simulator, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gate.yaml"), manifests).unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Simulator::load(folder.path(), &LoadOptions::default(), Network::Away)
}

fn visit(from: &str, to: &[&str]) -> Visit {
    let to: Vec<String> = to.iter().map(ToString::to_string).collect();
    Visit {
        listener: None,
        ip: STRANGER,
        ptr: None,
        ehlo: "client.example.net".to_owned(),
        tls: false,
        auth: None,
        from: from.to_owned(),
        parameters: String::new(),
        message: message::plain(from, &to),
        to,
    }
}

async fn run(visit: &Visit, outside: &Outside) -> Course {
    load(POLICY).unwrap().run(visit, outside).await.unwrap()
}

async fn with_stubs(from: &str, stubs: Stubs) -> Course {
    let stubs = Stubs { spf: stubs.spf.or(Some(CheckResult::Pass)), ..stubs };
    run(&visit(from, &["ann@example.org"]), &Outside::Stubbed(stubs)).await
}

fn decider(object: &str, field: Option<&str>) -> Option<Decider> {
    Some(Decider { object: object.to_owned(), field: field.map(str::to_owned) })
}

/// Every evaluation of a field.
fn values<'c>(course: &'c Course, field: &str) -> Vec<&'c Finding> {
    let findings = course.steps.iter().flat_map(|step| &step.findings);
    findings
        .filter(|finding| matches!(finding, Finding::Field { at: Some(at), .. } if at.field.as_deref() == Some(field)))
        .collect()
}

#[tokio::test]
async fn a_message_goes_through_and_nobody_gets_it() {
    let course = with_stubs("bob@sender.example", Stubs::default()).await;
    assert!(course.outcome.is_accepted(), "{course:?}");
    let [handed_on] = &course.handed_on[..] else { panic!("{:?}", course.handed_on) };
    assert_eq!((&*handed_on.route, &*handed_on.from), ("inside", "bob@sender.example"));
    assert!(handed_on.diff.contains("+X-Script: ran\n"), "{}", handed_on.diff);
    assert!(handed_on.diff.contains("+Received: from client.example.net"), "{}", handed_on.diff);
}

#[tokio::test]
async fn what_was_evaluated_is_told_once_with_arm_inputs_and_lookups() {
    let stub = LookupStub {
        what: LookupKey::Dns {
            kind: postern_core::expr::DnsKind::Ipv4,
            name: "sender.example.bl.example".to_owned(),
        },
        finds: Some(vec!["127.0.0.2".to_owned()]),
    };
    let course = with_stubs("bob@sender.example", Stubs { lookups: vec![stub], ..Stubs::default() }).await;
    let values = values(&course, "isSenderAllowed");
    let [Finding::Field { part, variables, lookups, value, .. }] = &values[..] else { panic!("{values:?}") };
    assert_eq!((&**part, value.as_deref()), ("match[1].then", Some("false")));
    assert_eq!(variables, &[("sender_domain".to_owned(), "'sender.example'".to_owned())]);
    assert_eq!(lookups[0].asked, "dns_query('sender.example.bl.example', 'ipv4')");
    assert_eq!((&*lookups[0].answer, lookups[0].source), ("['127.0.0.2']", Source::Given));
    assert_eq!(course.outcome.because, decider("MtaStageMail/default", Some("isSenderAllowed")));
    assert_eq!(course.outcome.stage, "mail");
}

#[tokio::test]
async fn a_lookup_that_fails_names_the_field_that_needed_it() {
    let stub = LookupStub {
        what: LookupKey::Dns {
            kind: postern_core::expr::DnsKind::Ipv4,
            name: "sender.example.bl.example".to_owned(),
        },
        finds: None,
    };
    let course = with_stubs("bob@sender.example", Stubs { lookups: vec![stub], ..Stubs::default() }).await;
    assert!(course.outcome.reply.as_ref().unwrap().starts_with("451 4.3.5"), "{:?}", course.outcome);
    assert_eq!(course.outcome.because, decider("MtaStageMail/default", Some("isSenderAllowed")));
    let values = values(&course, "isSenderAllowed");
    let [Finding::Field { part, value: None, failure: Some(_), .. }] = &values[..] else {
        panic!("{values:?}")
    };
    assert_eq!(part, "match[1].if");
}

#[tokio::test]
async fn checks_throttles_and_filters_say_what_they_are_told_to() {
    let spf =
        with_stubs("bob@sender.example", Stubs { spf: Some(CheckResult::Fail), ..Stubs::default() }).await;
    assert_eq!(spf.outcome.because, decider("MtaSenderAuth/default", Some("spfFromVerify")));

    let throttled = Stubs { throttled: vec!["per-sender".to_owned()], ..Stubs::default() };
    let throttled = with_stubs("bob@sender.example", throttled).await;
    assert_eq!(throttled.outcome.because, decider("MtaInboundThrottle/per-sender", None));

    let refusal = postern_core::smtp::reply::Reply::from_text("550 5.7.1 no").unwrap();
    let stub = FilterStub {
        kind: FilterKind::Hook,
        name: "judge".to_owned(),
        stage: None,
        says: Some(Verdict::Reject(refusal)),
    };
    let filtered = with_stubs("bob@sender.example", Stubs { filters: vec![stub], ..Stubs::default() }).await;
    assert_eq!(filtered.outcome.because, decider("MtaHook/judge", None));
    assert!(filtered.handed_on.is_empty());
}

#[tokio::test]
async fn a_filter_that_breaks_falls_under_its_rule() {
    let stub = FilterStub { kind: FilterKind::Hook, name: "judge".to_owned(), stage: None, says: None };
    let course = with_stubs("bob@sender.example", Stubs { filters: vec![stub], ..Stubs::default() }).await;
    assert!(course.outcome.reply.as_ref().unwrap().starts_with("451 4.3.5"), "{:?}", course.outcome);
}

#[tokio::test]
async fn sessions_share_no_counters() {
    let simulator = load(POLICY).unwrap();
    let outside = Outside::Stubbed(Stubs { spf: Some(CheckResult::Pass), ..Stubs::default() });
    let visit = visit("bob@sender.example", &["ann@example.org"]);
    for _ in 0..3 {
        assert!(simulator.run(&visit, &outside).await.unwrap().outcome.is_accepted());
    }
}

#[tokio::test]
async fn a_recording_answers_for_filters_and_dns() {
    let mut recording = Recording::default();
    let spf: Recorded = serde_json::from_str(r#"{"check": {"result": "pass"}}"#).unwrap();
    recording.keep("spf 203.0.113.1 client.example.net <bob@sender.example>".to_owned(), spf);
    let outside = Outside::Recorded(recording, Stubs::default());
    let course = run(&visit("bob@sender.example", &["ann@example.org"]), &outside).await;
    assert!(course.outcome.is_accepted(), "{course:?}");
    let told: Vec<_> = course.steps.iter().flat_map(|step| &step.findings).collect();
    assert!(told.iter().any(|one| matches!(one, Finding::Answer { source: Source::Recorded, .. })));
    // What the recording does not know is said to be a stub.
    let filters = told.iter().find_map(|one| match one {
        Finding::Filters { said, .. } => Some(said),
        _ => None,
    });
    let sources: Vec<_> = filters.unwrap().iter().map(|one| (&*one.filter, one.source)).collect();
    assert_eq!(sources, [("MtaSieveScript/mark", Source::Here), ("MtaHook/judge", Source::Stub)]);
}

/// The policy without a question to DNS or the next hop. Nobody listens where the hook is to be.
fn only_filters() -> String {
    let disabled =
        "spfEhlo spfFrom reverseIp dkim dmarc".split(' ').map(|check| format!("{check}Verify: disable"));
    POLICY
        .replace("spfFromVerify: strict", &disabled.collect::<Vec<_>>().join(", "))
        .replace("!is_empty(dns_query(sender_domain + '.bl.example', 'ipv4'))", "false")
        .replace("address: mx.example.org", "address: mx.example.org, verifyRecipients: false")
}

/// What a live session with a policy writes down.
async fn recorded(policy: &str, visit: &Visit) -> Recording {
    let outside = Outside::Live(Some(Mutex::default()));
    load(policy).unwrap().run(visit, &outside).await.unwrap();
    let Outside::Live(Some(recording)) = outside else { panic!() };
    recording.into_inner().unwrap()
}

/// Who answered for a filter.
fn source_of(course: &Course, filter: &str) -> Option<Source> {
    let findings = course.steps.iter().flat_map(|step| &step.findings);
    findings
        .filter_map(|finding| match finding {
            Finding::Filters { said, .. } => Some(said),
            _ => None,
        })
        .flatten()
        .find_map(|one| (one.filter == filter).then_some(one.source))
}

#[tokio::test]
async fn a_recorded_answer_belongs_to_one_client_one_envelope_and_one_message() {
    let here = visit("bob@sender.example", &["ann@example.org"]);
    let again = |policy: String, visit: Visit| {
        let here = here.clone();
        async move {
            let outside = Outside::Recorded(recorded(&only_filters(), &here).await, Stubs::default());
            let course = load(&policy).unwrap().run(&visit, &outside).await.unwrap();
            source_of(&course, "MtaHook/judge")
        }
    };
    assert_eq!(again(only_filters(), here.clone()).await, Some(Source::Recorded));
    let other_listener = only_filters().replace("metadata: {name: smtp}", "metadata: {name: other}");
    // A script with another text is another script, so that it runs.
    let same_change =
        only_filters().replace("addheader \"X-Script\"", "/* as before */ addheader \"X-Script\"");
    let other_change = only_filters().replace("\"X-Script\" \"ran\"", "\"X-Script\" \"walked\"");
    assert_ne!(same_change, only_filters());
    assert_eq!(again(same_change, here.clone()).await, Some(Source::Recorded));
    for (what, policy, visit) in [
        ("EHLO name", only_filters(), Visit { ehlo: "other.example.net".to_owned(), ..here.clone() }),
        ("parameters", only_filters(), Visit { parameters: "BODY=8BITMIME".to_owned(), ..here.clone() }),
        ("listener", other_listener, here.clone()),
        ("what a script before it has changed", other_change, here.clone()),
    ] {
        assert_eq!(again(policy, visit).await, Some(Source::Stub), "{what}");
    }
}

#[tokio::test]
async fn signatures_that_are_read_strictly_are_another_question() {
    let visit = visit("bob@sender.example", &["ann@example.org"]);
    let policy = |strict: bool| {
        only_filters().replace("dkimVerify: disable", &format!("dkimVerify: relaxed, dkimStrict: {strict}"))
    };
    for (strict, wanted) in [(false, true), (true, false)] {
        let outside = Outside::Recorded(recorded(&policy(false), &visit).await, Stubs::default());
        let course = load(&policy(strict)).unwrap().run(&visit, &outside).await.unwrap();
        let findings = course.steps.iter().flat_map(|step| &step.findings);
        let from_the_recording =
            findings.filter(|one| matches!(one, Finding::Answer { source: Source::Recorded, .. })).count();
        assert_eq!(from_the_recording > 0, wanted, "{course:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_for_a_filter_is_not_shown_to_it() {
    let policy = POLICY.replace("stages: [data]", "stages: [data], maxMessageSize: 10");
    let visit = visit("bob@sender.example", &["ann@example.org"]);
    let stub = FilterStub {
        kind: FilterKind::Hook,
        name: "judge".to_owned(),
        stage: None,
        says: Some(Verdict::Pass(Vec::new())),
    };
    for filters in [Vec::new(), vec![stub]] {
        let stubs = Stubs { spf: Some(CheckResult::Pass), filters, ..Stubs::default() };
        let course = load(&policy).unwrap().run(&visit, &Outside::Stubbed(stubs)).await.unwrap();
        assert!(course.outcome.reply.as_ref().unwrap().starts_with("451 4.3.5"), "{:?}", course.outcome);
        assert_eq!(source_of(&course, "MtaHook/judge"), Some(Source::Policy));
    }
}

#[tokio::test(start_paused = true)]
async fn filters_that_are_asked_share_the_time_of_their_stage() {
    // It takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = |name: &str| {
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let fields = "stages: [data], timeout: 40s, tempFailOnError: false";
        format!(
            "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaHook\nmetadata: {{name: {name}}}\nspec: {{url: \"{url}\", {fields}}}\n"
        )
    };
    let policy = only_filters()
        .replace("stages: [data]}", "stages: [data], enable: false}")
        .replace("{script: \"'mark'\"}", "{filterBudget: 60s}")
        + &hook("one")
        + &hook("two");
    let visit = visit("bob@sender.example", &["ann@example.org"]);
    let course = load(&policy).unwrap().run(&visit, &Outside::Live(None)).await.unwrap();
    assert!(course.outcome.reply.as_ref().unwrap().starts_with("451 4.3.5"), "{:?}", course.outcome);
    assert_eq!(course.outcome.because, decider("MtaHook/two", None), "the first was skipped");
}

#[tokio::test]
async fn an_account_that_nobody_was_asked_about_has_no_aliases_and_says_so() {
    let policy = POLICY.to_owned()
        + "---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaDirectory\nmetadata: {name: staff}\nspec: {type: Ldap, url: \"ldaps://ldap.example.org\", baseDn: dc=example}\n---\napiVersion: mta.postern.dev/v1alpha1\nkind: MtaStageAuth\nmetadata: {name: default}\nspec: {allowClearTextAuth: true, saslMechanisms: '[plain]', require: false}\n";
    let outside = Outside::Stubbed(Stubs { spf: Some(CheckResult::Pass), ..Stubs::default() });
    let visit = Visit {
        auth: Some("bob@sender.example".to_owned()),
        ..visit("bob@sender.example", &["ann@example.org"])
    };
    let course = load(&policy).unwrap().run(&visit, &outside).await.unwrap();
    let findings = course.steps.iter().flat_map(|step| &step.findings);
    let said: Vec<_> = findings
        .filter_map(|finding| match finding {
            Finding::Answer { answer, source: Source::Stub, .. } => Some(answer),
            _ => None,
        })
        .collect();
    assert!(said.iter().any(|answer| answer.contains("aliases are not known")), "{course:?}");
}

#[tokio::test]
async fn a_live_run_records_what_filters_said() {
    let outside = Outside::Live(Some(Mutex::default()));
    let simulator = load(&only_filters()).unwrap();
    let course = simulator.run(&visit("bob@sender.example", &["ann@example.org"]), &outside).await.unwrap();
    assert_eq!(course.outcome.because, decider("MtaHook/judge", None));
    let Outside::Live(Some(recording)) = outside else { panic!() };
    let recording = serde_json::to_value(recording.into_inner().unwrap()).unwrap();
    let answers = recording["answers"].as_object().unwrap();
    let hook = answers.iter().find(|(key, _)| key.starts_with("filter MtaHook/judge data")).unwrap().1;
    let Recorded::Verdict(VerdictRecord::Failed(_)) = serde_json::from_value(hook.clone()).unwrap() else {
        panic!("{hook}")
    };
}

#[tokio::test]
async fn recipients_are_told_apart() {
    let outside = Outside::Stubbed(Stubs { spf: Some(CheckResult::Pass), ..Stubs::default() });
    let visit = visit("bob@sender.example", &["ann@example.org", "carl@elsewhere.example"]);
    let course = run(&visit, &outside).await;
    let [(_, first), (_, second)] = &course.outcome.recipients[..] else { panic!() };
    assert!(first.starts_with("250") && second.starts_with("550 5.1.2"), "{:?}", course.outcome);
    assert_eq!(course.handed_on[0].to, ["ann@example.org"]);
}

#[tokio::test]
async fn a_recipient_that_makes_no_folder_is_refused_at_rcpt() {
    let policy = POLICY.replace(
        "type: Relay, address: mx.example.org",
        "type: Maildir, path: '/var/mail/{recipient}{recipient}'",
    );
    let outside = Outside::Stubbed(Stubs { spf: Some(CheckResult::Pass), ..Stubs::default() });
    let unusable = format!("{}@example.org", "/".repeat(60));
    let visit = visit("bob@sender.example", &["ann@example.org", &unusable]);
    let course = load(&policy).unwrap().run(&visit, &outside).await.unwrap();
    let [(_, first), (_, second)] = &course.outcome.recipients[..] else { panic!() };
    assert!(first.starts_with("250") && second.starts_with("550 5.1.3"), "{:?}", course.outcome);
}

#[tokio::test]
async fn a_session_about_what_the_policy_lacks_is_refused() {
    let simulator = load(POLICY).unwrap();
    let outside = Outside::Stubbed(Stubs::default());
    let nobody =
        Visit { auth: Some("eve@example.org".to_owned()), ..visit("a@b.example", &["ann@example.org"]) };
    let unknown = simulator.run(&nobody, &outside).await.unwrap_err();
    assert_eq!(unknown, VisitError::UnknownAccount("eve@example.org".to_owned()));
    let elsewhere = Visit { listener: Some("lmtp".to_owned()), ..visit("a@b.example", &["ann@example.org"]) };
    let unknown = simulator.run(&elsewhere, &outside).await.unwrap_err();
    assert_eq!(unknown, VisitError::UnknownListener("lmtp".to_owned()));
    let smuggled = visit("a@b.example>\r\nRCPT TO:<x@y.example", &["ann@example.org"]);
    assert!(matches!(
        simulator.run(&smuggled, &outside).await.unwrap_err(),
        VisitError::ControlCharacter { what: "the sender", .. }
    ));
}

#[test]
fn a_policy_with_faults_is_none() {
    let error = load(&POLICY.replace("sender_domain ==", "sender_doman ==")).unwrap_err();
    let PolicyError::Faults { faults, .. } = error else { panic!("{error}") };
    assert!(faults[0].to_string().contains("sender_doman"), "{}", faults[0]);
    assert_eq!(faults[0].line, Some(18));
}
