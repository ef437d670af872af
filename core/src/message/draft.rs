//! A message with the edits of the filters, applied to the octets they touch and to no others.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::edit::Edit;
use super::field::{Field, write_field};
use super::header::{Header, HeaderTooLarge};
use super::rope::Rope;

pub use super::rope::Piece;

/// A message with the edits of the filters so far.
///
/// Holds the header section and what was added, never the body as received: that one is a range, however
/// large it is. A clone costs as much as the list of fields.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The header that `Slot::Kept` points into.
    header: Arc<Header>,
    slots: Vec<Slot>,
    /// The message that took the place of the one received, when a filter gave a whole one.
    replacement: Option<Bytes>,
    body: Body,
}

/// The body of an edited message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These octets of the message as it was received.
    Original(Range<u64>),
    /// What a filter gave.
    New(Bytes),
}

impl Body {
    fn is_empty(&self) -> bool {
        match self {
            Self::Original(range) => range.is_empty(),
            Self::New(octets) => octets.is_empty(),
        }
    }
}

/// A place in the header.
#[derive(Debug, Clone)]
struct Slot {
    content: Content,
    /// Added at the top; later ones go below it.
    at_top: bool,
    /// Part of what the filter was shown whose edits are being applied.
    shown: bool,
}

#[derive(Debug, Clone)]
enum Content {
    /// The field at this position of the header.
    Kept(usize),
    /// A field of its own, line end included.
    Written(Bytes),
    /// Gone; keeps its place among those that the filter was shown.
    Removed,
}

impl Draft {
    /// The message as received: its header, and its length in octets.
    #[must_use]
    pub fn new(header: Arc<Header>, octets: u64) -> Self {
        let body = Body::Original(header.octets().min(octets)..octets);
        Self { slots: kept_slots(&header), header, replacement: None, body }
    }

    /// Applies the edits of one filter, in their order, or of several with [`Edit::NextFilter`] in between.
    ///
    /// Positions of [`Edit::InsertField`] count the fields as the filter was shown them, that is as they are
    /// before its first edit. Those of [`Edit::ChangeField`] and [`Edit::RemoveField`] count what the edits before
    /// them have left.
    ///
    /// # Errors
    ///
    /// [`HeaderTooLarge`] when a new message has no header that can be handled; the draft is as it was then.
    pub fn apply(&mut self, edits: impl IntoIterator<Item = Edit>) -> Result<(), HeaderTooLarge> {
        let mut next = self.clone();
        next.show();
        for edit in edits {
            match edit {
                Edit::AddField { name, value } => next.add_at_top(&name, &value),
                Edit::InsertField { index, name, value } => next.insert(index, &name, &value),
                Edit::ChangeField { index, name, value } => next.change(index, &name, &value),
                Edit::RemoveField { index, name } => {
                    if let Some(slot) = next.find(index, &name).and_then(|at| next.slots.get_mut(at)) {
                        slot.content = Content::Removed;
                    }
                }
                Edit::ReplaceBody(body) => next.body = Body::New(Bytes::from(body)),
                Edit::ReplaceMessage(message) => next.replace(Bytes::from(message))?,
                Edit::NextFilter => next.show(),
            }
        }
        next.show();
        *self = next;
        Ok(())
    }

