//! What can be wrong with settings. Each error says what to do about it.

use std::io;

use parlor::tls::TlsError;

/// Why the settings can not be used. Each is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The command line is none, as clap says.
    #[error("{0}")]
    Flags(String),
    /// A group of settings has a value instead.
    #[error("{place}: {group} is a group of settings; write [{group}] and below it {example}")]
    Group {
        /// The file and line.
        place: String,
        /// The name of the group.
        group: String,
        /// One of its settings, with its default.
        example: String,
    },
    /// One of the two files that TLS needs is not named: this one.
    #[error("{0} is missing; TLS needs both tls.certificate and tls.key, or neither")]
    HalfOfTls(&'static str),
    /// A key of the file is no setting.
    #[error("{place}: unknown key {key}; {advice}")]
    Key {
        /// The file and line.
        place: String,
        /// The key, with its group.
        key: String,
        /// A key that is meant perhaps, or where they are listed.
        advice: String,
    },
    /// The file is no TOML.
    #[error("{place}: {what}")]
    Syntax {
        /// The file and line.
        place: String,
        /// What the parser says.
        what: String,
    },
    /// There are files for TLS, and they are of no use.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The file can not be read.
    #[error("can not read the configuration file {path}: {error}")]
    Unreadable {
        /// The file as it was named.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// A value is not one of its setting.
    #[error("{quote}: write {expected}")]
    Value {
        /// Where and how it was written.
        quote: String,
        /// What its setting takes.
        expected: String,
    },
}

const QUOTE_CHARS_MAX: usize = 200;

/// `text` in one line that is not too long.
pub(super) fn brief(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTE_CHARS_MAX).collect();
    if line.len() < text.len() { format!("{line}...") } else { line }
}

/// Below this two names have nothing to do with each other.
const SIMILARITY_MIN: f64 = 0.75;

/// What to do about an unknown `name`: take the one of `known` that is most like it.
pub(super) fn advice<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    // In the wrong group it is the right key all the same.
    let similarity = |known: &'k str| {
        strsim::jaro(name, known).max(strsim::jaro(without_group(name), without_group(known)))
    };
    let best = known.max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match best.filter(|best| similarity(best) >= SIMILARITY_MIN) {
        Some(best) => format!("did you mean {best}?"),
        None => "parlor --print-config shows all".to_owned(),
    }
}

fn without_group(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_of_bounded_length() {
        assert_eq!(brief("a = \"b\""), "a = \"b\"");
        assert_eq!(brief("a = \"\"\"\nb\u{1b}\"\"\""), "a = \"\"\" b \"\"\"");
        assert_eq!(brief(&"ä".repeat(QUOTE_CHARS_MAX)), "ä".repeat(QUOTE_CHARS_MAX));
        assert_eq!(
            brief(&"ä".repeat(QUOTE_CHARS_MAX + 1)),
            format!("{}...", "ä".repeat(QUOTE_CHARS_MAX))
        );
    }

    #[test]
    fn advice_names_the_setting_that_was_meant() {
        let known = || ["listen", "ping_interval", "ping_timeout", "limits.attachments_max"];
        for (typed, meant) in [
            ("listn", "listen"),
            ("ping-interval", "ping_interval"),
            ("pingTimeout", "ping_timeout"),
            ("attachments_max", "limits.attachments_max"),
            ("limits.attachment_max", "limits.attachments_max"),
            ("limits.listen", "listen"),
        ] {
            let advice = advice(typed, known().into_iter());
            assert_eq!(advice, format!("did you mean {meant}?"), "{typed}");
        }
        let advice = advice("xyz", known().into_iter());
        assert_eq!(advice, "parlor --print-config shows all");
    }
}
