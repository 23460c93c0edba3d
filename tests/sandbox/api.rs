//! The API's answers: who asks, what for, and what the world says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::clock::{self, MINUTE};
use super::files;
use super::http::{Answer, Request};
use super::limits::{self, Limit};
use super::routes::Route;
use super::sign::form_field;
use super::upload;
use super::world::{Key, Kind, Resource, World};

/// The world behind its lock; a test that failed while holding it does not take the others down.
pub fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one API request.
pub fn answer(world: &Mutex<World>, request: &Request, route: Route, id: &str, now: i64) -> Answer {
    decide(world, request, route, id, now).unwrap_or_else(|refusal| refusal)
}

fn decide(world: &Mutex<World>, request: &Request, route: Route, id: &str, now: i64) -> Result<Answer, Answer> {
    if route == Route::ServiceStatus {
        return Ok(Answer::json(200, &json!({"status": "online", "message": "All systems operational."})));
    }
    let mut guard = lock(world);
    let key = authorise(&mut guard, request, now)?;
    // Elsewhere no length is no body, and a remark: curl's `-X POST` is to work.
    let needs_length = matches!(route, Route::Upload | Route::Commit | Route::Restore(_));
    if needs_length && !request.chunked && request.header("Content-Length").is_none() {
        return Err(Answer::error(411, "LENGTH_REQUIRED", "The Content-Length header is missing."));
    }
    if route == Route::Unknown || (matches!(route, Route::RestoreStatus(_)) && !guard.rules.restore_status) {
        return Err(Answer::error(404, "ROUTE_NOT_FOUND", "There is no such route."));
    }
    if let (Some(needed), Some(has)) = (route.scope(), &key.scopes)
        && !has.contains(needed)
    {
        return Err(Answer::error(403, "MISSING_SCOPE", &format!("The key lacks the scope {needed}.")));
    }
    let account = key.account.as_str();
    let id = match route.kind() {
        Some(kind) => find(&guard, &key, kind, id)?,
        None => String::new(),
    };
    guard.settle_restore(&id, now);
    match route {
        Route::Me => me(&guard, &key),
        Route::Info(_) => Ok(info(&guard.resources[&id])),
        Route::Status(_) => {
            let raw = form_field(&request.query, "rawData").is_some_and(|v| v == "true");
            Ok(status(&guard.resources[&id], raw))
        }
        Route::Statuses(kind) => statuses(&mut guard, request, &key, kind, now),
        Route::Start(_) | Route::Stop(_) | Route::Restart => act(&mut guard, route, &id, account, now),
        Route::Delete(_) => delete(&mut guard, &id, now),
        Route::List(_) => Ok(guard.list(&id, now)),
        Route::ListAccount => {
            let kind = match form_field(&request.query, "scope").as_deref() {
                None | Some("applications") => Kind::App,
                Some("databases") => Kind::Database,
                Some(_) => return Err(Answer::error(400, "INVALID_SCOPE", "")),
            };
            Ok(guard.list_account(account, kind, |id| sees(&key, id), now))
        }
        Route::Create(_) => {
            let started = guard.start_snapshot(&id, account, now)?;
            drop(guard);
            let zip = files::to_zip(&started.files);
            Ok(lock(world).finish_snapshot(started, zip))
        }
        Route::Restore(_) => {
            json_body(request)?;
            Ok(guard.restore(&id, account, &request.body, now))
        }
        Route::RestoreStatus(_) => Ok(guard.restore_status(&id, now)),
        Route::Upload => upload::upload(&mut guard, request, account, now),
        Route::Commit => upload::commit(&mut guard, request, &id, account, now),
        Route::ServiceStatus | Route::Object | Route::Unknown => Err(Answer::error(404, "ROUTE_NOT_FOUND", "")),
    }
}

fn json_body(request: &Request) -> Result<(), Answer> {
    let kind = request.header("Content-Type").unwrap_or("").to_ascii_lowercase();
    if kind.starts_with("application/json") {
        return Ok(());
    }
    Err(Answer::error(415, "INVALID_CONTENT_TYPE", "The body must be application/json."))
}

