//! PURE. Whose key it is, and what that account owns.

use time::OffsetDateTime;

use super::snapshot::{QUOTA_WINDOW, SnapshotInfo};
use crate::api::decode::{self, Problem, Unreadable};
use crate::api::json::Value;

/// The account a key belongs to, with the apps and databases the key may see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The account's owner.
    pub user: User,
    /// Its apps.
    pub applications: Vec<AppSummary>,
    /// Its databases.
    pub databases: Vec<DatabaseSummary>,
    /// Apps and databases of the answer that could not be read, and why.
    pub unreadable: Vec<Unreadable>,
}

impl Account {
    pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
        let user = User::read(decode::required(item, &["user"])?)?;
        let (applications, mut unreadable) = decode::list(array(item, "applications")?, AppSummary::read);
        let (databases, more) = decode::list(array(item, "databases")?, DatabaseSummary::read);
        unreadable.extend(more);
        Ok(Self { user, applications, databases, unreadable })
    }

    /// How many snapshots the account may make in a rolling day: `(plan memory in MB / 256) * 2` (contract,
    /// section 4).
    pub fn daily_snapshot_quota(&self) -> u64 {
        (self.user.plan.memory.limit / 256) * 2
    }

    /// How many of the quota are used at `now`, as a **lower bound** from listings: a snapshot that was
    /// replaced or deleted counts at the service but is listed no more. Those the service made on its own
    /// schedule are left out, since it is not documented whether they count.
    pub fn snapshots_used<'a>(
        &self,
        listed: impl IntoIterator<Item = &'a SnapshotInfo>,
        now: OffsetDateTime,
    ) -> u64 {
        let since = now.saturating_sub(QUOTA_WINDOW);
        listed.into_iter().filter(|info| info.created_at > since && !info.is_automatic()).map(|_| 1).sum()
    }
}

/// A list that may be missing or null, but is nothing else.
fn array<'v, 'a>(item: &'v Value<'a>, name: &str) -> Result<&'v [Value<'a>], Problem> {
    match decode::field(item, &[name]) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("has a `{name}` that is no list")),
    }
}

/// The account's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The account's id.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The address of the account.
    pub email: String,
    /// The language setting: `en-US`.
    pub locale: Option<String>,
    /// What is paid for.
    pub plan: Plan,
    /// Since when the account exists.
    pub created_at: Option<OffsetDateTime>,
}

impl User {
    fn read(item: &Value) -> Result<Self, Problem> {
        Ok(Self {
            id: decode::string(item, &["id"]).map_err(|p| format!("has a `user` that {p}"))?,
            name: word(item, "name"),
            email: word(item, "email"),
            locale: decode::optional_string(item, &["locale"]),
            plan: Plan::read(decode::field(item, &["plan"]).unwrap_or(&Value::Null)),
            created_at: decode::optional_time(item, &["created_at"]),
        })
    }
}

/// What an account pays for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The plan's name.
    pub name: String,
    /// Its memory.
    pub memory: Memory,
    /// When it ends; `None` when it does not.
    pub expires_at: Option<OffsetDateTime>,
}

impl Plan {
    fn read(item: &Value) -> Self {
        let memory = decode::field(item, &["memory"]).unwrap_or(&Value::Null);
        let megabytes = |name| decode::unsigned(memory, &[name]).unwrap_or(0);
        Self {
            name: word(item, "name"),
            memory: Memory {
                limit: megabytes("limit"),
                available: megabytes("available"),
                used: megabytes("used"),
            },
            expires_at: decode::optional_millis(item, &["duration"]),
        }
    }
}

/// A plan's memory, in MB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// In all.
    pub limit: u64,
    /// Free.
    pub available: u64,
    /// Given to apps and databases.
    pub used: u64,
}

macro_rules! resource {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $wire:tt $read:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            /// Its id.
            pub id: String,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
                Ok(Self { id: decode::string(item, &["id"])?, $($field: $read(item, $wire),)* })
            }
        }
    };
}

fn text(item: &Value, name: &str) -> Option<String> {
    decode::optional_string(item, &[name])
}

/// A field the service always sends: empty should it ever not.
fn word(item: &Value, name: &str) -> String {
    text(item, name).unwrap_or_default()
}

/// A number the service always sends: 0 should it ever not.
fn number(item: &Value, name: &str) -> u64 {
    decode::unsigned(item, &[name]).unwrap_or_default()
}

fn when(item: &Value, name: &str) -> Option<OffsetDateTime> {
    decode::optional_time(item, &[name])
}

