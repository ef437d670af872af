//! YAML text to trees with positions, within limits that hold for anybody's text.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::{Key, Node, Position, Value};

/// Why a text is no YAML that we read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct YamlFault {
    pub(crate) message: String,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// All documents of a text that are not empty.
///
/// Duplicate keys, unknown tags, and documents that blow up behind aliases are refused. The words that
/// `kubectl` takes for booleans (`yes`, `on`) are booleans here too, so that a manifest means the same in
/// a folder and in a cluster.
///
/// # Errors
/// The first thing that is not YAML; what follows it cannot be read.
pub(crate) fn read_documents(text: &str) -> Result<Vec<Node>, YamlFault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // A lookup of a hundred thousand keys is still one document.
            max_nodes: 1_000_000,
            max_events: 4_000_000,
            max_documents: 100_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let documents: Vec<Spanned<Tree>> =
        serde_saphyr::from_str_multiple_with_options::<Spanned<Tree>, _>(text, options)
            .map_err(|error| fault(&error))?;
    Ok(documents.into_iter().map(node).filter(|node| node.value != Value::Null).collect())
}

fn fault(error: &serde_saphyr::Error) -> YamlFault {
    let place = error.location();
    let text = error.without_snippet().to_string();
    // The position is a field of its own; the library puts it into the text as well.
    let first = text.lines().next().unwrap_or_default();
    let message = first.split(" at line ").next().unwrap_or(first);
    let message = message
        .split_once(": ")
        .filter(|(head, _)| head.starts_with("error: line"))
        .map_or(message, |(_, m)| m);
    // What to tell the library is no advice to who wrote the text.
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    YamlFault {
        message: message.trim_end_matches('.').to_owned(),
        line: place.map(|place| narrow(place.line())),
        column: place.map(|place| narrow(place.column())),
    }
}

/// What stands at a place, before the places are copied into our own tree.
#[derive(Debug)]
enum Tree {
    Leaf(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn node(tree: Spanned<Tree>) -> Node {
    let at = position(&tree.referenced, &tree.defined);
    let value = match tree.value {
        Tree::Leaf(value) => value,
        Tree::List(items) => Value::List(items.into_iter().map(node).collect()),
        Tree::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let at = position(&key.referenced, &key.defined);
                    (Key { text: key.value, at }, node(value))
                })
                .collect(),
        ),
    };
    Node { value, at }
}

fn position(referenced: &Location, defined: &Location) -> Option<Position> {
    if *referenced == Location::UNKNOWN {
        return None;
    }
    let offset = (referenced == defined).then(|| referenced.span().byte_offset()).flatten();
    Some(Position {
        line: narrow(referenced.line()),
        column: narrow(referenced.column()),
        offset: offset.and_then(|offset| usize::try_from(offset).ok()),
    })
}

/// Files of four billion lines are not read in the first place.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Int(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(i64::try_from(value).map_or(Value::BigInt(value), Value::Int)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Float(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Text(value.to_owned())))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(node: &Node) -> (u32, u32, Option<usize>) {
        let at = node.at.unwrap();
        (at.line, at.column, at.offset)
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let text =
            "kind: A\nspec:\n  list:\n  - one\n  - \"two\"\n  äö: 'x'\n---\n# second\nb: |\n  line\n  more\n";
        let documents = read_documents(text).unwrap();
        let spec = documents[0].get("spec").unwrap();
        assert_eq!(place(documents[0].get("kind").unwrap()), (1, 7, Some(6)));
        let Value::List(items) = &spec.get("list").unwrap().value else { panic!("no list") };
        assert_eq!(place(&items[0]), (4, 5, text.find("one")));
        assert_eq!(place(&items[1]), (5, 5, text.find("\"two")));
        let (key, value) = spec.entry("äö").unwrap();
        assert_eq!((key.at.unwrap().line, key.at.unwrap().column), (6, 3));
        assert_eq!(place(value), (6, 7, text.find("'x'")));
        assert_eq!(place(documents[1].get("b").unwrap()), (10, 3, text.find("line")));
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        for (text, line, column) in
            [("a: [1\nb: 2\n", 2, 2), ("a: 1\na: 2\n", 2, 1), ("a:\n\t- x\n", 2, 2), ("a: !nope x\n", 1, 10)]
        {
            let fault = read_documents(text).unwrap_err();
            assert_eq!((fault.line, fault.column), (Some(line), Some(column)), "{text:?} {}", fault.message);
        }
    }

    #[test]
    fn values_that_explode_are_refused() {
        let mut bomb = String::from("l0: &l0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            bomb.push_str(&format!(
                "l{level}: &l{level} [{}]\n",
                vec![format!("*l{}", level - 1); 9].join(",")
            ));
        }
        assert!(read_documents(&bomb).is_err());
        assert!(read_documents(&("[".repeat(10_000) + &"]".repeat(10_000))).is_err());
    }
}
