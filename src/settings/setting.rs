//! One row of the table, whatever the type of its value.

use toml::Value;

use super::kind::{Kind, Written};
use super::options::Options;

/// Settings that belong together: a table of the file.
pub(super) struct Group {
    /// Its name in the file; empty for the settings at the top.
    pub(super) name: &'static str,
    /// What its settings are about, as a sentence.
    pub(super) help: &'static str,
    /// Its settings.
    pub(super) settings: Vec<Setting>,
}

type Set = Box<dyn Fn(&mut Options, &Written) -> bool>;
type Show = Box<dyn Fn(&mut Options) -> Value>;

/// One setting: what it is called, what it takes, and where that goes.
pub(super) struct Setting {
    /// Its whole name, such as `limits.attachments_max`.
    pub(super) key: String,
    /// What it is for, as a sentence.
    pub(super) help: &'static str,
    /// What its value is called in `--help`.
    pub(super) value_name: &'static str,
    /// What to write: the end of a sentence that begins with "write".
    pub(super) expected: String,
    /// Whether its flag may be repeated.
    pub(super) several: bool,
    set: Set,
    value: Show,
}

/// A group of these settings.
pub(super) fn group(name: &'static str, help: &'static str, mut settings: Vec<Setting>) -> Group {
    if !name.is_empty() {
        for setting in &mut settings {
            setting.key = format!("{name}.{}", setting.key);
        }
    }
    Group { name, help, settings }
}

/// The setting `name` of its group, which fills the field that `field` leads to.
pub(super) fn setting<T: 'static>(
    name: &'static str,
    help: &'static str,
    kind: Kind<T>,
    field: fn(&mut Options) -> &mut T,
) -> Setting {
    let Kind { value_name, expected, several, read, show } = kind;
    Setting {
        key: name.to_owned(),
        help,
        value_name,
        expected,
        several,
        set: Box::new(move |options, written| match read(written) {
            Some(value) => {
                *field(options) = value;
                true
            }
            None => false,
        }),
        value: Box::new(move |options| show(field(options))),
    }
}

impl Setting {
    /// Puts what was written into `options`; says whether it is a value of this setting.
    pub(super) fn set(&self, options: &mut Options, written: &Written) -> bool {
        (self.set)(options, written)
    }

    /// Its value in `options`, as the file would have it.
    pub(super) fn value(&self, options: &Options) -> Value {
        // The way to the field is one for writing; a copy lets it serve both.
        (self.value)(&mut options.clone())
    }

    /// Its name within its group.
    pub(super) fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(&self.key, |(_, name)| name)
    }

    /// Its name on the command line, without the two dashes.
    pub(super) fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("PARLOR_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// Every setting of `table`.
pub(super) fn settings(table: &[Group]) -> impl Iterator<Item = &Setting> {
    table.iter().flat_map(|group| &group.settings)
}
