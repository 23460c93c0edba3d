//! A snapshot's bytes, from the service's host to a file, and from a file to a directory.

pub(crate) mod source;

use crate::api::http::FileAgent;
use crate::secret::SignedUrl;

/// What a listing told about a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) size: Option<u64>,
    pub(crate) version: Option<String>,
}

/// TEMPORARY until the download branch lands.
#[derive(Clone)]
pub struct Snapshot {
    url: SignedUrl,
}
impl Snapshot {
    pub(crate) fn new(_: FileAgent, url: SignedUrl, _: String, _: Facts) -> Self {
        Self { url }
    }
    /// x
    pub fn url(&self) -> &SignedUrl {
        &self.url
    }
}
