//! Postfix as a next hop: a private instance that delivers into Maildir folders.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::certificate::Pair;
use crate::client::Client;
use crate::maildir::Maildir;
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::require;
use crate::wait::{self, PATIENCE};

/// A running Postfix for the domain `example.test`.
#[derive(Debug)]
pub struct Postfix {
    _master: Program,
    port: Port,
    implicit: Port,
    home: TempDir,
}

impl Postfix {
    /// Starts an instance in which exactly these local parts have a mailbox.
    ///
    /// # Errors
    /// When its folders cannot be made or it does not come up; the error carries its log.
    pub fn start(mailboxes: &[&str]) -> Result<Self> {
        Self::launch(mailboxes, None, "")
    }

    /// As [`Self::start`], with STARTTLS and a second port for implicit TLS.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn with_tls(mailboxes: &[&str], pair: &Pair) -> Result<Self> {
        Self::launch(mailboxes, Some(pair), "")
    }

    /// As [`Self::start`], with a milter that every message has to pass.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn with_milter(mailboxes: &[&str], milter: SocketAddr) -> Result<Self> {
        let settings = format!(
            "smtpd_milters = inet:{}:{}\nmilter_default_action = tempfail\n",
            milter.ip(),
            milter.port()
        );
        Self::launch(mailboxes, None, &settings)
    }

    fn launch(mailboxes: &[&str], pair: Option<&Pair>, settings: &str) -> Result<Self> {
        let home = super::open_home("postern-postfix-")?;
        let (port, implicit) = (Port::reserve()?, Port::reserve()?);
        for folder in ["config", "queue", "data", "mail"] {
            fs::create_dir(home.path().join(folder))?;
        }
        process::run(Command::new("chown").arg("postfix").arg(home.path().join("data")))?;
        chown(home.path().join("mail"), Some(MAIL_USER), Some(MAIL_USER))?;
        let (mut main, mut master) = (main_cf(&home, mailboxes), master_cf(&port));
        main.push_str(settings);
        if let Some(pair) = pair {
            let chain = home.path().join("config/tls.pem");
            fs::write(&chain, format!("{}{}", pair.key, pair.certificate))?;
            let chain = chain.display();
            main.push_str(&format!(
                "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {chain}\nsmtpd_tls_received_header = yes\n"
            ));
            master.push_str(&format!(
                "127.0.0.1:{} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n",
                implicit.number()
            ));
        }
        fs::write(home.path().join("config/main.cf"), main)?;
        fs::write(home.path().join("config/master.cf"), master)?;
        process::run(Command::new("postfix").arg("-c").arg(home.path().join("config")).arg("check"))?;

        let master = require::program("master").context("Postfix's master is not installed")?;
        let mut command = Command::new(master);
        // A group of its own: on SIGTERM the master passes the signal to its whole group.
        command.arg("-c").arg(home.path().join("config")).arg("-d").process_group(0);
        let mut master = Program::start("postfix", command, &home.path().join("output"), Ending::Terminate)?;
        let log = home.path().join("log");
        wait::until("Postfix", PATIENCE, || {
            master.must_run()?;
            Ok(Client::connect(port.address()).ok())
        })
        .with_context(|| fs::read_to_string(log).unwrap_or_default())?;
        Ok(Self { _master: master, port, implicit, home })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where it listens for implicit TLS, if it was started with a certificate.
    pub fn implicit_address(&self) -> SocketAddr {
        self.implicit.address()
    }

    /// The mailbox of a local part.
    pub fn mailbox(&self, local: &str) -> Maildir {
        Maildir::at(self.home.path().join("mail").join(local))
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

fn main_cf(home: &TempDir, mailboxes: &[&str]) -> String {
    let home = home.path().display();
    let maps: Vec<String> =
        mailboxes.iter().map(|local| format!("{{{local}@example.test = {local}/}}")).collect();
    let maps = maps.join(" ");
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {home}/queue\n\
         data_directory = {home}/data\n\
         maillog_file = {home}/log\n\
         maillog_file_prefixes = {home}\n\
         myhostname = postfix.example.test\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         smtpd_peername_lookup = no\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         smtpd_client_connection_count_limit = 0\n\
         message_size_limit = 0\n\
         mailbox_size_limit = 0\n\
         virtual_mailbox_limit = 0\n\
         virtual_mailbox_domains = example.test\n\
         virtual_mailbox_maps = inline:{{ {maps} }}\n\
         virtual_mailbox_base = {home}/mail\n\
         virtual_uid_maps = static:{MAIL_USER}\n\
         virtual_gid_maps = static:{MAIL_USER}\n\
         alias_maps =\n\
         local_recipient_maps =\n"
    )
}

fn master_cf(port: &Port) -> String {
    // Nothing runs in a chroot: the instance has no etc and lib of its own.
    format!(
        "127.0.0.1:{} inet n - n - - smtpd\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\n\
         proxymap unix - - n - - proxymap\n\
         error unix - - n - - error\n\
         retry unix - - n - - error\n\
         virtual unix - n n - - virtual\n\
         anvil unix - - n - 1 anvil\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         postlog unix-dgram n - n - 1 postlogd\n",
        port.number()
    )
}

/// The number of a user that owns the mailboxes and need not exist; the `virtual` agent refuses small ones.
const MAIL_USER: u32 = 5000;
