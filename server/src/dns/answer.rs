//! `dns_query` of the expression language.

use std::net::IpAddr;

use postern_core::expr::{DnsKind, Lookup, LookupFailure, Value};

use super::{DnsError, Resolver};

impl Resolver {
    /// The answer to a [`Lookup::Dns`]; any other lookup is none of DNS and is answered with nothing found.
    ///
    /// # Errors
    ///
    /// [`LookupFailure::Dns`] when there is no answer. That a name or its records do not exist is one.
    pub async fn answer(&self, lookup: &Lookup) -> Result<Value<'static>, LookupFailure> {
        let Lookup::Dns { name, kind } = lookup else { return Ok(lookup.nothing_found()) };
        match self.value(name, *kind).await {
            Ok(value) => Ok(value),
            Err(error) if error.is_nothing() => Ok(lookup.nothing_found()),
            Err(error) => Err(LookupFailure::Dns(error.to_string())),
        }
    }

    async fn value(&self, name: &str, kind: DnsKind) -> Result<Value<'static>, DnsError> {
        Ok(match kind {
            DnsKind::Ipv4 => list(self.ipv4(name).await?),
            DnsKind::Ipv6 => list(self.ipv6(name).await?),
            DnsKind::Ip => {
                let (ipv4, ipv6) = tokio::join!(self.ipv4(name), self.ipv6(name));
                let ipv4 = or_nothing(ipv4)?.into_iter().map(IpAddr::V4);
                let ipv6 = or_nothing(ipv6)?.into_iter().map(IpAddr::V6);
                list(ipv4.chain(ipv6))
            }
            DnsKind::Ptr => {
                let address: IpAddr = name.parse().map_err(|_| DnsError::NotAName)?;
                list(self.names(address).await?)
            }
            DnsKind::Mx => list(self.mx(name).await?.into_iter().map(|exchanger| exchanger.host)),
            DnsKind::Txt => {
                let all = self.txt(name).await?.concat();
                Value::Text(String::from_utf8_lossy(&all).into_owned().into())
            }
        })
    }
}

fn or_nothing<T>(found: Result<Vec<T>, DnsError>) -> Result<Vec<T>, DnsError> {
    match found {
        Err(error) if error.is_nothing() => Ok(Vec::new()),
        found => found,
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> Value<'static> {
    let items: Vec<Value<'static>> =
        items.into_iter().map(|item| Value::Text(item.to_string().into())).collect();
    Value::from(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{Nameserver, Zone};

    fn query(name: &str, kind: DnsKind) -> Lookup {
        Lookup::Dns { name: name.to_owned(), kind }
    }

    fn texts(items: &[&str]) -> Result<Value<'static>, LookupFailure> {
        Ok(list(items))
    }

    #[tokio::test]
    async fn each_kind_is_answered_in_its_form() {
        let zone = Zone::new()
            .a("example.org", "192.0.2.1")
            .aaaa("example.org", "2001:db8::1")
            .a("xn--bcher-kva.example", "192.0.2.2")
            .mx("example.org", 20, "b.example.org")
            .mx("example.org", 10, "a.example.org")
            .txt_strings("example.org", &["v=spf1 ", "-all"])
            .ptr("192.0.2.1", "mx.example.org");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        for (name, kind, wanted) in [
            ("example.org", DnsKind::Ipv4, texts(&["192.0.2.1"])),
            ("example.org", DnsKind::Ipv6, texts(&["2001:db8::1"])),
            ("example.org", DnsKind::Ip, texts(&["192.0.2.1", "2001:db8::1"])),
            ("bücher.example", DnsKind::Ip, texts(&["192.0.2.2"])),
            ("example.org", DnsKind::Mx, texts(&["a.example.org", "b.example.org"])),
            ("192.0.2.1", DnsKind::Ptr, texts(&["mx.example.org"])),
            ("example.org", DnsKind::Txt, Ok(Value::Text("v=spf1 -all".into()))),
        ] {
            assert_eq!(resolver.answer(&query(name, kind)).await, wanted, "{name} {kind:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_an_answer_and_failure_is_not() {
        let zone = Zone::new().a("example.org", "192.0.2.1").server_failure("broken.example");
        let server = Nameserver::start(zone).await;
        let resolver = server.resolver();
        for (name, kind) in [
            ("nowhere.example", DnsKind::Ip),
            ("nowhere.example", DnsKind::Txt),
            ("example.org", DnsKind::Mx),
            ("no name", DnsKind::Ipv4),
            ("..", DnsKind::Txt),
            ("192.0.2.9", DnsKind::Ptr),
            ("not an address", DnsKind::Ptr),
        ] {
            let question = query(name, kind);
            assert_eq!(resolver.answer(&question).await, Ok(question.nothing_found()), "{name}");
        }
        for kind in [DnsKind::Ip, DnsKind::Txt, DnsKind::Mx] {
            let answer = resolver.answer(&query("broken.example", kind)).await;
            assert!(matches!(answer, Err(LookupFailure::Dns(_))), "{answer:?}");
        }
    }
}
