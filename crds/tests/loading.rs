//! The way from a folder to a policy, as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its files has failed")]

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use postern_crds::{
    LoadOptions, Outcome, canonical, compile, load_folder, read_objects, read_yaml, revision,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Outcome {
    load_folder(folder, &LoadOptions::default()).unwrap()
}

fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

#[test]
fn every_yaml_file_counts_and_nothing_else() {
    let hosts = manifest("MtaSettings", "default", "{defaultHostname: mx.example.org}");
    let folder = folder(&[
        ("a.yaml", &format!("{hosts}---\n{}", manifest("MtaDomain", "a", "{name: a.example}"))),
        ("b.yml", &manifest("MtaDomain", "b", "{name: b.example}")),
        ("notes.txt", "this is not read"),
        (".hidden.yaml", "nor: this"),
        ("empty.yaml", "# nothing\n"),
    ]);
    fs::create_dir(folder.path().join("deeper")).unwrap();
    fs::write(folder.path().join("deeper/c.yaml"), "nor: this").unwrap();
    let policy = load(folder.path()).policy.unwrap();
    assert_eq!(policy.settings.default_hostname.as_deref(), Some("mx.example.org"));
    assert!(policy.domains.get("a.example").is_some() && policy.domains.get("b.example").is_some());
}

#[test]
fn a_mounted_volume_is_read_through_its_links() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("..2026_01_01");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.yaml"), manifest("MtaDomain", "a", "{name: a.example}")).unwrap();
    symlink("..2026_01_01", folder.path().join("..data")).unwrap();
    symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
    let outcome = load(folder.path());
    assert_eq!(outcome.faults, []);
    assert!(outcome.policy.unwrap().domains.get("a.example").is_some());
}

#[test]
fn what_cannot_be_read_is_a_fault_of_its_file() {
    let folder = folder(&[("a.yaml", &manifest("MtaDomain", "a", "{name: a.example}"))]);
    symlink("nowhere", folder.path().join("b.yaml")).unwrap();
    fs::write(folder.path().join("c.yaml"), b"\xff\xfe\x00").unwrap();
    let outcome = load(folder.path());
    let files: Vec<_> = outcome.faults.iter().filter_map(|fault| fault.file.as_deref()).collect();
    assert_eq!(files, ["b.yaml", "c.yaml"]);
    assert!(outcome.policy.is_none());
    assert!(load_folder(&folder.path().join("none"), &LoadOptions::default()).is_err());
}

#[test]
fn the_same_object_in_two_files_names_the_first() {
    let folder = folder(&[
        ("a.yaml", &manifest("MtaDomain", "a", "{name: a.example}")),
        ("b.yaml", &manifest("MtaDomain", "a", "{name: b.example}")),
    ]);
    let lines: Vec<String> = load(folder.path()).faults.iter().map(ToString::to_string).collect();
    let expected = "b.yaml:3:18: MtaDomain/a metadata.name: there is an object of this kind and name already, at a.yaml:1";
    assert_eq!(lines, [expected]);
}

#[test]
fn secrets_come_from_files_beside_the_manifests() {
    let spec = "{type: Inline, accounts: [{address: a@a.example, passwords: [{file: secret.txt}]}]}";
    let folder = folder(&[("a.yaml", &manifest("MtaDirectory", "a", spec)), ("secret.txt", "pass word\r\n")]);
    let policy = load(folder.path()).policy.unwrap();
    let account = policy.directories.iter().next().unwrap().inline().unwrap().accounts().next().unwrap();
    assert_eq!(account.passwords.iter().map(|secret| secret.expose()).collect::<Vec<_>>(), ["pass word"]);
    assert!(!format!("{policy:?}").contains("pass word"));
}

#[test]
fn an_empty_folder_is_the_documented_defaults() {
    let folder = TempDir::new().unwrap();
    let policy = load(folder.path()).policy.unwrap();
    assert!(policy.listeners.is_empty());
    assert_eq!(policy.settings.max_connections, 8192);
    assert_eq!(policy.revision.len(), 64);
}

#[test]
fn what_means_the_same_has_the_same_revision() {
    let long = "apiVersion: mta.postern.dev/v1alpha1\nkind: MtaStageData\nmetadata:\n  name: default\n  labels: {a: b}\n\
                spec:\n  maxMessages: {else: '10'}\n  filterBudget: 240s\n  bareLineEnds: Normalize\n";
    let short = manifest("MtaStageData", "default", "{maxMessages: 10}");
    let throttle = |spec: &str| manifest("MtaInboundThrottle", "t", spec);
    let one = throttle("{key: [sender, remoteIp], rate: {count: 1, period: 60000}}");
    let other = throttle("{rate: {period: 1m, count: 1}, enable: true, key: [remoteIp, sender]}");
    let first = folder(&[("a.yaml", long), ("b.yaml", &one)]);
    let second = folder(&[("x.yml", &format!("# other\n{other}---\n{short}"))]);
    let changed = folder(&[(
        "x.yml",
        &format!("{other}---\n{}", manifest("MtaStageData", "default", "{maxMessages: 11}")),
    )]);
    let revision = |folder: &TempDir| load(folder.path()).policy.unwrap().revision;
    assert_eq!(revision(&first), revision(&second));
    assert_ne!(revision(&first), revision(&changed));
}