resource! {
    /// An app as the account's overview shows it.
    AppSummary {
        /// Its name.
        name: String = "name" word,
        /// What it is for.
        description: Option<String> = "desc" text,
        /// Its memory in MB.
        ram: u64 = "ram" number,
        /// Its language.
        lang: String = "lang" word,
        /// Where it runs.
        cluster: String = "cluster" word,
        /// Its address at the service.
        domain: Option<String> = "domain" text,
        /// Its own domain.
        custom: Option<String> = "custom" text,
        /// Since when it exists.
        created_at: Option<OffsetDateTime> = "created_at" when,
    }
}

resource! {
    /// A database as the account's overview shows it.
    DatabaseSummary {
        /// Its name.
        name: String = "name" word,
        /// Its memory in MB.
        ram: u64 = "ram" number,
        /// Its engine.
        engine: String = "type" word,
        /// Where it runs.
        cluster: String = "cluster" word,
        /// Since when it exists.
        created_at: Option<OffsetDateTime> = "created_at" when,
    }
}

resource! {
    /// An app.
    AppInfo {
        /// Its name.
        name: String = "name" word,
        /// What it is for.
        description: Option<String> = "desc" text,
        /// The account it belongs to.
        owner: String = "owner" word,
        /// Where it runs.
        cluster: String = "cluster" word,
        /// Its memory in MB.
        ram: u64 = "ram" number,
        /// Its language.
        language: String = "language" word,
        /// Its address at the service.
        domain: Option<String> = "domain" text,
        /// Its own domain.
        custom: Option<String> = "custom" text,
        /// Since when it exists.
        created_at: Option<OffsetDateTime> = "created_at" when,
    }
}

resource! {
    /// A database.
    DatabaseInfo {
        /// Its name.
        name: String = "name" word,
        /// The account it belongs to.
        owner: String = "owner" word,
        /// Where it runs.
        cluster: String = "cluster" word,
        /// Its memory in MB.
        ram: u64 = "ram" number,
        /// Its engine.
        engine: String = "type" word,
        /// The port it answers at.
        port: u64 = "port" number,
        /// Since when it exists.
        created_at: Option<OffsetDateTime> = "created_at" when,
    }
}

resource! {
    /// An app that was made from a zip.
    UploadedApp {
        /// Its name.
        name: String = "name" word,
        /// What it is for.
        description: Option<String> = "description" text,
        /// Its address at the service.
        domain: Option<String> = "domain" text,
        /// Where it runs.
        cluster: Option<String> = "cluster" text,
        /// Its memory in MB.
        ram: u64 = "ram" number,
        /// Its processors.
        cpu: u64 = "cpu" number,
        /// Its language.
        language: Language = "language" language,
    }
}

/// An app's language, as the answer to an upload has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Language {
    /// `javascript`, ...
    pub name: String,
    /// `recommended`, `latest`, ...
    pub version: Option<String>,
}

fn language(item: &Value, name: &str) -> Language {
    match decode::field(item, &[name]) {
        Some(Value::String(name)) => Language { name: name.clone().into_owned(), version: None },
        Some(value) => Language { name: word(value, "name"), version: text(value, "version") },
        None => Language::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::api::json::json;

    fn account() -> Account {
        Account::read(&json!({ "user": { "id": "84", "name": "Demo", "locale": null,
                "plan": { "name": "plan of tomorrow", "memory": { "limit": 2048, "available": 1, "used": "2" }, "duration": null } },
            "applications": [{ "id": "a", "ram": 512, "lang": "javascript", "new": {} }, { "name": "no id" }],
            "databases": null }))
        .unwrap()
    }

    #[test]
    fn an_account_decodes_with_gaps() {
        let account = account();
        assert_eq!(account.user.plan.memory.used, 2);
        assert_eq!(account.applications.len(), 1);
        assert_eq!(account.unreadable[0].name.as_deref(), Some("no id"));
        assert!(Account::read(&json!({ "user": {} })).is_err());
        assert!(Account::read(&json!({ "user": { "id": "1" }, "applications": {} })).is_err());
    }

    #[test]
    fn the_quota_is_the_contracts_and_its_use_a_lower_bound() {
        let item = |at: &str, origin: &str| {
            let item = json!({ "name": "a", "size": 1, "modified": at, "key": "k", "origin": origin });
            SnapshotInfo::read(Kind::App, &item).unwrap()
        };
        let listed = [
            item("2026-11-20T12:00:00Z", "manual"),
            item("2026-11-20T12:00:00Z", "automatic"),
            item("2026-11-19T11:00:00Z", "manual"),
        ];
        let now = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap(); // 2026-11-21T12:00:00Z
        let now = now - time::Duration::hours(1);
        assert_eq!(account().daily_snapshot_quota(), 16);
        assert_eq!(account().snapshots_used(&listed, now), 1);
    }
}
