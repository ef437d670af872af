//! Fields that hold an expression: `10`, `"'text'"`, or `{match: [{if, then}], else}`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An expression as it is written; the loader parses it for the field it stands in.
///
/// A scalar is short for `{else: <its text>}`. `{}` is the same as leaving the field out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expr {
    /// Conditions and values, tried in this order.
    pub cases: Vec<Case>,
    /// The value when no condition is true; none only when the field is unset.
    pub otherwise: Option<Leaf>,
}

/// One condition with its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Case {
    /// Source of the condition.
    #[serde(rename = "if")]
    pub condition: String,
    /// Source of the value.
    pub then: Leaf,
}

/// Source of a value. Numbers and booleans are taken as their text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Leaf(pub String);

/// The name under which [`Expr`] asks a deserializer for itself, so that the loader's own one knows which
/// keys to expect and can report the others by their place.
pub(crate) const EXPR_MARKER: &str = "mta.postern.dev/Expr";

impl Expr {
    /// Whether nothing was written, so that the default holds.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.cases.is_empty() && self.otherwise.is_none()
    }

    /// The keys of the long form.
    pub(crate) const KEYS: &'static [&'static str] = &["match", "else"];

    fn plain(text: impl Into<String>) -> Self {
        Self { cases: Vec::new(), otherwise: Some(Leaf(text.into())) }
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.otherwise {
            Some(leaf) if self.cases.is_empty() => leaf.serialize(serializer),
            None if self.cases.is_empty() => serializer.serialize_none(),
            otherwise => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("match", &self.cases)?;
                map.serialize_entry("else", otherwise)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(EXPR_MARKER, ExprVisitor)
    }
}

struct ExprVisitor;

impl<'de> Visitor<'de> for ExprVisitor {
    type Value = Expr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expression, or a map with `match` and `else`")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Expr, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Expr, E> {
        Ok(Expr::default())
    }

    fn visit_none<E: de::Error>(self) -> Result<Expr, E> {
        Ok(Expr::default())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Expr, E> {
        Ok(Expr::plain(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Expr, E> {
        Ok(Expr::plain(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Expr, E> {
        Ok(Expr::plain(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Expr, E> {
        Ok(Expr::plain(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Expr, E> {
        Ok(Expr::plain(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Expr, A::Error> {
        let (mut cases, mut otherwise) = (None, None);
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "match" => cases = Some(entries.next_value::<Vec<Case>>()?),
                "else" => otherwise = Some(entries.next_value::<Leaf>()?),
                other => return Err(de::Error::unknown_field(other, Expr::KEYS)),
            }
        }
        if cases.is_some() && otherwise.is_none() {
            return Err(de::Error::missing_field("else"));
        }
        Ok(Expr { cases: cases.unwrap_or_default(), otherwise })
    }
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl Visitor<'_> for LeafVisitor {
    type Value = Leaf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expression")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Leaf, E> {
        Ok(Leaf(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Leaf, E> {
        Ok(Leaf(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Leaf, E> {
        Ok(Leaf(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Leaf, E> {
        Ok(Leaf(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Leaf, E> {
        Ok(Leaf(value.to_owned()))
    }
}

impl JsonSchema for Expr {
    fn schema_name() -> Cow<'static, str> {
        "Expr".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// No `type`: each keyword only constrains values of its own JSON kind, so that scalars and maps both pass
    /// and misspelt keys do not. Written out instead of derived, because the API server rejects every schema
    /// that a derive makes of an untagged enum.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let leaf = |description: &str| {
            json_schema!({
                "description": description,
                "x-kubernetes-preserve-unknown-fields": true,
                "maxLength": 8192,
                "maxItems": 0,
                "maxProperties": 0
            })
        };
        json_schema!({
            "description": "An expression, or conditions with values.",
            "x-kubernetes-preserve-unknown-fields": true,
            "required": ["else"],
            "maxProperties": 2,
            "anyOf": [{ "required": ["match"] }, { "maxProperties": 1 }],
            "maxLength": 8192,
            "maxItems": 0,
            "properties": {
                "match": {
                    "description": "Conditions with values, tried in this order; the first true condition decides.",
                    "type": "array",
                    "maxItems": 64,
                    "x-kubernetes-list-type": "atomic",
                    "items": {
                        "type": "object",
                        "description": "One condition and its value.",
                        "required": ["if", "then"],
                        "properties": {
                            "if": {
                                "description": "The condition, an expression.",
                                "type": "string",
                                "minLength": 1,
                                "maxLength": 8192
                            },
                            "then": leaf("The value when the condition is true: a literal or an expression.")
                        }
                    }
                },
                "else": leaf("The value when no condition is true: a literal or an expression.")
            }
        })
    }
}
