//! From a line to a [`Command`] (RFC 5321 section 4.1).
//!
//! Lenient where it harms nobody: case, blanks around the colon of MAIL and RCPT, blanks at both ends of
//! the line. Strict where two servers could read the same line differently: brackets, quoting, octets
//! that no path may hold, parameters given twice.

use super::address::{ForwardPath, ReversePath};
use super::command::{Command, Mail, Rcpt, Refusal, Utf8Addresses, Verb};
use super::parameters::{MailParameters, ParameterError, RcptParameters, split_parameter};
use super::path::{PathError, split_path};
use super::reply::Reply;

impl Command {
    /// Reads one line, its line end already taken off.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] with the reply: 500 5.5.1 for what has no known verb, 421 4.7.0 for a request of HTTP,
    /// 501, 504 or 553 for a known verb with arguments that cannot be used.
    pub fn parse(line: &[u8], utf8: Utf8Addresses) -> Result<Self, Refusal> {
        let line = trim(line);
        let (word, rest) = split_word(line);
        let unknown = || Refusal {
            verb: None,
            reply: if is_http(line) { Reply::NOT_HTTP } else { Reply::UNKNOWN_COMMAND },
        };
        let (verb, spelt) = verb(word).ok_or_else(unknown)?;
        let command = match verb {
            Verb::Helo => host_name(rest).map(Self::Helo),
            Verb::Ehlo => host_name(rest).map(Self::Ehlo),
            Verb::Lhlo => host_name(rest).map(Self::Lhlo),
            Verb::Auth => auth(rest),
            Verb::Mail => mail(rest).map(|mail| Self::Mail(Box::new(mail))),
            Verb::Rcpt => rcpt(rest, utf8).map(|rcpt| Self::Rcpt(Box::new(rcpt))),
            Verb::Data => Ok(Self::Data),
            Verb::Bdat => bdat(rest),
            Verb::Rset => Ok(Self::Rset),
            Verb::Noop => Ok(Self::Noop),
            Verb::Help => Ok(Self::Help),
            Verb::Vrfy => subject(rest).map(Self::Vrfy),
            Verb::Expn => subject(rest).map(Self::Expn),
            Verb::StartTls => Ok(Self::StartTls),
            Verb::Quit => Ok(Self::Quit),
            Verb::NotImplemented => Ok(Self::NotImplemented(spelt)),
        };
        command.map_err(|reply| Refusal { verb: Some(verb), reply })
    }
}

/// Whether this is the first line of a request of HTTP (RFC 9112 section 3): a web page can make a browser send one to
/// any port, with commands of SMTP in its body.
fn is_http(line: &[u8]) -> bool {
    let last = line.rsplit(|octet| *octet == b' ').next().unwrap_or_default();
    last.starts_with(b"HTTP/") && line.len() > last.len()
}

/// Every verb that is known, in upper case.
const VERBS: [(&str, Verb); 18] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("EHLO", Verb::Ehlo),
    ("QUIT", Verb::Quit),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("NOOP", Verb::Noop),
    ("HELO", Verb::Helo),
    ("LHLO", Verb::Lhlo),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("ETRN", Verb::NotImplemented),
    ("ATRN", Verb::NotImplemented),
    ("BURL", Verb::NotImplemented),
];

fn verb(word: &[u8]) -> Option<(Verb, &'static str)> {
    let (spelt, verb) = VERBS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))?;
    Some((*verb, spelt))
}

/// The name of EHLO and its kin; empty when there is none, which the session judges.
///
/// One word of printable ASCII: what goes into headers, filters and logs must not hold anything else,
/// and international names are sent as A-labels (RFC 6531 section 3.7.1).
fn host_name(rest: &[u8]) -> Result<String, Reply> {
    if rest.iter().all(|b| matches!(b, b'!'..=b'~')) { text(rest) } else { Err(Reply::SYNTAX_ERROR) }
}

/// What VRFY and EXPN ask for: anything printable (RFC 5321 section 4.1.1.6).
fn subject(rest: &[u8]) -> Result<String, Reply> {
    let subject = text(rest)?;
    if subject.is_empty() || subject.contains(char::is_control) {
        Err(Reply::SYNTAX_ERROR)
    } else {
        Ok(subject)
    }
}

