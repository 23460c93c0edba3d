//! PURE. What may be sent again and after how long, and when a slow transfer is given up: one policy for calls of the API
//! and for transfers.

use std::time::Duration;

use crate::error::Error;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(8);
/// The first pause of an API call.
const API: Duration = Duration::from_millis(500);
/// The first pause of a transfer, whose connections often break off through no fault of the host.
const TRANSFER: Duration = Duration::from_millis(50);
/// How many attempts in a row a transfer gets while the host stays silent, and while it says that it is busy.
const SILENT: u32 = 2;
const BUSY: u32 = 3;
/// How many new bytes make a transfer's attempt count as progress; of a small snapshot a 64th does.
const PROGRESS: u64 = 4 * 1024;

/// The pause before the attempt after the `failed`th failure in a row, counted from 0: doubled each time, and
/// spread by `jitter` in 0..=1, so that many clients do not come back at once.
fn backoff(first: Duration, failed: u32, jitter: f64) -> Duration {
    let pause = first.saturating_mul(1 << failed.min(16)).min(LONGEST);
    pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// The pause before a call of the API is sent again, or `None` when it may not be: never after a timeout, since the
/// caller has waited long enough.
///
/// `attempt` counts from 0, `left` is what remains of the call's total, `jitter` lies in 0..=1. A pause asked for by
/// the service that does not fit is not cut short: the call ends instead.
pub(crate) fn pause(error: &Error, attempt: u32, left: Duration, jitter: f64) -> Option<Duration> {
    let pause = match error {
        _ if !error.is_retryable() => return None,
        Error::Api { status: 503, retry_after: Some(asked), .. } => *asked,
        Error::Api { status: 503, .. } | Error::Network { .. } => backoff(API, attempt, jitter),
        _ => return None,
    };
    (pause <= LONGEST && pause < left).then_some(pause)
}

/// Counts the attempts of a transfer in a row that brought nothing new.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    limit: u32,
    failed: u32,
    /// New bytes since the last attempt that counted as progress.
    gained: u64,
    /// How many of them are progress.
    enough: u64,
}

impl Attempts {
    /// At most `limit` attempts in a row.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, failed: 0, gained: 0, enough: PROGRESS }
    }

    /// `bytes` came that had not come before, of `total`.
    pub(crate) fn gained(&mut self, bytes: u64, total: Option<u64>) {
        self.gained = self.gained.saturating_add(bytes);
        self.enough = total.map_or(PROGRESS, |total| (total / 64).clamp(1, PROGRESS));
    }

    /// The pause before the next attempt after one that ended in `error`, or `None` when the transfer has failed
    /// for good. `jitter` lies in 0..=1.
    pub(crate) fn pause(&mut self, error: &Error, jitter: f64) -> Option<Duration> {
        let progress = self.gained >= self.enough;
        if progress {
            (self.failed, self.gained) = (0, 0);
        }
        self.failed += 1;
        let limit = match error {
            Error::Timeout { .. } => self.limit.min(SILENT),
            Error::UnexpectedResponse { .. } => self.limit.min(BUSY),
            _ => self.limit,
        };
        if self.failed >= limit || !error.is_retryable() {
            return None;
        }
        Some(if progress { Duration::ZERO } else { backoff(TRANSFER, self.failed - 1, jitter) })
    }
}

/// Counts bytes over windows of time spent waiting for the host: a slow disk is not held against the network.
#[derive(Clone, Debug)]
pub(crate) struct Speed {
    window: Duration,
    /// How many bytes a window must bring.
    least: u64,
    elapsed: Duration,
    bytes: u64,
    /// Whether the last window brought less.
    slow: bool,
}

impl Speed {
    pub(crate) fn new(window: Duration, bytes_per_second: u64) -> Self {
        let least = u128::from(bytes_per_second) * window.as_millis() / 1000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        Self { window, least, elapsed: Duration::ZERO, bytes: 0, slow: false }
    }

    /// Notes `time` without a byte, as one window at most: a single stall is forgiven.
    pub(crate) fn survives(&mut self, time: Duration) -> bool {
        self.keeps_up(0, time.min(self.window))
    }

