//! What holds for filters of every kind, shown with hooks: the breaker, the time for all of them, and those that only observe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::filtered::Filtered;
use postern_tests::http::{Answer, HttpServer};
use postern_tests::manifests::object;
use postern_tests::wait::{self, PATIENCE};
use serde_json::Value;

const MESSAGE: &[u8] =
    b"From: Bob <bob@sender.example>\r\nSubject: minutes\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\
    Message-ID: <1@sender.example>\r\n\r\nSee you at nine.\r\n";

const VERDICTS: &str = "postern_filter_verdicts_total";

fn hook(name: &str, server: &HttpServer, more: &str) -> String {
    object("MtaHook", name, &format!("{{url: \"{}\"{more}}}", server.url(name)))
}

fn accept() -> Answer {
    Answer::Json("{\"action\": \"accept\"}".into())
}

fn fail() -> Answer {
    Answer::Raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec())
}

#[test]
fn a_filter_that_keeps_failing_is_left_alone_and_tried_again() -> Result<()> {
    let heals = Arc::new(AtomicBool::new(false));
    let healed = Arc::clone(&heals);
    let server = HttpServer::start(move |_| if healed.load(Ordering::SeqCst) { accept() } else { fail() })?;
    let mut gate = Filtered::start(&hook("dead", &server, ", breaker: {failures: 2, cooldown: 10s}"))?;
    for _ in 0..2 {
        ensure!(gate.send("a@sender.example", MESSAGE)?.is("451 4.3.5"));
    }
    heals.store(true, Ordering::SeqCst);
    // Not asked, though it would answer: its failure rule applies at once.
    let reply = gate.send("a@sender.example", MESSAGE)?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    assert_eq!(server.requests().len(), 2);
    let labels = [("kind", "hook"), ("filter", "dead"), ("verdict", "left_alone"), ("mode", "enforce")];
    assert_eq!(gate.metric(VERDICTS, &labels)?, 1.0);
    let last = gate.log_of("dead")?.pop().unwrap_or_default();
    ensure!(last["error"] == "left alone after too many failures", "{last}");
    // After its rest it is asked again, and then it counts as healthy.
    wait::until("the filter to be asked again", PATIENCE, || {
        Ok(gate.send("a@sender.example", MESSAGE)?.is("250").then_some(()))
    })?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("250"));
    assert_eq!(server.requests().len(), 4);
    Ok(())
}

#[test]
fn a_filter_that_may_be_left_out_is_left_out_while_it_rests() -> Result<()> {
    let server = HttpServer::start(|_| fail())?;
    let more = ", tempFailOnError: false, breaker: {failures: 1, cooldown: 1h}";
    let gate = Filtered::start(&hook("dead", &server, more))?;
    for _ in 0..5 {
        ensure!(gate.send("a@sender.example", MESSAGE)?.is("250 2.0.0"));
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(gate.stored_for("anna")?.len(), 5);
    Ok(())
}

#[test]
fn the_time_for_all_filters_ends_with_451_while_the_client_waits() -> Result<()> {
    let server =
        HttpServer::start(|request| if request.path == "/late" { Answer::Silence } else { accept() })?;
    let budget = object("MtaStageData", "default", "{filterBudget: 1s}");
    // Even a filter that may be left out: nobody can say what the rest would have said.
    let hooks = hook("early", &server, ", order: 1")
        + &hook("late", &server, ", order: 2, timeout: 3m, tempFailOnError: false")
        + &hook("never", &server, ", order: 3");
    let mut gate = Filtered::start(&(budget + &hooks))?;
    let began = Instant::now();
    let reply = gate.send("a@sender.example", MESSAGE)?;
    ensure!(reply.is("451 4.3.5"), "{reply}");
    ensure!(began.elapsed() >= Duration::from_secs(1), "too early: {:?}", began.elapsed());
    assert_eq!(server.requests_at("never").len(), 0);
    assert_eq!(gate.metric("postern_filter_budget_exceeded_total", &[])?, 1.0);
    let lines = gate.log_of("late")?;
    let over =
        |line: &Value| line["message"] == "the time for all filters is over" && line["level"] == "WARN";
    ensure!(lines.len() == 1 && lines.iter().all(over), "{lines:?}");
    let labels = [("filter", "late"), ("verdict", "failure"), ("mode", "enforce")];
    assert_eq!(gate.metric(VERDICTS, &labels)?, 1.0);
    ensure!(gate.stored_for("anna")?.is_empty());
    Ok(())
}

#[test]
fn an_observed_filter_that_uses_the_time_up_stops_only_those_after_it() -> Result<()> {
    let server =
        HttpServer::start(|request| if request.path == "/late" { Answer::Silence } else { accept() })?;
    let budget = object("MtaStageData", "default", "{filterBudget: 1s}");
    let late = hook("late", &server, ", order: 2, timeout: 3m, mode: Observe");
    let mut gate = Filtered::start(&(budget.clone() + &hook("early", &server, ", order: 1") + &late))?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("250 2.0.0"));
    let line = gate.log_of("late")?.pop().unwrap_or_default();
    ensure!(line["message"] == "the time for all filters is over", "{line}");
    assert_eq!(gate.metric("postern_filter_budget_exceeded_total", &[])?, 0.0);
    let gate = Filtered::start(&(budget + &late + &hook("after", &server, ", order: 3")))?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("451 4.3.5"));
    assert_eq!(gate.metric("postern_filter_budget_exceeded_total", &[])?, 1.0);
    Ok(())
}

