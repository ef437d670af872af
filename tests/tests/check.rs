//! What an administrator sees when something is wrong: `postern check` with every fault at once, and one clear line from
//! `postern serve` when it cannot start.

use std::net::TcpListener;
use std::process::ExitStatus;

use anyhow::{Result, ensure};
use postern_tests::gate::postern;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, listener, object, open_domain, relay, settings};
use postern_tests::port::Port;
use serde_json::Value;

#[test]
fn a_good_folder_passes_the_check() -> Result<()> {
    let (folder, _port) = good()?;
    let (status, text) = check(&folder, &[])?;
    ensure!(status.success(), "{text}");
    Ok(())
}

#[test]
fn every_fault_is_named_with_file_object_and_path_at_once() -> Result<()> {
    let folder = faulty()?;
    let (status, text) = check(&folder, &[])?;
    assert_eq!(status.code(), Some(1), "{text}");
    for wanted in [
        ["data.yaml", "MtaStageData", "maxMesages"],
        ["rcpt.yaml", "MtaStageRcpt", "allowRelaying"],
        ["domain.yaml", "MtaDomain", "route"],
        ["kind.yaml", "MtaListner", "MtaListener"],
    ] {
        for word in wanted {
            ensure!(text.contains(word), "{word} is missing in:\n{text}");
        }
    }
    Ok(())
}

#[test]
fn the_check_speaks_json_and_the_format_of_github() -> Result<()> {
    let folder = faulty()?;
    let (status, text) = check(&folder, &["--format", "json"])?;
    assert_eq!(status.code(), Some(1));
    let faults: Value = serde_json::from_str(&text)?;
    ensure!(faults.to_string().contains("maxMesages"), "{text}");
    let (status, text) = check(&folder, &["--format", "github"])?;
    assert_eq!(status.code(), Some(1));
    ensure!(text.lines().any(|line| line.starts_with("::error ") && line.contains("data.yaml")), "{text}");
    Ok(())
}

#[test]
fn a_faulty_folder_is_not_served() -> Result<()> {
    let folder = faulty()?;
    let (status, text) = serve(&folder.path().to_string_lossy())?;
    ensure!(!status.success() && text.contains("maxMesages") && text.contains("MtaListner"), "{text}");
    Ok(())
}

#[test]
fn a_missing_folder_is_one_clear_line() -> Result<()> {
    let missing = "/nonexistent/postern/config";
    let (status, text) = serve(missing)?;
    one_line(status, &text, missing)?;
    let (status, text) = postern(&["check", missing])?;
    one_line(status, &text, missing)
}

#[test]
fn a_folder_without_a_listener_is_not_served() -> Result<()> {
    let folder = Folder::with(&[("settings.yaml", settings() + &open_domain())])?;
    let (status, text) = serve(&folder.path().to_string_lossy())?;
    ensure!(!status.success() && text.contains("MtaListener"), "{text}");
    Ok(())
}

#[test]
fn a_port_in_use_is_one_clear_line() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let folder = Folder::with(&[(
        "gate.yaml",
        settings() + &listener("smtp", address) + &open_domain() + &relay("hop", hop.address(), ""),
    )])?;
    let (status, text) = serve(&folder.path().to_string_lossy())?;
    one_line(status, &text, &address.to_string())
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() -> Result<()> {
    let (folder, port) = good()?;
    let spec = format!("{{bind: [\"{}\"], tls: {{secretNames: [broken]}}}}", port.address());
    folder.put("listener.yaml", &object("MtaListener", "smtp", &spec))?;
    folder.put(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: broken}\ntype: kubernetes.io/tls\nstringData: {tls.crt: no PEM, tls.key: no PEM}\n",
    )?;
    let (status, text) = serve(&folder.path().to_string_lossy())?;
    ensure!(!status.success() && text.contains("broken") && text.contains("tls.crt"), "{text}");
    let (status, text) = check(&folder, &[])?;
    ensure!(status.code() == Some(1) && text.contains("broken"), "{text}");
    Ok(())
}

/// Ended with a fault, in one line that names `what`; a log line before it does not count.
fn one_line(status: ExitStatus, text: &str, what: &str) -> Result<()> {
    let naming = text.lines().filter(|line| line.contains(what)).count();
    ensure!(!status.success() && naming == 1, "{status}, {naming} lines name {what}:\n{text}");
    ensure!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    Ok(())
}

fn check(folder: &Folder, more: &[&str]) -> Result<(ExitStatus, String)> {
    postern(&[&["check", &*folder.path().to_string_lossy()], more].concat())
}

/// `postern serve`, which is expected to end by itself.
fn serve(folder: &str) -> Result<(ExitStatus, String)> {
    let admin = Port::reserve()?;
    postern(&["serve", "--config", folder, "--admin", &admin.address().to_string()])
}

fn good() -> Result<(Folder, Port)> {
    let port = Port::reserve()?;
    let folder = Folder::with(&[
        ("settings.yaml", settings() + &open_domain()),
        ("listener.yaml", listener("smtp", port.address())),
        ("route.yaml", object("MtaRoute", "nowhere", "{type: Discard}")),
    ])?;
    Ok((folder, port))
}

/// Faults of every sort: an unknown field, a broken expression, a dangling reference, an unknown kind.
fn faulty() -> Result<Folder> {
    let (folder, _port) = good()?;
    folder.put("data.yaml", &object("MtaStageData", "default", "{maxMesages: 5}"))?;
    folder.put(
        "rcpt.yaml",
        &object("MtaStageRcpt", "default", "{allowRelaying: \"is_empty(authenticated_as\"}"),
    )?;
    folder.put("domain.yaml", &object("MtaDomain", "other", "{name: other.test, route: missing}"))?;
    folder.put("kind.yaml", &object("MtaListner", "typo", "{}"))?;
    Ok(folder)
}
