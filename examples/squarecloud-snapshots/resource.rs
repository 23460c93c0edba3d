//! Which app or database an argument names: an id, the beginning of one, or a name.

use std::fmt;

use squarecloud_blocking::{Account, Kind, Listing, SnapshotInfo};

use crate::context::Context;
use crate::dates;
use crate::exit::{Exit, Failure, Result};
use crate::output::printable;
use crate::secret::is_link;

/// An app or a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub kind: Kind,
    pub id: String,
    /// Its name, when the account shows it.
    pub name: Option<String>,
}

/// Apps, then databases.
pub fn of_account(account: &Account) -> Vec<Resource> {
    let apps = account.applications.iter().map(|app| (Kind::App, &app.id, &app.name));
    let databases = account.databases.iter().map(|database| (Kind::Database, &database.id, &database.name));
    let resource =
        |(kind, id, name): (_, &String, &String)| Resource { kind, id: id.clone(), name: Some(name.clone()) };
    apps.chain(databases).map(resource).collect()
}

/// The app or database that `text` names. Costs one request: it tells the kind, too.
pub fn find(context: &Context, text: &str) -> Result<Resource> {
    if is_link(text) {
        return Err(Failure::new(Exit::Usage, "a link names no app or database here; pass an id or a name"));
    }
    let as_given = || {
        let kind = if context.globals.database { Kind::Database } else { Kind::App };
        Resource { kind, id: text.to_owned(), name: None }
    };
    // A key need not be allowed to see the account, and an app that somebody shares is not in it.
    match context.client()?.account() {
        Err(error) if is_id(text) && error.status() == Some(403) => Ok(as_given()),
        Err(error) => Err(error.into()),
        Ok(account) => match choose(&of_account(&account), text, context.globals.database)? {
            Some(resource) => Ok(resource),
            None if is_id(text) => Ok(as_given()),
            None => {
                Err(Failure::new(Exit::NotFound, format_args!("{text:?} names no app or database; `apps` shows them")))
            }
        },
    }
}

/// Whether `text` looks like a whole id, or like one with a workspace's behind it.
pub fn is_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_hex = |part: &str| part.len() >= 24 && part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.next().is_some_and(is_hex) && parts.next().is_none_or(is_hex) && parts.next().is_none()
}

/// PURE. Whether `id` begins so; or begins and ends so, as tables show it: `c0ff…0001`.
fn is_short_for(short: &str, id: &str) -> bool {
    match short.split_once('…') {
        Some((begin, end)) => {
            !begin.is_empty() && id.len() >= begin.len() + end.len() && id.starts_with(begin) && id.ends_with(end)
        }
        None => !short.is_empty() && id.starts_with(short),
    }
}

/// PURE. A whole id wins over a name, a name over the beginning of an id.
fn choose(resources: &[Resource], text: &str, databases_only: bool) -> Result<Option<Resource>> {
    let candidates = resources.iter().filter(|it| !databases_only || it.kind == Kind::Database);
    let rules: [fn(&Resource, &str) -> bool; 3] =
        [|it, text| it.id == text, |it, text| it.name.as_deref() == Some(text), |it, text| is_short_for(text, &it.id)];
    for rule in rules {
        let found: Vec<_> = candidates.clone().filter(|it| rule(it, text)).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(Some((*one).clone())),
            many => {
                let ids: Vec<_> = many.iter().map(|it| format!("{} {}", it.kind, it.id)).collect();
                let message = format!("{text:?} names more than one: {}", ids.join(", "));
                return Err(Failure::new(Exit::Usage, message));
            }
        }
    }
    Ok(None)
}

/// `app demo-bot`
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, printable(self.label()))
    }
}

impl Resource {
    /// Its name, or its id if the name is not known.
    pub fn label(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }

    /// Its snapshots, newest first. One request.
    pub fn listing(&self, context: &Context) -> Result<Listing> {
        let client = context.client()?;
        Ok(match self.kind {
            Kind::Database => client.database(&self.id).listing()?,
            _ => client.app(&self.id).listing()?,
        })
    }

    /// The snapshot of it that the selector names.
    pub fn select(&self, context: &Context, selector: &Selector) -> Result<SnapshotInfo> {
        let listing = self.listing(context)?;
        selector
            .choose(&listing.snapshots)
            .cloned()
            .map_err(|reason| Failure::new(reason.0, format_args!("{self} has {}", reason.1)))
    }
}

/// Which snapshot of an app or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Latest,
    At(squarecloud_blocking::time::OffsetDateTime),
    /// A version, or the beginning of one.
    Version(String),
}

impl Selector {
    pub fn of(which: &crate::args::Which) -> Result<Self> {
        match (&which.at, &which.version) {
            (Some(date), _) => dates::parse(date)
                .map(Self::At)
                .ok_or_else(|| Failure::new(Exit::Usage, format_args!("{date:?} is not a date such as 2026-11-20"))),
            (None, Some(version)) => Ok(Self::Version(version.clone())),
            (None, None) => Ok(Self::Latest),
        }
    }

    /// What stands behind the `@`.
    pub fn parse(text: &str) -> Self {
        dates::parse(text).map_or_else(|| Self::Version(text.to_owned()), Self::At)
    }

