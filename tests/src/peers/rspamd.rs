//! rspamd: a private instance that knows nothing but SPF, DKIM, ARC and DMARC, as a second opinion, or nothing but the rules of a
//! test, as a filter.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tempfile::TempDir;

use crate::peers::milter::Envelope;
use crate::port::Port;
use crate::process::{Ending, Program};
use crate::wait::{self, PATIENCE};

/// A running rspamd.
#[derive(Debug)]
pub struct Rspamd {
    _program: Program,
    port: Port,
    _home: TempDir,
}

impl Rspamd {
    /// Starts an instance that asks this name server alone.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(dns: SocketAddr) -> Result<Self> {
        Self::configured(|home, port| authentication(home, dns, port))
    }

    /// Starts an instance with these rules in Lua and no others.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn with_rules(rules: &str) -> Result<Self> {
        Self::configured(|home, port| own_rules(home, port, rules))
    }

    /// Starts an instance that is a milter: its proxy worker. It asks nobody, and adds the field X-Spamd-Bar.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn milter() -> Result<Self> {
        Self::configured(|home, port| Ok(milter(home, port)))
    }

    /// Where its worker listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    fn configured(configuration: impl Fn(&Path, &Port) -> Result<String>) -> Result<Self> {
        let home = super::open_home("postern-rspamd-")?;
        let port = Port::reserve()?;
        // The list of the package takes minutes to compile; these are all the suffixes that the tests use.
        fs::write(home.path().join("suffixes"), super::PUBLIC_SUFFIXES)?;
        let file = home.path().join("rspamd.conf");
        fs::write(&file, configuration(home.path(), &port)?)?;
        let mut command = Command::new("rspamd");
        // `-i`: it runs as whoever started it.
        command.args(["-f", "-i", "-c"]).arg(&file);
        let mut program = Program::start("rspamd", command, &home.path().join("log"), Ending::Terminate)?;
        wait::until("rspamd", PATIENCE, || {
            program.must_run()?;
            Ok(TcpStream::connect(port.address()).ok())
        })?;
        Ok(Self { _program: program, port, _home: home })
    }

    /// The value of the Authentication-Results field that it would add to a message.
    ///
    /// # Errors
    /// When it gives no such answer.
    pub fn results(&self, envelope: &Envelope<'_>, message: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect(self.port.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let Envelope { client, name, helo, sender } = envelope;
        let head = format!(
            "POST /checkv2 HTTP/1.0\r\nContent-Length: {}\r\nIP: {client}\r\nHostname: {name}\r\nHelo: {helo}\r\n\
             From: {sender}\r\nRcpt: anna@example.test\r\n\r\n",
            message.len()
        );
        stream.write_all(&[head.as_bytes(), message].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("not HTTP: {answer}"))?;
        let judged: Value = serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?;
        let field = judged.pointer("/milter/add_headers/Authentication-Results/value");
        let field = field.and_then(Value::as_str).map(str::to_owned);
        field.ok_or_else(|| anyhow!("no results: {judged}"))
    }
}

fn authentication(home: &Path, dns: SocketAddr, port: &Port) -> Result<String> {
    let modules = ["spf", "dmarc", "arc", "milter_headers"];
    let modules = modules.map(|name| format!("path = \"/usr/share/rspamd/plugins/{name}.lua\";")).join(" ");
    Ok(common(home, "filters = \"dkim\";", &format!("nameserver = [\"{}:{}\"];", dns.ip(), dns.port()))
        + &normal_worker(port)
        + &format!(
            "lua = \"/usr/share/rspamd/rules/rspamd.lua\";
             modules {{ {modules} }}
             spf {{ }} dkim {{ }} dmarc {{ }} arc {{ sign_local = false; sign_authenticated = false; }}
             milter_headers {{ use = [\"authentication-results\"]; }}
             metric {{ name = \"default\"; actions {{ reject = 1000; }} }}\n"
        ))
}

fn own_rules(home: &Path, port: &Port, rules: &str) -> Result<String> {
    let file = home.join("rules.lua");
    fs::write(&file, rules)?;
    // It asks nobody: this is the address of a name server that is not there.
    Ok(common(home, "filters = \"\";", "nameserver = [\"127.0.0.1:1\"];")
        + &normal_worker(port)
        + &format!(
            "lua = \"{}\";
             metric {{ name = \"default\"; subject = \"*** SPAM *** %s\"; actions {{ reject = 1000; }} }}\n",
            file.display()
        ))
}

fn milter(home: &Path, port: &Port) -> String {
    let address = port.address();
    common(home, "filters = \"\";", "nameserver = [\"127.0.0.1:1\"];")
        + &format!(
            "worker \"rspamd_proxy\" {{ bind_socket = \"{address}\"; count = 1; milter = yes; timeout = 30s;
               upstream \"local\" {{ default = yes; self_scan = yes; }} }}
             lua = \"/usr/share/rspamd/rules/rspamd.lua\";
             modules {{ path = \"/usr/share/rspamd/plugins/milter_headers.lua\"; }}
             milter_headers {{ use = [\"x-spamd-bar\"]; skip_local = false; skip_authenticated = false; }}
             metric {{ name = \"default\"; actions {{ reject = 15; }} }}\n"
        )
}

fn normal_worker(port: &Port) -> String {
    format!("worker \"normal\" {{ bind_socket = \"{}\"; count = 1; }}\n", port.address())
}

fn common(home: &Path, options: &str, dns: &str) -> String {
    let home = home.display();
    format!(
        "options {{ pidfile = \"{home}/pid\"; rundir = \"{home}\"; dbdir = \"{home}\"; tempdir = \"{home}\";
           control_socket = \"{home}/control mode=0600\"; local_addrs = []; {options} url_tld = \"{home}/suffixes\";
           dns {{ {dns} timeout = 1s; retransmits = 2; sockets = 2; }} }}
         logging {{ type = \"console\"; level = \"warning\"; }}\n"
    )
}
