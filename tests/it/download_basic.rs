//! Downloads that go well, targets, and existing files.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use squarecloud_blocking::{DownloadOptions, Error, Overwrite, Snapshot};
use tempfile::tempdir;

use super::Origin;
use crate::download_origin::{Reply, archive, assert_no_secret, chain, names};

#[test]
fn a_download_is_the_snapshot_and_nothing_else_is_left() {
    let object = archive(300_000, 1);
    let origin = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let done = snapshot.download(dir.path()).unwrap();
    assert_eq!(done.path, dir.path().join("app.v1.zip"));
    assert_eq!((done.bytes, done.resumed_from), (object.len() as u64, 0));
    assert_eq!(fs::read(&done.path).unwrap(), object);
    assert_eq!(names(dir.path()), ["app.v1.zip"]);
    let asked = origin.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].header("authorization").is_none() && asked[0].header("cookie").is_none());
    assert_eq!(asked[0].header("accept-encoding"), Some("identity"));
    assert_no_secret(&format!("{snapshot:?} {done:?}"));
}

#[test]
fn a_path_is_a_zip_file_or_a_directory() {
    let object = archive(1000, 1);
    let origin = Origin::good(object);
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    for (path, file) in [
        ("a.zip", "a.zip"),
        ("B.ZIP", "B.ZIP"),
        ("new/deep", "new/deep/app.v1.zip"),
        ("dotted.d", "dotted.d/app.v1.zip"),
    ] {
        assert_eq!(snapshot.download(dir.path().join(path)).unwrap().path, dir.path().join(file));
    }
    fs::create_dir(dir.path().join("folder.zip")).unwrap();
    let inside = snapshot.download(dir.path().join("folder.zip")).unwrap();
    assert_eq!(inside.path, dir.path().join("folder.zip/app.v1.zip"));
    assert!(matches!(snapshot.download(""), Err(Error::Invalid { .. })));
}

#[test]
fn one_version_signed_twice_has_one_name_and_only_links_without_one_get_the_time_of_signing() {
    let origin = Origin::good(archive(10, 1));
    let name = |url: String| Snapshot::from_url(&url).unwrap().file_name().to_owned();
    let again = |url: String| url.replace("Expires=1797790051", "Expires=1797790151");
    assert_eq!(name(origin.url()), "app.v1.zip");
    assert_eq!(name(again(origin.url())), "app.v1.zip");
    assert_eq!(name(origin.url_without_version()), "app.20261120T180731Z.zip");
    assert_eq!(name(again(origin.url_without_version())), "app.20261120T180911Z.zip");
}

#[test]
fn an_existing_file_is_refused_before_anything_is_sent() {
    let origin = Origin::good(archive(10, 1));
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, "mine").unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let error = snapshot.download(&path).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    assert!(origin.asked().is_empty());
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["x.zip"]);
}

#[test]
fn replace_replaces_only_by_a_whole_file() {
    let object = archive(1000, 1);
    let good = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, "mine").unwrap();
    let replace = || DownloadOptions::new().overwrite(Overwrite::Replace);
    let bad = Origin::start(|_| Reply::plain(200, "<html>maintenance</html>"));
    let error = Snapshot::from_url(&bad.url()).unwrap().download_with(&path, &replace()).unwrap_err();
    assert!(
        matches!(&error, Error::UnexpectedResponse { status: 200, excerpt, .. } if excerpt.contains("maintenance"))
    );
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    Snapshot::from_url(&good.url()).unwrap().download_with(&path, &replace()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), object);
    assert_eq!(names(dir.path()), ["x.zip"]);
}

#[test]
fn keep_keeps_the_same_file_and_refuses_another() {
    let object = archive(200_000, 1);
    let origin = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let keep = || DownloadOptions::new().overwrite(Overwrite::Keep);
    for target in [dir.path().to_owned(), dir.path().join("mine.zip")] {
        let first = snapshot.download_with(&target, &keep()).unwrap();
        assert_eq!(first.resumed_from, 0);
        let told = Mutex::new(Vec::new());
        let options = keep().progress(|p| {
            told.lock().unwrap().push(p.bytes);
            ControlFlow::Continue(())
        });
        let second = snapshot.download_with(&target, &options).unwrap();
        assert_eq!((second.bytes, second.resumed_from), (first.bytes, first.bytes));
        assert_eq!(*told.lock().unwrap(), [first.bytes]);
    }
    let mut other = object.clone();
    let last = other.len() - 30;
    other[last] ^= 1;
    fs::write(dir.path().join("mine.zip"), &other).unwrap();
    let error = snapshot.download_with(dir.path().join("mine.zip"), &keep()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }));
    assert_eq!(fs::read(dir.path().join("mine.zip")).unwrap(), other);
    assert!(origin.asked().iter().skip(1).all(|a| a.header("range").is_some() || a.number == 2));
}

#[test]
fn progress_is_told_early_rarely_and_at_the_end() {
    let object = archive(8 << 20, 1);
    let origin = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let told = Mutex::new(Vec::new());
    let begun = std::time::Instant::now();
    let options = DownloadOptions::new().progress(|p| {
        told.lock().unwrap().push(p);
        ControlFlow::Continue(())
    });
    Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &options).unwrap();
    let told = told.lock().unwrap();
    let most = begun.elapsed().as_millis() as usize / 5 + 3;
    assert!(told.len() >= 2 && told.len() <= most, "{} calls, at most {most}", told.len());
    assert!(told.windows(2).all(|w| w[0].bytes <= w[1].bytes));
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.total), (object.len() as u64, Some(object.len() as u64)));
    assert_eq!((last.resumed_from, last.attempt), (0, 1));
}

#[test]
fn cancelling_keeps_the_part_file_and_the_next_call_goes_on() {
    let object = archive(3 << 20, 1);
    let origin = Origin::breaking(object.clone(), 700_000);
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let seen = AtomicU64::new(0);
    let options = DownloadOptions::new().progress(|p| {
        seen.store(p.bytes, Ordering::Relaxed);
        if p.bytes >= 700_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let error = snapshot.download_with(dir.path(), &options).unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    assert_no_secret(&chain(&error));
    assert_eq!(names(dir.path()), [".app.v1.zip.part", ".app.v1.zip.part.meta"]);
    assert_no_secret(&fs::read_to_string(dir.path().join(".app.v1.zip.part.meta")).unwrap());
    let done = snapshot.download(dir.path()).unwrap();
    let seen = seen.load(Ordering::Relaxed);
    assert_eq!(done.resumed_from, seen);
    assert_eq!(fs::read(done.path).unwrap(), object);
    assert_eq!(names(dir.path()), ["app.v1.zip"]);
    let asked = origin.asked();
    // The stop may come before or after the connection is made again.
    assert!(seen == 700_000 && (2..=3).contains(&asked.len()), "{seen}, {} requests", asked.len());
    for asked in &asked[1..] {
        assert_eq!(asked.header("range"), Some("bytes=700000-"));
        assert_eq!(asked.header("if-match"), Some("\"one\""));
    }
}
