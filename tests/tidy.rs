//! Rules about the source text that no compiler lint checks.
//!
//! Every rule is a function from one file to what is wrong with it. Its test
//! applies it to the whole repository, and shows first that it can fail.

#[path = "support/source.rs"]
mod source;

use source::{Source, files, functions, paths, production_files, rust_files};

/// The pure half: bytes, events and `now` in; bytes and actions out.
const PURE: [&str; 25] = [
    "loadgen/src/schedule.rs",
    "sim/src/legal.rs",
    "sim/src/legal/",
    "sim/src/plan.rs",
    "sim/src/plan/",
    "sim/src/shrink.rs",
    "src/check/",
    "src/client/backoff.rs",
    "src/client/http.rs",
    "src/client/incoming.rs",
    "src/client/namespace.rs",
    "src/client/options.rs",
    "src/client/outgoing.rs",
    "src/client/polling.rs",
    "src/client/polling/",
    "src/client/random.rs",
    "src/client/reason.rs",
    "src/client/session.rs",
    "src/client/transports.rs",
    "src/engineio/",
    "src/hub/",
    "src/room/",
    "src/server/backlog.rs",
    "src/socketio/",
    "src/websocket/",
];

/// Paths that begin like this reach outside.
const IMPURE: [&str; 10] = [
    "getrandom",
    "rand",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::sync",
    "std::thread",
    "tokio",
    "tracing_subscriber",
];

/// Names that may not occur anywhere in a path of pure code, with the exceptions of `std::sync`.
const IMPURE_NAMES: [&str; 6] = ["Condvar", "Mutex", "OsRng", "RwLock", "SystemTime", "now"];

const SHARED_VALUES: [&str; 1] = ["std::sync::Arc"];

