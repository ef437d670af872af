//! The header fields that tell what was checked about a sender: `Authentication-Results` (RFC 8601) and
//! `Received-SPF` (RFC 7208 section 9.1).
//!
//! Nearly everything in them was chosen by strangers: names, addresses, what DNS holds. Each word is quoted or
//! stripped until it can neither end the field nor be read as another result.

use std::net::IpAddr;

use super::authentication_results::AUTHENTICATION_RESULTS;
use super::field::write_field;
use super::fields::{comment, host};
use crate::session::check::{
    Check, CheckResult, Dmarc, MessageResults, SenderCheck, Signature, SignatureTags,
};
use crate::smtp::address::ReversePath;

/// Longest value of a property, in octets: the longest mailbox fits (RFC 5321 section 4.5.3.1), and a line
/// with all that can stand on it stays below 998 octets (RFC 5322 section 2.1.1).
const MAX_VALUE: usize = 256;

/// Longest reason in a comment, in octets.
const MAX_REASON: usize = 100;

/// What was checked about the sender of a message.
#[derive(Debug, Clone, Copy)]
pub struct Checks<'a> {
    /// Our own name.
    pub hostname: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The name of EHLO, as sent.
    pub helo: &'a str,
    /// Whether address and name of the client confirm each other; unset: not checked, as all that follow.
    pub reverse_dns: Option<&'a Check>,
    /// SPF of the EHLO name.
    pub spf_of_helo: Option<&'a Check>,
    /// SPF of the sender.
    pub spf_of_sender: Option<&'a SenderCheck>,
    /// Signatures, chain and policy.
    pub message: &'a MessageResults,
}

impl Checks<'_> {
    /// Appends `Authentication-Results`: DKIM, SPF, iprev, ARC and DMARC, each if it was checked.
    pub fn write_authentication_results(&self, out: &mut Vec<u8>) {
        let mut value = host(self.hostname, "localhost").into_owned();
        let results = self.results();
        if results.is_empty() {
            value.push_str("; none");
        }
        for result in results {
            value.push_str(";\r\n\t");
            value.push_str(&result);
        }
        write_field(AUTHENTICATION_RESULTS, value.as_bytes(), out);
    }

    /// Appends `Received-SPF`, if SPF of the sender was checked.
    pub fn write_received_spf(&self, out: &mut Vec<u8>) {
        let Some(SenderCheck { sender, check }) = self.spf_of_sender else { return };
        let (hostname, helo) = (host(self.hostname, "localhost"), host(self.helo, "unknown"));
        let envelope_from = match sender {
            ReversePath::Null => format!("postmaster@{helo}"),
            ReversePath::Mailbox(address) => address.as_str().to_owned(),
        };
        let value = format!(
            "{} {}\r\n\treceiver={hostname}; client-ip={}; envelope-from={}; helo={};",
            check.result.name(),
            self.spf_comment(check, spf_domain(sender, self.helo)),
            self.client.to_canonical(),
            quoted(&envelope_from),
            word(&helo),
        );
        write_field(b"Received-SPF", value.as_bytes(), out);
    }

    fn results(&self) -> Vec<String> {
        let mut results = Vec::new();
        match self.message.dkim.as_deref() {
            Some([]) => results.push("dkim=none (message is not signed)".to_owned()),
            Some(signatures) => results.extend(signatures.iter().map(dkim)),
            None => {}
        }
        if let Some(check) = self.spf_of_helo {
            let comment = self.spf_comment(check, self.helo);
            results.push(format!("spf={} {comment} smtp.helo={}", check.result.name(), word(self.helo)));
        }
        if let Some(SenderCheck { sender, check }) = self.spf_of_sender {
            let comment = self.spf_comment(check, spf_domain(sender, self.helo));
            let mailfrom = match sender {
                ReversePath::Null => "<>".to_owned(),
                ReversePath::Mailbox(address) => word(address.as_str()),
            };
            results.push(format!("spf={} {comment} smtp.mailfrom={mailfrom}", check.result.name()));
        }
        if let Some(check) = self.reverse_dns {
            results.push(self.iprev(check));
        }
        if let Some(result) = self.message.arc {
            results.push(format!("arc={}", result.name()));
        }
        results.extend(self.message.dmarc.as_ref().map(dmarc));
        results
    }

    fn iprev(&self, check: &Check) -> String {
        let reason = match (check.result, &check.detail) {
            (CheckResult::Pass, Some(name)) => parenthesised(name),
            (CheckResult::Fail, Some(name)) => parenthesised(&format!("{name} has not this address")),
            (CheckResult::PermError, _) => parenthesised("the address has no name"),
            _ => String::new(),
        };
        let client = self.client.to_canonical().to_string();
        format!("iprev={}{reason} policy.iprev={}", check.result.name(), word(&client))
    }

    /// What the result means, for people.
    fn spf_comment(&self, check: &Check, domain: &str) -> String {
        let (domain, client) = (host(domain, "unknown"), self.client.to_canonical());
        let meaning = match check.result {
            CheckResult::Pass => format!("domain of {domain} designates {client} as permitted sender"),
            CheckResult::Fail => {
                format!("domain of {domain} does not designate {client} as permitted sender")
            }
            CheckResult::SoftFail => {
                format!("domain of transitioning {domain} does not designate {client} as permitted sender")
            }
            CheckResult::Neutral => format!("{client} is neither permitted nor denied by domain of {domain}"),
            CheckResult::None => format!("no SPF records found for {domain}"),
            CheckResult::TempError => format!("SPF of {domain} cannot be looked up now"),
            CheckResult::PermError => format!("SPF of {domain} cannot be used"),
        };
        let reason = match &check.detail {
            Some(reason) => format!(", {}", short(reason)),
            None => String::new(),
        };
        format!("({}: {meaning}{reason})", host(self.hostname, "localhost"))
    }
}

