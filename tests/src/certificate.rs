//! Certificates for tests, made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::process;

/// A certificate authority of one test.
#[derive(Debug)]
pub struct Authority {
    home: TempDir,
}

/// A certificate with its key, as PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The chain: leaf, then authority.
    pub certificate: String,
    /// PKCS #8.
    pub key: String,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn new() -> Result<Self> {
        let home = TempDir::with_prefix("postern-ca-")?;
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=Postern test authority", "-keyout", "ca.key", "-out", "ca.pem"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
        process::run(openssl.current_dir(home.path()))?;
        Ok(Self { home })
    }

    /// The file with its certificate, for clients that verify.
    pub fn file(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// Its certificate as a Secret document with the key `ca.crt`.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn secret(&self, name: &str) -> Result<String> {
        let certificate = indented(&fs::read_to_string(self.file())?);
        Ok(format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData:\n  ca.crt: |\n{certificate}"
        ))
    }

    /// Makes a certificate for these DNS names; the first is also its common name. Every call makes another key.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn issue(&self, names: &[&str]) -> Result<Pair> {
        let home = self.home.path();
        let first = names.first().copied().unwrap_or("localhost");
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        fs::write(home.join("leaf.ext"), format!("subjectAltName={}\n", alternatives.join(",")))?;
        let mut request = Command::new("openssl");
        request.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        request.args(["-subj", &format!("/CN={first}"), "-keyout", "leaf.key", "-out", "leaf.csr"]);
        process::run(request.current_dir(home))?;
        let mut sign = Command::new("openssl");
        sign.args([
            "x509",
            "-req",
            "-in",
            "leaf.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ]);
        sign.args(["-days", "2", "-extfile", "leaf.ext", "-out", "leaf.pem"]);
        process::run(sign.current_dir(home))?;
        let read = |name: &str| fs::read_to_string(home.join(name));
        Ok(Pair { certificate: read("leaf.pem")? + &read("ca.pem")?, key: read("leaf.key")? })
    }
}

impl Pair {
    /// The pair as a `kubernetes.io/tls` Secret document.
    pub fn secret(&self, name: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  \
             tls.crt: |\n{}  tls.key: |\n{}",
            indented(&self.certificate),
            indented(&self.key)
        )
    }

    /// Writes the two files `tls.crt` and `tls.key`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("tls.crt"), &self.certificate)?;
        Ok(fs::write(folder.join("tls.key"), &self.key)?)
    }
}

/// As the value of a YAML block.
fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}
