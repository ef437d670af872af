//! Tests of the password checks.

use std::time::Duration;

use postern_core::ldap::Filter;
use postern_core::policy::Policy;
use postern_core::policy::directory::{Directory, Inline, Ldap, LdapAuthentication, LdapCache, LdapSecurity};
use postern_core::policy::route::ClientTls;

use super::hash_pool::PATIENCE;
use super::*;
use crate::testing::snapshot_of;

fn account(address: &str, aliases: &[&str], passwords: &[&str]) -> Account {
    Account {
        address: Address::parse(address).unwrap(),
        aliases: aliases.iter().map(|alias| Address::parse(alias).unwrap()).collect(),
        passwords: passwords.iter().map(|text| Secret::new(*text)).collect(),
    }
}

fn inline(accounts: Vec<Account>) -> Directory {
    Directory { name: "staff".into(), source: DirectorySource::Inline(Inline::new(accounts, Vec::new())) }
}

/// A directory at a port where nobody listens.
fn broken() -> Directory {
    let ldap = Ldap {
        host: "127.0.0.1".into(),
        port: 1,
        security: LdapSecurity::Clear,
        service: None,
        base_dn: "dc=example".into(),
        user_filter: Filter::parse("(mail={address})").unwrap(),
        login_filter: None,
        mail_attributes: Vec::new(),
        lists: None,
        authentication: LdapAuthentication::Bind,
        pool: 1,
        timeout: Duration::from_secs(1),
        cache: LdapCache { positive: Duration::ZERO, negative: Duration::ZERO, entries: 0 },
        tls: ClientTls::default(),
    };
    Directory { name: "ldap".into(), source: DirectorySource::Ldap(Arc::new(ldap)) }
}

fn snapshot(directories: Vec<Directory>) -> Arc<Snapshot> {
    Arc::new(snapshot_of(Policy { directories: Directories::new(directories), ..Policy::default() }))
}

async fn ask(snapshot: &Arc<Snapshot>, user: &str, password: &str) -> Outcome {
    ask_with(&Authenticator::new(HashPool::new(2, 2, PATIENCE)), snapshot, user, password).await
}

async fn ask_with(
    authenticator: &Authenticator,
    snapshot: &Arc<Snapshot>,
    user: &str,
    password: &str,
) -> Outcome {
    authenticator.authenticate(snapshot, &DirectoryClients::default(), user, &Secret::new(password)).await
}

fn name(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Account(account) => Some(account.address.as_str()),
        Outcome::Wrong | Outcome::Forbidden | Outcome::Unavailable => None,
    }
}

#[tokio::test]
async fn the_right_password_opens_the_account() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &["secret"])])]);
    assert_eq!(name(&ask(&snapshot, "bill@example.org", "secret").await), Some("bill@example.org"));
    assert_eq!(ask(&snapshot, "bill@example.org", "Secret").await, Outcome::Wrong);
    assert_eq!(ask(&snapshot, "joe@example.org", "secret").await, Outcome::Wrong);
    assert_eq!(ask(&snapshot, "", "").await, Outcome::Wrong);
}

#[tokio::test]
async fn names_compare_without_case_and_an_alias_is_its_account() {
    let snapshot =
        snapshot(vec![inline(vec![account("bill@example.org", &["William@example.org"], &["secret"])])]);
    for user in ["BILL@Example.ORG", "william@example.org", "WILLIAM@EXAMPLE.ORG"] {
        assert_eq!(name(&ask(&snapshot, user, "secret").await), Some("bill@example.org"), "{user}");
    }
}

#[tokio::test]
async fn any_of_several_passwords_is_right_and_a_useless_one_matches_nothing() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &["{SSHA}x", "one", "two"])])]);
    for (password, opens) in [("one", true), ("two", true), ("{SSHA}x", false), ("three", false)] {
        assert_eq!(name(&ask(&snapshot, "bill@example.org", password).await).is_some(), opens, "{password}");
    }
}

#[tokio::test]
async fn an_account_without_a_password_cannot_log_in() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &[])])]);
    assert_eq!(ask(&snapshot, "bill@example.org", "").await, Outcome::Wrong);
}

#[tokio::test]
async fn a_directory_that_cannot_be_asked_makes_the_answer_uncertain() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &["secret"])]), broken()]);
    assert_eq!(ask(&snapshot, "joe@example.org", "secret").await, Outcome::Unavailable);
    assert_eq!(ask(&snapshot, "bill@example.org", "wrong").await, Outcome::Wrong);
}

#[tokio::test]
async fn behind_a_directory_that_gives_no_answer_nobody_decides() {
    let snapshot = snapshot(vec![broken(), inline(vec![account("bill@example.org", &[], &["secret"])])]);
    for password in ["secret", "the one of the directory that is down"] {
        assert_eq!(ask(&snapshot, "bill@example.org", password).await, Outcome::Unavailable, "{password}");
    }
}

#[tokio::test]
async fn passwords_beyond_all_measure_are_wrong_without_being_hashed() {
    let long = "x".repeat(MAX_PASSWORD_OCTETS + 1);
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &[&long])])]);
    assert_eq!(ask(&snapshot, "bill@example.org", &long).await, Outcome::Wrong);
}

#[tokio::test]
async fn a_full_queue_answers_at_once() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &["secret"])])]);
    let pool = Authenticator::new(HashPool::new(1, 0, PATIENCE));
    let _busy = Arc::clone(&pool.hashes.queue).try_acquire_owned().unwrap();
    let outcome = ask_with(&pool, &snapshot, "bill@example.org", "secret").await;
    assert_eq!(outcome, Outcome::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_sent_away() {
    let snapshot = snapshot(vec![inline(vec![account("bill@example.org", &[], &["secret"])])]);
    let pool = Authenticator::new(HashPool::new(1, 1, PATIENCE));
    let _busy = Arc::clone(&pool.hashes.workers).try_acquire_owned().unwrap();
    let outcome = ask_with(&pool, &snapshot, "bill@example.org", "secret").await;
    assert_eq!(outcome, Outcome::Unavailable);
    assert_eq!(pool.hashes.queue.available_permits(), 2, "its place in the queue is free again");
}

#[test]
fn the_decoy_is_the_costliest_password_in_use() {
    let bcrypt = bcrypt::hash("x", 5).unwrap();
    let directories = Directories::new(vec![inline(vec![
        account("a@example.org", &[], &["plain"]),
        account("b@example.org", &[], &[&bcrypt]),
        account(
            "c@example.org",
            &[],
            &[
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ],
        ),
    ])]);
    let decoy = Decoy::of(&directories);
    assert!(decoy.0.unwrap().expose().starts_with("$6$"), "5000 rounds cost more than bcrypt's 2^5");
}
