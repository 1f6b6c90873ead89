//! What a file may look like, and what is said of one that may not.

use super::*;
use crate::settings::table::table;

/// Key and value of everything in `text`.
fn found(text: &str) -> Vec<(String, Written)> {
    let table = table();
    let found = parse(&table, "a.toml", text).unwrap_or_else(|error| panic!("{text}: {error}"));
    found.into_iter().map(|one| (one.setting.key.clone(), one.written)).collect()
}

#[test]
fn groups_are_tables_however_they_are_written() {
    let attachments = [("limits.attachments_max".to_owned(), Written::Typed(Value::Integer(3)))];
    for text in [
        "[limits]\nattachments_max = 3",
        "limits.attachments_max = 3",
        "limits = { attachments_max = 3 }",
        "[limits]\r\n# none\r\nattachments_max = 0x3\r\n",
        "[log]\n[limits]\nattachments_max = 3",
    ] {
        assert_eq!(found(text), attachments, "{text}");
    }
    for empty in ["", "# nothing\n", "[limits]", "limits = {}"] {
        assert_eq!(found(empty), [], "{empty}");
    }
}

#[test]
fn what_is_no_setting_is_named_with_its_line_and_the_way_out() {
    let table = table();
    for (text, complaint) in [
        ("\nlisten_on = 1", "a.toml:2: unknown key listen_on; did you mean listen?"),
        ("ping-timeout = 1", "a.toml:1: unknown key ping-timeout; did you mean ping_timeout?"),
        ("xyz = 1", "a.toml:1: unknown key xyz; parlor --print-config shows all"),
        ("[limits]\n\nshards = 1", "a.toml:3: unknown key limits.shards; did you mean shards?"),
        ("[limits.deep]", "a.toml:1: unknown key limits.deep;"),
        ("[limit]", "a.toml:1: unknown key limit;"),
        ("\"\" = 1", "a.toml:1: unknown key ;"),
        ("\"a\\nb\" = 1", "a.toml:1: unknown key a b;"),
        (
            "log = 1",
            "a.toml:1: log is a group of settings; write [log] and below it filter = \"info\"",
        ),
        ("[[log]]", "a.toml:1: log is a group of settings;"),
        ("shards = 2\nshards = 3", "a.toml:2: duplicate key"),
        ("shards = ", "a.toml:1: "),
        ("\n\n[log", "a.toml:3: unclosed table"),
        ("shards = 99999999999999999999", "a.toml:1: "),
    ] {
        let error = match parse(&table, "a.toml", text) {
            Ok(_) => panic!("{text} is refused"),
            Err(error) => error.to_string(),
        };
        assert!(error.starts_with(complaint), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_quoted_as_it_is_written() {
    let table = table();
    for (text, complaint) in [
        ("\nshards = 2.50 # why not", "a.toml:2: shards = 2.50: write \"auto\" or a whole number"),
        ("shards = { number = 2 }", "a.toml:1: shards = { number = 2 }: write \"auto\" or"),
        ("listen = 3000", "a.toml:1: listen = 3000: write a numeric address with a port"),
        ("[log]\nformat = 'xml'", "a.toml:2: log.format = 'xml': write \"text\" or \"json\""),
        ("namespace = [\n'a' ]", "a.toml:1: namespace = [ 'a' ]: write a list of at most"),
    ] {
        let found = parse(&table, "a.toml", text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = found[0].apply(&mut Options::default()).expect_err("the value is refused");
        assert!(error.to_string().starts_with(complaint), "{text}: {error}");
    }
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let Err(error) = read(&table(), Path::new("/dev/zero")) else { panic!("it has no end") };
    let complaint = "can not read the configuration file /dev/zero: it has more than 1048576 bytes";
    assert_eq!(error.to_string(), complaint);
}
