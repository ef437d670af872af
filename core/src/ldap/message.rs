//! Requests and answers (RFC 4511 section 4), each in one `LDAPMessage`.

use super::ber::{self, BOOLEAN, BerError, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, SET};

/// What is asked of a directory.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// A simple bind (section 4.2). Both empty: anonymous.
    ///
    /// A name without a password would be taken for anonymous as well (section 5.1.2 of RFC 4513), which is a
    /// success that proves nothing: whoever checks a password sees to it that there is one.
    Bind {
        /// Who.
        dn: &'a str,
        /// The password.
        password: &'a str,
    },
    /// A search (section 4.5.1).
    Search(Search<'a>),
    /// TLS from here on (section 4.14).
    StartTls,
    /// The end (section 4.3); nothing answers it.
    Unbind,
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Where to begin.
    pub base: &'a str,
    /// How far to go.
    pub scope: Scope,
    /// An encoded [`Filter`](super::Filter).
    pub filter: &'a [u8],
    /// What to tell of each entry.
    pub attributes: &'a [&'a str],
    /// Most entries.
    pub most: u32,
    /// Seconds that the server may take.
    pub seconds: u32,
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// The base and everything below.
    Subtree,
}

/// One message of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To a bind.
    Bound(Outcome),
    /// An entry that a search has found.
    Entry(Entry),
    /// A search would have to go on elsewhere.
    Reference,
    /// The end of a search.
    Done(Outcome),
    /// To an extended request, such as StartTLS.
    Extended(Outcome),
    /// Something else.
    Other,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Result code (section 4.1.9).
    pub code: u32,
    /// What the server says about it.
    pub diagnostic: Box<str>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its name.
    pub dn: Box<str>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// An attribute of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// As the server calls it.
    pub name: Box<str>,
    /// In the server's order.
    pub values: Vec<Box<[u8]>>,
}

impl Outcome {
    /// `success`
    pub const SUCCESS: u32 = 0;
    /// `sizeLimitExceeded`
    pub const SIZE_LIMIT: u32 = 4;
    /// `noSuchObject`
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// `invalidCredentials`
    pub const INVALID_CREDENTIALS: u32 = 49;
}

impl Entry {
    /// The values of an attribute; its name compares without case, and options behind `;` do not count.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let is_it =
            move |given: &str| given.split(';').next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        self.attributes
            .iter()
            .filter(move |attribute| is_it(&attribute.name))
            .flat_map(|attribute| attribute.values.iter().map(|value| &**value))
    }
}

impl Request<'_> {
    /// The message, under this id.
    #[must_use]
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let mut out = Vec::new();
        ber::element(&mut out, SEQUENCE, |out| {
            ber::integer(out, INTEGER, id);
            match self {
                Self::Bind { dn, password } => ber::element(out, BIND_REQUEST, |out| {
                    ber::integer(out, INTEGER, 3);
                    ber::octets(out, OCTETS, dn.as_bytes());
                    ber::octets(out, SIMPLE, password.as_bytes());
                }),
                Self::Search(search) => ber::element(out, SEARCH_REQUEST, |out| search.write(out)),
                Self::StartTls => {
                    ber::element(out, EXTENDED_REQUEST, |out| ber::octets(out, EXTENDED_NAME, START_TLS));
                }
                Self::Unbind => ber::octets(out, UNBIND_REQUEST, &[]),
            }
        });
        out
    }
}

impl Search<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        ber::octets(out, OCTETS, self.base.as_bytes());
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::Subtree => 2,
        };
        ber::integer(out, ENUMERATED, scope);
        // Aliases are followed where they are found: an entry may stand for one elsewhere.
        ber::integer(out, ENUMERATED, DEREFERENCE_ALWAYS);
        ber::integer(out, INTEGER, self.most);
        ber::integer(out, INTEGER, self.seconds);
        ber::octets(out, BOOLEAN, &[0]);
        out.extend_from_slice(self.filter);
        ber::element(out, SEQUENCE, |out| {
            for attribute in self.attributes {
                ber::octets(out, OCTETS, attribute.as_bytes());
            }
        });
    }
}