fn impure(file: &Source) -> Vec<String> {
    if !PURE.iter().any(|pure| file.path.starts_with(pure)) {
        return Vec::new();
    }
    let reaches_out = |path: &String| {
        let begins = |prefix: &&str| {
            path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        // A variable may be called `now`; a function of a clock may not be called.
        let names = path.split("::").skip(1).any(|part| IMPURE_NAMES.contains(&part));
        !SHARED_VALUES.iter().any(&begins) && (names || IMPURE.iter().any(&begins))
    };
    paths(&file.production)
        .into_iter()
        .filter(reaches_out)
        .map(|path| format!("{path} is not for pure code"))
        .collect()
}

#[test]
fn pure_modules_name_nothing_impure() {
    for bad in [
        "use tokio::time::sleep;",
        "use std::{collections::BTreeMap, net::SocketAddr};",
        "fn f() { std::thread::yield_now(); }",
        "fn f() -> Instant { Instant::now() }",
        "use std::sync::Mutex;",
        "use std::sync::{Arc, RwLock};",
        "use rand::Rng;",
        "fn f() { getrandom::fill(&mut []); }",
        "#[cfg(test)]\nmod tests {}\nuse tokio::io;",
    ] {
        assert_ne!(impure(&Source::new("src/room/mod.rs", bad)), Vec::<String>::new(), "{bad}");
    }
    for good in [
        "// tokio::time is for drivers\nfn f(now: Instant) { g(now); \"std::net\"; }",
        "use std::sync::Arc;\nuse rand_chacha::ChaCha8Rng;",
        "#[cfg(test)]\nmod tests { fn f() { std::thread::yield_now(); } }",
    ] {
        assert_eq!(impure(&Source::new("src/room/mod.rs", good)), Vec::<String>::new(), "{good}");
    }
    assert_eq!(impure(&Source::new("src/server/mod.rs", "use tokio::io;")), Vec::<String>::new());
    holds(impure, production_files());
}

/// Modules of `src`, in the order in which each may use those before it.
const MODULES: [&str; 23] = [
    "room",
    "engineio",
    "socketio",
    "websocket",
    "hub",
    "metrics",
    "check",
    "net",
    "tls",
    "shard",
    "app",
    "server",
    "client",
    "chat",
    "admin",
    "guide",
    "settings",
    "signals",
    "operator",
    "page",
    "front",
    "program",
    "main",
];

fn out_of_order(file: &Source) -> Vec<String> {
    let Some(inside) = file.path.strip_prefix("src/").filter(|inside| *inside != "lib.rs") else {
        return Vec::new();
    };
    let parts: Vec<&str> =
        inside.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let Some(own) = MODULES.iter().position(|module| module == &parts[0]) else {
        return vec![format!("module {} has no place in the order", parts[0])];
    };
    let mut wrong = Vec::new();
    for path in paths(&file.production) {
        let Some(used) = module_of_src(&path, parts.len()) else { continue };
        match MODULES.iter().position(|module| *module == used) {
            Some(at) if at <= own => {}
            Some(_) => wrong.push(format!("{path}: {used} comes after {}", parts[0])),
            None => wrong.push(format!("{path}: name the module it lies in")),
        }
    }
    wrong
}

/// The module of `src` that a path leads to, from a file `depth` modules deep.
fn module_of_src(path: &str, depth: usize) -> Option<&str> {
    if let Some(inside) = path.strip_prefix("crate::") {
        return inside.split("::").next();
    }
    let inside = path.trim_start_matches("super::");
    let ups = (path.len() - inside.len()) / "super::".len();
    if ups >= depth { inside.split("::").next() } else { None }
}

#[test]
fn modules_use_only_modules_before_them() {
    for (path, bad) in [
        ("src/room/mod.rs", "use crate::hub::Hub;"),
        ("src/room/ids.rs", "use super::super::hub::Hub;"),
        ("src/room.rs", "use super::hub::Hub;"),
        ("src/hub/mod.rs", "use crate::{room::Rooms, server::serve};"),
        ("src/hub/deep/er.rs", "fn f() { crate::chat::app(); }"),
        ("src/client/mod.rs", "use crate::Socket;"),
        ("src/helpers.rs", ""),
    ] {
        assert_ne!(out_of_order(&Source::new(path, bad)), Vec::<String>::new(), "{path}: {bad}");
    }
    for (path, good) in [
        ("src/hub/mod.rs", "use crate::{room::Rooms, hub::packet::Packet};"),
        ("src/hub/packet.rs", "use super::Hub;\n// crate::chat uses this"),
        ("src/main.rs", "use parlor::chat;"),
        ("src/lib.rs", "pub use crate::app::Io;"),
        ("loadgen/src/fleet.rs", "use crate::report::Report;"),
    ] {
        assert_eq!(out_of_order(&Source::new(path, good)), Vec::<String>::new(), "{path}: {good}");
    }
    holds(out_of_order, production_files());
}

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

fn too_long(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count();
    let file_over =
        (lines > FILE_LINES_MAX).then(|| format!("{lines} lines, at most {FILE_LINES_MAX}"));
    let functions_over =
        functions(&file.code).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX);
    let functions_over = functions_over.map(|(name, line, lines)| {
        format!("fn {name} on line {line} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    });
    file_over.into_iter().chain(functions_over).collect()
}

#[test]
fn files_and_functions_fit_on_a_few_screens() {
    let function =
        |lines: usize| format!("fn f(x: [u8; 4]) {{\n{}}}\n", "g();\n".repeat(lines - 2));
    for (good, bad) in [
        ("//\n".repeat(FILE_LINES_MAX), "//\n".repeat(FILE_LINES_MAX + 1)),
        (function(FUNCTION_LINES_MAX), function(FUNCTION_LINES_MAX + 1)),
        (
            format!("trait T {{\nfn a();\n}}\n{}{}", function(70), function(70)),
            format!("trait T {{\nfn a();\n{}}}", function(71)),
        ),
    ] {
        assert_eq!(too_long(&Source::new("src/a.rs", &good)), Vec::<String>::new());
        assert_eq!(too_long(&Source::new("src/a.rs", &bad)).len(), 1);
    }
    let mut sources = files();
    sources.retain(|file| file.path.ends_with(".rs") || file.path.ends_with(".mjs"));
    holds(too_long, sources);
}

/// What may not be named anywhere, and what to do instead. Compared with the ends of paths.
const BANNED: [(&str, &str); 8] = [
    ("HashMap", "its order differs between runs: use BTreeMap"),
    ("HashSet", "its order differs between runs: use BTreeSet"),
    ("hash_map", "its order differs between runs: use BTreeMap"),
    ("hash_set", "its order differs between runs: use BTreeSet"),
    ("task::spawn", "use spawn_local: the task stays with its shard"),
    ("tokio::spawn", "use spawn_local: the task stays with its shard"),
    ("unbounded", "every channel has a bound"),
    ("unbounded_channel", "every channel has a bound"),
];

/// The exchange between shards: a send there must not wait, or two full shards
/// could wait for each other. A budget bounds what is in it.
const EXCHANGE: &str = "src/shard/exchange.rs";

fn banned(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in paths(&file.code) {
        for (name, reason) in BANNED {
            if file.path == EXCHANGE && name.starts_with("unbounded") {
                continue;
            }
            if path == name
                || path.ends_with(&format!("::{name}"))
                || path.contains(&format!("{name}::"))
            {
                wrong.push(format!("{path}: {reason}"));
            }
        }
    }
    // The standard library's plain channel has no bound either.
    if file.code.contains("mpsc::channel()")
        || file.code.contains("mpsc::channel::<") && !file.code.contains("tokio")
    {
        wrong.push("mpsc::channel: every channel has a bound: use sync_channel".to_owned());
    }
    wrong
}

#[test]
fn no_hash_order_no_unbounded_channel_no_loose_task() {
    for bad in [
        "use std::collections::{BTreeMap, HashMap};",
        "fn f() { std::collections::HashSet::<u8>::new(); }",
        "use std::collections::hash_map::Entry;",
        "fn f() { tokio::spawn(g()); }",
        "use tokio::task::spawn;",
        "fn f() { mpsc::unbounded_channel::<u8>(); }",
        "fn f() { std::sync::mpsc::channel(); }",
    ] {
        assert_ne!(banned(&Source::new("src/a.rs", bad)), Vec::<String>::new(), "{bad}");
    }
    for good in [
        "use tokio::task::spawn_local; // no HashMap",
        "fn f() { mpsc::channel(8); thread::spawn(g); }",
    ] {
        assert_eq!(banned(&Source::new("src/a.rs", good)), Vec::<String>::new(), "{good}");
    }
    holds(banned, rust_files());
}

fn unordered_select(file: &Source) -> Vec<String> {
    let branches = file.code.split("select!").skip(1);
    let unordered = branches.filter(|rest| {
        let inside = rest.trim_start().trim_start_matches(['{', '(']).trim_start();
        !inside.starts_with("biased;")
    });
    unordered.map(|_| "select! without biased;".to_owned()).collect()
}

#[test]
fn every_select_is_biased() {
    let bad =
        "tokio::select! { biased; x = a => {} }\ntokio::select! {\n x = a => {} // biased;\n}";
    assert_eq!(unordered_select(&Source::new("src/a.rs", bad)).len(), 1);
    let good = "//! select! is documented here\nfn f() { select! {\n // Why this order.\n biased;\n x = a => {} } }";
    assert_eq!(unordered_select(&Source::new("src/a.rs", good)), Vec::<String>::new());
    holds(unordered_select, rust_files());
}

fn silenced_lint(file: &Source) -> Vec<String> {
    let attributes = file.code.split('#').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('!').unwrap_or(rest).strip_prefix('[')?;
        rest.split_once(']').map(|(attribute, _)| attribute)
    });
    let silenced = attributes.filter(|attribute| {
        let ends_in_name =
            |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        attribute.match_indices("allow").any(|(at, _)| {
            !ends_in_name(&attribute[..at])
                && attribute[at + "allow".len()..].trim_start().starts_with('(')
        })
    });
    silenced.map(|attribute| format!("#[{attribute}]: use expect, with a reason")).collect()
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for bad in [
        "#[allow(dead_code)]\nfn f() {}",
        "#![allow(clippy::all)]",
        "#[cfg_attr(test, allow(unused))]",
    ] {
        assert_eq!(silenced_lint(&Source::new("src/a.rs", bad)).len(), 1, "{bad}");
    }
    for good in [
        "// #[allow(dead_code)]",
        "#[expect(dead_code, reason = \"allow(\")]",
        "fn f() { x.allow(1); }",
    ] {
        assert_eq!(silenced_lint(&Source::new("src/a.rs", good)), Vec::<String>::new(), "{good}");
    }
    holds(silenced_lint, rust_files());
}

fn undocumented(file: &Source) -> Vec<String> {
    let documented = file.text.starts_with("//! ");
    if documented {
        Vec::new()
    } else {
        vec!["does not say in its first line what it is".to_owned()]
    }
}

#[test]
fn every_file_says_what_it_is() {
    for bad in ["", "use std::fmt;\n//! Late.", "// Not a doc comment.", "/// Of an item."] {
        assert_eq!(undocumented(&Source::new("src/a.rs", bad)).len(), 1, "{bad}");
    }
    assert_eq!(undocumented(&Source::new("src/a.rs", "//! A module.\n")), Vec::<String>::new());
    holds(undocumented, rust_files());
}

/// Text that names the machine it was written on. In pieces, so that this file passes.
const MACHINE: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("../sh", "ared"),
];

