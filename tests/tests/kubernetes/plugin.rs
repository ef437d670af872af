//! `kubectl postern`: the policy of the cluster, simulated on the machine of whoever asks.

use anyhow::{Context, Result, ensure};
use postern_tests::client::Client;
use postern_tests::gate::postern;
use serde_json::Value;

use super::{manifest, site};

const SESSION: [&str; 4] = ["--from", "evil@example.net", "--to", "user@example.org"];

#[test]
fn what_the_cluster_would_answer_is_told_without_asking_it() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let cluster = release.cluster();
    release.apply(&manifest(
        "MtaStageMail",
        "default",
        "{isSenderAllowed: \"sender != 'evil@example.net'\"}",
    ))?;
    release.settled()?;
    let mut client = Client::connect(release.service()?)?;
    client.expect("EHLO client.example.net", "250")?;
    let told = client.command("MAIL FROM:<evil@example.net>")?;

    let arguments =
        [&["simulate", "--namespace", release.namespace(), "--format", "json"][..], &SESSION].concat();
    let said = cluster.plugin(&arguments, None)?;
    ensure!(said.success, "{}", said.errors);
    let course: Value = serde_json::from_str(&said.output).context(said.output.clone())?;
    let text = course.to_string();
    ensure!(told.is("550 5.7.1") && text.contains("550 5.7.1 Sender is not allowed"), "{told}: {text}");
    ensure!(text.contains("isSenderAllowed") && text.contains("MtaStageMail"), "{text}");

    // The same policy as a folder, for every other command.
    let home = tempfile::TempDir::with_prefix("postern-export-")?;
    let folder = home.path().join("policy").to_string_lossy().into_owned();
    let export = ["export", &folder, "--namespace", release.namespace()];
    let said = cluster.plugin(&export, None)?;
    ensure!(said.success, "{}", said.errors);
    let (status, output) = postern(&[&["simulate", &folder][..], &SESSION].concat())?;
    ensure!(status.success() && output.contains("550 5.7.1"), "{output}");
    let said = cluster.plugin(&export, None)?;
    ensure!(!said.success && said.errors.contains("is there already and not empty"), "{}", said.errors);
    release.clear()
}

#[test]
fn who_may_not_read_the_policy_is_told_so() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let release = &site.release;
    let cluster = release.cluster();
    for arguments in [
        &["create", "serviceaccount", "reader"][..],
        &["create", "role", "reader", "--verb=list", "--resource=configmaps"],
        &["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=postern-e2e:reader"],
    ] {
        let said = release.kubectl(arguments, "")?;
        ensure!(said.success, "{}", said.errors);
    }
    let token = release.kubectl(&["create", "token", "reader"], "")?.output;
    let home = tempfile::TempDir::with_prefix("postern-kubeconfig-")?;
    let kubeconfig = home.path().join("config");
    std::fs::copy(cluster.kubeconfig(), &kubeconfig)?;
    let own = kubeconfig.to_string_lossy();
    cluster.kubectl(
        &["--kubeconfig", &own, "config", "set-credentials", "reader", &format!("--token={}", token.trim())],
        "",
    )?;
    cluster.kubectl(&["--kubeconfig", &own, "config", "set-context", "--current", "--user=reader"], "")?;
    let arguments = [&["simulate", "--namespace", release.namespace()][..], &SESSION].concat();
    let said = cluster.plugin(&arguments, Some(&kubeconfig))?;
    ensure!(!said.success, "{}", said.output);
    ensure!(said.errors.contains("the Secrets of namespace postern-e2e cannot be read"), "{}", said.errors);

    let said = cluster.plugin(&[&["simulate", "--namespace", "default"][..], &SESSION].concat(), None)?;
    ensure!(
        !said.success && said.errors.contains("no policy that an operator has accepted"),
        "{}",
        said.errors
    );
    for resource in ["rolebinding", "role", "serviceaccount"] {
        release.kubectl(&["delete", resource, "reader"], "")?;
    }
    Ok(())
}
