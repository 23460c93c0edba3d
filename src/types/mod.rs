//! PURE. What the service says, as plain data.

mod account;
mod decode;
mod resource;
mod runtime;
mod snapshot;

pub use account::{Account, AppSummary, DatabaseSummary, Memory, Plan, User};
pub use decode::Skipped;
pub(crate) use decode::text;
pub use resource::{AppInfo, DatabaseInfo, Language, UploadedApp};
pub use runtime::{
    Reading, Response, RestoreState, RestoreStatus, RunningStatus, RuntimeStatus, ServiceStatus, Statuses, Traffic,
};
pub(crate) use snapshot::is_id_of;
pub use snapshot::{Kind, Listing, Origin, SnapshotInfo};
