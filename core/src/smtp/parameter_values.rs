//! The values of the parameters of MAIL and RCPT, each with the grammar of its own standard.

use jiff::Timestamp;

use super::address::Address;
use super::parameters::{
    BodyType, DeliverBy, DeliverByMode, DsnReturn, Notify, OriginalRecipient, ParameterError,
};
use super::xtext;

/// A value that has to be there, read by its grammar.
pub(super) fn of<T>(value: Option<&str>, grammar: impl Fn(&str) -> Option<T>) -> Result<T, ParameterError> {
    value.and_then(grammar).ok_or(ParameterError::Value)
}

/// No value: a keyword that has one is another, unknown parameter.
pub(super) fn none(value: Option<&str>) -> Result<bool, ParameterError> {
    if value.is_none() { Ok(true) } else { Err(ParameterError::Unknown) }
}

/// `SIZE=`: 1 to 20 digits (RFC 1870 section 3).
///
/// Numbers that no 64 bits hold become the largest one, so that they are over every limit and not, cut
/// off, under it.
pub(super) fn size(value: &str) -> Option<u64> {
    digits(value, 20)?;
    Some(value.parse().unwrap_or(u64::MAX))
}

/// `BODY=` (RFC 6152 section 2, RFC 3030 section 3).
pub(super) fn body(value: &str) -> Option<BodyType> {
    one_of(
        value,
        [
            ("7BIT", BodyType::SevenBit),
            ("8BITMIME", BodyType::EightBitMime),
            ("BINARYMIME", BodyType::BinaryMime),
        ],
    )
}

/// `RET=` (RFC 3461 section 4.3).
pub(super) fn ret(value: &str) -> Option<DsnReturn> {
    one_of(value, [("FULL", DsnReturn::Full), ("HDRS", DsnReturn::Headers)])
}

/// `ENVID=`: xtext of 1 to 100 printable characters (RFC 3461 section 4.4).
pub(super) fn envid(value: &str) -> Option<String> {
    let id = String::from_utf8(xtext::decode(value.as_bytes())?).ok()?;
    let fits = (1..=100).contains(&id.len()) && id.bytes().all(|b| matches!(b, b' '..=b'~'));
    fits.then_some(id)
}

/// `BY=`: sign, up to 9 digits, `;`, mode and perhaps `T` (RFC 2852 section 4).
pub(super) fn by(value: &str) -> Option<DeliverBy> {
    let (time, mode) = value.split_once(';')?;
    let seconds: i64 = digits(time.strip_prefix(['+', '-']).unwrap_or(time), 9)?.parse().ok()?;
    let seconds = if time.starts_with('-') { -seconds } else { seconds };
    let (mode, trace) = one_of(
        mode,
        [
            ("N", (DeliverByMode::Notify, false)),
            ("NT", (DeliverByMode::Notify, true)),
            ("R", (DeliverByMode::Return, false)),
            ("RT", (DeliverByMode::Return, true)),
        ],
    )?;
    Some(DeliverBy { seconds, mode, trace })
}

/// `MT-PRIORITY=`: a signed integer (RFC 6710).
pub(super) fn mt_priority(value: &str) -> Option<i64> {
    digits(value.strip_prefix(['+', '-']).unwrap_or(value), 18)?;
    value.parse().ok()
}

/// `HOLDFOR=`: 1 to 999999999 seconds (RFC 4865 section 5).
pub(super) fn hold_for(value: &str) -> Option<u32> {
    digits(value, 9)?.parse().ok().filter(|seconds| *seconds > 0)
}

/// A date-time of RFC 3339 section 5.6, as in `HOLDUNTIL=` (RFC 4865 section 5).
///
/// The form is looked at first, because the reader of dates also takes wider ones.
pub(super) fn date_time(value: &str) -> Option<Timestamp> {
    let (date, clock) = value.split_at_checked(11)?;
    let date_fits = date.bytes().zip(b"dddd-dd-ddT").all(|(b, form)| fits(b, *form)) && date.len() == 11;
    let (time, rest) = clock.split_at_checked(8)?;
    let time_fits = time.bytes().zip(b"dd:dd:dd").all(|(b, form)| fits(b, *form));
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
            fraction.get(end..)?
        }
        None => rest,
    };
    let offset_fits = offset.eq_ignore_ascii_case("Z")
        || (offset.len() == 6 && offset.bytes().zip(b"sdd:dd").all(|(b, form)| fits(b, *form)));
    if date_fits && time_fits && offset_fits { value.to_ascii_uppercase().parse().ok() } else { None }
}

