//! What `parlor` can be told, from outside: flags, environment, file.
//!
//! The rules of each kind of value have tests beside the code; here is what
//! people meet: who wins, what is said of mistakes, and that what is printed
//! is what is documented.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The program with nothing in its environment but what a test puts there.
fn parlor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.env_clear().args(arguments);
    command
}

/// A file of this name with this text, in a folder for tests.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for tests can be written to");
    path.to_str().expect("its name is text").to_owned()
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the binary starts")
}

/// What it prints; fails if it complains.
fn printed(command: &mut Command) -> String {
    let output = output(command);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The one line that it complains with; fails if it does anything else.
fn complaint(command: &mut Command) -> String {
    // An address that nobody has: if it serves in spite of the mistake, it ends all the same.
    let output = output(command.env("PARLOR_LISTEN", "192.0.2.1:1"));
    let said = String::from_utf8(output.stderr).expect("it writes text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "it prints nothing: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
    said.strip_prefix("parlor: ").expect("it says who speaks").trim_end().to_owned()
}

/// The line of `key` in what is printed.
fn line(text: &str, key: &str) -> String {
    let begins = format!("{key} = ");
    let line = text.lines().find(|line| line.starts_with(&begins));
    line.unwrap_or_else(|| panic!("{key} is printed: {text}")).to_owned()
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let text =
        "ping_interval = \"1s\"\nnamespace = [\"/file\", \"/old\"]\n[limits]\nattachments_max = 1";
    let path = file("precedence.toml", text);
    let mut command = parlor(&["--print-config"]);
    let mut seen = vec![printed(&mut command)];
    seen.push(printed(command.args(["--config", &path])));
    command.env("PARLOR_PING_INTERVAL", "2s").env("PARLOR_NAMESPACE", "/variable,/other");
    seen.push(printed(command.env("PARLOR_LIMITS_ATTACHMENTS_MAX", "2")));
    command.args(["--ping-interval", "3s", "--namespace", "/flag", "--namespace", "/last"]);
    seen.push(printed(command.args(["--limits-attachments-max", "3"])));
    let lines = |key| seen.iter().map(|text| line(text, key)).collect::<Vec<_>>();
    assert_eq!(
        lines("ping_interval"),
        ["25s", "1s", "2s", "3s"].map(|value| format!("ping_interval = \"{value}\""))
    );
    assert_eq!(
        lines("attachments_max"),
        [10, 1, 2, 3].map(|value| format!("attachments_max = {value}"))
    );
    // A list is replaced, not added to.
    assert_eq!(
        lines("namespace"),
        [r#"[]"#, r#"["/file", "/old"]"#, r#"["/variable", "/other"]"#, r#"["/flag", "/last"]"#]
            .map(|value| format!("namespace = {value}"))
    );
}

#[test]
fn each_level_overwrites_only_what_it_names() {
    let path =
        file("partial.toml", "ping_interval = \"1s\"\nping_timeout = \"1s\"\npath = \"/a/\"");
    let mut command = parlor(&["--print-config", "--config", &path, "--path", "/c/"]);
    let text = printed(command.env("PARLOR_PING_TIMEOUT", "2s"));
    for expected in [
        "ping_interval = \"1s\"",
        "ping_timeout = \"2s\"",
        "path = \"/c/\"",
        "connect_timeout = \"45s\"",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}: {text}");
    }
}

#[test]
fn a_variable_names_the_file_unless_a_flag_does() {
    let by_variable = file("by_variable.toml", "shards = 2");
    let by_flag = file("by_flag.toml", "shards = 3");
    let mut command = parlor(&["--print-config"]);
    command.env("PARLOR_CONFIG", &by_variable);
    assert_eq!(line(&printed(&mut command), "shards"), "shards = 2");
    assert_eq!(line(&printed(command.args(["--config", &by_flag])), "shards"), "shards = 3");
    let missing = parlor(&["--check-config"]).env("PARLOR_CONFIG", "missing.toml").output();
    assert_eq!(missing.expect("the binary starts").status.code(), Some(2));
}

#[test]
fn what_is_printed_reads_as_what_it_says() {
    let default = printed(&mut parlor(&["--print-config"]));
    let flags = "--listen [::1]:0 --path /a\"b\\c --namespace /ü'\",/b --shards 7 --share-address true --ping-interval 1500ms \
        --ping-timeout 24h --drain-window 0s --connect-timeout 1ms --close-timeout 90s --max-payload-bytes 1001 \
        --page-enabled false --page-client-script /a/b.js --http-allow-eio3 true --http-compression false --http-keep-alive-timeout 3s \
        --http-upgrade-timeout 4s --websocket-compression true \
        --websocket-compression-threshold-bytes 0 --cors-origin https://a.example,* --cors-credentials true \
        --recovery-enabled true --recovery-window 7s --recovery-packets-max 7 \
        --recovery-bytes-max 7 --recovery-sessions-max 7 --recovery-own-packets-max 7 \
        --recovery-missed-packets-max 7 --recovery-missed-bytes-max 7 \
        --limits-outbound-bytes-max 1GiB --limits-outbound-packets-max 4 --limits-policy drop_newest \
        --limits-events-waiting-max 1 --limits-attachments-max 0 \
        --limits-rooms-per-socket-max 1000000 --limits-namespaces-per-connection-max 2 \
        --limits-acks-in-flight-max 3 --limits-connections-max 0 --limits-connections-per-address-max 1 \
        --limits-events-per-second 2 --limits-bytes-per-second 3kB --limits-address-connections-per-second 4 \
        --limits-address-events-per-second 5 --limits-address-bytes-per-second 6MiB \
        --limits-rate-burst 7s --limits-rate-policy disconnect --metrics-address 127.0.0.1:0 \
        --tls-certificate certificate.pem --tls-key none.pem \
        --admin-username root --admin-password-hash $2a$04$s6wa2z9Bs1dt.mllNxnq7ev5Ia5nZ0qfMWCs/tl2DVJnPSc5YXYde \
        --admin-mode development --admin-read-only true --log-filter a[b{c=\"d\"}]=debug,off --log-format json";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let other = printed(parlor(&["--print-config"]).args(flags));
    let is_setting = |line: &&str| line.contains(" = ") && !line.starts_with('#');
    let changed = default.lines().zip(other.lines()).filter(|(before, after)| before != after);
    assert_eq!(
        changed.count(),
        default.lines().filter(is_setting).count(),
        "every setting is another one, and only they: {other}"
    );
    for (name, text) in [("default.toml", default), ("other.toml", other)] {
        let path = file(name, &text);
        assert_eq!(printed(&mut parlor(&["--config", &path, "--print-config"])), text);
    }
}

#[test]
fn a_mistake_is_one_line_that_says_where_and_what_to_do() {
    let path = file(
        "mistake.toml",
        "# A comment.\nshards = 2\n[limits]\noutbound_bytes_max = \"4 megabytes\"",
    );
    let expected = "bytes, from 1 to 1GiB, such as \"1MB\", \"4MiB\" or 1000";
    let quote = format!("{path}:4: limits.outbound_bytes_max = \"4 megabytes\"");
    assert_eq!(complaint(&mut parlor(&["--config", &path])), format!("{quote}: write {expected}"));
    // Also when it would not matter.
    let overruled = ["--config", &path, "--limits-outbound-bytes-max", "4MB"];
    assert_eq!(complaint(&mut parlor(&overruled)), format!("{quote}: write {expected}"));

    let path = file("unknown.toml", "\n\nping_intervall = \"1s\"");
    assert_eq!(
        complaint(&mut parlor(&["--config", &path])),
        format!("{path}:3: unknown key ping_intervall; did you mean ping_interval?")
    );
    let path = file("syntax.toml", "listen = \"127.0.0.1:0\"\nlisten = \"127.0.0.1:1\"");
    assert_eq!(complaint(&mut parlor(&["--config", &path])), format!("{path}:2: duplicate key"));

    let complaint_of_variable = complaint(parlor(&[]).env("PARLOR_SHARDS", "0"));
    assert_eq!(
        complaint_of_variable,
        "PARLOR_SHARDS=0: write \"auto\" or a whole number from 1 to 255"
    );
    for (flags, expected) in [
        (
            "--ping-interval 25",
            "--ping-interval 25: write a time in ms, s, m or h, from 1ms to 24h",
        ),
        ("--namespace chat", "--namespace chat: write a list of at most 1024, each a name"),
        ("--shards -1", "--shards -1: write \"auto\" or a whole number"),
        ("--listn x", "unexpected argument '--listn' found; did you mean --listen?"),
        (
            "--ping-interval-ms 25",
            "unexpected argument '--ping-interval-ms' found; did you mean --ping-interval?",
        ),
        ("--listen", "a value is required for '--listen <ADDRESS>'"),
        ("--path /a --path /b", "the argument '--path <PATH>' cannot be used multiple times"),
        ("--check-config --print-config", "the argument '--check-config' cannot be used with"),
        ("--config missing.toml", "can not read the configuration file missing.toml: No such file"),
    ] {
        let said = complaint(parlor(&[]).args(flags.split(' ')));
        assert!(said.starts_with(expected), "{flags}: {said}");
    }
}

#[test]
fn a_check_says_in_one_line_whether_the_settings_are_valid() {
    let path = file("checked.toml", "shards = \"auto\"");
    let mut command = parlor(&["--check-config", "--config", &path]);
    assert_eq!(printed(&mut command), "the configuration is valid\n");
    command.env("PARLOR_SHARDS", "2").env("PARLOR_PORT", "tcp://10.0.0.1:80");
    let expected = "the configuration is valid; not settings: PARLOR_PORT\n";
    assert_eq!(printed(&mut command), expected);
    let complaint = complaint(command.env("PARLOR_SHARDS", "many"));
    assert!(complaint.starts_with("PARLOR_SHARDS=many: write"), "{complaint}");
}

/// A certificate and its key, in files whose names begin so.
fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it is made");
    let certificate = file(&format!("{name}.certificate.pem"), &made.cert.pem());
    (certificate, file(&format!("{name}.key.pem"), &made.signing_key.serialize_pem()))
}

#[test]
fn a_check_finds_files_that_are_of_no_use_for_tls() {
    let (certificate, key) = certificate("useful");
    let (_, foreign) = self::certificate("foreign");
    let empty = file("empty.pem", "");
    let damaged = file("damaged.pem", "-----BEGIN CERTIFICATE-----\nMII\n");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbage = file("garbage.pem", garbage);
    let both = |certificate: &str, key: &str| {
        ["--tls-certificate", certificate, "--tls-key", key].map(str::to_owned).to_vec()
    };
    for (flags, expected) in [
        (both("missing.pem", &key), "tls: can not read missing.pem: No such file".to_owned()),
        (both(&certificate, "missing.pem"), "tls: can not read missing.pem: No such".to_owned()),
        (both(&empty, &key), format!("tls: there is no certificate in {empty}; it should begin")),
        (both(&key, &key), format!("tls: there is no certificate in {key}; it should begin")),
        (both(&certificate, &empty), format!("tls: there is no private key in {empty}; it should")),
        (both(&certificate, &foreign), format!("tls: the key in {foreign} does not fit the cert")),
        (both(&damaged, &key), format!("tls: {damaged} is damaged: ")),
        (both(&garbage, &key), format!("tls: can not use the certificate in {garbage} with")),
        (both(&certificate, "none"), "tls.key is missing; TLS needs both".to_owned()),
        (both("none", &key), "tls.certificate is missing; TLS needs both".to_owned()),
    ] {
        for ask in [&["--check-config"][..], &[]] {
            let said = complaint(parlor(ask).args(&flags));
            assert!(said.starts_with(&expected), "{flags:?}: {said}");
        }
    }
    let good = both(&certificate, &key);
    let checked = printed(parlor(&["--check-config"]).args(good));
    assert_eq!(checked, "the configuration is valid\n");
}

#[test]
fn help_and_version_are_no_mistakes() {
    assert_eq!(
        printed(&mut parlor(&["--version"])),
        concat!("parlor ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let help = printed(&mut parlor(&["--help"]));
    for part in ["--ping-interval <TIME>", "[default: 25s]", "--limits-attachments-max <N>"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn a_variable_that_is_no_setting_is_reported_in_the_log_as_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    // It starts, and ends because somebody else listens there.
    let mut command = parlor(&["--listen", &address, "--log-format", "json"]);
    let ended = output(command.env("PARLOR_PORT", "tcp://10.0.0.1:80"));
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8(ended.stderr).expect("it writes text");
    let first = log.lines().next().expect("it warns");
    let entry: Value = serde_json::from_str(first).expect("a line of the log is JSON");
    assert_eq!(entry["level"], "WARN");
    assert!(first.contains("PARLOR_PORT"), "{first}");
    let quiet = output(command.args(["--log-filter", "off"]));
    let said = String::from_utf8(quiet.stderr).expect("it writes text");
    assert!(said.starts_with("parlor: can not listen on"), "{said}");
}

/// The table of settings in the README, made from what the program prints.
fn documented(printed: &str) -> String {
    let mut table = "| setting | default | |\n|---|---|---|\n".to_owned();
    let (mut group, mut comments) = (String::new(), Vec::new());
    for line in printed.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            comments.push(comment);
        } else if let Some(name) = line.strip_prefix('[') {
            group = name.replace(']', ".");
        } else if let Some((key, value)) = line.split_once(" = ") {
            table.push_str(&format!("| `{group}{key}` | `{value}` | {} |\n", comments[0]));
        }
        if !line.starts_with('#') {
            comments.clear();
        }
    }
    table
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let table = documented(&printed(&mut parlor(&["--print-config"])));
    assert!(table.lines().count() > 10, "{table}");
    let readme = include_str!("../README.md");
    assert!(readme.contains(&table), "the README should have this table:\n\n{table}");
    for comment in ["ping_interval", "`limits.attachments_max`"] {
        assert!(table.contains(comment), "{table}");
    }
}