#[test]
fn a_changed_secret_is_another_revision() {
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{a: {value}}}\n")
    };
    let revision = |text: &str| revision(&read_yaml("a.yaml", text).0).unwrap();
    assert_eq!(revision(&secret("one")), revision(&secret("one")));
    assert_ne!(revision(&secret("one")), revision(&secret("two")));
}

#[test]
fn the_canonical_form_reads_back_to_itself() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/policies/good");
    for entry in fs::read_dir(policies).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let (set, _) = read_yaml("a.yaml", &text);
        let manifests = canonical(&set).unwrap();
        let again: Vec<String> = manifests.iter().map(|manifest| manifest.yaml.clone()).collect();
        let (second, faults) = read_yaml("b.yaml", &again.join("---\n"));
        assert_eq!(faults, [], "{text}");
        assert_eq!(canonical(&second).unwrap(), manifests, "{text}");
    }
}

#[test]
fn objects_of_a_cluster_take_the_same_way() {
    let object = serde_json::json!({
        "apiVersion": "mta.postern.dev/v1alpha1",
        "kind": "MtaStageMail",
        "metadata": {"name": "default", "namespace": "mail", "generation": 3, "managedFields": []},
        "spec": {"rewrite": "sendr", "unknown": 1},
        "status": {"conditions": []}
    });
    let (set, faults) = read_objects([&object]);
    assert_eq!(set.references().first().and_then(|(_, generation)| *generation), Some(3));
    let lines: Vec<String> =
        compile(&set, faults, &LoadOptions::default()).faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "MtaStageMail/default spec.rewrite: line 1 column 1: `sendr` is no variable or constant; a text needs \
             quotes, did you mean `sender`?",
            "MtaStageMail/default spec.unknown: unknown field `unknown`",
        ]
    );
}

/// A policy of about that many objects, with routes, domains, scripts, throttles and expressions.
fn large_policy(objects: usize) -> String {
    let mut text =
        manifest("MtaStageRcpt", "default", "{rewrite: \"if_then(rcpt_domain == 'a', 'b@c.example', '')\"}");
    for number in 0..objects / 5 {
        let parts = [
            manifest(
                "MtaDomain",
                &format!("d{number}"),
                &format!("{{name: d{number}.example, route: r{number}}}"),
            ),
            manifest(
                "MtaRoute",
                &format!("r{number}"),
                &format!("{{type: Relay, address: mx{number}.example}}"),
            ),
            manifest(
                "MtaInboundThrottle",
                &format!("t{number}"),
                &format!(
                    "{{key: [sender], match: \"sender_domain == 'd{number}.example'\", rate: {{count: 5, period: 1m}}}}"
                ),
            ),
            manifest(
                "MtaSieveScript",
                &format!("s{number}"),
                "{contents: \"if header :is \\\"a\\\" \\\"b\\\" { discard; }\"}",
            ),
            manifest(
                "MtaHook",
                &format!("h{number}"),
                "{url: 'http://hooks/a', enable: {match: [{if: \"rcpt_domain == 'x'\", then: false}], else: true}}",
            ),
        ];
        for part in parts {
            let _infallible = write!(text, "---\n{part}");
        }
    }
    text
}

#[test]
fn a_thousand_objects_compile() {
    let folder = folder(&[("all.yaml", &large_policy(1000))]);
    let begin = Instant::now();
    let outcome = load(folder.path());
    println!("1000 objects in {:?}", begin.elapsed());
    assert_eq!(outcome.faults, []);
    assert_eq!(outcome.policy.unwrap().routes.iter().count(), 200);
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}") {
        let (set, faults) = read_yaml("a.yaml", &text);
        let _outcome = compile(&set, faults, &LoadOptions::default());
    }

    #[test]
    fn no_broken_policy_makes_the_loader_panic(
        file in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[-:{}\\[\\]'\"|>&*#\n a1é]{0,4}"), 1..6),
    ) {
        let mut text = file.get(&GOOD).to_string();
        for (place, insert) in cuts {
            let place = place.index(text.len().max(1));
            let begin = (0..=place).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
            let end = (begin + 1..=text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
            text.replace_range(begin..end, &insert);
        }
        let (set, faults) = read_yaml("a.yaml", &text);
        let outcome = compile(&set, faults, &LoadOptions::default());
        for fault in outcome.faults.iter().chain(&outcome.warnings) {
            prop_assert!(!fault.message.is_empty());
            let lines = u32::try_from(text.split('\n').count()).unwrap();
            prop_assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault} of {lines} lines");
        }
    }
}

const GOOD: [&str; 6] = [
    include_str!("../../tests/policies/good/settings-full.yaml"),
    include_str!("../../tests/policies/good/route-all-types.yaml"),
    include_str!("../../tests/policies/good/hook-basic.yaml"),
    include_str!("../../tests/policies/good/stage-data-all.yaml"),
    include_str!("../../tests/policies/good/directory-ldap-and-oidc.yaml"),
    include_str!("../../tests/policies/good/lookup-three-ways.yaml"),
];