    /// The fields from the top, as the next filter is to see them.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.slots.iter().filter_map(|slot| self.view(slot))
    }

    /// The header section with its blank line, as the next filter is to see it.
    #[must_use]
    pub fn header_section(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for field in self.fields() {
            close_line(&mut section);
            section.extend_from_slice(field.raw);
        }
        let separator = self.separator();
        if !separator.is_empty() {
            close_line(&mut section);
        }
        section.extend_from_slice(&separator);
        section
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Whether the message differs from the one received.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let in_place =
            |(at, slot): (usize, &Slot)| matches!(slot.content, Content::Kept(index) if index == at);
        self.replacement.is_some()
            || matches!(self.body, Body::New(_))
            || self.slots.len() != self.header.fields().len()
            || !self.slots.iter().enumerate().all(in_place)
    }

    /// The edited message in pieces, in order. Those of the message as received are as long as can be.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut rope = Rope::default();
        for slot in &self.slots {
            match &slot.content {
                Content::Kept(index) => {
                    let open = self.header.field(*index).is_some_and(|field| !field.raw.ends_with(b"\n"));
                    rope.push(self.kept(*index), open);
                }
                Content::Written(octets) => rope.push(Some(Piece::New(octets.clone())), false),
                Content::Removed => {}
            }
        }
        let separator = self.header.separator();
        if separator.is_empty() {
            rope.push(Some(Piece::New(Bytes::copy_from_slice(&self.separator()))), false);
        } else {
            rope.push(Some(self.of_message(separator)), false);
        }
        rope.push(
            Some(match &self.body {
                Body::Original(range) => Piece::Original(range.clone()),
                Body::New(octets) => Piece::New(octets.clone()),
            }),
            false,
        );
        rope.pieces
    }

    /// Length of the edited message in octets.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.pieces().iter().map(Piece::octets).sum()
    }

    /// From here on the fields that there are count as shown, and no others.
    fn show(&mut self) {
        self.slots.retain(|slot| !matches!(slot.content, Content::Removed));
        for slot in &mut self.slots {
            slot.shown = true;
        }
    }

    fn add_at_top(&mut self, name: &[u8], value: &[u8]) {
        let at = self.slots.iter().rposition(|slot| slot.at_top).map_or(0, |last| last + 1);
        self.write(at, name, value, true);
    }

    fn insert(&mut self, index: u32, name: &[u8], value: &[u8]) {
        let shown = self.slots.iter().enumerate().filter(|(_, slot)| slot.shown);
        let at = shown.map(|(at, _)| at).nth(index as usize).unwrap_or(self.slots.len());
        self.write(at, name, value, false);
    }

    fn change(&mut self, index: u32, name: &[u8], value: &[u8]) {
        let Some(at) = self.find(index, name) else { return self.add_at_top(name, value) };
        let mut field = Vec::new();
        if let (true, Some(slot)) = (write_field(name, value, &mut field), self.slots.get_mut(at)) {
            slot.content = Content::Written(field.into());
        }
    }

    /// Puts a field in; one whose name holds nothing that a name may hold is left out.
    fn write(&mut self, at: usize, name: &[u8], value: &[u8], at_top: bool) {
        let mut field = Vec::new();
        if write_field(name, value, &mut field) {
            self.slots.insert(at, Slot { content: Content::Written(field.into()), at_top, shown: false });
        }
    }

    /// The slot of the `index`-th field of a name, counted from 1; 0 is taken for 1, as filters mean it.
    fn find(&self, index: u32, name: &[u8]) -> Option<usize> {
        let mut found = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| self.view(slot).is_some_and(|field| field.is(name)));
        found.nth((index as usize).saturating_sub(1)).map(|(at, _)| at)
    }

    fn replace(&mut self, message: Bytes) -> Result<(), HeaderTooLarge> {
        self.header = Arc::new(Header::parse(&message)?);
        self.slots = kept_slots(&self.header);
        self.show();
        let body = usize::try_from(self.header.octets()).unwrap_or(usize::MAX).min(message.len());
        self.body = Body::New(message.slice(body..));
        self.replacement = Some(message);
        Ok(())
    }

    fn view<'a>(&'a self, slot: &'a Slot) -> Option<Field<'a>> {
        match &slot.content {
            Content::Kept(index) => self.header.field(*index),
            Content::Written(octets) => Field::of(octets),
            Content::Removed => None,
        }
    }

    fn kept(&self, index: usize) -> Option<Piece> {
        self.header.range(index).map(|range| self.of_message(range))
    }

    /// A range of the message that the header belongs to.
    fn of_message(&self, range: Range<u64>) -> Piece {
        let Some(message) = &self.replacement else { return Piece::Original(range) };
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
        Piece::New(message.slice(place(range.start)..place(range.end)))
    }

    /// The blank line: the one that was there, or the one that is needed now.
    ///
    /// A message without one keeps going without, as long as nothing has changed: then its body begins
    /// with a line that is no field, or it has none.
    fn separator(&self) -> Vec<u8> {
        let range = self.header.separator();
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let own = self.header.as_bytes().get(place(range.start)..place(range.end)).unwrap_or_default();
        if own.is_empty() && !self.body.is_empty() && self.is_changed() {
            b"\r\n".to_vec()
        } else {
            own.to_vec()
        }
    }
}

fn kept_slots(header: &Header) -> Vec<Slot> {
    (0..header.fields().len())
        .map(|index| Slot { content: Content::Kept(index), at_top: false, shown: false })
        .collect()
}

