//! Days of the calendar, in UTC.

/// Today.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
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
