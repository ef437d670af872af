//! What both sides agree on before anything else: version, actions, steps, and lists of macros.

use super::error::MilterError;
use super::frame::{split_text, write_frame};
use super::macros::{MacroLists, MacroPoint};
use crate::policy::filter::{Milter, MilterVersion};

/// What a milter may ask for, as libmilter numbers it (`SMFIF_…`).
pub mod action {
    /// Add header fields; insert them too.
    pub const ADD_FIELDS: u32 = 0x1;
    /// Replace the body.
    pub const CHANGE_BODY: u32 = 0x2;
    /// Add recipients.
    pub const ADD_RECIPIENT: u32 = 0x4;
    /// Delete recipients.
    pub const DELETE_RECIPIENT: u32 = 0x8;
    /// Change and delete header fields.
    pub const CHANGE_FIELDS: u32 = 0x10;
    /// Quarantine the message.
    pub const QUARANTINE: u32 = 0x20;
    /// Change the sender.
    pub const CHANGE_SENDER: u32 = 0x40;
    /// Add recipients with parameters.
    pub const ADD_RECIPIENT_WITH_PARAMETERS: u32 = 0x80;
    /// Say which macros are wanted.
    pub const SET_MACRO_LIST: u32 = 0x100;

    /// All of version 2.
    pub const ALL_V2: u32 = 0x3f;
    /// All of version 6.
    pub const ALL_V6: u32 = 0x1ff;
}

/// What a milter does not want to be told or does not answer, as libmilter numbers it (`SMFIP_…`).
pub mod step {
    /// No connect.
    pub const NO_CONNECT: u32 = 0x1;
    /// No HELO.
    pub const NO_HELO: u32 = 0x2;
    /// No MAIL.
    pub const NO_MAIL: u32 = 0x4;
    /// No RCPT.
    pub const NO_RCPT: u32 = 0x8;
    /// No body.
    pub const NO_BODY: u32 = 0x10;
    /// No header fields.
    pub const NO_FIELDS: u32 = 0x20;
    /// No end of the header.
    pub const NO_END_OF_HEADER: u32 = 0x40;
    /// No answer to header fields.
    pub const SILENT_FIELDS: u32 = 0x80;
    /// No unknown commands; they are never told.
    pub const NO_UNKNOWN: u32 = 0x100;
    /// No DATA.
    pub const NO_DATA: u32 = 0x200;
    /// The answer "skip" is understood.
    pub const SKIP: u32 = 0x400;
    /// Refused recipients are wanted too.
    pub const REFUSED_RECIPIENTS: u32 = 0x800;
    /// No answer to connect.
    pub const SILENT_CONNECT: u32 = 0x1000;
    /// No answer to HELO.
    pub const SILENT_HELO: u32 = 0x2000;
    /// No answer to MAIL.
    pub const SILENT_MAIL: u32 = 0x4000;
    /// No answer to RCPT.
    pub const SILENT_RCPT: u32 = 0x8000;
    /// No answer to DATA.
    pub const SILENT_DATA: u32 = 0x1_0000;
    /// No answer to unknown commands.
    pub const SILENT_UNKNOWN: u32 = 0x2_0000;
    /// No answer to the end of the header.
    pub const SILENT_END_OF_HEADER: u32 = 0x4_0000;
    /// No answer to the body.
    pub const SILENT_BODY: u32 = 0x8_0000;
    /// White space before the values of fields is kept.
    pub const LEADING_SPACE: u32 = 0x10_0000;
    /// Parts of the body of 256 KiB.
    pub const CHUNKS_256K: u32 = 0x1000_0000;
    /// Parts of the body of 1 MiB.
    pub const CHUNKS_1M: u32 = 0x2000_0000;

    /// All of version 2.
    pub const ALL_V2: u32 = 0x7f;
    /// All of version 6 that Postern honours.
    pub const ALL_V6: u32 = 0x1f_ffff | CHUNKS_256K | CHUNKS_1M;

    /// What version 2 can mean: its own steps, and no answers to header fields.
    pub(super) const KNOWN_TO_V2: u32 = ALL_V2 | SILENT_FIELDS;
}

/// What is offered to a milter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// 2 or 6.
    pub version: u32,
    /// Bits of [`action`].
    pub actions: u32,
    /// Bits of [`step`].
    pub steps: u32,
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    version: u32,
    actions: u32,
    steps: u32,
    macros: MacroLists,
}

impl Offer {
    /// What the policy offers: all that Postern honours, because a milter built with libmilter breaks off when it
    /// wants something that was not offered.
    #[must_use]
    pub fn of(milter: &Milter) -> Self {
        let (version, actions, steps) = match milter.version {
            MilterVersion::V2 => (2, action::ALL_V2, step::ALL_V2),
            MilterVersion::V6 => (6, action::ALL_V6, step::ALL_V6),
        };
        Self {
            version,
            actions: milter.flags_action.unwrap_or(actions),
            steps: milter.flags_protocol.unwrap_or(steps),
        }
    }

    /// Appends the first frame of a connection.
    pub fn write_to(self, out: &mut Vec<u8>) {
        write_frame(b'O', out, |out| {
            for word in [self.version, self.actions, self.steps] {
                out.extend_from_slice(&word.to_be_bytes());
            }
        });
    }

