//! PURE. The service's codes and limits: what an error is about, and how long it lasts as far as that is known.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// The service's code for an error: an open set, compared like a string.
///
/// ```
/// use squarecloud_blocking::ErrorCode;
/// assert_eq!(ErrorCode::from("KEEP_CALM"), ErrorCode::KEEP_CALM);
/// assert!(ErrorCode::from("A_CODE_OF_TOMORROW") == "A_CODE_OF_TOMORROW");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(Cow<'static, str>);

impl ErrorCode {
    /// The response has no code.
    pub const UNKNOWN: Self = Self::known("UNKNOWN_ERROR");
    /// The route's own cooldown: wait seconds to minutes.
    pub const KEEP_CALM: Self = Self::known("KEEP_CALM");
    /// The budget of the account, key or address is used up: blocked for about 30 minutes.
    pub const RATE_LIMITED: Self = Self::known("RATE_LIMITED");
    /// The owner's snapshot quota of a rolling day is used up.
    pub const DAILY_SNAPSHOTS_LIMIT_REACHED: Self = Self::known("DAILY_SNAPSHOTS_LIMIT_REACHED");
    /// The snapshot is still being made; it appears in the listing.
    pub const SNAPSHOT_PROCESSING: Self = Self::known("SNAPSHOT_PROCESSING");
    /// The restore goes on in the background.
    pub const SNAPSHOT_RESTORE_PROCESSING: Self = Self::known("SNAPSHOT_RESTORE_PROCESSING");
    /// Another snapshot of the resource is still being made.
    pub const SNAPSHOT_IN_PROGRESS: Self = Self::known("SNAPSHOT_IN_PROGRESS");
    /// The cluster could not make the snapshot (sent with HTTP 404).
    pub const SNAPSHOT_FAILED: Self = Self::known("SNAPSHOT_FAILED");
    /// The restore failed (sent with HTTP 404).
    pub const SNAPSHOT_RESTORE_FAILED: Self = Self::known("SNAPSHOT_RESTORE_FAILED");
    /// No such snapshot or version.
    pub const SNAPSHOT_NOT_FOUND: Self = Self::known("SNAPSHOT_NOT_FOUND");
    /// The snapshot's archive is damaged.
    pub const SNAPSHOT_CORRUPT: Self = Self::known("SNAPSHOT_CORRUPT");
    /// The snapshot is of another kind of database.
    pub const SNAPSHOT_DATABASE_MISMATCH: Self = Self::known("SNAPSHOT_DATABASE_MISMATCH");
    /// A restore blocks the action for about two minutes.
    pub const RESTORE_IN_PROGRESS: Self = Self::known("RESTORE_IN_PROGRESS");
    /// The restore was interrupted.
    pub const RESTORE_INTERRUPTED: Self = Self::known("RESTORE_INTERRUPTED");
    /// No such app, or the key may not see it.
    pub const APP_NOT_FOUND: Self = Self::known("APP_NOT_FOUND");
    /// No such database, or the key may not see it.
    pub const DATABASE_NOT_FOUND: Self = Self::known("DATABASE_NOT_FOUND");
    /// The service has no such route.
    pub const ROUTE_NOT_FOUND: Self = Self::known("ROUTE_NOT_FOUND");
    /// The key is wrong or missing.
    pub const ACCESS_DENIED: Self = Self::known("ACCESS_DENIED");
    /// The key lacks the scope of the call.
    pub const MISSING_SCOPE: Self = Self::known("MISSING_SCOPE");
    /// The plan does not include the call.
    pub const UPGRADE_REQUIRED: Self = Self::known("UPGRADE_REQUIRED");
    /// Uploads are busy; trying again is safe.
    pub const UPLOAD_BUSY: Self = Self::known("UPLOAD_BUSY");
    /// Analytics are busy; trying again is safe.
    pub const ANALYTICS_BUSY: Self = Self::known("ANALYTICS_BUSY");
    /// The service's own database is briefly unavailable.
    pub const DATABASE_UNAVAILABLE: Self = Self::known("DATABASE_UNAVAILABLE");
    /// The upload is over 100 MiB.
    pub const FILE_TOO_LARGE: Self = Self::known("FILE_TOO_LARGE");

