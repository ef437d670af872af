//! What a next hop offers in its answer to EHLO (RFC 5321 section 4.1.1.1).

use super::reply::Reply;

/// The extensions of a next hop, read from its answer to EHLO or LHLO.
///
/// The default is a server without any, which is what follows HELO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// `PIPELINING` (RFC 2920)
    pub pipelining: bool,
    /// `CHUNKING` (RFC 3030)
    pub chunking: bool,
    /// `8BITMIME` (RFC 6152)
    pub eight_bit_mime: bool,
    /// `BINARYMIME` (RFC 3030)
    pub binary_mime: bool,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `SIZE` (RFC 1870)
    pub size: Option<SizeLimit>,
    /// `DSN` (RFC 3461)
    pub dsn: bool,
    /// `REQUIRETLS` (RFC 8689)
    pub require_tls: bool,
    /// `STARTTLS` (RFC 3207)
    pub start_tls: bool,
    /// `DELIVERBY` (RFC 2852)
    pub deliver_by: bool,
    /// `MT-PRIORITY` (RFC 6710)
    pub mt_priority: bool,
    /// `FUTURERELEASE` (RFC 4865)
    pub future_release: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034)
    pub enhanced_status_codes: bool,
    /// The mechanisms of `AUTH`, upper case (RFC 4954); also of the older `AUTH=` form.
    pub auth: Vec<String>,
}

/// The largest message that a next hop takes (RFC 1870 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// It reads `SIZE=` and names no limit.
    Unnamed,
    /// So many octets, at least 1.
    Octets(u64),
}

impl Extensions {
    /// Reads the lines after the first of an answer to EHLO. Unknown keywords are passed over.
    #[must_use]
    pub fn from_reply(answer: &Reply) -> Self {
        let mut extensions = Self::default();
        for line in answer.text().split('\n').skip(1) {
            extensions.add(line.trim());
        }
        extensions
    }

    /// The largest message that the next hop takes, in octets, when it names one.
    #[must_use]
    pub const fn max_octets(&self) -> Option<u64> {
        match self.size {
            Some(SizeLimit::Octets(octets)) => Some(octets),
            _ => None,
        }
    }

    /// Whether an AUTH mechanism is offered; compared without case.
    #[must_use]
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    fn add(&mut self, line: &str) {
        let (keyword, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "BINARYMIME" => self.binary_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "SIZE" => self.size = Some(size_limit(value)),
            "DSN" => self.dsn = true,
            "REQUIRETLS" => self.require_tls = true,
            "STARTTLS" => self.start_tls = true,
            "DELIVERBY" => self.deliver_by = true,
            "MT-PRIORITY" => self.mt_priority = true,
            "FUTURERELEASE" => self.future_release = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "AUTH" => {
                for mechanism in value.split_ascii_whitespace() {
                    if !self.offers_auth(mechanism) {
                        self.auth.push(mechanism.to_ascii_uppercase());
                    }
                }
            }
            _ => {}
        }
    }
}

/// 0 and what cannot be read mean that no limit is named (RFC 1870 section 4).
fn size_limit(value: &str) -> SizeLimit {
    match value.trim().parse() {
        Ok(octets) if octets > 0 => SizeLimit::Octets(octets),
        _ => SizeLimit::Unnamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Extensions {
        let answer = Reply::ehlo("mx.example", lines);
        Extensions::from_reply(&answer)
    }

    #[test]
    fn every_keyword_is_understood_in_any_case() {
        let all = answer(&[
            "pipelining",
            "CHUNKING",
            "8BitMime",
            "BINARYMIME",
            "SMTPUTF8",
            "SIZE 1000",
            "DSN",
            "REQUIRETLS",
            "STARTTLS",
            "DELIVERBY 240",
            "MT-PRIORITY MIXER",
            "FUTURERELEASE 100 2030-01-01T00:00:00Z",
            "ENHANCEDSTATUSCODES",
            "AUTH plain LOGIN",
            "AUTH=PLAIN CRAM-MD5",
            "X-NEW thing",
        ]);
        assert_eq!(
            all,
            Extensions {
                pipelining: true,
                chunking: true,
                eight_bit_mime: true,
                binary_mime: true,
                smtputf8: true,
                size: Some(SizeLimit::Octets(1000)),
                dsn: true,
                require_tls: true,
                start_tls: true,
                deliver_by: true,
                mt_priority: true,
                future_release: true,
                enhanced_status_codes: true,
                auth: vec!["PLAIN".into(), "LOGIN".into(), "CRAM-MD5".into()],
            }
        );
        assert!(all.offers_auth("Login") && !all.offers_auth("XOAUTH2"));
    }

    #[test]
    fn the_first_line_is_a_greeting_whatever_it_says() {
        let reply = Reply::ehlo("DSN", ["SIZE"]);
        assert_eq!(
            Extensions::from_reply(&reply),
            Extensions { size: Some(SizeLimit::Unnamed), ..Extensions::default() }
        );
    }

    #[test]
    fn a_size_of_zero_or_nonsense_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE x", "SIZE -1"] {
            assert_eq!(answer(&[line]).size, Some(SizeLimit::Unnamed), "{line}");
        }
        assert_eq!(answer(&["SIZE 5"]).max_octets(), Some(5));
        assert_eq!(answer(&[]).size, None);
    }
}
