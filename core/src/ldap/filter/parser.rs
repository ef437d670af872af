//! From the text of a filter to its tree.

use super::{APPROXIMATE, EQUAL, FilterFault, GREATER_OR_EQUAL, LESS_OR_EQUAL, Node, Piece, Value, Variable};

/// Filters inside of filters. A person writes four or five.
const DEEPEST: usize = 32;

pub(super) fn parse(text: &str) -> Result<Node, FilterFault> {
    let mut parser = Parser { text, at: 0 };
    let node = parser.filter(0)?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(parser.fault("something follows behind the filter"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    /// Octets read.
    at: usize,
}

impl<'a> Parser<'a> {
    fn filter(&mut self, depth: usize) -> Result<Node, FilterFault> {
        self.skip_blanks();
        if depth > DEEPEST {
            return Err(self.fault("filters are nested too deeply"));
        }
        self.take('(', "a filter begins with `(`")?;
        let node = match self.peek() {
            Some('&') => Node::And(self.list(depth)?),
            Some('|') => Node::Or(self.list(depth)?),
            Some('!') => {
                self.at += 1;
                let inner = self.filter(depth + 1)?;
                self.skip_blanks();
                Node::Not(Box::new(inner))
            }
            _ => self.item()?,
        };
        self.take(')', "`)` is missing")?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, FilterFault> {
        self.at += 1;
        let mut all = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(')') if !all.is_empty() => return Ok(all),
                None => return Err(self.fault("`)` is missing")),
                _ => {}
            }
            all.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Node, FilterFault> {
        let attribute = self.name();
        match self.peek() {
            Some(':') => self.extensible(attribute),
            _ if attribute.is_empty() => Err(self.fault("the name of an attribute is missing")),
            Some('~') => self.compare(attribute, 1, APPROXIMATE),
            Some('>') => self.compare(attribute, 1, GREATER_OR_EQUAL),
            Some('<') => self.compare(attribute, 1, LESS_OR_EQUAL),
            Some('=') => self.equal(attribute),
            _ => Err(self.fault("`=`, `~=`, `>=`, `<=` or `:=` is missing")),
        }
    }

    fn compare(&mut self, attribute: &str, sign: usize, tag: u8) -> Result<Node, FilterFault> {
        self.at += sign;
        self.take('=', "`=` is missing")?;
        Ok(Node::Compare { tag, attribute: attribute.into(), value: self.value()? })
    }

    /// Equality, presence and substrings, which are told apart by the `*` in the value.
    fn equal(&mut self, attribute: &str) -> Result<Node, FilterFault> {
        self.at += 1;
        let attribute = attribute.into();
        let mut parts = vec![self.part()?];
        while self.peek() == Some('*') {
            self.at += 1;
            parts.push(self.part()?);
        }
        if let [_] = parts.as_slice() {
            let value = parts.pop().unwrap_or_default();
            return Ok(Node::Compare { tag: EQUAL, attribute, value });
        }
        if parts.iter().all(|part| part.0.is_empty()) {
            return match parts.len() {
                2 => Ok(Node::Present(attribute)),
                _ => Err(self.fault("`**` is no value")),
            };
        }
        let some = |value: Value| Some(value).filter(|value| !value.0.is_empty());
        let last = parts.pop().and_then(some);
        let mut parts = parts.into_iter();
        let initial = parts.next().and_then(some);
        let any: Vec<Value> = parts.collect();
        if any.iter().any(|value| value.0.is_empty()) {
            return Err(self.fault("`**` is no value"));
        }
        Ok(Node::Substrings { attribute, initial, any, last })
    }

    /// `attribute[:dn][:rule]:=value`
    fn extensible(&mut self, attribute: &str) -> Result<Node, FilterFault> {
        let (mut rule, mut dn_attributes) = (None, false);
        loop {
            self.take(':', "`:=` is missing")?;
            if self.peek() == Some('=') {
                break;
            }
            let begin = self.at;
            match self.name() {
                "" => return Err(self.fault("the name of a matching rule is missing")),
                name if name.eq_ignore_ascii_case("dn") && !dn_attributes => dn_attributes = true,
                name if rule.is_none() => rule = Some(name.into()),
                _ => {
                    self.at = begin;
                    return Err(self.fault("a filter has one matching rule"));
                }
            }
        }
        self.at += 1;
        if attribute.is_empty() && rule.is_none() {
            return Err(self.fault("an attribute or a matching rule is missing"));
        }
        let attribute = Some(attribute).filter(|name| !name.is_empty()).map(Box::from);
        Ok(Node::Extensible { rule, attribute, value: self.value()?, dn_attributes })
    }

    /// A value in which `*` has no meaning, and so no place.
    fn value(&mut self) -> Result<Value, FilterFault> {
        let value = self.part()?;
        match self.peek() {
            Some('*') => Err(self.fault("`*` goes with `=` only; as a character it is `\\2a`")),
            _ => Ok(value),
        }
    }

    /// Up to the next `*` or the end of the item.
    fn part(&mut self) -> Result<Value, FilterFault> {
        let mut pieces = Vec::new();
        let mut octets = Vec::new();
        while let Some(next) = self.peek().filter(|next| !matches!(next, '*' | ')')) {
            match next {
                '\\' => octets.push(self.escape()?),
                '{' => {
                    if !octets.is_empty() {
                        pieces.push(Piece::Octets(std::mem::take(&mut octets)));
                    }
                    pieces.push(Piece::Variable(self.variable()?));
                }
                '(' => return Err(self.fault("`(` in a value is written `\\28`")),
                '\0' => return Err(self.fault("NUL in a value is written `\\00`")),
                other => {
                    octets.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += other.len_utf8();
                }
            }
        }
        if !octets.is_empty() {
            pieces.push(Piece::Octets(octets));
        }
        Ok(Value(pieces))
    }

    fn escape(&mut self) -> Result<u8, FilterFault> {
        let digits = self.text.get(self.at + 1..self.at + 3);
        let is_hex = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let octet = digits.filter(is_hex).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let octet = octet.ok_or_else(|| self.fault("`\\` needs two hexadecimal digits"))?;
        self.at += 3;
        Ok(octet)
    }

    fn variable(&mut self) -> Result<Variable, FilterFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let known =
            [("{address}", Variable::Address), ("{local}", Variable::Local), ("{domain}", Variable::Domain)];
        let Some((text, variable)) = known.into_iter().find(|(text, _)| rest.starts_with(text)) else {
            return Err(
                self.fault("only `{address}`, `{local}` and `{domain}` are known; a brace itself is `\\7b`")
            );
        };
        self.at += text.len();
        Ok(variable)
    }

    /// An attribute with its options, or a number of dots and digits (RFC 4512 section 2.5).
    fn name(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '.' | '_');
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn take(&mut self, wanted: char, otherwise: &str) -> Result<(), FilterFault> {
        if self.peek() != Some(wanted) {
            return Err(self.fault(otherwise));
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    /// RFC 4515 has no blanks between filters; whoever writes one over several lines of YAML has.
    fn skip_blanks(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn fault(&self, message: impl Into<String>) -> FilterFault {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        FilterFault { line: narrow(line), column: narrow(column), message: message.into() }
    }
}