    const fn known(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// The code as the service sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ErrorCode {
    fn from(code: T) -> Self {
        Self(Cow::Owned(code.into()))
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for ErrorCode {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long the budget blocks once it is used up.
const BUDGET: Duration = Duration::from_secs(30 * 60);

/// A limit of the service. Each calls for a different reaction.
///
/// ```
/// # fn react(error: &squarecloud_blocking::Error) {
/// use squarecloud_blocking::Limit;
/// match error.limit() {
///     Some(Limit::Cooldown) => {} // this route, again in seconds to minutes: see `retry_after()`
///     Some(Limit::Budget) => {}   // no call at all for about half an hour
///     Some(Limit::Quota) => {}    // no snapshot until one of the last 24 h is a day old
///     _ => {}                     // not a limit
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// The route was used a moment ago (`KEEP_CALM`): seconds to minutes.
    Cooldown,
    /// The account, key or address made too many requests (`RATE_LIMITED` and its older names): about 30
    /// minutes, in which every call is refused.
    Budget,
    /// The owner's snapshots of a rolling day are used up (`DAILY_SNAPSHOTS_LIMIT_REACHED`): until the oldest of
    /// them is a day old.
    Quota,
}

impl Limit {
    pub(super) fn of(code: &ErrorCode) -> Option<Self> {
        match code.as_str() {
            "KEEP_CALM" => Some(Self::Cooldown),
            "RATE_LIMITED" | "RATE_LIMIT" | "RATE_LIMIT_EXCEEDED" => Some(Self::Budget),
            "DAILY_SNAPSHOTS_LIMIT_REACHED" => Some(Self::Quota),
            _ => None,
        }
    }
}

/// A rate limit, as the service writes it at the end of a message: `1r/5s`, `8r/24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many requests are allowed.
    pub requests: u32,
    /// The period in which they are allowed.
    pub per: Duration,
}

impl fmt::Display for Rate {
    /// As the service writes it: `8r/24h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        let (n, unit) = match seconds {
            s if s > 0 && s.is_multiple_of(3600) => (s / 3600, 'h'),
            s if s > 60 && s.is_multiple_of(60) => (s / 60, 'm'),
            s => (s, 's'),
        };
        write!(f, "{}r/{n}{unit}", self.requests)
    }
}

/// The last rate in a message.
fn rate(message: &str) -> Option<Rate> {
    message.split_whitespace().rev().find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let (requests, per) = word.split_once("r/")?;
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let (count, seconds) = units.iter().find_map(|(unit, seconds)| Some((per.strip_suffix(*unit)?, seconds)))?;
        let requests: u32 = requests.parse().ok()?;
        let count: u32 = if count.is_empty() { 1 } else { count.parse().ok()? };
        let per = Duration::from_secs(u64::from(count) * seconds);
        (requests > 0 && count > 0).then_some(Rate { requests, per })
    })
}

impl Error {
    /// Returns which limit of the service was reached; `None` when none was, or when the response does not say (an
    /// HTTP 429 without a code of the service, which [`is_rate_limited`](Self::is_rate_limited) covers).
    pub fn limit(&self) -> Option<Limit> {
        match self.innermost() {
            Self::TooSoon { limit, .. } => Some(*limit),
            error => error.code().and_then(Limit::of),
        }
    }

    /// Returns how often the call is allowed, if the service's message says so.
    ///
    /// For a [`Limit::Quota`] this is the whole quota, for instance 8 in 24 h.
    pub fn rate(&self) -> Option<Rate> {
        match self.innermost() {
            Self::Api { message, .. } if self.is_rate_limited() => rate(message),
            _ => None,
        }
    }

