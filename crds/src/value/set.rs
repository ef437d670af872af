//! Lists whose order does not matter.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A set, written as a list. A member that is written twice is a fault, as it is for the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOf<T>(BTreeSet<T>);

impl<T: Ord> SetOf<T> {
    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether that value is a member.
    pub fn contains(&self, member: &T) -> bool {
        self.0.contains(member)
    }
}

impl<T> Default for SetOf<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord> FromIterator<T> for SetOf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for SetOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for SetOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = BTreeSet::new();
        for (index, member) in Vec::<T>::deserialize(deserializer)?.into_iter().enumerate() {
            if !members.insert(member) {
                return Err(de::Error::custom(format_args!("member {} is there already", index + 1)));
            }
        }
        Ok(Self(members))
    }
}

impl<T: JsonSchema> JsonSchema for SetOf<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("SetOf_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Vec::<T>::json_schema(generator);
        schema.insert("x-kubernetes-list-type".to_owned(), "set".into());
        schema.insert("maxItems".to_owned(), 256.into());
        schema
    }
}
