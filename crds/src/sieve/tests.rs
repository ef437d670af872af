//! What compiles, and what is said of that which does not.

use super::*;

/// Every finding of a script as `line:column message`, with the suggestion behind it.
fn findings(source: &str) -> Vec<String> {
    findings_with(source, Require::Optional)
}

fn findings_with(source: &str, require: Require) -> Vec<String> {
    let Err(found) = compile(source, require) else { return Vec::new() };
    found
        .into_iter()
        .map(|Finding { line, column, message, suggestion }| {
            let suggestion = suggestion.map_or(String::new(), |meant| format!(" ({meant}?)"));
            format!("{line}:{column} {message}{suggestion}")
        })
        .collect()
}

#[test]
fn every_extension_of_the_language_runs_and_every_other_is_refused() {
    for name in language::CAPABILITIES {
        assert_eq!(findings_with(&format!("require \"{name}\";\nkeep;"), Require::Needed), [""; 0], "{name}");
    }
    for capability in sieve::compiler::grammar::Capability::all() {
        let name = capability.to_string();
        if !language::CAPABILITIES.contains(&name.as_str()) {
            let script = format!("require \"{name}\";\nkeep;");
            assert_eq!(findings(&script).len(), 1, "{name}");
            let program = compiler(Require::Needed).compile(script.as_bytes()).unwrap();
            assert!(dry_run(&program).is_some(), "{name} is refused by the interpreter too");
        }
    }
}

#[test]
fn every_word_of_the_language_is_one_of_the_interpreter() {
    for word in language::WORDS {
        // A word that the interpreter does not know is skipped with all its arguments, whatever they are.
        let nonsense = format!("{word} 1 2 3 [4];");
        let program = compiler(Require::Optional).compile(nonsense.as_bytes());
        let is_unknown =
            program.is_ok_and(|program| serde_json::to_string(&program).unwrap().contains("\"Invalid\""));
        assert!(!is_unknown, "{word}");
    }
}

#[test]
fn what_a_gate_does_not_have_says_why() {
    for (script, wanted) in [
        ("fileinto \"Junk\";", "1:1 the command `fileinto` is not available: a gate has no mailboxes"),
        (
            "require [\"copy\",\n  \"fileinto\"];",
            "2:3 the extension `fileinto` is not available: a gate has no mailboxes",
        ),
        (
            "if true {\n  vacation \"away\";\n}",
            "2:3 the command `vacation` is not available: a gate answers nobody on behalf of a mailbox; use \
             `reject`, or `notify`",
        ),
        (
            "convert \"a/b\" \"c/d\" [\"e=f\"];",
            "1:1 the command `convert` is not available: the conversion loses header fields; use \
             `extracttext` and `replace` in `foreverypart`",
        ),
        ("keep :flags \"\\\\Seen\";", "1:6 the tag `:flags` is not available: a gate has no mailboxes"),
        (
            "if duplicate { discard; }",
            "1:4 the command `duplicate` is not available: a gate does not remember messages",
        ),
        (
            "let \"a\" \"exec('/bin/true', [])\";",
            "1:10 the function `exec` is not available: scripts start no programs; use an MtaPipe",
        ),
        (
            "if eval \"key_set('', 'a', 'b', 60)\" { stop; }",
            "1:10 the function `key_set` is not available: scripts only read stores; count and set keys in the \
             expressions of a stage",
        ),
    ] {
        assert_eq!(findings(script), [wanted], "{script}");
    }
}

#[test]
fn a_name_that_does_not_exist_comes_with_the_one_that_may_be_meant() {
    for (script, wanted) in [
        ("require \"editheaders\";", "1:9 unknown extension `editheaders` (editheader?)"),
        ("keep;\n  addhaeder \"X\" \"y\";", "2:3 unknown command `addhaeder` (addheader?)"),
        ("if not heder :is \"a\" \"b\" { keep; }", "1:8 unknown command `heder` (header?)"),
        ("while \"to_lowercas(a) == 'x'\" { break; }", "1:8 unknown function `to_lowercas` (to_lowercase?)"),
        ("let \"x\" \"1 + contains('a')\";", "1:14 `contains` takes 2 arguments, not 1"),
    ] {
        let found = findings(script);
        assert_eq!(found.first().map(String::as_str), Some(wanted), "{script}: {found:?}");
    }
}

#[test]
fn faults_of_the_grammar_have_their_place() {
    for (script, wanted) in [
        ("if true { keep }", "1:16 expected ';' instead of `}`"),
        ("keep;\n  é redirect", "2:3 invalid character"),
        ("\"unterminated", "1:1 unterminated string"),
        ("if header :regex \"subject\" \"((\" { keep; }", "1:28 invalid regular expression"),
        ("keep;\nif header :regex \"subject\" \"((\" { keep; }", "2:28 invalid regular expression"),
        ("if envelope \"nosuch\" \"x\" { keep; }", "1:13 invalid envelope"),
        ("if eval \"(1\" {}", "1:9 invalid expression"),
        ("set \"${1}\" \"a\";", "1:"),
        ("if size :over 10X { discard; }", "1:"),
        ("keep;\nif true {\n  keep;\n", "2:8 unterminated block"),
    ] {
        let found = findings(script);
        assert!(found.first().is_some_and(|found| found.starts_with(wanted)), "{script}: {found:?}");
        assert_eq!(found.len(), 1, "{script}: {found:?}");
    }
}

#[test]
fn all_faults_of_a_script_are_found_at_once() {
    let script = "require \"nope\";\nfileinto \"a\";\nvacaton \"b\";\nif true { keep }";
    let places: Vec<String> =
        findings(script).iter().filter_map(|found| Some(found.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(places, ["1:9", "2:1", "3:1", "4:16"]);
}

#[test]
fn what_ihave_guards_may_be_missing() {
    let script = "require \"ihave\";\nif ihave \"fileinto\" { fileinto \"a\"; } else { keep; }\n\
                  if not ihave \"nosuch\" { keep; } elsif true { nosuch; }";
    assert_eq!(findings(script), [""; 0]);
    assert_eq!(findings("require \"ihave\";\nif ihave \"x\" { keep; }\nfileinto \"a\";").len(), 1);
}

#[test]
fn extensions_have_to_be_named_when_the_policy_asks_for_it() {
    let script = "addheader \"X-A\" \"b\";";
    assert_eq!(findings(script), [""; 0]);
    let wanted = "1:1 `require` does not name the extension `editheader`";
    assert_eq!(findings_with(script, Require::Needed), [wanted]);
}

#[test]
fn includes_that_are_needed_are_known() {
    let script = "require \"include\";\ninclude :global \"a\";\ninclude :once :optional \"b\";\n\
                  set \"n\" \"x\";\ninclude \"c-${n}\";";
    let wanted = Include { name: "a".into(), line: 2, column: 17 };
    assert_eq!(compile(script, Require::Optional).unwrap().includes, [wanted]);
}

#[test]
fn a_script_that_the_interpreter_would_leave_out_is_refused() {
    let variables = |n: usize| (0..n).map(|n| format!("set \"v{n}\" \"x\";\n")).collect::<String>();
    assert_eq!(findings(&variables(256)), [""; 0]);
    assert_eq!(findings(&variables(257)), ["1:1 more than 256 variables"]);
}

#[test]
fn every_function_can_be_called_with_its_arguments() {
    for name in functions::names() {
        let arguments = vec!["'a'"; functions::arity(name).unwrap() as usize].join(", ");
        let script = format!("let \"x\" \"{name}({arguments})\";");
        assert_eq!(findings(&script), [""; 0], "{name}");
    }
}
