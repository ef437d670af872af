//! What is counted about DNS.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::DnsError;

/// Counters of the resolver. Cheap to clone; every clone counts the same.
#[derive(Debug, Clone, Default)]
pub struct DnsMetrics {
    lookups: Family<Labels, Counter>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Names of an address.
    Ptr,
    /// Texts.
    Txt,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Outcome {
    /// Records.
    Found,
    /// The answer that there are none.
    Nothing,
    /// No answer in time.
    TimedOut,
    /// Any other failure.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: RecordKind,
    outcome: Outcome,
}

impl RecordKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
        }
    }
}

impl Outcome {
    pub(super) const fn of<T>(found: &Result<T, DnsError>) -> Self {
        match found {
            Ok(_) => Self::Found,
            Err(DnsError::TimedOut) => Self::TimedOut,
            Err(error) if error.is_nothing() => Self::Nothing,
            Err(_) => Self::Failed,
        }
    }
}

impl DnsMetrics {
    /// Makes the counters part of what is shown to operators.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("dns_lookups", "Lookups of names, cached answers included", self.lookups.clone());
    }

    /// Counts each thing once, so that every metric shows.
    #[cfg(test)]
    pub(crate) fn count_everything(&self) {
        self.looked_up(RecordKind::Txt, Outcome::Found);
    }

    pub(super) fn looked_up(&self, kind: RecordKind, outcome: Outcome) {
        self.lookups.get_or_create(&Labels { kind, outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn lookups_are_counted_by_kind_and_outcome() {
        let metrics = DnsMetrics::default();
        metrics.looked_up(RecordKind::Txt, Outcome::of(&Ok(())));
        metrics.looked_up(RecordKind::Aaaa, Outcome::of::<()>(&Err(DnsError::NoSuchName)));
        metrics.looked_up(RecordKind::Aaaa, Outcome::of::<()>(&Err(DnsError::Failed("refused".into()))));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "dns_lookups_total{kind=\"Txt\",outcome=\"Found\"} 1\n",
            "dns_lookups_total{kind=\"Aaaa\",outcome=\"Nothing\"} 1\n",
            "dns_lookups_total{kind=\"Aaaa\",outcome=\"Failed\"} 1\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }
}
