//! What the program `parlor` is told: by flags, the environment and a file.
//!
//! ```text
//!  table: one row per setting (key, help, kind of value, where it goes)
//!    |
//!    +--> file          limits.outbound_bytes_max = "4MiB"          \
//!    +--> environment   PARLOR_LIMITS_OUTBOUND_BYTES_MAX=4MiB        > Assignment --> Options
//!    +--> flags         --limits-outbound-bytes-max 4MiB            /
//!    +--> print         the effective settings, as such a file
//! ```
//!
//! A new setting is a row of [`table`] and a field that it fills, of
//! [`Options`] or of [`Config`]; defaults are theirs, so that a server that is
//! embedded has the same ones (but for `drain.window`). Everything else follows
//! from the row: flag, variable, key, help, checks, errors and printing.
//!
//! Of the program, not of the library: who embeds parlor fills a [`Config`]
//! from whatever configuration its own program has.
//!
//! # Guarantees
//!
//! * A flag wins over a variable, that over the file, that over the default.
//!   A list that is given replaces the one before; nothing is merged.
//! * Every value is checked where it is written, also one that is overruled.
//! * What is printed can be read, and is then printed the same.

mod assignment;
mod environment;
mod error;
mod file;
mod flags;
mod kind;
mod options;
mod print;
mod setting;
mod table;
mod units;

use std::ffi::OsString;

use parlor::tls::Identity;

use flags::{Flags, Typed, Wish};

pub(crate) use error::SettingsError;
pub(crate) use options::{LogFormat, Options, Tls};

/// What the program is asked to do.
pub(crate) enum Request {
    /// To show help or its version, as clap writes it.
    Help(clap::Error),
    /// To print this text, and no more.
    Print(String),
    /// To serve.
    Serve {
        /// What it was told.
        options: Box<Options>,
        /// What the server shows who it is with, if it speaks TLS.
        identity: Option<Identity>,
        /// Variables that look like settings and are none.
        ignored: Vec<String>,
    },
}

/// Reads the command line, the environment and the file that they name.
///
/// # Errors
///
/// [`SettingsError`] says in one line what to write instead; nothing is served
/// with settings that are not understood.
pub(crate) fn read(
    typed: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Request, SettingsError> {
    let table = table::table();
    let flags = match flags::read(&table, typed)? {
        Typed::Flags(flags) => flags,
        Typed::Help(help) => return Ok(Request::Help(help)),
    };
    let Flags { assignments: from_flags, file, wish } = flags;
    let environment = environment::read(&table, environment)?;
    let from_file = match file.or(environment.file) {
        Some(path) => file::read(&table, &path)?,
        None => Vec::new(),
    };
    let mut options = Options::default();
    // From the weakest to the strongest: who comes later overwrites.
    for assignment in from_file.iter().chain(&environment.assignments).chain(&from_flags) {
        assignment.apply(&mut options)?;
    }
    Ok(match wish {
        Wish::Check => {
            options.tls.identity()?;
            Request::Print(check(&environment.ignored))
        }
        Wish::Print => Request::Print(print::print(&table, &options)),
        Wish::Serve => Request::Serve {
            identity: options.tls.identity()?,
            options: Box::new(options),
            ignored: environment.ignored,
        },
    })
}

fn check(ignored: &[String]) -> String {
    if ignored.is_empty() {
        "the configuration is valid\n".to_owned()
    } else {
        format!("the configuration is valid; not settings: {}\n", ignored.join(", "))
    }
}
