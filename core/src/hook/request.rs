//! What a hook is told.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::envelope;
use crate::message::field::Field;
use crate::policy::filter::BodyEncoding;
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::verdict::Stage;

/// The whole request.
#[derive(Debug, serde::Serialize)]
pub struct Request<'a> {
    /// The session.
    pub context: Context<'a>,
    /// The envelope; from Mail on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope<'a>>,
    /// The message; only at Data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message<'a>>,
}

/// The session as it is now.
#[derive(Debug, serde::Serialize)]
pub struct Context<'a> {
    /// The stage, in lower case.
    #[serde(serialize_with = "stage_name")]
    pub stage: Stage,
    /// Who sends.
    pub client: Client<'a>,
    /// The account, when one is logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl<'a>>,
    /// TLS, when there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls<'a>>,
    /// Us.
    pub server: Server,
    /// Identity of the message; only at Data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// This form of JSON.
    pub protocol: Protocol,
}

/// Who sends.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client<'a> {
    /// Address, after PROXY.
    pub ip: &'a str,
    /// Port, after PROXY.
    pub port: u16,
    /// The name that reverse DNS has confirmed.
    pub ptr: Option<&'a str>,
    /// The EHLO name.
    pub helo: Option<&'a str>,
    /// The same under its other name.
    pub ehlo: Option<&'a str>,
    /// Connections that the server has open, of all clients.
    pub active_connections: u32,
}

/// Who is logged in.
#[derive(Debug, serde::Serialize)]
pub struct Sasl<'a> {
    /// The account.
    pub login: &'a str,
    /// The mechanism, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// TLS of the connection.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls<'a> {
    /// `TLSv1.3`
    pub version: &'a str,
    /// IANA name of the cipher suite.
    pub cipher: &'a str,
    /// Length of its key.
    pub cipher_bits: u16,
    /// Issuer of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_issuer: Option<&'a str>,
    /// Subject of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_subject: Option<&'a str>,
}

/// Us.
#[derive(Debug, serde::Serialize)]
pub struct Server {
    /// `Postern`
    pub name: &'static str,
    /// The port that the client means to have reached.
    pub port: u16,
    /// Our address, after PROXY.
    pub ip: String,
}

/// Identity of a message.
#[derive(Debug, serde::Serialize)]
pub struct Queue {
    /// As in the Received field.
    pub id: String,
}

/// The form of the JSON.
#[derive(Debug, serde::Serialize)]
pub struct Protocol {
    /// 1
    pub version: u8,
}

/// Sender and recipients.
#[derive(Debug, serde::Serialize)]
pub struct Envelope<'a> {
    /// The sender; an empty address is the null path.
    pub from: Address<'a>,
    /// The recipients; at Rcpt the one in hand is the last.
    pub to: Vec<Address<'a>>,
}

/// An address of the envelope, in comparison form, with what was asked for along with it.
#[derive(Debug, serde::Serialize)]
pub struct Address<'a> {
    address: &'a str,
    parameters: Option<Parameters>,
}

impl<'a> Envelope<'a> {
    /// As a hook is shown it.
    #[must_use]
    pub fn of(envelope: &'a envelope::Envelope) -> Self {
        Self {
            from: Address {
                address: envelope.sender.key(),
                parameters: Parameters::of_mail(&envelope.parameters),
            },
            to: envelope
                .recipients
                .iter()
                .map(|recipient| Address {
                    address: recipient.address.key(),
                    parameters: Parameters::of_rcpt(&recipient.parameters),
                })
                .collect(),
        }
    }
}

/// ESMTP parameters: keywords in lower case, and their values as on the wire.
#[derive(Debug)]
struct Parameters(Vec<String>);

impl Parameters {
    fn of_mail(parameters: &MailParameters) -> Option<Self> {
        Self::unless_empty(parameters.iter().map(|parameter| parameter.to_string()).collect())
    }

    fn of_rcpt(parameters: &RcptParameters) -> Option<Self> {
        let notify = parameters.notify.map(|notify| format!("NOTIFY={notify}"));
        let orcpt = parameters.orcpt.as_ref().map(|orcpt| format!("ORCPT={orcpt}"));
        Self::unless_empty(notify.into_iter().chain(orcpt).collect())
    }

    fn unless_empty(all: Vec<String>) -> Option<Self> {
        (!all.is_empty()).then_some(Self(all))
    }
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for parameter in &self.0 {
            match parameter.split_once('=') {
                Some((keyword, value)) => map.serialize_entry(&keyword.to_ascii_lowercase(), value)?,
                None => map.serialize_entry(&parameter.to_ascii_lowercase(), &())?,
            }
        }
        map.end()
    }
}

/// The message as the filters before have left it.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    /// Its fields.
    pub headers: Fields<'a>,
    /// Fields of ours that will stand before it.
    pub server_headers: Fields<'a>,
    /// Its body.
    pub contents: Octets<'a>,
    /// `base64` when the body is written that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents_encoding: Option<&'static str>,
    /// Octets of the whole message.
    pub size: u64,
}

