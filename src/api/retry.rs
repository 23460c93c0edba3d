//! PURE. What may be sent again and after how long, and when a slow transfer is given up: calls of the API and transfers
//! pause alike; a call ends after a few attempts, a transfer when it has made no progress for some time.

use std::time::Duration;

use crate::error::Error;

/// The first pause between two attempts, and the longest one.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// How many new bytes make a transfer's attempt count as progress; of a small snapshot a 64th does.
const PROGRESS: u64 = 4 * 1024;

/// The pause after `before` earlier ones: doubled each time, and spread by `jitter` in 0..=1, so that many clients do not
/// come back at once.
pub(crate) fn backoff(before: u32, jitter: f64) -> Duration {
    let pause = FIRST.saturating_mul(1 << before.min(16)).min(LONGEST);
    pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Whether a later request to the snapshot host may succeed where one got this status: the host or the edge in front of it
/// is busy or briefly broken. 520 to 530 are the
/// [edge's own](https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/).
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 520..=524 | 527 | 530)
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
        Error::Api { status: 503, .. } | Error::Network { .. } => backoff(attempt, jitter),
        _ => return None,
    };
    (pause <= LONGEST && pause < left).then_some(pause)
}

/// Decides how long a transfer goes on trying: counts the attempts in a row that brought nothing new, and the time since
/// the last progress.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    limit: u32,
    retry_for: Duration,
    /// Bytes per second below which new bytes are not progress.
    min_speed: u64,
    /// How many bytes the snapshot has, when known.
    total: Option<u64>,
    state: State,
}

/// What happened since the last progress.
#[derive(Clone, Debug, Default)]
struct State {
    failed: u32,
    pauses: u32,
    paused: Duration,
    waited: Duration,
    gained: u64,
}

impl Attempts {
    /// At most `limit` attempts in a row, and no attempt later than `retry_for` after the last progress.
    pub(crate) fn new(limit: u32, retry_for: Duration, min_speed: u64) -> Self {
        Self { limit, retry_for, min_speed, total: None, state: State::default() }
    }

    /// The transfer waited `time` for the host, and got `bytes` that it had not got before, of `total`.
    pub(crate) fn note(&mut self, time: Duration, bytes: u64, total: Option<u64>) {
        self.state.waited += time;
        self.state.gained = self.state.gained.saturating_add(bytes);
        self.total = total;
    }

    fn is_progress(&self) -> bool {
        let State { waited, gained, .. } = self.state;
        let enough = self.total.map_or(PROGRESS, |total| (total / 64).clamp(1, PROGRESS));
        // A host that sends a little between long silences would otherwise hold a transfer for ever.
        let slowest = u128::from(self.min_speed) * waited.as_millis() / 1000;
        gained >= enough && u128::from(gained) >= slowest
    }

    /// The pause before the next attempt after one that ended in `error`, or `None` when the transfer has failed
    /// for good. `jitter` lies in 0..=1.
    pub(crate) fn pause(&mut self, error: &Error, jitter: f64) -> Option<Duration> {
        let progress = self.is_progress();
        if progress {
            self.state = State::default();
        }
        let state = &mut self.state;
        state.failed += 1;
        let busy = matches!(error, Error::UnexpectedResponse { status, .. } if is_busy(*status));
        if state.failed >= self.limit || !(busy || error.is_retryable()) {
            return None;
        }
        if progress {
            return Some(Duration::ZERO);
        }
        let left = self.retry_for.saturating_sub(state.waited + state.paused);
        // A host that asks for no pause at all is not taken at its word.
        let pause = backoff(state.pauses, jitter);
        let pause = error.retry_after().map_or(pause, |asked| asked.max(backoff(0, jitter))).min(left);
        state.pauses += 1;
        state.paused += pause;
        (!left.is_zero()).then_some(pause)
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
        assert!(!again(&timeout("x")), "a timeout is never waited for twice");
    }

    #[test]
    fn pauses_grow_and_are_clamped() {
        let millis = |attempt, jitter| pause(&network("GET"), attempt, LEFT * 2, jitter).unwrap().as_millis();
        assert_eq!([millis(0, 1.0), millis(1, 1.0), millis(2, 0.0), millis(50, 1.0)], [500, 1000, 1000, 30_000]);
        assert!(pause(&network("GET"), 0, Duration::from_millis(100), 0.0).is_none());
    }

