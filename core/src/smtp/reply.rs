//! Replies to a client (RFC 5321 section 4.2, RFC 2034).

use std::borrow::Cow;
use std::fmt;

use crate::cause::Cause;

/// A reply: three digits, mostly an enhanced status code, and text.
///
/// The text holds no control character but tabs and the `\n` which separates the lines of a reply with
/// several; so whatever a text comes from, it cannot end the reply and begin another. What of the policy
/// has decided goes with it, for traces and logs; the client does not see it, and replies are equal when it
/// hears the same.
#[derive(Debug, Clone)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
    because: Option<Cause>,
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        (self.code, self.enhanced, &self.text) == (other.code, other.enhanced, &other.text)
    }
}

impl Eq for Reply {}

/// An enhanced status code: class, subject, detail (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl Reply {
    /// Longest line of a reply, in octets, line end included (RFC 5321 section 4.5.3.1.5).
    pub const MAX_LINE_OCTETS: usize = 512;

    /// A reply with a fixed text.
    ///
    /// The code is three digits, 200 to 599; the text is one line.
    #[must_use]
    pub const fn new(code: u16, enhanced: EnhancedCode, text: &'static str) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Borrowed(text), because: None }
    }

    /// A reply with a fixed text that carries no enhanced status code, such as 334 and 354.
    #[must_use]
    pub const fn plain(code: u16, text: &'static str) -> Self {
        Self { code, enhanced: None, text: Cow::Borrowed(text), because: None }
    }

    /// The answer to EHLO: the greeting, then one line for each extension (RFC 5321 section 4.1.1.1).
    ///
    /// No line carries an enhanced status code, which would spoil the keywords (RFC 2034 section 4).
    pub fn ehlo<L: AsRef<str>>(greeting: &str, keywords: impl IntoIterator<Item = L>) -> Self {
        let mut text = one_line(Cow::Borrowed(greeting)).into_owned();
        for keyword in keywords {
            text.push('\n');
            text.push_str(&one_line(Cow::Borrowed(keyword.as_ref())));
        }
        Self { code: 250, enhanced: None, text: Cow::Owned(text), because: None }
    }

    /// Reads a reply that a filter or an expression gave, such as `550 5.7.1 not today`.
    ///
    /// Further lines count as lines of the reply when they begin with the same three digits, as in
    /// `550-5.7.1 one` and `550 5.7.1 two`; any other line end becomes a space. Octets that are not
    /// UTF-8 become U+FFFD. Nothing when it does not begin with a code between 200 and 599 that is
    /// followed by white space, a hyphen or nothing.
    #[must_use]
    pub fn from_text(text: impl AsRef<[u8]>) -> Option<Self> {
        let text = String::from_utf8_lossy(text.as_ref());
        let text = text.trim();
        let (code, rest) = split_code(text)?;
        let (enhanced, _) = split_enhanced(rest, code);
        let mut lines = String::with_capacity(text.len());
        for (at, line) in text.split('\n').enumerate() {
            let continued = split_code(line).filter(|(other, _)| *other == code);
            if at > 0 {
                lines.push(if continued.is_some() { '\n' } else { ' ' });
            }
            let line = match continued {
                Some((_, rest)) => match split_enhanced(rest, code) {
                    (Some(own), words) if Some(own) == enhanced => words,
                    _ => rest,
                },
                None => line,
            };
            lines.push_str(&one_line(Cow::Borrowed(line.trim())));
        }
        Some(Self { code, enhanced, text: Cow::Owned(lines), because: None })
    }

    /// The same codes with another text. Control characters, line ends among them, become spaces.
    #[must_use]
    pub fn with_text(&self, text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: one_line(text.into()), ..self.clone() }
    }

    /// The same reply, with this enhanced code if it has none: a server that offers them gives one with
    /// every reply (RFC 2034 section 4).
    #[must_use]
    pub fn or_enhanced(self, enhanced: EnhancedCode) -> Self {
        Self { enhanced: self.enhanced.or(Some(enhanced)), ..self }
    }

    /// The same codes with a text of several lines.
    #[must_use]
    pub fn with_lines<L: AsRef<str>>(&self, lines: impl IntoIterator<Item = L>) -> Self {
        let mut text = String::new();
        for (at, line) in lines.into_iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            text.push_str(&one_line(Cow::Borrowed(line.as_ref())));
        }
        Self { text: Cow::Owned(text), ..self.clone() }
    }

    /// The same reply with the host's name in front of the text, as session-level refusals have it.
    #[must_use]
    pub fn prefix_hostname(&self, hostname: &str) -> Self {
        let text = format!("{} {}", one_line(Cow::Borrowed(hostname)), self.text);
        Self { text: Cow::Owned(text), ..self.clone() }
    }

    /// The same reply with the id under which traces and logs know what it is about, as ` [id 7f3a…]`.
    #[must_use]
    pub fn with_id(&self, id: impl fmt::Display) -> Self {
        let gap = if self.text.is_empty() { "" } else { " " };
        Self { text: Cow::Owned(format!("{}{gap}[id {id}]", self.text)), ..self.clone() }
    }

    /// The same reply, decided by this, unless something else is known to have decided it.
    #[must_use]
    pub fn or_because(self, cause: Option<&Cause>) -> Self {
        Self { because: self.because.or_else(|| cause.cloned()), ..self }
    }

    /// A reply with a fixed text that a field of the policy decides.
    pub(crate) const fn of_field(
        code: u16,
        enhanced: EnhancedCode,
        text: &'static str,
        cause: Cause,
    ) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Borrowed(text), because: Some(cause) }
    }

    /// A reply that was read from the wire. The code is 200 to 599, the text without control characters.
    pub(super) const fn from_parts(code: u16, enhanced: Option<EnhancedCode>, text: String) -> Self {
        Self { code, enhanced, text: Cow::Owned(text), because: None }
    }

    /// The three digits.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, when there is one.
    #[must_use]
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text, its lines separated by `\n`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What of the policy has decided, where one object did.
    #[must_use]
    pub const fn because(&self) -> Option<&Cause> {
        self.because.as_ref()
    }

    /// 2xx: done.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        matches!(self.code, 200..=299)
    }

    /// 3xx: go on with the data or the exchange.
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        matches!(self.code, 300..=399)
    }

    /// 4xx: refused for now.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.code, 400..=499)
    }

    /// 5xx: refused for good.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self.code, 500..=599)
    }

    /// Appends the reply in the form on the wire, the codes on each line.
    ///
    /// A line that would be longer than [`Reply::MAX_LINE_OCTETS`] is continued on the next one.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut prefix = Prefix::new(self.code, self.enhanced);
        let room = Self::MAX_LINE_OCTETS - 2 - prefix.as_bytes().len();
        let mut lines = self.text.split('\n').flat_map(|line| Wrapped { rest: Some(line), room }).peekable();
        while let Some(line) = lines.next() {
            prefix.mark(lines.peek().is_none());
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// For logs and traces: codes and text, line breaks as ` / `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Prefix::new(self.code, self.enhanced).as_str())?;
        let mut lines = self.text.split('\n');
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| {
            f.write_str(" / ")?;
            f.write_str(line)
        })
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl EnhancedCode {
    /// Reads `5.7.1`: a class of 2, 4 or 5, subject and detail of one to three digits (RFC 3463 section 2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |digits: &str| {
            let fits = matches!(digits.len(), 1..=3) && digits.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| digits.parse().ok()).flatten()
        };
        match (class, parts.next()) {
            ("2" | "4" | "5", None) => Some(Self(class.parse().ok()?, number(subject)?, number(detail)?)),
            _ => None,
        }
    }
}

