//! Every kind at its bounds and one past them, in each of its forms.

use super::*;

fn word(text: &str) -> Written {
    Written::Word(text.to_owned())
}

fn typed(value: impl Into<Value>) -> Written {
    Written::Typed(value.into())
}

/// `kind` takes each of `good`, which all show as `shown`, and none of `bad`.
fn takes<T>(kind: &Kind<T>, good: &[Written], shown: impl Into<Value>, bad: &[Written]) {
    let shown = shown.into();
    for written in good {
        let value = (kind.read)(written).unwrap_or_else(|| panic!("{written:?} is taken"));
        assert_eq!((kind.show)(&value), shown, "{written:?}");
    }
    let again = (kind.read)(&Written::Typed(shown.clone())).expect("what is shown can be read");
    assert_eq!((kind.show)(&again), shown, "what is shown reads the same");
    for written in bad {
        assert!((kind.read)(written).is_none(), "{written:?} is refused");
    }
}

#[test]
fn counts_are_numbers_within_their_bounds() {
    let kind = count::<u32>(1..=128);
    takes(&kind, &[word("1"), typed(1)], 1, &[word("0"), typed(0), typed(-1)]);
    let bad = [word("129"), typed(129), typed("128"), typed(1.0), typed(true), word("many")];
    takes(&kind, &[word("128"), typed(128)], 128, &bad);
    // In bounds, but not of the type.
    takes(&count::<u8>(0..=1000), &[word("255")], 255, &[word("256")]);
}

#[test]
fn bytes_take_a_unit_or_a_plain_number() {
    let kind = bytes(1000..=2_000_000);
    let good = [word("1000"), word("1kB"), typed(1000), typed("1000"), typed("1 kB")];
    takes(&kind, &good, "1kB", &[word("999"), typed(999), typed(-1), typed("0")]);
    let bad = [word("2000001"), word("2MiB"), typed("2M"), typed(2e6), word("")];
    takes(&kind, &[typed("2MB"), typed(2_000_000)], "2MB", &bad);
    takes(&kind, &[typed(1001)], 1001, &[]);
}

#[test]
fn times_take_a_unit_within_their_bounds() {
    let kind = time(Duration::from_millis(10)..=Duration::from_secs(60));
    takes(&kind, &[word("10ms"), typed("10ms")], "10ms", &[word("9ms"), typed("0s")]);
    let bad = [word("60001ms"), typed(25), word("25"), typed("25"), typed(25.0), word("soon")];
    takes(&kind, &[word("60s"), typed("1m"), typed("60000ms")], "1m", &bad);
}

#[test]
fn addresses_have_a_port_and_no_name() {
    let bad = ["localhost:3000", "127.0.0.1", "3000", ":3000", "127.0.0.1:65536", "::1:80"];
    let mut bad = bad.map(word).to_vec();
    bad.push(typed(3000));
    takes(&address(), &[word("127.0.0.1:0"), typed("127.0.0.1:0")], "127.0.0.1:0", &bad);
    takes(&address(), &[word("[::]:3000")], "[::]:3000", &[]);
}

#[test]
fn a_path_gets_the_slash_at_its_end() {
    let longest = format!("/{}", "a".repeat(NAME_BYTES_MAX - 1));
    let too_long = format!("{longest}a");
    let bad = ["", "live", "live/", "/li ve", "/live?x=1", "/live#x", "/lïve", &too_long].map(word);
    takes(&url_path(), &[word("/live"), word("/live/"), typed("/live")], "/live/", &bad);
    takes(&url_path(), &[word("/")], "/", &[typed(1)]);
    assert!((url_path().read)(&word(&longest)).is_some());
}

#[test]
fn a_namespace_begins_with_a_slash() {
    let longest = format!("/{}", "a".repeat(NAME_BYTES_MAX - 1));
    let too_long = format!("{longest}a");
    let bad = ["", "team", "/a,b", "/a?b", "/a\nb", &too_long].map(word);
    takes(&namespace(), &[word("/team \"ö\""), typed("/team \"ö\"")], "/team \"ö\"", &bad);
    takes(&namespace(), &[word(&longest)], longest.as_str(), &[typed(1)]);
}

#[test]
fn a_list_is_an_array_or_words_between_commas_or_one_item() {
    let list = || list(count::<u32>(1..=9));
    let items = |items: &[i64]| Value::Array(items.iter().copied().map(Value::Integer).collect());
    takes(&list(), &[word(""), word(","), typed(items(&[]))], items(&[]), &[]);
    takes(&list(), &[word("3"), typed(3), typed(items(&[3]))], items(&[3]), &[typed("3")]);
    let good = [word("3,1"), word(" 3 , 1,"), typed(items(&[3, 1]))];
    let bad = [word("3,0"), word("3 1"), typed(items(&[3, 10])), typed(vec!["3"])];
    takes(&list(), &good, items(&[3, 1]), &bad);
    let most = items(&[1; LIST_ITEMS_MAX]);
    takes(&list(), &[typed(most.clone())], most, &[typed(items(&[1; LIST_ITEMS_MAX + 1]))]);
    assert!(list().several);
}

#[test]
fn a_word_stands_for_none() {
    let kind = or_word("auto", count::<usize>(1..=4));
    takes(&kind, &[word("auto"), typed("auto")], "auto", &[word("Auto"), word("5"), typed("4")]);
    takes(&kind, &[word("4"), typed(4)], 4, &[]);
    assert!(or_word("none", list(address())).several, "a flag that may be repeated still may");
}

#[test]
fn a_choice_takes_its_words_only() {
    let kind = choice(&[("on", true), ("off", false)]);
    takes(&kind, &[word("off"), typed("off")], "off", &[word("no"), typed(false), word("")]);
    takes(&kind, &[word("on")], "on", &[]);
    assert_eq!(kind.expected, "\"on\" or \"off\"");
}

#[test]
fn a_misspelt_level_is_no_filter() {
    for good in ["info", "OFF", "warn,parlor=debug", "parlor::hub=trace", "[say{room=\"a\"}]=debug"]
    {
        takes(&log_filter(), &[word(good), typed(good)], good, &[]);
    }
    let bad = ["", "inof", "parlor", "info,", "info,parlor", "parlor=loud"].map(word);
    takes(&log_filter(), &[word(" info ")], "info", &bad);
    assert!((log_filter().read)(&typed(3)).is_none());
}
