//! What the tests of the mirror share: a world, a mirror of it, and what is in a directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use squarecloud_blocking::time::OffsetDateTime;
use squarecloud_blocking::{Client, ClientBuilder, Error, Kind, Mirror, MirrorReport};
use tempfile::TempDir;

use crate::download_origin::quick_dir;
use crate::sandbox::{Fault, Link, NewSnapshot, On, Port, Sandbox, signed_query};
use crate::support::{Slept, builder};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const LOCK: &str = ".mirror.lock";
pub const OWNER: &str = "841905532178461902";

/// A world with so many daily snapshots of an app and a database, and a directory for them.
pub fn world(days: u32) -> (Sandbox, TempDir) {
    (Sandbox::builder().small().no_limits().history(days).start(), quick_dir())
}

/// A client that soon gives up, and whose pauses take no time.
pub fn hasty(sandbox: &Sandbox) -> ClientBuilder {
    builder(sandbox).retry_for(Duration::from_millis(1)).sleep(Slept::default().sleeper())
}

pub fn mirror(sandbox: &Sandbox, dir: &TempDir) -> Mirror {
    hasty(sandbox).build().unwrap().mirror(dir.path())
}

pub fn with_key(sandbox: &Sandbox, key: &str) -> Client {
    Client::builder(key).base_url(sandbox.base_url()).snapshot_host(sandbox.snapshot_host()).build().unwrap()
}

/// A snapshot of an app or database, so many days old.
pub fn put(sandbox: &Sandbox, id: &str, days: u32) -> Link {
    sandbox.put_snapshot(NewSnapshot { age: DAY * days, ..NewSnapshot::of(id) })
}

/// An object of an app, and a link and key for it that name no version.
pub fn unversioned(sandbox: &Sandbox, name: &str, bytes: Vec<u8>) -> (String, String) {
    let path = format!("/applications/{OWNER}/{name}.zip");
    sandbox.put_object(&path, bytes);
    let key = signed_query(&sandbox.world().secret, &path, sandbox.now_ms() / 1000 + 86_400, None);
    (format!("{}{path}?{key}", sandbox.snapshot_host()), key)
}

/// How many requests went to the API and to the snapshot host since the last look.
pub fn asked(sandbox: &Sandbox) -> (usize, usize) {
    let requests = sandbox.requests();
    sandbox.clear_requests();
    let api = requests.iter().filter(|request| request.port == Port::Api).count();
    (api, requests.len() - api)
}

/// Where the mirror must put what is listed of a kind, with the stored bytes, oldest first.
pub fn listed(sandbox: &Sandbox, kind: Kind) -> Vec<(String, Vec<u8>)> {
    let client = builder(sandbox).build().unwrap();
    let mut infos = client.all_snapshots(kind).unwrap();
    infos.reverse();
    let folder = if kind == Kind::App { "apps" } else { "databases" };
    let world = sandbox.world();
    let versions: Vec<_> = world.objects.values().flatten().cloned().collect();
    drop(world);
    let file = |info: &squarecloud_blocking::SnapshotInfo| {
        let name = client.open(info).unwrap().file_name().to_owned();
        let stored = versions.iter().find(|stored| Some(&stored.id) == info.version_id.as_ref()).unwrap();
        (format!("{folder}/{}/{name}", info.resource_id()), stored.data.to_vec())
    };
    infos.iter().map(file).collect()
}

/// Everything in a directory: files with bytes and times, links with targets, directories.
pub fn tree(dir: &Path) -> BTreeMap<PathBuf, (&'static str, Vec<u8>, Option<SystemTime>)> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, (&'static str, Vec<u8>, Option<SystemTime>)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                walk(root, &path, found);
                ("directory", Vec::new(), None)
            } else if meta.is_symlink() {
                ("link", fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(), None)
            } else if meta.is_file() {
                ("file", fs::read(&path).unwrap(), meta.modified().ok())
            } else {
                ("special", Vec::new(), None)
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

/// The paths of the files below a mirror's directory, without its lock.
pub fn files(dir: &TempDir) -> Vec<String> {
    let tree = tree(dir.path());
    let files = tree.iter().filter(|(path, (what, ..))| *what != "directory" && !path.ends_with(LOCK));
    files.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

/// Paths of a report or plan as [`files`] names them, sorted.
pub fn relative<'a>(dir: &TempDir, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
    let name = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = paths.into_iter().map(name).collect();
    names.sort();
    names
}

/// The paths of [`listed`], sorted.
pub fn paths(listed: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut paths: Vec<String> = listed.iter().map(|(path, _)| path.clone()).collect();
    paths.sort();
    paths
}

/// What is listed, and why not, as text.
pub fn not_listed(report: &MirrorReport) -> Vec<String> {
    report.not_listed.iter().map(|(what, error)| format!("{what}: {}", short(error))).collect()
}

/// An error's code, or what it is.
pub fn short(error: &Error) -> String {
    match error.code() {
        Some(code) => code.to_string(),
        None if error.is_timeout() => "timeout".into(),
        None => format!("{:?}", error.status()),
    }
}

/// When a file was changed.
pub fn modified(path: &Path) -> OffsetDateTime {
    fs::metadata(path).unwrap().modified().unwrap().into()
}

/// The first listing of this many items or of a kind is as `fault` says: apps are asked for first.
pub fn spoil_listing(sandbox: &Sandbox, kind: Kind, fault: Fault) {
    let first = u64::from(kind == Kind::Database);
    sandbox.fault(On::path("GET", "/users/snapshots"), fault).once().after(first);
}

/// Lets the sandbox's time pass as it would if the client really slept.
pub fn passing(sandbox: &Arc<Sandbox>) -> impl Fn(Duration) + Send + Sync + 'static {
    let sandbox = sandbox.clone();
    move |slice| sandbox.advance(slice)
}

/// Whether some 30 calls came within 60 s.
pub fn is_too_fast(sandbox: &Sandbox) -> bool {
    let requests = sandbox.requests();
    let times: Vec<i64> = requests.iter().filter(|r| r.port == Port::Api).map(|r| r.at_ms).collect();
    times.windows(30).any(|calls| calls[29] - calls[0] <= 60_000)
}
