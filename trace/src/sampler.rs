//! Which traces are recorded (OpenTelemetry specification, Trace SDK, section "Sampling").

/// Decides by the id alone, so that every process decides alike about one trace.
///
/// Mail brings no parent along, so the parent-based samplers of the specification decide as the ones they are built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// All of them.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Those whose number is below this, of 2^63.
    Below(u64),
}

impl Sampler {
    /// So large a part of all traces; 0 to 1.
    #[must_use]
    pub fn ratio(part: f64) -> Self {
        if part >= 1.0 {
            Self::AlwaysOn
        } else if part > 0.0 {
            Self::Below((part * NUMBERS) as u64)
        } else {
            Self::AlwaysOff
        }
    }

    /// Whether a trace is recorded. Its number is the second half of the id without the last bit, as in other SDKs.
    #[must_use]
    pub const fn takes(self, trace: u128) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::Below(bound) => ((trace as u64) >> 1) < bound,
        }
    }
}

/// How many numbers a trace can have.
const NUMBERS: f64 = (1_u64 << 63) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_takes_its_part_of_the_numbers() {
        assert_eq!(Sampler::ratio(1.0), Sampler::AlwaysOn);
        assert_eq!(Sampler::ratio(0.0), Sampler::AlwaysOff);
        let quarter = Sampler::ratio(0.25);
        let number = |number: u64| u128::from(number << 1) | (7_u128 << 64);
        assert!(quarter.takes(number(0)));
        assert!(quarter.takes(number((1 << 61) - 1)));
        assert!(!quarter.takes(number(1 << 61)));
        assert!(!quarter.takes(number((1 << 63) - 1)));
    }
}
