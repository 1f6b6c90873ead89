//! Dates as `JSON.stringify` writes them.
//!
//! # Spec
//!
//! ECMAScript, "Date Time String Format".

/// How far a date of JavaScript may be from 1970, in days.
const DAYS_MAX: i64 = 100_000_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// 400 years of the calendar, after which it repeats.
const ERA_DAYS: i64 = 400 * 365 + 97;

/// From the first of March of the year 0 to the first of January 1970.
const EPOCH_DAYS: i64 = 719_468;

/// The ISO string of so many milliseconds since 1970; none where JavaScript has no date.
pub(super) fn iso(time_ms: i64) -> Option<String> {
    if !(-DAYS_MAX * DAY_MS..=DAYS_MAX * DAY_MS).contains(&time_ms) {
        return None;
    }
    let (year, month, day) = civil(time_ms.div_euclid(DAY_MS));
    let ms = time_ms.rem_euclid(DAY_MS);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
}

/// Year, month and day of a number of days since 1970.
///
/// Years are counted from March, so that the day of a leap year is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    // The last day of the era is the fourth leap day of a century's end, and the last
    // day of every four years a leap day: neither begins a new one.
    let century = (day_of_era / (100 * 365 + 24)).min(3);
    let day_of_century = day_of_era - century * (100 * 365 + 24);
    let four = day_of_century / (4 * 365 + 1);
    let day_of_four = day_of_century - four * (4 * 365 + 1);
    let one = (day_of_four / 365).min(3);
    let day_of_year = day_of_four - one * 365;
    let year = era * 400 + century * 100 + four * 4 + one;
    // From March on, every five months have 153 days.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `new Date(ms).toISOString()` says.
    #[test]
    fn dates_are_those_of_javascript() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1600000000123, "2020-09-13T12:26:40.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951782399999, "2000-02-28T23:59:59.999Z"),
            (951782400000, "2000-02-29T00:00:00.000Z"),
            (951868799999, "2000-02-29T23:59:59.999Z"),
            (951868800000, "2000-03-01T00:00:00.000Z"),
            (4107542399999, "2100-02-28T23:59:59.999Z"),
            (68169600000, "1972-02-29T00:00:00.000Z"),
            (-62167219200000, "0000-01-01T00:00:00.000Z"),
            (-62167219200001, "-000001-12-31T23:59:59.999Z"),
            (253402300799999, "9999-12-31T23:59:59.999Z"),
            (253402300800000, "+010000-01-01T00:00:00.000Z"),
            (8640000000000000, "+275760-09-13T00:00:00.000Z"),
            (-8640000000000000, "-271821-04-20T00:00:00.000Z"),
            (-62162035200000, "0000-03-01T00:00:00.000Z"),
            (1709164800000, "2024-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(iso(time_ms).as_deref(), Some(text), "{time_ms}");
        }
    }

    #[test]
    fn there_is_no_date_beyond_those_of_javascript() {
        for time_ms in [DAYS_MAX * DAY_MS + 1, -DAYS_MAX * DAY_MS - 1, i64::MAX, i64::MIN] {
            assert_eq!(iso(time_ms), None, "{time_ms}");
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut last = civil(-1_000_000);
        for days in -999_999..1_000_000 {
            let (year, month, day) = civil(days);
            let next_day = (year, month) == (last.0, last.1) && day == last.2 + 1;
            let next_month = (year, month, day) == (last.0, last.1 + 1, 1);
            let next_year = (year, month, day) == (last.0 + 1, 1, 1) && last.1 == 12;
            let length = match last.1 {
                4 | 6 | 9 | 11 => 30,
                2 if last.0 % 4 == 0 && (last.0 % 100 != 0 || last.0 % 400 == 0) => 29,
                2 => 28,
                _ => 31,
            };
            assert!(if last.2 == length { next_month || next_year } else { next_day }, "{days}");
            last = (year, month, day);
        }
    }
}