fn names_this_machine(file: &Source) -> Vec<String> {
    let here = env!("CARGO_MANIFEST_DIR");
    let named = MACHINE.iter().copied().chain([here]).filter(|place| file.text.contains(place));
    named.map(|place| format!("names {place}, which nobody else has")).collect()
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let bad = format!("run it in {}/src", env!("CARGO_MANIFEST_DIR"));
    assert_ne!(names_this_machine(&Source::new("README.md", &bad)), Vec::<String>::new());
    assert_ne!(
        names_this_machine(&Source::new("a.json", concat!("/wo", "rk/x"))),
        Vec::<String>::new()
    );
    assert_eq!(
        names_this_machine(&Source::new("README.md", "cd parlor/src")),
        Vec::<String>::new()
    );
    holds(names_this_machine, files());
}

/// Says where packages come from, which is the choice of whoever builds this.
fn names_a_registry(file: &Source) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let is_bad = |line: &str| match name {
        "Cargo.lock" => {
            line.starts_with("source = ")
                && line != "source = \"registry+https://github.com/rust-lang/crates.io-index\""
        }
        "package-lock.json" => line.trim_start().starts_with("\"resolved\":"),
        ".npmrc" => line.contains("registry") && line != "omit-lockfile-registry-resolved=true",
        "config.toml" => {
            ["[source", "[registr", "replace-with"].iter().any(|word| line.contains(word))
        }
        "Cargo.toml" => line.contains("registry =") || line.contains("registry-index ="),
        _ => false,
    };
    file.text
        .lines()
        .filter(|line| is_bad(line))
        .map(|line| format!("names a registry: {line}"))
        .collect()
}

