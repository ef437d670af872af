//! Spans of time outside expressions: integer milliseconds, or a number with a unit.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A span of time: `500`, `500ms`, `30s`, `5m`, `2h`, `7d`. A bare number is milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

impl TimeSpan {
    /// That many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(*milliseconds).map(Duration::from_millis).map(Self)
    }
}

/// Units and their length in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for TimeSpan {
    /// The number with the longest unit that leaves no rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        match UNITS.iter().find(|(_, length)| total != 0 && total.is_multiple_of(*length)) {
            Some((unit, length)) => write!(f, "{}{unit}", total / length),
            None => f.write_str("0s"),
        }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeSpanVisitor)
    }
}

struct TimeSpanVisitor;

impl Visitor<'_> for TimeSpanVisitor {
    type Value = TimeSpan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span of time such as `30s` (units ms, s, m, h, d; a bare number is milliseconds)")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<TimeSpan, E> {
        let unexpected = de::Unexpected::Signed(value);
        let milliseconds = u64::try_from(value).map_err(|_| E::invalid_value(unexpected, &self))?;
        Ok(TimeSpan(Duration::from_millis(milliseconds)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<TimeSpan, E> {
        Ok(TimeSpan(Duration::from_millis(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<TimeSpan, E> {
        TimeSpan::parse(value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^[0-9]{1,15}(ms|s|m|h|d)$",
            "minimum": 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_written_back_in_the_longest_that_fits() {
        for (text, seconds, canonical) in [
            ("90s", 90, "90s"),
            ("2m", 120, "2m"),
            ("120s", 120, "2m"),
            ("24h", 86_400, "1d"),
            ("0s", 0, "0s"),
        ] {
            let span = TimeSpan::parse(text).unwrap();
            assert_eq!(span, TimeSpan::seconds(seconds));
            assert_eq!(span.to_string(), canonical);
        }
        for bad in ["", "5", "m", "5 m", "-5m", "1.5h", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(TimeSpan::parse(bad), None, "{bad}");
        }
    }
}
