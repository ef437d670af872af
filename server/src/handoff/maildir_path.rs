//! The folder of a recipient, from a template and an address that anybody may have written.

use std::path::{Component, Path, PathBuf};

use postern_core::policy::route::{Maildir, MaildirSegment};
use postern_core::smtp::address::Address;

/// An address that yields no folder name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address does not make a folder name")]
pub(super) struct UnusableAddress;

/// The Maildir folder of a recipient, always inside the base folder.
///
/// # Errors
///
/// When a part of the address is empty or too long for a file name.
pub(super) fn folder(maildir: &Maildir, recipient: &Address) -> Result<PathBuf, UnusableAddress> {
    let mut relative = String::new();
    for segment in &maildir.pattern {
        match segment {
            MaildirSegment::Literal(text) => relative.push_str(text),
            MaildirSegment::Local => relative.push_str(&cleaned(recipient.key_local())?),
            MaildirSegment::Domain => relative.push_str(&cleaned(recipient.key_domain())?),
            MaildirSegment::Recipient => relative.push_str(&cleaned(recipient.key())?),
        }
    }
    // The base is a whole folder; the loader splits the template at a slash.
    let mut path = PathBuf::from(&*maildir.base);
    for component in Path::new(&relative).components() {
        match component {
            Component::Normal(name) if name.len() <= MAX_NAME_OCTETS => path.push(name),
            Component::CurDir => {}
            _ => return Err(UnusableAddress),
        }
    }
    Ok(path)
}

/// A value as a part of a file name: nothing in it separates, hides or climbs.
///
/// What is replaced keeps its place in the form `%2F`, so that two addresses never share a folder.
fn cleaned(value: &str) -> Result<String, UnusableAddress> {
    if value.is_empty() {
        return Err(UnusableAddress);
    }
    let mut name = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        match c {
            '.' if at == 0 => name.push_str("%2E"),
            '/' | '\\' | '%' => name.push_str(&format!("%{:02X}", u32::from(c))),
            c if c.is_control() => name.push_str(&format!("%{:02X}", u32::from(c))),
            c => name.push(c),
        }
    }
    Ok(name)
}

/// Longest file name of common file systems.
const MAX_NAME_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn maildir(pattern: &[MaildirSegment]) -> Maildir {
        Maildir { base: "/mail/".into(), pattern: pattern.to_vec() }
    }

    fn by_domain() -> Maildir {
        maildir(&[MaildirSegment::Domain, MaildirSegment::Literal("/".into()), MaildirSegment::Local])
    }

    fn path(maildir: &Maildir, recipient: &str) -> Option<String> {
        let recipient = Address::parse(recipient).unwrap();
        folder(maildir, &recipient).ok().map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn templates_are_filled_in_comparison_form() {
        assert_eq!(path(&by_domain(), "Bob@Example.COM").unwrap(), "/mail/example.com/bob");
        let whole = maildir(&[
            MaildirSegment::Literal("in-".into()),
            MaildirSegment::Recipient,
            MaildirSegment::Literal("/Maildir".into()),
        ]);
        assert_eq!(path(&whole, "bob@example.com").unwrap(), "/mail/in-bob@example.com/Maildir");
        let shared = Maildir { base: "/mail/all".into(), pattern: Vec::new() };
        assert_eq!(path(&shared, "bob@example.com").unwrap(), "/mail/all", "a shared folder is a fixed path");
        let pattern = vec![MaildirSegment::Literal("user-".into()), MaildirSegment::Local];
        let here = Maildir { base: ".".into(), pattern };
        assert_eq!(path(&here, "bob@example.com").unwrap(), "./user-bob");
        let here = Maildir { base: ".".into(), pattern: vec![MaildirSegment::Domain] };
        assert_eq!(path(&here, "bob@example.com").unwrap(), "./example.com");
    }

    #[test]
    fn no_address_leaves_the_base_or_hides() {
        for (recipient, wanted) in [
            (r#""../../etc/passwd"@example.com"#, "/mail/example.com/%2E.%2F..%2Fetc%2Fpasswd"),
            (r#""/etc/passwd"@example.com"#, "/mail/example.com/%2Fetc%2Fpasswd"),
            (r#""..".x@example.com"#, ""),
            (r#""..""@example.com"#, ""),
            (r#"".."@example.com"#, "/mail/example.com/%2E."),
            (r#"".hidden"@example.com"#, "/mail/example.com/%2Ehidden"),
            (r#""a\\b"@example.com"#, "/mail/example.com/a%5Cb"),
            ("a%2Fb@example.com", "/mail/example.com/a%252fb"),
        ] {
            let Ok(address) = Address::parse(recipient) else { continue };
            assert_eq!(folder(&by_domain(), &address).unwrap().to_str().unwrap(), wanted, "{recipient}");
        }
    }

    #[test]
    fn an_empty_local_part_has_no_folder() {
        let Ok(address) = Address::parse(r#"""@example.com"#) else { return };
        assert_eq!(folder(&by_domain(), &address), Err(UnusableAddress));
    }

    #[test]
    fn a_literal_cannot_climb_either() {
        let climbing = maildir(&[MaildirSegment::Literal("../x/".into()), MaildirSegment::Local]);
        assert_eq!(path(&climbing, "bob@example.com"), None);
    }

    proptest! {
        #[test]
        fn any_value_becomes_one_plain_component(value in "\\PC{1,20}|[./\\\\%\\x00-\\x1f]{1,8}") {
            let name = cleaned(&value).unwrap();
            let components: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(components.as_slice(), [Component::Normal(_)]));
            prop_assert!(!name.starts_with('.') && !name.contains('\0'));
        }

        #[test]
        fn different_values_stay_different(one in "[./%A-F0-9\\\\]{1,6}", other in "[./%A-F0-9\\\\]{1,6}") {
            prop_assert_eq!(cleaned(&one).unwrap() == cleaned(&other).unwrap(), one == other);
        }
    }
}
