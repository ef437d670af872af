//! What is wrong, missing, deleted or too large: nothing in force is lost, and the state is there to see.

use anyhow::{Result, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::cluster::{Cluster, LEISURE, Release};
use postern_tests::wait;

use super::{manifest, site, wait_for_condition};

#[test]
fn without_the_webhook_a_wrong_object_says_so_in_its_status_and_what_was_in_force_stays() -> Result<()> {
    let Some(cluster) = Cluster::of_environment() else { return Ok(()) };
    let values = "webhook: {enabled: false}\nserver: {replicas: 1}\noperator: {replicas: 1}\nservice: {type: ClusterIP}\n\
                  domain: {name: example.org, allowRelaying: true}\nroute: {type: Discard}\n";
    let release = Release::install(cluster, "postern-unreviewed", values)?;
    release.apply(&manifest("MtaStageData", "default", "{maxMessageSize: 7000001}"))?;
    release.all_in_force()?;
    release.apply(&manifest(
        "MtaStageData",
        "default",
        "{maxMessages: '1 + sender_doman', maxMessageSize: 7000002}",
    ))?;
    let accepted = wait_for_condition(&release, "mtastagedata default", "Accepted", "False Invalid: ")?;
    println!("{accepted}");
    for words in ["spec.maxMessages", "line 1 column 5", "did you mean `sender_domain`?"] {
        ensure!(accepted.contains(words), "{words} is missing in {accepted}");
    }
    let programmed = release.condition("mtastagedata default", "Programmed")?;
    ensure!(programmed.contains("what was in force before stays"), "{programmed}");
    let pod = release.pods("server")?.remove(0);
    let mut client = postern_tests::client::Client::connect(pod.smtp())?;
    ensure!(client.command("EHLO client.example")?.has_line("SIZE 7000001"));
    client.quit();
    let open = manifest("MtaStageRcpt", "default", "{allowRelaying: true}");
    release.apply(&open)?;
    let accepted = wait_for_condition(&release, "mtastagercpt default", "Accepted", "False Invalid: ")?;
    ensure!(accepted.contains("an open relay"), "{accepted}");
    let refused = deliver(pod.smtp(), "a@example.net", &["b@elsewhere.example"], &letter("open", 500))?;
    ensure!(refused.code == 550, "{refused}");
    release.remove()
}

#[test]
fn what_is_missing_is_named_and_waited_for() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let lookup = manifest("MtaLookup", "later", "{configMapKeyRef: {name: later, key: list}}");
    let listener = manifest(
        "MtaListener",
        "later",
        "{bind: ['0.0.0.0:2466'], publicPort: 466, tls: {secretNames: [later], implicit: true}}",
    );
    let said = release.apply(&format!("{lookup}{listener}"))?;
    ensure!(
        said.errors.contains("there is no ConfigMap `later`")
            && said.errors.contains("there is no Secret `later`"),
        "{}",
        said.errors
    );
    for (object, missing) in
        [("mtalookup later", "ConfigMap `later`"), ("mtalistener later", "Secret `later`")]
    {
        let resolved = wait_for_condition(release, object, "ResolvedRefs", "False RefNotFound: ")?;
        ensure!(resolved.contains(missing), "{resolved}");
        let programmed = wait_for_condition(release, object, "Programmed", "False RefNotFound: ")?;
        println!("{object}: {resolved}; {programmed}");
    }
    release.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {list: one}\n")?;
    wait_for_condition(release, "mtalookup later", "Programmed", "True ")?;
    // Gone again while it is in use: it stays in force.
    release.kubectl(&["delete", "configmap", "later"], "")?;
    let resolved = wait_for_condition(release, "mtalookup later", "ResolvedRefs", "False RefNotFound: ")?;
    ensure!(resolved.contains("has been deleted"), "{resolved}");
    ensure!(release.condition("mtalookup later", "Programmed")?.starts_with("True "));
    still_takes_mail(release, "missing")?;
    release.clear()
}

#[test]
fn a_deleted_route_that_is_in_use_stays_in_force_and_says_so() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let route = manifest("MtaRoute", "used", "{type: Discard}");
    let domain = manifest("MtaDomain", "user", "{name: user.example, allowRelaying: true, route: used}");
    release.apply(&format!("{route}{domain}"))?;
    wait::until("both in force", LEISURE, || {
        Ok(release.condition("mtadomain user", "Programmed")?.starts_with("True ").then_some(()))
    })?;
    release.kubectl(&["delete", "mtaroute", "used"], "")?;
    wait::until("the domain to say so", LEISURE, || {
        let resolved = release.condition("mtadomain user", "ResolvedRefs")?;
        Ok(resolved.contains("MtaRoute/used has been deleted").then_some(()))
    })?;
    let reply = deliver(release.service()?, "a@example.net", &["b@user.example"], &letter("used", 500))?;
    ensure!(reply.is("250"), "{reply}");
    release.clear()
}

