//! Tables for the scanner: limits, placeholders, corners of JSON, hostile input.

use super::*;

const MEGABYTE: usize = 1 << 20;

#[test]
fn elements_are_the_texts_between_the_commas() {
    for (array, expected) in [
        ("[]", &[][..]),
        (" [ ] ", &[]),
        ("[1]", &["1"]),
        (r#"["a,]",[1,[2]], {"b":"}"} ,null ]"#, &[r#""a,]""#, "[1,[2]]", r#"{"b":"}"}"#, "null"]),
        (r#"["\\","\"]",-1e5]"#, &[r#""\\""#, r#""\"]""#, "-1e5"]),
    ] {
        let value = scan(array, 128).unwrap();
        assert_eq!(elements(value.text).collect::<Vec<_>>(), expected, "{array}");
    }
}

#[test]
fn value_is_without_the_whitespace_around_it() {
    assert_eq!(scan("\t [1, 2]\r\n", 1).unwrap().text, "[1, 2]");
}

#[test]
fn depth_is_limited_to_what_is_asked_for_and_to_128() {
    for (opening, closing) in [("[", "]"), (r#"{"a":"#, "}")] {
        for (depth, depth_max) in [(1, 1), (5, 5), (128, 128), (128, 1000)] {
            let nested = |depth| opening.repeat(depth) + "0" + &closing.repeat(depth);
            assert!(scan(&nested(depth), depth_max).is_ok(), "{depth}");
            let depth_max = depth_max.min(128);
            let beyond = nested(depth + 1);
            assert_eq!(scan(&beyond, depth_max), Err(JsonError::TooDeep { depth_max }));
        }
    }
    let too_deep = Err(JsonError::TooDeep { depth_max: 0 });
    assert_eq!(scan(r#"{"_placeholder":true,"num":0}"#, 0), too_deep);
    assert!(scan("[[],[],[]]", 2).is_ok(), "what is closed does not count");
}

#[test]
fn placeholders_are_exactly_two_members() {
    for (json, numbers) in [
        (r#"{"_placeholder":true,"num":0}"#, 0b1),
        (r#"{"num":127,"_placeholder":true}"#, 1 << 127),
        ("{ \"_placeholder\"\t:\ttrue ,\n\"num\" : 2 }", 0b100),
        (r#"[{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#, 0b11),
        // These are none, and ordinary.
        (r#"{"_placeholder":false,"num":0}"#, 0),
        (r#"{"_placeholder":"true","num":0}"#, 0),
        (r#"{"num":0}"#, 0),
        (r#""{\"_placeholder\":true,\"num\":0}""#, 0),
        (r#"[true,{"_placeholder":[true]}]"#, 0),
    ] {
        assert_eq!(scan(json, 128).unwrap().placeholders, Placeholders(numbers), "{json}");
    }
}

/// CVE-2022-2421: `num` names a method, not an attachment.
#[test]
fn bad_placeholders_are_refused() {
    for json in [
        r#"{"_placeholder":true,"num":"splice"}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.0}"#,
        r#"{"_placeholder":true,"num":1e0}"#,
        r#"{"_placeholder":true,"num":128}"#,
        r#"{"_placeholder":true,"num":1000}"#,
        r#"{"_placeholder":true,"num":18446744073709551616}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":true,"num":0,"more":1}"#,
        r#"{"_placeholder":true,"num":0,"num":0}"#,
        r#"{"more":1,"_placeholder":true,"num":0}"#,
        r#"{"_placeholder":false,"_placeholder":true,"num":0}"#,
        r#"{"\u005fplaceholder":true,"num":0}"#,
        r#"{"num":0,"_pl\u0061ceholder" : true}"#,
        r#"[{"_placeholder":true,"num":3},{"_placeholder":true,"num":3}]"#,
    ] {
        let result = scan(json, 128);
        assert!(matches!(result, Err(JsonError::Placeholder { .. })), "{json}: {result:?}");
    }
}

#[test]
fn placeholders_are_all_below_a_count_if_none_is_missing_and_none_beyond() {
    for (numbers, count, expected) in [
        (0, 0, true),
        (0b1, 1, true),
        (0b111, 3, true),
        (u128::MAX, 128, true),
        (0, 1, false),
        (0b1, 0, false),
        (0b101, 2, false),
        (0b10, 1, false),
        (u128::MAX, 129, false),
    ] {
        assert_eq!(Placeholders(numbers).are_all_below(count), expected, "{numbers:b} {count}");
    }
}

#[test]
fn error_says_where() {
    for (json, at) in [("", 0), ("[1,]", 3), (r#"{"a" 1}"#, 5), ("[tru]", 1), ("[] []", 3)] {
        assert_eq!(scan(json, 128), Err(JsonError::Syntax { at }), "{json}");
    }
}

#[test]
fn what_is_no_json_is_refused_as_serde_json_does() {
    for text in [
        "",
        " ",
        "01",
        "-01",
        "00",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "Infinity",
        "NaN",
        "tru",
        "truee",
        "True",
        "nul",
        "'a'",
        "\"",
        "\"\\\"",
        "\"\\a\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\n\"",
        "\"\0\"",
        "\"\u{1f}\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "[{]}",
        "[[]",
        "{\"a\":[}",
        "1 2",
        "[] []",
        "\u{c}1",
        "\u{a0}1",
        "1\u{b}",
        "\u{feff}1",
        "[1]\0",
        "/**/1",
        "{a:1}",
        "{\"_placeholder\":truex}",
        "{\"num\":01}",
    ] {
        assert!(scan(text, 128).is_err(), "{text:?}");
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_is_odd_json_is_accepted_as_serde_json_does() {
    for text in [
        "0",
        "-0",
        "1e999",
        "1E-9",
        "0.0e+00",
        "123456789012345678901234567890",
        "\"\u{7f}\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\u0000\"",
        "{\"\":1,\"\":2}",
        "[[],{}]",
        "\t1\r\n",
        "\"é😀\"",
        "\"\u{2028}\"",
    ] {
        assert!(scan(text, 128).is_ok(), "{text:?}");
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok(), "{text:?}");
    }
}

/// CVE-2020-36049 and its like: a megabyte that makes a parser work for long.
/// Were one of these quadratic, this test would run for minutes.
#[test]
fn hostile_megabytes_take_linear_time() {
    let spaces = " ".repeat(MEGABYTE);
    for (json, accepted) in [
        ("[".repeat(MEGABYTE), false),
        (r#"{"a":"#.repeat(MEGABYTE / 5), false),
        (r#"{"_placeholder":"#.repeat(MEGABYTE / 16), false),
        (format!("\"{}\"", "\\\\".repeat(MEGABYTE / 2)), true),
        (format!("\"{}\"", "\\\"".repeat(MEGABYTE / 2)), true),
        (format!("\"{}\"", "\\u005f".repeat(MEGABYTE / 6)), true),
        (format!("[{}0]", "0,".repeat(MEGABYTE / 2)), true),
        (format!("[{}0]", "[],".repeat(MEGABYTE / 3)), true),
        (format!("[{}0]", r#"{"num":1},"#.repeat(MEGABYTE / 10)), true),
        (format!("[{}0]", r#"{"_placeholder":false},"#.repeat(MEGABYTE / 23)), true),
        (format!("{{{spaces}\"num\"{spaces}:{spaces}1{spaces}}}"), true),
        (format!(r#"{{"num":{}}}"#, "1".repeat(MEGABYTE)), true),
        (format!("{{{}\"a\":0}}", r#""\u005fplaceholdes":true,"#.repeat(MEGABYTE / 25)), true),
        (format!("[{spaces}"), false),
        ("1".repeat(MEGABYTE), true),
    ] {
        let result = scan(&json, 128);
        assert_eq!(result.is_ok(), accepted, "{} {result:?}", &json[..20]);
        if accepted {
            assert!(elements(&json).count() <= MEGABYTE);
            assert!(pieces(&json).count() <= MEGABYTE);
        }
    }
}
