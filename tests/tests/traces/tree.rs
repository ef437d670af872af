//! The tree of spans.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::exchanger::{Exchanger, all_checks};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer};
use postern_tests::jaeger::{Jaeger, Trace, audited};
use postern_tests::manifests::{no_session_limits, object, relay};
use postern_tests::milter::Milter;
use postern_tests::peers::nsd::Nsd;
use postern_tests::require;
use postern_tests::site::Site;

use crate::bench::{id_of, traced, tracing};

/// All kinds of filters, at the stages where they are usual.
fn objects(milter: &Milter, hook: &HttpServer, hop: &Hop) -> String {
    let script = "contents: \"require [\\\"editheader\\\"]; addheader \\\"X-Seen\\\" \\\"yes\\\";\"";
    [
        relay("inside", hop.address(), ""),
        object("MtaMilter", "scanner", &format!("{{{}, stages: [connect, rcpt, data]}}", milter.fields())),
        object("MtaSieveScript", "marker", &format!("{{{script}}}")),
        object("MtaStageData", "default", "{script: \"'marker'\", addReceivedHeader: true}"),
        object("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit"))),
    ]
    .concat()
}

fn send(site: &Site) -> Result<()> {
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<bob@sender.example>", "250")?;
    client.expect("RCPT TO:<anna@example.test>", "250")?;
    client.expect("DATA", "354")?;
    let reply = client.message(&letter("traced", 400))?;
    ensure!(reply.is("250 2.0.0"), "{reply:?}");
    client.quit();
    Ok(())
}

/// The queue id in the Received field of what the hop has.
fn queue_id(hop: &Hop) -> Result<String> {
    let stored = hop.stored();
    queue_id_of(&stored.first().context("nothing was handed on")?.message)
}

fn queue_id_of(message: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(message).into_owned();
    let mut words = text.split_whitespace().skip_while(|word| *word != "id").skip(1);
    words.next().map(|id| id.trim_end_matches(';').to_owned()).with_context(|| format!("no id in {text}"))
}

const WHOLE: &str = "\
smtp.transaction
  smtp.mail
  smtp.rcpt
    handoff.verify
    filter.milter
  smtp.data
    filter.milter
    filter.sieve
    filter.hook
      audited
    handoff.relay
";

fn is_one_message(trace: &Trace) -> Result<()> {
    assert_eq!(trace.outline(), WHOLE);
    let root = trace.one("smtp.transaction")?;
    assert_eq!(root.service, "gate");
    assert_eq!(root.tag("postern.verdict"), "accepted");
    assert_eq!(root.tag("postern.sender"), "<bob@sender.example>");
    assert_eq!(root.tag("postern.recipients"), "<anna@example.test>");
    assert_eq!(root.tag("client.address"), "127.0.0.1");
    assert_eq!(root.tag("postern.reply.code"), "250");
    assert_eq!(root.tag("span.kind"), "server");
    assert_eq!(root.links.len(), 1);
    for span in &trace.spans {
        let parent = trace.spans.iter().find(|other| Some(&other.id) == span.parent.as_ref());
        if let Some(parent) = parent.filter(|_| span.service == "gate") {
            // Jaeger tells whole microseconds.
            ensure!(
                span.began >= parent.began && span.began + span.took <= parent.began + parent.took + 2,
                "{span:?}"
            );
        }
        assert_eq!(span.tag("error"), "", "{span:?}");
    }
    let sieve = trace.one("filter.sieve")?;
    assert_eq!((sieve.tag("postern.filter.name"), sieve.tag("postern.verdict")), ("marker", "modify"));
    assert_eq!(sieve.tag("postern.filter.changes"), "1");
    let hook = trace.one("filter.hook")?;
    assert_eq!((hook.tag("postern.filter.name"), hook.tag("postern.verdict")), ("audit", "pass"));
    assert_eq!((hook.tag("http.request.method"), hook.tag("server.address")), ("POST", "127.0.0.1"));
    assert_eq!(trace.one("audited")?.service, "audit");
    let milters: Vec<_> = trace.named("filter.milter").map(|span| span.tag("postern.stage")).collect();
    assert_eq!(milters, ["rcpt", "data"]);
    let relay = trace.one("handoff.relay")?;
    assert_eq!((relay.tag("postern.route"), relay.tag("postern.verdict")), ("inside", "delivered"));
    ensure!(relay.tag("postern.hop.reply").starts_with("250"), "{relay:?}");
    assert_eq!(relay.tag("span.kind"), "client");
    Ok(())
}