fn dkim(signature: &Signature) -> String {
    let reason = signature.reason.as_deref().map(parenthesised).unwrap_or_default();
    let mut result = format!("dkim={}{reason}", signature.result.name());
    if let Some(SignatureTags { domain, selector, identity, start }) = &signature.tags {
        let domain = format!("header.d={}", word(domain));
        // Whoever judges alignment by this field wants the domain, even where there is an identity.
        let (by, more) = match identity {
            Some(identity) => (format!("header.i={}", word(identity)), format!(" {domain}")),
            None => (domain, String::new()),
        };
        result.push_str(&format!(" {by} header.s={} header.b={}{more}", word(selector), word(start)));
    }
    result
}

fn dmarc(dmarc: &Dmarc) -> String {
    let reason = dmarc.reason.as_deref().map(parenthesised).unwrap_or_default();
    format!(
        "dmarc={}{reason} header.from={} policy.dmarc={}",
        dmarc.result.name(),
        word(&dmarc.from),
        dmarc.policy.name()
    )
}

/// The domain that SPF of a sender is about (RFC 7208 section 2.4).
fn spf_domain<'a>(sender: &'a ReversePath, helo: &'a str) -> &'a str {
    match sender {
        ReversePath::Null => helo,
        ReversePath::Mailbox(address) => address.domain(),
    }
}

/// A comment behind a result; nothing for an empty one.
fn parenthesised(text: &str) -> String {
    let text = short(text);
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// A reason as it may stand in a comment.
fn short(reason: &str) -> String {
    comment(&reason.replace(|c: char| !c.is_ascii(), "?"), MAX_REASON)
}

/// A value that is read as exactly one: as it is when it is a token or a plain mailbox, else quoted
/// (RFC 8601 section 2.2, RFC 2045 section 5.1).
fn word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+@!#$%&'*^`{|}~".contains(c);
    let is_plain = !value.is_empty()
        && value.len() <= MAX_VALUE
        && value.chars().all(plain)
        && value.matches('@').count() <= 1;
    if is_plain { value.to_owned() } else { quoted(value) }
}

