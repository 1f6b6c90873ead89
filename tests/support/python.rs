//! Python and the stock Socket.IO code in `tests/clients`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that runs `script` of `tests/clients`, or `None` where there is no Python with pip.
///
/// The packages are installed first, once for all tests, into an environment of their own.
///
/// # Panics
///
/// If there is none although `CI` is true, or if the packages cannot be installed.
pub(crate) fn python(script: &str) -> Option<Command> {
    let there = ["venv", "pip"].iter().all(|module| {
        let mut help = Command::new("python3");
        help.args(["-m", module, "--help"]).output().is_ok_and(|help| help.status.success())
    });
    if !there {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "python3 with pip must be there when CI=true");
        // Past the capture of test output; nobody reads it if it cannot be written.
        let _ = writeln!(std::io::stderr(), "skipped: there is no python3 with pip here");
        return None;
    }
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut command = Command::new(install(&clients).join("bin/python"));
    command.arg(script).current_dir(clients);
    Some(command)
}

/// The environment with what `requirements.txt` says, which is made unless it is there.
fn install(clients: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Tests run in parallel, also those of several packages.
    let lock = File::create(folder.join("python.lock"));
    let lock = lock.expect("cargo's folder for tests can be written to");
    lock.lock().expect("a file of ours can be locked");
    let requirements = clients.join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("the requirements are there");
    let environment = folder.join("python");
    let marker = environment.join("installed-from.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return environment;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    run(pip.arg(&requirements));
    fs::write(marker, wanted).expect("what python made can be written to");
    environment
}

fn run(command: &mut Command) {
    let output = command.output().expect("python3 starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {log}");
}
