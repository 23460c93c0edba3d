//! The world's clock: the real one plus an offset, so a test moves days without sleeping.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const DAY: i64 = 24 * 60 * MINUTE;

/// Milliseconds since 1970 as the world sees them.
#[derive(Debug, Default)]
pub struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    pub fn now_ms(&self) -> i64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        real.as_millis() as i64 + self.offset_ms.load(Ordering::SeqCst)
    }

    /// Moves the world's time forward.
    pub fn advance(&self, by: Duration) {
        self.offset_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    /// Moves the world's time by milliseconds, backward when negative.
    pub fn shift_ms(&self, by: i64) {
        self.offset_ms.fetch_add(by, Ordering::SeqCst);
    }
}

fn date(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-20T18:04:11.512Z`
pub fn rfc3339(ms: i64) -> String {
    let t = date(ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.millisecond()
    )
}

/// `Fri, 20 Nov 2026 18:04:11 GMT`, as in `Date` and `Last-Modified` (RFC 9110 section 5.6.7).
pub fn http_date(ms: i64) -> String {
    let t = date(ms);
    let (day, month) = (t.weekday().to_string(), t.month().to_string());
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &day[..3],
        t.day(),
        &month[..3],
        t.year(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

/// Year, month, day, hour, minute, second of a Unix time, for zip entries.
pub fn fields(unix: i64) -> (u16, u8, u8, u8, u8, u8) {
    let t = date(unix * SECOND);
    (t.year() as u16, t.month().into(), t.day(), t.hour(), t.minute(), t.second())
}

/// The Unix time of these fields, taken as UTC.
pub fn unix(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> i64 {
    let month = time::Month::try_from(month).unwrap_or(time::Month::January);
    time::Date::from_calendar_date(i32::from(year), month, day)
        .and_then(|d| d.with_hms(hour, minute, second))
        .map_or(0, |t| t.assume_utc().unix_timestamp())
}
