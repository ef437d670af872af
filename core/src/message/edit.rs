//! Changes to a message, as filters ask for them.

/// One change to a message.
///
/// Names and values are bytes, because header fields on the wire are not always UTF-8. Values hold no
/// line end but folds (`CRLF` before white space).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A new field at the top of the header; several keep their order.
    AddField {
        /// Field name.
        name: Box<[u8]>,
        /// Field value.
        value: Box<[u8]>,
    },
    /// A new field before the `index`-th of all fields that the filter was shown, counted from 0; beyond
    /// the last, at the end. Several at one place keep their order.
    InsertField {
        /// Position among all fields.
        index: u32,
        /// Field name.
        name: Box<[u8]>,
        /// Field value.
        value: Box<[u8]>,
    },
    /// A new value for the `index`-th field of that name, counted from 1; no such field: a new one at the top.
    ChangeField {
        /// Position among the fields of that name.
        index: u32,
        /// Field name, compared without case.
        name: Box<[u8]>,
        /// Field value.
        value: Box<[u8]>,
    },
    /// Remove the `index`-th field of that name, counted from 1.
    RemoveField {
        /// Position among the fields of that name.
        index: u32,
        /// Field name, compared without case.
        name: Box<[u8]>,
    },
    /// A new body.
    ReplaceBody(Box<[u8]>),
    /// A new message altogether, header and body.
    ReplaceMessage(Box<[u8]>),
    /// No change: what follows comes from another filter, which was shown the result so far.
    ///
    /// Stands between the edits of several filters in one list, because positions count what each of them
    /// was shown.
    NextFilter,
}

impl Edit {
    /// The mark of a message that a filter wants to be looked at.
    #[must_use]
    pub fn quarantine(reason: &str) -> Self {
        let reason = if reason.is_empty() { "true" } else { reason };
        Self::AddField { name: (*b"X-Quarantine").into(), value: reason.as_bytes().into() }
    }
}
