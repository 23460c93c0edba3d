//! A directory full of other people's files: every one of them survives every run, byte for byte.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use squarecloud_blocking::{Keep, Kind};
use tempfile::TempDir;

use crate::mirror_support::*;
use crate::sandbox::Sandbox;

/// Names that are almost, but not quite, those of a mirror's files.
fn names(id: &str) -> Vec<String> {
    let time = "20260101T000000Z";
    let own = [
        format!("{id}.zip"),
        format!("{id}_javascript_manual.zip"),
        format!("{id}_x.{time}.v (1).zip"),
        format!("{id}_x.{time} (1).zip"),
        format!("{id}_x.{time}.v.zip.bak"),
        format!("{id}_x.{time}.v.zip~"),
        format!("{id}_x.{time}.v.ZIP"),
        format!("{id}_x.{time}.v.Zip"),
        format!("{id}_x.{time}.v.zip "),
        format!("{id}_x.{time}.v.tar"),
        format!("{id}_x.{time}.v"),
        format!("{id}_x.{time}..zip"),
        format!("{id}_x.{time}.a.b.zip"),
        format!("{id}_x.{time}.0123456789abcdef0.zip"),
        format!("{id}_x.{time}.ü.zip"),
        format!("{id}_x.20261301T000000Z.v.zip"),
        format!("{id}_x.20260132T000000Z.v.zip"),
        format!("{id}_x.20260101T240000Z.v.zip"),
        format!("{id}_x.20260101t000000z.v.zip"),
        format!("{id}_x.20260101T000000.v.zip"),
        format!("{id}_x.20260101.v.zip"),
        format!("{id}_x.2026-01-01T00:00:00Z.v.zip"),
        format!("{id}-x.{time}.v.zip"),
        format!("{id}x.{time}.v.zip"),
        format!("{id}0.{time}.v.zip"),
        format!(" {id}_x.{time}.v.zip"),
        format!(".{id}_x.{time}.v.zip"),
        format!("._{id}_x.{time}.v.zip"),
        format!("x{id}_x.{time}.v.zip"),
        format!("{}_x.{time}.v.zip", id.to_uppercase()),
        format!("{}_x.{time}.v.zip", &id[1..]),
        format!("{}_x.{time}.v.zip", &id[..8]),
        format!("other_x.{time}.v.zip"),
        format!("{id}_x.{time}.v.zip.damaged"),
        format!("{id}_x.{time}.v.zip.2.damaged"),
        format!("{id}_é.{time}.v.zip"),
        "_x.20260101T000000Z.v.zip".into(),
        ".20260101T000000Z.v.zip".into(),
        "20260101T000000Z.zip".into(),
        ".zip".into(),
        "notes.txt".into(),
        ".hidden".into(),
        ".DS_Store".into(),
        "Thumbs.db".into(),
        "backup of everything.zip".into(),
        ".x.zip.part".into(),
        ".x.zip.part.meta".into(),
        "-rf".into(),
        "new\nline.zip".into(),
    ];
    own.into()
}

/// Names that are not valid Unicode.
fn broken(id: &str) -> Vec<OsString> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let name = |bytes: &[u8]| OsString::from_vec([id.as_bytes(), bytes].concat());
        vec![name(b"_\xff.20260101T000000Z.v.zip"), name(b"\xff"), OsString::from_vec(b"\xff\xfe.zip".to_vec())]
    }
    #[cfg(not(unix))]
    {
        let _ = id;
        Vec::new()
    }
}

/// Writes strangers' files wherever a mirror has directories, and returns them.
fn plant(dir: &TempDir, sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let (app, database) = (sandbox.app_id(), sandbox.database_id());
    let mut places = vec![
        (PathBuf::new(), app),
        ("apps".into(), app),
        ("databases".into(), database),
        (PathBuf::from("apps").join(app), app),
        (PathBuf::from("databases").join(database), database),
        (PathBuf::from("apps").join(database), app),
        (PathBuf::from("databases").join(app), database),
        ("apps/foreign".into(), app),
        (PathBuf::from("apps").join(app).join("deeper"), app),
        (PathBuf::from("app").join(app), app),
        (PathBuf::from("APPS").join(app), app),
        ("lost+found".into(), app),
    ];
    places.extend(broken("folder").into_iter().take(2).map(|name| (Path::new("apps").join(name), app)));
    // In a folder of another name, also those that are like a mirror's.
    let like = |id: &str| format!("{id}_javascript_manual.20260101T000000Z.abcdefg-01234567.zip");
    let mut planted = BTreeMap::new();
    for (number, (place, id)) in places.into_iter().enumerate() {
        fs::create_dir_all(dir.path().join(&place)).unwrap();
        let mut all: Vec<OsString> = names(id).into_iter().map(OsString::from).collect();
        all.extend(broken(id));
        if !place.ends_with(id) {
            all.push(like(id).into());
        }
        for (n, name) in all.into_iter().enumerate() {
            let bytes = format!("{number} {n}").into_bytes();
            let path = place.join(name);
            fs::write(dir.path().join(&path), &bytes).unwrap();
            planted.insert(path, bytes);
        }
    }
    planted
}