/// `AUTH=`: xtext of a mailbox, or `<>` (RFC 4954 section 5).
pub(super) fn auth(value: &str) -> Option<String> {
    let identity = String::from_utf8(xtext::decode(value.as_bytes())?).ok()?;
    let known = identity == "<>" || Address::parse(&identity).is_ok();
    known.then_some(identity)
}

/// `SOLICIT=`: keywords parted by commas, up to 1000 characters (RFC 3865).
pub(super) fn solicit(value: &str) -> Option<()> {
    let keyword = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
    };
    (value.len() <= 1000 && value.split(',').all(keyword)).then_some(())
}

/// `TRANSID=<…>`: an identifier in angle brackets (RFC 1845).
pub(super) fn transaction_id(value: &str) -> Option<()> {
    let id = value.strip_prefix('<')?.strip_suffix('>')?;
    (!id.is_empty() && id.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'<' && b != b'>')).then_some(())
}

/// `MTRK=`: a certifier in base64, perhaps `:` and a timeout in seconds (RFC 3885).
pub(super) fn tracking(value: &str) -> Option<()> {
    let (certifier, timeout) = value.split_once(':').unwrap_or((value, "0"));
    digits(timeout, 9)?;
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    (!certifier.is_empty() && certifier.bytes().all(base64)).then_some(())
}

/// `NOTIFY=`: `NEVER` alone, or a list of the others (RFC 3461 section 4.1).
pub(super) fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for word in value.split(',') {
        let asked = [
            ("SUCCESS", &mut notify.success),
            ("FAILURE", &mut notify.failure),
            ("DELAY", &mut notify.delay),
        ];
        *one_of(word, asked)? = true;
    }
    Some(notify)
}

/// `ORCPT=`: an address type, `;`, and an address in xtext (RFC 3461 section 4.2).
///
/// Addresses of type `utf-8` may also stand there as UTF-8 (RFC 6533 section 3).
pub(super) fn original_recipient(value: &str) -> Option<OriginalRecipient> {
    if value.len() > 500 {
        return None;
    }
    let (kind, address) = value.split_once(';')?;
    let kind_fits = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let address = if kind.eq_ignore_ascii_case("utf-8") && !address.is_ascii() {
        address.to_owned()
    } else {
        String::from_utf8(xtext::decode(address.as_bytes())?).ok()?
    };
    let address_fits = !address.is_empty() && !address.contains(char::is_control);
    (kind_fits && address_fits).then(|| OriginalRecipient { kind: kind.to_owned(), address })
}

/// `RRVS=`: a date-time, perhaps `;C` or `;R` (RFC 7293).
pub(super) fn required_since(value: &str) -> Option<()> {
    let (time, action) = value.split_once(';').unwrap_or((value, "C"));
    date_time(time)?;
    matches!(action, "C" | "c" | "R" | "r").then_some(())
}

/// What a word stands for; words are compared without case.
fn one_of<T, const N: usize>(word: &str, meanings: [(&str, T); N]) -> Option<T> {
    meanings.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, meaning)| meaning)
}

/// 1 to `most` decimal digits and nothing else.
fn digits(value: &str, most: usize) -> Option<&str> {
    ((1..=most).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())).then_some(value)
}

