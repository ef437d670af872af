//! What `kubectl apply` does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{deliver, letter};
use postern_tests::cluster::Pod;

use super::{manifest, site, wait_for_condition, wait_for_size};

#[test]
fn a_change_is_in_force_in_every_pod_within_a_second() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let pods: Vec<SocketAddr> = site.pods()?.iter().map(Pod::smtp).collect();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // A kubelet looks at a pod at most once a second; changes in a row would only measure that.
        std::thread::sleep(Duration::from_millis(1300));
        let size = 1_000_000 + round;
        let begun = Instant::now();
        release.apply(&manifest("MtaStageData", "default", &format!("{{maxMessageSize: {size}}}")))?;
        let applied = begun.elapsed();
        for pod in &pods {
            wait_for_size(*pod, size)?;
        }
        times.push((begun.elapsed(), applied));
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!(
        "apply to in force in 3 pods: median {:?}, worst {:?}; of that kubectl {:?}",
        median.0, worst.0, median.1
    );
    release.clear()?;
    ensure!(median.0 < Duration::from_secs(1), "median {median:?} of {times:?}");
    Ok(())
}

#[test]
fn what_is_wrong_is_refused_with_its_position_and_nothing_changes() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let expression = manifest("MtaStageData", "default", "{maxMessages: '1 + sender_doman'}");
    let script =
        manifest("MtaSieveScript", "wrong", "{contents: \"keep;\\nif heder :is 'a' 'b' { discard; }\"}");
    for (bad, wanted) in [
        (expression, ["spec.maxMessages", "line 1 column 5", "did you mean `sender_domain`?"]),
        (script, ["spec.contents", "line 2 column 4", "did you mean `header`?"]),
    ] {
        for arguments in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
            let said = release.kubectl(arguments, &bad)?;
            ensure!(!said.success);
            println!("{}", said.errors.trim());
            for words in wanted {
                ensure!(said.errors.contains(words), "{words} is missing in: {}", said.errors);
            }
        }
    }
    let open = manifest("MtaStageRcpt", "default", "{allowRelaying: true}");
    let said = release.kubectl(&["apply", "-f", "-"], &open)?;
    println!("{}", said.errors.trim());
    ensure!(!said.success && said.errors.contains("an open relay"), "{}", said.errors);
    Ok(())
}

#[test]
fn a_set_in_the_wrong_order_is_taken_with_warnings_and_comes_together() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let domain =
        manifest("MtaDomain", "ordered", "{name: ordered.example, allowRelaying: true, route: later}");
    let route = manifest("MtaRoute", "later", "{type: Discard}");
    let both = format!("{domain}{route}");
    let dry = release.kubectl(&["apply", "--dry-run=server", "-f", "-"], &both)?;
    ensure!(dry.success, "{}", dry.errors);
    let said = release.apply(&domain)?;
    ensure!(said.errors.contains("Warning: ") && said.errors.contains("`later`"), "{}", said.errors);
    release.settled()?;
    let resolved = release.condition("mtadomain ordered", "ResolvedRefs")?;
    ensure!(resolved.starts_with("False RefNotFound: "), "{resolved}");
    release.apply(&both)?;
    wait_for_condition(release, "mtadomain ordered", "Programmed", "True ")?;
    let reply =
        deliver(release.service()?, "a@example.net", &["b@ordered.example"], &letter("ordered", 500))?;
    ensure!(reply.is("250"), "{reply}");
    release.clear()
}

#[test]
fn a_whole_set_in_reverse_order_is_taken_at_once_and_comes_together() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let set = set()?;
    let reversed: String = set.iter().rev().map(String::as_str).collect();
    let dry = release.kubectl(&["apply", "--dry-run=server", "-f", "-"], &reversed)?;
    ensure!(dry.success, "{}", dry.errors);
    let begun = Instant::now();
    let said = release.apply(&reversed)?;
    let applied = begun.elapsed();
    release.all_in_force()?;
    println!(
        "{} objects in reverse order: dry run taken; kubectl {applied:?} with {} warnings, all in force after {:?}",
        set.len(),
        said.errors.matches("Warning:").count(),
        begun.elapsed()
    );
    let service = release.service()?;
    let reply = deliver(service, "a@example.net", &["known@set.example"], &letter("set", 500))?;
    ensure!(reply.is("250") && site.sink.roster()?.contains("set"), "{reply}");
    for (sender, recipient) in
        [("a@blocked.example", "known@set.example"), ("a@example.net", "unknown@set.example")]
    {
        let refused = deliver(service, sender, &[recipient], &letter("no", 500))?;
        ensure!(refused.code == 550, "{sender} to {recipient}: {refused}");
    }
    release.clear()?;
    release.kubectl(&["delete", "secret/set-tls", "secret/set-people", "configmap/set-lists"], "")?;
    Ok(())
}

/// A policy of many kinds, in the order of who needs whom: what is named stands before what names it.
fn set() -> Result<Vec<String>> {
    let pair = Authority::new()?.issue(&["mx.set.example"])?;
    let people =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: set-people}\nstringData: {known: secret}\n";
    let lists = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: set-lists}\ndata: {blocked: blocked.example}\n";
    let person = "{address: known@set.example, passwords: [{secretKeyRef: {name: set-people, key: known}}]}";
    Ok(vec![
        pair.secret("set-tls"),
        people.to_owned(),
        lists.to_owned(),
        manifest(
            "MtaLookup",
            "set-blocked",
            "{namespace: blocked, configMapKeyRef: {name: set-lists, key: blocked}}",
        ),
        manifest("MtaRoute", "set-mailboxes", "{type: Relay, address: sink}"),
        manifest("MtaRoute", "set-archive", "{type: Discard}"),
        manifest("MtaDirectory", "set-people", &format!("{{type: Inline, accounts: [{person}]}}")),
        manifest("MtaDomain", "set", "{name: set.example, route: set-mailboxes, directory: set-people}"),
        manifest("MtaInboundThrottle", "set", "{key: [sender], rate: {count: 1000, period: 1h}}"),
        manifest(
            "MtaOutboundStrategy",
            "default",
            "{route: {match: [{if: \"rcpt_domain == 'archive.example'\", then: \"'set-archive'\"}], else: \"'set-mailboxes'\"}}",
        ),
        manifest("MtaStageMail", "default", "{isSenderAllowed: \"!key_exists('blocked', sender_domain)\"}"),
        manifest("MtaStageData", "default", "{maxMessageSize: 20000000}"),
        manifest(
            "MtaListener",
            "set-smtps",
            "{bind: ['0.0.0.0:2465'], publicPort: 465, tls: {secretNames: [set-tls], implicit: true}}",
        ),
    ])
}

const ROUNDS: u64 = 20;
