//! PURE. What a program can find out about an error. The methods look through errors that only wrap another one, so
//! they return the same whether an error comes from a call, a `Read`, a [`Source`](crate::Source) or an archive.

use std::error::Error as StdError;
use std::io;

use super::{Error, ErrorCode, NetworkFailure, Refusal};

impl Error {
    /// Returns the service's code, if the service sent the error.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self.innermost() {
            Self::Api { code, .. } | Self::RestoreFailed { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Returns the HTTP status of the response, if there was one: the service's, or that of a proxy that refused.
    pub fn status(&self) -> Option<u16> {
        match self.innermost() {
            Self::Api { status, .. } | Self::UnexpectedResponse { status, .. } => Some(*status),
            Self::Network { status, .. }
            | Self::Proxy { status, .. }
            | Self::Timeout { status, .. }
            | Self::Download { status, .. }
            | Self::StatusUnavailable { status, .. } => *status,
            _ => None,
        }
    }

    /// Returns why an archive was refused, if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.innermost() {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// Whether the same call may succeed if it is repeated soon. False for rate limits and quotas, which take longer to
    /// clear, and for calls whose work might then be done twice.
    pub fn is_retryable(&self) -> bool {
        match self.innermost() {
            Self::Api { method, code, .. } => {
                *code == ErrorCode::UPLOAD_BUSY
                    || *code == ErrorCode::ANALYTICS_BUSY
                    || (*method == "GET" && *code == ErrorCode::DATABASE_UNAVAILABLE)
            }
            // A refusal stays one even if the rest of its response was lost: another attempt would be useless or
            // harmful.
            Self::Network { failure: NetworkFailure::Certificate, .. } => false,
            Self::Network { method, status, .. } | Self::Timeout { method, status, .. } => {
                *method == "GET" && !status.is_some_and(|status| (400..500).contains(&status))
            }
            // While the service is down, its edge responds with a page of its own.
            Self::UnexpectedResponse { method, status, .. } => *method == "GET" && *status >= 500,
            _ => false,
        }
    }

    /// Whether the service refused because of a cooldown, a budget or a quota (HTTP 429).
    pub fn is_rate_limited(&self) -> bool {
        self.limit().is_some() || self.has_status(429)
    }

    /// Whether the app, database, snapshot or workspace does not exist, or the key may not see it.
    /// False for `SNAPSHOT_FAILED` and `SNAPSHOT_RESTORE_FAILED`, which are failures although they come with HTTP 404.
    pub fn is_not_found(&self) -> bool {
        match self.code().filter(|code| **code != ErrorCode::UNKNOWN) {
            Some(code) => code.as_str().ends_with("_NOT_FOUND") && *code != ErrorCode::ROUTE_NOT_FOUND,
            None => self.has_status(404),
        }
    }

    /// Whether the key is wrong, expired or lacks a scope. Such a call is never retried: the service blocks an address
    /// that keeps sending bad keys.
    pub fn is_unauthorized(&self) -> bool {
        let codes = [ErrorCode::ACCESS_DENIED, ErrorCode::MISSING_SCOPE];
        self.has_status(401) || self.code().is_some_and(|code| codes.contains(code))
    }

    /// Whether the account's plan does not include the call (HTTP 402, or `UPGRADE_REQUIRED` with another status).
    pub fn needs_upgrade(&self) -> bool {
        let codes = [ErrorCode::UPGRADE_REQUIRED, ErrorCode::from("SUBSCRIPTION_REQUIRED")];
        self.has_status(402) || self.code().is_some_and(|code| codes.contains(code))
    }

    /// Whether a time limit of this crate was exceeded.
    pub fn is_timeout(&self) -> bool {
        matches!(self.innermost(), Self::Timeout { .. })
    }

    /// Whether the callback cancelled the call.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.innermost(), Self::Cancelled { .. } | Self::WaitCancelled { .. })
    }

    /// Whether the service accepted the work and has not finished it. Do not repeat the call then.
    pub fn is_pending(&self) -> bool {
        matches!(self.innermost(), Self::Pending { .. })
    }

    /// Whether the service responded with `status` to a request of the API or of the snapshot host.
    fn has_status(&self, status: u16) -> bool {
        match self.innermost() {
            Self::Download { .. } | Self::StatusUnavailable { .. } | Self::Proxy { .. } => false,
            error => error.status() == Some(status),
        }
    }

    /// The error itself, or the error of this crate that it wraps.
    pub(super) fn innermost(&self) -> &Self {
        let source: &(dyn StdError + 'static) = match self {
            Self::Archive { source, .. } => &**source,
            Self::Io { source, .. } => source,
            _ => return self,
        };
        let mut cause = Some(source);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<Self>() {
                return error.innermost();
            }
            // `source()` of an `io::Error` leaves out the error it carries.
            cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        self
    }
}

/// For implementations of `Read` and [`Source`](crate::Source). The error is kept as it is:
/// `io_error.downcast::<Error>()` returns it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.innermost() {
            Error::Io { source, .. } => source.kind(),
            Error::Timeout { .. } => io::ErrorKind::TimedOut,
            Error::Invalid { .. } => io::ErrorKind::InvalidInput,
            Error::Refused { .. } => io::ErrorKind::InvalidData,
            Error::NoSuchEntry { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn expired() -> Error {
        Error::UnexpectedResponse {
            method: "GET",
            path: "/a.zip".into(),
            status: 403,
            problem: "the link has expired".into(),
            excerpt: String::new(),
            retry_after: None,
        }
    }

    fn stalled() -> Error {
        let limit = Duration::from_secs(1);
        Error::Timeout { method: "GET", path: "/a.zip".into(), phase: "reading".into(), limit, status: None }
    }

    /// The ways an error takes through a reader, a file operation and an archive.
    fn ways(error: fn() -> Error) -> Vec<Error> {
        let io = || io::Error::from(error());
        let archive = |source| Error::Archive { archive: None, entry: None, source };
        vec![
            error(),
            Error::io("writing", "a.zip", io()),
            archive(error().into()),
            archive(io().into()),
            archive(io::Error::other(io()).into()),
            archive(io::Error::from(Error::io("reading", "a.zip", io())).into()),
            Error::io("writing", "a.zip", io::Error::from(archive(io().into()))),
        ]
    }

    #[test]
    fn an_error_says_the_same_whatever_way_it_took() {
        for error in ways(expired) {
            assert_eq!((error.status(), error.is_retryable()), (Some(403), false), "{error:?}");
            assert!(!error.is_timeout() && !error.is_unauthorized(), "{error:?}");
        }
        for error in ways(stalled) {
            assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
        }
        let cancelled = || Error::Cancelled { action: "reading", path: "a.zip".into() };
        assert!(ways(cancelled).iter().all(Error::is_cancelled));
        let refused = || Error::Refused { archive: None, entry: None, refusal: Refusal::Link, detail: String::new() };
        assert!(ways(refused).iter().all(|error| error.refusal() == Some(Refusal::Link)));
    }

    #[test]
    fn an_error_comes_back_out_of_an_io_error() {
        let back = io::Error::from(expired()).downcast::<Error>().unwrap();
        assert_eq!(back.status(), Some(403));
        let plain = Error::io("reading", "a.zip", io::ErrorKind::TimedOut.into());
        assert!(!plain.is_timeout() && plain.status().is_none());
        assert_eq!(io::Error::from(plain).kind(), io::ErrorKind::TimedOut);
    }
}
