//! PURE. A snapshot as the listing shows it.

use std::cmp::Reverse;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::Kind;
use super::decode::{self, Skipped, lenient, size, text, when, word};
use crate::percent::query_value;
use crate::secret::{SignedKey, SignedUrl, clean};

/// How long the service keeps a snapshot.
const KEPT: Duration = Duration::days(30);
/// How many characters `Display` shows at most.
const SHOWN: usize = 1000;
/// The rolling day of the quota.
pub(super) const QUOTA_WINDOW: Duration = Duration::days(1);

/// Who created a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// The service, on its own schedule.
    Automatic,
    /// A person or a program.
    Manual,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

word!(Origin);

/// A snapshot in a listing: plain data, which by itself cannot be downloaded.
///
/// [`Client::open`](crate::Client::open) turns it into a [`Snapshot`](crate::Snapshot). `Debug` and
/// `Serialize` leave out the signed link and key, so a `SnapshotInfo` that was saved can be compared and restored, but
/// not downloaded.
///
/// `Display` shows the name, the time in RFC 3339, the size and the version, if there is one, in one line.
///
/// ```
/// use squarecloud_blocking::SnapshotInfo;
/// let saved = r#"{"id":"c0ffee_javascript_manual","size":12900705,"created_at":"2026-11-20T18:04:11Z","kind":"app"}"#;
/// let info: SnapshotInfo = serde_json::from_str(saved)?;
/// assert_eq!(info.resource_id(), "c0ffee");
/// assert_eq!(info.expires_at().date().to_string(), "2026-12-20");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Item")]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// The snapshot's name: what restore takes as `snapshotId`. Several versions may share it.
    pub id: String,
    /// The archive's size in bytes.
    pub size: u64,
    /// When the snapshot was created.
    #[serde(serialize_with = "time::serde::rfc3339::serialize")]
    pub created_at: OffsetDateTime,
    /// Whether it is of an app or of a database.
    pub kind: Kind,
    /// The storage version, which distinguishes snapshots of the same name: what restore takes as `versionId`.
    pub version_id: Option<String>,
    /// The app's language or the database's engine, when the service says so.
    pub runtime: Option<String>,
    /// Who created it, when the service says so.
    pub origin: Option<Origin>,
    #[serde(skip)]
    url: Option<SignedUrl>,
    #[serde(skip)]
    key: SignedKey,
}

/// A listing's item in any of its spellings, or a saved [`SnapshotInfo`]. Two fields rather than an `alias`, which
/// refuses an item with both spellings.
#[derive(Deserialize)]
struct Item {
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(deserialize_with = "size")]
    size: u64,
    #[serde(default, with = "when")]
    modified: Option<OffsetDateTime>,
    #[serde(default, with = "when")]
    created_at: Option<OffsetDateTime>,
    #[serde(default, deserialize_with = "lenient")]
    kind: Option<Kind>,
    #[serde(default, deserialize_with = "text")]
    version_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    runtime: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    origin: Option<Origin>,
    #[serde(default, deserialize_with = "text")]
    key: Option<String>,
    #[serde(default, deserialize_with = "text")]
    url: Option<String>,
}

impl TryFrom<Item> for SnapshotInfo {
    type Error = &'static str;

    fn try_from(item: Item) -> Result<Self, &'static str> {
        let id = item.name.or(item.id).ok_or("no `name`")?;
        if id == "." || id == ".." || id.chars().any(char::is_control) {
            return Err("a `name` that cannot be the name of a snapshot");
        }
        let url = item.url.and_then(|url| SignedUrl::parse(&url).ok());
        let key = item.key.map(|key| SignedKey::new(&key));
        let key = key.or_else(|| url.as_ref().map(SignedUrl::key)).unwrap_or_default();
        let version_id = item
            .version_id
            .or_else(|| query_value(url.as_ref()?.query(), "versionId"))
            .or_else(|| query_value(key.expose(), "versionId"));
        Ok(Self {
            id,
            size: item.size,
            created_at: item.modified.or(item.created_at).ok_or("no `modified` time")?,
            kind: item.kind.ok_or("no `kind`")?,
            version_id,
            runtime: item.runtime,
            origin: item.origin,
            url,
            key,
        })
    }
}

