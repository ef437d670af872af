//! Tokens of a real provider, and everything that only looks like one.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, object, relay, settings};
use postern_tests::peers::oidc_provider::OidcProvider;
use postern_tests::peers::openssl::{Start, s_client};
use postern_tests::port::Port;
use postern_tests::{process, require};
use tempfile::TempDir;

use super::bench::{Door, python, smtplib};

const ANN: &str = "ann@example.test";
const MECHANISMS: [&str; 2] = ["OAUTHBEARER", "XOAUTH2"];

struct Bench {
    gate: Gate,
    provider: OidcProvider,
    authority: Authority,
    submission: Port,
    submissions: Port,
    hop: Hop,
    _folder: Folder,
}

impl Bench {
    /// A gate that asks the provider, with further fields of the directory.
    fn start(fields: &str, auth: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let provider = OidcProvider::start(&authority)?;
        let hop = Hop::start(Protocol::Smtp)?;
        let (submission, submissions) = (Port::reserve()?, Port::reserve()?);
        let listener = |name: &str, port: &Port, public: u16, tls: &str| {
            let address = port.address();
            object(
                "MtaListener",
                name,
                &format!("{{bind: ['{address}'], publicPort: {public}, tls: {{secretNames: [mx]{tls}}}}}"),
            )
        };
        let issuer = provider.issuer();
        let tls = "tls: {caSecretRef: {name: oidc-ca}}";
        let directory = format!(
            "{{type: Oidc, issuer: '{issuer}', audience: mail, requiredScopes: [mail], {tls}{fields}}}"
        );
        let secret =
            "---\napiVersion: v1\nkind: Secret\nmetadata: {name: oidc}\nstringData: {secret: secret}\n";
        let folder = Folder::with(&[
            ("settings.yaml", settings() + &relay("hop", hop.address(), "verifyRecipients: false")),
            ("auth.yaml", object("MtaStageAuth", "default", auth)),
            (
                "listeners.yaml",
                listener("submission", &submission, 587, "")
                    + &listener("submissions", &submissions, 465, ", implicit: true"),
            ),
            ("directory.yaml", object("MtaDirectory", "sso", &directory)),
            ("oidc.yaml", secret.to_owned() + &authority.secret("oidc-ca")?),
            ("mx.yaml", authority.issue(&["mx.example.test"])?.secret("mx")),
        ])?;
        let gate = Gate::start(folder.path())?;
        Ok(Self { gate, provider, authority, submission, submissions, hop, _folder: folder })
    }

    fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Submission => self.submission.address(),
            Door::Submissions => self.submissions.address(),
        }
    }

    /// What Python's client hears.
    fn log_in(&self, door: Door, mechanism: &str, user: &str, token: &str) -> Result<String> {
        smtplib(self.address(door), door, &self.authority.file(), mechanism, user, token)
    }

    /// How curl fares that sends a message to somebody, and what both sides said.
    fn curl(&self, door: Door, mechanism: &str, token: &str) -> Result<(ExitStatus, String)> {
        let address = self.address(door);
        let scheme = if door == Door::Submission { "smtp" } else { "smtps" };
        let server = format!("mx.example.test:{}", address.port());
        let mut letter = tempfile::NamedTempFile::new()?;
        letter.write_all(b"Subject: sent by curl\r\n\r\nText\r\n")?;
        let mut command = Command::new("curl");
        command.args([
            "--verbose",
            "--silent",
            "--show-error",
            "--ssl-reqd",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ]);
        command
            .args(["--resolve", &format!("{server}:127.0.0.1")])
            .arg("--cacert")
            .arg(self.authority.file());
        command.args([
            "--login-options",
            &format!("AUTH={mechanism}"),
            "--user",
            ANN,
            "--oauth2-bearer",
            token,
        ]);
        command.args(["--mail-from", ANN, "--mail-rcpt", "someone@elsewhere.test", "--upload-file"]);
        command.arg(letter.path()).arg(format!("{scheme}://{server}/client.example.org"));
        process::output(&mut command)
    }

    /// By the quickest way.
    fn try_token(&self, token: &str) -> Result<String> {
        self.log_in(Door::Submissions, "XOAUTH2", ANN, token)
    }
}

/// Without what slows guessing down: these tests fail often and on purpose.
const HURRIED: &str = "{waitOnFail: false, maxFailures: 100, failureRate: {count: 0}}";
const INTROSPECTION: &str =
    ", introspection: {clientId: postern, clientSecret: {secretKeyRef: {name: oidc, key: secret}}}";

#[test]
fn tokens_of_every_kind_log_in_at_both_doors_with_both_mechanisms() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let bench = Bench::start(INTROSPECTION, HURRIED)?;
    for kind in ["RS256", "PS256", "ES256", "EdDSA", "opaque"] {
        let token = bench.provider.token("ann", &format!("urn:mail:{kind}"), "mail read")?;
        for mechanism in MECHANISMS {
            for door in [Door::Submission, Door::Submissions] {
                let said = bench.log_in(door, mechanism, ANN, &token)?;
                ensure!(said.starts_with("235 2.7.0"), "{kind} {mechanism} {door:?}: {said}");
            }
        }
    }
    Ok(())
}