#[test]
fn a_deleted_script_that_is_in_use_stays_in_force_and_says_so() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let script = manifest("MtaSieveScript", "used", "{contents: 'reject \"the script has spoken\";'}");
    let stage = manifest("MtaStageMail", "default", "{script: \"'used'\"}");
    release.apply(&format!("{script}{stage}"))?;
    wait::until("both in force", LEISURE, || {
        Ok(release.condition("mtastagemail default", "Programmed")?.starts_with("True ").then_some(()))
    })?;
    release.kubectl(&["delete", "mtasievescript", "used"], "")?;
    wait::until("the stage to say so", LEISURE, || {
        let resolved = release.condition("mtastagemail default", "ResolvedRefs")?;
        Ok(resolved.contains("MtaSieveScript/used has been deleted").then_some(()))
    })?;
    let mut client = Client::connect(release.service()?)?;
    client.expect("EHLO client.example", "250")?;
    client.expect("MAIL FROM:<a@example.net>", "503 5.5.3 the script has spoken")?;
    release.clear()
}

#[test]
fn a_set_that_is_too_large_keeps_the_old_one_and_says_so() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let list = |name: &str, octets: usize| {
        let line = "      somebody@somewhere.example a value that stands for something\n";
        let lines: String = (0..octets / line.len())
            .map(|number| line.replacen("somebody", &format!("n{number:07}"), 1))
            .collect();
        let lookup = manifest(
            "MtaLookup",
            name,
            &format!("{{namespace: {name}, configMapKeyRef: {{name: {name}, key: list}}}}"),
        );
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  list: |\n{lines}{lookup}"
        )
    };
    // 2 MB are no difficulty.
    let two: String = (0..8).map(|number| list(&format!("large-{number}"), 256_000)).collect();
    let said = release.kubectl(&["apply", "--server-side", "-f", "-"], &two)?;
    ensure!(said.success, "{}", said.errors);
    release.all_in_force()?;
    let before = release.get("mtasettings default")?["status"]["revision"].clone();
    // 12 MB are, wherever they are put.
    let more: String = (8..20).map(|number| list(&format!("large-{number}"), 900_000)).collect();
    let said = release.kubectl(&["apply", "--server-side", "-f", "-"], &more)?;
    ensure!(said.success, "{}", said.errors);
    let converged = wait_for_condition(release, "mtasettings default", "Converged", "False TooLarge: ")?;
    println!("2 MB in force; with 12 MB more: {converged}");
    // Those that came before it was too much are in force.
    wait_for_condition(release, "mtalookup large-19", "Programmed", "False TooLarge: ")?;
    let kept = release.get("mtasettings default")?["status"]["revision"].clone();
    println!("revision {before} before, {kept} kept");
    still_takes_mail(release, "large")?;
    release.clear()?;
    let names: Vec<String> = (0..20).map(|number| format!("configmap/large-{number}")).collect();
    let names: Vec<&str> = std::iter::once("delete").chain(names.iter().map(String::as_str)).collect();
    release.kubectl(&names, "")?;
    wait_for_condition(release, "mtasettings default", "Converged", "True ").map(drop)
}

#[test]
fn a_policy_that_pods_cannot_load_is_reported_and_new_pods_wait() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    // The port of the probes: every pod has it in use, which only a pod can find out.
    release.apply(&manifest("MtaListener", "clash", "{bind: ['0.0.0.0:9090']}"))?;
    let programmed = wait_for_condition(release, "mtalistener clash", "Programmed", "False RefusedByPod: ")?;
    println!("{programmed}");
    ensure!(programmed.contains("MtaListener/clash spec.bind"), "{programmed}");
    still_takes_mail(release, "clash")?;
    // A pod that starts now has no older policy to keep. It waits, and says why.
    let old = release.pods("server")?;
    let gone = old.first().map(|pod| pod.name.clone()).unwrap_or_default();
    release.kubectl(&["delete", "pod", &gone, "--wait=false"], "")?;
    let waiting = wait::until("a pod that waits", LEISURE, || {
        let pods = release.started_pods("server")?;
        let new = pods.into_iter().find(|pod| old.iter().all(|known| known.uid != pod.uid));
        let Some(new) = new else { return Ok(None) };
        Ok(new.ask("/readyz").ok().filter(|answer| answer.contains("spec.bind")).map(|answer| (new, answer)))
    })?;
    let (pod, answer) = waiting;
    println!("{} waits: {}", pod.name, answer.lines().last().unwrap_or_default());
    ensure!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let reply = postern_tests::client::Client::connect_silent(pod.smtp())?.reply()?;
    ensure!(reply.is("421 4.3.2"), "{reply}");
    still_takes_mail(release, "waiting")?;
    release.kubectl(&["delete", "mtalistener", "clash"], "")?;
    wait::until("three pods", LEISURE, || Ok((release.pods("server")?.len() == 3).then_some(())))?;
    let restarts =
        release.get(&format!("pod {}", pod.name))?["status"]["containerStatuses"][0]["restartCount"].clone();
    ensure!(restarts == 0, "the pod was restarted {restarts} times");
    release.settled()
}

fn still_takes_mail(release: &Release, mark: &str) -> Result<()> {
    let reply = deliver(release.service()?, "a@example.net", &["b@example.org"], &letter(mark, 500))?;
    ensure!(reply.is("250"), "{reply}");
    Ok(())
}