#[test]
fn an_observed_filter_has_no_effect_and_says_what_it_would_have_done() -> Result<()> {
    let server = HttpServer::start(|request| match request.path.as_str() {
        "/rejects" => {
            Answer::Json(r#"{"action": "reject", "response": {"status": 550, "message": "no"}}"#.into())
        }
        "/edits" => Answer::Json(
            r#"{"action": "accept", "modifications": [
                {"type": "addHeader", "name": "X-Observed", "value": "yes"},
                {"type": "deleteRecipient", "value": "anna@example.test"}]}"#
                .into(),
        ),
        "/drops" => Answer::Json("{\"action\": \"discard\"}".into()),
        "/breaks" => fail(),
        _ => accept(),
    })?;
    let observed = ["rejects", "edits", "drops", "breaks", "passes"];
    let hooks: String = observed.iter().map(|name| hook(name, &server, ", mode: Observe")).collect();
    let mut gate = Filtered::start(&(hooks + &hook("last", &server, ", order: 9")))?;
    ensure!(gate.send("a@sender.example", MESSAGE)?.is("250 2.0.0"));
    let stored = gate.stored()?;
    ensure!(stored.ends_with(std::str::from_utf8(MESSAGE)?) && !stored.contains("X-Observed"), "{stored}");
    // Who comes after it is not shown its edits either.
    let last =
        server.requests_at("last").first().map(|request| request.json()).transpose()?.unwrap_or_default();
    ensure!(last["envelope"]["to"][0]["address"] == "anna@example.test", "{last}");
    ensure!(last["message"]["headers"].as_array().map(Vec::len) == Some(4), "{last}");
    for (name, verdict) in [("rejects", "reject"), ("edits", "modify"), ("drops", "discard")] {
        let lines = gate.log_of(name)?;
        let said = |line: &Value| (line["message"].clone(), line["outcome"].clone());
        let wanted = (Value::from("an observed filter would have acted"), Value::from(verdict));
        ensure!(lines.len() == 1 && lines.iter().all(|line| said(line) == wanted), "{name}: {lines:?}");
        let labels = [("filter", name), ("mode", "observe"), ("verdict", verdict)];
        assert_eq!(gate.metric(VERDICTS, &labels)?, 1.0, "{name}");
    }
    let lines = gate.log_of("breaks")?;
    ensure!(lines.len() == 1 && lines[0]["rule"] == "the filter is only observed", "{lines:?}");
    assert_eq!(gate.log_of("passes")?.len(), 0);
    let seconds = gate.metric("postern_filter_seconds_count", &[("filter", "passes"), ("stage", "data")])?;
    assert_eq!(seconds, 1.0);
    Ok(())
}
