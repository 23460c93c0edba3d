//! PURE. What the service tells, as plain data.

mod account;
mod restore;
mod runtime;
mod snapshot;

pub use account::{
    Account, AppInfo, AppSummary, DatabaseInfo, DatabaseSummary, Language, Memory, Plan, UploadedApp, User,
};
pub use restore::{Response, RestoreState, RestoreStatus};
pub use runtime::{Reading, RunningStatus, RuntimeStatus, ServiceStatus, Statuses, Traffic};
pub use snapshot::{Kind, Listing, Origin, SnapshotInfo};
