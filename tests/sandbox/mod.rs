//! An offline Square Cloud on loopback: an API, a snapshot host and a world with rules behind them.
//!
//! It signs and expires links, counts quotas, keeps versions, honours ranges, and misbehaves on command. Two ports:
//! the API's base URL is [`Sandbox::base_url`], the snapshot host is [`Sandbox::snapshot_host`]. It does not know the
//! crate under test: any client in any language can be pointed at it.
//!
//! ```ignore
//! let sandbox = Sandbox::start();                           // or Sandbox::builder()...start()
//! sandbox.fault(Route::Create(Kind::App), Fault::keep_calm()).once();
//! let (url, app) = (sandbox.base_url(), sandbox.app_id());
//! ```
#![allow(dead_code, unused_imports, reason = "each test binary and example uses a part of it")]

mod api;
mod builder;
mod clock;
mod control;
mod demo;
mod distort;
mod door;
mod fault;
mod faults;
mod files;
mod handle;
mod host;
mod http;
mod judge;
mod limits;
mod multipart;
pub mod program;
mod record;
mod restores;
mod routes;
mod rules;
mod server;
mod sign;
mod snapshots;
pub mod tls;
mod upload;
mod wire;
pub mod words;
mod world;

pub use api::lock;
pub use builder::Builder;
pub use clock::{http_date, rfc3339};
pub use fault::{BadChunk, End, Fault, WrongRange};
pub use faults::{FaultHandle, On};
pub use files::{FileNode, Files, MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE, MODE_LINK, from_zip, gzip, to_zip};
pub use handle::{Link, NewSnapshot, Sandbox};
pub use host::{Asked, Etag, range};
pub use limits::{Ledger, Limit, daily_quota};
pub use multipart::{Part, parse as parse_multipart};
pub use record::{Port, Recorded};
pub use routes::{Route, fits};
pub use rules::{Creation, ListingForm, Restoration, Rules, VersionIds};
pub use sign::{Denied, Noise, decode, encode, query as signed_query, signature, verify};
pub use world::{Account, Key, Kind, Resource, Restore, Version, World};
