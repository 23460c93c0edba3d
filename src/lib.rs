// The README's examples use `Archive`, so it is the crate's documentation only with the feature `zip`.
#![cfg_attr(feature = "zip", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "zip"), doc = "Blocking SDK for Square Cloud snapshots. Enable `zip` to look inside them.")]

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!("squarecloud-blocking needs TLS: enable the feature `rustls` (the default) or `native-tls`");

/// The setters of a builder or of options: each changes its second argument, `self`, and returns it.
macro_rules! setters {
    ($($(#[$attribute:meta])* $name:ident($this:ident, $value:ident: $Type:ty) $set:block)*) => {$(
        $(#[$attribute])*
        pub fn $name(mut self, $value: $Type) -> Self {
            let $this = &mut self;
            $set
            self
        }
    )*};
}
use setters;

mod api;
mod client;
mod error;
mod percent;
mod progress;
mod secret;
mod snapshot;
mod types;

/// The `time` crate, whose types appear in this API.
pub use time;

pub use client::{App, Client, ClientBuilder, Database};
pub use error::{Error, ErrorCode, Limit, NetworkFailure, Rate, Refusal, Result};
pub use progress::{MirrorProgress, Progress};
pub use secret::{SignedKey, SignedUrl};
pub use snapshot::Snapshot;
#[cfg(feature = "zip")]
pub use snapshot::archive::{
    Archive, BadEntry, Diff, Difference, Entry, EntryKind, EntryReader, ExtractOptions, ExtractPlan, Extracted, Limits,
    Links, Tree, Verified,
};
pub use snapshot::download::Download;
pub use snapshot::mirror::{Keep, KeepReason, Mirror, MirrorPlan, MirrorReport, PlannedSnapshot};
pub use snapshot::options::{DownloadOptions, Overwrite};
pub use snapshot::reader::RemoteReader;
pub use snapshot::remote::Remote;
pub use snapshot::source::{Cursor, Source};
pub use types::{
    Account, AppInfo, AppSummary, DatabaseInfo, DatabaseSummary, Kind, Language, Listing, Memory, Origin, Plan,
    Reading, Response, RestoreState, RestoreStatus, RunningStatus, RuntimeStatus, ServiceStatus, Skipped, SnapshotInfo,
    Statuses, Traffic, UploadedApp, User,
};
