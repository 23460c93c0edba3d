//! PURE. What the service says, as plain data.

mod account;
mod decode;
mod resource;
mod restore;
mod runtime;
mod snapshot;

pub use account::{Account, AppSummary, DatabaseSummary, Memory, Plan, User};
pub use decode::Skipped;
pub use resource::{AppInfo, DatabaseInfo, Language, UploadedApp};
pub use restore::{Response, RestoreState, RestoreStatus};
pub use runtime::{Reading, RunningStatus, RuntimeStatus, ServiceStatus, Statuses, Traffic};
pub use snapshot::{Kind, Listing, Origin, SnapshotInfo};
