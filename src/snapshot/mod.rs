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
#[derive(Clone, Debug)]
pub struct Snapshot {
    url: SignedUrl,
    key: String,
}
impl Snapshot {
    pub(crate) fn new(_: FileAgent, url: SignedUrl, key: String, _: Facts) -> Self {
        Self { url, key }
    }
    /// x
    pub fn key(&self) -> &str {
        &self.key
    }
    /// x
    pub fn file_name(&self) -> &str {
        self.url.expose()
    }
    /// x
    pub fn url(&self) -> &SignedUrl {
        &self.url
    }
}
