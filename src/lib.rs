//! Blocking SDK for Square Cloud snapshots.

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!(
    "squarecloud-blocking needs TLS: switch on the feature `rustls` (the default) or `native-tls`"
);

mod api;
mod error;
mod progress;
mod secret;
mod snapshot;

pub use error::{Error, ErrorCode, Refusal, Result};
pub use progress::Progress;
pub use secret::SignedUrl;
pub use snapshot::Snapshot;
pub use snapshot::download::Download;
pub use snapshot::options::DownloadOptions;
pub use snapshot::overwrite::Overwrite;
pub use snapshot::remote::{Remote, RemoteReader};
pub use snapshot::source::Source;
