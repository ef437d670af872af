//! What a milter asks for at the end of a message, and octets that are nothing of the kind.

use super::*;

fn edits(verdict: Result<Verdict, MilterError>) -> Vec<Modification> {
    match verdict {
        Ok(Verdict::Pass(modifications)) => modifications,
        other => panic!("{other:?}"),
    }
}

const AT_THE_END: u32 = step::NO_CONNECT
    | step::NO_HELO
    | step::NO_MAIL
    | step::NO_RCPT
    | step::NO_DATA
    | step::NO_FIELDS
    | step::NO_END_OF_HEADER
    | step::NO_BODY;

/// What comes of these frames at the end of a message.
fn at_the_end(frames: &[&str]) -> Result<Verdict, MilterError> {
    ask(&mut dialogue(6, AT_THE_END), Stage::Data, &Scene::new(), &[frames]).1
}

#[test]
fn every_change_is_understood() {
    let bytes = |text: &str| Box::<[u8]>::from(text.as_bytes());
    let wanted = vec![
        Modification::Edit(Edit::AddField { name: bytes("X-A"), value: bytes("one\r\n\t2") }),
        Modification::Edit(Edit::InsertField { index: 2, name: bytes("X-B"), value: bytes("b") }),
        Modification::Edit(Edit::ChangeField { index: 1, name: bytes("Subject"), value: bytes("new") }),
        Modification::Edit(Edit::RemoveField { index: 3, name: bytes("Subject") }),
        Modification::AddRecipient(address("add@example.test"), None),
        Modification::AddRecipient(
            address("more@example.test"),
            Some(Box::new(RcptParameters::from_filter("NOTIFY=NEVER"))),
        ),
        Modification::RemoveRecipient(address("gone@example.test")),
        Modification::SetSender(
            ReversePath::Mailbox(address("new@example.org")),
            Some(Box::new(MailParameters::from_filter("ENVID=1"))),
        ),
        Modification::SetSender(ReversePath::Null, None),
        Modification::Quarantine("odd".into()),
        Modification::Edit(Edit::ReplaceBody(bytes("first second"))),
    ];
    let frames = [
        "hX-A\0one\r\n\t2\r\n\0",
        "i\0\0\0\u{2}X-B\0b\0",
        "bfirst ",
        "m\0\0\0\u{1}Subject\0new\0",
        "m\0\0\0\u{3}Subject\0\0",
        "+<add@example.test>\0",
        "2more@example.test\0NOTIFY=NEVER\0",
        "-<gone@example.test>\0",
        "-no address\0",
        "e<new@example.org>\0ENVID=1\0",
        "e<>\0",
        "p",
        "qodd\0",
        "bsecond",
    ];
    for last in ["c", "a"] {
        let all = [&frames[..], &[last]].concat();
        assert_eq!(edits(at_the_end(&all)), wanted, "after {last}");
    }
    for last in ["r", "t", "d"] {
        let all = [&frames[..], &[last]].concat();
        assert!(!matches!(at_the_end(&all), Ok(Verdict::Pass(_)) | Err(_)), "after {last}");
    }
}

#[test]
fn fields_that_would_break_the_header_are_an_error() {
    for frame in [
        "hX-A\0a\nBcc: b@example.org\0",
        "hX-A\0a\r\nBcc: b@example.org\0",
        "hX-A\0a\rb\0",
        "hX-A\0a\r\r\n b\0",
        "hX-A\0a\n\n b\0",
        "hX A\0a\0",
        "hX-A:\0a\0",
        "h\0a\0",
        "hX\nA\0a\0",
        "m\0\0\0\u{1}X-A\0a\nb\0",
        "i\0\0\0\u{1}X-A\0a\r\n\r\nb\0",
    ] {
        assert_eq!(at_the_end(&[frame, "c"]), Err(MilterError::BrokenField), "{frame:?}");
    }
}