fn authorise(world: &mut World, request: &Request, now: i64) -> Result<Key, Answer> {
    let given = request.header("Authorization").unwrap_or("");
    let Some(key) = world.keys.iter().find(|k| k.text == given).cloned() else {
        let text = match given {
            "" => "The Authorization header with the API key is missing.",
            bearer if bearer.starts_with("Bearer ") => {
                "The Authorization header is the API key itself, without Bearer."
            }
            _ => "The API key is not valid.",
        };
        return Err(Answer::error(401, "ACCESS_DENIED", text));
    };
    if key.expired {
        return Err(Answer::error(401, "APIKEY_EXPIRED", "The API key has expired."));
    }
    let limited = || Answer::error(429, "RATE_LIMITED", "Too many requests. Try again later.");
    if world.blocked.get(&key.text).is_some_and(|until| now < *until) {
        return Err(limited());
    }
    if let Some(budget) = world.rules.budget {
        let (name, limit) = (format!("calls {}", key.text), Limit::new(budget, MINUTE));
        if !world.ledger.allows(&name, limit, now) {
            world.blocked.insert(key.text.clone(), now + limits::BLOCK_MS);
            return Err(limited());
        }
        world.ledger.note(&name, now);
    }
    Ok(key)
}

fn sees(key: &Key, id: &str) -> bool {
    key.resources.as_ref().is_none_or(|r| r.contains(id))
}

/// The plain id of the resource a path names.
fn find(world: &World, key: &Key, kind: Kind, id: &str) -> Result<String, Answer> {
    let Some(resource) = world.resolve(kind, id, &key.account) else {
        return Err(Answer::error(404, kind.not_found(), "There is no such resource."));
    };
    if !sees(key, &resource.id) {
        return Err(Answer::error(403, "RESOURCE_NOT_ALLOWED", "The key is limited to other resources."));
    }
    Ok(resource.id.clone())
}

/// The resources a key sees, with the id it uses for them.
fn visible<'a>(world: &'a World, key: &'a Key, kind: Kind) -> impl Iterator<Item = (String, &'a Resource)> {
    world.resources.values().filter(move |r| r.kind == kind && sees(key, &r.id)).filter_map(|r| {
        let shared = r.workspace.as_ref().filter(|(_, members)| members.contains(&key.account));
        match shared {
            _ if r.owner == key.account => Some((r.id.clone(), r)),
            Some((workspace, _)) => Some((format!("{}-{workspace}", r.id), r)),
            None => None,
        }
    })
}

fn me(world: &World, key: &Key) -> Result<Answer, Answer> {
    let account = world.accounts.get(&key.account);
    let account = account.ok_or_else(|| Answer::error(404, "USER_NOT_FOUND", ""))?;
    let owned = world.resources.values().filter(|r| r.owner == account.id);
    let used: u64 = owned.map(|r| r.ram_mb).sum();
    let summary = |(id, r): (String, &Resource)| {
        let runtime = if r.kind == Kind::App { "lang" } else { "type" };
        json!({"id": id, "name": r.name, "ram": r.ram_mb, runtime: r.runtime, "cluster": r.cluster,
            "created_at": clock::rfc3339(r.created_ms)})
    };
    let list = |kind| visible(world, key, kind).map(summary).collect::<Value>();
    let value = json!({"status": "success", "response": {
        "user": {
            "id": account.id, "name": account.name, "email": account.email, "locale": "en-US",
            "plan": {
                "name": account.plan,
                "memory": {"limit": account.memory_mb, "available": account.memory_mb.saturating_sub(used), "used": used},
                "duration": if account.plan == "free" { Value::Null } else { json!(1_798_761_600_000_i64) },
            },
            "created_at": clock::rfc3339(account.created_ms),
        },
        "applications": list(Kind::App),
        "databases": list(Kind::Database),
    }});
    Ok(Answer::json(200, &value))
}

fn info(r: &Resource) -> Answer {
    let mut value = json!({"id": r.id, "name": r.name, "owner": r.owner, "cluster": r.cluster, "ram": r.ram_mb,
        "created_at": clock::rfc3339(r.created_ms)});
    match r.kind {
        Kind::App => {
            value["language"] = r.runtime.as_str().into();
            value["domain"] = Value::Null;
        }
        Kind::Database => {
            value["type"] = r.runtime.as_str().into();
            value["port"] = 7432.into();
        }
    }
    Answer::json(200, &json!({"status": "success", "response": value}))
}