impl SnapshotInfo {
    /// Decodes an item of a listing of `kind`.
    pub(crate) fn decode(kind: Kind, item: &str) -> serde_json::Result<Self> {
        let item: Item = serde_json::from_str(item)?;
        Self::try_from(Item { kind: Some(kind), ..item }).map_err(serde_json::Error::custom)
    }

    /// What the name and the length of a downloaded snapshot tell of it.
    pub(crate) fn of_file(kind: Kind, id: &str, created_at: OffsetDateTime, size: u64) -> Self {
        let mut parts = id.split('_').skip(1);
        let (runtime, origin) = (parts.next().map(Into::into), parts.next().and_then(|word| word.parse().ok()));
        Self {
            id: id.into(),
            size,
            created_at,
            kind,
            version_id: None,
            runtime,
            origin,
            url: None,
            key: SignedKey::default(),
        }
    }

    /// Whether it is the same snapshot, whatever link leads to it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let what = |info: &Self| (info.kind, info.created_at, info.size);
        (what(self), &self.id, &self.version_id) == (what(other), &other.id, &other.version_id)
    }

    /// Returns the id of the app or database it was taken of: the snapshot's name up to the first `_`.
    pub fn resource_id(&self) -> &str {
        self.id.split('_').next().unwrap_or(&self.id)
    }

    /// Returns when the service deletes it: [30 days](https://docs.squarecloud.app/en/sdks/py/snapshots) after it was
    /// created.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.created_at.saturating_add(KEPT)
    }

    /// Returns the signed link, if the listing contains one.
    pub fn url(&self) -> Option<&SignedUrl> {
        self.url.as_ref()
    }

    /// Returns the signed query; empty when the listing contains none.
    pub fn key(&self) -> &SignedKey {
        &self.key
    }

    /// Whether the service created it on its own schedule, as far as `origin` or the name says.
    pub(crate) fn is_automatic(&self) -> bool {
        self.origin == Some(Origin::Automatic) || (self.origin.is_none() && self.id.ends_with("_automatic"))
    }
}

impl fmt::Display for SnapshotInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version_id.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
        let line = format!("{} from {}, {} bytes{version}", self.id, decode::shown(self.created_at), self.size);
        f.write_str(&clean(&line, SHOWN, ""))
    }
}

impl fmt::Debug for SnapshotInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotInfo")
            .field("id", &self.id)
            .field("size", &self.size)
            .field("created_at", &format_args!("{}", decode::shown(self.created_at)))
            .field("kind", &self.kind)
            .field("version_id", &self.version_id)
            .field("runtime", &self.runtime)
            .field("origin", &self.origin)
            .field("url", &self.url)
            .field("key", &self.key)
            .finish()
    }
}

/// Snapshots, newest first, and the items of the response that could not be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listing {
    /// The snapshots, newest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// The items that could not be decoded, and why.
    pub skipped: Vec<Skipped>,
}

