//! DMARC records (RFC 9989 section 4.7).

use postern_core::session::check::DmarcPolicy;

use crate::sender_auth::tags::Tags;

/// What a domain publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// For the domain itself; unset: the record asks for nothing, and so is none.
    pub(super) policy: Option<DmarcPolicy>,
    /// For names below it.
    pub(super) subdomains: Option<DmarcPolicy>,
    /// For names below it that do not exist.
    pub(super) nonexistent: Option<DmarcPolicy>,
    pub(super) dkim_alignment: Alignment,
    pub(super) spf_alignment: Alignment,
    /// The policy is only being tried out: one step less is meant.
    pub(super) testing: bool,
    pub(super) suffix: Suffix,
}

/// How close an identifier has to be to the author's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alignment {
    /// The same organization.
    Relaxed,
    /// The same domain.
    Strict,
}

/// Whether names below a domain belong to others (`psd=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    Public,
    Organization,
    Unsaid,
}

impl Record {
    /// Reads a record; nothing when it is none. Tags with values that mean nothing are passed over, which for
    /// a policy leaves `none` if somebody wants reports.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let tags = Tags::parse(text)?;
        if tags.first() != Some(("v", "DMARC1")) {
            return None;
        }
        let alignment = |tag: &str| match tags.get(tag) {
            Some(value) if value.eq_ignore_ascii_case("s") => Alignment::Strict,
            _ => Alignment::Relaxed,
        };
        let yes = |tag: &str| tags.get(tag).is_some_and(|value| value.eq_ignore_ascii_case("y"));
        let wants_reports = tags.get("rua").is_some_and(|value| !value.is_empty());
        let policy = match (policy(&tags, "p"), wants_reports) {
            (None, true) => Some(DmarcPolicy::None),
            (policy, _) => policy,
        };
        Some(Self {
            policy,
            subdomains: self::policy(&tags, "sp").or(policy),
            nonexistent: self::policy(&tags, "np").or(self::policy(&tags, "sp")).or(policy),
            dkim_alignment: alignment("adkim"),
            spf_alignment: alignment("aspf"),
            testing: yes("t"),
            suffix: match tags.get("psd") {
                Some(value) if value.eq_ignore_ascii_case("y") => Suffix::Public,
                Some(value) if value.eq_ignore_ascii_case("n") => Suffix::Organization,
                _ => Suffix::Unsaid,
            },
        })
    }
}

fn policy(tags: &Tags, tag: &str) -> Option<DmarcPolicy> {
    let value = tags.get(tag)?;
    [DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject]
        .into_iter()
        .find(|policy| policy.name().eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sender_auth::testing::tags;

    #[test]
    fn policies_for_names_below_come_from_the_next_best_tag() {
        use DmarcPolicy::{None as No, Quarantine, Reject};
        for (text, wanted) in [
            ("v=DMARC1; p=reject", Some([Some(Reject); 3])),
            ("v=DMARC1;p=Reject;sp=none", Some([Some(Reject), Some(No), Some(No)])),
            ("v=DMARC1; p=none; np=reject", Some([Some(No), Some(No), Some(Reject)])),
            ("v=DMARC1; p=none; sp=quarantine; np=reject;", Some([Some(No), Some(Quarantine), Some(Reject)])),
            ("v=DMARC1; p=oops; rua=mailto:a@b.example", Some([Some(No); 3])),
            ("v=DMARC1; p=oops", Some([None; 3])),
            ("v=DMARC1", Some([None; 3])),
            ("p=reject; v=DMARC1", None),
            ("v=DMARC2; p=reject", None),
            ("v=dmarc1; p=reject", None),
            ("v=DMARC1; p=reject; p=none", None),
            ("v=DMARC1 p=reject", None),
            ("", None),
        ] {
            let record = Record::parse(text.as_bytes());
            let found = record.map(|record| [record.policy, record.subdomains, record.nonexistent]);
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn the_other_tags_have_defaults() {
        let record = Record::parse(b"v=DMARC1; p=none").unwrap();
        assert_eq!((record.dkim_alignment, record.spf_alignment), (Alignment::Relaxed, Alignment::Relaxed));
        assert_eq!((record.testing, record.suffix), (false, Suffix::Unsaid));
        let record = Record::parse(b"v=DMARC1; p=none; adkim=s; aspf=S; t=y; psd=n").unwrap();
        assert_eq!((record.dkim_alignment, record.spf_alignment), (Alignment::Strict, Alignment::Strict));
        assert_eq!((record.testing, record.suffix), (true, Suffix::Organization));
        assert_eq!(Record::parse(b"v=DMARC1; p=none; psd=y").unwrap().suffix, Suffix::Public);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in tags()) {
            let _ = Record::parse(&text);
        }
    }
}
