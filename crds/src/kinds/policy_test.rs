//! `MtaPolicyTest`: a session, and what a policy is to make of it.
//!
//! No cluster has this kind. Its documents stand beside the policies of a folder, where `postern test` finds them and
//! everybody else passes them over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::filter::StageName;
use super::{Cardinality, KindSpec};

/// One test of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTestSpec {
    /// What is promised, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who comes, and what he wants.
    pub session: SessionSpec,
    /// What the world outside answers. Without it filters continue, checks find nothing, and names do not exist.
    #[serde(default)]
    pub given: GivenSpec,
    /// What is to come of it; at least one thing.
    pub expect: ExpectSpec,
}

/// A client with one message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSpec {
    /// Name of the listener. Default: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Address of the client. Default `203.0.113.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Name of the client that reverse DNS confirms. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptr: Option<String>,
    /// Name of EHLO. Default `client.example.net`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ehlo: Option<String>,
    /// Do STARTTLS. Default false.
    pub tls: bool,
    /// Log in as this account, whose password is taken to be right. Default: do not log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Sender. Default: the null sender.
    pub from: String,
    /// Parameters of MAIL, such as `REQUIRETLS`. Default: none.
    pub mail_parameters: String,
    /// Recipients; at least one.
    pub to: Vec<String>,
    /// The message. Default: a short one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The file with the message, relative to the folder; instead of `message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_file: Option<String>,
}

/// What the world outside answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GivenSpec {
    /// Result of SPF of the sender. Default `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spf: Option<ResultName>,
    /// Result of SPF of the EHLO name. Default `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spf_ehlo: Option<ResultName>,
    /// Result of reverse DNS. Default: `pass` for a client with `ptr`, else `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iprev: Option<ResultName>,
    /// Result of the one DKIM signature. Default: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dkim: Option<ResultName>,
    /// Result of the ARC chain. Default `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arc: Option<ResultName>,
    /// Result of DMARC. Default `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<DmarcSpec>,
    /// What filters say. Default: they continue; Sieve scripts run.
    pub filters: Vec<GivenFilterSpec>,
    /// What `dns_query` finds. Default: nothing.
    pub dns: Vec<GivenDnsSpec>,
    /// What the server's own store holds. Default: nothing.
    pub keys: Vec<GivenKeySpec>,
    /// Names of throttles that refuse. Default: each counts this session only.
    pub throttled: Vec<String>,
    /// The greylist lets everybody wait. Default false.
    pub greylisted: bool,
    /// A recording of `postern simulate --record`, relative to the folder. What is given here comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

/// A result of sender authentication (RFC 8601).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResultName {
    /// Confirmed.
    Pass,
    /// Contradicted.
    Fail,
    /// Contradicted, weakly.
    SoftFail,
    /// No statement.
    Neutral,
    /// Nothing published.
    None,
    /// No answer for now.
    TempError,
    /// What is published cannot be used.
    PermError,
}

/// A result of DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DmarcSpec {
    /// The result.
    pub result: ResultName,
    /// What the domain asks for. Default `reject`.
    #[serde(default)]
    pub policy: DmarcPolicyName,
}

/// What a domain asks for (RFC 7489).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicyName {
    /// Nothing.
    None,
    /// Suspicion.
    Quarantine,
    /// Refusal.
    #[default]
    Reject,
}

/// What one filter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenFilterSpec {
    /// Kind and name, such as `MtaHook/judge`.
    pub filter: String,
    /// Where it says so. Default: wherever it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// What it says.
    pub says: FilterWord,
    /// The reply of `Reject` and `Defer`, and of `Disconnect` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Fields that `Continue` adds to the message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add_fields: BTreeMap<String, String>,
    /// The reason for which `Continue` sends the message to quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

/// The verdict of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FilterWord {
    /// Go on.
    Continue,
    /// Refuse for good.
    Reject,
    /// Refuse for now.
    Defer,
    /// Accept and deliver nothing.
    Discard,
    /// Close the connection.
    Disconnect,
    /// It breaks: its failure rule applies.
    Fail,
}

/// What a name is to hold in DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenDnsSpec {
    /// The name.
    pub name: String,
    /// The second argument of `dns_query`.
    #[serde(rename = "type")]
    pub kind: DnsKindName,
    /// What is found. Default: DNS fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finds: Option<Vec<String>>,
}

/// The second argument of `dns_query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsKindName {
    /// A
    Ipv4,
    /// AAAA
    Ipv6,
    /// A and AAAA
    Ip,
    /// PTR
    Ptr,
    /// MX
    Mx,
    /// TXT
    Txt,
}

/// What a key of the server's own store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenKeySpec {
    /// The key.
    pub key: String,
    /// Its value. Default: the store fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What is to come of a session. Whatever is left out may be as it likes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExpectSpec {
    /// The beginning of the reply that decided: the one to the message if the session came so far, else the last refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyBeginning>,
    /// The stage of that reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// What of the policy has decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<DeciderSpec>,
    /// The beginning of the reply to each of these recipients.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recipients: BTreeMap<String, ReplyBeginning>,
    /// What is handed on, in this order; an empty list: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_on: Option<Vec<HandedOnSpec>>,
}

/// What of a policy decides something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeciderSpec {
    /// Kind and name, such as `MtaStageMail/default`.
    pub object: String,
    /// Path of the field below `spec`. Default: any, and none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A message on its way to one next hop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HandedOnSpec {
    /// Name of the MtaRoute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Sender of the envelope; empty for the null sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Recipients of the envelope, in any order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// Header fields, each with the beginning of its value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Header fields that the message does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_fields: Vec<String>,
    /// Text that the message holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// The beginning of a reply: its code, which may stand without quotes, or more of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReplyBeginning(pub String);

impl Deref for ReplyBeginning {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplyBeginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReplyBeginning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReplyVisitor)
    }
}

struct ReplyVisitor;

impl Visitor<'_> for ReplyVisitor {
    type Value = ReplyBeginning;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the beginning of a reply")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<ReplyBeginning, E> {
        Ok(ReplyBeginning(value.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<ReplyBeginning, E> {
        Ok(ReplyBeginning(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<ReplyBeginning, E> {
        Ok(ReplyBeginning(value.to_string()))
    }
}

impl JsonSchema for ReplyBeginning {
    fn schema_name() -> Cow<'static, str> {
        "ReplyBeginning".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

impl KindSpec for PolicyTestSpec {
    const KIND: &'static str = "MtaPolicyTest";
    const PLURAL: &'static str = "mtapolicytests";
    const CARDINALITY: Cardinality = Cardinality::Many;
}