fn auth(rest: &[u8]) -> Result<Command, Reply> {
    let (mechanism, rest) = split_word(rest);
    let (response, extra) = split_word(rest);
    if mechanism.is_empty() || !extra.is_empty() {
        return Err(Reply::SYNTAX_ERROR.with_text("Syntax: AUTH mechanism [initial-response]"));
    }
    // Octets that are not UTF-8 are in no mechanism's name and in no base64; the exchange refuses them.
    let mechanism = String::from_utf8_lossy(mechanism).to_ascii_uppercase();
    let response = (!response.is_empty()).then(|| String::from_utf8_lossy(response).into_owned());
    Ok(Command::Auth { mechanism, initial_response: response })
}

fn bdat(rest: &[u8]) -> Result<Command, Reply> {
    let (size, rest) = split_word(rest);
    let (last, extra) = split_word(rest);
    let wrong = || Reply::SYNTAX_ERROR.with_text("Syntax: BDAT octets [LAST]");
    let digits = !size.is_empty() && size.iter().all(u8::is_ascii_digit);
    let last = match last {
        [] => false,
        word if word.eq_ignore_ascii_case(b"LAST") => true,
        _ => return Err(wrong()),
    };
    if !digits || !extra.is_empty() {
        return Err(wrong());
    }
    let size = text(size)?.parse().map_err(|_| wrong())?;
    Ok(Command::Bdat { size, last })
}

fn mail(rest: &[u8]) -> Result<Mail, Reply> {
    let wrong = || Reply::SYNTAX_ERROR.with_text("Syntax: MAIL FROM:<address> [parameters]");
    let (path, words) = path_and_parameters(rest, b"FROM").ok_or_else(wrong)?;
    let from = ReversePath::from_inner(path).map_err(|why| bad_path(&Reply::BAD_SENDER, why))?;
    let mut parameters = MailParameters::default();
    let raw_parameters = read_parameters(words, |keyword, value| parameters.set(keyword, value))?;
    if !from.is_ascii() && !parameters.smtputf8 {
        return Err(Reply::UNDECLARED_UTF8);
    }
    Ok(Mail { from, parameters, raw_parameters })
}

fn rcpt(rest: &[u8], utf8: Utf8Addresses) -> Result<Rcpt, Reply> {
    let wrong = || Reply::SYNTAX_ERROR.with_text("Syntax: RCPT TO:<address> [parameters]");
    let (path, words) = path_and_parameters(rest, b"TO").ok_or_else(wrong)?;
    let to = ForwardPath::from_inner(path).map_err(|why| bad_path(&Reply::BAD_RECIPIENT, why))?;
    let mut parameters = RcptParameters::default();
    let raw_parameters = read_parameters(words, |keyword, value| {
        if utf8 == Utf8Addresses::Refused && !value.is_none_or(str::is_ascii) {
            return Err(ParameterError::Value);
        }
        parameters.set(keyword, value)
    })?;
    if !to.is_ascii() && utf8 == Utf8Addresses::Refused {
        return Err(Reply::UNDECLARED_UTF8);
    }
    Ok(Rcpt { to, parameters, raw_parameters })
}

/// Splits `FROM:<path> parameters`; nothing when keyword, colon or brackets are not in their places.
fn path_and_parameters<'a>(rest: &'a [u8], keyword: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (word, rest) = rest.split_at_checked(keyword.len())?;
    if !word.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (path, rest) = split_path(trim(trim(rest).strip_prefix(b":")?)).ok()?;
    (rest.is_empty() || rest.first().is_some_and(is_blank)).then_some((path, trim(rest)))
}

fn bad_path(reply: &Reply, why: PathError) -> Reply {
    reply.with_text(format!("{}: {why}", reply.text()))
}

