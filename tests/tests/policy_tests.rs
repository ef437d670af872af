//! `postern test` and `postern diff` as CI of a policy repository runs them, and the tests of every example.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use postern_tests::gate::{file_of_tree, postern};
use postern_tests::manifests::{Folder, object};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The manifests of an example. Scripts stand beside the quickstart, as their first line says.
fn example(name: &str) -> Result<Folder> {
    let folder = Folder::with(&[])?;
    for entry in fs::read_dir(examples().join(name))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        if file.ends_with(".yaml") {
            folder.put(file, &fs::read_to_string(&path)?)?;
        }
    }
    if name == "sieve" {
        folder.put("gate.yaml", &file_of_tree("examples/quickstart/gate.yaml")?)?;
    }
    Ok(folder)
}

fn run(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let (status, text) = postern(arguments)?;
    Ok((status.code(), text))
}

#[test]
fn every_example_keeps_what_its_tests_promise() -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(examples())? {
        let entry = entry?;
        ensure!(entry.file_type()?.is_dir(), "{} is no folder", entry.path().display());
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    ensure!(names.len() >= 5, "{names:?}");
    for name in names {
        let folder = example(&name)?;
        let (path, programs) = (folder.path().display().to_string(), examples().join("filters/programs"));
        let arguments = ["test", &path, "--coverage", "--pipe-dir", &programs.display().to_string()];
        let (status, text) = run(&arguments)?;
        assert_eq!(status, Some(0), "{name}:\n{text}");
        ensure!(text.contains("test result: ok. ") && text.contains("\ncoverage: "), "{name}:\n{text}");
        ensure!(!text.contains("was never asked"), "{name}:\n{text}");
        // Its manifests alone are the policy: the tests are none of it.
        let (status, text) = run(&["check", &path, "--pipe-dir", &programs.display().to_string()])?;
        assert_eq!(status, Some(0), "{name}:\n{text}");
    }
    Ok(())
}

fn test(name: &str, spec: &str) -> String {
    object("MtaPolicyTest", name, spec)
}

fn policy() -> String {
    object("MtaListener", "smtp", "{bind: [\"127.0.0.1:2525\"], publicPort: 25}")
        + &object("MtaDomain", "example", "{name: example.test, allowRelaying: true}")
        + &object("MtaRoute", "store", "{type: Maildir, path: \"mail/{local}\"}")
}

const HAM: &str = "session: {from: a@sender.example, to: [anna@example.test]}";

#[test]
fn failed_tests_and_bad_input_have_their_own_exit_status() -> Result<()> {
    let good = test("good", &format!("{{{HAM}, expect: {{reply: 250 2.0.0}}}}"));
    let bad = test("bad", &format!("{{{HAM}, expect: {{reply: 550}}}}"));
    let folder = Folder::with(&[("gate.yaml", policy()), ("tests.yaml", good.clone() + &bad)])?;
    let path = folder.path().display().to_string();
    let junit = folder.path().join("report.xml");
    let (status, text) = run(&["test", &path, "--junit", &junit.display().to_string()])?;
    assert_eq!(status, Some(1), "{text}");
    for wanted in [
        "test good ... ok",
        "test bad ... FAILED",
        "---- bad (tests.yaml:7) ----\nreply: expected `550`, found `250 2.0.0",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
    ] {
        ensure!(text.contains(wanted), "no `{wanted}` in\n{text}");
    }
    let report = fs::read_to_string(&junit)?;
    ensure!(report.contains("tests=\"2\" failures=\"1\""), "{report}");

    let (status, text) = run(&["test", &path, "good"])?;
    assert_eq!(status, Some(0), "{text}");
    ensure!(text.contains("1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out"), "{text}");
    let (status, text) = run(&["test", &path, "nothing-like-it"])?;
    assert_eq!(status, Some(2), "{text}");

    folder.put("tests.yaml", &(good.replace("expect:", "expct:") + &bad))?;
    let (status, text) = run(&["test", &path])?;
    assert_eq!(status, Some(2), "{text}");
    ensure!(text.contains("error: tests.yaml:5:68: MtaPolicyTest/good spec.expct: unknown field `expct`, did you mean `expect`?"), "{text}");
    ensure!(!text.contains("running"), "a test was run:\n{text}");
    Ok(())
}

#[test]
fn tests_may_stand_in_a_folder_of_their_own() -> Result<()> {
    let policies = Folder::with(&[("gate.yaml", policy())])?;
    let tests = Folder::with(&[
        (
            "tests.yaml",
            test(
                "good",
                "{session: {from: a@sender.example, to: [anna@example.test], messageFile: a.eml}, expect: {handedOn: [{contains: by file}]}}",
            ),
        ),
        ("a.eml", "From: a@sender.example\n\nby file\n".to_owned()),
    ])?;
    let (policies, tests) = (policies.path().display().to_string(), tests.path().display().to_string());
    let (status, text) = run(&["test", &policies, "--tests", &tests])?;
    assert_eq!(status, Some(0), "{text}");
    Ok(())
}

#[test]
fn two_policies_are_compared_by_what_they_do() -> Result<()> {
    let old = Folder::with(&[("gate.yaml", policy())])?;
    let strict = object("MtaStageMail", "default", "{isSenderAllowed: \"sender_domain != 'spam.example'\"}");
    let new = Folder::with(&[("gate.yaml", policy() + &strict)])?;
    let sessions = new.path().join("sessions.jsonl");
    let session = |sender: &str| {
        format!(
            "{{\"remote_ip\": \"192.0.2.1\", \"helo\": \"mx.sender.example\", \"sender\": \"{sender}\", \"recipients\": [\"anna@example.test\"], \"size\": 2000}}\n"
        )
    };
    fs::write(&sessions, session("a@sender.example") + &session("b@spam.example") + &session(""))?;
    let path = |folder: &Folder| folder.path().display().to_string();
    let (old, new, sessions) = (path(&old), path(&new), sessions.display().to_string());
    let (status, text) = run(&["diff", &old, &new, "--sessions", &sessions])?;
    assert_eq!(status, Some(1), "{text}");
    let tail = text.split_once("session 2: 192.0.2.1 from <b@spam.example> to anna@example.test\n");
    let (_, tail) = tail.context(text.clone())?;
    ensure!(tail.contains("- handed to store from <b@spam.example>"), "{text}");
    ensure!(tail.contains("because MtaStageMail/default isSenderAllowed"), "{text}");
    ensure!(
        tail.ends_with("3 sessions, 1 would change: 1 would be refused, 0 would be accepted, 0 otherwise\n"),
        "{text}"
    );
    ensure!(!text.contains("session 1:") && !text.contains("session 3:"), "{text}");

    let (status, text) = run(&["diff", &old, &old, "--sessions", &sessions])?;
    assert_eq!(status, Some(0), "{text}");
    fs::write(
        &sessions,
        session("a@sender.example").replace("\"size\"", "\"account\": \"eve@example.test\", \"size\""),
    )?;
    let (status, text) = run(&["diff", &old, &new, "--sessions", &sessions])?;
    assert_eq!(status, Some(2), "{text}");
    ensure!(
        text.contains("session 1: no directory of the policy has the account `eve@example.test`"),
        "{text}"
    );
    fs::write(&sessions, "{\"remote_ip\": \"192.0.2.1\"}\n")?;
    let (status, text) = run(&["diff", &old, &new, "--sessions", &sessions])?;
    assert_eq!(status, Some(2), "{text}");
    ensure!(text.contains("sessions.jsonl:1:0: this is no session: missing field `recipients`"), "{text}");
    Ok(())
}
