//! A certified provider of OpenID Connect, node's `oidc-provider`, with people who get tokens by credentials of their own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tempfile::TempDir;

use crate::certificate::Authority;
use crate::port::Port;
use crate::process::{Ending, Program, run};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running provider. Dropping it kills it.
#[derive(Debug)]
pub struct OidcProvider {
    program: Option<Program>,
    port: Port,
    home: TempDir,
    authority: PathBuf,
}

impl OidcProvider {
    /// The folder with the package, which `tests/run` installs; without it the test is skipped.
    ///
    /// # Errors
    /// When the test may not be skipped.
    pub fn is_there() -> Result<bool> {
        if !require::peers(&["node", "curl", "openssl"])? {
            return Ok(false);
        }
        if packages().is_none() {
            return require::skip("POSTERN_OIDC_PROVIDER names no folder with the package oidc-provider");
        }
        Ok(true)
    }

    /// Starts one at `https://localhost`, with a certificate of that authority.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(authority: &Authority) -> Result<Self> {
        let home = TempDir::with_prefix("postern-oidc-")?;
        authority.issue(&["localhost"])?.write(home.path())?;
        fs::write(home.path().join("provider.mjs"), include_str!("oidc_provider.mjs"))?;
        let mut provider = Self { program: None, port: Port::reserve()?, home, authority: authority.file() };
        provider.begin()?;
        Ok(provider)
    }

    /// Starts it anew on its port; its keys are other ones then.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn begin(&mut self) -> Result<()> {
        self.program = None;
        let mut command = Command::new(require::program("node").unwrap_or_else(|| "node".into()));
        let packages = packages().context("there is no package oidc-provider")?;
        command.arg("provider.mjs").arg(packages).arg(self.port.number().to_string());
        command.args(["tls.crt", "tls.key"]).current_dir(self.home.path());
        let mut program =
            Program::start("oidc-provider", command, &self.home.path().join("log"), Ending::Kill)?;
        wait::until("the provider", PATIENCE, || {
            program.must_run()?;
            Ok(std::net::TcpStream::connect(self.port.address()).ok())
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// Stops every thread of it where it is; connections are still made by the kernel.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.program.as_ref().context("the provider does not run")?.freeze()
    }

    /// What its tokens say in `iss`.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.port.number())
    }

    /// A token for a person and a resource, such as `urn:mail:RS256`: the audience, and how it is signed, or `opaque`.
    ///
    /// # Errors
    /// When there is none.
    pub fn token(&self, person: &str, resource: &str, scope: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--cacert"]).arg(&self.authority);
        let fields = [
            "grant_type=client_credentials".to_owned(),
            format!("client_id={person}"),
            "client_secret=secret".to_owned(),
            format!("scope={scope}"),
            format!("resource={resource}"),
        ];
        for field in &fields {
            curl.args(["--data-urlencode", field]);
        }
        let answer = run(curl.arg(format!("{}/token", self.issuer())))?;
        let token: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
        let token = token.get("access_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or_else(|| anyhow!("no token: {answer}"))
    }
}

fn packages() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("POSTERN_OIDC_PROVIDER")?);
    folder.join("node_modules/oidc-provider").is_dir().then_some(folder)
}