#[test]
fn no_file_names_a_registry() {
    for (path, bad) in [
        ("Cargo.lock", "source = \"registry+https://mirror.example/index\""),
        ("tests/clients/package-lock.json", "  \"resolved\": \"https://mirror.example/ws.tgz\","),
        (".npmrc", "registry=https://mirror.example"),
        (".cargo/config.toml", "[source.crates-io]\nreplace-with = \"mirror\""),
        ("Cargo.toml", "bytes = { version = \"1\", registry = \"mirror\" }"),
    ] {
        assert_ne!(names_a_registry(&Source::new(path, bad)), Vec::<String>::new(), "{path}");
    }
    holds(names_a_registry, files());
}

/// `sim` and `loadgen` know parlor and not each other; turmoil is for `sim` alone.
fn depends_backwards(file: &Source) -> Vec<String> {
    let banned: &[&str] = match file.path.as_str() {
        "Cargo.toml" => &["loadgen", "sim", "turmoil"],
        "loadgen/Cargo.toml" => &["sim", "turmoil"],
        "sim/Cargo.toml" => &["loadgen"],
        _ => return Vec::new(),
    };
    let mut of_package = true;
    let mut wrong = Vec::new();
    for line in file.text.lines() {
        of_package =
            if line.starts_with('[') { !line.starts_with("[workspace") } else { of_package };
        let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if of_package && banned.contains(&dependency) {
            wrong.push(format!("{dependency} is no dependency of this package"));
        }
    }
    wrong
}

#[test]
fn dependencies_point_one_way() {
    for (path, bad) in [
        ("Cargo.toml", "[dependencies]\nturmoil.workspace = true"),
        ("loadgen/Cargo.toml", "[dev-dependencies]\nsim = { path = \"../sim\" }"),
        ("sim/Cargo.toml", "[dependencies]\nloadgen = { path = \"../loadgen\" }"),
    ] {
        assert_eq!(depends_backwards(&Source::new(path, bad)).len(), 1, "{path}");
    }
    let good = "[workspace]\nmembers = [\"sim\"]\n[workspace.dependencies]\nturmoil = \"1\"\n[dependencies]\nbytes = \"1\"";
    assert_eq!(depends_backwards(&Source::new("Cargo.toml", good)), Vec::<String>::new());
    holds(depends_backwards, files());
}

/// Fails with everything that `rule` finds wrong in `sources`.
fn holds(rule: fn(&Source) -> Vec<String>, sources: Vec<Source>) {
    assert!(sources.len() > 3, "the repository's files were found");
    let wrong: Vec<String> = sources
        .iter()
        .flat_map(|file| rule(file).into_iter().map(|what| format!("{}: {what}", file.path)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
