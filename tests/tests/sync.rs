//! A Maildir delivery is on the disk before the client hears 250, by the evidence of the system calls.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{deliver, letter};
use postern_tests::manifests::object;
use postern_tests::require;
use postern_tests::site::Site;
use postern_tests::trace::{Call, Trace};

const WATCHED: &str =
    "mkdir,mkdirat,openat,rename,renameat,renameat2,link,linkat,fsync,fdatasync,write,writev,sendto,sendmsg";

#[test]
fn file_and_folder_are_synced_before_the_250() -> Result<()> {
    if !require::peers(&["strace"])? {
        return Ok(());
    }
    let (_, calls) = traced_delivery()?;
    let reply = reply(&calls)?;
    let file =
        find(&calls, "the sync of the file", |call| is_sync(call) && call.text.contains("/anna/tmp/"))?;
    let rename = find(&calls, "the rename into new", |call| {
        (call.text.starts_with("rename") || call.text.starts_with("link")) && call.text.contains("anna/new/")
    })?;
    let folder =
        find(&calls, "the sync of the folder", |call| is_sync(call) && call.text.contains("/anna/new>"))?;
    let in_order = file.ended < rename.begun && rename.ended < folder.begun && folder.ended < reply.begun;
    ensure!(in_order, "wrong order: {file:?}, {rename:?}, {folder:?}, {reply:?}");
    Ok(())
}

#[test]
fn folders_made_for_a_first_delivery_are_synced_in_their_parents() -> Result<()> {
    if !require::peers(&["strace"])? {
        return Ok(());
    }
    let (home, calls) = traced_delivery()?;
    let reply = reply(&calls)?;
    let made: Vec<&Call> = calls
        .iter()
        .filter(|call| call.text.starts_with("mkdir") && call.text.trim_end().ends_with("= 0"))
        .collect();
    ensure!(!made.is_empty(), "the first delivery made no folder");
    for call in made {
        let path = call.text.split('"').nth(1).context("mkdir without a path")?;
        let made = home.join(path);
        let parent = made.parent().context("the root folder was made")?;
        let parent = format!("<{}>", parent.display());
        let synced = calls.iter().any(|sync| {
            is_sync(sync)
                && sync.text.contains(&parent)
                && sync.begun > call.ended
                && sync.ended < reply.begun
        });
        ensure!(
            synced,
            "{path} was made, and its parent not synced before the 250: it may be gone after a crash"
        );
    }
    Ok(())
}

/// One delivery into a fresh Maildir: the folder that relative paths start from, and the calls.
fn traced_delivery() -> Result<(PathBuf, Vec<Call>)> {
    let route = object("MtaRoute", "mailboxes", "{type: Maildir, path: \"mail/{domain}/{local}\"}");
    let mut site = Site::start(&route)?;
    let trace = Trace::attach(site.gate.program().id(), WATCHED)?;
    let reply = deliver(site.address(), "s@example.org", &["anna@example.test"], &letter("synced", 3000))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    Ok((site.gate.home().to_owned(), trace.finish()?))
}

/// The write of the answer to the final dot; no other command of the session is answered `250 2.0.0`.
fn reply(calls: &[Call]) -> Result<&Call> {
    find(calls, "the 250", |call| {
        ["write", "send"].iter().any(|name| call.text.starts_with(name)) && call.text.contains("250 2.0.0")
    })
}

fn is_sync(call: &Call) -> bool {
    (call.text.starts_with("fsync(") || call.text.starts_with("fdatasync("))
        && call.text.trim_end().ends_with("= 0")
}

fn find<'a>(calls: &'a [Call], what: &str, is_it: impl Fn(&Call) -> bool) -> Result<&'a Call> {
    let seen = || calls.iter().map(|call| format!("{}\n", call.text)).collect::<String>();
    calls.iter().find(|call| is_it(call)).with_context(|| format!("no trace of {what} in\n{}", seen()))
}
