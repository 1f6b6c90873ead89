//! Settings in the environment: `PARLOR_` and the key in capitals.
//!
//! A variable that is empty is as good as none: that is how compose files pass
//! on what is not set. One that looks like a setting and is none is not an
//! error but reported: Kubernetes gives every container of a namespace with a
//! service called `parlor` a `PARLOR_PORT` and a `PARLOR_SERVICE_HOST`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::assignment::Assignment;
use super::error::{SettingsError, brief};
use super::kind::Written;
use super::setting::{Group, settings};

/// The variable that names the file.
pub(super) const FILE_VARIABLE: &str = "PARLOR_CONFIG";

/// What the environment says.
pub(super) struct Environment<'t> {
    /// The settings in it.
    pub(super) assignments: Vec<Assignment<'t>>,
    /// The file that it names.
    pub(super) file: Option<PathBuf>,
    /// Variables that look like settings and are none.
    pub(super) ignored: Vec<String>,
}

/// Finds the settings of `table` among `variables`.
///
/// # Errors
///
/// The value of a setting is not text.
pub(super) fn read(
    table: &[Group],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Environment<'_>, SettingsError> {
    let mut ours: BTreeMap<String, OsString> = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with("PARLOR_") && !value.is_empty())
        .collect();
    let file = ours.remove(FILE_VARIABLE).map(PathBuf::from);
    let mut assignments = Vec::new();
    for setting in settings(table) {
        let name = setting.variable();
        let Some(value) = ours.remove(&name) else { continue };
        let quote = format!("{name}={}", value.display());
        let Ok(word) = value.into_string() else {
            let (quote, expected) = (brief(&quote), setting.expected.clone());
            return Err(SettingsError::Value { quote, expected });
        };
        assignments.push(Assignment { setting, written: Written::Word(word), quote });
    }
    Ok(Environment { assignments, file, ignored: ours.into_keys().collect() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::settings::table::table;

    fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into()))
    }

    #[test]
    fn an_empty_variable_is_none() {
        let pairs = [("PARLOR_PATH", ""), ("PARLOR_CONFIG", ""), ("PARLOR_FOO", "")];
        let table = table();
        let read = read(&table, variables(&pairs)).expect("nothing is wrong");
        assert!(read.assignments.is_empty() && read.file.is_none() && read.ignored.is_empty());
    }

    #[test]
    fn only_what_begins_like_a_setting_is_looked_at() {
        let pairs = [
            ("PATH", "/bin"),
            ("PARLOR_PATH", "/live/"),
            ("PARLOR_CONFIG", "a.toml"),
            ("PARLOR_PORT", "tcp://10.0.0.1:80"),
            ("PARLOR_LISTN", "1"),
            ("parlor_listen", "2"),
        ];
        let table = table();
        let read = read(&table, variables(&pairs)).expect("nothing is wrong");
        let quotes: Vec<&str> = read.assignments.iter().map(|one| one.quote.as_str()).collect();
        assert_eq!(quotes, ["PARLOR_PATH=/live/"]);
        assert_eq!(read.file, Some("a.toml".into()));
        assert_eq!(read.ignored, ["PARLOR_LISTN", "PARLOR_PORT"]);
    }

    #[test]
    fn a_value_that_is_no_text_is_refused() {
        let name = OsString::from("PARLOR_PATH");
        let variables = [(name, OsString::from_vec(b"/\xff/".to_vec()))];
        let table = table();
        let Err(error) = read(&table, variables.into_iter()) else { panic!("it is no text") };
        assert!(error.to_string().starts_with("PARLOR_PATH=/\u{fffd}/: write a path"), "{error}");
    }
}
