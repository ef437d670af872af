//! Folders of manifests: one written file by file, and one laid out as the kubelet mounts a ConfigMap.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// One manifest. `spec` is YAML in flow style, braces included.
pub fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// A listener that strangers may send mail to: it passes for port 25 wherever it is bound.
pub fn listener(name: &str, bind: SocketAddr) -> String {
    object("MtaListener", name, &format!("{{bind: [\"{bind}\"], publicPort: 25}}"))
}

/// The local domain `example.test`, in which every address is put to the next hop.
pub fn open_domain() -> String {
    object("MtaDomain", "example", "{name: example.test, allowRelaying: true}")
}

/// A relay to one next hop in clear text. `more` are further fields, such as `protocol: lmtp`, or nothing.
pub fn relay(name: &str, hop: SocketAddr, more: &str) -> String {
    let (host, port) = (hop.ip(), hop.port());
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    object(
        "MtaRoute",
        name,
        &format!("{{type: Relay, address: \"{host}\", port: {port}, tls: {{mode: Disable}}{more}}}"),
    )
}

/// What lets a load test run on one connection: the documented limits are made for strangers.
pub fn no_session_limits() -> String {
    object(
        "MtaStageData",
        "default",
        "{maxMessages: 1000000, maxMessageSize: 268435456, addReceivedHeader: true}",
    ) + &object(
        "MtaInboundSession",
        "default",
        "{timeout: 5m, maxDuration: 1h, transferLimit: 1099511627776}",
    )
}

/// The settings every test starts from: a fixed host name, and no look-up that would leave the machine.
pub fn settings() -> String {
    object("MtaSettings", "default", "{defaultHostname: gate.example.test}")
        + &object(
            "MtaSenderAuth",
            "default",
            "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, dkimVerify: disable, dmarcVerify: disable}",
        )
}

/// A folder of manifests, removed when dropped.
#[derive(Debug)]
pub struct Folder {
    root: TempDir,
}

impl Folder {
    /// A folder with these files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn with(files: &[(&str, String)]) -> Result<Self> {
        let folder = Self { root: TempDir::with_prefix("postern-config-")? };
        for (name, text) in files {
            folder.put(name, text)?;
        }
        Ok(folder)
    }

    /// Writes or replaces one file, by a rename, so that no reader sees half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, text: &str) -> Result<()> {
        let draft = self.path().join(format!(".{name}.draft"));
        fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, self.path().join(name))?;
        Ok(())
    }

    /// Removes one file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.path().join(name))?)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.root.path()
    }
}

/// A folder laid out as a mounted ConfigMap: each file is a link to `..data/<file>`, and `..data` is a link to the folder of the
/// current version, replaced in one step.
#[derive(Debug)]
pub struct Mount {
    root: TempDir,
    version: u32,
}

impl Mount {
    /// A mount whose first version holds these files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn with(files: &[(&str, String)]) -> Result<Self> {
        let mut mount = Self { root: TempDir::with_prefix("postern-mount-")?, version: 0 };
        mount.switch(files)?;
        Ok(mount)
    }

    /// Replaces the whole content at once, in the kubelet's order: new folder, new link, rename over the old link, links for new
    /// files, old folder away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn switch(&mut self, files: &[(&str, String)]) -> Result<()> {
        let root = self.root.path();
        let old = root.join(format!("..version_{}", self.version));
        self.version += 1;
        let folder = format!("..version_{}", self.version);
        fs::create_dir(root.join(&folder))?;
        for (name, text) in files {
            fs::write(root.join(&folder).join(name), text)?;
        }
        let link = root.join("..data_tmp");
        symlink(&folder, &link)?;
        fs::rename(&link, root.join("..data"))?;
        for (name, _) in files {
            let visible = root.join(name);
            if fs::symlink_metadata(&visible).is_err() {
                symlink(Path::new("..data").join(name), &visible)?;
            }
        }
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.root.path()
    }
}
