//! Functions on mail addresses and IP addresses.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::Function;
use super::text::sliced;
use crate::expr::facts::Failure;
use crate::expr::kinds::Kinds;
use crate::expr::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::one("is_email", Kinds::INTEGER, |value| Ok(Value::truth(is_email(&value.into_text())))),
    Function::two("email_part", Kinds::TEXT, email_part),
    Function::one("is_ip_addr", Kinds::INTEGER, |value| Ok(Value::truth(ip(&value).is_some()))),
    Function::one("is_ipv4_addr", Kinds::INTEGER, |value| {
        Ok(Value::truth(ip(&value).is_some_and(|address| address.is_ipv4())))
    }),
    Function::one("is_ipv6_addr", Kinds::INTEGER, |value| {
        Ok(Value::truth(ip(&value).is_some_and(|address| address.is_ipv6())))
    }),
    Function::one("ip_reverse_name", Kinds::TEXT, |value| {
        Ok(ip(&value).map_or(Value::EMPTY, |address| Value::from(reverse_name(address))))
    }),
    Function::two("is_ip_in_cidr", Kinds::INTEGER, |address, net| {
        let inside = match (ip(&address), network(&net.into_text())) {
            (Some(address), Some(net)) => net.contains(&address.to_canonical()),
            _ => false,
        };
        Ok(Value::truth(inside))
    }),
];

/// One unquoted `@` between a local part and a domain with a dot and no empty label.
fn is_email(text: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    let mut at = None;
    for (place, next) in text.char_indices() {
        match next {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '@' if !quoted && at.is_some() => return false,
            '@' if !quoted => at = Some(place),
            _ if !quoted && (next.is_whitespace() || next.is_control()) => return false,
            _ => {}
        }
    }
    let Some((local, domain)) = at.and_then(|at| text.split_at_checked(at)) else { return false };
    let domain = domain.strip_prefix('@').unwrap_or_default();
    !quoted
        && !local.is_empty()
        && domain.contains('.')
        && !domain.contains('"')
        && domain.split('.').all(|label| !label.is_empty())
}

fn email_part<'a>(address: Value<'a>, part: Value<'a>) -> Result<Value<'a>, Failure> {
    let part = part.into_text();
    Ok(Value::Text(sliced(address.into_text(), |address| match (address.rsplit_once('@'), &*part) {
        (Some((local, _)), "local") => local,
        (Some((_, domain)), "domain") => domain,
        _ => "",
    })))
}

fn ip(value: &Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The labels of the address in reverse, as under `in-addr.arpa` and `ip6.arpa` (RFC 1035 section 3.5,
/// RFC 3596 section 2.5) but without these suffixes.
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(63);
            for octet in address.octets().iter().rev() {
                let separator = if name.is_empty() { "" } else { "." };
                // Writing to a String cannot fail.
                let _ = write!(name, "{separator}{:x}.{:x}", octet & 0xf, octet >> 4);
            }
            name
        }
    }
}

/// A CIDR block or a single address; the IPv4-mapped part of IPv6 is taken as IPv4.
fn network(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    let mapped = match net {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((address, prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::V4),
        None => Some(net),
    }
}
