//! Settings in a TOML file: groups are its tables.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Value};

use super::assignment::Assignment;
use super::error::{SettingsError, advice, brief};
use super::kind::Written;
use super::options::Options;
use super::setting::{Group, settings};

/// Larger ones are not configuration files.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file at `path`.
///
/// # Errors
///
/// It can not be read, is no TOML, or has keys that are no settings.
pub(super) fn read<'t>(
    table: &'t [Group],
    path: &Path,
) -> Result<Vec<Assignment<'t>>, SettingsError> {
    let name = brief(&path.display().to_string());
    match text_of(path) {
        Ok(text) => parse(table, &name, &text),
        Err(error) => Err(SettingsError::Unreadable { path: name, error }),
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Finds the settings of `table` in `text`; `name` is what the file is called in errors.
fn parse<'t>(
    table: &'t [Group],
    name: &str,
    text: &str,
) -> Result<Vec<Assignment<'t>>, SettingsError> {
    let source = Source { table, name, text };
    let document = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
    let mut found = Vec::new();
    source.collect("", document.get_ref(), &mut found)?;
    Ok(found)
}

/// A file and what may be in it.
struct Source<'t, 'f> {
    table: &'t [Group],
    name: &'f str,
    text: &'f str,
}

impl<'t> Source<'t, '_> {
    /// Appends the settings of one table of the file, whose keys begin with `prefix`.
    fn collect(
        &self,
        prefix: &str,
        part: &DeTable<'_>,
        found: &mut Vec<Assignment<'t>>,
    ) -> Result<(), SettingsError> {
        for (key, value) in part {
            let place = self.place(key.span().start);
            let key = format!("{prefix}{}", key.get_ref());
            let group = self.table.iter().find(|group| !group.name.is_empty() && group.name == key);
            let inner = value.get_ref().as_table();
            if let Some(setting) = settings(self.table).find(|setting| setting.key == key) {
                let quote = format!("{place}: {key} = {}", &self.text[value.span()]);
                let written = Written::Typed(self.value(value)?);
                found.push(Assignment { setting, written, quote });
            } else if let (Some(_), Some(inner)) = (group, inner) {
                self.collect(&format!("{key}."), inner, found)?;
            } else if let Some(group) = group {
                return Err(not_a_group(place, group));
            } else {
                let known = settings(self.table).map(|setting| setting.key.as_str());
                let advice = advice(&key, known);
                return Err(SettingsError::Key { place, key: brief(&key), advice });
            }
        }
        Ok(())
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, SettingsError> {
        // Fails for what the grammar has and the value has not, such as a number of a hundred digits.
        Value::deserialize(ValueDeserializer::from(value.clone())).map_err(|mut error| {
            error.set_input(Some(self.text));
            self.syntax(&error)
        })
    }

    fn syntax(&self, error: &toml::de::Error) -> SettingsError {
        let place = self.place(error.span().map_or(0, |span| span.start));
        SettingsError::Syntax { place, what: brief(error.message()) }
    }

    /// The line of the file that `at` lies in.
    fn place(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        format!("{}:{}", self.name, 1 + before.filter(|&&byte| byte == b'\n').count())
    }
}

fn not_a_group(place: String, group: &Group) -> SettingsError {
    let first = group.settings.first();
    let example = first.map_or_else(String::new, |setting| {
        format!("{} = {}", setting.name(), setting.value(&Options::default()))
    });
    SettingsError::Group { place, group: group.name.to_owned(), example }
}

#[cfg(test)]
mod tests;