/// Takes the parameters one by one, and gives them back as they were written.
fn read_parameters(
    mut rest: &[u8],
    mut take: impl FnMut(&str, Option<&str>) -> Result<(), ParameterError>,
) -> Result<Vec<String>, Reply> {
    let mut raw: Vec<String> = Vec::new();
    while !rest.is_empty() {
        let (word, others) = split_word(rest);
        rest = others;
        let word = text(word)?;
        let (keyword, value) = split_parameter(&word);
        // esmtp-keyword and esmtp-value of RFC 5321 section 4.1.2
        let keyword_fits = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !keyword_fits || word.contains(char::is_control) {
            return Err(Reply::SYNTAX_ERROR.with_text("Syntax error in the parameters"));
        }
        let shown = keyword.get(..40).unwrap_or(keyword);
        if raw.iter().any(|earlier| split_parameter(earlier).0.eq_ignore_ascii_case(keyword)) {
            return Err(Reply::BAD_PARAMETER.with_text(format!("Parameter {shown} given twice")));
        }
        take(keyword, value).map_err(|why| match why {
            ParameterError::Unknown => {
                Reply::UNKNOWN_PARAMETER.with_text(format!("Unknown parameter {shown}"))
            }
            ParameterError::Value => {
                Reply::BAD_PARAMETER.with_text(format!("Invalid value for parameter {shown}"))
            }
        })?;
        raw.push(word);
    }
    Ok(raw)
}

fn text(octets: &[u8]) -> Result<String, Reply> {
    std::str::from_utf8(octets).map(str::to_owned).map_err(|_| Reply::SYNTAX_ERROR)
}

fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// Takes off the blanks at both ends. Other white space, a bare CR above all, stays and is judged.
fn trim(octets: &[u8]) -> &[u8] {
    let start = octets.iter().position(|b| !is_blank(b)).unwrap_or(octets.len());
    let end = octets.iter().rposition(|b| !is_blank(b)).map_or(start, |last| last + 1);
    octets.get(start..end).unwrap_or_default()
}

