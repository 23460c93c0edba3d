//! PURE. A snapshot as the listing shows it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use time::{Duration, OffsetDateTime};

use crate::api::decode::{self, Problem, Unreadable};
use crate::api::json::Value;
use crate::api::route::query_value;
use crate::error::Error;
use crate::secret::{SignedKey, SignedUrl};

/// How long the service keeps a snapshot (contract, section 3).
const KEPT: Duration = Duration::days(30);
/// The day the quota counts over (contract, section 4).
pub(crate) const QUOTA_WINDOW: Duration = Duration::days(1);

/// What a snapshot is of: an app or a database.
///
/// ```
/// use squarecloud_blocking::Kind;
/// assert_eq!("database".parse::<Kind>()?, Kind::Database);
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An application.
    App,
    /// A database.
    Database,
}

impl Kind {
    /// The path segment of its routes.
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::App => "apps",
            Self::Database => "databases",
        }
    }

    /// The `scope` of the account's listing, and the folder on the snapshot host.
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::App => "applications",
            Self::Database => "databases",
        }
    }

    pub(crate) fn id_name(self) -> &'static str {
        match self {
            Self::App => "the app id",
            Self::Database => "the database id",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Database => "database",
        })
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "app" => Ok(Self::App),
            "database" => Ok(Self::Database),
            _ => Err(Error::invalid("the kind", format!("is {text:?}; it must be `app` or `database`"))),
        }
    }
}

/// Who asked for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The service, on its own schedule.
    Automatic,
    /// A person or a program.
    Manual,
    /// A word of the service this version does not know.
    Other(String),
}

impl Origin {
    /// The service's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Origin {
    fn from(word: String) -> Self {
        match word.as_str() {
            "automatic" => Self::Automatic,
            "manual" => Self::Manual,
            _ => Self::Other(word),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A listed snapshot: facts, without the power to fetch it.
///
/// [`Client::open`](crate::Client::open) turns it into a [`Snapshot`](crate::Snapshot). `Debug` and
/// `Serialize` leave the signed link and key out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// The snapshot's name: what restore takes as `snapshotId`. Several versions may share it.
    pub id: String,
    /// The archive's size in bytes.
    pub size: u64,
    /// When the snapshot was made.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// What it is of.
    pub kind: Kind,
    /// The storage version: tells snapshots of one name apart, and is what restore takes as `versionId`.
    pub version_id: Option<String>,
    /// The app's language or the database's engine, when the service says it.
    pub runtime: Option<String>,
    /// Who asked for it, when the service says it.
    pub origin: Option<Origin>,
    #[serde(skip)]
    url: Option<SignedUrl>,
    #[serde(skip)]
    key: SignedKey,
}

fn rfc3339<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = time.format(&time::format_description::well_known::Rfc3339);
    serializer.serialize_str(&text.map_err(serde::ser::Error::custom)?)
}

impl SnapshotInfo {
    /// Reads a listing's item in any of its spellings (contract, section 3).
    pub(crate) fn read(kind: Kind, item: &Value) -> Result<Self, Problem> {
        let id = decode::string(item, &["name", "id"])?;
        if id == "." || id == ".." || id.chars().any(char::is_control) {
            return Err("has a `name` that can name no snapshot".into());
        }
        let url = decode::optional_string(item, &["url"]).and_then(|url| SignedUrl::parse(&url).ok());
        let key = match decode::optional_string(item, &["key"]) {
            Some(key) => SignedKey::new(&key),
            None => url.as_ref().map(SignedUrl::key).unwrap_or_default(),
        };
        let version_id = decode::optional_string(item, &["version_id"])
            .or_else(|| query_value(url.as_ref()?.query(), "versionId"))
            .or_else(|| query_value(key.expose(), "versionId"));
        Ok(Self {
            size: decode::unsigned(item, &["size"])?,
            created_at: decode::time(item, &["modified", "created_at"])?,
            kind,
            version_id,
            runtime: decode::optional_string(item, &["runtime"]),
            origin: decode::optional_string(item, &["origin"]).map(Origin::from),
            id,
            url,
            key,
        })
    }

    /// The id of the app or database it is of: the name up to its first `_`.
    pub fn resource_id(&self) -> &str {
        self.id.split('_').next().unwrap_or(&self.id)
    }

    /// When the service deletes it: 30 days after it was made.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.created_at.saturating_add(KEPT)
    }