#[test]
fn curl_sends_mail_with_a_token_at_both_doors_with_both_mechanisms() -> Result<()> {
    if !(OidcProvider::is_there()? && require::peers(&["curl"])?) {
        return Ok(());
    }
    let bench = Bench::start("", HURRIED)?;
    let token = bench.provider.token("ann", "urn:mail:RS256", "mail")?;
    for mechanism in MECHANISMS {
        for door in [Door::Submission, Door::Submissions] {
            let (status, said) = bench.curl(door, mechanism, &token)?;
            ensure!(status.success() && said.contains("< 235 2.7.0"), "{mechanism} {door:?}: {said}");
            let (status, said) = bench.curl(door, mechanism, &token[..token.len() - 8])?;
            ensure!(!status.success() && said.contains("< 535 5.7.8"), "{mechanism} {door:?}: {said}");
        }
    }
    assert_eq!(bench.hop.stored().len(), 4);
    Ok(())
}

#[test]
fn the_token_decides_who_may_send_as_whom() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let bench = Bench::start("", HURRIED)?;
    let token = bench.provider.token("ann", "urn:mail:ES256", "mail")?;
    let line = encoded(&format!("user={ANN}\x01auth=Bearer {token}\x01\x01"))?;
    let login = format!("AUTH XOAUTH2 {line}");
    for (from, wanted) in [(ANN, "250 2.1.0"), ("boss@example.test", "501 5.5.4")] {
        let mail = format!("MAIL FROM:<{from}>");
        let lines = ["EHLO c.example", &login, &mail, "QUIT"];
        let address = bench.address(Door::Submission);
        let seen = s_client(address, Start::StartTls, "mx.example.test", &bench.authority.file(), &lines)?;
        ensure!(seen.text.contains("235 2.7.0") && seen.text.contains(wanted), "{from}: {}", seen.text);
    }
    // Ann's token is not Bob's, whatever the client says.
    for mechanism in MECHANISMS {
        let said = bench.log_in(Door::Submissions, mechanism, "bob@example.test", &token)?;
        ensure!(said.starts_with("535 5.7.8"), "{mechanism}: {said}");
    }
    // A good token that names no address.
    let nobody = bench.provider.token("nobody", "urn:mail:RS256", "mail")?;
    let said = bench.try_token(&nobody)?;
    ensure!(said.starts_with("550 5.7.1"), "{said}");
    Ok(())
}

#[test]
fn what_only_looks_like_a_token_is_refused_with_a_reason() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let bench = Bench::start(INTROSPECTION, HURRIED)?;
    let good = bench.provider.token("ann", "urn:mail:RS256", "mail")?;
    let other = bench.provider.token("ann", "urn:other:RS256", "mail")?;
    let opaque = bench.provider.token("ann", "urn:other:opaque", "mail")?;
    let weak = bench.provider.token("ann", "urn:mail:RS256", "read")?;
    let home = TempDir::with_prefix("postern-forge-")?;
    let public = home.path().join("public.pem").display().to_string();
    let forged = python(FORGE, &[&good, &public])?;
    // What the forger has put together is a key.
    process::run(Command::new("openssl").args(["pkey", "-pubin", "-noout", "-in", &public]))?;
    let mut cases: Vec<(&str, &str)> = vec![
        ("wrong audience", &other),
        ("wrong audience, opaque", &opaque),
        ("no scope", &weak),
        ("invented", "abcdef"),
    ];
    for line in forged.lines() {
        cases.push(line.split_once(' ').context("a forged token without a name")?);
    }
    ensure!(cases.len() == 13, "{forged}");
    for (name, token) in cases {
        let said = bench.try_token(token)?;
        ensure!(said.starts_with("535 5.7.8") && said.contains("\"status\":\"401\""), "{name}: {said}");
        let said = bench.log_in(Door::Submission, "OAUTHBEARER", ANN, token)?;
        ensure!(
            said.starts_with("535 5.7.8") && said.contains("\"status\":\"invalid_token\""),
            "{name}: {said}"
        );
        ensure!(
            said.contains("/.well-known/openid-configuration\"") && said.contains("\"scope\":\"mail\""),
            "{said}"
        );
    }
    let said = bench.try_token(&good)?;
    ensure!(said.starts_with("235"), "{said}");
    Ok(())
}

#[test]
fn an_expired_token_is_refused_and_says_so() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let bench = Bench::start("", HURRIED)?;
    let token = bench.provider.token("ann", "urn:mail:ES256:expired", "mail")?;
    let said = bench.try_token(&token)?;
    ensure!(said.starts_with("535 5.7.8 Token has expired"), "{said}");
    Ok(())
}

