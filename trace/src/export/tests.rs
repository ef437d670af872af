//! Exporters against a listener that answers as a collector does.

use std::io;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{Began, Kind, Root, Settings, Span, Tracer};

fn settings(more: &[(&str, &str)]) -> Settings {
    let lookup =
        |name: &str| more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::from_variables(("postern", "1"), lookup).0.unwrap()
}

fn root(tracer: &Tracer, trace: u128) -> Span {
    tracer.begin(Root { trace, name: "root", kind: Kind::Server, began: Began::now() })
}

fn counted(tracer: &Tracer) -> String {
    let (mut registry, mut out) = (Registry::default(), String::new());
    tracer.register(&mut registry);
    text::encode(&mut out, &registry).unwrap();
    out
}

/// The first request on a port, and an answer to it.
async fn answer_once(port: TcpListener, answer: &[u8]) -> io::Result<Vec<u8>> {
    let (mut stream, _) = port.accept().await?;
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let head = text.find("\r\n\r\n")? + 4;
        let length = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
        (request.len() >= head + length).then_some(())
    };
    while whole(&request).is_none() {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    stream.write_all(answer).await?;
    Ok(request)
}

#[tokio::test]
async fn spans_are_sent_with_their_attributes_and_counted() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    let (tracer, exporter) = Tracer::new(settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=mail"),
    ]));
    let (end, ended) = oneshot::channel();
    let mut span = root(&tracer, 0xabc);
    span.text("postern.verdict", "accepted");
    drop(span.around(async { crate::span("child", Kind::Client) }).await);
    drop(span);
    let exporting = tokio::spawn(exporter.run(ended, super::LONGEST_PAUSE));
    let request = answer_once(port, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    end.send(()).unwrap_or_default();
    exporting.await.unwrap();
    let text = String::from_utf8_lossy(&request);
    for part in
        ["POST /v1/traces HTTP/1.1", "x-tenant: mail", "service.name", "root", "child", "postern.verdict"]
    {
        assert!(text.contains(part), "{part} in {text:?}");
    }
    assert!(counted(&tracer).contains("trace_spans_total{outcome=\"Exported\"} 2\n"), "{}", counted(&tracer));
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let (tracer, _exporter) = Tracer::new(settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "3"),
    ]));
    for trace in 1..=5 {
        drop(root(&tracer, trace));
    }
    assert!(
        counted(&tracer).contains("trace_spans_total{outcome=\"QueueFull\"} 2\n"),
        "{}",
        counted(&tracer)
    );
}

#[tokio::test]
async fn a_refused_batch_is_counted_and_not_sent_again() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    let (tracer, exporter) = Tracer::new(settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ]));
    drop(root(&tracer, 1));
    let (end, ended) = oneshot::channel();
    let exporting = tokio::spawn(exporter.run(ended, super::LONGEST_PAUSE));
    answer_once(port, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    while !counted(&tracer).contains("trace_spans_total{outcome=\"ExportFailed\"} 1\n") {
        tokio::task::yield_now().await;
    }
    end.send(()).unwrap_or_default();
    exporting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_not_there_is_given_up_in_time() {
    let (tracer, exporter) = Tracer::new(settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "3000"),
    ]));
    drop(root(&tracer, 1));
    let (end, ended) = oneshot::channel();
    drop(end);
    exporter.run(ended, super::LONGEST_PAUSE).await;
    assert!(
        counted(&tracer).contains("trace_spans_total{outcome=\"ExportFailed\"} 1\n"),
        "{}",
        counted(&tracer)
    );
}

#[tokio::test(start_paused = true)]
async fn the_farewell_is_one_span_of_time() {
    // It accepts and says nothing.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    let (tracer, exporter) = Tracer::new(settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
    ]));
    for trace in 1..=3 {
        drop(root(&tracer, trace));
    }
    let (end, ended) = oneshot::channel();
    let farewell = super::LONGEST_PAUSE;
    let exporting = tokio::spawn(exporter.run(ended, farewell));
    let _connection = port.accept().await.unwrap();
    let began = tokio::time::Instant::now();
    end.send(()).unwrap_or_default();
    exporting.await.unwrap();
    assert!(began.elapsed() < farewell + Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(
        counted(&tracer).contains("trace_spans_total{outcome=\"ExportFailed\"} 3\n"),
        "{}",
        counted(&tracer)
    );
}
