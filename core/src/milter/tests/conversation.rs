//! What is told, in which order, and what answers do.

use super::*;

#[test]
fn what_happened_before_is_told_once() {
    let mut milter = dialogue(6, 0);
    let scene = Scene::new().to(&["a@example.test"]);
    let (told, verdict) = ask(&mut milter, Stage::Data, &scene, &[]);
    assert_eq!(
        told,
        [
            "C[client.example.org|4\u{10}|192.0.2.1|".replace('[', ""),
            "Hclient.example.org|".into(),
            "M<s@example.org>|".into(),
            "R<a@example.test>|".into(),
            "T".into(),
            "LSubject| a\n b|".into(),
            "LX|c|".into(),
            "N".into(),
            "Bone".into(),
            "Btwo".into(),
            "E".into(),
        ]
    );
    assert_eq!(verdict, pass());
    let (told, _) = ask(&mut milter, Stage::Mail, &scene, &[]);
    assert_eq!(
        told,
        ["M<s@example.org>|", "R<a@example.test>|"],
        "the session is known, the transaction is another"
    );
    let mut out = Vec::new();
    assert!(milter.abort(&mut out));
    assert_eq!(out, b"\0\0\0\x01A");
    assert!(!milter.abort(&mut out), "nothing is left to be forgotten");
}

#[test]
fn each_stage_tells_what_is_new() {
    let mut milter = dialogue(6, 0);
    let mut scene = Scene::new();
    let told = |milter: &mut Dialogue, stage, scene: &Scene| ask(milter, stage, scene, &[]).0;
    assert_eq!(told(&mut milter, Stage::Connect, &scene), ["C[192.0.2.1]|4\u{10}|192.0.2.1|"]);
    assert_eq!(told(&mut milter, Stage::Ehlo, &scene), ["Hclient.example.org|"]);
    scene.parameters = vec!["SIZE=10".into(), "BODY=8BITMIME".into()];
    assert_eq!(told(&mut milter, Stage::Mail, &scene), ["M<s@example.org>|SIZE=10|BODY=8BITMIME|"]);
    scene.parameters = vec!["NOTIFY=NEVER".into()];
    let scene = scene.naming("a@example.test");
    assert_eq!(told(&mut milter, Stage::Rcpt, &scene), ["R<a@example.test>|NOTIFY=NEVER|"]);
    let scene = scene.to(&["a@example.test"]).naming("b@example.test");
    assert_eq!(told(&mut milter, Stage::Rcpt, &scene), ["R<b@example.test>|NOTIFY=NEVER|"]);
    let scene = scene.to(&["a@example.test", "b@example.test"]);
    assert_eq!(told(&mut milter, Stage::Data, &scene)[0], "T");
}

#[test]
fn members_of_a_list_that_was_told_are_not_told_again() {
    let mut milter = dialogue(6, 0);
    let mut scene = Scene::new().naming("list@example.test");
    scene.members = vec!["a@example.test".into(), "b@example.test".into()];
    assert!(ask(&mut milter, Stage::Rcpt, &scene, &[]).1.is_ok());
    let scene = scene.to(&["a@example.test", "b@example.test", "c@example.test"]);
    let (told, _) = ask(&mut milter, Stage::Data, &scene, &[]);
    assert_eq!(told[..2], ["R<c@example.test>|", "T"]);
}

#[test]
fn parameters_that_are_past_are_told_as_they_are_known() {
    let mut scene = Scene::new().to(&["a@example.test"]);
    scene.envelope.parameters = MailParameters::from_filter("SIZE=10 BODY=8BITMIME");
    scene.envelope.recipients[0].parameters =
        RcptParameters::from_filter("NOTIFY=FAILURE ORCPT=rfc822;x@y.example");
    let (told, _) = ask(&mut dialogue(6, 0), Stage::Data, &scene, &[]);
    assert_eq!(
        told[2..4],
        [
            "M<s@example.org>|SIZE=10|BODY=8BITMIME|",
            "R<a@example.test>|NOTIFY=FAILURE|ORCPT=rfc822;x@y.example|"
        ]
    );
}

#[test]
fn the_null_sender_is_told_as_such() {
    let mut scene = Scene::new();
    scene.envelope.sender = ReversePath::Null;
    assert_eq!(ask(&mut dialogue(6, 0), Stage::Mail, &scene, &[]).0[2], "M<>|");
}

#[test]
fn a_new_name_and_tls_are_told_with_another_helo() {
    let mut milter = dialogue(6, 0);
    let mut scene = Scene::new();
    assert!(ask(&mut milter, Stage::Mail, &scene, &[]).1.is_ok());
    scene.helo = Some("other.example.org");
    let (told, _) = ask(&mut milter, Stage::Ehlo, &scene, &[]);
    assert_eq!(told, ["A", "Hother.example.org|"], "a transaction does not survive EHLO");
    scene.tls = Some(tls());
    assert_eq!(ask(&mut milter, Stage::Mail, &scene, &[]).0[0], "Hother.example.org|");
}

