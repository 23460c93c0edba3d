//! Upload and commit: the contract's section 8.

use serde_json::json;

use super::api::limited;
use super::files::{self, FileNode, Files, MODE_FILE};
use super::http::{Answer, Request};
use super::limits;
use super::multipart::{self, Part};
use super::sign::form_field;
use super::world::{Kind, Resource, Restore, World};

/// The largest body: 100 MiB.
pub const MAX_UPLOAD: usize = 100 << 20;
/// Free plan memory a new app needs, in MB.
const MIN_MEMORY: u64 = 256;

fn part(request: &Request) -> Result<Part<'_>, Answer> {
    let refused = |status: u16, code: &str| Answer::error(status, code, "");
    if request.chunked {
        return Err(refused(400, "UPLOAD_ABORTED"));
    }
    let kind = request.header("Content-Type").unwrap_or("");
    if !request.too_large {
        let part = multipart::parse(kind, &request.body)
            .map_err(|code| refused(if code == "INVALID_CONTENT_TYPE" { 415 } else { 400 }, code))?;
        if part.data.len() <= MAX_UPLOAD {
            if !["application/zip", "application/octet-stream"].contains(&part.content_type.as_str()) {
                return Err(refused(400, "INVALID_FILE"));
            }
            return Ok(part);
        }
    }
    Err(Answer::error(413, "FILE_TOO_LARGE", "Files have at most 100 MiB."))
}

/// `POST /apps`: a new app from a zip.
pub fn upload(world: &mut World, request: &Request, account: &str, now: i64) -> Result<Answer, Answer> {
    let part = part(request)?;
    if world.rules.cooldowns {
        limited(world, &format!("upload by {account}"), limits::UPLOAD_USER, now)?;
    }
    let files = files::from_zip(part.data).ok_or_else(|| Answer::error(400, "INVALID_FILE", "This is no zip."))?;
    let config = files.get("squarecloud.app").or_else(|| files.get("squarecloud.config"));
    let config = config.ok_or_else(|| {
        Answer::error(400, "INVALID_FILE", "The zip's root has no squarecloud.app or squarecloud.config.")
    })?;
    let config = String::from_utf8_lossy(&config.data).into_owned();
    let field = |name: &str| {
        let pair = config.lines().filter_map(|l| l.split_once('=')).find(|(n, _)| n.trim() == name);
        pair.map(|(_, v)| v.trim().to_string())
    };
    let wanted = field("MEMORY").and_then(|m| m.parse().ok()).unwrap_or(MIN_MEMORY);
    let used: u64 = world.resources.values().filter(|r| r.owner == account).map(|r| r.ram_mb).sum();
    let free = world.accounts.get(account).map_or(0, |a| a.memory_mb).saturating_sub(used);
    if free < wanted.max(MIN_MEMORY) {
        let text = format!("The plan has {free} MB left, the app needs {wanted} MB.");
        return Err(Answer::error(400, "INSUFFICIENT_MEMORY", &text));
    }
    let (id, runtime) = (world.new_id(), runtime(&files, &field("MAIN").unwrap_or_default()));
    let name = field("DISPLAY_NAME").unwrap_or_else(|| "app".into());
    let response = json!({"id": id, "name": name, "description": field("DESCRIPTION"), "cluster": "c1", "ram": wanted,
        "cpu": 0.5, "language": {"name": runtime, "version": "recommended"}});
    let app = Resource {
        id: id.clone(),
        kind: Kind::App,
        owner: account.into(),
        name,
        runtime: runtime.into(),
        ram_mb: wanted,
        cluster: "c1".into(),
        created_ms: now,
        workspace: None,
        files,
        started_ms: Some(now),
        refuses: None,
        restore: Restore::default(),
    };
    world.resources.insert(id, app);
    Ok(Answer::json(200, &json!({"status": "success", "response": response})))
}

fn runtime(files: &Files, main: &str) -> &'static str {
    match main.rsplit('.').next() {
        Some("py") => "python",
        Some("ts") => "typescript",
        Some("rs") => "rust",
        Some("html") => "static",
        _ if files.contains_key("Cargo.toml") => "rust",
        _ => "javascript",
    }
}

/// `POST /apps/{id}/commit[?path=/dir]`: files into an existing app; those it has besides stay.
pub fn commit(world: &mut World, request: &Request, id: &str, account: &str, now: i64) -> Result<Answer, Answer> {
    let part = part(request)?;
    let path = form_field(&request.query, "path").unwrap_or_default();
    if path.split('/').any(|p| p == "..") || path.chars().any(char::is_control) {
        return Err(Answer::error(400, "INVALID_PATH", ""));
    }
    if world.rules.cooldowns {
        limited(world, &format!("commit by {account}"), limits::COMMIT_USER, now)?;
        limited(world, &format!("commit to {id}"), limits::COMMIT_RESOURCE, now)?;
    }
    let prefix: String = path.split('/').filter(|p| !p.is_empty() && *p != ".").map(|p| format!("{p}/")).collect();
    let new = if part.filename.to_ascii_lowercase().ends_with(".zip") {
        files::from_zip(part.data).ok_or_else(|| Answer::error(400, "COMMIT_FAILED", "This is no zip."))?
    } else {
        Files::from([(part.filename, FileNode::new(part.data, MODE_FILE, now / 1000))])
    };
    if let Some(app) = world.resources.get_mut(id) {
        app.files.extend(new.into_iter().map(|(name, file)| (format!("{prefix}{name}"), file)));
    }
    Ok(world.done())
}
