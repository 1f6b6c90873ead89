//! Usage errors, each tried: one line that says what to do, and exit code 2.

use std::process::{Command, Output};

fn loadgen(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(arguments.split_whitespace())
        .output()
        .expect("loadgen runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

#[test]
fn each_usage_error_is_one_line_that_says_what_to_do() {
    for (arguments, advice) in [
        ("--clients 0", "ask for 1 to"),
        ("--clients ten", "such as 500, 10k or 1m"),
        ("--clients 2m", "ask for 1 to"),
        ("--clients", "see loadgen --help"),
        ("--client 5", "did you mean --clients"),
        ("--rooms 0", "ask for 1 to"),
        ("--clients 5 --rooms 6", "ask for 1 to 5 rooms"),
        ("--rate 0", "more than 0"),
        ("--rate fast", "such as 0.5, 200 or 10k"),
        ("--duration 0", "longer than 0"),
        ("--duration soon", "such as 500ms, 20s or 2m"),
        ("--timeout 0", "longer than 0"),
        ("--ramp 2d", "such as 500ms, 20s or 2m"),
        ("--speakers 0%", "such as 20%"),
        ("--speakers 101", "such as 20%"),
        ("--arrivals random", "loadgen --help"),
        ("--size 1m", "ask for less"),
        ("--seed x", "loadgen --help"),
        ("--path socket.io", "write /socket.io"),
        ("--namespace chat", "write /chat"),
        ("--auth token", "JSON object"),
        ("--auth [1]", "JSON object"),
        ("--threads 0", "ask for 1 to"),
        ("--bogus", "loadgen --help"),
        ("https://localhost", "the http port"),
        ("ftp://localhost", "http://127.0.0.1:3000"),
        ("http://localhost:port", "http://127.0.0.1:3000"),
        ("http://localhost/?token=1", "--auth"),
        ("http://a http://b", "loadgen --help"),
        ("--json /no/such/folder/report.json", "--json"),
    ] {
        let output = loadgen(arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert_eq!(message.lines().count(), 1, "{arguments}: {message}");
        assert!(message.starts_with("loadgen: "), "{arguments}: {message}");
        assert!(message.contains(advice), "{arguments}: {message}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

#[test]
fn nobody_there_is_one_line_and_exit_code_3() {
    // Bound and not listening any more: nobody else gets this port so soon.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let output = loadgen(&format!("{url} --clients 10"));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains(&url) && message.contains("is the server running"), "{message}");
}

#[test]
fn help_fits_two_screens_and_names_the_exit_codes() {
    let output = loadgen("--help");
    let help = String::from_utf8(output.stdout).expect("help is UTF-8");
    assert_eq!(output.status.code(), Some(0));
    assert!(help.lines().count() <= 100, "{} lines", help.lines().count());
    assert!(help.contains("Exit codes") && help.contains("--clients"), "{help}");
    assert!(!help.contains("embedded-server"), "{help}");
}

#[test]
fn more_clients_than_ports_are_refused_before_anything_starts() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let output = loadgen("--clients 1m");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("ulimit -n") || message.contains("ip_local_port_range"), "{message}");
}
