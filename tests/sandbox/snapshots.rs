//! Creating and listing snapshots: the rules of the contract's sections 3 and 4.

use std::sync::Arc;

use serde_json::{Value, json};

use super::clock::{self, DAY, MINUTE};
use super::files::Files;
use super::http::Answer;
use super::limits::{self, daily_quota};
use super::rules::{Creation, ListingForm};
use super::sign;
use super::world::{Cached, Kind, Listed, Version, World};

/// A creation that passed every check: the files to pack, outside the world's lock.
pub struct Started {
    pub resource: String,
    pub name: String,
    pub files: Files,
    pub at_ms: i64,
}

impl World {
    /// Checks quota and cooldowns and counts the creation.
    pub fn start_snapshot(&mut self, id: &str, account: &str, now: i64) -> Result<Started, Answer> {
        let resource = self.resources.get(id).ok_or_else(|| Answer::error(404, "APP_NOT_FOUND", ""))?;
        let owner = self.accounts.get(&resource.owner).map_or(0, |a| a.memory_mb);
        let (by_user, by_resource) = (format!("snapshot user {account}"), format!("snapshot of {id}"));
        let by_owner = format!("snapshots of owner {}", resource.owner);
        let quota = daily_quota(owner);
        let busy = |limit: limits::Limit| {
            let text = format!("You already requested a snapshot recently. Keep calm! {}", limit.rate());
            Answer::error(429, "KEEP_CALM", &text)
        };
        if self.rules.cooldowns {
            for (name, limit) in [(&by_user, limits::SNAPSHOT_USER), (&by_resource, limits::SNAPSHOT_RESOURCE)] {
                if !self.ledger.allows(name, limit, now) {
                    return Err(busy(limit));
                }
            }
        }
        if self.rules.quota && !self.ledger.allows(&by_owner, quota, now) {
            let text = format!("You reached your daily snapshots limit. {}", quota.rate());
            return Err(Answer::error(429, "DAILY_SNAPSHOTS_LIMIT_REACHED", &text));
        }
        if self.hidden(id, now) && self.rules.creation != Creation::Never {
            return Err(Answer::error(409, "SNAPSHOT_IN_PROGRESS", "A snapshot is still being made."));
        }
        if self.rules.creation == Creation::Fails {
            return Err(Answer::error(404, "SNAPSHOT_FAILED", "The cluster could not make the snapshot."));
        }
        let resource = &self.resources[id];
        let name = match resource.kind {
            Kind::App => format!("{id}_{}_manual", resource.runtime),
            Kind::Database => format!("{id}_{}", resource.runtime),
        };
        let started = Started { resource: id.into(), name, files: resource.files.clone(), at_ms: now };
        for name in [&by_user, &by_resource, &by_owner] {
            self.ledger.note(name, now);
        }
        Ok(started)
    }

    /// Stores the packed snapshot and answers the creation.
    pub fn finish_snapshot(&mut self, started: Started, zip: Vec<u8>) -> Answer {
        let (now, creation) = (started.at_ms, self.rules.creation);
        let (polls_left, ready_ms) = match creation {
            // Counted down before each listing: the one after the n-th shows it.
            Creation::AfterPolls(n) => (n + 1, now),
            Creation::After(time) => (0, now + time.as_millis() as i64),
            Creation::Never => (0, i64::MAX),
            Creation::Done | Creation::Fails => (0, 0),
        };
        let runtime = self.resources.get(&started.resource).map(|r| r.runtime.clone());
        let listed = Listed {
            resource: started.resource.clone(),
            name: started.name,
            runtime,
            origin: Some("manual"),
            polls_left,
            ready_ms,
        };
        let path = self.object_path(&listed);
        self.store(&path, zip, Some(listed), now);
        if creation != Creation::Done {
            let text = "The snapshot is still being made. It will be listed soon.";
            return Answer::error(202, "SNAPSHOT_PROCESSING", text);
        }
        self.refresh(&started.resource);
        let key = sign::query(&self.secret, &path, now / 1000 + 30 * DAY / 1000, None);
        let url = format!("{}{path}?{key}", self.snapshot_host);
        Answer::json(200, &json!({"status": "success", "response": {"url": url, "key": key}}))
    }

    /// `/applications/<owner>/<name>.zip`
    pub fn object_path(&self, listed: &Listed) -> String {
        let (kind, owner) =
            self.resources.get(&listed.resource).map_or((Kind::App, String::new()), |r| (r.kind, r.owner.clone()));
        format!("/{}/{}/{}.zip", kind.folder(), owner, sign::encode(&listed.name, ""))
    }

    /// Stores a new version at `path`; gives its id.
    pub fn store(&mut self, path: &str, data: Vec<u8>, listed: Option<Listed>, now: i64) -> String {
        let id = self.new_version_id();
        let etag = Some(sign::etag(&id, &data));
        let version = Version { id: id.clone(), etag, data: Arc::new(data), modified_ms: now, listed };
        self.objects.entry(path.to_string()).or_default().push(version);
        id
    }

    /// Gives the newest version at `path` other bytes under its old id, with a new tag or with the old one.
    pub fn replace(&mut self, path: &str, data: Vec<u8>, new_tag: bool, now: i64) {
        let tag = new_tag.then(|| sign::etag(&format!("{path} {now} {}", self.noise.next()), &data));
        if let Some(version) = self.objects.get_mut(path).and_then(|v| v.last_mut()) {
            version.data = Arc::new(data);
            if let Some(tag) = tag {
                version.etag = Some(tag);
                version.modified_ms = now;
            }
        }
    }