fn one_message_is_one_trace(jaeger: &Jaeger, endpoint: &str, protocol: &str) -> Result<()> {
    let (milter, hop, hook) =
        (Milter::start(|_| None)?, Hop::start(Protocol::Smtp)?, audited(Ipv4Addr::LOCALHOST, jaeger.http())?);
    let more = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
    let site = traced(&objects(&milter, &hook, &hop), endpoint, &more)?;
    send(&site)?;
    let trace = jaeger.trace(&queue_id(&hop)?, |trace| trace.spans.len() >= 11)?;
    is_one_message(&trace)?;
    // For the picture in the documents (tests/draw-trace).
    if let Some(file) = std::env::var_os("POSTERN_KEEP_TRACE") {
        std::fs::write(file, jaeger.raw(&queue_id(&hop)?)?.unwrap_or_default().to_string())?;
    }
    let told = milter.told().iter().any(|told| told.to_string().contains("|{traceparent}|00-"));
    ensure!(told, "the milter was not told where it is");
    // The connection is a trace of its own, which the transaction leads to.
    let connection = trace.one("smtp.transaction")?.links.first().context("no link")?;
    let connection = jaeger.trace(connection, |trace| trace.named("smtp.connection").count() == 1)?;
    assert_eq!(connection.outline(), "smtp.connection\n  smtp.connect\n    filter.milter\n  smtp.ehlo\n");
    assert_eq!(connection.one("smtp.connection")?.tag("postern.connection.transactions"), "1");
    Ok(())
}

#[test]
fn a_message_is_one_trace_over_grpc() -> Result<()> {
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    one_message_is_one_trace(&jaeger, &jaeger.grpc(), "grpc")
}

#[test]
fn a_message_is_one_trace_over_http() -> Result<()> {
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    one_message_is_one_trace(&jaeger, &jaeger.http(), "http/protobuf")
}

#[test]
fn a_refusal_leads_to_its_trace_and_to_what_has_decided_it() -> Result<()> {
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    let hop = Hop::start(Protocol::Smtp)?;
    let hook = HttpServer::start(|_| {
        Answer::Json(
            "{\"action\": \"reject\", \"response\": {\"status\": 550, \"message\": \"no\"}}".to_owned(),
        )
    })?;
    let objects = [
        relay("inside", hop.address(), ""),
        object("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit"))),
        object("MtaStageMail", "default", "{isSenderAllowed: \"sender != 'evil@sender.example'\"}"),
    ];
    let site = traced(&objects.concat(), &jaeger.http(), &[])?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    let refused_sender = client.expect("MAIL FROM:<evil@sender.example>", "550")?;
    client.expect("MAIL FROM:<bob@sender.example>", "250")?;
    client.expect("RCPT TO:<anna@example.test>", "250")?;
    client.expect("DATA", "354")?;
    let refused_message = client.message(&letter("refused", 400))?;
    let mut traces = Vec::new();
    for (refusal, object, rule) in [
        (&refused_sender, "MtaStageMail/default", "isSenderAllowed"),
        (&refused_message, "MtaHook/audit", ""),
    ] {
        let text = refusal.to_string();
        let id = id_of(&text)?;
        let trace = jaeger.trace(id, |trace| trace.named("smtp.transaction").count() == 1)?;
        let root = trace.one("smtp.transaction")?;
        assert_eq!(root.tag("postern.queue_id"), id);
        assert_eq!(root.tag("postern.verdict"), "rejected");
        assert_eq!(root.tag("postern.reply.code"), "550");
        assert_eq!((root.tag("postern.object"), root.tag("postern.rule")), (object, rule));
        traces.push(trace);
    }
    assert_eq!(traces[0].outline(), "smtp.transaction\n  smtp.mail\n");
    assert_eq!(traces[1].one("filter.hook")?.tag("postern.verdict"), "reject");
    Ok(())
}