/// The first word, and what follows without the blanks in between.
fn split_word(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = octets.iter().position(is_blank).unwrap_or(octets.len());
    let (word, rest) = octets.split_at(end);
    (word, trim(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::parameters::{BodyType, Hold};

    fn parse(line: impl AsRef<[u8]>) -> Result<Command, Refusal> {
        Command::parse(line.as_ref(), Utf8Addresses::Refused)
    }

    /// The codes of a refusal, such as `501 5.5.2`.
    fn refused(line: impl AsRef<[u8]>) -> String {
        let reply = parse(line).unwrap_err().reply;
        format!("{} {}", reply.code(), reply.enhanced().unwrap())
    }

    fn mail(line: &str) -> Mail {
        match parse(line) {
            Ok(Command::Mail(mail)) => *mail,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn rcpt(line: &str) -> Rcpt {
        match parse(line) {
            Ok(Command::Rcpt(rcpt)) => *rcpt,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn verbs_have_no_case_and_stand_between_blanks() {
        for (line, command) in [
            ("DATA", Command::Data),
            ("data", Command::Data),
            ("  \tDaTa  ", Command::Data),
            ("DATA junk", Command::Data),
            ("RSET x y", Command::Rset),
            ("QUIT now", Command::Quit),
            ("STARTTLS please", Command::StartTls),
            ("NOOP", Command::Noop),
            ("NOOP \0\u{1}", Command::Noop),
            ("HELP MAIL", Command::Help),
            ("etrn x", Command::NotImplemented("ETRN")),
            ("ATRN", Command::NotImplemented("ATRN")),
            ("BURL", Command::NotImplemented("BURL")),
            ("VRFY  some body ", Command::Vrfy("some body".into())),
            ("EXPN list", Command::Expn("list".into())),
        ] {
            assert_eq!(parse(line), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn a_request_of_http_is_the_end() {
        for line in ["GET / HTTP/1.1", "POST /mail HTTP/1.0", "PRI * HTTP/2.0"] {
            let refusal = Command::parse(line.as_bytes(), Utf8Addresses::Refused).unwrap_err();
            assert_eq!(refusal.reply, Reply::NOT_HTTP, "{line}");
        }
    }

    #[test]
    fn unknown_glued_and_empty_lines_are_500() {
        for line in ["", "   ", "DATA_", "DATA\r", "DATA\0", "\0DATA", "MAILFROM:<a@b>", "XCLIENT A=B", "é"]
        {
            assert_eq!(refused(line), "500 5.5.1", "{line:?}");
            assert_eq!(parse(line).unwrap_err().verb, None);
        }
    }

    #[test]
    fn names_of_ehlo_are_one_printable_word() {
        assert_eq!(parse("EHLO  mx.example "), Ok(Command::Ehlo("mx.example".into())));
        assert_eq!(parse("helo [192.0.2.1]"), Ok(Command::Helo("[192.0.2.1]".into())));
        assert_eq!(parse("LHLO"), Ok(Command::Lhlo(String::new())));
        assert_eq!(parse("EHLO "), Ok(Command::Ehlo(String::new())));
        for line in ["EHLO a b", "EHLO a\rb", "EHLO a\0b", "HELO é", "EHLO a\u{7f}"] {
            assert_eq!(refused(line), "501 5.5.2", "{line:?}");
        }
        assert_eq!(parse(b"EHLO \xff").unwrap_err().verb, Some(Verb::Ehlo));
    }

    #[test]
    fn auth_takes_a_mechanism_and_a_response() {
        let auth = |mechanism: &str, response: Option<&str>| {
            Ok(Command::Auth { mechanism: mechanism.into(), initial_response: response.map(Into::into) })
        };
        assert_eq!(parse("AUTH plain"), auth("PLAIN", None));
        assert_eq!(parse("AUTH PLAIN AGEAYg=="), auth("PLAIN", Some("AGEAYg==")));
        assert_eq!(parse("AUTH  PLAIN  ="), auth("PLAIN", Some("=")));
        for line in ["AUTH", "AUTH ", "AUTH PLAIN a b"] {
            assert_eq!(refused(line), "501 5.5.2", "{line:?}");
        }
    }

    #[test]
    fn bdat_takes_octets_and_last() {
        assert_eq!(parse("BDAT 0 LAST"), Ok(Command::Bdat { size: 0, last: true }));
        assert_eq!(parse("bdat 86 last"), Ok(Command::Bdat { size: 86, last: true }));
        assert_eq!(parse("BDAT 18446744073709551615"), Ok(Command::Bdat { size: u64::MAX, last: false }));
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 1 FIRST",
            "BDAT 1 LAST x",
            "BDAT 1LAST",
            "BDAT 18446744073709551616",
        ] {
            assert_eq!(refused(line), "501 5.5.2", "{line}");
        }
    }

    #[test]
    fn vrfy_and_expn_need_something_to_ask_for() {
        for line in ["VRFY", "EXPN ", "VRFY a\0b"] {
            assert_eq!(refused(line), "501 5.5.2", "{line:?}");
        }
    }

    #[test]
    fn blanks_around_the_colon_are_taken() {
        for line in [
            "MAIL FROM:<a@b.example>",
            "mail from:<a@b.example>",
            "MAIL FROM : <a@b.example>",
            "MAIL  FROM:\t<a@b.example> ",
        ] {
            assert_eq!(mail(line).from.as_str(), "a@b.example", "{line}");
        }
        assert_eq!(mail("MAIL FROM:<>").from, ReversePath::Null);
        assert_eq!(rcpt("RCPT TO: <Postmaster>").to, ForwardPath::Postmaster);
    }

    #[test]
    fn paths_without_brackets_are_a_syntax_error() {
        for line in [
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL TO:<a@b>",
            "MAIL <a@b>",
            "MAIL FROM a@b",
            "MAIL FROM:a@b",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>SIZE=1",
            "RCPT",
            "RCPT TO",
            "RCPT TO:a@b",
            "RCPT FROM:<a@b>",
            "RCPT TO:<a@b>>",
            "RCPT TO:<a@b>,<c@d>",
        ] {
            assert_eq!(refused(line), "501 5.5.2", "{line}");
        }
    }

    #[test]
    fn bad_addresses_have_codes_of_their_own() {
        for path in [
            "<a>", "<a@>", "<@b>", "<a b@c>", "<a\rb@c>", "<a\0b@c>", "<a@b\n>", "<a@b@c>", "<a..b@c>",
            "< a@b>", "<@a:>",
        ] {
            assert_eq!(refused(format!("MAIL FROM:{path}")), "501 5.1.8", "{path:?}");
            assert_eq!(refused(format!("RCPT TO:{path}")), "501 5.1.3", "{path:?}");
        }
        assert_eq!(refused("RCPT TO:<>"), "501 5.1.3");
        assert_eq!(refused(b"MAIL FROM:<\xff@b>"), "501 5.1.8");
        assert_eq!(refused(b"RCPT TO:<\xff@b>"), "501 5.1.3");
    }

    #[test]
    fn a_bare_cr_in_an_address_is_refused_and_not_deleted() {
        assert_eq!(refused("MAIL FROM:<a\r@b.c>"), "501 5.1.8");
    }

    #[test]
    fn quoting_of_the_local_part_survives() {
        assert_eq!(mail("MAIL FROM:<\"a b\"@c.example>").from.to_string(), "<\"a b\"@c.example>");
    }

    #[test]
    fn international_addresses_need_smtputf8() {
        assert_eq!(refused("MAIL FROM:<ü@b.example>"), "553 5.6.7");
        assert_eq!(refused("RCPT TO:<a@ü.example>"), "553 5.6.7");
        assert_eq!(mail("MAIL FROM:<ü@b.example> SMTPUTF8").from.as_str(), "ü@b.example");
        assert!(Command::parse("RCPT TO:<ü@b> ORCPT=utf-8;ü@c".as_bytes(), Utf8Addresses::Allowed).is_ok());
        assert_eq!(refused("RCPT TO:<a@b> ORCPT=utf-8;ü@c"), "501 5.5.4");
    }

    #[test]
    fn parameters_are_typed_and_kept_as_written() {
        let mail = mail("MAIL FROM:<a@b> size=100  BODY=8bitmime HOLDFOR=5");
        assert_eq!(mail.parameters.size, Some(100));
        assert_eq!(mail.parameters.body, Some(BodyType::EightBitMime));
        assert_eq!(mail.parameters.hold, Some(Hold::For(5)));
        assert_eq!(mail.raw_parameters, ["size=100", "BODY=8bitmime", "HOLDFOR=5"]);
        assert!(rcpt("RCPT TO:<a@b> NOTIFY=NEVER").parameters.notify.is_some());
    }

    #[test]
    fn bad_parameters_are_named() {
        for (line, codes, named) in [
            ("MAIL FROM:<a@b> SIZE=-1", "501 5.5.4", "SIZE"),
            ("MAIL FROM:<a@b> SIZE=", "501 5.5.4", "SIZE"),
            ("MAIL FROM:<a@b> SIZE", "501 5.5.4", "SIZE"),
            ("MAIL FROM:<a@b> SIZE=99999999999999999999999", "501 5.5.4", "SIZE"),
            ("MAIL FROM:<a@b> SIZE=1 size=1", "501 5.5.4", "size"),
            ("MAIL FROM:<a@b> SMTPUTF8=1", "504 5.5.4", "SMTPUTF8"),
            ("MAIL FROM:<a@b> XVERP", "504 5.5.4", "XVERP"),
            ("RCPT TO:<a@b> NOTIFY=NEVER,SUCCESS", "501 5.5.4", "NOTIFY"),
            ("RCPT TO:<a@b> SIZE=1", "504 5.5.4", "SIZE"),
            ("MAIL FROM:<a@b> =1", "501 5.5.2", "parameters"),
            ("MAIL FROM:<a@b> S\0=1", "501 5.5.2", "parameters"),
            ("MAIL FROM:<a@b> -A=1", "501 5.5.2", "parameters"),
            ("MAIL FROM:<a@b> ENVID=a\u{1}b", "501 5.5.2", "parameters"),
        ] {
            assert_eq!(refused(line), codes, "{line}");
            assert!(parse(line).unwrap_err().reply.text().contains(named), "{line}");
        }
    }

    fn commands() -> impl Strategy<Value = String> {
        let words = "[A-Za-z0-9=;:<>@.\"\\\\ +,é\t-]{0,40}";
        prop_oneof![
            words,
            ("(MAIL FROM:|RCPT TO:|EHLO |AUTH |BDAT |VRFY |DATA)", words)
                .prop_map(|(verb, rest)| verb + &rest),
            "(MAIL FROM:|RCPT TO:)<[a-z\"\\\\ .]{0,6}@[a-z.]{1,6}>( SIZE=[0-9]{1,3})?( RET=FULL)?( NOTIFY=DELAY)?",
        ]
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_a_refusal(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(refusal) = parse(&line) {
                prop_assert!(refusal.reply.is_permanent());
            }
        }

        #[test]
        fn a_printed_command_reads_as_itself(line in commands()) {
            if let Ok(command) = Command::parse(line.as_bytes(), Utf8Addresses::Allowed) {
                let again = Command::parse(command.to_string().as_bytes(), Utf8Addresses::Allowed);
                prop_assert_eq!(again, Ok(command));
            }
        }
    }
}
