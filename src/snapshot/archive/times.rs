//! When an entry was last modified. Fields that make no sense count as absent: odd dates are common.

use std::time::{Duration, SystemTime};

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::format::{Central, NTFS, TIMESTAMP, field, u16_at, u32_at, u64_at};

/// The entry's time, the best source first: extended timestamp (UTC), NTFS (UTC), DOS (local time).
pub(super) fn modified(central: &Central<'_>) -> Option<PrimitiveDateTime> {
    stamp(central.extra).or_else(|| ntfs(central.extra)).or_else(|| dos(central.date, central.time))
}

/// The Info-ZIP extended timestamp: a flag byte, then seconds since 1970 as a signed 32-bit number.
fn stamp(extra: &[u8]) -> Option<PrimitiveDateTime> {
    let body = field(extra, TIMESTAMP)?;
    if body.first()? & 1 == 0 {
        return None;
    }
    let seconds = i64::from(u32_at(body, 1)?.cast_signed());
    primitive(OffsetDateTime::from_unix_timestamp(seconds).ok()?)
}

/// The NTFS field (APPNOTE 4.5.5): attribute 1 begins with the modification time, in 100 ns since 1601.
fn ntfs(extra: &[u8]) -> Option<PrimitiveDateTime> {
    let mut rest = field(extra, NTFS)?.get(4..)?;
    loop {
        let (tag, len) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let body = rest.get(4..4 + len)?;
        if tag == 1 {
            let ticks = u64_at(body, 0).filter(|ticks| *ticks != 0)?;
            let nanos = i128::from(ticks) * 100 - 11_644_473_600 * 1_000_000_000;
            return primitive(OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?);
        }
        rest = rest.get(4 + len..)?;
    }
}

fn primitive(at: OffsetDateTime) -> Option<PrimitiveDateTime> {
    Some(PrimitiveDateTime::new(at.date(), at.time()))
}

/// MS-DOS date and time (APPNOTE 4.4.6): two seconds fine, no time zone.
fn dos(date: u16, time: u16) -> Option<PrimitiveDateTime> {
    let [month, day] = [(date >> 5) & 15, date & 31].map(|n| u8::try_from(n).unwrap_or(0));
    let [hour, minute, second] =
        [time >> 11, (time >> 5) & 63, (time & 31) * 2].map(|n| u8::try_from(n).unwrap_or(0));
    let date =
        Date::from_calendar_date(1980 + i32::from(date >> 9), Month::try_from(month).ok()?, day).ok()?;
    Some(PrimitiveDateTime::new(date, Time::from_hms(hour, minute, second).ok()?))
}

/// The time as a file system takes it. A DOS time is taken as UTC: there is no time zone in the archive.
pub(super) fn system(at: PrimitiveDateTime) -> Option<SystemTime> {
    let nanos = at.assume_utc().unix_timestamp_nanos();
    let span = Duration::from_nanos(u64::try_from(nanos.unsigned_abs()).ok()?);
    if nanos < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(span)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn central<'a>(date: u16, time: u16, extra: &'a [u8]) -> Central<'a> {
        Central { date, time, extra, ..Central::default() }
    }

    fn show(central: &Central<'_>) -> Option<String> {
        modified(central).map(|at| at.to_string())
    }

    #[test]
    fn dos_times_that_do_not_exist_are_absent() {
        let good = (40 << 9) | (2 << 5) | 29; // 2020-02-29
        assert_eq!(
            show(&central(good, (23 << 11) | (59 << 5) | 29, b"")).as_deref(),
            Some("2020-02-29 23:59:58.0")
        );
        for (date, time) in [
            (0, 0),
            (good, 31 << 11),
            (good, 60 << 5),
            (good, 30),
            ((41 << 9) | (2 << 5) | 29, 0),
            (13 << 5 | 1, 0),
        ] {
            assert_eq!(show(&central(date, time, b"")), None, "{date} {time}");
        }
    }

    #[test]
    fn broken_timestamp_fields_fall_back() {
        let good = (40 << 9) | (2 << 5) | 29;
        for extra in [
            &b"UT\0\0"[..],
            b"UT\x01\0\x01",
            b"UT\x05\0\x00abcd",
            b"UT\xff\0\x01abcd",
            b"\x0a\0\x04\0\0\0\0\0",
            b"\x0a\0\x09\0\0\0\0\0\x01\0\x18\0a",
        ] {
            assert_eq!(show(&central(good, 0, extra)).as_deref(), Some("2020-02-29 0:00:00.0"), "{extra:?}");
        }
        assert_eq!(
            show(&central(good, 0, b"UT\x05\0\x01\xff\xff\xff\xff")).as_deref(),
            Some("1969-12-31 23:59:59.0")
        );
    }

    #[test]
    fn ntfs_times_keep_their_fraction() {
        let ticks = (1_600_000_000u64 + 11_644_473_600) * 10_000_000 + 5;
        let mut extra = b"\x0a\0\x20\0\0\0\0\0\x01\0\x18\0".to_vec();
        extra.extend(ticks.to_le_bytes());
        extra.extend([0; 16]);
        assert_eq!(show(&central(0, 0, &extra)).as_deref(), Some("2020-09-13 12:26:40.0000005"));
        let at = modified(&central(0, 0, &extra)).and_then(system);
        assert_eq!(at, SystemTime::UNIX_EPOCH.checked_add(Duration::new(1_600_000_000, 500)));
    }
}