#[test]
fn a_step_that_fails_says_so() -> Result<()> {
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    let hop = Hop::start(Protocol::Smtp)?;
    let hook =
        HttpServer::start(|_| Answer::Raw(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_vec()))?;
    let hook = object("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit")));
    let site = traced(&(relay("inside", hop.address(), "") + &hook), &jaeger.http(), &[])?;
    let mut client = Client::connect(site.address())?;
    client.open("bob@sender.example", &["anna@example.test"])?;
    let reply = client.message(&letter("broken", 400))?.to_string();
    let trace = jaeger.trace(id_of(&reply)?, |trace| trace.named("smtp.transaction").count() == 1)?;
    let failed = trace.one("filter.hook")?;
    assert_eq!((failed.tag("error"), failed.tag("error.type")), ("true", "status"));
    assert_eq!(failed.tag("http.response.status_code"), "500");
    assert_eq!(trace.one("smtp.transaction")?.tag("postern.verdict"), "deferred");
    Ok(())
}

#[test]
fn sampling_takes_a_part_and_tells_hooks_so() -> Result<()> {
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    let hop = Hop::start(Protocol::Smtp)?;
    let hook = HttpServer::start(|_| Answer::Json("{\"action\": \"accept\"}".to_owned()))?;
    let hooks = object("MtaHook", "audit", &format!("{{url: \"{}\"}}", hook.url("audit")));
    let half = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let objects = [relay("inside", hop.address(), ""), hooks, no_session_limits()].concat();
    let site = traced(&objects, &jaeger.http(), &half)?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    for at in 0..64 {
        client.envelope("bob@sender.example", &["anna@example.test"])?;
        ensure!(client.message(&letter(&format!("sampled{at}"), 100))?.is("250 2.0.0"));
    }
    client.quit();
    let parents: Vec<String> = hook
        .requests()
        .iter()
        .filter_map(|request| request.header("traceparent").map(str::to_owned))
        .collect();
    let (taken, left): (Vec<_>, Vec<_>) = parents.iter().partition(|parent| parent.ends_with("-01"));
    ensure!(taken.len() + left.len() == 64 && taken.len() > 8 && left.len() > 8, "{} taken", taken.len());
    for parent in taken {
        let id = parent.split('-').nth(1).context("no id")?;
        jaeger.trace(id, |trace| trace.named("filter.hook").count() == 1)?;
    }
    for parent in left {
        let id = parent.split('-').nth(1).context("no id")?;
        ensure!(jaeger.raw(id)?.is_none(), "{id} is there");
    }
    let status = site.gate.stop(Duration::from_secs(10))?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_question_of_dns_is_a_span_when_it_leaves_the_process() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let Some(jaeger) = Jaeger::start()? else { return Ok(()) };
    let dns = Nsd::start(WORLD)?;
    let how = tracing(&jaeger.http(), &[]);
    let site = Exchanger::launch(dns.address(), &all_checks("relaxed"), "", &how)?;
    let mut traces = Vec::new();
    for local in ["anna", "otto"] {
        let mut client = site.client("192.0.2.1")?;
        client.expect("EHLO mx.example.org", "250")?;
        client.envelope("bob@example.org", &[&format!("{local}@example.test")])?;
        ensure!(client.message(&letter(local, 200))?.is("250 2.0.0"));
        client.quit();
        let id = queue_id_of(&site.stored(local)?)?;
        traces.push(jaeger.trace(&id, |trace| trace.named("smtp.transaction").count() == 1)?);
    }
    let [asking, knowing] = &traces[..] else { bail!("{traces:?}") };
    for check in ["auth.iprev", "auth.spf", "auth.dkim", "auth.arc", "auth.dmarc"] {
        for trace in &traces {
            ensure!(!trace.one(check)?.tag("postern.verdict").is_empty(), "{check}");
        }
    }
    assert_eq!(asking.one("auth.spf")?.tag("postern.verdict"), "pass");
    ensure!(asking.named("dns.query").count() >= 3, "{}", asking.outline());
    for query in asking.named("dns.query") {
        ensure!(asking.parent_of(query).starts_with("auth."), "{}", asking.outline());
        ensure!(!query.tag("dns.question.name").is_empty(), "{query:?}");
    }
    assert_eq!(knowing.named("dns.query").count(), 0, "{}", knowing.outline());
    Ok(())
}

const WORLD: &str = "\
example.org. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"
_dmarc.example.org. IN TXT \"v=DMARC1; p=none\"
mx.example.org. IN A 192.0.2.1
mx.example.org. IN TXT \"v=spf1 a -all\"
1.2.0.192.in-addr.arpa. IN PTR mx.example.org.
";
