//! What the data plane is made of.

use std::process::Command;

use anyhow::{Result, ensure};

/// The server reads files. A client of the Kubernetes API in it would be a way out of the pod.
#[test]
fn the_server_is_no_client_of_the_kubernetes_api() -> Result<()> {
    let tree = |package: &str| -> Result<String> {
        let cargo = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--package",
                package,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()?;
        ensure!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
        Ok(String::from_utf8(cargo.stdout)?)
    };
    let has_client = |tree: &str| tree.lines().any(|line| line.starts_with("kube-client "));
    assert!(has_client(&tree("postern-operator")?), "the check would not see a client");
    assert!(!has_client(&tree("postern-server")?));
    Ok(())
}