    /// Returns how long to wait before the same call can succeed, if that is known.
    ///
    /// The service's `Retry-After` comes first. Otherwise a cooldown lasts at most the time of its
    /// [`rate`](Self::rate), and a budget blocks for about 30 minutes. A quota frees up when the oldest snapshot of
    /// the last 24 h is a day old; only a listing shows when that is, so it is `None`.
    pub fn retry_after(&self) -> Option<Duration> {
        let (Self::Api { retry_after, .. } | Self::UnexpectedResponse { retry_after, .. }) = self.innermost() else {
            return None;
        };
        retry_after.or_else(|| match self.limit()? {
            Limit::Cooldown => self.rate().map(|rate| rate.per),
            Limit::Budget => Some(BUDGET),
            Limit::Quota => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn api(code: &str, message: &str, retry_after: Option<u64>) -> Error {
        Error::Api {
            method: "POST",
            path: "/v2/apps/a/snapshots".into(),
            status: 429,
            code: code.into(),
            message: message.into(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn rates_are_read_from_the_end() {
        let seconds = |requests, per| Some(Rate { requests, per: Duration::from_secs(per) });
        assert_eq!(rate("You already requested a snapshot recently. 1r/5s"), seconds(1, 5));
        assert_eq!(rate("You reached your limit (8r/24h)."), seconds(8, 86_400));
        assert_eq!(rate("was 1r/5s, is 2r/3m"), seconds(2, 180));
        assert_eq!(rate("20r/15s"), seconds(20, 15));
        assert_eq!(rate("3r/m"), seconds(3, 60));
        for none in ["", "calm", "r/5s", "1r/", "0r/5s", "1r/0s", "x1r/5s", "1r/5x", "1r/99999999999s", "é1r/5sé é"]
        {
            let read = rate(none);
            assert!(read.is_none() || none.starts_with('é'), "{none}: {read:?}");
        }
    }

    #[test]
    fn the_three_limits_are_told_apart_and_say_how_long_to_wait() {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        let cases = [
            (api("KEEP_CALM", "Keep calm! 1r/180s", None), Some(Limit::Cooldown), minutes(3), "wait 180 s"),
            (api("KEEP_CALM", "Keep calm! 1r/5s", Some(60)), Some(Limit::Cooldown), minutes(1), "wait 60 s"),
            (api("KEEP_CALM", "Keep calm!", None), Some(Limit::Cooldown), None, "wait"),
            (api("RATE_LIMITED", "", None), Some(Limit::Budget), minutes(30), "wait 30 min"),
            (api("RATE_LIMIT", "", None), Some(Limit::Budget), minutes(30), "wait 30 min"),
            (api("RATE_LIMIT_EXCEEDED", "", None), Some(Limit::Budget), minutes(30), "wait 30 min"),
            (api("DAILY_SNAPSHOTS_LIMIT_REACHED", "8r/24h", None), Some(Limit::Quota), None, "day old"),
            (api("UNKNOWN_ERROR", "", None), None, None, "HTTP 429"),
        ];
        for (error, limit, wait, line) in cases {
            assert_eq!((error.limit(), error.retry_after()), (limit, wait), "{error}");
            assert!(error.to_string().contains(line) && error.is_rate_limited(), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_is_read_back(requests in 1u32.., count in 1u32..100_000, unit in "[smhd]", text in ".{0,40}") {
            let seconds = match unit.as_str() { "s" => 1, "m" => 60, "h" => 3600, _ => 86_400 };
            let read = rate(&format!("{text} {requests}r/{count}{unit}"));
            prop_assert_eq!(read, Some(Rate { requests, per: Duration::from_secs(u64::from(count) * seconds) }));
            if let Some(read) = read {
                prop_assert_eq!(rate(&read.to_string()), Some(read));
            }
        }
    }
}
