//! Times as the user writes and reads them: local, with the offset.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use squarecloud_blocking::time::{OffsetDateTime, UtcOffset};

/// `2026-11-20 18:04-03:00`, in the system's time zone: a `DATE`, too.
pub fn local(time: OffsetDateTime) -> String {
    zoned(time).map_or_else(|| time.to_string(), |time| time.strftime("%Y-%m-%d %H:%M%:z").to_string())
}

fn zoned(time: OffsetDateTime) -> Option<ZonedDateTime> {
    let timestamp = Timestamp::new(time.unix_timestamp(), time.nanosecond().try_into().ok()?).ok()?;
    Some(timestamp.to_zoned_datetime(TimeZone::system()))
}

/// The offset from UTC in the system's time zone, now.
pub fn offset() -> UtcOffset {
    let seconds = Timestamp::now().to_zoned_datetime(TimeZone::system()).offset().seconds();
    UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC)
}

/// The moment that a `DATE` names: a date; a date and time; or these with an offset (RFC 3339), otherwise in the
/// system's time zone. It is the end of the day, minute or second that is named, so that what was made in it counts.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let civil = |civil: DateTime| Some(civil.to_zoned_datetime(TimeZone::system()).ok()?.timestamp());
    // The parser of a date and time takes a date, too, and the other way round.
    let timestamp = match text.split_once(['T', 't', ' ']) {
        None => civil(text.parse::<Date>().ok()?.to_datetime(Time::MAX))?,
        Some((_, time)) => {
            let begin = text.parse::<Timestamp>().ok().or_else(|| civil(text.parse().ok()?))?;
            begin.checked_add(rest(time)).ok()?
        }
    };
    OffsetDateTime::from_unix_timestamp_nanos(timestamp.as_nanosecond()).ok()
}

/// How long the minute or second lasts that a time of day names.
fn rest(time: &str) -> SignedDuration {
    let local = time.split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default();
    match (local.contains(['.', ',']), local.matches(':').count()) {
        (true, _) => SignedDuration::ZERO,
        (false, 2..) => SignedDuration::new(0, 999_999_999),
        (false, _) => SignedDuration::new(59, 999_999_999),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Option<i128> {
        parse(text).map(OffsetDateTime::unix_timestamp_nanos)
    }

    #[test]
    fn a_date_is_the_end_of_what_it_names() {
        let minute = 1_795_197_840_000_000_000_i128;
        let second = minute + 11_000_000_000;
        for (text, expected) in [
            ("2026-11-20T18:04:11.512Z", minute + 11_512_000_000),
            ("2026-11-20T18:04:11Z", second + 999_999_999),
            ("2026-11-20T15:04:11-03:00", second + 999_999_999),
            ("2026-11-20 15:04:11-03:00", second + 999_999_999),
            ("2026-11-20 15:04-03:00", minute + 59_999_999_999),
        ] {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
        let day = parse("2026-11-20").unwrap();
        assert!(day > parse("2026-11-20 23:59:59").unwrap() - squarecloud_blocking::time::Duration::SECOND);
        assert!(day < parse("2026-11-21 00:00").unwrap());
    }

    #[test]
    fn what_is_printed_is_a_date() {
        let time = OffsetDateTime::from_unix_timestamp(1_795_197_840).unwrap();
        let read = parse(&local(time)).unwrap();
        assert_eq!((read - time).whole_seconds(), 59);
    }

    #[test]
    fn versions_are_no_dates() {
        for text in
            ["", "k3Zp0VQmX7uTn2sYhB9eRd4LwGfJ6aCc", "6f1d2c3b-4a59-4e8f-9b7a-0c1d2e3f4a5b", "2026-13-01", "v1 2"]
        {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
