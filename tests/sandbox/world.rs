//! The world: accounts, keys, apps, databases and stored objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::clock::DAY;
use super::files::Files;
use super::limits::Ledger;
use super::rules::{Rules, VersionIds};
use super::sign::Noise;

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    App,
    Database,
}

impl Kind {
    /// As in paths of the API's resources.
    pub fn segment(self) -> &'static str {
        if self == Self::App { "apps" } else { "databases" }
    }
    /// As in paths of the snapshot host and in the scope of the account's listing.
    pub fn folder(self) -> &'static str {
        if self == Self::App { "applications" } else { "databases" }
    }
    pub fn not_found(self) -> &'static str {
        if self == Self::App { "APP_NOT_FOUND" } else { "DATABASE_NOT_FOUND" }
    }
}

#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub email: String,
    /// `free` may not list the account's snapshots.
    pub plan: String,
    pub memory_mb: u64,
    pub created_ms: i64,
}

/// An API key: whose, and what it may.
#[derive(Clone, Debug)]
pub struct Key {
    pub text: String,
    pub account: String,
    /// `None` is everything.
    pub scopes: Option<BTreeSet<String>>,
    /// `None` is every app and database.
    pub resources: Option<BTreeSet<String>>,
    pub expired: bool,
}

/// An app or a database.
#[derive(Clone, Debug)]
pub struct Resource {
    pub id: String,
    pub kind: Kind,
    pub owner: String,
    pub name: String,
    /// The app's language or the database's engine.
    pub runtime: String,
    pub ram_mb: u64,
    pub cluster: String,
    pub created_ms: i64,
    /// The workspace it is shared through, and the accounts in there.
    pub workspace: Option<(String, BTreeSet<String>)>,
    pub files: Files,
    pub started_ms: Option<i64>,
    /// Answers 409 with this code to start, stop and restart.
    pub refuses: Option<String>,
    pub restore: Restore,
}

/// The restore of a resource that runs or ran last.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    pub started_ms: Option<i64>,
    pub finished_ms: Option<i64>,
    /// Status polls that still say queued or running.
    pub polls_left: u32,
    pub polls_seen: u32,
    /// Does not end before this time.
    pub ready_ms: i64,
    /// What it ends with: files, or an error's code.
    pub outcome: Option<Result<Files, String>>,
    pub failed: Option<String>,
}

/// One version of a stored object.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub data: Arc<Vec<u8>>,
    pub etag: Option<String>,
    pub modified_ms: i64,
    /// Names the resource and says how it shows in listings; `None` for a bare object.
    pub listed: Option<Listed>,
}

#[derive(Clone, Debug)]
pub struct Listed {
    pub resource: String,
    pub name: String,
    pub runtime: Option<String>,
    pub origin: Option<&'static str>,
    /// Listings that still do not show it.
    pub polls_left: u32,
    /// Does not show before this time.
    pub ready_ms: i64,
}

/// A listing as the service remembers it.
#[derive(Clone, Debug)]
pub struct Cached {
    pub at_ms: i64,
    pub items: serde_json::Value,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub rules: Rules,
    pub accounts: BTreeMap<String, Account>,
    pub keys: Vec<Key>,
    pub resources: BTreeMap<String, Resource>,
    /// Path on the snapshot host to versions, oldest first.
    pub objects: BTreeMap<String, Vec<Version>>,
    pub ledger: Ledger,
    /// Key or account to the end of its block.
    pub blocked: HashMap<String, i64>,
    /// Resource id, or account id and folder, to the cached listing.
    pub cache: HashMap<String, Cached>,
    pub secret: String,
    pub snapshot_host: String,
    pub noise: Noise,
}

impl World {
    pub fn new(rules: Rules, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let secret = noise.text(40, "abcdefghijklmnopqrstuvwxyz0123456789");
        Self {
            rules,
            accounts: BTreeMap::new(),
            keys: Vec::new(),
            resources: BTreeMap::new(),
            objects: BTreeMap::new(),
            ledger: Ledger::default(),
            blocked: HashMap::new(),
            cache: HashMap::new(),
            secret,
            snapshot_host: String::new(),
            noise,
        }
    }

    /// A new id of 32 hex digits.
    pub fn new_id(&mut self) -> String {
        self.noise.text(32, "0123456789abcdef")
    }

    /// A new version id of the form in force.
    pub fn new_version_id(&mut self) -> String {
        const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        match self.rules.version_ids {
            VersionIds::S3 => self.noise.text(32, LETTERS),
            VersionIds::Uuid => {
                let hex = self.new_id();
                [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
            }
            VersionIds::Odd => {
                let mut part = || self.noise.text(7, LETTERS);
                format!("{}.{}/{}+{}", part(), part(), part(), part())
            }
        }
    }

    /// An account with a key for everything; gives the key.
    pub fn add_account(&mut self, account: Account) -> String {
        let id = account.id.clone();
        self.accounts.insert(id.clone(), account);
        self.add_key(&id, None, None)
    }

    pub fn add_key(
        &mut self,
        account: &str,
        scopes: Option<BTreeSet<String>>,
        resources: Option<BTreeSet<String>>,
    ) -> String {
        let text = format!("{account}-{}", self.noise.text(64, "0123456789abcdef"));
        self.keys.push(Key { text: text.clone(), account: account.into(), scopes, resources, expired: false });
        text
    }

    /// The resource an id in a path names, for this account: the plain id for its owner, the composite
    /// `<appId>-<workspaceId>` for those it is shared with.
    pub fn resolve(&self, kind: Kind, id: &str, account: &str) -> Option<&Resource> {
        let (plain, workspace) = match id.split_once('-') {
            Some((plain, workspace)) if kind == Kind::App => (plain, Some(workspace)),
            _ => (id, None),
        };
        let resource = self.resources.get(plain).filter(|r| r.kind == kind)?;
        let allowed = match (workspace, &resource.workspace) {
            (None, _) => resource.owner == account,
            (Some(asked), Some((id, members))) => {
                asked == id && (resource.owner == account || members.contains(account))
            }
            (Some(_), None) => false,
        };
        allowed.then_some(resource)
    }

    /// Ends a restore whose time has come; gives the resource.
    pub fn settle_restore(&mut self, id: &str, now: i64) -> Option<&mut Resource> {
        let resource = self.resources.get_mut(id)?;
        let restore = &mut resource.restore;
        if restore.outcome.is_some() && restore.polls_left == 0 && now >= restore.ready_ms {
            restore.finished_ms = Some(now);
            match restore.outcome.take() {
                Some(Ok(files)) => resource.files = files,
                Some(Err(code)) => restore.failed = Some(code),
                None => {}
            }
        }
        Some(resource)
    }

    /// Drops objects 30 days old, as the service does.
    pub fn expire_objects(&mut self, now: i64) {
        for versions in self.objects.values_mut() {
            versions.retain(|v| v.listed.is_none() || now - v.modified_ms < 30 * DAY);
        }
        self.objects.retain(|_, v| !v.is_empty());
    }
}
