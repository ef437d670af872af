//! Mistakes in an expression, with their place and, where a name is nearly right, the right one.

use std::fmt;

/// A mistake in the source of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// A known name that was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for Fault {
    /// `1:5: unknown name ...; did you mean ...?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// A place in the source of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    pub(super) fn fault(self, message: impl Into<String>) -> Fault {
        Fault { line: self.line, column: self.column, message: message.into(), suggestion: None }
    }
}

/// The known name closest to one that is not known, if it is close enough to be a slip of the hand.
pub(super) fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    if name.len() > LONGEST_SUGGESTED {
        return None;
    }
    let name = name.to_lowercase();
    let tolerated = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut before = None;
    for (row, here) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut left = row + 1;
        let mut previous = None;
        for (column, &there) in to.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let replace = at(&above, column) + usize::from(here != there);
            left = replace.min(left + 1).min(at(&above, column + 1) + 1);
            if column > 0 && Some(there) == before && previous == Some(here) {
                left = left.min(at(&older, column - 1) + 1);
            }
            current.push(left);
            previous = Some(there);
        }
        before = Some(here);
        older = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

/// Octets beyond which a name is not compared with the known ones, none of which is that long.
const LONGEST_SUGGESTED: usize = 64;
