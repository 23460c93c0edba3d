//! PURE. The account that a key belongs to.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::{Duration, OffsetDateTime};

use super::Kind;
use super::decode::{self, Skipped, id, lenient, number, text, when};
use super::snapshot::{QUOTA_WINDOW, SnapshotInfo};
use crate::error::Limit;

/// How old the last snapshot of an app or database must be before the service creates another one.
const COOLDOWN: Duration = Duration::seconds(180);

/// The account a key belongs to, with the apps and databases the key may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// The account's owner.
    pub user: User,
    /// Its apps.
    pub applications: Vec<AppSummary>,
    /// Its databases.
    pub databases: Vec<DatabaseSummary>,
    /// Apps and databases that could not be decoded, and why.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

impl Account {
    pub(crate) fn decode(response: &str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            user: User,
            #[serde(borrow, default)]
            applications: Option<Vec<&'a RawValue>>,
            #[serde(borrow, default)]
            databases: Option<Vec<&'a RawValue>>,
        }
        let raw: Raw<'_> = serde_json::from_str(response)?;
        let (applications, mut skipped) =
            decode::items(&raw.applications.unwrap_or_default(), |item| serde_json::from_str(item));
        let (databases, more) = decode::items(&raw.databases.unwrap_or_default(), |item| serde_json::from_str(item));
        skipped.extend(more);
        Ok(Self { user: raw.user, applications, databases, skipped })
    }

    /// The ids of its apps or databases, with the language or engine of each.
    pub(crate) fn resources(&self, kind: Kind) -> Vec<(&str, &str)> {
        match kind {
            Kind::App => self.applications.iter().map(|app| (&*app.id, &*app.lang)).collect(),
            Kind::Database => self.databases.iter().map(|database| (&*database.id, &*database.engine)).collect(),
        }
    }

    /// The limit that stands against creating a snapshot `now`, as far as it is known. `newest`: when the last one of the
    /// same app or database was created.
    pub(crate) fn limit(
        &self,
        newest: Option<OffsetDateTime>,
        listed: &[SnapshotInfo],
        now: OffsetDateTime,
    ) -> Option<Limit> {
        let is_recent = |newest: OffsetDateTime| (Duration::ZERO..COOLDOWN).contains(&(now - newest));
        match self.daily_snapshot_quota() {
            // A quota of 0: the plan is not known.
            quota @ 1.. if self.snapshots_used(listed, now) >= quota => Some(Limit::Quota),
            _ => newest.is_some_and(is_recent).then_some(Limit::Cooldown),
        }
    }

    /// Returns how many snapshots the account may create within 24 hours: [`(plan memory in MB / 256) * 2`][create].
    /// 0 when the memory is not known.
    ///
    /// [create]: https://docs.squarecloud.app/en/api-reference/endpoint/apps/snapshots/create
    pub fn daily_snapshot_quota(&self) -> u64 {
        (self.user.plan.memory.limit / 256) * 2
    }

    /// Returns how many `listed` snapshots of the 24 h before `now` count towards the quota: a **lower bound** of its
    /// use, since the service also counts snapshots that were replaced or deleted. Snapshots that the service created
    /// on its own schedule are left out, since it is not documented whether they count.
    pub fn snapshots_used<'a>(&self, listed: impl IntoIterator<Item = &'a SnapshotInfo>, now: OffsetDateTime) -> u64 {
        let since = now.saturating_sub(QUOTA_WINDOW);
        listed.into_iter().filter(|info| info.created_at > since && !info.is_automatic()).map(|_| 1).sum()
    }
}

/// The account's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The account's id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// The display name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// The account's e-mail address.
    #[serde(default, deserialize_with = "lenient")]
    pub email: String,
    /// The language setting, such as `en-US`.
    #[serde(default, deserialize_with = "text")]
    pub locale: Option<String>,
    /// The account's plan.
    #[serde(default, deserialize_with = "lenient")]
    pub plan: Plan,
    /// When the account was created.
    #[serde(default, with = "when")]
    pub created_at: Option<OffsetDateTime>,
}