#[test]
fn changes_that_cannot_be_read_are_an_error() {
    for frame in ["h", "hX-A", "hX-A\0no end", "i\0\0", "m\0\0\0\u{1}X", "+x@example.test", "e", "q", "-"] {
        assert!(matches!(at_the_end(&[frame, "c"]), Err(MilterError::Malformed(_))), "{frame:?}");
    }
    for frame in ["+nobody\0", "+\0", "2<a b@example.test>\0\0", "enobody\0", "+a@example.test\r\nRCPT\0"] {
        assert!(matches!(at_the_end(&[frame, "c"]), Err(MilterError::Address(_))), "{frame:?}");
    }
    let mut out = vec![b'm'];
    out.extend_from_slice(b"\xff\xff\xff\xffX\0a\0");
    let Some((code, payload)) = out.split_first() else { panic!() };
    let scene = Scene::new();
    let (facts, mut milter, mut written) = (scene.at(Stage::Data), dialogue(6, AT_THE_END), Vec::new());
    let mut exchange = Exchange::begin(&mut milter, Stage::Data, &facts, 100, &mut written);
    assert_eq!(exchange.next(&mut written), Next::Answer(Command::EndOfMessage));
    assert_eq!(exchange.hear(&Frame { code: *code, payload }), Err(MilterError::Malformed('m')));
}

#[test]
fn only_what_was_offered_may_be_changed() {
    let offer = Offer { version: 6, actions: action::ADD_FIELDS, steps: step::ALL_V6 };
    let words =
        [6, action::ALL_V6, AT_THE_END].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    for (frame, good) in
        [("hX\0a\0", true), ("i\0\0\0\0X\0a\0", true), ("bnew", false), ("+a@b.example\0", false)]
    {
        let mut milter = Dialogue::new(offer.agreed(&words).unwrap());
        let (_, verdict) = ask(&mut milter, Stage::Data, &Scene::new(), &[&[frame, "c"]]);
        assert_eq!(verdict.is_ok(), good, "{frame:?}: {verdict:?}");
    }
}

#[test]
fn changes_are_bounded() {
    let body = format!("b{}", "x".repeat(600));
    assert!(at_the_end(&[&body, "c"]).is_ok());
    assert_eq!(at_the_end(&[&body, &body, "c"]), Err(MilterError::TooLarge { most: 1000 }));
}

#[test]
fn changes_before_the_end_of_the_message_are_an_error() {
    let mut milter = dialogue(6, 0);
    let (_, verdict) = ask(&mut milter, Stage::Mail, &Scene::new(), &[&["hX\0a\0"]]);
    assert_eq!(verdict, Err(MilterError::WrongPlace { answer: 'h', to: "connect" }));
}

proptest! {
    #[test]
    fn nothing_that_a_milter_says_panics(
        steps in any::<u32>(),
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..40),
    ) {
        let scene = Scene::new().to(&["a@example.test"]);
        let (mut milter, mut out) = (dialogue(6, steps), Vec::new());
        let mut frames = frames.iter();
        for stage in [Stage::Connect, Stage::Ehlo, Stage::Mail, Stage::Data] {
            let facts = scene.at(stage);
            let mut exchange = Exchange::begin(&mut milter, stage, &facts, 100, &mut out);
            loop {
                match exchange.next(&mut out) {
                    Next::Over(_) => break,
                    Next::Body(most) => {
                        prop_assert!(most >= 65_535);
                        exchange.body_ends();
                    }
                    Next::Answer(_) => {
                        let Some((code, payload)) = frames.next().and_then(|frame| frame.split_first()) else { return Ok(()) };
                        if exchange.hear(&Frame { code: *code, payload }).is_err() { return Ok(()) }
                    }
                }
            }
        }
    }

    #[test]
    fn a_change_that_is_taken_keeps_the_header_whole(name in "[ -~\r\n]{0,5}", value in "[ a\t\r\n:]{0,9}") {
        let frame = format!("h{name}\0{value}\0");
        if let Ok(Verdict::Pass(modifications)) = at_the_end(&[&frame, "c"]) {
            let Some(Modification::Edit(Edit::AddField { name, value })) = modifications.first() else { panic!() };
            let mut field = Vec::new();
            prop_assert!(crate::message::field::write_field(name, value, &mut field));
            let header = Header::parse(&field).unwrap();
            prop_assert_eq!((header.fields().len(), header.octets() as usize), (1, field.len()));
        }
    }

    #[test]
    fn what_was_told_is_never_told_again(stages in proptest::collection::vec(0..4_usize, 1..8)) {
        let scene = Scene::new();
        let mut milter = dialogue(6, 0);
        let (mut connects, mut helos) = (0, 0);
        for stage in stages {
            let stage = [Stage::Connect, Stage::Ehlo, Stage::Mail, Stage::Data][stage];
            for command in ask(&mut milter, stage, &scene, &[]).0 {
                connects += usize::from(command.starts_with('C'));
                helos += usize::from(command.starts_with('H'));
            }
        }
        prop_assert!(connects == 1 && helos <= 1);
    }
}