/// Three digits of 200 to 599 at the start of a line, and what follows the separator.
pub(super) fn split_code(line: &str) -> Option<(u16, &str)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let rest = match rest.chars().next() {
        None => rest,
        Some('-' | ' ' | '\t' | '\r') => rest.get(1..)?,
        Some(_) => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let code = digits.parse().ok().filter(|code| (200..=599).contains(code))?;
    Some((code, rest))
}

/// An enhanced status code at the start of a text, and what follows it.
///
/// One whose class contradicts the reply code is taken for text (RFC 2034 section 4).
pub(super) fn split_enhanced(text: &str, code: u16) -> (Option<EnhancedCode>, &str) {
    let trimmed = text.trim_start();
    let (word, rest) = trimmed.split_once([' ', '\t', '\r', '\n']).unwrap_or((trimmed, ""));
    match EnhancedCode::parse(word) {
        Some(enhanced) if u16::from(enhanced.0) == code / 100 => (Some(enhanced), rest),
        _ => (None, text),
    }
}

/// A text without control characters; each becomes a space.
pub(super) fn one_line(text: Cow<'_, str>) -> Cow<'_, str> {
    let spoils = |c: char| c.is_control() && c != '\t';
    if text.contains(spoils) { Cow::Owned(text.replace(spoils, " ")) } else { text }
}

/// What each line of a reply begins with, such as `550-5.7.1 `; built once, without an allocation.
struct Prefix {
    octets: [u8; 16],
    used: usize,
}

impl Prefix {
    fn new(code: u16, enhanced: Option<EnhancedCode>) -> Self {
        let mut prefix = Self { octets: [0; 16], used: 0 };
        prefix.number(code);
        prefix.push(b' ');
        if let Some(EnhancedCode(class, subject, detail)) = enhanced {
            prefix.number(u16::from(class));
            prefix.push(b'.');
            prefix.number(subject);
            prefix.push(b'.');
            prefix.number(detail);
            prefix.push(b' ');
        }
        prefix
    }

    /// Appends up to three digits; codes with more do not exist.
    fn number(&mut self, number: u16) {
        let number = number.min(999);
        for unit in [100, 10, 1] {
            if number >= unit || unit == 1 {
                self.push(b'0' + (number / unit % 10) as u8);
            }
        }
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.used) {
            *place = octet;
            self.used += 1;
        }
    }

    /// Says whether more lines follow.
    fn mark(&mut self, last: bool) {
        if let Some(separator) = self.octets.get_mut(3) {
            *separator = if last { b' ' } else { b'-' };
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.used).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// A line in pieces of at most `room` octets, parted at spaces where there are some.
struct Wrapped<'a> {
    rest: Option<&'a str>,
    room: usize,
}

impl<'a> Iterator for Wrapped<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        if rest.len() <= self.room {
            return Some(rest);
        }
        let at = rest.floor_char_boundary(self.room);
        let (head, tail) = rest.split_at(at);
        let (head, tail) = match head.rfind(' ') {
            Some(space) if space > 0 => (rest.get(..space)?, rest.get(space + 1..)?),
            _ => (head, tail),
        };
        self.rest = Some(tail);
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_carries_both_codes() {
        let reply = Reply::new(550, EnhancedCode(5, 7, 1), "no");
        assert_eq!(wire(&reply), "550 5.7.1 no\r\n");
        assert_eq!(wire(&reply.with_lines(["a", "b", "c"])), "550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n");
        assert_eq!(wire(&Reply::plain(354, "go on")), "354 go on\r\n");
        assert_eq!(wire(&Reply::plain(334, "")), "334 \r\n");
        assert_eq!(wire(&Reply::new(250, EnhancedCode(2, 100, 123), "")), "250 2.100.123 \r\n");
    }

    #[test]
    fn keywords_of_ehlo_carry_no_enhanced_code() {
        let reply = Reply::ehlo("mx.example at your service", ["PIPELINING", "SIZE 1000"]);
        assert_eq!(wire(&reply), "250-mx.example at your service\r\n250-PIPELINING\r\n250 SIZE 1000\r\n");
    }

    #[test]
    fn replies_of_filters_are_read() {
        for (given, wanted) in [
            ("550 5.7.1 not today", "550 5.7.1 not today\r\n"),
            ("550 not today\r\n", "550 not today\r\n"),
            ("  451 4.7.1 later ", "451 4.7.1 later\r\n"),
            ("550", "550 \r\n"),
            ("550 5.7.1", "550 5.7.1 \r\n"),
            (
                "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three",
                "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n",
            ),
            ("550-one\n550 two", "550-one\r\n550 two\r\n"),
            ("550-5.7.1 one\r\n550 two", "550-5.7.1 one\r\n550 5.7.1 two\r\n"),
            // A class that contradicts the code is only text.
            ("550 4.7.1 odd", "550 4.7.1 odd\r\n"),
        ] {
            assert_eq!(wire(&Reply::from_text(given).unwrap()), wanted, "{given:?}");
        }
    }

    #[test]
    fn what_has_no_code_is_no_reply() {
        for given in ["", "no", "55", "5500 x", "199 x", "600 x", "+50 x", "5é x", "550x", "٥٥٠ x"] {
            assert_eq!(Reply::from_text(given), None, "{given:?}");
        }
    }

    #[test]
    fn a_text_cannot_smuggle_a_second_reply() {
        assert_eq!(
            wire(&Reply::from_text("550 5.7.1 a\r\n250 2.0.0 b").unwrap()),
            "550 5.7.1 a 250 2.0.0 b\r\n"
        );
        assert_eq!(wire(&Reply::from_text("550 a\0b\rc\u{85}d").unwrap()), "550 a b c d\r\n");
        assert_eq!(wire(&Reply::from_text(b"550 a\xffb").unwrap()), "550 a\u{fffd}b\r\n");
        assert_eq!(wire(&Reply::plain(550, "").with_text("a\r\n250 b")), "550 a  250 b\r\n");
        assert_eq!(wire(&Reply::plain(550, "x").prefix_hostname("h\n250")), "550 h 250 x\r\n");
    }

    #[test]
    fn long_lines_are_continued_within_512_octets() {
        let words = "word ".repeat(300);
        let glued = "é".repeat(800);
        for text in [words.trim_end(), &glued] {
            let wire = wire(&Reply::new(550, EnhancedCode(5, 7, 1), "").with_text(text.to_owned()));
            let lines: Vec<_> = wire.split_inclusive("\r\n").collect();
            assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 512));
            let (last, others) = lines.split_last().unwrap();
            assert!(
                last.starts_with("550 5.7.1 ") && others.iter().all(|line| line.starts_with("550-5.7.1 "))
            );
        }
    }

    #[test]
    fn enhanced_codes_are_read_strictly() {
        assert_eq!(EnhancedCode::parse("5.7.1"), Some(EnhancedCode(5, 7, 1)));
        assert_eq!(EnhancedCode::parse("2.100.999"), Some(EnhancedCode(2, 100, 999)));
        for text in ["", "5", "5.7", "5.7.1.2", "3.0.0", "5.7.1000", "5.+7.1", "5..1", "5.7.x", "55.7.1"] {
            assert_eq!(EnhancedCode::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_reply_on_the_wire(code in 200u16..600, text in proptest::collection::vec(any::<u8>(), 0..1500)) {
            let mut given = format!("{code} ").into_bytes();
            given.extend(text);
            let reply = Reply::from_text(&given).unwrap();
            let wire = wire(&reply);
            let lines: Vec<_> = wire.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            let (last, others) = lines.split_last().unwrap();
            let (prefix, marked) = (format!("{code} "), format!("{code}-"));
            prop_assert!(last.starts_with(&prefix));
            prop_assert!(others.iter().all(|line| line.starts_with(&marked)));
            prop_assert!(lines.iter().all(|line| line.len() <= 510 && !line.contains(['\r', '\n', '\0'])));
        }
    }
}
