//! What is told beside the commands.

use super::*;

fn macros(scene: &Scene, stage: Stage, lists: &[u8]) -> Vec<(u8, String)> {
    let words = [6, 0, 0_u32].iter().flat_map(|word| word.to_be_bytes());
    let payload: Vec<u8> = words.chain(lists.iter().copied()).collect();
    let offer = Offer { version: 6, actions: action::ALL_V6, steps: step::ALL_V6 };
    let mut dialogue = Dialogue::new(offer.agreed(&payload).unwrap());
    let (told, _) = converse(&mut dialogue, stage, scene, &[]);
    let frames = told.into_iter().filter(|(code, _)| *code == b'D');
    frames
        .map(|(_, payload)| {
            let (mut rest, mut pairs) = (&payload[1..], Vec::new());
            while let Some((name, others)) = split_text(rest) {
                let (value, others) = split_text(others).unwrap();
                pairs.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
                rest = others;
            }
            (payload[0], pairs.join(" "))
        })
        .collect()
}

#[test]
fn macros_come_before_their_commands() {
    let mut scene = Scene::new().to(&["a@example.test"]);
    scene.ptr = Some(Ptr { name: "mail.example.org", is_confirmed: true });
    scene.tls = Some(tls());
    scene.login = Some(Login { account: "ann@example.test", mechanism: "PLAIN" });
    let id = TraceId(0xabc).to_string();
    let version = concat!("v=Postern ", env!("CARGO_PKG_VERSION"));
    let wanted = [
        (
            b'C',
            format!(
                "j=gate.example.test _=mail.example.org [192.0.2.1] {version} {{daemon_name}}=mx \
                 {{daemon_addr}}=192.0.2.25 {{daemon_port}}=25 {{client_addr}}=192.0.2.1 {{client_port}}=4096 \
                 {{client_ptr}}=mail.example.org {{client_name}}=mail.example.org"
            ),
        ),
        (
            b'H',
            "{tls_version}=TLSv1.3 {cipher}=TLS13_AES_256_GCM_SHA384 {cipher_bits}=256 {cert_subject}=CN=client".into(),
        ),
        (
            b'M',
            format!(
                "i={id} {{auth_type}}=PLAIN {{auth_authen}}=ann@example.test {{mail_addr}}=s@example.org \
                 {{mail_host}}=example.org {{mail_mailer}}=smtp"
            ),
        ),
        (
            b'R',
            format!("i={id} {{rcpt_addr}}=a@example.test {{rcpt_host}}=example.test {{rcpt_mailer}}=smtp"),
        ),
        (b'T', format!("i={id}")),
        (b'E', format!("i={id}")),
    ];
    assert_eq!(macros(&scene, Stage::Data, b""), wanted);
}

#[test]
fn without_a_name_tls_or_login_the_macros_say_so() {
    let scene = Scene::new();
    let told = macros(&scene, Stage::Mail, b"");
    assert!(
        told[0].1.contains("_=unknown [192.0.2.1]") && told[0].1.contains("{client_ptr}=unknown"),
        "{told:?}"
    );
    assert_eq!(told[1].1, "{tls_version}= {cipher}=");
    assert!(!told[2].1.contains("auth"), "{told:?}");
}

#[test]
fn an_unconfirmed_name_is_no_name_of_the_client() {
    let mut scene = Scene::new();
    scene.ptr = Some(Ptr { name: "liar.example", is_confirmed: false });
    let told = macros(&scene, Stage::Connect, b"");
    assert!(told[0].1.contains("{client_ptr}=liar.example {client_name}=unknown"), "{told:?}");
    assert!(ask(&mut dialogue(6, 0), Stage::Connect, &scene, &[]).0[0].starts_with("C[192.0.2.1]|"));
}

#[test]
fn lists_of_macros_are_obeyed() {
    let scene = Scene::new().to(&["a@example.test"]);
    let lists = b"\0\0\0\0\0\0\0\0\x02{mail_addr} nonsense {client_addr}\0\0\0\0\x06i\0\0\0\0\x04\0";
    let told = macros(&scene, Stage::Data, lists);
    let id = TraceId(0xabc).to_string();
    assert_eq!(told[0], (b'H', "{tls_version}= {cipher}=".into()), "an empty list leaves the frame out");
    assert_eq!(told[1], (b'M', "{mail_addr}=s@example.org {client_addr}=192.0.2.1".into()));
    assert_eq!(told[3], (b'N', format!("i={id}")));
    assert_eq!(told[4], (b'E', format!("i={id}")));
}

#[test]
fn refused_recipients_are_told_as_sendmail_tells_them() {
    let scene = Scene::new();
    let refused = address("nobody@example.test");
    let mut facts = scene.at(Stage::Rcpt);
    let addressee = Addressee::Refused(&refused, "5.1.1", "550 5.1.1 no such user");
    let in_hand = InHand { addressee, parameters: &[], members: &[] };
    facts.transaction.as_mut().unwrap().in_hand = Some(in_hand);
    let (mut milter, mut out) = (dialogue(6, step::REFUSED_RECIPIENTS | step::SILENT_RCPT), Vec::new());
    assert!(!milter.wants_refused_recipients(), "it knows of no transaction");
    assert!(ask(&mut milter, Stage::Mail, &scene, &[]).1.is_ok());
    assert!(milter.wants_refused_recipients());
    let verdict = Exchange::begin(&mut milter, Stage::Rcpt, &facts, 0, &mut out).next(&mut out);
    assert_eq!(verdict, Next::Over(Verdict::Pass(Vec::new())));
    let told = String::from_utf8_lossy(&out).replace('\0', "|");
    assert!(
        told.contains("{rcpt_addr}|550 5.1.1 no such user|{rcpt_host}|5.1.1|{rcpt_mailer}|error|"),
        "{told}"
    );
    assert!(told.contains("R<nobody@example.test>|"), "{told}");
}
