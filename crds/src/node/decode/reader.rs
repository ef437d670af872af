//! The serde side: one node as a deserializer.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::Error;
use super::stand_in::StandIn;
use super::{Problem, Round};
use crate::node::{Key, Node, Trail, Value, shortened};
use crate::suggest::closest;
use crate::value::{EXPR_MARKER, Expr};

/// A node under way to a value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    trail: Trail<'a>,
    round: &'a Round,
}

impl<'a> Reader<'a> {
    pub(super) fn new(node: &'a Node, trail: Trail<'a>, round: &'a Round) -> Self {
        Self { node, trail, round }
    }

    fn is_replaced(&self) -> bool {
        !self.round.replaced.is_empty() && self.round.replaced.contains(&self.trail.path())
    }

    fn wrong_type(&self, expected: &dyn de::Expected) -> Error {
        de::Error::custom(format_args!("expected {expected}, found {}", self.node.describe()))
    }

    /// Hands the node to a visitor by what it is.
    fn give<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::BigInt(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => self.give_list(items.iter().collect(), visitor),
            Value::Map(entries) => visitor.visit_map(Fields::new(self, entries, None)),
        }
    }

    fn give_list<'de, V: Visitor<'de>>(self, items: Vec<&'a Node>, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { of: self, items: items.into_iter().enumerate() })
    }

    /// A list that is written as a map: elements by position, or the members of a set that are `true`.
    fn give_map_as_list<'de, V: Visitor<'de>>(
        self,
        entries: &'a [(Key, Node)],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let positions: Option<Vec<(u64, &Node)>> =
            entries.iter().map(|(key, value)| Some((key.text.parse().ok()?, value))).collect();
        if let Some(mut items) = positions {
            items.sort_by_key(|(position, _)| *position);
            return self.give_list(items.into_iter().map(|(_, value)| value).collect(), visitor);
        }
        let members: Option<Vec<&str>> = entries
            .iter()
            .filter(|(_, value)| value.value != Value::Bool(false))
            .map(|(key, value)| (value.value == Value::Bool(true)).then_some(key.text.as_str()))
            .collect();
        match members {
            Some(members) => visitor.visit_seq(de::value::SeqDeserializer::new(members.into_iter())),
            None => Err(self.wrong_type(&"a list")),
        }
    }
}

/// Runs one decoding step and gives its error a path; a replaced node answers with a stand-in.
macro_rules! read {
    ($self:ident, $visitor:ident, $method:ident($($arg:expr),*), $step:expr) => {{
        let reader = $self;
        let result = if reader.is_replaced() { StandIn.$method($($arg,)* $visitor) } else { $step };
        result.map_err(|error: Error| error.at(|| reader.trail.path()))
    }};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_any(), self.give(visitor))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_bool(), self.give(visitor))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_str(), self.give(visitor))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // A field that is written and holds nothing is a slip, not a wish for the default.
        match self.node.value {
            Value::Null => read!(self, visitor, deserialize_option(), Err(nothing_given())),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != EXPR_MARKER {
            return visitor.visit_newtype_struct(self);
        }
        read!(
            self,
            visitor,
            deserialize_any(),
            match &self.node.value {
                Value::Map(entries) => visitor.visit_map(Fields::new(self, entries, Some(Expr::KEYS))),
                Value::Null => Err(nothing_given()),
                _ => self.give(visitor),
            }
        )
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(
            self,
            visitor,
            deserialize_seq(),
            match &self.node.value {
                Value::Map(entries) if !entries.is_empty() => self.give_map_as_list(entries, visitor),
                _ => self.give(visitor),
            }
        )
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_map(), self.give(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        read!(
            self,
            visitor,
            deserialize_struct(name, fields),
            match &self.node.value {
                Value::Map(entries) => visitor.visit_map(Fields::new(self, entries, Some(fields))),
                _ => Err(self.wrong_type(&"a map")),
            }
        )
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        read!(
            self,
            visitor,
            deserialize_enum(name, variants),
            match &self.node.value {
                Value::Text(text) => visitor.visit_enum(UnitVariant(text)),
                _ => {
                    let known: Vec<String> = variants.iter().map(|name| format!("`{name}`")).collect();
                    Err(self.wrong_type(&format!("one of {}", known.join(", ")).as_str()))
                }
            }
        )
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_u8(), self.give(visitor))
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_u16(), self.give(visitor))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_u32(), self.give(visitor))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read!(self, visitor, deserialize_u64(), self.give(visitor))
    }
}

