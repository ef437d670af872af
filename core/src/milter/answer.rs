//! What a milter answers.

use super::command::Command;
use super::error::MilterError;
use super::frame::{Frame, split_text};
use crate::smtp::reply::{EnhancedCode, Reply};
use crate::verdict::Verdict;

/// An answer that is no change.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// Go on.
    Continue,
    /// The milter wants to hear no more of this.
    Accept,
    /// What was told is refused, or the connection ends.
    Stop(Verdict),
    /// Taken and delivered nowhere.
    Discard,
    /// It is still at work.
    Progress,
    /// No more of the body.
    Skip,
}

impl Answer {
    /// Reads an answer to a command. Nothing: it is a change.
    ///
    /// # Errors
    ///
    /// When it may not stand there or cannot be read.
    pub(super) fn read(frame: &Frame<'_>, to: Command) -> Result<Option<Self>, MilterError> {
        let in_body = matches!(to, Command::Body | Command::EndOfMessage);
        let of_session = matches!(to, Command::Connect | Command::Helo);
        Ok(Some(match frame.code {
            b'c' => Self::Continue,
            b'a' => Self::Accept,
            b'r' => Self::Stop(Verdict::Reject(REJECTED)),
            b't' => Self::Stop(Verdict::Defer(DEFERRED)),
            b'd' if !of_session => Self::Discard,
            b'y' => Self::Stop(refusal(frame.payload)?),
            b'4' => Self::Stop(Verdict::Disconnect(Some(SHUT_DOWN))),
            b'f' => Self::Stop(Verdict::Disconnect(None)),
            b'p' if in_body => Self::Progress,
            b's' if to == Command::Body => Self::Skip,
            b'+' | b'-' | b'2' | b'b' | b'e' | b'h' | b'i' | b'm' | b'q' if to == Command::EndOfMessage => {
                return Ok(None);
            }
            code => return Err(MilterError::WrongPlace { answer: code.into(), to: to.name() }),
        }))
    }
}

/// A reply in the milter's own words.
fn refusal(payload: &[u8]) -> Result<Verdict, MilterError> {
    // libmilter ends the text with NUL; others are known to leave it out.
    let text = split_text(payload).map_or(payload, |(text, _)| text);
    let reply = Reply::from_text(text).ok_or(MilterError::Malformed('y'))?;
    match reply.code() {
        421 => Ok(Verdict::Disconnect(Some(reply))),
        400..=499 => Ok(Verdict::Defer(reply)),
        500..=599 => Ok(Verdict::Reject(reply)),
        _ => Err(MilterError::NoRefusal(reply.to_string())),
    }
}

const REJECTED: Reply = Reply::new(503, EnhancedCode(5, 5, 3), "Refused by a filter");
const DEFERRED: Reply = Reply::new(451, EnhancedCode(4, 3, 5), "A filter asks to try again later");
const SHUT_DOWN: Reply = Reply::new(421, EnhancedCode(4, 3, 0), "A filter asks to end the connection");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: u8, payload: &[u8], to: Command) -> Result<Option<Answer>, MilterError> {
        Answer::read(&Frame { code, payload }, to)
    }

    fn stop(payload: &[u8]) -> Verdict {
        match read(b'y', payload, Command::Mail) {
            Ok(Some(Answer::Stop(verdict))) => verdict,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_have_the_replies_of_the_specification() {
        for (code, wanted) in [(b'r', "503 5.5.3"), (b't', "451 4.3.5")] {
            let answer = read(code, b"", Command::Mail).unwrap().unwrap();
            let Answer::Stop(Verdict::Reject(reply) | Verdict::Defer(reply)) = answer else {
                panic!("{answer:?}")
            };
            assert!(reply.to_string().starts_with(wanted), "{reply}");
        }
        let shut_down = read(b'4', b"", Command::Mail).unwrap();
        let Some(Answer::Stop(Verdict::Disconnect(Some(reply)))) = shut_down else { panic!("{shut_down:?}") };
        assert!(reply.to_string().starts_with("421 4.3.0"), "{reply}");
        let broken = read(b'f', b"", Command::Mail);
        assert_eq!(broken, Ok(Some(Answer::Stop(Verdict::Disconnect(None)))));
    }

    #[test]
    fn a_reply_in_own_words_is_a_refusal_and_cannot_inject_lines() {
        let Verdict::Reject(reply) = stop(b"550-5.7.1 first\r\n550 5.7.1 second\0") else { panic!() };
        assert_eq!(reply.text(), "first\nsecond");
        let Verdict::Reject(reply) = stop(b"550 5.7.1 no\r\n250 2.0.0 queued\r\n\0") else { panic!() };
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        assert_eq!(wire, b"550 5.7.1 no 250 2.0.0 queued\r\n");
        assert!(matches!(stop(b"451 4.7.1 later"), Verdict::Defer(_)));
        assert!(matches!(stop(b"421 4.7.0 bye\0"), Verdict::Disconnect(Some(_))));
        for text in [&b"250 2.0.0 fine\0"[..], b"354 go on\0"] {
            assert!(matches!(read(b'y', text, Command::Mail), Err(MilterError::NoRefusal(_))));
        }
        for text in [&b""[..], b"\0", b"no code\0", b"5500 x\0", b"600 x\0"] {
            assert_eq!(read(b'y', text, Command::Mail), Err(MilterError::Malformed('y')), "{text:?}");
        }
    }

    #[test]
    fn answers_have_their_places() {
        for (code, to, good) in [
            (b'd', Command::Connect, false),
            (b'd', Command::Helo, false),
            (b'd', Command::Rcpt(0), true),
            (b'p', Command::Mail, false),
            (b'p', Command::Body, true),
            (b'p', Command::EndOfMessage, true),
            (b's', Command::Body, true),
            (b's', Command::EndOfMessage, false),
            (b'h', Command::EndOfMessage, true),
            (b'h', Command::Body, false),
            (b'O', Command::Connect, false),
            (b'l', Command::Connect, false),
            (b'z', Command::EndOfMessage, false),
        ] {
            assert_eq!(read(code, b"", to).is_ok(), good, "{} after {}", char::from(code), to.name());
        }
    }
}