/// A quoted string without control characters (RFC 5322 section 3.2.4).
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars().filter(|c| !c.is_control()) {
        if quoted.len() + c.len_utf8() >= MAX_VALUE {
            break;
        }
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::header::Header;
    use crate::session::check::DmarcPolicy;
    use crate::smtp::address::Address;

    fn check(result: CheckResult, detail: Option<&str>) -> Check {
        Check { result, detail: detail.map(Into::into) }
    }

    fn sender(address: &str, result: CheckResult) -> SenderCheck {
        let sender = match address {
            "" => ReversePath::Null,
            address => Address::parse(address).unwrap().into(),
        };
        SenderCheck { sender, check: check(result, None) }
    }

    fn nothing() -> MessageResults {
        MessageResults::default()
    }

    fn checks(message: &MessageResults) -> Checks<'_> {
        Checks {
            hostname: "mx.example.org",
            client: IpAddr::from([192, 0, 2, 1]),
            helo: "mail.sender.example",
            reverse_dns: None,
            spf_of_helo: None,
            spf_of_sender: None,
            message,
        }
    }

    fn authentication_results(checks: &Checks<'_>) -> String {
        let mut out = Vec::new();
        checks.write_authentication_results(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn received_spf(checks: &Checks<'_>) -> String {
        let mut out = Vec::new();
        checks.write_received_spf(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn signature(result: CheckResult, identity: Option<&str>, reason: Option<&str>) -> Signature {
        Signature {
            result,
            tags: Some(SignatureTags {
                domain: "sender.example".into(),
                selector: "s1".into(),
                identity: identity.map(Into::into),
                start: "AbC+/012".into(),
            }),
            reason: reason.map(Into::into),
        }
    }

    #[test]
    fn nothing_checked_is_said_so() {
        assert_eq!(
            authentication_results(&checks(&nothing())),
            "Authentication-Results: mx.example.org; none\r\n"
        );
        assert_eq!(received_spf(&checks(&nothing())), "");
    }

    #[test]
    fn every_result_has_its_line_in_the_documented_order() {
        let message = MessageResults {
            dkim: Some(vec![
                signature(CheckResult::Pass, Some("@mail.sender.example"), None),
                signature(CheckResult::Fail, None, Some("body has changed")),
                CheckResult::Neutral.into(),
            ]),
            arc: Some(CheckResult::Pass),
            dmarc: Some(Dmarc {
                result: CheckResult::Fail,
                policy: DmarcPolicy::Reject,
                from: "author.example".into(),
                reason: Some("no aligned identifier passed".into()),
            }),
        };
        let (helo, reverse) =
            (check(CheckResult::None, None), check(CheckResult::Pass, Some("mail.sender.example")));
        let from = sender("alice@sender.example", CheckResult::Pass);
        let checks = Checks {
            reverse_dns: Some(&reverse),
            spf_of_helo: Some(&helo),
            spf_of_sender: Some(&from),
            ..checks(&message)
        };
        assert_eq!(
            authentication_results(&checks),
            "Authentication-Results: mx.example.org;\r\n\
             \tdkim=pass header.i=@mail.sender.example header.s=s1 header.b=\"AbC+/012\" header.d=sender.example;\r\n\
             \tdkim=fail (body has changed) header.d=sender.example header.s=s1 header.b=\"AbC+/012\";\r\n\
             \tdkim=neutral;\r\n\
             \tspf=none (mx.example.org: no SPF records found for mail.sender.example) smtp.helo=mail.sender.example;\r\n\
             \tspf=pass (mx.example.org: domain of sender.example designates 192.0.2.1 as permitted sender) \
             smtp.mailfrom=alice@sender.example;\r\n\
             \tiprev=pass (mail.sender.example) policy.iprev=192.0.2.1;\r\n\
             \tarc=pass;\r\n\
             \tdmarc=fail (no aligned identifier passed) header.from=author.example policy.dmarc=reject\r\n"
        );
        assert_eq!(
            received_spf(&checks),
            "Received-SPF: pass (mx.example.org: domain of sender.example designates 192.0.2.1 as permitted sender)\r\n\
             \treceiver=mx.example.org; client-ip=192.0.2.1; envelope-from=\"alice@sender.example\"; \
             helo=mail.sender.example;\r\n"
        );
    }

    #[test]
    fn the_null_sender_is_the_postmaster_of_the_client() {
        let (message, from) = (nothing(), sender("", CheckResult::SoftFail));
        let checks = Checks { spf_of_sender: Some(&from), ..checks(&message) };
        let comment = "(mx.example.org: domain of transitioning mail.sender.example does not designate 192.0.2.1 as permitted sender)";
        assert_eq!(
            authentication_results(&checks),
            format!(
                "Authentication-Results: mx.example.org;\r\n\tspf=softfail {comment} smtp.mailfrom=<>\r\n"
            )
        );
        assert!(
            received_spf(&checks)
                .contains("envelope-from=\"postmaster@mail.sender.example\"; helo=mail.sender.example;")
        );
    }

    #[test]
    fn a_message_without_signatures_has_the_result_none() {
        let message = MessageResults { dkim: Some(Vec::new()), ..nothing() };
        assert!(
            authentication_results(&checks(&message))
                .ends_with(";\r\n\tdkim=none (message is not signed)\r\n")
        );
    }

    #[test]
    fn addresses_of_either_family_are_one_value() {
        let (message, reverse) = (nothing(), check(CheckResult::TempError, None));
        for (client, wanted) in [
            ("::ffff:192.0.2.9", "iprev=temperror policy.iprev=192.0.2.9"),
            ("2001:db8::1", "iprev=temperror policy.iprev=\"2001:db8::1\""),
        ] {
            let checks =
                Checks { client: client.parse().unwrap(), reverse_dns: Some(&reverse), ..checks(&message) };
            assert!(authentication_results(&checks).ends_with(&format!("\t{wanted}\r\n")));
        }
    }

    #[test]
    fn what_strangers_chose_cannot_forge_a_result() {
        let evil = "x; dkim=pass\r\nEvil: yes (\"\\";
        let message = MessageResults {
            dkim: Some(vec![Signature {
                result: CheckResult::Fail,
                tags: Some(SignatureTags {
                    domain: evil.into(),
                    selector: evil.into(),
                    identity: Some(evil.into()),
                    start: evil.into(),
                }),
                reason: Some(evil.into()),
            }]),
            arc: None,
            dmarc: None,
        };
        let spf = Check { result: CheckResult::PermError, detail: Some(evil.into()) };
        let checks =
            Checks { helo: evil, reverse_dns: Some(&spf), spf_of_helo: Some(&spf), ..checks(&message) };
        let field = authentication_results(&checks);
        assert_eq!(field.lines().next(), Some("Authentication-Results: mx.example.org;"));
        assert_eq!(field.lines().count(), 4, "{field}");
        for line in field.lines().skip(1) {
            assert!(!outside_of_quotes(line).contains("dkim=pass"), "{line}");
        }
    }

    /// The line without quoted strings and comments.
    fn outside_of_quotes(line: &str) -> String {
        let (mut plain, mut quoted, mut depth, mut escaped) = (String::new(), false, 0, false);
        for c in line.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted || depth > 0 => escaped = true,
                '"' if depth == 0 => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                c if !quoted && depth == 0 => plain.push(c),
                _ => {}
            }
        }
        plain
    }

    proptest! {
        #[test]
        fn the_fields_are_single_fields_of_short_lines(text in any::<String>(), long in 0usize..2000, ascii in "[ -~]{0,40}") {
            let text = text + &ascii + &"x".repeat(long);
            let message = MessageResults {
                dkim: Some(vec![signature(CheckResult::Fail, Some(&text), Some(&text)); 3]),
                arc: None,
                dmarc: Some(Dmarc { result: CheckResult::Fail, policy: DmarcPolicy::None, from: (&*text).into(), reason: Some((&*text).into()) }),
            };
            let (odd, from) = (check(CheckResult::PermError, Some(&text)), sender("", CheckResult::Pass));
            let checks = Checks { hostname: &text, helo: &text, reverse_dns: Some(&odd), spf_of_helo: Some(&odd), spf_of_sender: Some(&from), ..checks(&message) };
            for field in [authentication_results(&checks), received_spf(&checks)] {
                let header = Header::parse(field.as_bytes()).unwrap();
                prop_assert_eq!((header.fields().len(), header.octets() as usize), (1, field.len()));
                prop_assert!(field.lines().all(|line| line.len() <= 998));
            }
            let results = authentication_results(&checks);
            prop_assert_eq!(outside_of_quotes(&results).matches(';').count(), 7);
        }
    }
}
