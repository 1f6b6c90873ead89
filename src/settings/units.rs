//! Times and sizes as people write them: a whole number and a unit.

use std::time::Duration;

const TIME_UNITS_MS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZE_UNITS_BYTES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// The time that `text` names, such as `25s`; a number without a unit names none.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, unit_ms) = TIME_UNITS_MS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.checked_mul(*unit_ms)?))
}

/// `time` in whole milliseconds, in the largest unit of which it is a multiple.
pub(super) fn show_time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let units = TIME_UNITS_MS.iter().find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(*unit_ms));
    units.map_or_else(|| format!("{ms}ms"), |(name, unit_ms)| format!("{}{name}", ms / unit_ms))
}

/// The bytes that `text` names, such as `1MB` (10^6), `1MiB` (2^20) or `1000`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, unit_bytes) =
        SIZE_UNITS_BYTES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*unit_bytes)
}

/// `bytes` in the unit that makes for the smallest number; none if that is bytes.
pub(super) fn show_bytes(bytes: u64) -> Option<String> {
    let fitting = SIZE_UNITS_BYTES.iter().filter(|(name, unit_bytes)| {
        *name != "B" && bytes > 0 && bytes.is_multiple_of(*unit_bytes)
    });
    let (name, unit_bytes) = fitting.max_by_key(|(_, unit_bytes)| *unit_bytes)?;
    Some(format!("{}{name}", bytes / unit_bytes))
}

/// A whole number, and what is behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, ms) in
            [("300ms", 300), ("25s", 25_000), ("2m", 120_000), ("24h", 86_400_000), (" 1 s ", 1000)]
        {
            assert_eq!(parse_time(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "25", "s", "-1s", "1.5s", "25S", "25 sec", "1h30m", "18446744073709551616ms"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
        // The number fits, its milliseconds do not.
        assert_eq!(parse_time("18446744073709551615h"), None);
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_their_unit_says() {
        for (text, bytes) in [
            ("1000", 1000),
            ("1000B", 1000),
            ("1kB", 1000),
            ("1KB", 1000),
            ("1KiB", 1024),
            ("1MB", 1_000_000),
            ("1mib", 1 << 20),
            ("4 GiB", 4 << 30),
            ("3GB", 3_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5MB", "1M", "1k", "0x10", "ten", "18446744073709551615kB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_reads_the_same() {
        for (ms, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (1500, "1500ms"),
            (25_000, "25s"),
            (60_000, "1m"),
            (3_600_000, "1h"),
        ] {
            let time = Duration::from_millis(ms);
            assert_eq!(show_time(time), text);
            assert_eq!(parse_time(text), Some(time));
        }
        for (bytes, text) in [
            (0, None),
            (999, None),
            (1000, Some("1kB")),
            (4 << 20, Some("4MiB")),
            (1_000_000, Some("1MB")),
            (1_024_000, Some("1000KiB")),
        ] {
            assert_eq!(show_bytes(bytes).as_deref(), text);
            assert_eq!(text.map_or(Some(bytes), parse_bytes), Some(bytes));
        }
    }
}