#[test]
fn steps_that_are_not_wanted_are_left_out() {
    let scene = Scene::new().to(&["a@example.test"]);
    let all = step::NO_CONNECT | step::NO_HELO | step::NO_MAIL | step::NO_RCPT | step::NO_DATA;
    let body = step::NO_BODY | step::NO_FIELDS | step::NO_END_OF_HEADER;
    let (told, verdict) = ask(&mut dialogue(6, all | body), Stage::Data, &scene, &[]);
    assert_eq!((told, verdict), (vec!["E".to_owned()], pass()), "filters of headers work at the end");
    let (told, _) = ask(&mut dialogue(2, all), Stage::Data, &scene, &[]);
    assert_eq!(told[0], "LSubject| a\n b|", "version 2 has no DATA");
}

#[test]
fn silent_steps_go_out_together() {
    let mut milter = dialogue(6, step::ALL_V6 & 0xf_f080);
    let scene = Scene::new().to(&["a@example.test"]);
    let facts = scene.at(Stage::Data);
    let mut out = Vec::new();
    let mut exchange = Exchange::begin(&mut milter, Stage::Data, &facts, 0, &mut out);
    assert_eq!(exchange.next(&mut out), Next::Body(65_535), "no answer was awaited up to the body");
    exchange.body_sent();
    exchange.body_ends();
    assert_eq!(exchange.next(&mut out), Next::Answer(Command::EndOfMessage));
}

#[test]
fn leading_space_is_kept_when_that_was_agreed_on() {
    let scene = Scene::new();
    let (told, _) = ask(&mut dialogue(6, step::LEADING_SPACE), Stage::Data, &scene, &[]);
    assert!(
        told.contains(&"LSubject|  a\n b|".to_owned()) && told.contains(&"LX| c|".to_owned()),
        "{told:?}"
    );
}

#[test]
fn accept_ends_the_session_or_the_transaction() {
    let scene = Scene::new().to(&["a@example.test"]);
    for (answers, released) in
        [(&[&["a"][..]][..], true), (&[&["c"], &["a"]], true), (&[&["c"], &["c"], &["a"]], false)]
    {
        let mut milter = dialogue(6, 0);
        let (told, verdict) = ask(&mut milter, Stage::Data, &scene, answers);
        assert_eq!((told.len(), verdict, milter.is_released()), (answers.len(), pass(), released));
        let (told, verdict) = ask(&mut milter, Stage::Data, &scene, &[]);
        assert_eq!((told.len(), verdict), (0, pass()), "it is asked no more");
        milter.abort(&mut Vec::new());
        assert_eq!(ask(&mut milter, Stage::Mail, &scene, &[]).0.is_empty(), released);
    }
}

#[test]
fn a_refusal_of_what_is_past_is_the_verdict_of_now() {
    let scene = Scene::new().to(&["a@example.test"]);
    for (commands, answer) in [(1, "r"), (2, "t"), (3, "y550 5.7.1 no\0"), (4, "r"), (5, "t"), (6, "r")] {
        let mut milter = dialogue(6, 0);
        let mut answers = vec![&["c"][..]; commands - 1];
        let last = [answer];
        answers.push(&last);
        let (told, verdict) = ask(&mut milter, Stage::Data, &scene, &answers);
        assert_eq!(told.len(), commands);
        assert!(matches!(verdict, Ok(Verdict::Reject(_) | Verdict::Defer(_))), "{verdict:?}");
        assert_eq!(milter.is_spent(), commands <= 2, "who refuses a session is done with it");
    }
}

#[test]
fn a_refused_recipient_leaves_the_transaction_open() {
    let mut milter = dialogue(6, 0);
    let scene = Scene::new().naming("a@example.test");
    let (_, verdict) = ask(&mut milter, Stage::Rcpt, &scene, &[&["c"], &["c"], &["c"], &["r"]]);
    assert!(matches!(verdict, Ok(Verdict::Reject(_))));
    let (told, verdict) = ask(&mut milter, Stage::Rcpt, &Scene::new().naming("b@example.test"), &[]);
    assert_eq!((told, verdict), (vec!["R<b@example.test>|".to_owned()], pass()));
}

#[test]
fn discard_and_the_end_of_the_connection_are_verdicts() {
    let scene = Scene::new();
    assert_eq!(
        ask(&mut dialogue(6, 0), Stage::Data, &scene, &[&["c"], &["c"], &["d"]]).1,
        Ok(Verdict::Discard)
    );
    let mut milter = dialogue(6, 0);
    let (_, verdict) = ask(&mut milter, Stage::Mail, &scene, &[&["c"], &["c"], &["4"]]);
    assert!(matches!(verdict, Ok(Verdict::Disconnect(Some(_)))) && milter.is_spent());
    let (_, verdict) = ask(&mut dialogue(6, 0), Stage::Mail, &scene, &[&["f"]]);
    assert_eq!(verdict, Ok(Verdict::Disconnect(None)));
}

#[test]
fn skip_ends_the_body_and_progress_is_waited_for() {
    let mut milter =
        dialogue(6, step::NO_CONNECT | step::NO_HELO | step::NO_MAIL | step::NO_DATA | step::NO_FIELDS);
    let (told, verdict) =
        ask(&mut milter, Stage::Data, &Scene::new(), &[&["c"], &["p", "p", "s"], &["p", "c"]]);
    assert_eq!((told, verdict), (vec!["N".to_owned(), "Bone".into(), "E".into()], pass()));
}
