//! Plays every transcript of `tests/transcripts` against the gate: in memory, and over TCP.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that trips over itself has failed")]

mod format;
mod hop;
mod memory;
mod outside;
mod play;
mod policy;
mod rows;
mod tcp;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use postern_core::policy::Policy;

use self::format::Transcript;
use self::memory::Memory;
use self::outside::Outside;
use self::tcp::{Ground, Tcp};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts")
}

fn transcripts() -> Vec<Transcript> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            format::parse(&name, &std::fs::read_to_string(path).unwrap()).unwrap()
        })
        .collect()
}

fn policy_of(transcript: &Transcript) -> Result<Policy, String> {
    policy::manifests(&folder().join("policies"), &transcript.policies, &transcript.objects)
        .and_then(|manifests| policy::compile(&manifests))
        .map_err(|what| format!("{}: {what}", transcript.place))
}

fn play_in_memory(transcript: &Transcript) -> Result<(), String> {
    let at = |what: String| format!("{}: {what}", transcript.place);
    let outside = Rc::new(Outside::new(&transcript.given));
    let mut memory = Memory::new(policy_of(transcript)?, transcript, Rc::clone(&outside)).map_err(at)?;
    play::play(transcript, &mut memory)?;
    match outside.unused() {
        lines if lines.is_empty() => Ok(()),
        lines => Err(at(format!("nobody asked for what the lines {lines:?} say"))),
    }
}

#[test]
fn every_transcript_holds_in_memory() {
    let transcripts = transcripts();
    let failures: Vec<_> =
        transcripts.iter().filter_map(|transcript| play_in_memory(transcript).err()).collect();
    println!("{} transcripts played in memory", transcripts.len());
    assert!(failures.is_empty(), "{} deviations:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_transcript_that_can_be_played_over_tcp_holds_there() {
    let ground = Ground::new();
    let (mut played, mut failures) = (0, Vec::new());
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    for transcript in transcripts() {
        let outcome = policy_of(&transcript).and_then(|policy| {
            if let Some(obstacle) = tcp::obstacle(&transcript, &policy) {
                *left_out.entry(obstacle).or_default() += 1;
                return Ok(());
            }
            played += 1;
            let outside = Rc::new(Outside::new(&transcript.given));
            let mut tcp = Tcp::new(&ground, policy, &transcript, &outside)?;
            play::play(&transcript, &mut tcp)
        });
        failures.extend(outcome.err());
    }
    println!("{played} transcripts played over TCP; in memory only:");
    left_out.iter().for_each(|(obstacle, count)| println!("  {count}: {obstacle}"));
    assert!(played >= PLAYED_OVER_TCP, "an obstacle keeps more transcripts from TCP than it should");
    assert!(failures.is_empty(), "{} deviations:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_row_has_a_transcript_and_every_mark_a_row() {
    let shown: BTreeSet<String> = transcripts().into_iter().flat_map(|transcript| transcript.rows).collect();
    let known: BTreeSet<String> = rows::ROWS.iter().map(|(row, _)| (*row).to_owned()).collect();
    assert_eq!(known.len(), rows::ROWS.len(), "a row is named twice");
    let missing: Vec<_> = known.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "without a transcript: {missing:?}\nno such row: {unknown:?}"
    );
}

/// Transcripts that nothing keeps from TCP; of new ones there may be more.
const PLAYED_OVER_TCP: usize = 200;
