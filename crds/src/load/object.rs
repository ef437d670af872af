//! Objects of known kinds, each with what is needed to report on it.

use std::sync::Arc;

use super::secrets::{ConfigMap, SecretObject};
use crate::fault::{Fault, FaultClass, ObjectRef};
use crate::kinds::{KindSpec, for_each_kind};
use crate::node::{Node, Path, Position, SourceFile, Step, Value};

/// One object.
#[derive(Debug)]
pub struct Object<T> {
    /// `metadata.name`
    pub name: Arc<str>,
    /// `metadata.generation`, when the object comes from a cluster.
    pub generation: Option<i64>,
    /// `spec`
    pub spec: T,
    pub(crate) source: Source,
}

impl<T: KindSpec> Object<T> {
    /// Kind and name.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: T::KIND.into(), name: Arc::clone(&self.name) }
    }
}

/// Where an object was read from.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) file: Option<Arc<SourceFile>>,
    /// The whole document.
    pub(crate) document: Option<Arc<Node>>,
    /// Paths that are known to be wrong; nothing inside them is reported again.
    pub(crate) untrusted: Vec<Path>,
}

/// A document of `MtaPolicyTest`, as it was read.
#[derive(Debug)]
pub(crate) struct TestDocument {
    pub(crate) file: Option<Arc<SourceFile>>,
    pub(crate) document: Arc<Node>,
}

impl Source {
    /// A fault of the object at `path`, still without words. `at_key` blames the key, not what is under it.
    pub(crate) fn fault(
        &self,
        class: FaultClass,
        object: Option<ObjectRef>,
        path: &Path,
        at_key: bool,
    ) -> Fault {
        let position = self.document.as_deref().and_then(|document| place(document, path, at_key));
        Fault {
            class,
            object,
            path: path.to_string(),
            file: self.file.as_ref().map(|file| Arc::clone(&file.name)),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            message: String::new(),
            suggestion: None,
            position_in_source: None,
        }
    }

    /// Whether a fault at that path has its cause in one that was reported already.
    pub(crate) fn is_untrusted(&self, path: &Path) -> bool {
        self.untrusted.iter().any(|untrusted| path.is_within(untrusted))
    }

    /// The position in the file of line and column inside the scalar at `path`, when the scalar is written in
    /// a form that keeps its characters together.
    pub(crate) fn inside(&self, path: &Path, line: u32, column: u32) -> Option<(u32, u32)> {
        let (node, found) = self.document.as_deref()?.find(path);
        let position = node.at.filter(|_| found && !matches!(node.value, Value::List(_) | Value::Map(_)))?;
        inside_scalar(&self.file.as_deref()?.text, position.offset?, position, line, column)
    }

    /// The index of a text in the list at `path`.
    pub(crate) fn index_of(&self, path: &Path, text: &str) -> Option<usize> {
        match &self.document.as_deref()?.find(path).0.value {
            Value::List(items) => items.iter().position(|item| item.text() == Some(text)),
            _ => None,
        }
    }

    /// Whether there is something at that path.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.document.as_deref().is_some_and(|document| document.find(path).1)
    }
}

/// Where a path is, or the innermost part of it that exists.
fn place(document: &Node, path: &Path, at_key: bool) -> Option<Position> {
    let (node, found) = document.find(path);
    if at_key && let Some((Step::Key(last), parents)) = path.steps().split_last() {
        let mut parent = Path::default();
        parents.iter().for_each(|step| parent.push(step.clone()));
        let key = document.find(&parent).0.entry(last).and_then(|(key, _)| key.at);
        return key.or(node.at);
    }
    match (&node.value, found) {
        // A block map begins at its first key, which says little; the key it stands under says more.
        (Value::Map(_), false) => key_of(document, node).or(node.at),
        _ => node.at,
    }
}

/// The place of the key under which a node stands.
fn key_of(document: &Node, wanted: &Node) -> Option<Position> {
    match &document.value {
        Value::Map(entries) => {
            entries.iter().find_map(
                |(key, value)| {
                    if std::ptr::eq(value, wanted) { key.at } else { key_of(value, wanted) }
                },
            )
        }
        Value::List(items) => items
            .iter()
            .find_map(|item| if std::ptr::eq(item, wanted) { item.at } else { key_of(item, wanted) }),
        _ => None,
    }
}

/// The place of a character of the scalar that begins at `offset` of the file.
fn inside_scalar(file: &str, offset: usize, at: Position, line: u32, column: u32) -> Option<(u32, u32)> {
    let (before, text) = file.split_at_checked(offset)?;
    if let Some(block) = Block::begun_by(before) {
        return block.inside(at, line, column);
    }
    // On several lines the characters no longer stand where the value has them.
    if line != 1 {
        return None;
    }
    let mut rest = text.chars().peekable();
    let quote = match rest.peek() {
        Some(quote @ ('\'' | '"')) => *quote,
        _ => return Some((at.line, at.column.checked_add(column)?.checked_sub(1)?)),
    };
    rest.next();
    let mut raw = 1;
    for _ in 1..column {
        raw += match rest.next()? {
            '\n' => return None,
            '\'' if quote == '\'' => rest.next_if_eq(&'\'').map(|_| 2)?,
            // Only the escapes of one character keep the count simple.
            '\\' if quote == '"' => rest.next().filter(|c| !"xuU\n\r".contains(*c)).map(|_| 2)?,
            _ => 1,
        };
    }
    Some((at.line, at.column.checked_add(raw)?))
}