/// Header fields: a list of names and values, the values without the space after the colon, folds kept.
#[derive(Debug)]
pub struct Fields<'a>(pub Vec<Field<'a>>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for field in &self.0 {
            let value = field.value.strip_prefix(b" ").unwrap_or(field.value);
            list.serialize_element(&(Octets::text(field.name), Octets::text(value)))?;
        }
        list.end()
    }
}

/// Octets as a string of JSON. They are written from where they are, without a copy between.
#[derive(Debug)]
pub struct Octets<'a> {
    octets: &'a [u8],
    encoding: BodyEncoding,
}

impl<'a> Octets<'a> {
    /// As text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub const fn text(octets: &'a [u8]) -> Self {
        Self { octets, encoding: BodyEncoding::Text }
    }

    /// In that encoding.
    #[must_use]
    pub const fn new(octets: &'a [u8], encoding: BodyEncoding) -> Self {
        Self { octets, encoding }
    }

    /// Most octets that it can take in JSON.
    #[must_use]
    pub fn room(&self) -> u64 {
        let octets = self.octets.len() as u64;
        match self.encoding {
            BodyEncoding::Base64 => octets / 3 * 4 + 4,
            BodyEncoding::Text => self.octets.iter().map(|octet| escaped_octets(*octet)).sum(),
        }
    }
}

/// What one octet of a text takes in JSON: control characters as `\u001f`, a broken character as U+FFFD.
fn escaped_octets(octet: u8) -> u64 {
    match octet {
        b'"' | b'\\' | b'\r' | b'\n' | b'\t' => 2,
        0..=0x1f => 6,
        0x20..=0x7f => 1,
        0x80.. => 3,
    }
}

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encoding {
            BodyEncoding::Base64 => serializer.collect_str(&Base64Display::new(self.octets, &STANDARD)),
            BodyEncoding::Text => serializer.collect_str(&Lossy(self.octets)),
        }
    }
}

struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{FFFD}")?;
            }
        }
        Ok(())
    }
}

fn stage_name<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.name())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::envelope::Recipient;
    use crate::message::header::Header;
    use crate::smtp::address::{Address as Mailbox, ReversePath};

    fn fields(header: &Header) -> Fields<'_> {
        Fields((0..header.fields().len()).filter_map(|index| header.field(index)).collect())
    }

    fn contents(body: &[u8], encoding: BodyEncoding) -> Value {
        serde_json::to_value(Octets::new(body, encoding)).unwrap()
    }

    #[test]
    fn fields_keep_their_folds_and_lose_the_space_after_the_colon() {
        let header = Header::parse(b"Subject: a\r\n b\r\nX-Odd:c \r\nX-\xff:  \xe9\r\n\r\n").unwrap();
        let written = serde_json::to_value(fields(&header)).unwrap();
        let wanted = json!([["Subject", "a\r\n b"], ["X-Odd", "c "], ["X-\u{FFFD}", " \u{FFFD}"]]);
        assert_eq!(written[0], wanted[0]);
        assert_eq!(written[1], wanted[1]);
    }

    #[test]
    fn text_replaces_what_is_no_text_and_base64_loses_nothing() {
        assert_eq!(contents(b"a\xffb\r\n", BodyEncoding::Text), "a\u{FFFD}b\r\n");
        assert_eq!(contents(b"a\xffb\r\n", BodyEncoding::Base64), "Yf9iDQo=");
    }

    #[test]
    fn the_room_for_a_body_is_never_too_small() {
        let all: Vec<u8> = (0..=255).collect();
        for octets in [&all[..], b"", b"a", b"ab", "\u{e9}\u{1f600}".as_bytes(), b"\x01\x7f"] {
            for encoding in [BodyEncoding::Text, BodyEncoding::Base64] {
                let string = Octets::new(octets, encoding);
                let written = serde_json::to_vec(&string).unwrap().len() as u64 - 2;
                assert!(written <= string.room(), "{octets:?} {encoding:?}");
            }
        }
    }

    #[test]
    fn the_envelope_has_addresses_in_comparison_form_and_their_parameters() {
        let mut parameters = MailParameters::default();
        parameters.set("SIZE", Some("2048")).unwrap();
        parameters.set("SMTPUTF8", None).unwrap();
        let to = Recipient {
            address: Mailbox::parse("Ann@CORP.example").unwrap(),
            parameters: RcptParameters::from_filter("NOTIFY=SUCCESS,DELAY"),
        };
        let plain = Recipient { parameters: RcptParameters::default(), ..to.clone() };
        let sender = ReversePath::parse("<Bob@Sender.example>").unwrap();
        let envelope = envelope::Envelope { sender, parameters, recipients: vec![to, plain] };
        assert_eq!(
            serde_json::to_value(Envelope::of(&envelope)).unwrap(),
            json!({
                "from": {"address": "bob@sender.example", "parameters": {"size": "2048", "smtputf8": null}},
                "to": [
                    {"address": "ann@corp.example", "parameters": {"notify": "SUCCESS,DELAY"}},
                    {"address": "ann@corp.example", "parameters": null}
                ]
            })
        );
    }
}
