//! Dovecot as a next hop: a private LMTP server with a quota for each mailbox.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::client::Client;
use crate::maildir::Maildir;
use crate::port::Port;
use crate::process::{self, Ending, Program};
use crate::wait::{self, PATIENCE};

/// A running Dovecot for the domain `example.test`.
#[derive(Debug)]
pub struct Dovecot {
    _program: Program,
    port: Port,
    home: TempDir,
    quotas: BTreeMap<String, u64>,
}

impl Dovecot {
    /// Starts an instance with these mailboxes: local part and quota in KiB.
    ///
    /// A full mailbox is answered `452 4.2.2` after the message, the other recipients get their own answers.
    ///
    /// # Errors
    /// When it does not come up; the error carries its log.
    pub fn start(mailboxes: &[(&str, u64)]) -> Result<Self> {
        let home = super::open_home("postern-dovecot-")?;
        let port = Port::reserve()?;
        fs::create_dir(home.path().join("mail"))?;
        chown(home.path().join("mail"), Some(MAIL_USER), Some(MAIL_USER))?;
        let quotas: BTreeMap<String, u64> =
            mailboxes.iter().map(|(local, kib)| ((*local).to_owned(), *kib)).collect();
        write_users(&home, &quotas)?;
        fs::write(home.path().join("dovecot.conf"), configuration(&home, &port))?;
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(home.path().join("dovecot.conf"));
        let mut program = Program::start("dovecot", command, &home.path().join("output"), Ending::Terminate)?;
        let log = home.path().join("log");
        wait::until("Dovecot", PATIENCE, || {
            program.must_run()?;
            Ok(Client::connect(port.address()).ok())
        })
        .with_context(|| fs::read_to_string(log).unwrap_or_default())?;
        Ok(Self { _program: program, port, home, quotas })
    }

    /// Where its LMTP server listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The mailbox of a local part.
    pub fn mailbox(&self, local: &str) -> Maildir {
        Maildir::at(self.home.path().join("mail").join(local))
    }

    /// Gives a mailbox another quota, in KiB, and waits until Dovecot knows it: it looks at its list of users once a second.
    ///
    /// # Errors
    /// When the list of users cannot be written, or is not read.
    pub fn set_quota(&mut self, local: &str, kib: u64) -> Result<()> {
        self.quotas.insert(local.to_owned(), kib);
        write_users(&self.home, &self.quotas)?;
        let wanted = format!("*:storage={kib}K");
        wait::until("the new quota", PATIENCE, || {
            let mut doveadm = Command::new("doveadm");
            doveadm.arg("-c").arg(self.home.path().join("dovecot.conf"));
            doveadm.args(["user", "-f", "quota_rule", &format!("{local}@example.test")]);
            Ok((process::run(&mut doveadm)?.trim() == wanted).then_some(()))
        })
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

fn write_users(home: &TempDir, quotas: &BTreeMap<String, u64>) -> Result<()> {
    let mail = home.path().join("mail");
    let line = |(local, kib): (&String, &u64)| {
        let home = mail.join(local);
        format!(
            "{local}@example.test::{MAIL_USER}:{MAIL_USER}::{}::userdb_quota_rule=*:storage={kib}K\n",
            home.display()
        )
    };
    let users: String = quotas.iter().map(line).collect();
    let draft = home.path().join("users.draft");
    fs::write(&draft, users)?;
    Ok(fs::rename(draft, home.path().join("users"))?)
}

fn configuration(home: &TempDir, port: &Port) -> String {
    let number = port.number();
    let home = home.path().display();
    format!(
        "protocols = lmtp\n\
         base_dir = {home}/run\n\
         state_dir = {home}/state\n\
         log_path = {home}/log\n\
         ssl = no\n\
         default_vsz_limit = 1G\n\
         mail_location = maildir:~\n\
         first_valid_uid = 1\n\
         mail_plugins = quota\n\
         quota_full_tempfail = yes\n\
         auth_mechanisms = plain\n\
         passdb {{\n  driver = passwd-file\n  args = {home}/users\n}}\n\
         userdb {{\n  driver = passwd-file\n  args = {home}/users\n}}\n\
         protocol lmtp {{\n  mail_plugins = quota\n  postmaster_address = postmaster@example.test\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {number}\n  }}\n}}\n\
         service stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n\
         plugin {{\n  quota = maildir:User quota\n  quota_grace = 0\n}}\n"
    )
}

/// The number of a user that owns the mailboxes and need not exist.
const MAIL_USER: u32 = 5000;