/// Directories, links and other things with the very names of a mirror's files.
#[cfg(unix)]
fn plant_things(dir: &TempDir, sandbox: &Sandbox, outside: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::symlink;
    let folder = Path::new("apps").join(sandbox.app_id());
    let name = |n: u32| folder.join(format!("{}_js_manual.2026010{n}T000000Z.abcdefg-01234567.zip", sandbox.app_id()));
    let at = |n: u32| dir.path().join(name(n));
    fs::create_dir(at(1)).unwrap();
    fs::create_dir_all(at(2).join("in")).unwrap();
    fs::write(at(2).join("in/file"), "inside").unwrap();
    symlink("nowhere", at(3)).unwrap();
    symlink("..", at(4)).unwrap();
    symlink(outside, at(5)).unwrap();
    symlink(at(5), at(6)).unwrap();
    symlink(at(7), at(7)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at(8)).status().unwrap().success());
    symlink(outside.parent().unwrap(), dir.path().join("apps/elsewhere")).unwrap();
    symlink("nowhere", dir.path().join("apps/dangling")).unwrap();
    (1..9).map(name).chain([folder.parent().unwrap().join("elsewhere"), "apps/dangling".into()]).collect()
}

#[test]
fn strangers_files_survive() {
    for keep in [Keep::last(1), Keep::everything()] {
        let (sandbox, dir) = world(5);
        mirror(&sandbox, &dir).run().unwrap();
        let ours = files(&dir).len();
        let planted = plant(&dir, &sandbox);
        let all = |dir: &TempDir| tree(dir.path());
        let mut before = all(&dir);
        for round in 0..3 {
            if round == 1 {
                put(&sandbox, sandbox.app_id(), 0);
                put(&sandbox, sandbox.database_id(), 0);
            }
            let plan = mirror(&sandbox, &dir).keep(keep.clone()).plan().unwrap();
            assert_eq!(all(&dir), before);
            assert!(plan.failed.is_empty() && plan.damaged.is_empty(), "{plan:?}");
            let report = mirror(&sandbox, &dir).keep(keep.clone()).run().unwrap();
            assert!(report.is_complete(), "{report:?}");
            let now = all(&dir);
            for (path, bytes) in &planted {
                let found = now.get(path).unwrap_or_else(|| panic!("{} is gone", path.display()));
                assert!(found.1 == *bytes && Some(found) == before.get(path), "{}", path.display());
            }
            before = now;
        }
        let left = before.values().filter(|(what, ..)| *what == "file").count() - planted.len() - 1;
        assert_eq!(left, if keep == Keep::last(1) { 2 } else { ours + 2 });
    }
}

#[cfg(unix)]
fn assert_things_survive(outside: &[u8]) {
    let (sandbox, dir) = world(4);
    mirror(&sandbox, &dir).run().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("precious.zip");
    fs::write(&target, outside).unwrap();
    let things = plant_things(&dir, &sandbox, &target);
    let before = tree(dir.path());
    for _ in 0..2 {
        let report = mirror(&sandbox, &dir).keep(Keep::last(1)).run().unwrap();
        let now = tree(dir.path());
        for path in &things {
            assert_eq!(now.get(path), before.get(path), "{}", path.display());
        }
        assert!(fs::read(&target).unwrap() == outside && report.pruned.iter().all(|path| !path.is_symlink()));
    }
}

#[cfg(unix)]
#[test]
fn directories_links_and_pipes_with_our_names_survive() {
    assert_things_survive(&crate::download_origin::archive(900, 1));
}

#[cfg(unix)]
#[test]
fn links_with_our_names_to_what_is_not_an_archive_survive() {
    assert_things_survive(b"not a zip");
}

/// A link is not ours, so nothing is deleted because of it: what it leads to may be gone tomorrow.
#[cfg(unix)]
#[test]
fn a_link_does_not_take_the_place_of_the_newest_good_copy() {
    let (sandbox, dir) = world(3);
    mirror(&sandbox, &dir).run().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, crate::download_origin::archive(900, 1)).unwrap();
    let id = sandbox.app_id();
    let link = dir.path().join(format!("apps/{id}/{id}_js_manual.20990101T000000Z.abcdefg-01234567.zip"));
    std::os::unix::fs::symlink(target, link).unwrap();
    let newest = listed(&sandbox, Kind::App)[2].0.clone();
    let report = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::last(1)).run().unwrap();
    assert!(files(&dir).contains(&newest), "{report:?}");
    assert_eq!(report.pruned.len(), 2);
}

/// A directory that another user made there is nobody's snapshots.
#[cfg(unix)]
#[test]
fn a_foreign_directory_that_may_not_be_read_does_not_end_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, dir) = world(2);
    let foreign = dir.path().join("apps/lost+found");
    fs::create_dir_all(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&foreign).is_ok() {
        return; // root may read everything
    }
    let report = mirror(&sandbox, &dir).kind(Kind::App).run();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(report.unwrap().fetched.len(), 2);
}