    /// Notes a read that brought `bytes` in `time`. `false`: two windows in a row brought less than they must.
    pub(crate) fn keeps_up(&mut self, bytes: u64, time: Duration) -> bool {
        self.elapsed += time;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.elapsed < self.window {
            return true;
        }
        // One read may have taken several windows.
        let windows = (self.elapsed.as_nanos() / self.window.as_nanos().max(1)) as u64;
        let slow = self.bytes < self.least.saturating_mul(windows);
        let keeps_up = !slow || (windows == 1 && !self.slow);
        (self.elapsed, self.bytes, self.slow) = (Duration::ZERO, 0, slow);
        keeps_up
    }
}

/// A number in 0..=1 that differs from call to call: the seed every hash map gets is random enough.
pub(crate) fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let failure = crate::NetworkFailure::Broken;
        Error::Network { method, path: "/".into(), failure, peer: "h:443".into(), status: None, source: "reset".into() }
    }

    const LEFT: Duration = Duration::from_secs(30);

    #[test]
    fn only_what_is_safe_is_repeated() {
        let again = |error: &Error| pause(error, 0, LEFT, 1.0).is_some();
        assert!(again(&network("GET")));
        assert!(again(&api("GET", 503, "DATABASE_UNAVAILABLE", None)));
        assert!(again(&api("POST", 503, "UPLOAD_BUSY", None)));
        assert!(!again(&network("POST")));
        assert!(!again(&api("POST", 503, "DATABASE_UNAVAILABLE", None)));
        assert!(!again(&api("GET", 200, "UPLOAD_BUSY", None)));
        for (status, code) in [(429, "KEEP_CALM"), (401, "ACCESS_DENIED"), (403, "MISSING_SCOPE"), (500, "X")] {
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
        let millis = |attempt, jitter| pause(&network("GET"), attempt, LEFT, jitter).unwrap().as_millis();
        assert_eq!([millis(0, 1.0), millis(1, 1.0), millis(2, 0.0), millis(50, 1.0)], [500, 1000, 1000, 8000]);
        assert!(pause(&network("GET"), 0, Duration::from_millis(100), 0.0).is_none());
    }

    #[test]
    fn a_long_retry_after_ends_the_call() {
        let asked = |seconds| pause(&api("GET", 503, "UPLOAD_BUSY", Some(seconds)), 0, LEFT, 0.0);
        assert_eq!(asked(3), Some(Duration::from_secs(3)));
        assert_eq!(asked(0), Some(Duration::ZERO));
        assert_eq!(asked(3600), None);
    }

    const WINDOW: Duration = Duration::from_secs(4);

    proptest! {
        /// However a server spends its time: fewer bytes than the minimum end the transfer within four windows.
        #[test]
        fn a_drip_ends(reads in proptest::collection::vec((1u64..3900, 0u64..3), 1..200)) {
            let (mut speed, mut now) = (Speed::new(WINDOW, 1024), 0);
            for (gap, bytes) in reads {
                now += gap;
                if !speed.keeps_up(bytes, Duration::from_millis(gap)) { break; }
                prop_assert!(now < 16_000, "still going after {} ms", now);
            }
        }

        #[test]
        fn a_flow_above_the_minimum_passes(reads in proptest::collection::vec(1u64..20_000, 1..200)) {
            let mut speed = Speed::new(WINDOW, 1024);
            for gap in reads {
                prop_assert!(speed.keeps_up(gap * 2, Duration::from_millis(gap)));
            }
        }
    }

    #[test]
    fn one_slow_window_is_forgiven_and_a_second_one_is_not() {
        let mut speed = Speed::new(WINDOW, 1024);
        for _ in 0..3 {
            assert!(speed.keeps_up(1 << 20, WINDOW));
            assert!(speed.keeps_up(1, WINDOW));
        }
        assert!(!speed.keeps_up(1, WINDOW));
        assert!(!Speed::new(WINDOW, 1024).keeps_up(1, WINDOW * 2), "in one read");
        assert!(Speed::new(WINDOW, 0).keeps_up(0, WINDOW * 9), "without a minimum");
    }
}
