//! The gate beside two others who judge senders: every message of a table goes through the gate, then rspamd is asked what it would write
//! into Authentication-Results, and OpenDMARC what it makes of the results that the gate wrote. Where they disagree, the table says so
//! and names the section of `docs/sender-authentication.md` that says why.

#[path = "agreement/bench.rs"]
mod bench;
#[path = "agreement/chains.rs"]
mod chains;
#[path = "agreement/policies.rs"]
mod policies;
#[path = "agreement/senders.rs"]
mod senders;
#[path = "agreement/signatures.rs"]
mod signatures;
#[path = "agreement/table.rs"]
mod table;

use anyhow::{Result, ensure};
use postern_tests::require;

use self::bench::Bench;
use self::table::Row;

#[test]
fn others_agree_with_every_result_or_the_page_says_why_not() -> Result<()> {
    let programs =
        ["nsd", "rspamd", "opendmarc", "opendkim", "opendkim-genkey", "dkimsign", "openssl", "unshare"];
    if !require::peers(&programs)? {
        return Ok(());
    }
    if !require::is_root() && !require::skip("a name server on port 53 and a mount namespace need root")? {
        return Ok(());
    }
    let bench = Bench::start()?;
    let mut rows: Vec<Row> = signatures::rows(&bench)?;
    rows.extend(senders::rows());
    rows.extend(policies::rows(&bench)?);
    rows.extend(chains::rows(&bench)?);
    ensure!(rows.len() >= 60, "only {} messages", rows.len());
    bench.compare(&rows)
}
