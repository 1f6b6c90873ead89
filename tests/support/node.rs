//! Node and the stock Socket.IO code in `tests/clients`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that runs `script` of `tests/clients`, or `None` where there is no node.
///
/// The packages are installed first, once for all tests.
///
/// # Panics
///
/// If there is no node although `CI=true`, or if the packages cannot be installed.
pub(crate) fn node(script: &str) -> Option<Command> {
    let there =
        ["node", "npm"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !there {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "node and npm must be there when CI=true");
        skip();
        return None;
    }
    let folder = clients();
    install(&folder);
    let mut command = Command::new("node");
    command.arg(script).current_dir(folder);
    Some(command)
}

/// Written past the capture of test output: whoever runs the tests must see it.
fn skip() {
    // Nobody reads it if it cannot be written.
    let _ = writeln!(std::io::stderr(), "skipped: there is no node here");
}

/// The folder of the stock code, from the root package or another one.
fn clients() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/clients"));
    folders
        .find(|folder| folder.join("package-lock.json").is_file())
        .expect("the repository is complete")
}

/// Installs what the lock file says, unless that is what is there.
fn install(folder: &Path) {
    // Tests run in parallel, also those of several packages.
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm-ci.lock"));
    let lock = lock.expect("cargo's folder for tests can be written to");
    lock.lock().expect("a file of ours can be locked");
    let wanted =
        fs::read_to_string(folder.join("package-lock.json")).expect("the lock file is there");
    let marker = folder.join("node_modules/.installed-from.json");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let npm = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(folder).output();
    let npm = npm.expect("npm starts");
    assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
    fs::write(marker, wanted).expect("what npm made can be written to");
}