fn nothing_given() -> Error {
    de::Error::custom("has no value; leave the field out to keep its default")
}

/// The entries of a map or struct.
struct Fields<'a> {
    of: Reader<'a>,
    entries: std::slice::Iter<'a, (Key, Node)>,
    /// The fields there may be; none for maps with free keys.
    known: Option<&'static [&'static str]>,
    pending: Option<Pending<'a>>,
    /// Missing fields that an earlier round asked to add.
    added: std::vec::IntoIter<&'static str>,
}

enum Pending<'a> {
    Entry(&'a Key, &'a Node),
    Added,
}

impl<'a> Fields<'a> {
    fn new(of: Reader<'a>, entries: &'a [(Key, Node)], known: Option<&'static [&'static str]>) -> Self {
        let added: Vec<&'static str> = if of.round.added.is_empty() {
            Vec::new()
        } else {
            let path = of.trail.path();
            of.round.added.iter().filter(|(map, _)| *map == path).map(|(_, field)| *field).collect()
        };
        Self { of, entries: entries.iter(), known, pending: None, added: added.into_iter() }
    }

    fn report_unknown(&self, key: &Key, known: &'static [&'static str]) {
        let renamed = self.of.round.renamed.iter().find(|(old, _)| *old == key.text);
        let (message, suggestion) = match renamed {
            Some((_, instead)) => (format!("unknown field `{}`; write {instead}", key.text), None),
            None => {
                let close = closest(&key.text, known.iter().copied()).map(str::to_owned);
                (format!("unknown field {}", shortened(&key.text)), close)
            }
        };
        self.of.round.note(Problem {
            path: self.of.trail.key(&key.text).path(),
            at_key: true,
            message,
            suggestion,
        });
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        while let Some((key, node)) = self.entries.next() {
            if let Some(known) = self.known
                && !known.contains(&key.text.as_str())
            {
                self.report_unknown(key, known);
                continue;
            }
            if !self.of.round.removed.is_empty()
                && self.of.round.removed.contains(&self.of.trail.key(&key.text).path())
            {
                continue;
            }
            self.pending = Some(Pending::Entry(key, node));
            return seed.deserialize(key.text.as_str().into_deserializer()).map(Some);
        }
        match self.added.next() {
            Some(field) => {
                self.pending = Some(Pending::Added);
                seed.deserialize(field.into_deserializer()).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.pending.take() {
            Some(Pending::Entry(key, node)) => {
                let trail = self.of.trail.key(&key.text);
                let value = seed.deserialize(Reader::new(node, trail, self.of.round));
                // A type may refuse a value that was read without a fault, such as a set with two equal members.
                value.map_err(|error| error.at(|| trail.path()))
            }
            Some(Pending::Added) => seed.deserialize(StandIn),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

/// The elements of a list.
struct Items<'a> {
    of: Reader<'a>,
    items: std::iter::Enumerate<std::vec::IntoIter<&'a Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        for (index, node) in self.items.by_ref() {
            let trail = self.of.trail.index(index);
            if !self.of.round.removed.is_empty() && self.of.round.removed.contains(&trail.path()) {
                continue;
            }
            return seed.deserialize(Reader::new(node, trail, self.of.round)).map(Some);
        }
        Ok(None)
    }
}

/// A text that names a variant without content.
pub(super) struct UnitVariant<'a>(pub(super) &'a str);

impl<'de> EnumAccess<'de> for UnitVariant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        seed.deserialize(self.0.into_deserializer()).map(|value| (value, self))
    }
}

impl<'de> VariantAccess<'de> for UnitVariant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(de::Error::custom("expected a map"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("expected a map"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom("expected a map"))
    }
}
