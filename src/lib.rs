//! Blocking SDK for Square Cloud snapshots.

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!(
    "squarecloud-blocking needs TLS: switch on the feature `rustls` (the default) or `native-tls`"
);

mod error;
mod progress;
mod secret;
mod snapshot;

pub use error::{Error, ErrorCode, Refusal, Result};
pub use progress::Progress;
pub use secret::SignedUrl;
#[cfg(feature = "zip")]
pub use snapshot::archive::{
    Archive, BadEntry, Diff, Difference, Entry, EntryKind, EntryReader, ExtractOptions, ExtractPlan,
    Extracted, Limits, Links, Tree, Verified,
};
pub use snapshot::overwrite::Overwrite;
pub use snapshot::source::{Cursor, Source};
