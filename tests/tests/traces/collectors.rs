//! Collectors that are down, slow, or refuse: mail does not notice, and what is lost is counted.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{Client, letter};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::http::{Answer, HttpServer};
use postern_tests::jaeger::Jaeger;
use postern_tests::manifests::{no_session_limits, relay};
use postern_tests::port::Port;
use postern_tests::require;
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

use crate::bench::traced;

/// Room for few spans, and little patience.
const SMALL: [(&str, &str); 4] = [
    ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "700"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "600"),
];

/// Sends messages; the longest wait for a reply.
fn send(site: &Site, messages: usize) -> Result<Duration> {
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    let mut longest = Duration::ZERO;
    for at in 0..messages {
        let began = Instant::now();
        client.envelope("bob@sender.example", &["anna@example.test"])?;
        ensure!(client.message(&letter(&format!("message{at}"), 100))?.is("250 2.0.0"));
        longest = longest.max(began.elapsed());
    }
    client.quit();
    Ok(longest)
}

fn count(site: &Site, outcome: &str) -> Result<u64> {
    let (_, metrics) = site.gate.get("/metrics")?;
    let wanted = format!("postern_trace_spans_total{{outcome=\"{outcome}\"}} ");
    Ok(metrics.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok()).unwrap_or_default())
}

/// 40 messages make some 160 spans, of which the queue holds 16.
fn mail_does_not_notice(endpoint: &str) -> Result<Site> {
    let hop = Hop::start(Protocol::Smtp)?;
    let objects = relay("inside", hop.address(), "") + &no_session_limits();
    let site = traced(&objects, endpoint, &SMALL)?;
    let longest = send(&site, 40)?;
    // A gate that waited would take the 600 ms of a request at least.
    ensure!(longest < Duration::from_millis(500), "a message took {longest:?}");
    assert_eq!(hop.stored().len(), 40);
    wait::until("spans to be dropped and counted", PATIENCE, || {
        let (queue, export) = (count(&site, "QueueFull")?, count(&site, "ExportFailed")?);
        Ok((queue > 0 && export > 0).then_some(()))
    })?;
    assert_eq!(count(&site, "Exported")?, 0);
    Ok(site)
}

#[test]
fn a_collector_that_is_down_delays_no_mail() -> Result<()> {
    let nobody = Port::reserve()?;
    mail_does_not_notice(&format!("http://{}", nobody.address())).map(drop)
}

#[test]
fn a_collector_that_never_answers_delays_no_mail() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut ignored = [0; 4096];
                while stream.read(&mut ignored).is_ok_and(|octets| octets > 0) {}
            });
        }
    });
    let site = mail_does_not_notice(&endpoint)?;
    // The end does not wait for it for long either.
    let began = Instant::now();
    ensure!(site.gate.stop(Duration::from_secs(15))?.success());
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_collector_that_refuses_delays_no_mail() -> Result<()> {
    let refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let collector = HttpServer::start(|_| Answer::Raw(refusal.to_vec()))?;
    let endpoint = collector.url("");
    let hop = Hop::start(Protocol::Smtp)?;
    let objects = relay("inside", hop.address(), "") + &no_session_limits();
    let mut site = traced(&objects, endpoint.trim_end_matches('/'), &[])?;
    ensure!(send(&site, 10)? < Duration::from_millis(500));
    let lost = wait::until("spans to be lost and counted", PATIENCE, || {
        Ok(Some(count(&site, "ExportFailed")?).filter(|lost| *lost > 0))
    })?;
    ensure!(lost >= 40 && count(&site, "Exported")? == 0, "{lost}");
    let said = |log: &str| log.matches("spans cannot be sent").count();
    assert_eq!(said(&site.log()?), 1, "the log says it once");
    Ok(())
}

#[test]
fn spans_go_over_tls_to_whom_the_certificates_say() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let (ours, others) = (Authority::new()?, Authority::new()?);
    let Some(jaeger) = Jaeger::with_tls(&ours)? else { return Ok(()) };
    let home = tempfile::tempdir()?;
    ours.issue(&["gate"])?.write(home.path())?;
    let file = |path: PathBuf| path.to_string_lossy().into_owned();
    let (certificate, key) = (file(home.path().join("tls.crt")), file(home.path().join("tls.key")));
    let hop = Hop::start(Protocol::Smtp)?;
    for (endpoint, protocol) in [(jaeger.grpc(), "grpc"), (jaeger.http(), "http/protobuf")] {
        let certified = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ];
        let (trusted, strange) = (file(ours.file()), file(others.file()));
        let authority = |file| ("OTEL_EXPORTER_OTLP_CERTIFICATE", file);
        let known = [&certified[..], &[authority(&*trusted)]].concat();
        let site = traced(&relay("inside", hop.address(), ""), &endpoint, &known)?;
        send(&site, 1)?;
        wait::until("spans over TLS", PATIENCE, || Ok((count(&site, "Exported")? >= 3).then_some(())))?;
        assert_eq!(count(&site, "ExportFailed")?, 0, "{protocol}");

        // Neither a collector of strangers nor one that does not know us gets a span.
        let strangers = [&certified[..], &[authority(&*strange)]].concat();
        for refused in [&strangers[..], &[certified[0], authority(&*trusted)]] {
            let site = traced(&relay("inside", hop.address(), ""), &endpoint, &[refused, &SMALL].concat())?;
            send(&site, 1)?;
            wait::until("spans to be counted as lost", PATIENCE, || {
                Ok((count(&site, "ExportFailed")? > 0).then_some(()))
            })?;
            assert_eq!(count(&site, "Exported")?, 0, "{protocol}");
        }
    }
    Ok(())
}

#[test]
fn without_a_collector_nothing_is_recorded() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&(relay("inside", hop.address(), "") + &no_session_limits()))?;
    send(&site, 3)?;
    for outcome in ["Exported", "QueueFull", "ExportFailed"] {
        assert_eq!(count(&site, outcome)?, 0);
    }
    Ok(())
}
