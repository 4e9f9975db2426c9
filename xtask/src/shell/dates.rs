//! Days of the calendar, in UTC.

/// Today; by a clock beyond the calendar its last day.
fn today() -> jiff::civil::Date {
    of_clock(std::time::SystemTime::now())
}

fn of_clock(now: std::time::SystemTime) -> jiff::civil::Date {
    let now = jiff::Timestamp::try_from(now);
    now.map_or(jiff::civil::Date::MAX, |now| now.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// Today, such as `2026-11-24`.
pub(crate) fn today_as_text() -> String {
    today().to_string()
}

/// Days from today until a date such as `2026-12-31`; `None` where the text is not a date of the calendar.
pub(crate) fn days_until(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    (date.to_string() == text).then(|| date.duration_since(today()).as_hours() / 24)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_clock_beyond_the_calendar_is_no_panic() {
        let after = |days: u64| of_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400));
        assert_eq!(after(20_000).to_string(), "2024-10-04");
        assert_eq!(after(40_000_000), jiff::civil::Date::MAX);
    }
}
