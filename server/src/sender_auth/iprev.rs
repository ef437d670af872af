//! Whether the address and the name of a client confirm each other (RFC 8601 section 2.7.3).

use std::net::IpAddr;

use futures::future::join_all;
use postern_core::session::check::{Check, CheckResult};

use crate::dns::{DnsError, Resolver};

/// Names of an address that are looked at; whoever has more has too many.
const MAX_NAMES: usize = 2;

/// Looks the names of an address up, and their addresses.
///
/// The detail is the name that has the address, or the first one that there is. An address without a name is
/// a permanent error.
pub(super) async fn check(resolver: &Resolver, address: IpAddr) -> Check {
    let address = address.to_canonical();
    let mut names = match resolver.names(address).await {
        Ok(names) => names,
        Err(error) => return Check { result: result_of(&error), detail: None },
    };
    names.truncate(MAX_NAMES);
    let found = join_all(names.iter().map(|name| resolver.addresses_like(name, address))).await;
    let confirmed = |found: &Result<Vec<IpAddr>, DnsError>| {
        found.as_ref().is_ok_and(|addresses| addresses.contains(&address))
    };
    let (result, name) = match found.iter().position(confirmed) {
        Some(at) => (CheckResult::Pass, names.get(at)),
        None if found.iter().any(|found| found.as_ref().is_err_and(|error| !error.is_nothing())) => {
            (CheckResult::TempError, names.first())
        }
        None => (CheckResult::Fail, names.first()),
    };
    Check { result, detail: name.map(|name| name.as_str().into()) }
}

const fn result_of(error: &DnsError) -> CheckResult {
    match error.is_nothing() {
        true => CheckResult::PermError,
        false => CheckResult::TempError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{Nameserver, Zone};

    #[tokio::test]
    async fn address_and_name_have_to_confirm_each_other() {
        let zone = Zone::new()
            .ptr("192.0.2.1", "good.example")
            .a("good.example", "192.0.2.1")
            .ptr("192.0.2.2", "stranger.example")
            .a("stranger.example", "192.0.2.99")
            .ptr("192.0.2.3", "nowhere.example")
            .ptr("192.0.2.4", "broken.example")
            .server_failure("broken.example")
            .ptr("192.0.2.5", "stranger.example")
            .ptr("192.0.2.5", "second.example")
            .a("second.example", "192.0.2.5")
            .ptr("2001:db8::1", "six.example")
            .aaaa("six.example", "2001:db8::1")
            .server_failure("7.2.0.192.in-addr.arpa");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        for (address, result, detail) in [
            ("192.0.2.1", CheckResult::Pass, Some("good.example")),
            ("::ffff:192.0.2.1", CheckResult::Pass, Some("good.example")),
            ("192.0.2.2", CheckResult::Fail, Some("stranger.example")),
            ("192.0.2.3", CheckResult::Fail, Some("nowhere.example")),
            ("192.0.2.4", CheckResult::TempError, Some("broken.example")),
            ("192.0.2.5", CheckResult::Pass, Some("second.example")),
            ("192.0.2.6", CheckResult::PermError, None),
            ("192.0.2.7", CheckResult::TempError, None),
            ("2001:db8::1", CheckResult::Pass, Some("six.example")),
        ] {
            let check = check(&resolver, address.parse().unwrap()).await;
            assert_eq!((check.result, check.detail.as_deref()), (result, detail), "{address}");
        }
    }
}