    #[test]
    fn a_long_retry_after_ends_the_call() {
        let asked = |seconds| pause(&api("GET", 503, "UPLOAD_BUSY", Some(seconds)), 0, LEFT, 0.0);
        assert_eq!(asked(3), Some(Duration::from_secs(3)));
        assert_eq!(asked(0), Some(Duration::ZERO));
        assert_eq!(asked(3600), None);
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn timeout(phase: &'static str) -> Error {
        let (path, limit) = ("/".into(), Duration::from_secs(1));
        Error::Timeout { method: "GET", path, phase: phase.into(), limit, status: None }
    }

    fn response(status: u16) -> Error {
        let (path, excerpt) = ("/".into(), String::new());
        Error::UnexpectedResponse { method: "GET", path, status, problem: "busy".into(), excerpt, retry_after: None }
    }

    /// The pauses of a transfer that gets nothing but `error`, each time after `time`.
    fn pauses(mut attempts: Attempts, error: &Error, time: Duration) -> Vec<Duration> {
        let again = || {
            attempts.note(time, 0, None);
            attempts.pause(error, 1.0)
        };
        std::iter::from_fn(again).take(1000).collect()
    }

    #[test]
    fn an_outage_is_waited_out_for_as_long_as_agreed() {
        let attempts = || Attempts::new(u32::MAX, MINUTE * 2, 1024);
        let refused = pauses(attempts(), &network("GET"), Duration::ZERO);
        let seconds: Vec<f32> = refused.iter().map(Duration::as_secs_f32).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 28.5]);
        for status in [408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 527, 530] {
            assert_eq!(pauses(attempts(), &response(status), Duration::ZERO), refused, "{status}");
        }
        for status in [400, 401, 403, 404, 410, 416] {
            assert!(pauses(attempts(), &response(status), Duration::ZERO).is_empty(), "{status}");
        }
        // What the host takes counts, too.
        let slow: Duration = pauses(attempts(), &timeout("x"), MINUTE / 6).iter().sum();
        assert!(slow < MINUTE * 3 / 2, "{slow:?}");
        assert_eq!(pauses(Attempts::new(3, MINUTE, 0), &network("GET"), Duration::ZERO).len(), 2, "three attempts");
        assert!(pauses(Attempts::new(9, Duration::ZERO, 0), &network("GET"), Duration::ZERO).is_empty());
    }

    #[test]
    fn progress_starts_the_time_again_if_it_is_fast_enough() {
        let mut attempts = Attempts::new(u32::MAX, MINUTE, 1024);
        for _ in 0..50 {
            attempts.note(MINUTE / 2, 30 * 1024, None);
            assert_eq!(attempts.pause(&network("GET"), 1.0), Some(Duration::ZERO));
            assert_eq!(attempts.pause(&network("GET"), 1.0), Some(FIRST));
        }
        let mut attempts = Attempts::new(u32::MAX, MINUTE, 1024);
        let again = || {
            attempts.note(MINUTE / 4, 8 * 1024, None);
            attempts.pause(&network("GET"), 1.0)
        };
        assert!(std::iter::from_fn(again).take(9).count() < 4, "half the minimum speed");
    }

    proptest! {
        /// Whatever the host asks for: never longer than what is left, never at once.
        #[test]
        fn a_busy_host_is_given_the_time_it_asks_for(asked in proptest::collection::vec(0u64..1 << 40, 1..40)) {
            let (mut attempts, mut total) = (Attempts::new(u32::MAX, MINUTE, 0), Duration::ZERO);
            for seconds in asked {
                let asked = Duration::from_secs(seconds);
                let Some(pause) = attempts.pause(&api("GET", 503, "ANALYTICS_BUSY", Some(seconds)), 0.0) else { break };
                let left = MINUTE - total;
                prop_assert_eq!(pause, asked.max(FIRST / 2).min(left));
                total += pause;
            }
            prop_assert!(total <= MINUTE);
        }
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
