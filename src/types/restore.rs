//! PURE. The answer of an action, and how a restore stands.

use time::OffsetDateTime;

use crate::api::decode::{self, Problem};
use crate::api::json::Value;
use crate::error::ErrorCode;

/// The service's answer to an action: done.
///
/// A refusal, and work that is still running, come as [`Error`](crate::Error), so having a `Response` means
/// that the service said `success`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The service's word: `success`.
    pub status: String,
    /// A code that came with it, if any.
    pub code: Option<ErrorCode>,
    /// A message that came with it, if any.
    pub message: Option<String>,
}

/// How a restore stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestoreState {
    /// No restore within the last hour.
    None,
    /// Waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Finished.
    Success,
    /// Failed.
    Error,
    /// A word of the service this version does not know.
    Other(String),
}

impl RestoreState {
    /// The service's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for RestoreState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "none" => Self::None,
            "queued" => Self::Queued,
            "running" => Self::Running,
            "success" => Self::Success,
            "error" => Self::Error,
            _ => Self::Other(word),
        }
    }
}

/// The answer of the restore-status route (contract, section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreStatus {
    /// How it stands.
    pub state: RestoreState,
    /// Which step it is in or failed in: `download`, `unzip`, ...
    pub step: Option<String>,
    /// Why it failed.
    pub code: Option<ErrorCode>,
    /// When it began.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
}

impl RestoreStatus {
    pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
        Ok(Self {
            state: decode::string(item, &["state"])?.into(),
            step: decode::optional_string(item, &["step"]),
            code: decode::optional_string(item, &["code"]).map(ErrorCode::from),
            started_at: decode::optional_millis(item, &["started_at"]),
            finished_at: decode::optional_millis(item, &["finished_at"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::json;

    #[test]
    fn states_known_and_unknown_decode() {
        let read = |value| RestoreStatus::read(&value).unwrap();
        assert_eq!(read(json!({ "state": "none" })).state, RestoreState::None);
        assert_eq!(read(json!({ "state": "paused" })).state, RestoreState::Other("paused".into()));
        let failed = read(json!({ "state": "error", "step": "unzip", "code": "SNAPSHOT_CORRUPT",
            "started_at": 1_795_196_400_000_i64, "finished_at": null }));
        assert_eq!(failed.code, Some(ErrorCode::SNAPSHOT_CORRUPT));
        assert_eq!(failed.started_at.map(OffsetDateTime::unix_timestamp), Some(1_795_196_400));
        assert!(RestoreStatus::read(&json!({ "step": "unzip" })).is_err());
    }
}
