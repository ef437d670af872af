//! Databases of networks: known to every expression, read again when they change, and never half in force.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::gate::Gate;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{self, Folder, listener, object, relay};
use postern_tests::port::Port;
use postern_tests::wait::{self, PATIENCE};

#[test]
fn policies_know_network_and_country_of_the_client() -> Result<()> {
    let place = Place::with("asn.mmdb", "country.mmdb")?;
    let _gate = Gate::start(place.folder.path())?;
    let mut client = Client::connect_silent(place.port.address())?;
    ensure!(client.reply()?.is("220 gate in FR"), "{}", client.transcript());
    client.expect("EHLO client.example", "250")?;
    client.expect("MAIL FROM:<a@example.org>", "250")?;
    client.expect("RCPT TO:<user@example.test>", "250")?;
    client.expect("DATA", "354")?;
    ensure!(client.message(&letter("geo", 300))?.is("250"), "{}", client.transcript());
    let stored = place.hop.stored();
    ensure!(stored[0].contains("(AS64511 Loopback, FR)"), "{}", String::from_utf8_lossy(&stored[0].message));
    Ok(())
}

#[test]
fn a_changed_database_is_followed_and_a_broken_one_is_not() -> Result<()> {
    let place = Place::with("asn.mmdb", "country.mmdb")?;
    let gate = Gate::start(place.folder.path())?;
    ensure!(place.greeting()?.contains("gate in FR"));
    // The database of systems knows no countries.
    for (damage, said) in [
        (fs::read(database("asn.mmdb"))?, "no record has country.iso_code"),
        (b"nothing".to_vec(), "invalid database"),
    ] {
        let path = place.databases.path().join("country.mmdb");
        replace(&path, &damage)?;
        wait::until(said, PATIENCE, || {
            let status = gate.status()?.to_string();
            let named = status.contains("spec.geo.countryFile") && status.contains("country.mmdb");
            Ok((named && status.contains(said)).then_some(()))
        })?;
        ensure!(place.greeting()?.contains("gate in FR"), "what was in force stays");
    }
    let (_, metrics) = gate.get("/metrics")?;
    ensure!(metrics.contains("postern_reloads_total{outcome=\"Faulty\"} 2\n"), "{metrics}");
    // Somebody publishes a database that has moved the client.
    let mut moved = fs::read(database("country.mmdb"))?;
    let at = moved.windows(2).position(|two| two == b"FR").unwrap();
    moved[at..at + 2].copy_from_slice(b"SE");
    replace(&place.databases.path().join("country.mmdb"), &moved)?;
    wait::until("the changed database", PATIENCE, || {
        Ok(place.greeting()?.contains("gate in SE").then_some(()))
    })
}

#[test]
fn a_gate_does_not_start_without_a_database_that_it_is_told_to_use() -> Result<()> {
    let place = Place::with("asn.mmdb", "missing.mmdb")?;
    let Err(error) = Gate::start(place.folder.path()) else { anyhow::bail!("it has started") };
    let said = format!("{error:#}");
    ensure!(said.contains("MtaSettings/default spec.geo.countryFile: "), "{said}");
    ensure!(said.contains("missing.mmdb cannot be read: No such file"), "{said}");
    Ok(())
}

/// A folder whose policy asks about networks, the databases beside it, and a next hop.
struct Place {
    folder: Folder,
    databases: tempfile::TempDir,
    port: Port,
    hop: Hop,
}

impl Place {
    fn with(systems: &str, countries: &str) -> Result<Self> {
        let (port, hop) = (Port::reserve()?, Hop::start(Protocol::Smtp)?);
        let databases = tempfile::tempdir()?;
        for name in ["asn.mmdb", "country.mmdb"] {
            fs::copy(database(name), databases.path().join(name))?;
        }
        let file = |name: &str| databases.path().join(name).display().to_string();
        let geo = format!("geo: {{asnFile: '{}', countryFile: '{}'}}", file(systems), file(countries));
        let settings =
            manifests::settings().replace("gate.example.test}", &format!("gate.example.test, {geo}}}"));
        let objects = relay("hop", hop.address(), "")
            + &object("MtaStageConnect", "default", "{smtpGreeting: \"'gate in ' + country\"}")
            + &object("MtaStageMail", "default", "{isSenderAllowed: \"asn == 64511 && country == 'FR'\"}")
            + &object("MtaStageData", "default", "{addReceivedHeader: true}");
        let folder = Folder::with(&[
            ("settings.yaml", settings),
            ("listener.yaml", listener("smtp", port.address())),
            ("domain.yaml", manifests::open_domain()),
            ("objects.yaml", objects),
        ])?;
        Ok(Self { folder, databases, port, hop })
    }

    fn greeting(&self) -> Result<String> {
        let mut client = Client::connect_silent(self.port.address())?;
        client.reply()?;
        Ok(client.transcript().to_owned())
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, content)?;
    Ok(fs::rename(draft, path)?)
}

/// Written by `server/tests/geo/make.py`.
fn database(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/geo").join(name)
}