impl Response {
    /// Reads one message: its id, and what it says.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(message: &[u8]) -> Result<(u32, Self), BerError> {
        let mut message = Reader::new(Reader::new(message).expect(SEQUENCE)?);
        let id = message.number(INTEGER)?;
        let (tag, content) = message.next()?;
        let response = match tag {
            BIND_RESPONSE => Self::Bound(outcome(content)?),
            SEARCH_ENTRY => Self::Entry(entry(content)?),
            SEARCH_DONE => Self::Done(outcome(content)?),
            SEARCH_REFERENCE => Self::Reference,
            EXTENDED_RESPONSE => Self::Extended(outcome(content)?),
            _ => Self::Other,
        };
        Ok((id, response))
    }
}

fn outcome(content: &[u8]) -> Result<Outcome, BerError> {
    let mut content = Reader::new(content);
    let code = content.number(ENUMERATED)?;
    let _matched_dn = content.expect(OCTETS)?;
    let diagnostic = content.expect(OCTETS)?;
    Ok(Outcome { code, diagnostic: text(diagnostic) })
}

fn entry(content: &[u8]) -> Result<Entry, BerError> {
    let mut content = Reader::new(content);
    let dn = text(content.expect(OCTETS)?);
    let mut list = Reader::new(content.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = Reader::new(list.expect(SEQUENCE)?);
        let name = text(attribute.expect(OCTETS)?);
        let mut values = Reader::new(attribute.expect(SET)?);
        let mut all = Vec::new();
        while !values.is_empty() {
            all.push(values.expect(OCTETS)?.into());
        }
        attributes.push(Attribute { name, values: all });
    }
    Ok(Entry { dn, attributes })
}

/// Names and diagnostics are UTF-8; what is not is shown, never believed.
fn text(octets: &[u8]) -> Box<str> {
    String::from_utf8_lossy(octets).into()
}

const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
/// Of `AuthenticationChoice`.
const SIMPLE: u8 = 0x80;
/// `requestName`
const EXTENDED_NAME: u8 = 0x80;
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
const DEREFERENCE_ALWAYS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_written_as_the_standard_has_it() {
        let bind = Request::Bind { dn: "cn=a", password: "b" }.encode(1);
        assert_eq!(bind, b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01b");
        assert_eq!(Request::Unbind.encode(2), b"\x30\x05\x02\x01\x02\x42\x00");
    }

    #[test]
    fn an_outcome_is_read() {
        let message = b"\x30\x0f\x02\x01\x01\x61\x0a\x0a\x01\x31\x04\x00\x04\x03bad";
        let outcome = Outcome { code: Outcome::INVALID_CREDENTIALS, diagnostic: "bad".into() };
        assert_eq!(Response::decode(message), Ok((1, Response::Bound(outcome))));
    }

    #[test]
    fn an_entry_is_read_with_all_its_values() {
        let mut message = Vec::new();
        ber::element(&mut message, SEQUENCE, |out| {
            ber::integer(out, INTEGER, 7);
            ber::element(out, SEARCH_ENTRY, |out| {
                ber::octets(out, OCTETS, b"cn=a");
                ber::element(out, SEQUENCE, |out| {
                    ber::element(out, SEQUENCE, |out| {
                        ber::octets(out, OCTETS, b"Mail;lang-de");
                        ber::element(out, SET, |out| {
                            ber::octets(out, OCTETS, b"a@x");
                            ber::octets(out, OCTETS, b"b@x");
                        });
                    });
                });
            });
        });
        let (id, Response::Entry(entry)) = Response::decode(&message).unwrap() else { panic!("no entry") };
        assert_eq!((id, &*entry.dn), (7, "cn=a"));
        assert_eq!(entry.values("mail").collect::<Vec<_>>(), [b"a@x", b"b@x"]);
        assert_eq!(entry.values("cn").count(), 0);
        for cut in 0..message.len() {
            assert!(Response::decode(&message[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn octets_that_are_no_message_are_errors_and_never_more() {
        let good = Request::StartTls.encode(9);
        for at in 0..good.len() {
            for flip in 0..=255 {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let _ = Response::decode(&bad);
            }
        }
    }
}