    /// The signed link the listing gave, when it gave one.
    pub fn url(&self) -> Option<&SignedUrl> {
        self.url.as_ref()
    }

    /// The signed query; empty when the listing gave none.
    pub fn key(&self) -> &SignedKey {
        &self.key
    }

    /// Whether the service made it on its own schedule, as far as field or name tell.
    pub(crate) fn is_automatic(&self) -> bool {
        self.origin == Some(Origin::Automatic) || (self.origin.is_none() && self.id.ends_with("_automatic"))
    }
}

/// A listing: the snapshots that could be read, newest first, and what could not be.
///
/// Dereferences to the snapshots. An item that cannot be read does not take down the others; it stands in
/// [`unreadable`](Self::unreadable) instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The snapshots, newest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// The items that could not be read, and why.
    pub unreadable: Vec<Unreadable>,
}

impl Listing {
    /// Reads the items of a listing of `kind`; the service's order is not documented.
    pub(crate) fn read(kind: Kind, items: &[Value]) -> Self {
        let (mut snapshots, unreadable) = decode::list(items, |item| SnapshotInfo::read(kind, item));
        snapshots.sort_by_key(|info| std::cmp::Reverse(info.created_at));
        Self { snapshots, unreadable }
    }
}

impl std::ops::Deref for Listing {
    type Target = [SnapshotInfo];

    fn deref(&self) -> &[SnapshotInfo] {
        &self.snapshots
    }
}

impl IntoIterator for Listing {
    type Item = SnapshotInfo;
    type IntoIter = std::vec::IntoIter<SnapshotInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.snapshots.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::json;

    const NEW: &str = r#"{"name":"c0ffee_javascript_manual","size":12900705,"modified":"2026-11-20T18:04:11.512Z",
        "key":"AWSAccessKeyId=EX&Expires=1797925061&Signature=iWPed%2F%3D&versionId=k3Z%2Bp+0",
        "url":"https://snapshots.squarecloud.app/applications/1/c0ffee_javascript_manual.zip?Signature=iWPed&versionId=u",
        "runtime":"javascript","origin":"manual","tomorrow":[1]}"#;

    #[test]
    fn both_generations_and_the_pages_own_spelling_decode() {
        let new = SnapshotInfo::read(Kind::App, &serde_json::from_str(NEW).unwrap()).unwrap();
        assert_eq!(new.resource_id(), "c0ffee");
        assert_eq!(new.version_id.as_deref(), Some("u"), "the url's version wins over the key's");
        assert_eq!(new.origin, Some(Origin::Manual));
        assert_eq!(new.expires_at() - new.created_at, Duration::days(30));

        let old = json!({ "name": "c0ffee", "size": 1, "modified": "2026-09-10T03:11:02.871Z",
            "key": "Signature=abc%3D&versionId=k3Z%2Bp+0", "version_id": null, "url": null, "runtime": null });
        let old = SnapshotInfo::read(Kind::App, &old).unwrap();
        assert_eq!(old.version_id.as_deref(), Some("k3Z+p+0"));
        assert!(old.url().is_none());

        let page = json!({ "id": "c0ffee", "size": "42", "created_at": "2026-09-10T03:11:02Z", "key": "k" });
        let page = SnapshotInfo::read(Kind::Database, &page).unwrap();
        assert_eq!((page.id.as_str(), page.size), ("c0ffee", 42));
    }

    #[test]
    fn the_signature_never_prints() {
        let info = SnapshotInfo::read(Kind::App, &serde_json::from_str(NEW).unwrap()).unwrap();
        let shown = format!("{info:?} {info:#?} {}", serde_json::to_string(&info).unwrap());
        assert!(!shown.contains("iWPed") && !shown.contains("AWSAccessKeyId"), "{shown}");
        assert!(info.key().expose().contains("iWPed"));
    }

    #[test]
    fn a_listing_is_newest_first_and_says_what_it_could_not_read() {
        let item = |day: u8| json!({ "name": "a", "size": 1, "modified": format!("2026-11-{day:02}T00:00:00Z"), "key": "k" });
        let listing =
            Listing::read(Kind::App, &[item(3), json!({ "name": "b", "size": 1 }), item(9), item(5)]);
        assert_eq!(listing.iter().map(|i| i.created_at.day()).collect::<Vec<_>>(), [9, 5, 3]);
        assert_eq!(listing.unreadable[0].to_string(), "item 1 (\"b\") has no `modified`");
    }
}
