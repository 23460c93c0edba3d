//! Odd things in the places a download writes to, and what killed or rival processes leave there.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Client, DownloadOptions, Error, Overwrite, Snapshot};
use tempfile::tempdir;

use super::Origin;
use crate::download_origin::{Reply, archive, names};

const ONE: Option<&str> = Some("\"one\"");
const PART: &str = ".x.zip.part";
const META: &str = ".x.zip.part.meta";

fn keep() -> DownloadOptions<'static> {
    DownloadOptions::new().overwrite(Overwrite::Keep)
}

#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_in_a_part_file_s_place_is_in_nobody_s_way() {
    let object = archive(2000, 9);
    let origin = Origin::good(object.clone());
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 3] = [
        ("a pipe as the part", |d| pipe(&d.join(PART))),
        ("a pipe as the record", |d| pipe(&d.join(META))),
        ("an empty directory as the part", |d| fs::create_dir(d.join(PART)).unwrap()),
    ];
    for (what, plant) in plants {
        let dir = tempdir().unwrap();
        plant(dir.path());
        let done = snapshot.download(dir.path().join("x.zip")).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert!(fs::read(done.path).unwrap() == object, "{what}");
        assert_eq!(names(dir.path()), ["x.zip"], "{what}");
    }
}

#[test]
fn a_full_directory_in_the_part_file_s_place_is_named_and_left_alone() {
    let origin = Origin::good(archive(2000, 9));
    for place in [PART, META] {
        let dir = tempdir().unwrap();
        fs::create_dir_all(dir.path().join(place).join("in")).unwrap();
        let error = Snapshot::from_url(&origin.url()).unwrap().download(dir.path().join("x.zip")).unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
        assert_eq!(names(dir.path()), [place]);
    }
}

#[cfg(unix)]
#[test]
fn a_second_name_of_another_file_as_the_record_is_not_written_to() {
    let origin = Origin::good(archive(2000, 9));
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("mine"), "mine").unwrap();
    fs::hard_link(dir.path().join("mine"), dir.path().join(META)).unwrap();
    Snapshot::from_url(&origin.url()).unwrap().download(dir.path().join("x.zip")).unwrap();
    assert_eq!(fs::read(dir.path().join("mine")).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["mine", "x.zip"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_target_s_place_is_not_waited_for() {
    let origin = Origin::good(archive(2000, 9));
    let dir = tempdir().unwrap();
    pipe(&dir.path().join("x.zip"));
    let error =
        Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path().join("x.zip"), &keep()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
}

#[test]
fn only_our_own_part_file_is_ever_published_or_removed() {
    let object = archive(2_000_000, 9);
    for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
        for whole in [true, false] {
            let body = object.clone();
            let origin = Origin::start(move |asked| Reply {
                pace: Some((200_000, Duration::from_millis(2))),
                cut: (!whole).then_some(1_000_000).filter(|_| asked.number == 0),
                ..match asked.number {
                    0 => Reply::right(&body, ONE, asked),
                    _ => Reply::plain(404, ""),
                }
            });
            let dir = tempdir().unwrap();
            let swapped = AtomicBool::new(false);
            let options = DownloadOptions::new().overwrite(overwrite).progress(|p| {
                if p.bytes > 0 && !swapped.swap(true, Ordering::Relaxed) {
                    // Someone cleaned up, and another process has begun the same download since.
                    fs::remove_file(dir.path().join(PART)).unwrap();
                    fs::write(dir.path().join(PART), "half").unwrap();
                }
                ControlFlow::Continue(())
            });
            let path = dir.path().join("x.zip");
            let error = Snapshot::from_url(&origin.url()).unwrap().download_with(&path, &options).unwrap_err();
            assert!(!whole || matches!(error, Error::Io { .. }), "{error:?}");
            assert!(!path.exists(), "{overwrite:?}: another's half file was published");
            assert_eq!(fs::read(dir.path().join(PART)).unwrap(), b"half");
        }
    }
}

#[test]
fn a_path_that_ends_in_a_separator_is_a_directory() {
    let origin = Origin::good(archive(1000, 9));
    let dir = tempdir().unwrap();
    let path = format!("{}/new.zip/", dir.path().display());
    let done = Snapshot::from_url(&origin.url()).unwrap().download(path).unwrap();
    assert_eq!(done.path, dir.path().join("new.zip/app.v1.zip"));
}

#[test]
fn leftovers_beside_a_finished_file_go() {
    let object = archive(2000, 9);
    let origin = Origin::good(object.clone());
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    type Leave = fn(&Path);
    let leaves: [(&str, Leave); 2] = [
        ("killed after the new name was made", |d| {
            fs::hard_link(d.join("x.zip"), d.join(PART)).unwrap();
            fs::write(d.join(META), "{}").unwrap();
        }),
        ("killed after the old name was gone", |d| fs::write(d.join(META), "{}").unwrap()),
    ];
    for (what, leave) in leaves {
        for options in [keep(), DownloadOptions::new()] {
            let dir = tempdir().unwrap();
            let path = dir.path().join("x.zip");
            fs::write(&path, &object).unwrap();
            leave(dir.path());
            let _ = snapshot.download_with(&path, &options);
            assert_eq!(names(dir.path()), ["x.zip"], "{what}");
            assert!(fs::read(&path).unwrap() == object);
        }
    }
    // A part of something else stays where the call refuses, and is of no use where the file is kept.
    for (options, left) in [(DownloadOptions::new(), vec![PART, "x.zip"]), (keep(), vec!["x.zip"])] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        fs::write(&path, &object).unwrap();
        fs::write(dir.path().join(PART), "half").unwrap();
        let _ = snapshot.download_with(&path, &options);
        assert_eq!(names(dir.path()), left);
    }
}

