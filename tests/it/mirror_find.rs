//! Back to a day: which file of a mirror holds an app or database as it was then.

use std::fs;
use std::path::{Path, PathBuf};

use squarecloud_blocking::time::{Duration, OffsetDateTime};
use squarecloud_blocking::{Kind, Mirror};
use tempfile::TempDir;

use crate::download_origin::{archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::Sandbox;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A file of a mirror, by hand: so many days old.
fn write(dir: &TempDir, folder: &str, id: &str, days: i64, bytes: &[u8]) -> PathBuf {
    let at = now() - Duration::days(days);
    let stamp = at.date().to_string().replace('-', "");
    let clock = at.time();
    let time = format!("{stamp}T{:02}{:02}{:02}Z", clock.hour(), clock.minute(), clock.second());
    let path = dir.path().join(folder).join(id).join(format!("{id}_js_manual.{time}.abcdefg-0123456{}.zip", days % 10));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn offline(dir: &Path) -> Mirror {
    squarecloud_blocking::Client::builder("key").base_url("http://127.0.0.1:9/v2").build().unwrap().mirror(dir)
}

#[test]
fn the_newest_good_copy_of_the_time_is_found_without_a_request() {
    let (sandbox, dir) = world(5);
    mirror(&sandbox, &dir).run().unwrap();
    sandbox.clear_requests();
    let files: Vec<PathBuf> = listed(&sandbox, Kind::App).iter().map(|(path, _)| dir.path().join(path)).collect();
    sandbox.clear_requests();
    let before = tree(dir.path());
    let find = |at| mirror(&sandbox, &dir).find(sandbox.app_id(), at).unwrap();
    // The files are 5, 4, ... 1 days old.
    for (days, file) in [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0)] {
        assert_eq!(find(now() - Duration::days(days) - Duration::hours(2)).as_ref(), files.get(file), "{days}");
    }
    assert_eq!(find(now() - Duration::days(6)), None);
    assert_eq!(find(OffsetDateTime::UNIX_EPOCH), None);
    assert_eq!(find(now() + Duration::days(365_000)).as_ref(), files.last());
    // At the very second, and one before.
    let created_at = modified(&files[2]);
    assert_eq!(find(created_at).as_ref(), files.get(2));
    assert_eq!(find(created_at - Duration::seconds(2)).as_ref(), files.get(1));
    let database = mirror(&sandbox, &dir).find(sandbox.database_id(), now()).unwrap().unwrap();
    assert!(database.starts_with(dir.path().join("databases")));
    assert_eq!((sandbox.requests().len(), tree(dir.path())), (0, before));
    // Also when the service is away, and when nothing is listed any more.
    assert_eq!(offline(dir.path()).find(sandbox.app_id(), now()).unwrap().as_ref(), files.last());
}

#[test]
fn damaged_and_unreadable_copies_are_passed_over() {
    let dir = quick_dir();
    let good = archive(3000, 3);
    let oldest = write(&dir, "apps", "a1", 9, &good);
    write(&dir, "apps", "a1", 5, &good[..good.len() - 1]);
    write(&dir, "apps", "a1", 4, b"");
    write(&dir, "apps", "a1", 3, &vec![0; good.len()]);
    let directory = write(&dir, "apps", "a1", 2, b"");
    fs::remove_file(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    #[cfg(unix)]
    {
        let link = write(&dir, "apps", "a1", 1, b"");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
    }
    assert_eq!(offline(dir.path()).find("a1", now()).unwrap(), Some(oldest.clone()));
    fs::write(&oldest, "bad").unwrap();
    assert_eq!(offline(dir.path()).find("a1", now()).unwrap(), None);
}

#[cfg(feature = "zip")]
#[test]
fn with_verify_a_copy_with_a_flipped_bit_is_passed_over() {
    let dir = quick_dir();
    let good = archive(3000, 3);
    let mut bad = good.clone();
    bad[1000] ^= 1;
    let (old, new) = (write(&dir, "apps", "a1", 2, &good), write(&dir, "apps", "a1", 1, &bad));
    assert_eq!(offline(dir.path()).find("a1", now()).unwrap(), Some(new));
    assert_eq!(offline(dir.path()).verify(true).find("a1", now()).unwrap(), Some(old));
}

#[test]
fn only_copies_of_the_resource_itself_are_found() {
    let dir = quick_dir();
    let good = archive(1000, 3);
    let plain = write(&dir, "apps", "a1", 3, &good);
    let other = write(&dir, "apps", "a12", 2, &good);
    let longer = write(&dir, "apps", "a1b-2", 2, &good);
    let database = write(&dir, "databases", "d1", 1, &good);
    let find = |id: &str| offline(dir.path()).find(id, now()).unwrap();
    assert_eq!(find("a1"), Some(plain.clone()));
    assert_eq!(find("a1-w7"), Some(plain), "shared through a workspace");
    assert_eq!(find("a12"), Some(other));
    assert_eq!(find("a1b-2"), Some(longer));
    assert_eq!(find("d1"), Some(database));
    for unknown in ["a", "a1b", "a1_js", "A1", "d", "", "-", "..", "a1/..", "nobody"] {
        assert_eq!(find(unknown), None, "{unknown:?}");
    }
    assert_eq!(offline(dir.path()).kind(Kind::Database).find("a1", now()).unwrap(), None);
    assert_eq!(offline(&dir.path().join("missing")).find("a1", now()).unwrap(), None);
    assert!(!dir.path().join("missing").exists());
    assert_eq!(offline(quick_dir().path()).find("a1", now()).unwrap(), None);
    // Strangers' files are nobody's copies.
    let stranger = dir.path().join("apps/a1/a1.20990101T000000Z.v (1).zip");
    fs::write(&stranger, &good).unwrap();
    assert_ne!(find("a1"), Some(stranger));
}

/// Archives of a year, without the service.
#[test]
fn what_is_found_is_the_app_of_that_day() {
    let (sandbox, dir) = (Sandbox::builder().small().no_limits().start(), quick_dir());
    for days in [20, 10, 3] {
        sandbox.write_file(sandbox.app_id(), "state.txt", format!("{days} days ago"));
        put(&sandbox, sandbox.app_id(), days);
    }
    mirror(&sandbox, &dir).run().unwrap();
    sandbox.advance(DAY * 300);
    assert!(mirror(&sandbox, &dir).run().unwrap().is_complete());
    for (ago, then) in [(2, 3), (4, 10), (11, 20)] {
        let path = mirror(&sandbox, &dir).find(sandbox.app_id(), now() - Duration::days(ago)).unwrap().unwrap();
        let files = crate::sandbox::from_zip(&fs::read(path).unwrap()).unwrap();
        assert_eq!(*files["state.txt"].data, format!("{then} days ago").into_bytes());
    }
}
