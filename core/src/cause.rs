//! What of a policy has decided.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The object of a policy that made a reply what it is, and where one alone did, its field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cause {
    kind: &'static str,
    name: Option<Arc<str>>,
    field: Option<Cow<'static, str>>,
}

impl Cause {
    /// A field of a singleton, such as `isSenderAllowed` of `MtaStageMail`.
    #[must_use]
    pub const fn field_of(kind: &'static str, field: &'static str) -> Self {
        Self { kind, name: None, field: Some(Cow::Borrowed(field)) }
    }

    /// A singleton as a whole.
    #[must_use]
    pub const fn singleton(kind: &'static str) -> Self {
        Self { kind, name: None, field: None }
    }

    /// An object as a whole.
    #[must_use]
    pub const fn object(kind: &'static str, name: Arc<str>) -> Self {
        Self { kind, name: Some(name), field: None }
    }

    /// The same object, by this field of its.
    #[must_use]
    pub fn with_field(self, field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The kind, such as `MtaStageMail`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// `metadata.name`, which is `default` for a singleton.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }

    /// The path of the field below `spec`.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for Cause {
    /// `MtaStageMail/default isSenderAllowed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name())?;
        match &self.field {
            Some(field) => write!(f, " {field}"),
            None => Ok(()),
        }
    }
}
