//! Mistakes: where they are, what is said, what is suggested.

use crate::expr::{Expression, Fault, Scope, Variable};

fn faults(source: &str) -> Vec<Fault> {
    Expression::parse(source, Scope::Mail).err().unwrap_or_default()
}

/// The only fault of a source, as `line:column: message`, and its suggestion.
fn fault(source: &str) -> (String, Option<String>) {
    let mut faults = faults(source);
    assert_eq!(faults.len(), 1, "{source}: {faults:?}");
    let fault = faults.remove(0);
    (format!("{}:{}: {}", fault.line, fault.column, fault.message), fault.suggestion)
}

#[test]
fn syntax_faults_have_a_place() {
    for (source, expected) in [
        ("", "1:1: an expression is missing"),
        (" \n ", "2:2: an expression is missing"),
        ("1 +", "1:4: a value is expected here, not the end of the expression"),
        ("1 2", "1:3: an operator or the end is expected here, not the number 2"),
        ("(1", "1:3: `)` is expected here, not the end of the expression"),
        ("[1, 2", "1:6: `,` or `]` is expected here, not the end of the expression"),
        ("[1,]", "1:4: a value is expected here, not `]`"),
        ("trim('a'", "1:9: `,` or `)` is expected here, not the end of the expression"),
        ("sender[0", "1:9: `]` is expected here, not the end of the expression"),
        ("1)", "1:2: an operator or the end is expected here, not `)`"),
        ("'a' +\n  'ü' # 1", "2:7: '#' has no meaning here"),
        ("1 == 'open", "1:6: this text is not closed"),
        (r"'a\'", "1:1: this text is not closed"),
        ("1.", "1:1: digits are missing behind the decimal point"),
        ("1.5s", "1:1: a duration is a whole number with a unit"),
        ("5min", "1:1: `min` is no unit of time; there are `ms`, `s`, `m`, `h` and `d`"),
        ("$a", "1:1: `$` needs the number of a capture group"),
    ] {
        assert_eq!(fault(source), (expected.to_owned(), None), "{source:?}");
    }
}

#[test]
fn close_names_are_suggested() {
    for (source, suggestion) in [
        ("sendr == 'a'", Some("sender")),
        ("sender_domian", Some("sender_domain")),
        ("Listener", Some("listener")),
        ("tru", Some("true")),
        ("stict", Some("strict")),
        ("is_emtpy(sender)", Some("is_empty")),
        ("to_lower_case('a')", Some("to_lowercase")),
        ("wholly_different", None),
        ("system('host_name')", Some("hostname")),
    ] {
        assert_eq!(fault(source).1.as_deref(), suggestion, "{source}");
    }
    assert_eq!(fault(&"x".repeat(10_000)).1, None);
}

#[test]
fn a_variable_of_another_scope_says_where_it_is_known() {
    let (message, suggestion) = fault("1 && rcpt == 'a'");
    assert_eq!(message, "1:6: `rcpt` is not available in the MAIL scope; it is in: RCPT, sub-address, route");
    assert_eq!(suggestion, None);
}

#[test]
fn functions_and_variables_are_not_mixed_up() {
    assert!(fault("is_tls()").0.contains("is no function"));
    assert!(fault("strict(1)").0.contains("is no function"));
    assert!(fault("trim + 1").0.contains("is a function"));
}

#[test]
fn arguments_are_counted() {
    assert_eq!(fault("trim()").0, "1:1: `trim` takes 1 argument, 0 given");
    assert_eq!(fault("1 + split('a')").0, "1:5: `split` takes 2 arguments, 1 given");
    assert_eq!(fault("is_local_domain('', 'a')").0, "1:1: `is_local_domain` takes 1 argument, 2 given");
    assert_eq!(fault("key_set('', 'a')").0, "1:1: `key_set` takes 3 arguments, 2 given");
    assert_eq!(fault("matches('a')").0, "1:1: `matches` takes 2 arguments, 1 given");
    assert_eq!(fault("matches('a', 'b', 'c')").0, "1:1: `matches` takes 2 arguments, 3 given");
    assert_eq!(fault("system('domain', 1)").0, "1:1: `system` takes 1 argument, 2 given");
}

