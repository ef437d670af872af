//! The example of a DNS block list, against a list of the test's own.

use anyhow::{Context, Result, ensure};
use postern_tests::exchanger::Exchanger;
use postern_tests::gate::{file_of_tree, postern};
use postern_tests::peers::nsd::Nsd;
use postern_tests::require;

const EXAMPLE: &str = "examples/blocklist/policy.yaml";

/// 192.0.2.1 is listed twice; for 192.0.2.2 the list says that it does not serve this resolver.
const LIST: &str = "1.2.0.192.bl.example.org. IN A 127.0.0.2\n\
    1.2.0.192.bl.example.org. IN A 127.0.0.4\n\
    2.2.0.192.bl.example.org. IN A 127.255.255.254\n";

const NO_CHECKS: &str = "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, dkimVerify: disable, dmarcVerify: disable}";

/// The object of the example that asks the list.
fn stage() -> Result<String> {
    let text = file_of_tree(EXAMPLE)?;
    let first = text.split("\n---").next().context("the example is empty")?;
    Ok(format!("---\n{first}\n"))
}

#[test]
fn the_example_has_no_fault() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/blocklist");
    let (status, said) = postern(&["check", folder])?;
    ensure!(status.success(), "{said}");
    Ok(())
}

#[test]
fn who_is_listed_is_refused_and_nobody_else() -> Result<()> {
    if !require::peers(&["nsd"])? {
        return Ok(());
    }
    let dns = Nsd::start(LIST)?;
    let site = Exchanger::start(dns.address(), NO_CHECKS, &stage()?)?;
    let cases = [("192.0.2.1", "550 5.7.1"), ("192.0.2.2", "250"), ("192.0.2.3", "250")];
    for (address, wanted) in cases {
        let mut client = site.client(address)?;
        client.expect("EHLO mx.example.org", "250")?;
        let reply = client.command("MAIL FROM:<a@example.net>")?;
        ensure!(reply.is(wanted), "{address}: {reply}");
    }
    drop(dns);
    let mut client = site.client("192.0.2.5")?;
    client.expect("EHLO mx.example.org", "250")?;
    let reply = client.command("MAIL FROM:<a@example.net>")?;
    ensure!(reply.is("451 4.3.5"), "without the list: {reply}");
    Ok(())
}
