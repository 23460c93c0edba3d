//! Downloads onto file systems that cannot do everything, and under a process limit. See `shim.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use squarecloud_blocking::{DownloadOptions, Overwrite, Snapshot};
use tempfile::tempdir;

use super::Origin;
use super::download_files::{begin, child_command};
use crate::download_origin::{archive, names};
use crate::shim::Shim;

const PART: &str = ".x.zip.part";
const META: &str = ".x.zip.part.meta";
/// What a file system that has neither fsync, locks, hard links nor times answers.
const BARE: &str = "fsync:EINVAL,flock:ENOLCK,link:EPERM,utime:EPERM,chmod:EPERM";

/// What a download in a process of its own says: `done <bytes>` or its error. `None`: it was killed.
fn download(shim: &Shim, calls: &str, origin: &Origin, path: &Path) -> Option<String> {
    let mut command = child_command(None, &origin.url(), path, 1);
    let output = shim.preload(&mut command, calls).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    output.status.code().map(|_| {
        let said = said.lines().find_map(|line| line.find("done ").or(line.find(" {")).map(|at| line[at..].to_owned()));
        said.unwrap_or_else(|| "nothing was said".into())
    })
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn an_fsync_that_a_file_system_does_not_have_is_no_failure() {
    let (shim, object) = (Shim::build(), archive(20_000_000, 9));
    let origin = Origin::good(object.clone());
    let done = format!("done {}", object.len());
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("new/x.zip");
        let calls = format!("fsync:{error}");
        assert_eq!(download(&shim, &calls, &origin, &path).unwrap(), done, "{error}");
        assert!(fs::read(&path).unwrap() == object, "{error}");
        assert_eq!(names(&dir.path().join("new")), ["x.zip"], "{error}");
    }
    // A disk that fails is a failure; so it shows that the part, its record and new directories are synced.
    for failing in [".part", ".meta", "/above"] {
        let dir = tempdir().unwrap();
        fs::create_dir(dir.path().join("above")).unwrap();
        let path = dir.path().join("above/new/x.zip");
        let said = download(&shim, &format!("fsync:EIO:{failing}"), &origin, &path).unwrap();
        assert!(said.contains("code: 5"), "{failing}: {said}");
        assert!(!path.exists(), "{failing}");
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn a_published_file_is_never_an_error_of_the_shim_s_directory() {
    let (shim, object) = (Shim::build(), archive(2000, 9));
    let origin = Origin::good(object.clone());
    let done = format!("done {}", object.len());
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOENT", "EBADF", "EACCES", "EPERM", "ENOTTY", "EIO"] {
        let dir = tempdir().unwrap();
        let dir = dir.path().join("backups");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("x.zip");
        assert_eq!(download(&shim, &format!("fsync:{error}:/backups"), &origin, &path).unwrap(), done, "{error}");
        assert_eq!(names(&dir), ["x.zip"], "{error}");
        fs::remove_file(&path).unwrap();
        // The part's name cannot be removed once the file has its own.
        let calls = format!("unlink:{error}:.part");
        assert_eq!(download(&shim, &calls, &origin, &path).unwrap(), done, "{error}");
        assert!(fs::read(&path).unwrap() == object, "{error}");
        let keep = DownloadOptions::new().overwrite(Overwrite::Keep);
        Snapshot::from_url(&origin.url()).unwrap().download_with(&path, &keep).unwrap();
        assert_eq!(names(&dir), ["x.zip"], "{error}");
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_hard_links_a_name_is_still_whole_or_not_there() {
    let (shim, object) = (Shim::build(), archive(2_000_000, 9));
    let origin = Origin::good(object.clone());
    for error in ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let calls = format!("link:{error},rename:KILL:/x.zip");
        assert_eq!(download(&shim, &calls, &origin, &path), None, "killed");
        assert_eq!(names(dir.path()), [PART, META], "{error}");
        let calls = format!("link:{error}");
        let said = download(&shim, &calls, &origin, &path).unwrap();
        assert_eq!(said, format!("done {}", object.len()), "{error}");
        let resumed = origin.asked().last().unwrap().header("range").map(str::to_owned);
        assert_eq!(resumed, Some(format!("bytes={}-", object.len() - 1)), "{error}: continued");
        assert!(fs::read(&path).unwrap() == object && fs::metadata(&path).unwrap().nlink() == 1, "{error}");
        // What is there stays.
        fs::write(&path, "mine").unwrap();
        let said = download(&shim, &calls, &origin, &path).unwrap();
        assert!(said.contains("path"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["x.zip"], "{error}");
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_locks_nothing_is_left_and_a_download_is_continued() {
    let (shim, object) = (Shim::build(), archive(2_000_000, 9));
    for calls in ["flock:ENOLCK", "flock:ENOSYS", "flock:EOPNOTSUPP", BARE] {
        let origin = Origin::breaking(object.clone(), 700_000);
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let written = begin(&Snapshot::from_url(&origin.url()).unwrap(), &path);
        let said = download(&shim, calls, &origin, &path).unwrap();
        assert_eq!(said, format!("done {}", object.len()), "{calls}");
        let resumed = origin.asked().last().unwrap().header("range").unwrap().to_owned();
        let resumed: u64 = resumed.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        assert!(resumed > 0 && resumed <= written.max(700_000), "{calls}: {resumed}");
        assert_eq!(names(dir.path()), ["x.zip"], "{calls}");
        // An empty part file, as a kill at the very beginning leaves it, beside the finished file.
        fs::write(dir.path().join(PART), "").unwrap();
        let mut command = child_command(None, &origin.url(), &path, 1);
        command.env("DOWNLOAD_KEEP", "1");
        assert!(shim.preload(&mut command, calls).status().unwrap().success());
        assert_eq!(names(dir.path()), ["x.zip"], "{calls}");
        // A response that is no snapshot leaves nothing either.
        let dir = tempdir().unwrap();
        let page = Origin::start(|_| crate::download_origin::Reply::plain(200, "<html>"));
        assert!(!download(&shim, calls, &page, &dir.path().join("x.zip")).unwrap().starts_with("done"));
        assert!(names(dir.path()).is_empty(), "{calls}");
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_threads_a_shim_limit_costs_speed_only() {
    let (shim, object) = (Shim::build(), archive(3_000_000, 9));
    let origin = Origin::good(object.clone());
    for connections in [1, 4] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let mut command = child_command(None, &origin.url(), &path, connections);
        let output = shim.preload(&mut command, "thread:EAGAIN").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("done {}", object.len())), "{said}");
        assert!(fs::read(&path).unwrap() == object);
    }
}