    /// Reads the milter's answer. What it does not want is obeyed whether or not it was offered.
    ///
    /// # Errors
    ///
    /// When the answer is cut short, or names a version that there is not or that was not offered.
    pub fn agreed(self, payload: &[u8]) -> Result<Options, MilterError> {
        let (version, rest) = word(payload)?;
        let (_actions, rest) = word(rest)?;
        let (steps, rest) = word(rest)?;
        if !(2..=self.version).contains(&version) {
            return Err(MilterError::Version(version));
        }
        let steps = if version == 2 { steps & step::KNOWN_TO_V2 } else { steps };
        // What the milter says it will do is its own affair; what it may do is what it was offered.
        Ok(Options { version, actions: self.actions, steps, macros: lists(rest)? })
    }
}

impl Options {
    /// Whether the milter may ask for an action.
    #[must_use]
    pub const fn allows(&self, action: u32) -> bool {
        self.actions & action != 0
    }

    /// Whether all bits of a step are set.
    #[must_use]
    pub const fn has(&self, step: u32) -> bool {
        self.steps & step != 0
    }

    /// Whether the version has the command DATA (since 4).
    #[must_use]
    pub const fn knows_data(&self) -> bool {
        self.version >= 4
    }

    /// Octets of the body in one frame.
    #[must_use]
    pub const fn chunk_octets(&self) -> usize {
        if self.has(step::CHUNKS_1M) {
            1024 * 1024 - 1
        } else if self.has(step::CHUNKS_256K) {
            256 * 1024 - 1
        } else {
            65_535
        }
    }

    /// The macros that the milter wants.
    #[must_use]
    pub const fn macros(&self) -> &MacroLists {
        &self.macros
    }
}

fn word(octets: &[u8]) -> Result<(u32, &[u8]), MilterError> {
    let (word, rest) = octets.split_first_chunk().ok_or(MilterError::Malformed('O'))?;
    Ok((u32::from_be_bytes(*word), rest))
}

/// The lists behind the three words: the number of a point, names parted by spaces, NUL.
fn lists(mut octets: &[u8]) -> Result<MacroLists, MilterError> {
    let mut lists = MacroLists::default();
    while !octets.is_empty() {
        let (point, rest) = word(octets)?;
        let (names, rest) = split_text(rest).ok_or(MilterError::Malformed('O'))?;
        // A point that is not known has no command that the macros could come before.
        if let Some(point) = MacroPoint::of_number(point) {
            lists.set(point, &String::from_utf8_lossy(names));
        }
        octets = rest;
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer { version: 6, actions: action::ALL_V6, steps: step::ALL_V6 };

    fn answer(words: &[u32], rest: &[u8]) -> Vec<u8> {
        [words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>(), rest.to_vec()].concat()
    }

    #[test]
    fn an_offer_is_three_words() {
        let mut out = Vec::new();
        Offer { version: 6, actions: 0x1ff, steps: 0x42 }.write_to(&mut out);
        assert_eq!(out, b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\0\0\x42");
    }

    #[test]
    fn a_milter_may_have_an_older_version_and_no_newer_one() {
        for (version, good) in [(0, false), (1, false), (2, true), (4, true), (6, true), (7, false)] {
            assert_eq!(OFFER.agreed(&answer(&[version, 0, 0], b"")).is_ok(), good, "{version}");
        }
        let old = Offer { version: 2, ..OFFER };
        assert_eq!(old.agreed(&answer(&[6, 0, 0], b"")), Err(MilterError::Version(6)));
        assert!(!OFFER.agreed(&answer(&[3, 0, 0], b"")).unwrap().knows_data());
        assert!(OFFER.agreed(&answer(&[4, 0, 0], b"")).unwrap().knows_data());
    }

    #[test]
    fn steps_are_obeyed_though_they_were_not_offered() {
        let modest = Offer { steps: 0, ..OFFER };
        let options = modest.agreed(&answer(&[6, 0, step::NO_BODY | step::CHUNKS_256K], b"")).unwrap();
        assert!(options.has(step::NO_BODY) && !options.has(step::NO_HELO));
        assert_eq!(options.chunk_octets(), 262_143);
        let options = OFFER.agreed(&answer(&[2, 0, u32::MAX], b"")).unwrap();
        assert!(options.has(step::SILENT_FIELDS) && !options.has(step::SILENT_BODY));
        assert_eq!(options.chunk_octets(), 65_535);
    }

    #[test]
    fn lists_of_macros_may_follow() {
        let lists = b"\0\0\0\x02i {auth_authen}\0\0\0\0\x63unknown\0\0\0\0\x05\0";
        let options = OFFER.agreed(&answer(&[6, 0, 0], lists)).unwrap();
        let names = |point| options.macros().of(point).map(|names| names.join(","));
        assert_eq!(names(MacroPoint::Mail).as_deref(), Some("i,auth_authen"));
        assert_eq!(names(MacroPoint::EndOfMessage).as_deref(), Some(""));
        assert_eq!(names(MacroPoint::Connect), None);
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let whole = answer(&[6, 0, 0], b"\0\0\0\x02i\0");
        for end in (0..12).chain(13..whole.len()) {
            assert_eq!(OFFER.agreed(&whole[..end]), Err(MilterError::Malformed('O')), "{end}");
        }
    }
}
