use super::*;
use crate::socketio::Args;

#[test]
fn idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn packets_of_the_spec() {
    let data = |json| Some(std::borrow::Cow::Borrowed(json));
    for (text, incoming) in [
        ("0", Incoming::Connect { namespace: "/".into(), data: None }),
        (
            "0/admin,{\"a\":1}",
            Incoming::Connect { namespace: "/admin".into(), data: data("{\"a\":1}") },
        ),
        ("0/admin,", Incoming::Connect { namespace: "/admin".into(), data: None }),
        ("0/admin", Incoming::Connect { namespace: "/admin".into(), data: None }),
        ("1/admin,", Incoming::Disconnect { namespace: "/admin".into() }),
        (
            "2[\"foo\"]",
            Incoming::Event {
                namespace: "/".into(),
                id: None,
                args: Args::new("[\"foo\"]", vec![]),
            },
        ),
        (
            "2/admin,12[\"\"]",
            Incoming::Event {
                namespace: "/admin".into(),
                id: Some(12),
                args: Args::new("[\"\"]", vec![]),
            },
        ),
        (
            "3/admin,13[]",
            Incoming::Ack { namespace: "/admin".into(), id: 13, args: Args::new("[]", vec![]) },
        ),
        (
            "4{\"message\":\"no\"}",
            Incoming::ConnectError { namespace: "/".into(), data: data("{\"message\":\"no\"}") },
        ),
    ] {
        assert_eq!(Decoder::new().text(text, &Limits::default()), Ok(Some(incoming)), "{text}");
    }
}

#[test]
fn binary_event_waits_for_its_attachments() {
    let mut decoder = Decoder::new();
    let json = r#"["b",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
    let limits = Limits::default();
    assert_eq!(decoder.text(&format!("52-/x,3{json}"), &limits), Ok(None));
    assert_eq!(decoder.binary(b"zero", &limits), Ok(None));
    assert!(decoder.is_pending());
    let attachments = vec![Bytes::from_static(b"zero"), Bytes::from_static(b"one")];
    assert_eq!(
        decoder.binary(b"one", &limits),
        Ok(Some(Incoming::Event {
            namespace: "/x".into(),
            id: Some(3),
            args: Args::new(json, attachments),
        }))
    );
    assert!(!decoder.is_pending());
}