#[test]
fn literal_arguments_must_be_literal() {
    for source in ["matches(sender, 'a')", "matches('a' + 'b', 'c')", "system(sender)", "matches()"] {
        assert!(fault(source).0.contains("is a text in quotes"), "{source}");
    }
}

#[test]
fn regexes_are_checked_at_load() {
    assert_eq!(fault("1 && matches('a(b', sender)").0, "1:14: this is no regular expression: unclosed group");
    assert!(fault(r"matches('(a)\1', sender)").0.contains("backreferences are not supported"));
    assert!(fault("matches('(?=a)', sender)").0.contains("look-around"));
    assert!(fault(r"matches('(\w{1000}){1000}', sender)").0.contains("size limit"));
}

#[test]
fn what_postern_does_not_have_says_so() {
    for source in ["sql_query('', 'select 1', [])", "metric('queue.count')", "metric()"] {
        assert!(fault(source).0.contains("is not available in Postern: "), "{source}");
    }
}

#[test]
fn several_faults_are_reported_at_once() {
    let found = faults("sendr == rcpt ||\n trim() && metric('x')\n || matches('(', foo)");
    let places: Vec<_> = found.iter().map(|fault| (fault.line, fault.column)).collect();
    assert_eq!(places, [(1, 1), (1, 10), (2, 2), (2, 12), (3, 18), (3, 13)]);
}

#[test]
fn columns_count_characters() {
    assert_eq!(fault("'ü☂' == foobar").0.split(':').nth(1), Some("9"));
}

#[test]
fn deep_nesting_is_a_fault() {
    for open in ["(", "[", "!", "-", "trim(", "x[", "sender[", "key_get("] {
        let source = open.repeat(10_000);
        assert!(!faults(&source).is_empty(), "{open}");
    }
    assert!(faults(&format!("{}1{}", "(".repeat(31), ")".repeat(31))).is_empty());
    assert!(fault(&format!("{}1{}", "(".repeat(32), ")".repeat(32))).0.contains("nested more than 32"));
}

#[test]
fn long_flat_sources_are_no_trouble() {
    for part in ["1 + ", "sender || ", "sender == 'a' && ", "1 < ", "sender ^ ", "- "] {
        let source = format!("{}1", part.repeat(if part == "- " { 30 } else { 3_000 }));
        assert!(faults(&source).is_empty(), "{part}");
    }
    assert!(faults(&format!("sender{}", "[0]".repeat(10_000))).is_empty());
    assert!(fault(&" ".repeat(65_537)).0.contains("longer than 65536 octets"));
}

#[test]
fn the_deepest_tree_evaluates_on_a_small_stack() {
    // Every level of the grammar once per level of nesting, and none that decides early.
    let level = "is_tls - 1 || 1 && 1 ^ 1 == 1 < 1 + 1 * (sender)[0 + ";
    let source = format!("{}sender{}", level.repeat(31), "]".repeat(31));
    let deepest = move || {
        let expression = Expression::parse(&source, Scope::Mail).unwrap();
        let copy = expression.clone();
        assert!(copy.evaluate(&super::World::default()).is_ok());
    };
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
    assert!(thread.spawn(deepest).unwrap().join().is_ok());
}

/// Half of what a thread of an asynchronous runtime has.
const SMALL_STACK: usize = 1 << 20;

#[test]
fn scopes_allow_what_they_say() {
    let parses = |variable: Variable, scope| Expression::parse(variable.name(), scope).is_ok();
    for scope in Scope::ALL {
        for variable in Variable::ALL {
            assert_eq!(
                parses(variable, scope),
                scope.variables().contains(variable),
                "{variable:?} {scope:?}"
            );
        }
    }
    let counts = Scope::ALL.map(|scope| scope.variables().iter().count());
    assert_eq!(counts, [9, 11, 13, 17, 1, 10]);
}
