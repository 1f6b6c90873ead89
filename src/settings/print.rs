//! The effective settings, as a file that says the same.

use super::options::Options;
use super::setting::{Group, Setting};

const HEAD: &str = "\
# The effective settings of parlor. attachments_max of [limits] is also the flag
# --limits-attachments-max and the variable PARLOR_LIMITS_ATTACHMENTS_MAX. Flags win
# over variables, variables over a file.
";

/// The whole file.
pub(super) fn print(table: &[Group], options: &Options) -> String {
    let mut text = HEAD.to_owned();
    for group in table {
        text.push_str(&format!("\n# {}\n", group.help));
        if !group.name.is_empty() {
            text.push_str(&format!("[{}]\n", group.name));
        }
        for setting in &group.settings {
            text.push_str(&entry(setting, options));
        }
    }
    text
}

fn entry(setting: &Setting, options: &Options) -> String {
    let default = setting.value(&Options::default());
    format!(
        "\n# {}\n# Write {}; default {default}.\n{} = {}\n",
        setting.help,
        setting.expected,
        setting.name(),
        setting.value(options)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table::table;

    #[test]
    fn every_key_has_its_help_its_form_and_its_default() {
        let text = print(&table(), &Options { shards: Some(3), ..Options::default() });
        let entry = "
# Threads that share the connections; `auto` is one for each core.
# Write \"auto\" or a whole number from 1 to 255; default \"auto\".
shards = 3
";
        assert!(text.contains(entry), "{text}");
        let entry = "
# What is written to standard error.
[log]

# What is logged";
        assert!(text.contains(entry), "{text}");
    }
}
