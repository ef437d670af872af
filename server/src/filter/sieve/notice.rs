//! Notifications of `notify`: what the interpreter writes, made safe to send.
//!
//! The interpreter puts the subject of the message, or whatever text the script gave, into the header as it
//! is. Both may come from the sender of the message, decoded, with line ends in them; a notification whose
//! header a stranger can end would not even say that it is one (RFC 3834).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A notification with a header that is only what it should be.
pub(super) fn notification(made: &[u8]) -> Option<Vec<u8>> {
    let made = String::from_utf8_lossy(made);
    // The fields of the interpreter end in these; what an intruder adds can only come before them.
    let (head, body) = made.split_once(MARK)?;
    let (fields, subject) = head.split_once(SUBJECT)?;
    let mut notification = String::with_capacity(made.len() + 64);
    for field in fields.split("\r\n").filter(|field| is_field(field)) {
        let written: String = field.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        notification.push_str(&written);
        notification.push_str("\r\n");
    }
    let subject = subject.split(char::is_control).collect::<Vec<_>>().join(" ");
    notification.push_str("Subject: ");
    notification.push_str(&encoded(subject.trim()));
    notification.push_str("\r\nAuto-Submitted: auto-notified\r\nMIME-Version: 1.0\r\n");
    notification.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
    for line in body.lines() {
        notification.push_str(line);
        notification.push_str("\r\n");
    }
    Some(notification.into_bytes())
}

const SUBJECT: &str = "\r\nSubject: ";
const MARK: &str =
    "\r\nAuto-Submitted: auto-notified\r\nX-Sieve: yes\r\nContent-type: text/plain; charset=utf-8\r\n\r\n";

fn is_field(line: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| ('!'..='~').contains(&c)))
}

/// Text in a header field, as encoded words when it is not ASCII (RFC 2047).
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > MOST_OCTETS {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words = words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word)));
    words.collect::<Vec<_>>().join("\r\n ")
}

/// An encoded word has at most 75 characters, of which these octets leave the rest for base64.
const MOST_OCTETS: usize = 45;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(fields: &str, subject: &str, body: &str) -> String {
        let made = format!("From: a@b\r\n{fields}X-Priority: 3 (Normal){SUBJECT}{subject}{MARK}{body}");
        String::from_utf8(notification(made.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_plain_notification_is_sent_as_it_is_meant() {
        assert_eq!(
            made("To: <c@d>\r\n", "hello", "hello"),
            "From: a@b\r\nTo: <c@d>\r\nX-Priority: 3 (Normal)\r\nSubject: hello\r\nAuto-Submitted: \
             auto-notified\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n"
        );
    }

    #[test]
    fn a_subject_from_outside_stays_one_field() {
        let notification = made("", "a\r\nBcc: x@y\r\n\r\nbody\nmore", "b");
        assert!(
            notification.contains("\r\nSubject: a  Bcc: x@y    body more\r\nAuto-Submitted:"),
            "{notification}"
        );
        let header = notification.split("\r\n\r\n").next().unwrap();
        assert_eq!(header.lines().filter(|line| line.starts_with("Bcc")).count(), 0);
    }

    #[test]
    fn a_field_from_outside_ends_no_header() {
        let notification = made("X-A: 1\r\n\r\nfirst line\r\n", "s", "b");
        assert!(notification.starts_with("From: a@b\r\nX-A: 1\r\nX-Priority"), "{notification}");
    }

    #[test]
    fn text_that_is_not_ascii_is_encoded_in_words() {
        let notification = made("", &"é".repeat(40), "b");
        assert!(notification.contains("Subject: =?utf-8?B?w6nDq"), "{notification}");
        assert!(notification.lines().all(|line| line.len() <= 85 && (line.is_ascii())));
    }
}