#[test]
fn comparing_with_a_host_that_drips_ends_in_time() {
    let limit = Duration::from_millis(400);
    let object = archive(200_000, 9);
    let body = object.clone();
    let origin = Origin::start(move |asked| Reply { pace: Some((1, limit / 20)), ..Reply::right(&body, ONE, asked) });
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, &object).unwrap();
    let client = Client::builder("key").timeout(limit).no_proxy().build().unwrap();
    let begun = Instant::now();
    let error = client.open_url(&origin.url()).unwrap().download_with(&path, &keep()).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(begun.elapsed() < limit * 20, "{:?}", begun.elapsed());
    assert!(fs::read(&path).unwrap() == object);
}

#[test]
fn keeping_what_a_listing_names_transfers_nothing() {
    use crate::sandbox::{NewSnapshot, Port, Sandbox};
    let sandbox = Sandbox::builder().small().no_limits().start();
    sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    let client = crate::support::client(&sandbox);
    let info = client.app(sandbox.app_id()).latest_snapshot().unwrap().unwrap();
    let snapshot = client.open(&info).unwrap();
    let dir = tempdir().unwrap();
    let first = snapshot.download(dir.path()).unwrap();
    sandbox.clear_requests();
    let again = snapshot.download_with(dir.path(), &keep()).unwrap();
    assert_eq!((again.path, again.resumed_from), (first.path, first.bytes));
    assert!(sandbox.requests().iter().all(|r| r.port != Port::Snapshots), "not one byte was asked for");
}

/// A file system of two MiB, gone when dropped.
#[cfg(target_os = "linux")]
struct Small(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Small {
    fn mount() -> Self {
        let dir = tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "mounting needs root");
        Self(dir)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn a_full_file_system_leaves_no_file_and_goes_on_when_there_is_room() {
    let object = archive(1_500_000, 9);
    let origin = Origin::good(object.clone());
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    for connections in [1, 4] {
        // Room for the half, for next to nothing, for nothing.
        for room in [800_000, 5000, 0] {
            let small = Small::mount();
            let dir = small.0.path();
            let ballast = dir.join("ballast");
            let _ = fs::write(&ballast, vec![0; 2 << 20]);
            if room > 0 {
                fs::OpenOptions::new().write(true).open(&ballast).unwrap().set_len((2 << 20) - room).unwrap();
            }
            let path = dir.join("x.zip");
            let options = || DownloadOptions::new().connections(connections);
            let error = snapshot.download_with(&path, &options()).unwrap_err();
            let full = matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
            assert!(full, "{room}: {error:?}");
            let left = names(dir);
            assert!(left == ["ballast"] || left == [PART, META, "ballast"], "{room}: {left:?}");
            fs::remove_file(ballast).unwrap();
            let done = snapshot.download_with(&path, &options()).unwrap();
            assert!(fs::read(&path).unwrap() == object);
            assert_eq!(done.resumed_from > 0, room == 800_000, "{room}: from {}", done.resumed_from);
            assert_eq!(names(dir), ["x.zip"]);
        }
    }
}
