//! Delivery to Maildir folders.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use postern_core::policy::route::{Maildir, MaildirSegment};

use super::*;

fn mailboxes(folder: &Path) -> Arc<Route> {
    let pattern = vec![MaildirSegment::Domain, MaildirSegment::Literal("/".into()), MaildirSegment::Local];
    let base = format!("{}/mail/", folder.display());
    let target = RouteTarget::Maildir(Maildir { base: base.as_str().into(), pattern });
    Arc::new(Route { name: "files".into(), target })
}

fn messages(folder: &Path, mailbox: &str) -> Vec<Vec<u8>> {
    let new = folder.join("mail").join(mailbox).join("new");
    std::fs::read_dir(new).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[tokio::test]
async fn each_recipient_gets_a_whole_copy_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let route = mailboxes(folder.path());
    let mut delivery = delivery(&[("a@example.com", &route), ("B@example.com", &route)]).await;
    delivery.delivered_to = true;
    assert_eq!(overall(&hand_off().deliver(delivery).await), OK);
    let copy = |to: &str| format!("Delivered-To: {to}\nSubject: hello\n\nHello.\n").into_bytes();
    assert_eq!(messages(folder.path(), "example.com/a"), [copy("a@example.com")]);
    assert_eq!(messages(folder.path(), "example.com/b"), [copy("B@example.com")]);
    let tmp = folder.path().join("mail/example.com/a/tmp");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0);
    assert_eq!(std::fs::metadata(tmp).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn large_messages_are_written_from_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let route = mailboxes(folder.path());
    let octets = large_message();
    let delivered = hand_off().deliver(delivery_of(&octets, &[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), OK);
    let lines = String::from_utf8(octets).unwrap().replace("\r\n", "\n").into_bytes();
    assert!(messages(folder.path(), "example.com/a") == [lines]);
}

#[tokio::test]
async fn what_is_not_made_of_lines_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let route = mailboxes(folder.path());
    let octets = b"Subject: x\r\n\r\n\0\r\n\n\r";
    hand_off().deliver(delivery_of(octets, &[("a@example.com", &route)]).await).await;
    assert_eq!(messages(folder.path(), "example.com/a"), [octets]);
}

#[tokio::test]
async fn no_recipient_writes_outside_the_base_folder() {
    let folder = tempfile::tempdir().unwrap();
    let route = mailboxes(folder.path());
    let hand_off = hand_off();
    for to in [
        r#""../../../escaped"@example.com"#,
        r#""/tmp/escaped"@example.com"#,
        r#""..""@example.com"#,
        r#""."@example.com"#,
        r#"".."@example.com"#,
        r#""a/../../b"@example.com"#,
        "a%2F..%2Fb@example.com",
    ] {
        let Ok(address) = Address::parse(to) else { continue };
        let mut delivery = delivery(&[("a@example.com", &route)]).await;
        delivery.mailings[0].copies[0].recipient.address = address;
        hand_off.deliver(delivery).await;
    }
    let names = |path: &Path| -> Vec<_> {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(folder.path()), ["mail"]);
    assert_eq!(names(&folder.path().join("mail")), ["example.com"]);
    for mailbox in names(&folder.path().join("mail/example.com")) {
        let mailbox = folder.path().join("mail/example.com").join(mailbox);
        assert_eq!(names(&mailbox).len(), 3, "{}", mailbox.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_deliveries_to_one_mailbox_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (hand_off, route) = (hand_off(), mailboxes(folder.path()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (hand_off, delivery) = (
            hand_off.clone(),
            delivery_of(format!("Subject: {n}\r\n\r\n").as_bytes(), &[("a@example.com", &route)]).await,
        );
        tasks.spawn(async move { hand_off.deliver(delivery).await });
    }
    while let Some(delivered) = tasks.join_next().await {
        assert_eq!(overall(&delivered.unwrap()), OK);
    }
    let mut subjects = messages(folder.path(), "example.com/a");
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 50);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_defers_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let route = mailboxes(folder.path());
    // A file stands where the folder should be; unlike permissions this stops root too.
    std::fs::write(folder.path().join("mail"), b"").unwrap();
    let delivered = hand_off().deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!(delivered.overall.code(), 451);
}

#[tokio::test]
async fn a_full_disk_defers_with_its_own_code() {
    // Every write to this device says that the disk is full.
    let folder = tempfile::tempdir().unwrap();
    let error = std::fs::write("/dev/full", b"x").unwrap_err();
    let outcome = super::super::maildir::MaildirError::File(error).outcome();
    assert_eq!(outcome.reply().to_string().get(..9), Some("451 4.3.1"));
    drop(folder);
}
