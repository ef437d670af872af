//! What the operator has accepted, as pods mount it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

/// The files of the folder that pods have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    files: BTreeMap<String, Vec<u8>>,
}

impl Accepted {
    /// Reads the policy of a release, or of the only one in the namespace.
    ///
    /// # Errors
    /// The caller may not read it, or there is none, or there are several.
    pub(crate) async fn read(client: &Client, namespace: &str, release: Option<&str>) -> Result<Self> {
        let parts = ListParams::default().labels(PARTS);
        let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace).list(&parts).await;
        let maps = maps.with_context(|| format!("the ConfigMaps of namespace {namespace} cannot be read"))?;
        let releases: BTreeSet<String> = maps.iter().filter_map(release_of).collect();
        let release = the_one(&releases, release).with_context(|| format!("in namespace {namespace}"))?;
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace).list(&parts).await;
        let secrets = secrets.with_context(|| {
            format!("the Secrets of namespace {namespace} cannot be read, and the policy is not whole without them")
        })?;
        let ours = |of: Option<String>| of.as_deref() == Some(release);
        let maps = maps.into_iter().filter(|map| ours(release_of(map)));
        let secrets = secrets.into_iter().filter(|secret| ours(release_of(secret)));
        let texts =
            maps.flat_map(|map| map.data.unwrap_or_default()).map(|(name, text)| (name, text.into_bytes()));
        let hidden =
            secrets.flat_map(|secret| secret.data.unwrap_or_default()).map(|(name, octets)| (name, octets.0));
        Ok(Self { files: texts.chain(hidden).collect() })
    }

    /// Writes the folder, for nobody but the caller to read.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        for (name, octets) in &self.files {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(folder.join(name))?;
            io::Write::write_all(&mut file, octets)?;
        }
        Ok(())
    }
}

/// The labels of what the operator writes for pods.
const PARTS: &str = "app.kubernetes.io/name=postern,app.kubernetes.io/component=policy";

fn release_of(part: &impl ResourceExt) -> Option<String> {
    part.labels().get("app.kubernetes.io/instance").cloned()
}

/// The release that is meant.
fn the_one<'a>(releases: &'a BTreeSet<String>, wanted: Option<&'a str>) -> Result<&'a str> {
    let known = || releases.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match (wanted, releases.len()) {
        (Some(wanted), _) if releases.contains(wanted) => Ok(wanted),
        (Some(wanted), 0) => bail!("there is no policy of release {wanted}, nor of any other"),
        (Some(wanted), _) => bail!("there is no policy of release {wanted}, but of {}", known()),
        (None, 0) => bail!("there is no policy that an operator has accepted"),
        (None, 1) => releases.first().map(String::as_str).context("there is one"),
        (None, _) => bail!("there are several releases: say --release with one of {}", known()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_release_is_meant_and_several_have_to_be_told_apart() {
        let told = |names: &[&str], wanted| match the_one(&releases(names), wanted) {
            Ok(name) => name.to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told(&["a"], None), "a");
        assert_eq!(told(&["a", "b"], Some("b")), "b");
        assert_eq!(told(&["a", "b"], None), "there are several releases: say --release with one of a, b");
        assert_eq!(told(&["a", "b"], Some("c")), "there is no policy of release c, but of a, b");
        assert_eq!(told(&[], None), "there is no policy that an operator has accepted");
        assert_eq!(told(&[], Some("c")), "there is no policy of release c, nor of any other");
    }

    #[test]
    fn nobody_else_can_read_what_was_written() {
        let home = tempfile::TempDir::new().unwrap();
        let folder = home.path().join("policy");
        let files = BTreeMap::from([("secrets-0.yaml".to_owned(), b"---\n".to_vec())]);
        Accepted { files }.write(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("secrets-0.yaml"))), (0o700, 0o600));
    }
}
