use super::*;

#[test]
fn elements_are_the_texts_between_the_commas() {
    for (array, expected) in [
        ("[]", &[][..]),
        (" [ ] ", &[]),
        ("[1]", &["1"]),
        (r#"["a,]",[1,[2]], {"b":"}"} ,null ]"#, &[r#""a,]""#, "[1,[2]]", r#"{"b":"}"}"#, "null"]),
    ] {
        let value = scan(array, 128).unwrap();
        assert_eq!(elements(value.text).collect::<Vec<_>>(), expected, "{array}");
    }
}
