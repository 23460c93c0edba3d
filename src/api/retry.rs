//! PURE. What may be sent again, and after how long. Sleeping is injected.

use std::time::Duration;

use crate::error::{Error, ErrorCode, is_refusal};

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(8);

/// How often and how patiently a call is repeated.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    /// Repetitions after the first attempt.
    pub(crate) retries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 2 }
    }
}

impl RetryPolicy {
    /// The pause before the next attempt, or `None` when the call has failed for good.
    ///
    /// `broken`: the answer's body broke off. `attempt` counts from 0, `left` is what remains of the call's
    /// total, `jitter` lies in 0..=1. A pause asked for by the service that does not fit is not cut short: the
    /// call ends instead.
    pub(crate) fn pause(
        &self,
        error: &Error,
        broken: bool,
        attempt: u32,
        left: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        if attempt >= self.retries || !may_repeat(error, broken) {
            return None;
        }
        let backoff = Duration::from_millis(500).saturating_mul(1 << attempt.min(4)).min(LONGEST);
        let pause = match error {
            Error::Api { retry_after: Some(asked), .. } if *asked > LONGEST => return None,
            Error::Api { retry_after: Some(asked), .. } => *asked,
            _ => backoff.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)),
        };
        (pause < left).then_some(pause)
    }
}

/// Whether sending the same request again can do no harm and may help.
fn may_repeat(error: &Error, broken: bool) -> bool {
    match error {
        Error::Network { method, status, .. } => *method == "GET" && !is_refusal(*status),
        // A body that broke off is a network error whose status was seen.
        Error::UnexpectedResponse { method, status, .. } => {
            *method == "GET" && broken && !is_refusal(Some(*status))
        }
        Error::Api { method, status: 503, code, .. } => {
            *code == ErrorCode::UPLOAD_BUSY
                || *code == ErrorCode::ANALYTICS_BUSY
                || (*method == "GET" && *code == ErrorCode::DATABASE_UNAVAILABLE)
        }
        _ => false,
    }
}

/// The value of a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3) against the answer's own
/// `Date`, so that the local clock does not matter.
pub(crate) fn retry_after(value: &str, date: Option<time::OffsetDateTime>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let wait = http_date(value)? - date?;
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

/// An HTTP date in its preferred form (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<time::OffsetDateTime> {
    let text = text.trim().strip_suffix(" GMT")?;
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = words.next()?.parse().ok()?;
    let month = match words.next()? {
        "Jan" => 1,
        "Feb" => 2,
        "Mar" => 3,
        "Apr" => 4,
        "May" => 5,
        "Jun" => 6,
        "Jul" => 7,
        "Aug" => 8,
        "Sep" => 9,
        "Oct" => 10,
        "Nov" => 11,
        "Dec" => 12,
        _ => return None,
    };
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u8>().ok());
    let time = time::Time::from_hms(clock.next()??, clock.next()??, clock.next()??.min(59)).ok()?;
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    Some(date.with_time(time).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(method: &'static str, status: u16, code: &str, retry_after: Option<u64>) -> Error {
        Error::Api {
            method,
            path: "/".into(),
            status,
            code: code.into(),
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn network(method: &'static str) -> Error {
        Error::Network { method, path: "/".into(), status: None, source: "reset".into() }
    }

    const LEFT: Duration = Duration::from_secs(30);

    #[test]
    fn only_what_is_safe_is_repeated() {
        let again = |error: &Error| RetryPolicy::default().pause(error, false, 0, LEFT, 1.0).is_some();
        assert!(again(&network("GET")));
        assert!(again(&api("GET", 503, "DATABASE_UNAVAILABLE", None)));
        assert!(again(&api("POST", 503, "UPLOAD_BUSY", None)));
        assert!(!again(&network("POST")));
        assert!(!again(&api("POST", 503, "DATABASE_UNAVAILABLE", None)));
        assert!(!again(&api("GET", 200, "UPLOAD_BUSY", None)));
        for (status, code) in [(429, "KEEP_CALM"), (401, "ACCESS_DENIED"), (403, "MISSING_SCOPE"), (500, "X")]
        {
            assert!(!again(&api("GET", status, code, None)), "{code}");
        }
        let timeout = Error::Timeout {
            method: "GET",
            path: "/".into(),
            phase: "x".into(),
            limit: Duration::from_secs(1),
            status: None,
        };
        assert!(!again(&timeout), "a timeout is never waited for twice");
    }

    #[test]
    fn pauses_grow_and_are_clamped() {
        let policy = RetryPolicy { retries: 100 };
        let pause = |attempt, jitter| {
            policy.pause(&network("GET"), false, attempt, LEFT, jitter).unwrap().as_millis()
        };
        assert_eq!([pause(0, 1.0), pause(1, 1.0), pause(2, 0.0), pause(50, 1.0)], [500, 1000, 1000, 8000]);
        assert!(RetryPolicy::default().pause(&network("GET"), false, 2, LEFT, 0.0).is_none());
        assert!(policy.pause(&network("GET"), false, 0, Duration::from_millis(100), 0.0).is_none());
    }

    #[test]
    fn a_long_retry_after_ends_the_call() {
        let pause = |seconds| {
            RetryPolicy::default().pause(&api("GET", 503, "UPLOAD_BUSY", Some(seconds)), false, 0, LEFT, 0.0)
        };
        assert_eq!(pause(3), Some(Duration::from_secs(3)));
        assert_eq!(pause(0), Some(Duration::ZERO));
        assert_eq!(pause(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = http_date("Mon, 23 Nov 2026 22:59:27 GMT");
        assert_eq!(date.map(time::OffsetDateTime::unix_timestamp), Some(1_795_474_767));
        assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Mon, 23 Nov 2026 23:00:27 GMT", date), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Mon, 23 Nov 2026 22:00:27 GMT", date), Some(Duration::ZERO));
        for bad in ["", "-1", "soon", "Mon, 99 Nov 2026 22:59:27 GMT", "1e9"] {
            assert_eq!(retry_after(bad, date), None, "{bad}");
        }
    }
}
