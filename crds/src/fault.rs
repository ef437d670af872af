//! What is wrong with a set of manifests, said so that a person finds the spot.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An object by kind and name; the namespace is that of the whole set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `kind`, such as `MtaStageData`.
    pub kind: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Whose fault it is, which decides what an admission webhook does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultClass {
    /// The object alone is wrong: a reviewer that sees nothing else can tell.
    Own,
    /// It names something that is not there.
    Reference,
    /// It does not go together with another object.
    Conflict,
}

/// One thing that is wrong, with everything that is known about where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Whose fault it is.
    pub class: FaultClass,
    /// The object; none when a file could not be read as objects at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Path of the field, such as `spec.rewrite.match[2].if`; empty for the object as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The file, relative to the folder that was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// Line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in that line, in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// A known name that is close to the unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Line and column inside an expression or a script, both from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_in_source: Option<(u32, u32)>,
}

impl fmt::Display for Fault {
    /// `file.yaml:12:9: MtaStageData/default spec.maxMessages: line 1 column 7: unknown variable …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
            f.write_str(": ")?;
        }
        match (&self.object, self.path.is_empty()) {
            (Some(object), true) => write!(f, "{object}: ")?,
            (Some(object), false) => write!(f, "{object} {}: ", self.path)?,
            (None, false) => write!(f, "{}: ", self.path)?,
            (None, true) => {}
        }
        if let Some((line, column)) = self.position_in_source {
            write!(f, "line {line} column {column}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, ", did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// Puts faults into the order in which a reader meets them: by file, position, object, path.
pub(crate) fn sort(faults: &mut [Fault]) {
    faults.sort_by(|a, b| {
        let key = |fault: &Fault| (fault.file.clone(), fault.line, fault.column, fault.object.clone());
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path)).then_with(|| a.message.cmp(&b.message))
    });
}
