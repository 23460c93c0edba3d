//! Blocking SDK for the snapshots of [Square Cloud](https://squarecloud.app): zip backups of apps and databases.
//!
//! It creates, lists, downloads, verifies, reads, extracts and restores them, and keeps them for longer than the
//! service's 30 days. It is for programs without an async runtime: scripts, cron jobs, desktop and server programs. It
//! is not made by Square Cloud.
//!
//! ```no_run
//! use squarecloud_blocking::{Client, Result};
//!
//! fn main() {
//!     if let Err(error) = back_up("0123456789abcdef0123456789abcdef") {
//!         eprintln!("{error:#}"); // what failed, why, and what to do next
//!         std::process::exit(1);
//!     }
//! }
//!
//! fn back_up(app_id: &str) -> Result<()> {
//!     let client = Client::from_env()?; // the API key in SQUARECLOUD_API_KEY
//!     let snapshot = client.snapshot(app_id)?; // created, and ready to download
//!     let download = snapshot.download("backups")?; // complete and checked, or not there at all
//!     println!("{} bytes in {}", download.bytes, download.path.display());
//!     # #[cfg(feature = "zip")]
//!     download.archive()?.extract("restored")?; // everything, or nothing
//!     Ok(())
//! }
//! ```
//!
//! # The types
//!
//! - [`Client`] is an account's API key and the connections to the service. Its settings are those of a
//!   [`ClientBuilder`].
//! - [`App`] and [`Database`] are handles: a client and an id.
//! - [`SnapshotInfo`] is a snapshot in a listing: plain data, to be compared, sorted and saved.
//! - [`Snapshot`] is a snapshot that can be downloaded: a signed link, without the API key.
//! - [`Archive`] is the zip: a local file, bytes in memory, or still on the snapshot host.
//!
//! [`Mirror`] does all of it for every snapshot of an account, and keeps a directory up to date.
//!
//! ```text
//!  API key ──▶ Client ─────▶ App, Database ─────▶ SnapshotInfo
//!                │                 │ snapshot          │
//!                │ open_url        ▼                   │
//!                └───────────▶ Snapshot ◀──────────────┘
//!                                │   │            open
//!                       download │   │ archive
//!                                ▼   ▼
//!                 zip file ──▶ Archive ──▶ entries, files in a directory
//! ```
//!
//! Handles, clients, snapshots and archives are cheap to clone and can be sent to other threads.
//!
//! # Which call do I want?
//!
//! | I want to | call | cost |
//! |---|---|---|
//! | take a snapshot and wait until it is ready | [`Client::snapshot`], [`Client::database_snapshot`] | 2 requests; 1 more every 10 s while the service is working on it |
//! | list the snapshots | [`App::all_snapshots`], [`App::latest_snapshot`], [`Client::all_snapshots`] | 1 request |
//! | download a listed snapshot | [`Client::open`], then [`Snapshot::download`] | 1 request, about 1 MiB of memory |
//! | download by signed link, without a key | [`Snapshot::from_url`], then [`Snapshot::download`] | 1 request, about 1 MiB of memory |
//! | see progress, cancel, check every CRC, use several connections | [`Snapshot::download_with`] and [`DownloadOptions`] | as the options say |
//! | read the bytes myself | [`Snapshot::reader`] in order, [`Snapshot::remote`] at any offset | 1 request; 1 for each read that is not buffered |
//! | look into a zip | [`Archive::open`][open], then `entries`, `read`, `tree` | about 150 bytes of memory an entry |
//! | look into a snapshot without downloading it | [`Snapshot::archive`][at] | 1 request, 2 with some 700 files or more; 1 for each entry that is read |
//! | read several files of a snapshot | [`Archive::read_many`][many] | 1 request for neighbours |
//! | check every byte of a zip | [`Archive::verify`][crc] | reads everything, writes nothing |
//! | see what changed between two snapshots | [`Archive::diff`][diff] | nothing but opening them |
//! | get the files out | [`Archive::extract`][get]; [`Archive::plan`][dry] is the dry run | all cores, half a MiB of memory each; straight from the host, 1 request for 8 MiB and about 32 MiB of memory |
//! | restore a snapshot | [`App::restore_and_wait`] | 1 request, and 1 every 5 s |
//! | restore without waiting | [`App::restore`], later [`App::restore_status`] | 1 request each |
//! | rehearse a restore as a new app | [`Client::upload`] | 1 upload of at most 100 MiB, and 1 request |
//! | keep all snapshots on my disk | [`Client::mirror`], then [`Mirror::run`]; [`Mirror::plan`] is the dry run | 1 request for the apps, 1 for the databases, 1 for each new snapshot |
//! | find the newest good file in a mirror that was created at or before a given time | [`Mirror::find`] | no request |
//! | know whose key this is, and the quota | [`Client::account`], [`Account::daily_snapshot_quota`] | 1 request |
//! | cancel a wait, or show that it is still running | [`App::snapshot_with`], [`App::restore_and_wait_with`] | as without a callback, plus a thread for each request |
//!
//! A [`Database`] has the calls of an [`App`], except [`restart`](App::restart) and [`commit`](App::commit).
//!
//! # Where to go next
//!
//! - [Recipes][recipes]: whole programs for common jobs, from a nightly backup to a program in a container.
//! - [`Error`]: what can go wrong. Match its variants, or ask `is_not_found`, `is_rate_limited` and the like;
//!   [`Limit`] tells the service's limits apart. `{:#}` prints an error with its causes.
//! - [`ClientBuilder`]: every time limit with its default, retries, proxy and root certificates.
//! - [`Progress`]: what callbacks are told, and how they cancel a call. Cancelling ends it, also a wait such as
//!   [`App::snapshot_with`], with an error for which [`is_cancelled()`](Error::is_cancelled) is true.
//! - The repository's README: what is promised, a comparison, and a sandbox to try everything without a key.
//!
//! # Features
//!
//! | feature | default | what it gives |
//! |---|---|---|
//! | `rustls` | yes | TLS by rustls, with the web's root certificates compiled in |
//! | `native-tls` | no | TLS by the system's library with the system's root certificates; preferred when both are enabled |
//! | `platform-verifier` | no | the system's root certificates for `rustls`, too |
//! | `zip` | yes | `Archive` and everything that looks into a snapshot; without it only the structure of a download is checked |
//!
//! `rustls` or `native-tls` is needed.
//!
// Without `zip`, links to what it gives lead to the table that says so: the first definition of a label counts.
#![cfg_attr(not(feature = "zip"), doc = "[`Archive`]: #features\n[open]: #features\n[at]: #features\n[dry]: #features")]
#![cfg_attr(
    not(feature = "zip"),
    doc = "[crc]: #features\n[many]: #features\n[diff]: #features\n[get]: #features\n[recipes]: #features"
)]
//!
//! [open]: Archive::open
//! [at]: Snapshot::archive
//! [crc]: Archive::verify
//! [many]: Archive::read_many
//! [diff]: Archive::diff
//! [get]: Archive::extract
//! [dry]: Archive::plan
//! [recipes]: crate::recipes
#![cfg_attr(docsrs, feature(doc_cfg))]
// The README's examples are compiled, too. They use `Archive`.
#![cfg_attr(all(doctest, feature = "zip"), doc = include_str!("../README.md"))]

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
#[cfg(all(doc, feature = "zip"))]
pub mod recipes;
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
pub use snapshot::remote::{Remote, RemoteStats};
pub use snapshot::source::{Cursor, Prefetch, Source};
pub use types::{
    Account, AppInfo, AppSummary, DatabaseInfo, DatabaseSummary, Kind, Language, Listing, Memory, Origin, Plan,
    Reading, Response, RestoreState, RestoreStatus, RunningStatus, RuntimeStatus, ServiceStatus, Skipped, SnapshotInfo,
    Statuses, Traffic, UploadedApp, User,
};
