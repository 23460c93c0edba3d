//! I/O. Where a snapshot's bytes are, one request for them, and the errors about them.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::range::{Head, Object, Range, Worth, judge, number};
use crate::api::http::{SnapshotAgent, SnapshotResponse};
use crate::error::{Error, Result};
use crate::secret::{SignedUrl, excerpt};
use crate::types::SnapshotInfo;

/// How many of the first bytes are kept for an error.
pub(crate) const EXCERPT: usize = 4096;
/// How long after an unusable response another read of its first bytes may begin.
const EXCERPT_WAIT: Duration = Duration::from_millis(250);

/// A snapshot's signed link, and the agent that fetches it.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) agent: SnapshotAgent,
    pub(crate) url: Arc<SignedUrl>,
    pub(crate) file_name: Arc<str>,
    /// The version that the link or the listing names.
    pub(crate) version: Option<Arc<str>>,
    /// Whether the name stands for this snapshot alone.
    pub(crate) is_unique: bool,
    /// What a listing says of it.
    pub(crate) info: Option<Arc<SnapshotInfo>>,
    pub(crate) traffic: Arc<Traffic>,
}

/// What was sent and received.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: AtomicU64,
    /// Of response bodies.
    pub(crate) bytes: AtomicU64,
}

impl Traffic {
    pub(crate) fn received(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Location {
    /// One request for `range`, judged. `known`: the object that the response must belong to. `idle`: how long
    /// one read may wait.
    pub(crate) fn get(&self, range: Range, known: &Object, idle: Duration) -> Result<(Worth, SnapshotResponse)> {
        let mut headers = Vec::new();
        if let Some(value) = range.header() {
            headers.push(("range", value));
            headers.extend(known.etag.clone().map(|etag| ("if-match", etag)));
        }
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.agent.get(&self.url, &headers, idle, known.total)?;
        let fields = &response.headers;
        let head = Head {
            status: response.status,
            content_range: fields.get("content-range"),
            content_length: fields.get("content-length").and_then(number),
            object: Object::new(fields.get("etag"), fields.get("x-amz-version-id")),
        };
        let other_version = matches!((&self.version, &head.object.version_id), (Some(a), Some(b)) if **a != **b);
        let kind = fields.get("content-type").unwrap_or_default().to_ascii_lowercase();
        let page = known.is_provable() && kind.trim_start().starts_with("text/html");
        let worth = match judge(range, known, head) {
            // Bytes that came before are not thrown away for a maintenance page or a captive portal.
            Worth::Whole(_) if page => Worth::Unusable("a web page was sent instead of the snapshot".into()),
            Worth::Whole(_) | Worth::Part { .. } if other_version => {
                Worth::Unusable("the version sent is not the one requested; list the snapshots again".into())
            }
            worth => worth,
        };
        Ok((worth, response))
    }

    /// The error about an unusable response; reads its first bytes.
    pub(crate) fn unusable(&self, mut response: SnapshotResponse, problem: Cow<'static, str>) -> Error {
        let (begun, mut bytes, mut count) = (Instant::now(), vec![0; EXCERPT], 0);
        while begun.elapsed() < EXCERPT_WAIT {
            match response.body.read(bytes.get_mut(count..).unwrap_or_default()) {
                Ok(more) if more > 0 => count += more,
                _ => break,
            }
        }
        self.traffic.received(count);
        let excerpt = excerpt(bytes.get(..count).unwrap_or_default(), &response.queries);
        self.unexpected(response.status, problem, excerpt, response.retry_after)
    }

    /// The error about bytes that are not a whole archive; `first` are the first of them.
    pub(crate) fn not_an_archive(&self, first: &[u8], why: &'static str, status: Option<u16>) -> Error {
        if first.starts_with(b"PK") {
            return self.error(format!("the archive is damaged: {why}; try again"), status);
        }
        let problem = if first.is_empty() { "the response body is empty" } else { "the response is not a zip archive" };
        self.unexpected(status.unwrap_or(200), problem.into(), excerpt(first, self.url.query()), None)
    }

    fn unexpected(
        &self,
        status: u16,
        problem: Cow<'static, str>,
        excerpt: String,
        retry_after: Option<Duration>,
    ) -> Error {
        let path = self.url.path().to_owned();
        Error::UnexpectedResponse { method: "GET", path, status, problem, excerpt, retry_after }
    }

    pub(crate) fn error(&self, problem: impl Into<Cow<'static, str>>, status: Option<u16>) -> Error {
        Error::Download { what: self.file_name.to_string(), status, problem: problem.into() }
    }
}
