//! A gate whose people stand in slapd, with a port for each kind of client.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, object, relay, settings};
use postern_tests::peers::slapd::{BASE, SERVICE, SERVICE_PASSWORD, Slapd};
use postern_tests::port::Port;
use postern_tests::require;

/// The programs that every test needs.
pub(crate) const PROGRAMS: &[&str] = &["slapd", "slapadd", "openssl"];

/// Ann has two addresses; Ben's password is a hash; there are a list of addresses and a group of entries, one of them gone.
pub(crate) const PEOPLE: &str = "dn: uid=ann,dc=example,dc=test
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Ann
mail: ann@example.test
mail: anna@example.test
userPassword: correct horse

dn: uid=ben,dc=example,dc=test
objectClass: inetOrgPerson
uid: ben
cn: Ben
sn: Ben
mail: ben@example.test
userPassword: {SSHA}ThBNqV7Cj+pWedD9VkXlmYHGt6KGZsAE

dn: cn=team,dc=example,dc=test
objectClass: nisMailAlias
cn: team
rfc822MailMember: ann@example.test
rfc822MailMember: someone@elsewhere.test

dn: cn=board,dc=example,dc=test
objectClass: groupOfNames
cn: board
member: uid=ann,dc=example,dc=test
member: uid=ben,dc=example,dc=test
member: uid=gone,dc=example,dc=test
";

pub(crate) struct Bench {
    pub(crate) gate: Gate,
    pub(crate) slapd: Slapd,
    pub(crate) hop: Hop,
    pub(crate) authority: Authority,
    inbound: Port,
    submission: Port,
    submissions: Port,
    folder: Folder,
}

/// Which port a client goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Port 587, STARTTLS.
    Submission,
    /// Port 465, TLS from the beginning.
    Submissions,
}

impl Bench {
    /// A gate with the directory's further fields, and further objects.
    pub(crate) fn start(fields: &str, objects: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let slapd = Slapd::start(PEOPLE, &authority.issue(&["ldap.example.test"])?)?;
        let hop = Hop::start(Protocol::Smtp)?;
        let (inbound, submission, submissions) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let tls = "tls: {secretNames: [mx]}";
        let listeners =
            object("MtaListener", "mx", &format!("{{bind: ['{}'], publicPort: 25}}", inbound.address()))
                + &object(
                    "MtaListener",
                    "submission",
                    &format!("{{bind: ['{}'], publicPort: 587, {tls}}}", submission.address()),
                )
                + &object(
                    "MtaListener",
                    "submissions",
                    &format!(
                        "{{bind: ['{}'], publicPort: 465, tls: {{secretNames: [mx], implicit: true}}}}",
                        submissions.address()
                    ),
                );
        let secret = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: ldap}}\nstringData: {{password: {SERVICE_PASSWORD}}}\n"
        );
        let folder = Folder::with(&[
            ("settings.yaml", settings() + &relay("hop", hop.address(), "verifyRecipients: false") + objects),
            ("listeners.yaml", listeners),
            ("domain.yaml", object("MtaDomain", "example", "{name: example.test, directory: staff}")),
            ("directory.yaml", directory(&format!("ldap://{}", slapd.address()), fields)),
            ("ldap.yaml", secret + &authority.secret("ldap-ca")?),
            ("mx.yaml", authority.issue(&["mx.example.test"])?.secret("mx")),
        ])?;
        let gate = Gate::start(folder.path())?;
        Ok(Self { gate, slapd, hop, authority, inbound, submission, submissions, folder })
    }

    /// The port of a door.
    pub(crate) fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Submission => self.submission.address(),
            Door::Submissions => self.submissions.address(),
        }
    }

    /// A client at port 25, after EHLO.
    pub(crate) fn client(&self) -> Result<Client> {
        let mut client = Client::connect(self.inbound.address())?;
        client.expect("EHLO client.example.org", "250")?;
        Ok(client)
    }

    /// Another directory object, in force when this returns.
    pub(crate) fn replace_directory(&self, manifest: &str) -> Result<()> {
        let revision = |gate: &Gate| Ok::<_, anyhow::Error>(gate.status()?.get("revision").cloned());
        let before = revision(&self.gate)?;
        self.folder.put("directory.yaml", manifest)?;
        postern_tests::wait::until("the new directory", postern_tests::wait::PATIENCE, || {
            Ok((revision(&self.gate)? != before).then_some(()))
        })
    }

    /// What Python's own client hears.
    pub(crate) fn smtplib(&self, door: Door, mechanism: &str, user: &str, secret: &str) -> Result<String> {
        smtplib(self.address(door), door, &self.authority.file(), mechanism, user, secret)
    }
}

/// What Python's own client hears at a login: `235` and its text, or the refusal and its reason.
pub(crate) fn smtplib(
    server: SocketAddr,
    door: Door,
    authority: &Path,
    mechanism: &str,
    user: &str,
    secret: &str,
) -> Result<String> {
    let port = server.port().to_string();
    let door = if door == Door::Submission { "starttls" } else { "implicit" };
    python(SMTPLIB, &[&port, door, &authority.to_string_lossy(), mechanism, user, secret])
}

/// The directory `staff` at that URL.
pub(crate) fn directory(url: &str, fields: &str) -> String {
    let tls = "tls: {caSecretRef: {name: ldap-ca}, serverName: ldap.example.test}";
    let filters =
        "listFilter: '(|(&(objectClass=nisMailAlias)(cn={local}))(&(objectClass=groupOfNames)(cn={local})))'";
    let service =
        format!("bindDn: '{SERVICE}', bindPassword: {{secretKeyRef: {{name: ldap, key: password}}}}");
    let more = if fields.is_empty() { String::new() } else { format!(", {fields}") };
    object(
        "MtaDirectory",
        "staff",
        &format!("{{type: Ldap, url: '{url}', baseDn: '{BASE}', {service}, {filters}, {tls}{more}}}"),
    )
}

/// Runs a script of Python and gives what it prints.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Result<String> {
    let python = require::program("python3").unwrap_or_else(|| PathBuf::from("python3"));
    let home = tempfile::TempDir::with_prefix("postern-python-")?;
    let file = home.path().join("script.py");
    fs::File::create(&file)?.write_all(script.as_bytes())?;
    let done =
        Command::new(python).arg(&file).args(arguments).stdin(Stdio::null()).output().context("python3")?;
    Ok(String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).trim().to_owned())
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
port, door, authority, mechanism, user, secret = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.check_hostname = False
if door == "implicit":
    smtp = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context, timeout=30)
else:
    smtp = smtplib.SMTP("127.0.0.1", int(port), timeout=30)
    smtp.starttls(context=context)
smtp.ehlo("client.example.org")
smtp.user, smtp.password = user, secret
errors = []

def bearer(challenge=None):
    if challenge:
        # The reason, which is confirmed by a response without meaning.
        errors.append(challenge.decode())
        return "\x01" if mechanism == "OAUTHBEARER" else ""
    if mechanism == "OAUTHBEARER":
        return f"n,a={user},\x01host=mx.example.test\x01port=587\x01auth=Bearer {secret}\x01\x01"
    return f"user={user}\x01auth=Bearer {secret}\x01\x01"

ways = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login, "OAUTHBEARER": bearer, "XOAUTH2": bearer}
try:
    code, text = smtp.auth(mechanism, ways[mechanism])
except smtplib.SMTPAuthenticationError as refusal:
    code, text = refusal.smtp_code, refusal.smtp_error
print(code, text.decode(), *errors)
"#;
