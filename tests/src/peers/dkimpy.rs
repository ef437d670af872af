//! dkimpy, a signer that shares no code with OpenDKIM: DKIM with RSA and Ed25519 in every form, and ARC.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process;

/// Pairs of keys in files of their own.
#[derive(Debug)]
pub struct Keys {
    home: TempDir,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSA with so many bits.
    Rsa(u32),
    /// Ed25519
    Ed25519,
}

/// What a signature says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    /// The kind of the key.
    pub kind: Kind,
    /// `d=`
    pub domain: &'a str,
    /// `s=`
    pub selector: &'a str,
    /// `i=`; empty: `@` and the domain.
    pub identity: &'a str,
    /// `c=`
    pub form: &'a str,
    /// `h=`
    pub fields: &'a str,
    /// With `l=`.
    pub length: bool,
}

impl Keys {
    /// Makes one key of each kind.
    ///
    /// # Errors
    /// When openssl or dkimpy cannot do it.
    pub fn make(kinds: &[Kind]) -> Result<Self> {
        let keys = Self { home: TempDir::with_prefix("postern-dkimpy-")? };
        for kind in kinds {
            match kind {
                Kind::Rsa(bits) => {
                    let mut generate = Command::new("openssl");
                    generate.args(["genrsa", "-traditional", "-out"]).arg(keys.file(*kind));
                    process::run(generate.arg(bits.to_string()))?;
                }
                Kind::Ed25519 => {
                    let mut generate = Command::new("dknewkey");
                    process::run(
                        generate.current_dir(keys.home.path()).args(["--ktype", "ed25519", "ed25519"]),
                    )?;
                }
            }
        }
        Ok(keys)
    }

    /// The public key as it stands behind `p=`.
    ///
    /// # Errors
    /// When the key was not made.
    pub fn public(&self, kind: Kind) -> Result<String> {
        match kind {
            Kind::Rsa(_) => {
                let mut show = Command::new("openssl");
                show.args(["rsa", "-pubout", "-in"]).arg(self.file(kind));
                let pem = process::run(&mut show)?;
                let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
                Ok(lines.take_while(|line| !line.starts_with("-----")).collect())
            }
            Kind::Ed25519 => {
                let record = fs::read_to_string(self.home.path().join("ed25519.dns"))?;
                let (_, key) = record.trim().rsplit_once("p=").context("no key in the record")?;
                Ok(key.to_owned())
            }
        }
    }

    /// The message with a DKIM signature above it.
    ///
    /// # Errors
    /// When it signs nothing.
    pub fn sign(&self, how: &Signing<'_>, message: &[u8]) -> Result<Vec<u8>> {
        let algorithm = match how.kind {
            Kind::Rsa(_) => "rsa-sha256",
            Kind::Ed25519 => "ed25519-sha256",
        };
        let length = if how.length { "yes" } else { "" };
        let key = self.file(how.kind);
        let arguments = [algorithm, how.domain, how.selector, how.identity, how.form, how.fields, length];
        let signature = python(SIGN, &key, &arguments, message)?;
        Ok([&signature, message].concat())
    }

    /// The message with one more set of an ARC chain above it. What `hop` found, `results`, becomes the set's own; `arc=` in it
    /// says what became of the chain so far.
    ///
    /// # Errors
    /// When it seals nothing.
    pub fn seal(&self, hop: &str, results: &str, message: &[u8]) -> Result<Vec<u8>> {
        let found = format!("Authentication-Results: {hop}; {results}\r\n");
        let found = [found.as_bytes(), message].concat();
        let set = python(SEAL, &self.file(Kind::Rsa(2048)), &[hop], &found)?;
        Ok([&set, message].concat())
    }

    fn file(&self, kind: Kind) -> PathBuf {
        self.home.path().join(match kind {
            Kind::Rsa(bits) => format!("rsa{bits}.key"),
            Kind::Ed25519 => "ed25519.key".to_owned(),
        })
    }
}

/// Runs a program of Debian's Python, which is the one that has the module: a message in, fields out.
fn python(program: &str, key: &Path, arguments: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", program]).arg(key).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(message)?;
    let done = child.wait_with_output()?;
    if !done.status.success() || done.stdout.is_empty() {
        bail!("dkimpy ended with {}:\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(done.stdout)
}

const SIGN: &str = "\
import sys, dkim
key, algorithm, domain, selector, identity, form, fields, length = [a.encode() for a in sys.argv[1:]]
sys.stdout.buffer.write(dkim.sign(
    sys.stdin.buffer.read(), selector, domain, open(key, 'rb').read(), identity=identity or None,
    canonicalize=tuple(form.split(b'/')), signature_algorithm=algorithm, include_headers=fields.split(b':'),
    length=bool(length)))
";

const SEAL: &str = "\
import sys, dkim
key, hop = [a.encode() for a in sys.argv[1:]]
fields = dkim.arc_sign(
    sys.stdin.buffer.read(), b'arc', hop, open(key, 'rb').read(), hop,
    include_headers=[b'from', b'to', b'subject', b'date', b'message-id'])
sys.stdout.buffer.write(b''.join(fields))
";
