//! The part of BER that LDAP uses (RFC 4511 section 5.1): definite lengths, tags of one octet.

/// Octets that are no BER, or not the BER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// The end came too early.
    #[error("an element is cut short")]
    Short,
    /// A length in a form that LDAP does not have.
    #[error("an element has no definite length")]
    Length,
    /// Another element was expected.
    #[error("an element is not the one expected")]
    Tag,
    /// A number that does not fit.
    #[error("a number is out of range")]
    Number,
    /// The message is larger than it may be.
    #[error("a message of more than {0} octets")]
    TooLarge(usize),
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Appends one element, whose content `fill` writes.
pub(super) fn element(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    out.push(tag);
    write_length(out, content.len());
    out.extend_from_slice(&content);
}

/// Appends one element with this content.
pub(super) fn octets(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    write_length(out, content.len());
    out.extend_from_slice(content);
}

/// Appends a number, in the fewest octets that keep its sign.
pub(super) fn integer(out: &mut Vec<u8>, tag: u8, number: u32) {
    let wide = u64::from(number).to_be_bytes();
    let zeros = wide.iter().take_while(|octet| **octet == 0).count().min(7);
    let digits = wide.get(zeros..).unwrap_or_default();
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_some_and(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    octets(out, tag, &content);
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
        return;
    }
    let wide = (length as u64).to_be_bytes();
    let zeros = wide.iter().take_while(|octet| **octet == 0).count();
    let digits = wide.get(zeros..).unwrap_or_default();
    // At most eight octets follow, so the count fits.
    out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
    out.extend_from_slice(digits);
}

/// The octets of the first whole message in `received`; none while more have to come.
///
/// # Errors
/// When it does not begin like a message, or would be larger than `most`.
pub fn message_length(received: &[u8], most: usize) -> Result<Option<usize>, BerError> {
    match received.first() {
        None => return Ok(None),
        Some(&SEQUENCE) => {}
        Some(_) => return Err(BerError::Tag),
    }
    let Some((length, header)) = read_length(received)? else { return Ok(None) };
    let whole = header.checked_add(length).filter(|whole| *whole <= most).ok_or(BerError::TooLarge(most))?;
    Ok((received.len() >= whole).then_some(whole))
}

/// The length of an element's content, and the octets before it; none when they are not all there.
fn read_length(element: &[u8]) -> Result<Option<(usize, usize)>, BerError> {
    let Some(&first) = element.get(1) else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some((first.into(), 2)));
    }
    let count = usize::from(first & 0x7f);
    // 0x80 is the indefinite form, which LDAP does not have; nobody needs more than four octets.
    if count == 0 || count > 4 {
        return Err(BerError::Length);
    }
    let Some(digits) = element.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
    Ok(Some((length, 2 + count)))
}

/// The elements in some octets, from the first to the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(content: &'a [u8]) -> Self {
        Self(content)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag and its content.
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), BerError> {
        let tag = *self.0.first().ok_or(BerError::Short)?;
        let (length, header) = read_length(self.0)?.ok_or(BerError::Short)?;
        let end = header.checked_add(length).ok_or(BerError::Length)?;
        let content = self.0.get(header..end).ok_or(BerError::Short)?;
        self.0 = self.0.get(end..).unwrap_or_default();
        Ok((tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], BerError> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(BerError::Tag),
        }
    }

    /// The next element as a number of at most 31 bits that is not negative.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, BerError> {
        let digits = self.expect(tag)?;
        let is_negative = digits.first().is_none_or(|first| first & 0x80 != 0);
        if is_negative || digits.len() > 4 {
            return Err(BerError::Number);
        }
        Ok(digits.iter().fold(0, |number, digit| (number << 8) | u32::from(*digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_and_come_back() {
        for (number, written) in [
            (0, vec![2, 1, 0]),
            (127, vec![2, 1, 127]),
            (128, vec![2, 2, 0, 128]),
            (65535, vec![2, 3, 0, 255, 255]),
        ] {
            let mut out = Vec::new();
            integer(&mut out, INTEGER, number);
            assert_eq!(out, written);
            assert_eq!(Reader::new(&out).number(INTEGER), Ok(number));
        }
        assert_eq!(Reader::new(&[2, 1, 0xff]).number(INTEGER), Err(BerError::Number));
        assert_eq!(Reader::new(&[2, 0]).number(INTEGER), Err(BerError::Number));
    }

    #[test]
    fn long_contents_have_long_lengths() {
        for size in [0, 127, 128, 255, 256, 70_000] {
            let mut out = Vec::new();
            octets(&mut out, OCTETS, &vec![7; size]);
            assert_eq!(Reader::new(&out).expect(OCTETS).unwrap().len(), size);
        }
    }

    #[test]
    fn a_message_is_whole_or_not_yet_or_too_large() {
        let mut out = Vec::new();
        element(&mut out, SEQUENCE, |out| octets(out, OCTETS, &[1; 200]));
        for cut in 0..out.len() {
            assert_eq!(message_length(&out[..cut], 1000), Ok(None), "{cut}");
        }
        assert_eq!(message_length(&out, 1000), Ok(Some(out.len())));
        assert_eq!(message_length(&out, 100), Err(BerError::TooLarge(100)));
        assert_eq!(message_length(b"HTTP/1.1", 100), Err(BerError::Tag));
        assert_eq!(message_length(&[0x30, 0x80], 100), Err(BerError::Length));
        assert_eq!(message_length(&[0x30, 0x84, 255, 255, 255, 255], 100), Err(BerError::TooLarge(100)));
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        assert_eq!(Reader::new(&[]).next(), Err(BerError::Short));
        assert_eq!(Reader::new(&[4]).next(), Err(BerError::Short));
        assert_eq!(Reader::new(&[4, 3, 1]).next(), Err(BerError::Short));
        assert_eq!(Reader::new(&[4, 0x82, 1]).next(), Err(BerError::Short));
    }
}
