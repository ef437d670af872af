//! The test suite of the authors of RFC 7208 (`rfc7208-tests.yml`), put to our own evaluation and to that of
//! the library. It lies wherever `POSTERN_SPF_SUITE` says; `docs/adr/0002` draws its conclusion from it.

use mail_auth::spf::verify::SpfParameters;
use mail_auth::{MessageAuthenticator, SpfResult};
use serde_json::Value;

use super::*;
use crate::dns::testing::{Nameserver, Zone};

/// A question of the suite.
#[derive(Debug, Clone)]
struct Question {
    name: String,
    client: IpAddr,
    helo: String,
    sender: String,
    /// Any of these results is right.
    wanted: Vec<String>,
}

/// What disagrees with the suite, and how many questions there were.
struct Verdict {
    disagreements: Vec<String>,
    questions: usize,
}

#[tokio::test]
async fn the_suite_of_the_authors_agrees() {
    let Some(verdict) = put_to(ours).await else { return };
    eprintln!("{} of {} questions are answered otherwise", verdict.disagreements.len(), verdict.questions);
    assert!(verdict.disagreements.is_empty(), "{:#?}", verdict.disagreements);
}

/// When this fails, the reason for an evaluation of our own is gone, and `docs/adr/0002` is due for another look.
#[tokio::test]
async fn the_library_does_not_agree_with_the_suite() {
    let Some(verdict) = put_to(library).await else { return };
    eprintln!("{} of {} questions are answered otherwise", verdict.disagreements.len(), verdict.questions);
    eprintln!("{:#?}", verdict.disagreements);
    assert!(!verdict.disagreements.is_empty());
}

/// Puts every question of the suite to an evaluation; nothing when there is no suite.
async fn put_to(evaluate: impl AsyncFn(&Nameserver, Question) -> String) -> Option<Verdict> {
    let Ok(path) = std::env::var("POSTERN_SPF_SUITE") else {
        eprintln!("skipped: POSTERN_SPF_SUITE names no rfc7208-tests.yml");
        return Option::None;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let scenarios: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let mut verdict = Verdict { disagreements: Vec::new(), questions: 0 };
    for scenario in &scenarios {
        let server = Nameserver::start(zone_of(&scenario["zonedata"])).await;
        for question in questions_of(&scenario["tests"]) {
            verdict.questions += 1;
            let result = evaluate(&server, question.clone()).await;
            if !question.wanted.contains(&result) {
                verdict.disagreements.push(format!("{}: {result}, not {:?}", question.name, question.wanted));
            }
        }
    }
    Some(verdict)
}

async fn ours(server: &Nameserver, question: Question) -> String {
    let Question { client, helo, sender, .. } = &question;
    let (local_part, domain) = match sender.rsplit_once('@') {
        Some(("", domain)) => ("postmaster", domain),
        Some(parts) => parts,
        None if sender.is_empty() => ("postmaster", helo.as_str()),
        None => ("postmaster", sender.as_str()),
    };
    let identity = Identity { ip: *client, helo, local_part, domain };
    check_host(&server.resolver(), identity).await.result.name().to_owned()
}

async fn library(server: &Nameserver, question: Question) -> String {
    let authenticator = MessageAuthenticator(server.library());
    let evaluation = async move {
        let Question { client, helo, sender, .. } = &question;
        let parameters = match sender.as_str() {
            "" => SpfParameters::verify_ehlo(*client, helo, "receiver.example"),
            sender => SpfParameters::verify_mail_from(*client, helo, "receiver.example", sender),
        };
        authenticator.verify_spf(parameters).await.result()
    };
    // A task of its own, so that a panic is an answer too.
    match tokio::spawn(evaluation).await {
        Ok(SpfResult::Pass) => "pass",
        Ok(SpfResult::Fail) => "fail",
        Ok(SpfResult::SoftFail) => "softfail",
        Ok(SpfResult::Neutral) => "neutral",
        Ok(SpfResult::None) => "none",
        Ok(SpfResult::TempError) => "temperror",
        Ok(SpfResult::PermError) => "permerror",
        Err(_) => "panic",
    }
    .to_owned()
}

fn questions_of(tests: &Value) -> Vec<Question> {
    let question = |(name, test): (&String, &Value)| {
        let text = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
        let wanted = match &test["result"] {
            Value::Array(any) => any.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect(),
        };
        let client = text("host").parse().unwrap();
        Question { name: name.clone(), client, helo: text("helo"), sender: text("mailfrom"), wanted }
    };
    tests.as_object().unwrap().iter().map(question).collect()
}

/// A zone as the suite writes it: `SPF` stands for TXT too, unless there is a TXT for the name.
fn zone_of(data: &Value) -> Zone {
    let mut zone = Zone::new();
    for (name, records) in data.as_object().unwrap() {
        let records = records.as_array().unwrap();
        let has_txt = records.iter().any(|record| record.get("TXT").is_some());
        for record in records {
            let Some(record) = record.as_object() else {
                zone = zone.server_failure(name);
                continue;
            };
            for (kind, value) in record {
                zone = match (kind.as_str(), value) {
                    (_, Value::String(word)) if word == "NONE" => zone,
                    (_, Value::String(word)) if word == "TIMEOUT" => zone.server_failure(name),
                    ("SPF", _) if has_txt => zone,
                    ("SPF" | "TXT", Value::String(text)) => zone.txt_strings(name, &cut(text)),
                    // RFC 1035 section 3.3.14 knows no TXT record without strings, nor does the library.
                    ("SPF" | "TXT", Value::Array(strings)) if strings.is_empty() => zone,
                    ("SPF" | "TXT", Value::Array(strings)) => zone
                        .txt_strings(name, &strings.iter().map(|s| s.as_str().unwrap()).collect::<Vec<_>>()),
                    ("A", value) => zone.a(name, value.as_str().unwrap()),
                    ("AAAA", value) => zone.aaaa(name, value.as_str().unwrap()),
                    ("MX", value) => zone.mx(
                        name,
                        u16::try_from(value[0].as_u64().unwrap()).unwrap(),
                        value[1].as_str().unwrap(),
                    ),
                    ("PTR", value) => zone.ptr_of_name(name, value.as_str().unwrap()),
                    ("CNAME", value) => zone.cname(name, value.as_str().unwrap()),
                    (kind, _) => panic!("{kind} records"),
                };
            }
        }
    }
    zone
}

fn cut(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut strings = Vec::new();
    while rest.len() > 255 {
        let (string, after) = rest.split_at(rest.floor_char_boundary(255));
        strings.push(string);
        rest = after;
    }
    strings.push(rest);
    strings
}