#[test]
fn keys_that_change_are_found_and_a_provider_that_is_away_is_waited_for() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let mut bench = Bench::start(&format!(", timeout: 1s{INTROSPECTION}"), HURRIED)?;
    let before = bench.provider.token("ann", "urn:mail:RS256", "mail")?;
    let opaque = bench.provider.token("ann", "urn:mail:opaque", "mail")?;
    ensure!(bench.try_token(&before)?.starts_with("235"), "the first key");
    bench.provider.freeze()?;
    ensure!(bench.try_token(&before)?.starts_with("235"), "the key is known");
    let began = Instant::now();
    let said = bench.try_token(&opaque)?;
    ensure!(said.starts_with("454 4.7.0") && began.elapsed() < Duration::from_secs(5), "{said}");
    bench.provider.kill();
    let said = bench.try_token(&opaque)?;
    ensure!(said.starts_with("454 4.7.0"), "{said}");
    bench.provider.begin()?;
    let after = bench.provider.token("ann", "urn:mail:RS256", "mail")?;
    // An id that is not known has the keys fetched anew, but not twice within half a minute.
    postern_tests::wait::until("the new key", Duration::from_secs(60), || {
        Ok(bench.try_token(&after)?.starts_with("235").then_some(()))
    })?;
    let said = bench.try_token(&before)?;
    ensure!(said.starts_with("535 5.7.8"), "the old key is gone: {said}");
    Ok(())
}

#[test]
fn a_token_of_a_megabyte_is_refused_at_once() -> Result<()> {
    if !OidcProvider::is_there()? {
        return Ok(());
    }
    let bench = Bench::start(
        INTROSPECTION,
        "{allowClearTextAuth: true, saslMechanisms: '[oauthbearer, xoauth2]', waitOnFail: false}",
    )?;
    let began = Instant::now();
    let mut client = Client::connect(bench.address(Door::Submission))?;
    client.expect("EHLO client.example.org", "250")?;
    let huge = "QUFB".repeat(1 << 18);
    client.expect(&format!("AUTH XOAUTH2 {huge}"), "554 5.3.4")?;
    client.expect("AUTH OAUTHBEARER", "334")?;
    client.expect(&huge, "500 5.5.6")?;
    client.expect("NOOP", "250")?;
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    ensure!(bench.gate.metric("postern_directory_request_seconds_count").is_err(), "the provider was asked");
    Ok(())
}

/// In base64, by the program that everybody has.
fn encoded(text: &str) -> Result<String> {
    python("import base64, sys; print(base64.b64encode(sys.argv[1].encode()).decode())", &[text])
}

/// Tokens made of a good one, one on a line behind a name.
const FORGE: &str = r#"
import base64, hashlib, hmac, json, ssl, sys, urllib.request
header, claims, signature = sys.argv[1].split(".")
pack = lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
unpack = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
said = json.loads(unpack(claims))
head = json.loads(unpack(header))
boss = pack(json.dumps({**said, "email": "ann@example.test", "admin": True}).encode())
print("changed", f"{header}.{boss}.{signature}")
print("cut", f"{header}.{claims}.{signature[:-8]}")
for name in ("none", "None"):
    print("alg-" + name, pack(json.dumps({"alg": name}).encode()) + f".{claims}.{signature}")
print("unsigned", pack(json.dumps({"alg": "none"}).encode()) + f".{claims}.")
# The public key as whoever confuses kinds of keys has it: as DER (RFC 5280 section 4.1) and as PEM.
fetch = lambda url: json.load(urllib.request.urlopen(url, context=ssl._create_unverified_context()))
jwks = fetch(fetch(said["iss"] + "/.well-known/openid-configuration")["jwks_uri"])
[key] = [key for key in jwks["keys"] if key["kid"] == head["kid"]]
def element(tag, *parts):
    octets = b"".join(parts)
    size = len(octets)
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([128 + len(long)]) + long) + octets
number = lambda text: element(2, b"\0" * (unpack(text)[0] >> 7) + unpack(text))
rsa = element(48, element(6, bytes.fromhex("2a864886f70d010101")), element(5))
der = element(48, rsa, element(3, b"\0", element(48, number(key["n"]), number(key["e"]))))
lines = base64.encodebytes(der).replace(b"\n", b"").decode()
body = "\n".join(lines[at:at + 64] for at in range(0, len(lines), 64))
pem = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----"
open(sys.argv[2], "w").write(pem + "\n")
confused = pack(json.dumps({**head, "alg": "HS256"}).encode()) + f".{claims}"
for name, secret in (("der", der), ("pem", pem.encode()), ("pem-and-lf", pem.encode() + b"\n"), ("modulus", unpack(key["n"]))):
    print("hmac-" + name, f"{confused}." + pack(hmac.new(secret, confused.encode(), hashlib.sha256).digest()))
"#;