fn status(r: &Resource, raw: bool) -> Answer {
    let running = r.started_ms.is_some();
    let bytes: usize = r.files.values().map(|f| f.data.len()).sum();
    let word = if running { "running" } else { "exited" };
    let response = if raw {
        json!({"cpu": if running { 0.42 } else { 0.0 }, "ram": if running { 118.6 } else { 0.0 }, "status": word,
            "running": running, "storage": bytes, "network": {"total": 5_368_709, "now": 1_204}, "uptime": r.started_ms})
    } else {
        let storage = format!("{:.1}MB", bytes as f64 / 1e6);
        json!({"cpu": if running { "0.42%" } else { "0%" }, "ram": if running { "118.6MB" } else { "0MB" },
            "status": word, "running": running, "storage": storage,
            "network": {"total": "5.1 MB ↑ 3.2 MB ↓", "now": "1.2 KB ↑ 0.4 KB ↓"}, "uptime": r.started_ms})
    };
    Answer::json(200, &json!({"status": "success", "response": response}))
}

fn statuses(world: &mut World, request: &Request, key: &Key, kind: Kind, now: i64) -> Result<Answer, Answer> {
    let name = format!("statuses {}", key.account);
    if world.rules.listing_limit {
        limited(world, &name, limits::STATUSES, now)?;
    }
    let workspace = form_field(&request.query, "workspaceId");
    let shown = |r: &Resource| workspace.is_none() || r.workspace.as_ref().map(|(id, _)| id) == workspace.as_ref();
    let items = visible(world, key, kind).filter(|(_, r)| shown(r)).map(|(id, r)| match r.started_ms {
        Some(_) => json!({"id": id, "running": true, "cpu": "0.42%", "ram": "118.6MB"}),
        None => json!({"id": id, "running": false}),
    });
    let items: Value = items.collect();
    Ok(Answer::json(200, &json!({"status": "success", "response": items})))
}

/// Refuses with `KEEP_CALM` when it was done too often, else counts it.
pub fn limited(world: &mut World, name: &str, limit: Limit, now: i64) -> Result<(), Answer> {
    if !world.ledger.allows(name, limit, now) {
        return Err(Answer::error(429, "KEEP_CALM", &format!("Keep calm! {}", limit.rate())));
    }
    world.ledger.note(name, now);
    Ok(())
}

/// Refuses while a restore holds the resource.
fn unheld(world: &World, id: &str, now: i64) -> Result<(), Answer> {
    let started = world.resources[id].restore.started_ms;
    if world.rules.cooldowns && started.is_some_and(|t| now - t < limits::RESTORE_HOLD_MS) {
        return Err(Answer::error(403, "RESTORE_IN_PROGRESS", "A restore is in progress."));
    }
    Ok(())
}

/// The app or database goes; its snapshots are listed no more.
fn delete(world: &mut World, id: &str, now: i64) -> Result<Answer, Answer> {
    unheld(world, id, now)?;
    world.resources.remove(id);
    Ok(world.done())
}

fn act(world: &mut World, route: Route, id: &str, account: &str, now: i64) -> Result<Answer, Answer> {
    let resource = &world.resources[id];
    let (refuses, running) = (resource.refuses.clone(), resource.started_ms.is_some());
    if resource.kind == Kind::Database {
        unheld(world, id, now)?;
    }
    if world.rules.cooldowns {
        limited(world, &format!("action on {id}"), limits::ACTION_RESOURCE, now)?;
        limited(world, &format!("action by {account}"), limits::ACTION_USER, now)?;
    }
    let code = match (refuses, route) {
        (Some(code), _) => code,
        (None, Route::Start(_)) if running => "CONTAINER_ALREADY_STARTED".into(),
        (None, Route::Stop(_)) if !running => "CONTAINER_ALREADY_STOPPED".into(),
        _ => {
            if let Some(resource) = world.resources.get_mut(id) {
                resource.started_ms = (!matches!(route, Route::Stop(_))).then_some(now);
            }
            return Ok(world.done());
        }
    };
    // These refusals have a code and nothing else.
    Err(Answer::error(409, &code, ""))
}