    /// PURE. `newest_first` are the snapshots of one app or database. The error says what it has instead.
    fn choose<'a>(&self, newest_first: &'a [SnapshotInfo]) -> std::result::Result<&'a SnapshotInfo, (Exit, String)> {
        match self {
            Self::Latest => newest_first.first().ok_or((Exit::NotFound, "no snapshot yet; `create` makes one".into())),
            Self::At(time) => newest_first.iter().find(|info| info.created_at <= *time).ok_or_else(|| {
                let oldest = newest_first.last().map(|info| dates::local(info.created_at));
                let since = oldest.map_or(String::new(), |oldest| format!("; the oldest is from {oldest}"));
                (Exit::NotFound, format!("no snapshot from that time or before{since}"))
            }),
            Self::Version(version) if version.is_empty() || is_like_a_date(version) => {
                Err((Exit::Usage, format!("no version {version:?}, and that is no date such as 2026-11-20 either")))
            }
            Self::Version(version) => {
                let is_it =
                    |info: &&SnapshotInfo| info.version_id.as_deref().is_some_and(|id| is_short_for(version, id));
                let exact = newest_first.iter().find(|info| info.version_id.as_deref() == Some(version));
                let found: Vec<_> = newest_first.iter().filter(is_it).collect();
                match (exact, found.as_slice()) {
                    (Some(one), _) => Ok(one),
                    (None, [one]) => Ok(*one),
                    (None, []) => {
                        Err((Exit::NotFound, format!("no snapshot of version {version:?}; `list` shows them")))
                    }
                    (None, many) => {
                        Err((Exit::Usage, format!("{} snapshots whose version begins with {version:?}", many.len())))
                    }
                }
            }
        }
    }
}

/// PURE. `2026-02-30`, `2026-11-20 25:00`: meant as a date, which does not exist.
fn is_like_a_date(text: &str) -> bool {
    let form: String = text.chars().take(8).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Vec<Resource> {
        let resource = |kind, id: &str, name: &str| Resource { kind, id: id.into(), name: Some(name.into()) };
        vec![
            resource(Kind::App, "c0ffee01", "bot"),
            resource(Kind::App, "c0ffee02", "c0ffee01"),
            resource(Kind::App, "bot0", "shop"),
            resource(Kind::Database, "facade01", "bot"),
        ]
    }

    #[test]
    fn an_id_wins_over_a_name_and_a_name_over_the_beginning_of_an_id() {
        let resources = resources();
        let chosen = |text, databases| choose(&resources, text, databases).map(|found| found.map(|it| it.id));
        for (text, databases, expected) in [
            ("c0ffee01", false, Some("c0ffee01")),
            ("bot0", false, Some("bot0")),
            ("shop", false, Some("bot0")),
            ("bot", true, Some("facade01")),
            ("f", false, Some("facade01")),
            ("c0…02", false, Some("c0ffee02")),
            ("", false, None),
            ("…01", false, None),
            ("c0ffee03", false, None),
            ("c0ffee01", true, None),
        ] {
            assert_eq!(chosen(text, databases).ok(), Some(expected.map(str::to_owned)), "{text}");
        }
        for text in ["bot", "c0ffee"] {
            assert!(matches!(chosen(text, false), Err(Failure::Told(Exit::Usage, _))), "{text}");
        }
    }

    fn snapshots() -> Vec<SnapshotInfo> {
        let item = |(hour, version): (u32, &str)| {
            let created = format!("2026-11-20T{hour:02}:00:00Z");
            let json =
                format!(r#"{{"id":"a","size":1,"created_at":"{created}","kind":"app","version_id":"{version}"}}"#);
            serde_json::from_str(&json).unwrap()
        };
        [(12, "abd"), (10, "abc"), (8, "ab"), (6, "x1y")].map(item).into()
    }

    #[test]
    fn a_selector_chooses_one_snapshot() {
        let snapshots = snapshots();
        let hour = |selector: Selector| selector.choose(&snapshots).map(|info| info.created_at.hour());
        let at = |text| Selector::At(dates::parse(text).unwrap());
        let version = |text: &str| Selector::Version(text.into());
        assert_eq!(hour(Selector::Latest).unwrap(), 12);
        assert_eq!(hour(at("2026-11-20T10:00:00Z")).unwrap(), 10);
        assert_eq!(hour(at("2026-11-20T09:59:00Z")).unwrap(), 8);
        assert_eq!(hour(at("2026-11-20T05:00:00Z")).unwrap_err().0, Exit::NotFound);
        for (text, expected) in [("ab", 8), ("abd", 12), ("x", 6), ("x…y", 6)] {
            assert_eq!(hour(version(text)).unwrap(), expected, "{text}");
        }
        assert_eq!(hour(version("a")).unwrap_err().0, Exit::Usage);
        assert_eq!(hour(version("zz")).unwrap_err().0, Exit::NotFound);
        assert_eq!(hour(version("")).unwrap_err().0, Exit::Usage);
        assert_eq!(hour(version("2026-02-30")).unwrap_err().0, Exit::Usage);
        assert_eq!(Selector::Latest.choose(&[]).unwrap_err().0, Exit::NotFound);
    }
}
