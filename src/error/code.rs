//! The codes the service answers with.

use std::borrow::Cow;
use std::fmt;

/// The service's code for an error: an open set, compared like a string.
///
/// ```
/// use squarecloud_blocking::ErrorCode;
/// assert_eq!(ErrorCode::from("KEEP_CALM"), ErrorCode::KEEP_CALM);
/// assert!(ErrorCode::from("A_CODE_OF_TOMORROW") == "A_CODE_OF_TOMORROW");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ErrorCode(Cow<'static, str>);

macro_rules! codes {
    ($($name:ident = $wire:literal, $doc:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $doc] pub const $name: ErrorCode = ErrorCode(Cow::Borrowed($wire));)*
        }
    };
}

codes! {
    UNKNOWN = "UNKNOWN_ERROR", "The answer carries no code.";
    KEEP_CALM = "KEEP_CALM", "The route's own cooldown: wait seconds to minutes.";
    RATE_LIMITED = "RATE_LIMITED", "The budget of the account, key or address is used up: blocked for about 30 minutes.";
    DAILY_SNAPSHOTS_LIMIT_REACHED = "DAILY_SNAPSHOTS_LIMIT_REACHED", "The owner's snapshot quota of a rolling day is used up.";
    SNAPSHOT_PROCESSING = "SNAPSHOT_PROCESSING", "The snapshot is still being made; it appears in the listing.";
    SNAPSHOT_RESTORE_PROCESSING = "SNAPSHOT_RESTORE_PROCESSING", "The restore goes on in the background.";
    SNAPSHOT_IN_PROGRESS = "SNAPSHOT_IN_PROGRESS", "Another snapshot of the resource is still being made.";
    SNAPSHOT_FAILED = "SNAPSHOT_FAILED", "The cluster could not make the snapshot (sent with HTTP 404).";
    SNAPSHOT_RESTORE_FAILED = "SNAPSHOT_RESTORE_FAILED", "The restore failed (sent with HTTP 404).";
    SNAPSHOT_NOT_FOUND = "SNAPSHOT_NOT_FOUND", "No such snapshot or version.";
    SNAPSHOT_CORRUPT = "SNAPSHOT_CORRUPT", "The snapshot's archive is damaged.";
    SNAPSHOT_DATABASE_MISMATCH = "SNAPSHOT_DATABASE_MISMATCH", "The snapshot is of another kind of database.";
    RESTORE_IN_PROGRESS = "RESTORE_IN_PROGRESS", "A restore blocks the action for about two minutes.";
    RESTORE_INTERRUPTED = "RESTORE_INTERRUPTED", "The restore was interrupted.";
    APP_NOT_FOUND = "APP_NOT_FOUND", "No such app, or the key may not see it.";
    DATABASE_NOT_FOUND = "DATABASE_NOT_FOUND", "No such database, or the key may not see it.";
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND", "The service does not know the route.";
    ACCESS_DENIED = "ACCESS_DENIED", "The key is wrong or missing.";
    MISSING_SCOPE = "MISSING_SCOPE", "The key lacks the scope of the call.";
    UPGRADE_REQUIRED = "UPGRADE_REQUIRED", "The plan does not include the call.";
    UPLOAD_BUSY = "UPLOAD_BUSY", "Uploads are busy; trying again is safe.";
    ANALYTICS_BUSY = "ANALYTICS_BUSY", "Analytics are busy; trying again is safe.";
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE", "The service's own database is away for a moment.";
    FILE_TOO_LARGE = "FILE_TOO_LARGE", "The upload is over 100 MiB.";
}

impl ErrorCode {
    /// The code as it was on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the code is a cooldown, a budget or a quota; the old names of the budget included (contract,
    /// section 10).
    pub(crate) fn is_limit(&self) -> bool {
        *self == Self::KEEP_CALM || *self == Self::DAILY_SNAPSHOTS_LIMIT_REACHED || self.is_budget()
    }

    /// Whether the code is the budget that blocks for about 30 minutes, under any of its names.
    pub(crate) fn is_budget(&self) -> bool {
        ["RATE_LIMITED", "RATE_LIMIT", "RATE_LIMIT_EXCEEDED"].contains(&self.as_str())
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        Self(Cow::Owned(code.to_owned()))
    }
}

impl From<String> for ErrorCode {
    fn from(code: String) -> Self {
        Self(Cow::Owned(code))
    }
}

impl AsRef<str> for ErrorCode {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ErrorCode {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ErrorCode {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<ErrorCode> for str {
    fn eq(&self, other: &ErrorCode) -> bool {
        other == self
    }
}

impl PartialEq<ErrorCode> for &str {
    fn eq(&self, other: &ErrorCode) -> bool {
        other == *self
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({:?})", &*self.0)
    }
}
