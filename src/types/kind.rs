//! PURE. Apps and databases: their words on the wire, and their ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The kind of resource that a snapshot was taken of: an app or a database.
///
/// ```
/// use squarecloud_blocking::Kind;
/// assert_eq!("database".parse::<Kind>()?, Kind::Database);
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
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

/// Whether `id` is the one of `resource`, or that of the app shared through a workspace: `<resource>-<workspaceId>`.
pub(crate) fn is_id_of(id: &str, resource: &str) -> bool {
    id.strip_prefix(resource).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether the app or database with this id is one of those that are named, or any is wanted.
pub(crate) fn is_wanted(only: Option<&[String]>, resource: &str) -> bool {
    only.is_none_or(|ids| ids.iter().any(|id| is_id_of(id, resource)))
}
