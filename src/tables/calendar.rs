//! Dates, times and decimals of Parquet as texts.

use polars_arrow::datatypes::TimeUnit;

/// `2024-02-29` for so many days since 1970-01-01, in the Gregorian calendar.
pub(super) fn date(days: i64) -> String {
    // Counted from 0000-03-01, so that a leap day is the last of its year, in eras of 400 years.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{of_month:02}", era * 400 + year + next)
}

/// How many ticks are in a second, and how many digits show them.
fn per_second(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// `12:30:00.5` for so many ticks since midnight.
pub(super) fn time(ticks: i64, unit: TimeUnit) -> String {
    let (rate, digits) = per_second(unit);
    let (seconds, part) = (ticks.div_euclid(rate), ticks.rem_euclid(rate));
    let (hours, minutes, seconds) =
        (seconds.div_euclid(3600), seconds.rem_euclid(3600) / 60, seconds.rem_euclid(60));
    let part = if part == 0 { String::new() } else { format!(".{part:0digits$}") };
    format!("{hours:02}:{minutes:02}:{seconds:02}{}", part.trim_end_matches('0'))
}

/// `2024-02-29T12:30:00Z` for so many ticks since 1970; without the `Z` where no zone is known.
pub(super) fn moment(ticks: i64, unit: TimeUnit, is_universal: bool) -> String {
    let of_day = per_second(unit).0.saturating_mul(86_400);
    let zone = if is_universal { "Z" } else { "" };
    format!("{}T{}{zone}", date(ticks.div_euclid(of_day)), time(ticks.rem_euclid(of_day), unit))
}

/// `-1.50` for -150 with two decimals.
pub(super) fn decimal(number: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale.min(64) + 1);
    let (whole, part) = digits.split_at(digits.len() - scale.min(64));
    let sign = if number < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's `datetime` and `decimal` write them.
    #[test]
    fn days_ticks_and_decimals_are_written_as_elsewhere() {
        assert_eq!(
            [date(0), date(19_782), date(-1), date(11_016), date(-719_162)],
            ["1970-01-01", "2024-02-29", "1969-12-31", "2000-02-29", "0001-01-01"]
        );
        assert_eq!(moment(1_709_209_800_500, TimeUnit::Millisecond, true), "2024-02-29T12:30:00.5Z");
        assert_eq!(moment(-1, TimeUnit::Microsecond, false), "1969-12-31T23:59:59.999999");
        assert_eq!(time(3_661, TimeUnit::Second), "01:01:01");
        assert_eq!([decimal(-150, 2), decimal(5, 3), decimal(12, 0)], ["-1.50", "0.005", "12"]);
        moment(i64::MIN, TimeUnit::Second, true);
    }
}
