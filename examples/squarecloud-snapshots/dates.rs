//! Times as the user writes and reads them: local, with the offset.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use squarecloud_blocking::time::OffsetDateTime;

/// `2026-11-20 18:04 -03:00`, in the system's time zone.
pub fn local(time: OffsetDateTime) -> String {
    zoned(time).map_or_else(|| time.to_string(), |time| time.strftime("%Y-%m-%d %H:%M %:z").to_string())
}

fn zoned(time: OffsetDateTime) -> Option<ZonedDateTime> {
    let timestamp = Timestamp::new(time.unix_timestamp(), time.nanosecond().try_into().ok()?).ok()?;
    Some(timestamp.to_zoned_datetime(TimeZone::system()))
}

/// The moment that a `DATE` names: RFC 3339; a date and time, in the system's time zone; or a date, which is the end of
/// that day, so that the snapshots of the day count.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let timestamp = if let Ok(timestamp) = text.parse::<Timestamp>() {
        timestamp
    } else {
        let civil = match text.parse::<Date>() {
            // A date and time is also taken by this parser.
            Ok(date) if text.len() <= "2026-11-20".len() => date.to_datetime(Time::MAX),
            _ => text.parse::<DateTime>().ok()?,
        };
        civil.to_zoned_datetime(TimeZone::system()).ok()?.timestamp()
    };
    OffsetDateTime::from_unix_timestamp_nanos(timestamp.as_nanosecond()).ok()
}