/// Whether an octet fits a place in a form: `d` a digit, `s` a sign, anything else itself.
fn fits(octet: u8, form: u8) -> bool {
    match form {
        b'd' => octet.is_ascii_digit(),
        b's' => matches!(octet, b'+' | b'-'),
        literal => octet.eq_ignore_ascii_case(&literal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::parameters::{Hold, MailParameters, RcptParameters};

    fn mail(word: &str) -> Result<MailParameters, ParameterError> {
        let (keyword, value) = crate::smtp::parameters::split_parameter(word);
        let mut parameters = MailParameters::default();
        parameters.set(keyword, value).map(|()| parameters)
    }

    fn rcpt(word: &str) -> Result<RcptParameters, ParameterError> {
        let (keyword, value) = crate::smtp::parameters::split_parameter(word);
        let mut parameters = RcptParameters::default();
        parameters.set(keyword, value).map(|()| parameters)
    }

    #[test]
    fn sizes_are_never_cut_off() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("18446744073709551615"), Some(u64::MAX));
        assert_eq!(size("99999999999999999999"), Some(u64::MAX));
        for bad in ["", "-1", "+1", "1k", " 1", "999999999999999999999", "99999999999999999999999"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn keywords_and_values_have_no_case() {
        assert_eq!(mail("body=8bitMime").unwrap().body, Some(BodyType::EightBitMime));
        assert_eq!(mail("Body=7bit").unwrap().body, Some(BodyType::SevenBit));
        assert_eq!(mail("BODY=BINARYMIME").unwrap().body, Some(BodyType::BinaryMime));
        assert_eq!(mail("ret=full").unwrap().ret, Some(DsnReturn::Full));
        assert_eq!(mail("RET=HDRS").unwrap().ret, Some(DsnReturn::Headers));
        assert!(mail("smtputf8").unwrap().smtputf8);
        assert!(mail("RequireTLS").unwrap().require_tls);
    }

    #[test]
    fn deliver_by_has_a_time_and_a_mode() {
        let by = |seconds, mode, trace| Some(DeliverBy { seconds, mode, trace });
        assert_eq!(super::by("120;R"), by(120, DeliverByMode::Return, false));
        assert_eq!(super::by("-30;nt"), by(-30, DeliverByMode::Notify, true));
        assert_eq!(super::by("+5;RT"), by(5, DeliverByMode::Return, true));
        for bad in ["", "120", "120;", "120;X", ";R", "+-1;R", "1.5;N", "120;TR", "1234567890;N", "é;N"] {
            assert_eq!(super::by(bad), None, "{bad}");
        }
    }

    #[test]
    fn holds_are_seconds_or_a_time_and_not_both() {
        assert_eq!(mail("HOLDFOR=60").unwrap().hold, Some(Hold::For(60)));
        assert_eq!(
            mail("HOLDUNTIL=2030-01-02T03:04:05Z").unwrap().hold,
            Some(Hold::Until("2030-01-02T03:04:05Z".parse().unwrap()))
        );
        for (first, second) in [
            (("HOLDFOR", "1"), ("HOLDUNTIL", "2030-01-02T03:04:05Z")),
            (("HOLDUNTIL", "2030-01-02T03:04:05Z"), ("HOLDFOR", "1")),
        ] {
            let mut both = MailParameters::default();
            both.set(first.0, Some(first.1)).unwrap();
            both.set(second.0, Some(second.1)).unwrap();
            assert_eq!(both.hold, Some(Hold::Contradictory));
        }
        for bad in ["0", "", "-1", "1000000000", "1s"] {
            assert_eq!(hold_for(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_rfc_3339_is_a_date_time() {
        for (good, same) in [
            ("2030-01-02T03:04:05z", "2030-01-02T03:04:05Z"),
            ("2030-01-02t03:04:05.25Z", "2030-01-02T03:04:05.25Z"),
            ("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05Z"),
            ("2030-01-02T03:04:05-00:30", "2030-01-02T03:34:05Z"),
        ] {
            assert_eq!(date_time(good), Some(same.parse().unwrap()), "{good}");
        }
        for bad in [
            "",
            "1893553445",
            "2030-01-02",
            "2030-01-02T03:04:05",
            "2030-01-02 03:04:05Z",
            "2030-01-02T03:04Z",
            "2030-13-02T03:04:05Z",
            "2030-02-30T03:04:05Z",
            "2030-01-02T25:04:05Z",
            "2030-01-02T03:04:05.Z",
            "2030-01-02T03:04:05+0200",
            "2030-01-02T03:04:05Z[UTC]",
            "2030-01-02T03:04:05+02:00:00",
            "éééé-01-02T03:04:05Z",
            "2030-01-02T03:04:05.5",
        ] {
            assert_eq!(date_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn envelope_ids_are_printable_xtext_of_1_to_100() {
        assert_eq!(envid("QQ314159+2Ba+20b").as_deref(), Some("QQ314159+a b"));
        assert!(envid(&"a".repeat(100)).is_some());
        for bad in ["", &"a".repeat(101), "a=b", "a+", "+0D+0A", "+00", "+C3+A9"] {
            assert_eq!(envid(bad), None, "{bad}");
        }
    }

    #[test]
    fn notify_never_stands_alone() {
        assert_eq!(notify("never"), Some(Notify::default()));
        assert_eq!(notify("SUCCESS,delay"), Some(Notify { success: true, failure: false, delay: true }));
        for bad in ["", "NEVER,SUCCESS", "SUCCESS,NEVER", "SUCCESS,", ",", "MAYBE"] {
            assert_eq!(notify(bad), None, "{bad}");
        }
    }

    #[test]
    fn original_recipients_are_decoded() {
        let orcpt = |kind: &str, address: &str| {
            Some(OriginalRecipient { kind: kind.into(), address: address.into() })
        };
        assert_eq!(original_recipient("rfc822;a+2Bb@c.example"), orcpt("rfc822", "a+b@c.example"));
        assert_eq!(original_recipient("X400;whatever"), orcpt("X400", "whatever"));
        assert_eq!(original_recipient("utf-8;ü@c.example"), orcpt("utf-8", "ü@c.example"));
        for bad in [
            "",
            "rfc822",
            "rfc822;",
            ";a@b",
            "rfc822;a=b@c",
            "rfc822;+0D+0AX",
            "rfc822;ü@c",
            "r f;a",
            "utf-8;+FF",
        ] {
            assert_eq!(original_recipient(bad), None, "{bad}");
        }
        assert_eq!(original_recipient(&format!("rfc822;{}", "a".repeat(494))), None);
    }

    #[test]
    fn parameters_that_are_only_read_are_still_checked() {
        for good in [
            "AUTH=<>",
            "AUTH=e+3Dmc2@example.com",
            "SOLICIT=net.example:ADV,org.example",
            "TRANSID=<abc@x>",
            "MTRK=QWJj:3600",
            "MTRK=QWJj",
            "CONPERM",
        ] {
            assert!(mail(good).is_ok(), "{good}");
        }
        for bad in [
            "AUTH",
            "AUTH=",
            "AUTH=mail box",
            "AUTH=nobody",
            "SOLICIT",
            "SOLICIT=",
            "SOLICIT=1,",
            "TRANSID=abc",
            "TRANSID=<>",
            "MTRK=",
            "MTRK=a:",
            "MTRK=a:b",
        ] {
            assert_eq!(mail(bad), Err(ParameterError::Value), "{bad}");
        }
        for good in ["RRVS=2014-04-03T23:01:00Z", "RRVS=2014-04-03T23:01:00Z;R", "CONNEG"] {
            assert!(rcpt(good).is_ok(), "{good}");
        }
        for bad in ["RRVS", "RRVS=yesterday", "RRVS=2014-04-03T23:01:00Z;X"] {
            assert_eq!(rcpt(bad), Err(ParameterError::Value), "{bad}");
        }
    }

    #[test]
    fn what_no_extension_defines_is_unknown() {
        for word in ["XVERP", "SMTPUTF8=1", "REQUIRETLS=yes", "CONPERM=1", "NOTIFY=NEVER", ""] {
            assert_eq!(mail(word), Err(ParameterError::Unknown), "{word}");
        }
        for word in ["SIZE=1", "BODY=7BIT"] {
            assert_eq!(rcpt(word), Err(ParameterError::Unknown), "{word}");
        }
    }

    #[test]
    fn priorities_are_signed_integers() {
        for (given, wanted) in
            [("0", 0), ("-9", -9), ("+3", 3), ("123456789012345678", 123_456_789_012_345_678)]
        {
            assert_eq!(mt_priority(given), Some(wanted));
        }
        for bad in ["", "-", "1.0", "high", "1234567890123456789"] {
            assert_eq!(mt_priority(bad), None, "{bad}");
        }
    }

    #[test]
    fn filters_may_err_in_a_parameter_without_losing_the_others() {
        let parameters = MailParameters::from_filter("ENVID=a1 SIZE=x NEW  RET=FULL");
        assert_eq!((parameters.envid.as_deref(), parameters.ret), (Some("a1"), Some(DsnReturn::Full)));
        assert_eq!(parameters.size, None);
        assert!(RcptParameters::from_filter("NOTIFY=x ORCPT=rfc822;a@b").orcpt.is_some());
    }
}
