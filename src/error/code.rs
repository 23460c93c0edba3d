//! PURE. The service's codes.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// The service does not know the route.
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
    /// The service's own database is away for a moment.
    pub const DATABASE_UNAVAILABLE: Self = Self::known("DATABASE_UNAVAILABLE");
    /// The upload is over 100 MiB.
    pub const FILE_TOO_LARGE: Self = Self::known("FILE_TOO_LARGE");

    const fn known(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// The code as it was on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        code.to_owned().into()
    }
}

impl From<String> for ErrorCode {
    fn from(code: String) -> Self {
        Self(Cow::Owned(code))
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

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