    /// A creation forgets the cached listings, unless the rules say otherwise.
    pub fn refresh(&mut self, id: &str) {
        if let Some(resource) = self.resources.get(id).filter(|_| self.rules.creation_refreshes) {
            self.cache.remove(id);
            self.cache.remove(&format!("{} {}", resource.owner, resource.kind.folder()));
        }
    }

    fn hidden(&self, id: &str, now: i64) -> bool {
        let listed = self.objects.values().flatten().filter_map(|v| v.listed.as_ref());
        listed.filter(|l| l.resource == id).any(|l| l.polls_left > 0 || l.ready_ms > now)
    }

    /// One more look at a resource's listing: what is being made comes nearer.
    fn poll(&mut self, id: &str, now: i64) {
        let mut appeared = false;
        for listed in self.objects.values_mut().flatten().filter_map(|v| v.listed.as_mut()) {
            if listed.resource != id || (listed.polls_left == 0 && listed.ready_ms == 0) {
                continue;
            }
            listed.polls_left = listed.polls_left.saturating_sub(1);
            if listed.polls_left == 0 && listed.ready_ms <= now {
                // Zero marks what has been noticed, so that the cache is refreshed once.
                listed.ready_ms = 0;
                appeared = true;
            }
        }
        if appeared {
            self.refresh(id);
        }
    }

    fn items(&self, shows: impl Fn(&Listed) -> bool, now: i64) -> Value {
        let mut items: Vec<(String, Value)> = Vec::new();
        for (path, version) in self.objects.iter().flat_map(|(p, vs)| vs.iter().map(move |v| (p, v))) {
            let Some(listed) = version.listed.as_ref().filter(|l| shows(l)) else { continue };
            if listed.polls_left == 0 && listed.ready_ms <= now {
                items.push((version.id.clone(), self.item(path, version, listed, now)));
            }
        }
        // By version id: an order that means nothing, as the contract promises none.
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.into_iter().map(|(_, item)| item).collect()
    }

    fn item(&self, path: &str, version: &Version, listed: &Listed, now: i64) -> Value {
        let key = sign::query(&self.secret, path, (now + 30 * DAY) / 1000, Some(&version.id));
        let modified = clock::rfc3339(version.modified_ms);
        let (name, size) = (&listed.name, version.data.len());
        match self.rules.listing {
            ListingForm::New => json!({
                "name": name, "size": size, "modified": modified, "key": key, "version_id": version.id,
                "url": format!("{}{path}?{key}", self.snapshot_host),
                "runtime": listed.runtime, "origin": listed.origin,
            }),
            ListingForm::Old => json!({"name": name, "size": size, "modified": modified, "key": key}),
            ListingForm::Seed => {
                json!({"id": name, "size": size.to_string(), "created_at": modified, "key": key})
            }
        }
    }

    fn cached(&mut self, name: &str, now: i64) -> Option<Value> {
        let cached = self.cache.get(name).filter(|_| self.rules.listing_cache)?;
        (now - cached.at_ms < 30 * MINUTE).then(|| cached.items.clone())
    }

    /// The listing of one app or database.
    pub fn list(&mut self, id: &str, now: i64) -> Answer {
        self.expire_objects(now);
        self.poll(id, now);
        let items = self.cached(id, now).unwrap_or_else(|| {
            let items = self.items(|l| l.resource == id, now);
            self.cache.insert(id.to_string(), Cached { at_ms: now, items: items.clone() });
            items
        });
        Answer::json(200, &json!({"status": "success", "response": items}))
    }

    /// The listing of an account's apps or databases, as far as `visible` says the key sees them.
    pub fn list_account(&mut self, account: &str, kind: Kind, visible: impl Fn(&str) -> bool, now: i64) -> Answer {
        self.expire_objects(now);
        if self.accounts.get(account).is_none_or(|a| a.plan == "free") {
            return Answer::error(402, "UPGRADE_REQUIRED", "Listing an account's snapshots needs a paid plan.");
        }
        let ids: Vec<String> =
            self.resources.values().filter(|r| r.owner == account && r.kind == kind).map(|r| r.id.clone()).collect();
        ids.iter().for_each(|id| self.poll(id, now));
        let (name, counted) = (format!("{account} {}", kind.folder()), format!("account listing {account}"));
        let items = match self.cached(&name, now) {
            Some(items) => items,
            None => {
                let limit = limits::ACCOUNT_LISTING;
                let blocked = self.blocked.get(&counted).is_some_and(|until| now < *until);
                if self.rules.listing_limit && (blocked || !self.ledger.allows(&counted, limit, now)) {
                    if !blocked {
                        self.blocked.insert(counted, now + limits::BLOCK_MS);
                    }
                    let text = format!("Too many listings. {}", limit.rate());
                    return Answer::error(429, "RATE_LIMITED", &text);
                }
                self.ledger.note(&counted, now);
                let items = self.items(|l| ids.contains(&l.resource), now);
                self.cache.insert(name, Cached { at_ms: now, items: items.clone() });
                items
            }
        };
        let mut items = items;
        if let Some(list) = items.as_array_mut() {
            list.retain(|i| {
                let name = i["name"].as_str().or(i["id"].as_str()).unwrap_or_default();
                visible(name.split('_').next().unwrap_or_default())
            });
        }
        Answer::json(200, &json!({"status": "success", "response": items}))
    }

    /// What an action answers.
    pub fn done(&self) -> Answer {
        let plain = json!({"status": "success"});
        let chatty = json!({"status": "success", "code": "SUCCESS", "response": null});
        Answer::json(200, if self.rules.chatty_success { &chatty } else { &plain })
    }
}
