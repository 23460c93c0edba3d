//! PURE. What the service says, as plain data.

mod account;
mod decode;
mod kind;
mod resource;
mod runtime;
mod snapshot;

pub use account::{Account, AppSummary, DatabaseSummary, Memory, Plan, User};
pub use decode::Skipped;
pub(crate) use decode::text;
pub use kind::Kind;
pub(crate) use kind::{is_id_of, is_wanted};
pub use resource::{AppInfo, DatabaseInfo, Language, UploadedApp};
pub use runtime::{
    Reading, Response, RestoreState, RestoreStatus, RunningStatus, RuntimeStatus, ServiceStatus, Statuses, Traffic,
};
pub use snapshot::{Listing, Origin, SnapshotInfo};
