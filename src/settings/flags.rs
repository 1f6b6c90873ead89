//! Settings on the command line, and what the program is to do with them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::assignment::Assignment;
use super::error::SettingsError;
use super::kind::Written;
use super::options::Options;
use super::setting::{Group, Setting, settings};

/// What the command line says.
pub(super) struct Flags<'t> {
    /// The settings on it.
    pub(super) assignments: Vec<Assignment<'t>>,
    /// The file that it names.
    pub(super) file: Option<PathBuf>,
    /// What to do with the settings.
    pub(super) wish: Wish,
}

/// What to do with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Say whether they are valid.
    Check,
    /// Show them.
    Print,
    /// Serve.
    Serve,
}

/// A command line that is one.
pub(super) enum Typed<'t> {
    /// Settings, and a wish.
    Flags(Flags<'t>),
    /// Help is wanted, or the version.
    Help(clap::Error),
}

/// Reads the command line; its first word is the program.
///
/// # Errors
///
/// There are flags that are none, or that do not go together.
pub(super) fn read(
    table: &[Group],
    typed: impl Iterator<Item = OsString>,
) -> Result<Typed<'_>, SettingsError> {
    let mut matches = match command(table).try_get_matches_from(typed) {
        Ok(matches) => matches,
        Err(error) => return help_or_error(error),
    };
    let assignments =
        settings(table).filter_map(|setting| assignment(setting, &mut matches)).collect();
    let wish = if matches.get_flag(CHECK) {
        Wish::Check
    } else if matches.get_flag(PRINT) {
        Wish::Print
    } else {
        Wish::Serve
    };
    Ok(Typed::Flags(Flags { assignments, file: matches.remove_one(FILE), wish }))
}

const FILE: &str = "config";
const PRINT: &str = "print-config";
const CHECK: &str = "check-config";

const AFTER_HELP: &str = "\
Every setting can also be in a file and in the environment: attachments_max of the table [limits] \
is the flag --limits-attachments-max and the variable PARLOR_LIMITS_ATTACHMENTS_MAX. Flags win over \
variables, variables over the file. Times have a unit (300ms, 25s); bytes may have one (1MB, 4MiB).";

fn command(table: &[Group]) -> Command {
    let file = Arg::new(FILE).long(FILE).value_name("FILE").value_parser(value_parser!(PathBuf));
    let print = Arg::new(PRINT).long(PRINT).action(ArgAction::SetTrue).conflicts_with(CHECK);
    let check = Arg::new(CHECK).long(CHECK).action(ArgAction::SetTrue);
    Command::new("parlor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A chat room server that speaks Socket.IO")
        .after_help(AFTER_HELP)
        .arg(
            file.help(
                "Read settings from this TOML file; else from the one that PARLOR_CONFIG names",
            ),
        )
        .arg(print.help("Print the effective settings as such a file, and end"))
        .arg(check.help("Say whether the settings are valid, and end with 0 or 2"))
        .args(
            table
                .iter()
                .flat_map(|group| group.settings.iter().map(|setting| flag(group, setting))),
        )
}

fn flag(group: &Group, setting: &Setting) -> Arg {
    let (action, repeated) = if setting.several {
        (ArgAction::Append, "; may be repeated")
    } else {
        (ArgAction::Set, "")
    };
    let help = setting.help.trim_end_matches('.');
    Arg::new(setting.key.clone())
        .long(setting.flag())
        .value_name(setting.value_name)
        .action(action)
        .allow_negative_numbers(true)
        .help(format!("{help}{repeated} [default: {}]", default(setting)))
        .help_heading(group.help.trim_end_matches('.'))
}

/// What holds without the flag, as it would be typed.
fn default(setting: &Setting) -> String {
    let value = setting.value(&Options::default());
    if value.as_array().is_some_and(Vec::is_empty) {
        return "none".to_owned();
    }
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn assignment<'t>(setting: &'t Setting, matches: &mut ArgMatches) -> Option<Assignment<'t>> {
    let words: Vec<String> = matches.remove_many(&setting.key)?.collect();
    let word = words.join(",");
    let quote = format!("--{} {word}", setting.flag());
    Some(Assignment { setting, written: Written::Word(word), quote })
}

fn help_or_error<'t>(error: clap::Error) -> Result<Typed<'t>, SettingsError> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Typed::Help(error));
    }
    // Several lines from clap; the first one and the suggestion are what helps.
    let text = error.render().to_string();
    let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let meant = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(one)) => Some(one.as_str()),
        Some(ContextValue::Strings(several)) => several.first().map(String::as_str),
        _ => None,
    };
    let advice = meant
        .map_or_else(|| "see parlor --help".to_owned(), |meant| format!("did you mean {meant}?"));
    Err(SettingsError::Flags(format!("{what}; {advice}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table::table;

    #[test]
    fn the_command_line_is_consistent_with_itself() {
        command(&table()).debug_assert();
    }
}
