//! Policies that must load, and policies that must not, with everything that is to be said about them.
//!
//! A file begins with comment lines. `# expect:` is one fault and `# warn:` one warning, each as the loader
//! prints it but for the file's name; together they are complete. `# origin: cluster` and `# pipes: on` set
//! the options of the loader. `POSTERN_BLESS=1` writes what was found in the place of what was expected, for a
//! person to read before it is committed.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use postern_crds::{LoadOptions, Origin, Outcome, compile, read_yaml};

fn policies(which: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/policies").join(which);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn directives<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .take_while(|line| line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
        .collect()
}

fn load(name: &str, text: &str) -> Outcome {
    let options = LoadOptions {
        origin: if directives(text, "origin") == ["cluster"] { Origin::Cluster } else { Origin::Folder },
        pipe_dir: (directives(text, "pipes") == ["on"]).then(|| PathBuf::from("/usr/lib/postern/pipes")),
        base: None,
    };
    let (set, faults) = read_yaml(name, text);
    compile(&set, faults, &options)
}

/// Faults as lines, without the name of the file.
fn lines(name: &str, faults: &[postern_crds::Fault]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| {
            let line = fault.to_string();
            line.strip_prefix(&format!("{name}:"))
                .map_or_else(|| line.clone(), |rest| rest.trim_start().to_owned())
        })
        .collect()
}

/// What differs between a file's directives and its outcome.
fn check(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let outcome = load(&name, &text);
    let found = [("expect", lines(&name, &outcome.faults)), ("warn", lines(&name, &outcome.warnings))];
    if std::env::var_os("POSTERN_BLESS").is_some() {
        bless(path, &text, &found);
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (directive, found) in &found {
        let expected = directives(&text, directive);
        for line in found.iter().filter(|line| !expected.contains(&line.as_str())) {
            problems.push(format!("{name}: not expected: {line}"));
        }
        for line in expected.iter().filter(|line| !found.iter().any(|found| found == *line)) {
            problems.push(format!("{name}: not found: {line}"));
        }
        if problems.is_empty() && *found != expected {
            problems.push(format!("{name}: not in this order: {found:#?}"));
        }
    }
    let dangling =
        outcome.warnings.iter().any(|warning| warning.class == postern_crds::FaultClass::Reference);
    if outcome.policy.is_some() != (outcome.faults.is_empty() && !dangling) {
        problems.push(format!("{name}: faults and policy contradict each other"));
    }
    problems
}

fn bless(path: &Path, text: &str, found: &[(&str, Vec<String>)]) {
    let mut lines: Vec<String> = found
        .iter()
        .flat_map(|(directive, lines)| lines.iter().map(move |line| format!("# {directive}: {line}")))
        .collect();
    lines.extend(
        text.lines()
            .filter(|line| !line.starts_with("# expect: ") && !line.starts_with("# warn: "))
            .map(str::to_owned),
    );
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn good_policies_load_and_bad_ones_say_exactly_what_is_wrong() {
    let mut problems = Vec::new();
    for path in policies("good") {
        problems.extend(check(&path));
        let text = fs::read_to_string(&path).unwrap();
        if !directives(&text, "expect").is_empty() {
            problems.push(format!("{} is no good policy", path.display()));
        }
    }
    for path in policies("bad") {
        problems.extend(check(&path));
        let text = fs::read_to_string(&path).unwrap();
        if directives(&text, "expect").is_empty() {
            problems.push(format!("{} is no bad policy", path.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_kind_has_a_good_policy_and_several_bad_ones() {
    let stems = |which: &str| -> Vec<String> {
        policies(which).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let (good, bad) = (stems("good"), stems("bad"));
    let kinds: BTreeSet<&str> = KINDS.into_iter().collect();
    for kind in kinds {
        let of_kind = |stem: &&String| stem.starts_with(&format!("{kind}-"));
        assert!(good.iter().any(|stem| of_kind(&stem)), "no good {kind}");
        assert!(bad.iter().filter(of_kind).count() >= 2, "fewer than two bad {kind}");
    }
}

const KINDS: [&str; 24] = [
    "directory",
    "domain",
    "extensions",
    "greylist",
    "hook",
    "inbound-session",
    "inbound-throttle",
    "listener",
    "lookup",
    "milter",
    "outbound-strategy",
    "pipe",
    "route",
    "sender-auth",
    "settings",
    "sieve-interpreter",
    "sieve-script",
    "spam-filter",
    "stage-auth",
    "stage-connect",
    "stage-data",
    "stage-ehlo",
    "stage-mail",
    "stage-rcpt",
];