impl Listing {
    /// Decodes a listing of `kind`; the service's order is not documented.
    pub(crate) fn decode(kind: Kind, response: &str) -> serde_json::Result<Self> {
        let (mut snapshots, skipped) = decode::listing(response, |item| SnapshotInfo::decode(kind, item))?;
        snapshots.sort_by_key(|info| Reverse(info.created_at));
        Ok(Self { snapshots, skipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = r#"{"name":"c0ffee_javascript_manual","size":12900705,"modified":"2026-11-20T18:04:11.512Z",
        "key":"AWSAccessKeyId=EX&Expires=1797925061&Signature=iWPed%2F%3D&versionId=k3Z%2Bp+0",
        "url":"https://snapshots.squarecloud.app/applications/1/c0ffee_javascript_manual.zip?Signature=iWPed&versionId=u",
        "runtime":"javascript","origin":"manual","tomorrow":[1]}"#;

    fn app(item: &str) -> SnapshotInfo {
        SnapshotInfo::decode(Kind::App, item).unwrap()
    }

    #[test]
    fn both_generations_and_the_older_pages_spelling_decode() {
        let new = app(NEW);
        assert_eq!(new.resource_id(), "c0ffee");
        assert_eq!(new.version_id.as_deref(), Some("u"), "the url's version wins over the key's");
        assert_eq!(new.origin, Some(Origin::Manual));
        assert_eq!(new.expires_at() - new.created_at, Duration::days(30));

        let old = app(r#"{"name":"c0ffee","size":1,"modified":"2026-09-10T03:11:02.871Z",
            "key":"Signature=abc%3D&versionId=k3Z%2Bp+0","version_id":null,"url":null,"runtime":null}"#);
        assert_eq!(old.version_id.as_deref(), Some("k3Z+p+0"));
        assert!(old.url().is_none());

        let page = r#"{"id":"c0ffee","size":"42","created_at":"2026-09-10T03:11:02Z","key":"k"}"#;
        let page = SnapshotInfo::decode(Kind::Database, page).unwrap();
        assert_eq!((page.id.as_str(), page.size, page.kind), ("c0ffee", 42, Kind::Database));

        let both = r#"{"name":null,"id":"x","size":1.0,"modified":"2026-09-10T03:11:02Z",
            "created_at":"2020-01-01T00:00:00Z","origin":"tomorrow","url":"ftp://x","runtime":7}"#;
        let both = app(both);
        assert_eq!((both.id.as_str(), both.created_at.year()), ("x", 2026));
        assert_eq!(both.origin, "tomorrow".parse().ok());
        assert_eq!(both.origin.as_ref().unwrap().to_string(), "tomorrow");
        assert_eq!(Origin::Manual.to_string().parse(), Ok(Origin::Manual));
        assert!(both.url().is_none() && both.runtime.is_none() && both.key().is_empty());
        for bad in ["..", "", r"a\nb"] {
            let item = format!(r#"{{"name":"{bad}","size":1,"modified":"2026-09-10T03:11:02Z"}}"#);
            assert!(SnapshotInfo::decode(Kind::App, &item).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_signature_never_prints() {
        let info = app(NEW);
        let shown = format!("{info:?} {info:#?} {}", serde_json::to_string(&info).unwrap());
        assert!(!shown.contains("iWPed") && !shown.contains("AWSAccessKeyId"), "{shown}");
        assert_eq!(format!("{} {:?} {:#?}", info.key(), info.key(), info.key()), ".. SignedKey(..) SignedKey(..)");
        assert!(info.key().expose().contains("iWPed"));
    }

    #[test]
    fn a_snapshot_is_shown_in_one_line() {
        let info = app(NEW);
        let time = "2026-11-20T18:04:11.512Z";
        assert_eq!(info.to_string(), format!("c0ffee_javascript_manual from {time}, 12900705 bytes, version u"));
        assert!(format!("{info:?}").contains(&format!("created_at: {time},")), "{info:?}");
        let old = app(r#"{"name":"a","size":1,"modified":"2026-09-10T03:11:02Z","version_id":"v\n1"}"#);
        assert_eq!(old.to_string(), r"a from 2026-09-10T03:11:02Z, 1 bytes, version v\n1");
    }

    #[test]
    fn a_saved_snapshot_comes_back_without_link_and_key() {
        let info = app(NEW);
        let saved = serde_json::to_string(&info).unwrap();
        assert!(saved.contains(r#""created_at":"2026-11-20T18:04:11.512Z""#), "{saved}");
        let back: SnapshotInfo = serde_json::from_str(&saved).unwrap();
        assert!(back.url().is_none() && back.key().is_empty());
        assert_eq!((&back.id, back.created_at, &back.version_id), (&info.id, info.created_at, &info.version_id));
        assert_eq!(serde_json::to_string(&back).unwrap(), saved);
        assert_eq!(serde_json::from_value::<SnapshotInfo>(serde_json::to_value(&back).unwrap()).unwrap(), back);
        assert!(serde_json::from_str::<SnapshotInfo>(NEW).is_err(), "an item does not say its kind");
    }

    #[test]
    fn a_listing_is_newest_first_and_says_what_was_skipped() {
        let item = |day: u8| format!(r#"{{"name":"a","size":1,"modified":"2026-11-{day:02}T00:00:00Z","key":"k"}}"#);
        let items = [item(3), r#"{"name":"b","size":1}"#.into(), item(9), item(5)].join(",");
        let listing = Listing::decode(Kind::App, &format!("[{items}]")).unwrap();
        assert_eq!(listing.snapshots.iter().map(|i| i.created_at.day()).collect::<Vec<_>>(), [9, 5, 3]);
        assert_eq!(listing.skipped[0].to_string(), "item 1 (\"b\"): no `modified` time");
        assert!(Listing::decode(Kind::App, r#"[{"name":"b","size":1}]"#).is_err());
        assert!(Listing::decode(Kind::App, "[]").unwrap().snapshots.is_empty());
    }
}
