//! OpenLDAP's slapd with a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::certificate::Pair;
use crate::port::Port;
use crate::process::{Ending, Program, run};
use crate::require;
use crate::wait::{self, PATIENCE};

/// Where everything in it begins.
pub const BASE: &str = "dc=example,dc=test";
/// The service that may search; nobody else may.
pub const SERVICE: &str = "cn=postern,dc=example,dc=test";
/// Its password.
pub const SERVICE_PASSWORD: &str = "service secret";

/// A running slapd. Dropping it kills it.
#[derive(Debug)]
pub struct Slapd {
    program: Option<Program>,
    clear: Port,
    tls: Port,
    home: TempDir,
}

impl Slapd {
    /// Starts one with these further entries, as LDIF below [`BASE`]; with a certificate it offers StartTLS and has a
    /// second port with TLS from the beginning.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(entries: &str, certificate: &Pair) -> Result<Self> {
        let home = TempDir::with_prefix("postern-slapd-")?;
        let path = home.path();
        fs::create_dir(path.join("data"))?;
        certificate.write(path)?;
        fs::write(path.join("slapd.conf"), configuration(path))?;
        fs::write(path.join("people.ldif"), format!("{ROOT}\n{entries}"))?;
        let mut load = Command::new(program("slapadd"));
        load.arg("-f").arg(path.join("slapd.conf")).arg("-l").arg(path.join("people.ldif"));
        run(&mut load).context("loading the directory")?;
        let mut slapd = Self { program: None, clear: Port::reserve()?, tls: Port::reserve()?, home };
        slapd.begin()?;
        Ok(slapd)
    }

    /// Starts it anew on its ports, after [`Self::kill`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn begin(&mut self) -> Result<()> {
        let mut command = Command::new(program("slapd"));
        command.arg("-f").arg(self.home.path().join("slapd.conf"));
        let urls = format!("ldap://{}/ ldaps://{}/", self.clear.address(), self.tls.address());
        // `-d` keeps it in the foreground.
        command.args(["-h", &urls, "-d", "stats"]);
        let mut program = Program::start("slapd", command, &self.home.path().join("log"), Ending::Kill)?;
        wait::until("slapd", PATIENCE, || {
            program.must_run()?;
            Ok(std::net::TcpStream::connect(self.tls.address()).ok())
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// Kills it with `SIGKILL`.
    ///
    /// # Errors
    /// When it was not running.
    pub fn kill(&mut self) -> Result<()> {
        self.program.take().context("slapd does not run")?.kill()
    }

    /// Stops every thread of it where it is; connections are still made by the kernel.
    ///
    /// # Errors
    /// When it was not running.
    pub fn freeze(&self) -> Result<()> {
        self.program.as_ref().context("slapd does not run")?.freeze()
    }

    /// What it has written down so far: every operation with its result.
    pub fn log(&self) -> String {
        self.program.as_ref().map(Program::log).unwrap_or_default()
    }

    /// Where it speaks LDAP, with StartTLS on request.
    pub fn address(&self) -> SocketAddr {
        self.clear.address()
    }

    /// Where it speaks LDAP inside TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls.address()
    }
}

fn program(name: &str) -> PathBuf {
    require::program(name).unwrap_or_else(|| name.into())
}

fn configuration(home: &Path) -> String {
    let home = home.display();
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         include /etc/ldap/schema/misc.schema\n\
         pidfile {home}/pid\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         TLSCertificateFile {home}/tls.crt\n\
         TLSCertificateKeyFile {home}/tls.key\n\
         database mdb\n\
         suffix \"{BASE}\"\n\
         directory {home}/data\n\
         access to attrs=userPassword by dn.exact=\"{SERVICE}\" read by anonymous auth by * none\n\
         access to * by dn.exact=\"{SERVICE}\" read by * none\n"
    )
}

const ROOT: &str = "dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: cn=postern,dc=example,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: postern
userPassword: service secret
";
