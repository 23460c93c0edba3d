//! One app or database: its routes, and making a snapshot of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::awaited::Awaited;
use super::core::Core;
use super::wait::{Wait, Watch};
use crate::api::envelope::RawResponse;
use crate::api::http::Payload;
use crate::error::{Error, Result};
use crate::percent::encode;
use crate::secret::{SignedKey, SignedUrl};
use crate::snapshot::Snapshot;
use crate::types::{Kind, Listing, Response, SnapshotInfo, text};

const SNAPSHOTS: &str = "/snapshots";
const BETWEEN_LISTINGS: Duration = Duration::from_secs(10);
/// How long the look at the listing for a snapshot that can be downloaded already may take.
const LOOK: Duration = Duration::from_secs(5);

/// One app or database: what both handles are made of.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) core: Arc<Core>,
    pub(super) kind: Kind,
    pub(super) id: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

impl Resource {
    /// The path of one of its routes.
    pub(super) fn path(&self, rest: &str) -> Result<String> {
        resource_path(self.kind, &self.id, rest)
    }

    pub(super) fn read<T: DeserializeOwned>(&self, rest: &str) -> Result<T> {
        self.core.read(&self.path(rest)?)
    }

    pub(super) fn action(&self, rest: &str) -> Result<Response> {
        self.core.post(&self.path(rest)?, Payload::Nothing)?.action()
    }

    pub(super) fn listing(&self) -> Result<(Listing, Option<OffsetDateTime>)> {
        self.core.listing(self.kind, Some(&self.path(SNAPSHOTS)?))
    }

    pub(super) fn create_snapshot(&self, watch: Watch<'_>) -> Result<Snapshot> {
        let next =
            "it is still being made or cannot be told from others; look at the listing before requesting another one";
        let mut wait = Wait::new(self, "snapshot", next, watch);
        let local = OffsetDateTime::now_utc();
        let (response, held) = wait.send(|resource| {
            let (path, sent) = (resource.path(SNAPSHOTS)?, Instant::now());
            Ok((resource.core.post(&path, Payload::Nothing)?, sent.elapsed()))
        })?;
        let mut awaited = Awaited::new(response.date, held, local);
        let Some((url, key)) = response.unless_pending(created)? else {
            wait.accepted();
            let info = self.await_snapshot(&mut wait, &mut awaited)?;
            return wait.send(move |resource| resource.core.open(&info));
        };
        // What the listing says is worth one request, but neither a long wait nor a failure.
        let listing = match wait.send(|resource| resource.look(LOOK)) {
            Err(error) if error.is_cancelled() => return Err(error),
            looked => looked.map(|(listing, _)| listing.snapshots).unwrap_or_default(),
        };
        match awaited.behind(&url, &listing).cloned() {
            Some(info) if info.url().is_some() => self.core.open(&info),
            info => Ok(Snapshot::new(self.core.files.clone(), url, key, info)),
        }
    }

    /// Looks at the listing once, for at most `at_most`; says when it was sent, too.
    fn look(&self, at_most: Duration) -> Result<(Listing, Option<OffsetDateTime>)> {
        let timeout = self.core.settings.limits.total.min(at_most);
        let response = self.core.get_once(&self.path(SNAPSHOTS)?, timeout)?;
        Ok((response.data(|data| Listing::decode(self.kind, data))?, response.date))
    }

    /// Polls the listing until the new snapshot is in it.
    fn await_snapshot(&self, wait: &mut Wait<'_>, awaited: &mut Awaited) -> Result<SnapshotInfo> {
        let at_most = self.core.settings.limits.snapshot_wait;
        if at_most.is_zero() {
            return Err(wait.pending(Duration::ZERO));
        }
        wait.poll(at_most, BETWEEN_LISTINGS, |wait, timeout| {
            let (listing, now) = wait.send(move |resource| resource.look(timeout))?;
            Ok(awaited.find(&listing.snapshots, now).cloned())
        })
    }
}

/// The link and key of a snapshot that was made.
fn created(response: &RawResponse) -> Result<(SignedUrl, SignedKey)> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(default, deserialize_with = "text")]
        url: Option<String>,
        #[serde(default, deserialize_with = "text")]
        key: Option<String>,
    }
    let Created { url, key } = response.data(serde_json::from_str)?;
    let url = url.ok_or_else(|| response.unexpected("a `response` without a `url`"))?;
    let url = SignedUrl::parse(&url)
        .map_err(|_| response.unexpected("a `response` whose `url` is not a valid download link"))?;
    let key = key.map_or_else(|| url.key(), |key| SignedKey::new(&key));
    Ok((url, key))
}

/// The path of a route of one app or database: `/apps/{id}` and `rest`.
///
/// # Errors
/// [`Error::Invalid`] when the id would lead to another route.
fn resource_path(kind: Kind, id: &str, rest: &str) -> Result<String> {
    check_id(&format!("the {kind} id"), id)?;
    Ok(format!("/{}/{}{rest}", kind.segment(), encode(id)))
}

/// Refuses what would lead to another route; any other form of an id is the service's business.
pub(super) fn check_id(what: &str, id: &str) -> Result<()> {
    let reason = match id {
        "" => "is empty",
        "." | ".." => "is a path segment with a meaning of its own, not an id",
        _ if id.chars().any(char::is_control) => "contains a line break or another control character",
        _ => return Ok(()),
    };
    let reason = format!("{reason}; take it from `Client::account` or the dashboard");
    Err(Error::invalid(what.to_owned(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        let path = |id| resource_path(Kind::App, id, "/snapshots").unwrap();
        assert_eq!(path("c0ffee-ws 1/ü"), "/apps/c0ffee-ws%201%2F%C3%BC/snapshots");
        assert_eq!(path("../x"), "/apps/..%2Fx/snapshots");
        assert_eq!(resource_path(Kind::Database, "d", "").unwrap(), "/databases/d");
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["", ".", "..", "a\nb", "a\0"] {
            assert!(resource_path(Kind::App, id, "").is_err(), "{id:?}");
        }
    }
}