/// The plan of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The plan's name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its memory.
    #[serde(default, deserialize_with = "lenient")]
    pub memory: Memory,
    /// When the plan expires; `None` when it does not.
    #[serde(default, rename = "duration", with = "when")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A plan's memory, in MB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Memory {
    /// The plan's total memory, in MB.
    #[serde(default, deserialize_with = "number")]
    pub limit: u64,
    /// Free memory, in MB.
    #[serde(default, deserialize_with = "number")]
    pub available: u64,
    /// Memory assigned to apps and databases, in MB.
    #[serde(default, deserialize_with = "number")]
    pub used: u64,
}

/// An app as the account's overview shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppSummary {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its description.
    #[serde(default, rename = "desc", deserialize_with = "text")]
    pub description: Option<String>,
    /// Its memory in MB.
    #[serde(default, deserialize_with = "number")]
    pub ram: u64,
    /// Its language.
    #[serde(default, deserialize_with = "lenient")]
    pub lang: String,
    /// The cluster it runs on.
    #[serde(default, deserialize_with = "lenient")]
    pub cluster: String,
    /// Its domain at the service.
    #[serde(default, deserialize_with = "text")]
    pub domain: Option<String>,
    /// Its custom domain.
    #[serde(default, deserialize_with = "text")]
    pub custom: Option<String>,
    /// When it was created.
    #[serde(default, with = "when")]
    pub created_at: Option<OffsetDateTime>,
}

/// A database as the account's overview shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseSummary {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its memory in MB.
    #[serde(default, deserialize_with = "number")]
    pub ram: u64,
    /// Its engine.
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub engine: String,
    /// The cluster it runs on.
    #[serde(default, deserialize_with = "lenient")]
    pub cluster: String,
    /// When it was created.
    #[serde(default, with = "when")]
    pub created_at: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::decode(
            r#"{"user":{"id":"84","name":"Demo","locale":null,
                "plan":{"name":"plan of tomorrow","memory":{"limit":2048,"available":1,"used":"2"},"duration":null}},
            "applications":[{"id":"a","ram":512,"lang":"javascript","new":{}},{"name":"no id"}],
            "databases":null}"#,
        )
        .unwrap()
    }

    #[test]
    fn an_account_decodes_with_gaps() {
        let account = account();
        assert_eq!(account.user.plan.memory.used, 2);
        assert_eq!(account.applications.len(), 1);
        assert_eq!(account.skipped[0].name.as_deref(), Some("no id"));
        assert!(Account::decode(r#"{"user":{}}"#).is_err());
        assert!(Account::decode(r#"{"user":{"id":""}}"#).is_err());
        assert!(Account::decode(r#"{"user":{"id":"1"},"applications":{}}"#).is_err());
        let odd = Account::decode(r#"{"user":{"id":"1","name":7,"plan":"free","created_at":{}}}"#).unwrap();
        assert_eq!((odd.user.name.as_str(), odd.user.plan), ("", Plan::default()));
    }

    #[test]
    fn an_account_decodes_from_what_it_was_saved_as() {
        let mut account = account();
        account.user.plan.expires_at = OffsetDateTime::from_unix_timestamp(1_798_761_600).ok();
        let saved = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&saved).unwrap(), account);
    }

    #[test]
    fn the_quota_follows_the_plan_and_its_use_is_a_lower_bound() {
        let item = |at: &str, origin: &str| {
            let item = format!(r#"{{"name":"a","size":1,"modified":"{at}","key":"k","origin":"{origin}"}}"#);
            SnapshotInfo::decode(Kind::App, &item).unwrap()
        };
        let listed = [
            item("2026-11-20T12:00:00Z", "manual"),
            item("2026-11-20T12:00:00Z", "automatic"),
            item("2026-11-19T11:00:00Z", "manual"),
        ];
        let now = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap(); // 2026-11-21T12:00:00Z
        let now = now - Duration::hours(1);
        assert_eq!(account().daily_snapshot_quota(), 16);
        assert_eq!(account().snapshots_used(&listed, now), 1);
    }
}
