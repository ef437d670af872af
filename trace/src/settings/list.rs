//! Lists of pairs in one variable: `name=value,name=value`, percent-encoded as in W3C Baggage.

/// The pairs; none in place of a part that is no pair.
pub(super) fn pairs(list: &str) -> impl Iterator<Item = Option<(String, String)>> + use<> {
    let parts: Vec<_> = list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(pair).collect();
    parts.into_iter()
}

fn pair(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=')?;
    let (name, value) = (decoded(name.trim())?, decoded(value.trim())?);
    (!name.is_empty()).then_some((name, value))
}

fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, encoded)) = rest.split_once('%') {
        octets.extend_from_slice(plain.as_bytes());
        let digits =
            encoded.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        rest = encoded.get(2..)?;
    }
    octets.extend_from_slice(rest.as_bytes());
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_from_what_is_none() {
        let all: Vec<_> = pairs("a=1, b = x%20y%2Cz ,,c=d=e,broken,%4=x,=1").collect();
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(all, [pair("a", "1"), pair("b", "x y,z"), pair("c", "d=e"), None, None, None]);
    }
}
