//! Dates as JavaScript writes them, in UTC.

use std::time::{Duration, SystemTime};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Milliseconds since 1970.
pub(super) fn ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-22T17:34:42.652Z`.
pub(super) fn iso(time: SystemTime) -> String {
    let Date { year, month, day, clock, .. } = Date::of(time);
    format!("{year:04}-{:02}-{day:02}T{clock}.{:03}Z", month + 1, ms(time) % 1000)
}

/// `Sun Nov 22 2026 17:34:42 GMT+0000 (Coordinated Universal Time)`.
pub(super) fn long(time: SystemTime) -> String {
    let Date { year, month, day, weekday, clock } = Date::of(time);
    let (weekday, month) = (DAYS[weekday], MONTHS[month]);
    format!("{weekday} {month} {day:02} {year:04} {clock} GMT+0000 (Coordinated Universal Time)")
}

struct Date {
    year: u64,
    /// From 0.
    month: usize,
    day: u64,
    /// From 0, a Thursday: such was the first day of 1970.
    weekday: usize,
    clock: String,
}

impl Date {
    fn of(time: SystemTime) -> Self {
        let seconds = ms(time) / 1000;
        let (mut days, second) = (seconds / 86_400, seconds % 86_400);
        let weekday = usize::try_from(days % 7).unwrap_or_default();
        let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let mut year = 1970;
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        let february = if days_of(year) == 366 { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        Self { year, month, day: days + 1, weekday, clock }
    }
}

fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_javascript() {
        for (ms, expected_iso, expected_long) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu Jan 01 1970 00:00:00"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue Feb 29 2000 00:00:00"),
            (1_795_368_882_652, "2026-11-22T17:34:42.652Z", "Sun Nov 22 2026 17:34:42"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z", "Sun Feb 28 2100 23:59:59"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon Mar 01 2100 00:00:00"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
            assert_eq!(iso(time), expected_iso);
            let zone = "GMT+0000 (Coordinated Universal Time)";
            assert_eq!(long(time), format!("{expected_long} {zone}"));
        }
    }
}
