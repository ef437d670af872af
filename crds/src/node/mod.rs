//! A document as a tree that remembers where each key and value stood.
//!
//! YAML files and objects from a cluster become the same tree, so that one decoder reads both.

mod decode;
mod json;
mod trail;
mod yaml;

use std::sync::Arc;

pub(crate) use decode::decode;
pub(crate) use json::{from_json, to_json};
pub(crate) use trail::{Path, Step, Trail};
pub(crate) use yaml::{YamlFault, read_documents};

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Octets from the beginning of the file to where the scalar stands; none when it stands elsewhere, behind
    /// an alias.
    pub(crate) offset: Option<usize>,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Option<Position>,
}

/// The values that JSON has, and so all that a manifest may hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    BigInt(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Option<Position>,
}

/// A file that was read, for positions inside its scalars.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Relative to the folder.
    pub(crate) name: Arc<str>,
    pub(crate) text: String,
}

impl Node {
    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key and the value under it.
    pub(crate) fn entry(&self, key: &str) -> Option<(&Key, &Node)> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(found, _)| found.text == key).map(|(key, value)| (key, value))
            }
            _ => None,
        }
    }

    /// The text, when it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a path, or the deepest one on the way that exists, and whether it is the one asked for.
    pub(crate) fn find(&self, path: &Path) -> (&Node, bool) {
        let mut node = self;
        for step in path.steps() {
            let next = match (step, &node.value) {
                (Step::Key(key), _) => node.get(key),
                (Step::Index(index), Value::List(items)) => items.get(*index),
                (Step::Index(_), _) => None,
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// What kind of value it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(value) => format!("the number `{value}`"),
            Value::BigInt(value) => format!("the number `{value}`"),
            Value::Float(value) => format!("the number `{value}`"),
            Value::Text(text) => format!("the text {}", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// A text in quotes, cut to what fits into a message, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    format!("`{short}`")
}
