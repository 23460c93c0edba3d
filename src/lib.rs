//! Blocking SDK for Square Cloud snapshots.

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!(
    "squarecloud-blocking needs TLS: switch on the feature `rustls` (the default) or `native-tls`"
);

mod api;
mod app;
mod client;
mod database;
mod error;
mod progress;
mod resource;
mod secret;
mod snapshot;

pub use api::decode::Unreadable;
pub use api::pace::Pace;
pub use api::types::{
    Account, AppInfo, AppSummary, DatabaseInfo, DatabaseSummary, Kind, Language, Listing, Memory, Origin,
    Plan, Reading, Response, RestoreState, RestoreStatus, RunningStatus, RuntimeStatus, ServiceStatus,
    SnapshotInfo, Statuses, Traffic, UploadedApp, User,
};
pub use app::App;
pub use client::{Client, ClientBuilder};
pub use database::Database;
pub use error::{Error, ErrorCode, Limit, Rate, Refusal, Result};
pub use progress::Progress;
pub use secret::SignedUrl;
pub use snapshot::Snapshot;
pub use snapshot::source::Source;
