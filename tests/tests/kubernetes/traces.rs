//! A message in the cluster is one trace in its Jaeger, and so is a reconcile of the operator.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::cluster::{Cluster, Release, Sink};
use postern_tests::jaeger::{Jaeger, audited};
use postern_tests::milter::Milter;

use super::manifest;

/// This machine, as pods see it; and the node, on which Jaeger runs.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 1);
const NODE: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 2);

#[test]
fn a_message_is_found_by_its_queue_id_and_a_refusal_by_its_text() -> Result<()> {
    let Some(cluster) = Cluster::of_environment() else { return Ok(()) };
    let jaeger = Jaeger::at((NODE, 16686).into());
    let sink = Sink::start(&cluster, "postern-traces")?;
    let release = Release::install(cluster, "postern-traces", VALUES)?;
    let milter = Milter::start_on(OUTSIDE, |_| None)?;
    let hook = audited(OUTSIDE, format!("http://{NODE}:4318"))?;
    let script = "{contents: \"require [\\\"editheader\\\"]; addheader \\\"X-Seen\\\" \\\"yes\\\";\"}";
    let rule = "{isSenderAllowed: \"sender != 'evil@example.net'\"}";
    release.apply(
        &[
            manifest("MtaMilter", "scanner", &format!("{{{}}}", milter.fields())),
            manifest("MtaSieveScript", "marker", script),
            manifest("MtaStageData", "default", "{script: \"'marker'\"}"),
            manifest("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit"))),
            manifest("MtaStageMail", "default", rule),
            manifest("MtaSenderAuth", "default", NO_CHECKS),
        ]
        .concat(),
    )?;
    release.settled()?;

    let mut client = Client::connect(release.service()?)?;
    client.expect("EHLO client.example.net", "250")?;
    let refusal = client.expect("MAIL FROM:<evil@example.net>", "550")?.to_string();
    client.envelope("a@example.net", &["b@example.org"])?;
    let reply = client.message(&letter("traced", 2000))?;
    ensure!(reply.is("250"), "{reply}");
    client.quit();
    ensure!(sink.roster()?.contains("traced"));

    let asked = hook.requests();
    let told = asked.first().context("the hook was not asked")?.json()?;
    let id = told["context"]["queue"]["id"].as_str().context("no queue id")?;
    // The hook and the gate send what they have in their own time; of the gate's spans the root is the last.
    let both = ["audited", "smtp.transaction"];
    let trace = jaeger.trace(id, |trace| both.iter().all(|name| trace.named(name).count() == 1))?;
    println!("{}", trace.outline());
    assert_eq!(trace.outline(), WHOLE);
    let root = trace.one("smtp.transaction")?;
    assert_eq!((root.tag("postern.verdict"), root.tag("postern.queue_id")), ("accepted", id));
    for (name, verdict) in [
        ("filter.milter", "pass"),
        ("filter.sieve", "modify"),
        ("filter.hook", "pass"),
        ("handoff.relay", "delivered"),
    ] {
        let span = trace.one(name)?;
        assert_eq!(span.tag("postern.verdict"), verdict, "{name}");
        ensure!(span.took > 0 && span.took <= root.took, "{span:?}");
    }
    ensure!(trace.one("handoff.relay")?.tag("postern.hop.reply").starts_with("250"));

    let id = refusal.rsplit_once("[id ").and_then(|(_, id)| id.strip_suffix(']')).context("no id")?;
    let trace = jaeger.trace(id, |trace| trace.named("smtp.transaction").count() == 1)?;
    let root = trace.one("smtp.transaction")?;
    assert_eq!((root.tag("postern.verdict"), root.tag("postern.reply.code")), ("rejected", "550"));
    assert_eq!(
        (root.tag("postern.object"), root.tag("postern.rule")),
        ("MtaStageMail/default", "isSenderAllowed")
    );
    let reconcile = jaeger.find("postern-operator", "operator.reconcile")?;
    assert_eq!(
        reconcile.outline(),
        "operator.reconcile\n  operator.review\n  operator.compile\n  operator.apply\n"
    );
    release.remove()
}

const WHOLE: &str = "\
smtp.transaction
  smtp.mail
  smtp.rcpt
    handoff.verify
  smtp.data
    filter.milter
    filter.sieve
    filter.hook
      audited
    handoff.relay
";

/// Nothing here knows a name of the world.
const NO_CHECKS: &str = "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, \
                         dkimVerify: disable, arcVerify: disable, dmarcVerify: disable}";

const VALUES: &str = "
domain: {name: example.org, allowRelaying: true}
route: {type: Relay, address: sink}
service: {type: ClusterIP}
server:
  replicas: 2
  env:
    - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: \"http://jaeger.tracing.svc.cluster.local:4317\"}
    - {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: grpc}
    - {name: OTEL_BSP_SCHEDULE_DELAY, value: \"200\"}
operator:
  env:
    - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: \"http://jaeger.tracing.svc.cluster.local:4318\"}
    - {name: OTEL_BSP_SCHEDULE_DELAY, value: \"200\"}
";