fn close_line(section: &mut Vec<u8>) {
    if !section.is_empty() && !section.ends_with(b"\n") {
        section.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &str = "A: 1\r\nB: 2\r\nA: 3\r\n\r\nbody\r\n";

    fn add(name: &str, value: &str) -> Edit {
        Edit::AddField { name: name.as_bytes().into(), value: value.as_bytes().into() }
    }

    fn insert(index: u32, name: &str, value: &str) -> Edit {
        Edit::InsertField { index, name: name.as_bytes().into(), value: value.as_bytes().into() }
    }

    fn change(index: u32, name: &str, value: &str) -> Edit {
        Edit::ChangeField { index, name: name.as_bytes().into(), value: value.as_bytes().into() }
    }

    fn remove(index: u32, name: &str) -> Edit {
        Edit::RemoveField { index, name: name.as_bytes().into() }
    }

    fn draft(message: &str) -> Draft {
        Draft::new(Header::parse(message.as_bytes()).unwrap().into(), message.len() as u64)
    }

    fn render(message: &[u8], draft: &Draft) -> String {
        let mut out = Vec::new();
        for piece in draft.pieces() {
            match piece {
                Piece::Original(range) => out.extend(&message[range.start as usize..range.end as usize]),
                Piece::New(octets) => out.extend(octets),
            }
        }
        assert_eq!(out.len() as u64, draft.octets());
        let mut seen = draft.header_section();
        match draft.body() {
            Body::Original(range) => seen.extend(&message[range.start as usize..range.end as usize]),
            Body::New(octets) => seen.extend(octets),
        }
        assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&out), "filters see what is sent");
        String::from_utf8(out).unwrap()
    }

    /// The message after the edits of several filters.
    fn edited<const N: usize>(message: &str, filters: [Vec<Edit>; N]) -> String {
        let mut one_by_one = draft(message);
        let mut joined = Vec::new();
        for edits in filters {
            joined.extend(edits.iter().cloned().chain([Edit::NextFilter]));
            one_by_one.apply(edits).unwrap();
        }
        let mut at_once = draft(message);
        at_once.apply(joined).unwrap();
        let result = render(message.as_bytes(), &one_by_one);
        assert_eq!(render(message.as_bytes(), &at_once), result, "one list gives the same as several");
        result
    }

    #[test]
    fn added_fields_go_to_the_top_in_order() {
        let wanted = format!("X: 1\r\nY: 2\r\n{MESSAGE}");
        assert_eq!(edited(MESSAGE, [vec![add("X", "1"), add("Y", "2")]]), wanted);
        assert_eq!(edited(MESSAGE, [vec![add("X", "1")], vec![add("Y", "2")]]), wanted);
    }

    #[test]
    fn inserted_fields_count_what_the_filter_was_shown() {
        for (edits, wanted) in [
            (vec![insert(0, "X", "x")], "X: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n"),
            (vec![insert(1, "X", "x")], "A: 1\r\nX: x\r\nB: 2\r\nA: 3\r\n"),
            (vec![insert(3, "X", "x")], "A: 1\r\nB: 2\r\nA: 3\r\nX: x\r\n"),
            (vec![insert(99, "X", "x")], "A: 1\r\nB: 2\r\nA: 3\r\nX: x\r\n"),
            (vec![insert(1, "X", "x"), insert(1, "Y", "y")], "A: 1\r\nX: x\r\nY: y\r\nB: 2\r\nA: 3\r\n"),
            (vec![insert(0, "X", "x"), insert(1, "Y", "y")], "X: x\r\nA: 1\r\nY: y\r\nB: 2\r\nA: 3\r\n"),
            (vec![add("T", "t"), insert(1, "X", "x")], "T: t\r\nA: 1\r\nX: x\r\nB: 2\r\nA: 3\r\n"),
            (vec![remove(1, "A"), insert(1, "X", "x")], "X: x\r\nB: 2\r\nA: 3\r\n"),
        ] {
            assert_eq!(edited(MESSAGE, [edits]), format!("{wanted}\r\nbody\r\n"));
        }
    }

    #[test]
    fn a_later_filter_is_shown_what_earlier_ones_did() {
        assert_eq!(
            edited(MESSAGE, [vec![add("T", "t")], vec![insert(1, "X", "x"), change(1, "T", "u")]]),
            "T: u\r\nX: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn changed_and_removed_fields_are_counted_by_name() {
        for (edits, wanted) in [
            (vec![change(2, "a", "x")], "A: 1\r\nB: 2\r\na: x\r\n"),
            (vec![change(1, "A", " x")], "A: x\r\nB: 2\r\nA: 3\r\n"),
            (vec![change(3, "A", "x")], "A: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n"),
            (vec![change(1, "C", "x")], "C: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n"),
            (vec![remove(1, "b")], "A: 1\r\nA: 3\r\n"),
            (vec![remove(3, "A")], "A: 1\r\nB: 2\r\nA: 3\r\n"),
            (vec![remove(1, "A"), remove(1, "A")], "B: 2\r\n"),
            (vec![remove(1, "A"), change(1, "A", "x")], "B: 2\r\nA: x\r\n"),
            (vec![change(1, "B", "\tx\n\ty\n")], "A: 1\r\nB:\tx\r\n\ty\r\nA: 3\r\n"),
            (vec![add("A", "0"), change(1, "A", "x")], "A: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n"),
        ] {
            assert_eq!(edited(MESSAGE, [edits]), format!("{wanted}\r\nbody\r\n"));
        }
    }

    #[test]
    fn a_later_body_wins() {
        let body = |text: &str| Edit::ReplaceBody(text.as_bytes().into());
        assert_eq!(
            edited(MESSAGE, [vec![body("one")], vec![body("two"), add("X", "x")]]),
            "X: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\ntwo"
        );
    }

    #[test]
    fn a_whole_new_message_can_be_edited_again() {
        let message = Edit::ReplaceMessage(b"N: 1\r\nM: 2\r\n\r\nnew\r\n"[..].into());
        assert_eq!(
            edited(MESSAGE, [vec![add("X", "x"), message], vec![remove(1, "N"), insert(1, "Y", "y")]]),
            "Y: y\r\nM: 2\r\n\r\nnew\r\n"
        );
    }

    #[test]
    fn a_filter_whose_message_cannot_be_handled_changes_nothing() {
        let mut draft = draft(MESSAGE);
        let huge = "A: b\r\n".repeat(20_000);
        let edits = [add("X", "x"), Edit::ReplaceMessage(huge.as_bytes().into())];
        assert_eq!(draft.apply(edits), Err(HeaderTooLarge));
        assert_eq!(render(MESSAGE.as_bytes(), &draft), MESSAGE);
    }

    #[test]
    fn header_and_body_stay_apart() {
        for (message, wanted) in [
            ("", "X: x\r\n"),
            ("A: 1", "X: x\r\nA: 1"),
            ("A: 1\r\n", "X: x\r\nA: 1\r\n"),
            ("A: 1\r\n\r\n", "X: x\r\nA: 1\r\n\r\n"),
            ("no header\r\n", "X: x\r\n\r\nno header\r\n"),
            ("A: 1\r\nno field\r\n", "X: x\r\nA: 1\r\n\r\nno field\r\n"),
            ("\r\nbody", "X: x\r\n\r\nbody"),
        ] {
            assert_eq!(edited(message, [vec![add("X", "x")]]), wanted, "{message:?}");
        }
        assert_eq!(edited("A: 1", [vec![insert(9, "X", "x")]]), "A: 1\r\nX: x\r\n");
        assert_eq!(edited("A: 1", [vec![Edit::ReplaceBody(b"new"[..].into())]]), "A: 1\r\n\r\nnew");
    }

    #[test]
    fn untouched_octets_are_not_copied() {
        let mut draft = draft(MESSAGE);
        draft.apply([change(1, "B", "x")]).unwrap();
        let end = MESSAGE.len() as u64;
        assert_eq!(
            draft.pieces(),
            [Piece::Original(0..6), Piece::New(Bytes::from_static(b"B: x\r\n")), Piece::Original(12..end)]
        );
    }

    fn edits() -> impl Strategy<Value = Edit> {
        let text = "[ a\r\n]{0,4}";
        prop_oneof![
            ("[ABX]", text).prop_map(|(name, value)| add(&name, &value)),
            (0u32..6, "[ABX]", text).prop_map(|(index, name, value)| insert(index, &name, &value)),
            (0u32..4, "[ABX]", text).prop_map(|(index, name, value)| change(index, &name, &value)),
            (0u32..4, "[ABX]").prop_map(|(index, name)| remove(index, &name)),
            text.prop_map(|body| Edit::ReplaceBody(body.into_bytes().into())),
        ]
    }

    proptest! {
        #[test]
        fn without_edits_every_octet_stays(message in "([AB]: ?[a ]{0,3}\r\n|\r\n|[a:]{0,4}| b\r\n){0,6}") {
            prop_assert_eq!(render(message.as_bytes(), &draft(&message)), message);
        }

        #[test]
        fn what_edits_do_not_name_keeps_its_octets(
            filters in proptest::collection::vec(proptest::collection::vec(edits(), 0..4), 0..4),
        ) {
            let message = "A: 1\r\nKept :\t2\r\n 3\r\nB: 4\r\n\r\nbody\r\n";
            let mut draft = draft(message);
            for edits in filters {
                draft.apply(edits).unwrap();
            }
            let result = render(message.as_bytes(), &draft);
            prop_assert!(result.contains("Kept :\t2\r\n 3\r\n"));
            let header = Header::parse(result.as_bytes()).unwrap();
            prop_assert_eq!(header.fields().len(), draft.fields().count());
        }
    }
}
