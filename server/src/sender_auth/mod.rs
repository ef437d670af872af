//! Who a client and a message claim to be, checked against DNS: reverse DNS, SPF, DKIM, ARC and DMARC.
//!
//! Results are plain data of the session; no type of a library leaves this module. Nothing here decides
//! anything about mail. Every check ends within [`PATIENCE`], and one that cannot be done is a temporary
//! error.

mod arc;
mod author;
mod dkim;
mod dmarc;
mod domains;
mod iprev;
mod message;
mod spans;
mod spf;
mod tags;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod testing;

use std::net::IpAddr;
use std::time::Duration;

use postern_core::session::check::{Check, CheckResult};
use postern_core::smtp::address::ReversePath;
use postern_trace::{Kind, Span, span};
use tokio::time::timeout;

use self::spf::Identity;
use crate::dns::Resolver;

pub use self::message::{Subject, check as message};

/// How long one check may take; RFC 7208 section 4.6.4 asks for at least 20 s for SPF.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the client's address and its name confirm each other.
pub async fn reverse_dns(resolver: &Resolver, client: IpAddr) -> Check {
    let mut span = span("auth.iprev", Kind::Internal);
    span.text("client.address", client);
    traced(span, iprev::check(resolver, client)).await
}

/// SPF of the EHLO name (RFC 7208 section 2.3).
pub async fn spf_of_helo(resolver: &Resolver, client: IpAddr, helo: &str) -> Check {
    spf_check(resolver, Identity { ip: client, helo, local_part: POSTMASTER, domain: helo }).await
}

/// SPF of the sender (RFC 7208 section 2.4); the postmaster of the EHLO name stands in for the null path.
pub async fn spf_of_sender(resolver: &Resolver, client: IpAddr, helo: &str, sender: &ReversePath) -> Check {
    let (local_part, domain) = match sender {
        ReversePath::Null => (POSTMASTER, helo),
        ReversePath::Mailbox(address) => (address.local(), address.key_domain()),
    };
    spf_check(resolver, Identity { ip: client, helo, local_part, domain }).await
}

async fn spf_check(resolver: &Resolver, identity: Identity<'_>) -> Check {
    let mut span = span("auth.spf", Kind::Internal);
    span.text("postern.auth.domain", identity.domain);
    let outcome = async {
        let outcome = spf::check_host(resolver, identity).await;
        Check { result: outcome.result, detail: outcome.reason.map(Into::into) }
    };
    traced(span, outcome).await
}

/// A check in its span, within its time.
async fn traced(mut span: Span, check: impl Future<Output = Check>) -> Check {
    let late = || Check { result: CheckResult::TempError, detail: Some("no answer in time".into()) };
    let check = timeout(PATIENCE, span.around(check)).await.unwrap_or_else(|_| late());
    conclude(&mut span, check.result, check.detail.as_deref());
    check
}

/// What a check has found out. That it could not be done is an error; any other result is an answer.
fn conclude(span: &mut Span, result: CheckResult, reason: Option<&str>) {
    span.text("postern.verdict", result.name());
    span.text_if("postern.reason", reason);
    if result == CheckResult::TempError {
        span.fail(reason.unwrap_or(result.name()));
    }
}

const POSTMASTER: &str = "postmaster";
