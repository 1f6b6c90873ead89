//! Property tests of the scanner; `serde_json` is the second opinion.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::mutation::{cases_min, mutate_text, mutations};

proptest! {
    #![proptest_config(cases_min(4096))]

    #[test]
    fn scanner_agrees_with_serde_json(json in json(), damage in mutations()) {
        agrees_with_serde_json(&mutate_text(&json, &damage))?;
    }

    /// Every short word over what JSON is made of comes up sooner or later.
    #[test]
    fn scanner_agrees_with_serde_json_on_tokens(tokens in vec(token(), 0..12)) {
        agrees_with_serde_json(&tokens.concat())?;
    }

    #[test]
    fn scanner_agrees_with_serde_json_on_any_text(text in "\\PC{0,20}", in_string: bool) {
        agrees_with_serde_json(&if in_string { format!("\"{text}\"") } else { text })?;
    }

    #[test]
    fn plain_text_ends_at_the_first_special_byte(bytes in vec(byte(), 0..40)) {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let expected = bytes.iter().position(special).unwrap_or(bytes.len());
        prop_assert_eq!(plain_len(&bytes), expected);
    }

    /// Whatever is cut at placeholders is the same text again, and as many
    /// placeholders are found as were scanned.
    #[test]
    fn pieces_are_the_whole(json in json(), damage in mutations()) {
        let json = mutate_text(&json, &damage);
        let Ok(value) = scan(&json, DEPTH_MAX) else { return Ok(()) };
        let mut numbers = 0_u128;
        for piece in pieces(value.text) {
            match piece {
                Piece::Placeholder(number) => numbers |= 1 << number,
                Piece::Text(text) => prop_assert!(!text.is_empty()),
            }
        }
        prop_assert_eq!(Placeholders(numbers), value.placeholders);
        if numbers == 0 {
            prop_assert!(pieces(value.text).eq([Piece::Text(value.text)]));
        }
    }

    /// What looks only at scanned JSON still does no harm on anything else.
    #[test]
    fn helpers_never_panic(tokens in vec(token(), 0..12)) {
        let text = tokens.concat();
        elements(&text).for_each(drop);
        pieces(&text).for_each(drop);
        unescape(&text);
    }
}

fn agrees_with_serde_json(text: &str) -> Result<(), TestCaseError> {
    let oracle = serde_json::from_str::<&RawValue>(text);
    match scan(text, DEPTH_MAX) {
        Ok(value) => {
            let oracle = oracle.map(RawValue::get);
            prop_assert_eq!(oracle.ok(), Some(value.text), "accepted: {:?}", text);
            if let Ok(expected) = serde_json::from_str::<Vec<&RawValue>>(text) {
                let expected: Vec<_> = expected.into_iter().map(RawValue::get).collect();
                prop_assert_eq!(elements(value.text).collect::<Vec<_>>(), expected);
            }
        }
        // These two refuse what is JSON, or refuse JSON before it goes wrong.
        Err(JsonError::Placeholder { .. } | JsonError::TooDeep { .. }) => {}
        Err(JsonError::Syntax { at }) => {
            prop_assert!(oracle.is_err(), "refused at {}: {:?}", at, text);
        }
    }
    Ok(())
}

/// The texts of well-formed values, with whitespace wherever it may be.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][-+]?[0-9]{1,4})?",
        string(),
        (0..4).prop_map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)),
    ];
    let spaced = ("[ \t\r\n]{0,2}", text, "[ \t\r\n]{0,2}").prop_map(|(a, b, c)| a + &b + &c);
    spaced.prop_recursive(6, 40, 5, |value| {
        let member = (string(), "[ \n]{0,1}", value.clone())
            .prop_map(|(name, space, value)| format!("{space}{name}{space}:{value}"));
        prop_oneof![
            vec(value, 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{0,10}",
        "[ -!#-\\[\\]-~é€😀]{0,4}",
        r#"\\["\\/bfnrt]"#,
        r"\\u[0-9a-fA-F]{4}",
        r"\\ud[89ab][0-9a-f]{2}",
    ];
    let keys = prop_oneof![Just("_placeholder".to_owned()), Just("num".to_owned())];
    let text = prop_oneof![8 => vec(piece, 0..4).prop_map(|pieces| pieces.concat()), 1 => keys];
    text.prop_map(|text| format!("\"{text}\""))
}

fn token() -> impl Strategy<Value = String> {
    let tokens = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "\\ud800",
        "a",
        "1",
        "0",
        "-",
        "+",
        ".",
        "e",
        "E",
        " ",
        "\n",
        "\t",
        "\u{c}",
        "\0",
        "\u{7f}",
        "é",
        "true",
        "false",
        "null",
        "\"\"",
        "\"_placeholder\":true",
        "\"num\":0",
        "{\"a\":",
        "NaN",
    ];
    proptest::sample::select(tokens.map(str::to_owned).to_vec())
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![8 => any::<u8>(), 1 => proptest::sample::select(b"\"\\\x1f\x20\x21\x23\x5b\x5d")]
}
