//! Real mail programs of the system, each with a private configuration, private folders and private ports.

pub mod clamav;
pub mod dkimpy;
pub mod dovecot;
pub mod milter;
pub mod nsd;
pub mod oidc_provider;
pub mod opendkim;
pub mod opendmarc;
pub mod openssl;
pub mod postfix;
pub mod recorder;
pub mod redis;
pub mod rspamd;
pub mod sink;
pub mod slapd;
pub mod spamassassin;
pub mod swaks;
pub mod tls_proxy;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use tempfile::TempDir;

/// A home for a daemon that changes its user: temporary folders are closed to others, this one can be passed through.
fn open_home(prefix: &str) -> Result<TempDir> {
    let home = TempDir::with_prefix(prefix)?;
    fs::set_permissions(home.path(), Permissions::from_mode(0o755))?;
    Ok(home)
}

/// The suffixes below which names of the tests belong to different owners, one on a line.
const PUBLIC_SUFFIXES: &str = "arpa\nbank\ncom\nexample\nnet\norg\ntest\n";
