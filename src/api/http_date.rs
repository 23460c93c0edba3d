//! PURE. Dates of HTTP, and how long a `Retry-After` asks to wait.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How far ahead a year of two digits may lie: about 50 years.
const AHEAD: time::Duration = time::Duration::days(18_262);

/// The value of a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3). `now` is the response's own
/// `Date`, if it has one, so that the local clock does not matter.
pub(crate) fn retry_after(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // What does not fit is nonsense, and ignored.
        return Some(Duration::from_secs(value.parse::<u32>().ok()?.into()));
    }
    let wait = http_date(value, now)? - now;
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

/// An HTTP date in any of its three forms (RFC 9110, section 5.6.7). `now` tells the century of a year of two digits.
pub(crate) fn http_date(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time, zone) = match words[..] {
        [_, day, month, year, time, zone] => (day, month, year, time, zone),
        [_, month, day, time, year] => (day, month, year, time, "GMT"),
        _ => return None,
    };
    // The preferred form is RFC 2822's; the obsolete ones are put into it.
    let parse = |year: i32| OffsetDateTime::parse(&format!("{day} {month} {year:04} {time} {zone}"), &Rfc2822).ok();
    let digits: u16 = year.parse().ok()?;
    if year.len() != 2 {
        return parse(digits.into());
    }
    let last = now.year() + 50;
    let year = last - (last - i32::from(digits)).rem_euclid(100);
    [year, year - 100].into_iter().filter_map(parse).find(|date| *date - now <= AHEAD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMF: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn at(unix: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(unix).unwrap()
    }

    #[test]
    fn the_three_forms_are_read() {
        let now = at(1_795_474_767);
        for text in [IMF, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", " Sun Nov 16 08:49:37 1994 "] {
            let days = if text.contains("16") { 10 } else { 0 };
            assert_eq!(http_date(text, now), Some(at(784_111_777 + days * 86_400)), "{text}");
        }
        let bad =
            ["", "soon", "Mon, 99 Nov 2026 22:59:27 GMT", "Sun, 06 Nov 1994 08:49:37 MARS", "Sun, 06 Nov 94", IMF];
        for bad in bad.map(|text| text.replace("1994 08", "1994 8:")) {
            assert_eq!(http_date(&bad, now), None, "{bad}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        let year = |now: &str, text: &str| {
            let now = http_date(now, at(0)).unwrap();
            http_date(text, now).unwrap().year()
        };
        let cases = [
            ("Mon, 23 Nov 2026 22:59:27 GMT", "Monday, 23-Nov-26 23:00:27 GMT", 2026),
            ("Mon, 23 Nov 2026 22:59:27 GMT", "Sunday, 01-Nov-76 08:49:37 GMT", 2076),
            ("Mon, 23 Nov 2026 22:59:27 GMT", "Sunday, 01-Dec-76 08:49:37 GMT", 1976),
            ("Mon, 23 Nov 2026 22:59:27 GMT", "Sunday, 01-Nov-77 08:49:37 GMT", 1977),
            ("Thu, 31 Dec 2099 23:59:59 GMT", "Friday, 01-Jan-00 00:00:59 GMT", 2100),
        ];
        for (now, text, expected) in cases {
            assert_eq!(year(now, text), expected, "{text} in {now}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = at(784_111_777);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            (IMF, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1e9", None),
            ("1.5", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "([A-Za-z]{3,9}[, ]{1,2})?[0-9A-Za-z:, -]{0,40}( GMT)?", now in -377_705_116_800i64..253_402_300_799) {
            let _ = retry_after(&value, at(now));
        }

        #[test]
        fn a_date_is_read_back(now in 0i64..4_102_444_800, wait in 0u64..1_000_000_000) {
            let date = at(now + i64::try_from(wait).unwrap()).format(&Rfc2822).unwrap().replace("+0000", "GMT");
            prop_assert_eq!(retry_after(&date, at(now)), Some(Duration::from_secs(wait)), "{}", date);
        }
    }
}
