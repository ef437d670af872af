//! With programs that every system has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use postern_core::expr::TextList;

use super::*;
use crate::message::{ContentBuilder, MessageStore};

/// A folder of programs, each a shell script.
fn programs(scripts: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in scripts {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

async fn message(octets: Vec<u8>) -> Content {
    let store = MessageStore::new(std::env::temp_dir(), Budget::new(1 << 20, 0));
    let original = store.writer(store.reserve(0).unwrap()).finish().await.unwrap();
    ContentBuilder::new(original).new_octets(octets).build()
}

/// What a program makes of a message, and its exit status. It may take 20 s and write 64 KiB, unless said otherwise.
struct Run<'a> {
    folder: &'a TempDir,
    arguments: &'a [&'a str],
    message: Vec<u8>,
    limit: Duration,
    most: u64,
}

impl<'a> Run<'a> {
    fn new(folder: &'a TempDir) -> Self {
        let message = b"Subject: a\r\n\r\nbody\r\n".to_vec();
        Self { folder, arguments: &[], message, limit: Duration::from_secs(20), most: 64 << 10 }
    }

    async fn of(self, name: &str) -> Result<(String, Option<i32>), FilterError> {
        let message = message(self.message).await;
        let arguments: TextList = self.arguments.iter().map(|argument| (*argument).into()).collect();
        let folder = self.folder.path();
        let mut process = Process::start(&program::find(folder, name)?, &arguments, folder)?;
        let (stdin, stdout) = process.ends()?;
        let budget = Budget::new(8 << 20, 0);
        let reader = Reader { most: self.most, budget: &budget };
        let (output, _room) = converse(&message, stdin, stdout, &reader, Some(self.limit)).await?;
        let status = within(Some(self.limit), process.end()).await??;
        Ok((String::from_utf8(output).unwrap(), status.code()))
    }
}

/// Waits until the process whose number is in that file is gone, or only its entry is left.
async fn gone(folder: &TempDir, file: &str) {
    let number = fs::read_to_string(folder.path().join(file)).unwrap();
    let stat = format!("/proc/{}/stat", number.trim());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_gets_the_message_and_its_arguments() {
    let folder = programs(&[("tag", "printf 'X-Tag: %s\\r\\n' \"$1\"; cat")]);
    let run = Run { arguments: &["a b; $(id)"], ..Run::new(&folder) };
    let (output, status) = run.of("tag").await.unwrap();
    assert_eq!((output.as_str(), status), ("X-Tag: a b; $(id)\r\nSubject: a\r\n\r\nbody\r\n", Some(0)));
}

#[tokio::test]
async fn a_program_finds_nothing_of_our_environment() {
    let folder = programs(&[("look", "pwd; set | cut -d= -f1; ls -l /proc/$$/fd")]);
    let (output, _) = Run::new(&folder).of("look").await.unwrap();
    let home = folder.path().canonicalize().unwrap();
    assert_eq!(output.lines().next(), home.to_str());
    for ours in ["HOME", "CARGO", "CARGO_TARGET_DIR", "RUST_LOG", "USER"] {
        assert!(!output.lines().any(|line| line == ours), "{ours} in {output}");
    }
    // Files of the test runner are not ours to close; sockets and the like would be ours.
    assert!(!output.contains("socket:") && !output.contains("anon_inode:"), "{output}");
}

#[tokio::test]
async fn a_large_message_goes_both_ways_at_once() {
    let folder = programs(&[("copy", "cat")]);
    let message = "a line of forty octets, its end included\n".repeat(50_000);
    let run = Run { message: message.clone().into_bytes(), most: 4 << 20, ..Run::new(&folder) };
    assert!(run.of("copy").await.unwrap().0 == message);
}

#[tokio::test]
async fn a_failure_is_seen_by_the_status() {
    let folder = programs(&[("fail", "cat; exit 3")]);
    assert_eq!(Run::new(&folder).of("fail").await.unwrap().1, Some(3));
}

#[tokio::test]
async fn a_program_that_does_not_read_is_a_failure() {
    let folder = programs(&[("deaf", "exec <&-; echo done; sleep 1000")]);
    let run = Run { message: vec![b'a'; 1 << 20], ..Run::new(&folder) };
    let outcome = run.of("deaf").await;
    assert!(matches!(outcome, Err(FilterError::Lost { .. })), "{outcome:?}");
}

#[tokio::test]
async fn too_slow_a_program_is_killed_with_its_children() {
    let folder =
        programs(&[("slow", "sleep 1000 & echo $! > child; echo $$ > leader; cat > /dev/null; wait")]);
    let run = Run { limit: Duration::from_millis(500), ..Run::new(&folder) };
    let outcome = run.of("slow").await;
    assert!(matches!(outcome, Err(FilterError::Timeout { .. })), "{outcome:?}");
    gone(&folder, "child").await;
    gone(&folder, "leader").await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed() {
    let folder = programs(&[("leave", "sleep 1000 > /dev/null & echo $! > child; cat")]);
    assert_eq!(Run::new(&folder).of("leave").await.unwrap().1, Some(0));
    gone(&folder, "child").await;
}

#[tokio::test]
async fn a_flood_is_cut_off() {
    let folder = programs(&[("flood", "echo $$ > leader; exec yes")]);
    let outcome = Run::new(&folder).of("flood").await;
    assert!(matches!(outcome, Err(FilterError::AnswerTooLarge { most: 65536 })), "{outcome:?}");
    gone(&folder, "leader").await;
}

#[tokio::test]
async fn what_was_not_changed_is_known_to_be_the_same() {
    let message = message(b"Subject: a\r\n\r\nbody\r\n".to_vec()).await;
    assert!(is_same(&message, b"Subject: a\r\n\r\nbody\r\n").await.unwrap());
    assert!(!is_same(&message, b"Subject: b\r\n\r\nbody\r\n").await.unwrap());
    assert!(!is_same(&message, b"Subject: a\r\n").await.unwrap());
}