/// A block scalar: its lines stand in the file as they are, behind one indentation.
struct Block {
    /// Whether lines are kept; otherwise they are folded into one another.
    is_literal: bool,
    /// Lines from the header to the line on which the content begins.
    lines_after_header: u32,
}

impl Block {
    /// The block whose header is the last thing before its content.
    fn begun_by(before: &str) -> Option<Self> {
        let mut lines = before.split('\n').rev();
        lines.next().filter(|indentation| indentation.trim().is_empty())?;
        let mut lines_after_header = 1;
        let header = loop {
            match lines.next()?.trim_end() {
                "" => lines_after_header += 1,
                header => break header,
            }
        };
        let header = header.split(" #").next().unwrap_or(header).trim_end();
        let header = header.trim_end_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
        let (is_literal, key) = match (header.strip_suffix('|'), header.strip_suffix('>')) {
            (Some(key), _) => (true, key),
            (_, Some(key)) => (false, key),
            (None, None) => return None,
        };
        key.ends_with(' ').then_some(Self { is_literal, lines_after_header })
    }

    fn inside(&self, at: Position, line: u32, column: u32) -> Option<(u32, u32)> {
        let header = at.line.checked_sub(self.lines_after_header)?;
        self.is_literal.then_some((header.checked_add(line)?, at.column.checked_add(column)?.checked_sub(1)?))
    }
}

macro_rules! object_set {
    ($($(#[$doc:meta])* $field:ident: $module:ident::$spec:ident, $resource:ident;)*) => {
        /// All objects of a namespace, or of a folder.
        ///
        /// Within a kind they stand in the order in which they were read. Singletons are lists too, because a
        /// folder may hold two by mistake, and that must be said.
        #[derive(Debug, Default)]
        pub struct ObjectSet {
            $($(#[$doc])* pub $field: Vec<Object<crate::kinds::$module::$spec>>,)*
            /// Secrets that stand beside the objects.
            pub secrets: Vec<SecretObject>,
            /// ConfigMaps that stand beside the objects.
            pub config_maps: Vec<ConfigMap>,
            /// Documents of tests, which are none of the objects and are not even decoded with them.
            pub(crate) tests: Vec<TestDocument>,
        }

        impl ObjectSet {
            /// Number of objects, Secrets and ConfigMaps aside.
            #[must_use]
            pub fn len(&self) -> usize {
                [$(self.$field.len()),*].into_iter().sum()
            }

            /// Whether there is no object.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Kind, name and generation of every object, sorted.
            #[must_use]
            pub fn references(&self) -> Vec<(ObjectRef, Option<i64>)> {
                let mut all = Vec::with_capacity(self.len());
                $(all.extend(self.$field.iter().map(|object| (object.reference(), object.generation)));)*
                all.sort();
                all
            }
        }
    };
}

for_each_kind!(object_set);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::read_documents;

    /// The character at the place that line and column of the value lead to.
    fn character(yaml: &str, line: u32, column: u32) -> Option<char> {
        let document = read_documents(yaml).unwrap().remove(0);
        let file = SourceFile { name: "x".into(), text: yaml.to_owned() };
        let source =
            Source { file: Some(Arc::new(file)), document: Some(Arc::new(document)), untrusted: Vec::new() };
        let mut path = Path::default();
        path.push(Step::Key("a".to_owned()));
        let (line, column) = source.inside(&path, line, column)?;
        yaml.lines().nth(line as usize - 1)?.chars().nth(column as usize - 1)
    }

    #[test]
    fn a_column_of_an_expression_leads_to_its_character() {
        assert_eq!(character("a: foo == bar\n", 1, 8), Some('b'));
        assert_eq!(character("b: 1\na: \"'x' == bar\"\n", 1, 8), Some('b'));
        assert_eq!(character("a: '''x'' == bar'\n", 1, 8), Some('b'));
        assert_eq!(character("a: \"\\\"x\\\" == bar\"\n", 1, 8), Some('b'));
        assert_eq!(character("a: |\n    one\n    two bar\n", 2, 5), Some('b'));
        assert_eq!(character("a: |-\n\n  one\n  two bar\n", 3, 5), Some('b'));
        assert_eq!(character("a: >\n  one\n  two\n", 1, 1), None);
        assert_eq!(character("x: &v foo bar\na: *v\n", 1, 5), None);
    }
}
