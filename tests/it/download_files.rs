//! What a download does to the file system: races, leftovers, full and vanished directories, `kill -9`.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use squarecloud_blocking::{DownloadOptions, Error, Overwrite, Snapshot};
use tempfile::tempdir;

use super::{BYTEWISE, Origin};
use crate::download_origin::{Reply, archive, names};

const ONE: Option<&str> = Some("\"one\"");
const PART: &str = ".x.zip.part";
const META: &str = ".x.zip.part.meta";
/// No more than this may be transferred twice: what one write takes.
const BUFFER: u64 = 512 * 1024;

fn slow(object: Vec<u8>, size: usize, pause: Duration) -> Origin {
    Origin::start(move |asked| Reply { pace: Some((size, pause)), ..Reply::right(&object, ONE, asked) })
}

/// Leaves a part file with some bytes in `dir`; for [`Origin::breaking`].
pub(super) fn begin(snapshot: &Snapshot, path: &Path) -> u64 {
    let seen = AtomicU64::new(0);
    let options = DownloadOptions::new().progress(|p| {
        seen.store(p.bytes, Ordering::Relaxed);
        if p.bytes > 600_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(snapshot.download_with(path, &options).unwrap_err().is_cancelled());
    seen.load(Ordering::Relaxed)
}

#[test]
fn threads_with_one_target_do_not_disturb_each_other() {
    for (overwrite, winners) in [(Overwrite::Refuse, 1), (Overwrite::Replace, 5), (Overwrite::Keep, 5)] {
        let object = archive(400_000, 9);
        let origin = slow(object.clone(), 100_000, Duration::from_millis(2));
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let won = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..5)
                .map(|_| {
                    let (url, path) = (origin.url(), &path);
                    scope.spawn(move || {
                        let snapshot = Snapshot::from_url(&url).unwrap();
                        snapshot.download_with(path, &DownloadOptions::new().overwrite(overwrite))
                    })
                })
                .collect();
            runs.into_iter()
                .map(|run| run.join().unwrap())
                .filter(|result| match result {
                    Ok(_) => true,
                    Err(Error::Exists { .. }) => false,
                    Err(error) => panic!("{error:?}"),
                })
                .count()
        });
        assert_eq!(won, winners, "{overwrite:?}");
        assert!(fs::read(&path).unwrap() == object);
        assert_eq!(names(dir.path()), ["x.zip"]);
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    let object = archive(200_000, 9);
    let origin = Origin::good(object);
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    for overwrite in [Overwrite::Refuse, Overwrite::Keep] {
        let _ = fs::remove_file(&path);
        let options = DownloadOptions::new().overwrite(overwrite).progress(|_| {
            fs::write(&path, "mine").unwrap();
            ControlFlow::Continue(())
        });
        let error = Snapshot::from_url(&origin.url()).unwrap().download_with(&path, &options).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["x.zip"]);
    }
}

#[test]
fn a_directory_that_vanishes_is_a_clear_error() {
    let origin = slow(archive(2_000_000, 9), 200_000, Duration::from_millis(2));
    let dir = tempdir().unwrap();
    let inner = dir.path().join("inner");
    let options = DownloadOptions::new().progress(|p| {
        if p.bytes > 0 {
            let _ = fs::remove_dir_all(&inner);
        }
        ControlFlow::Continue(())
    });
    let error = Snapshot::from_url(&origin.url()).unwrap().download_with(&inner, &options).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(!inner.exists());
}

#[test]
fn targets_that_cannot_be_are_refused_before_anything_is_sent() {
    let origin = Origin::good(archive(10, 9));
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    fs::write(dir.path().join("file"), "mine").unwrap();
    let long = format!("{}.zip", "n".repeat(300));
    for path in [long.as_str(), "file", "file/x.zip", "file/dir", "nul\0.zip"] {
        let error = snapshot.download(dir.path().join(path)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{path}: {error:?}");
    }
    if cfg!(target_os = "linux") {
        // Nothing can be made there, by nobody.
        let error = snapshot.download("/proc/x.zip").unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }
    assert!(origin.asked().is_empty());
    assert_eq!(names(dir.path()), ["file"]);
}

#[test]
fn a_name_at_the_limit_works() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let dir = tempdir().unwrap();
    let path = dir.path().join(format!("{}.zip", "n".repeat(251)));
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    assert!(begin(&snapshot, &path) > 0);
    let done = snapshot.download(&path).unwrap();
    assert!(done.resumed_from > 0 && fs::read(&path).unwrap() == object);
}

#[test]
fn a_part_file_is_continued_only_when_its_record_says_so() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 7] = [
        ("record missing", |dir| fs::remove_file(dir.join(META)).unwrap()),
        ("record cut", |dir| fs::OpenOptions::new().write(true).open(dir.join(META)).unwrap().set_len(30).unwrap()),
        ("record of zeros", |dir| fs::write(dir.join(META), vec![0; 300]).unwrap()),
        ("part missing", |dir| fs::remove_file(dir.join(PART)).unwrap()),
        ("part shorter", |dir| {
            fs::OpenOptions::new().write(true).open(dir.join(PART)).unwrap().set_len(5).unwrap();
        }),
        ("another path", |dir| replace(&dir.join(META), "/applications/1/", "/applications/2/")),
        ("another version", |dir| replace(&dir.join(META), "\"v1\"", "\"v2\"")),
    ];
    for (what, spoil) in spoils {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        begin(&snapshot, &path);
        spoil(dir.path());
        let done = snapshot.download(&path).unwrap();
        assert_eq!(done.resumed_from, 0, "{what}");
        assert!(fs::read(&path).unwrap() == object, "{what}");
        assert_eq!(names(dir.path()), ["x.zip"], "{what}");
    }
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn after_a_restart_of_the_machine_only_what_was_synced_counts() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    for durable in [0u64, 300_000] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        begin(&snapshot, &path);
        let meta = dir.path().join(META);
        replace(&meta, "\"boot\":\"", "\"boot\":\"earlier-");
        let text = fs::read_to_string(&meta).unwrap();
        let at = text.len() - 17;
        fs::write(&meta, format!("{}{durable:016x}\n", &text[..at])).unwrap();
        // What was not synced is gone.
        let part = fs::OpenOptions::new().write(true).open(dir.path().join(PART)).unwrap();
        let length = part.metadata().unwrap().len();
        part.set_len(durable).unwrap();
        part.set_len(length).unwrap();
        let done = snapshot.download(&path).unwrap();
        assert_eq!(done.resumed_from, durable);
        assert!(fs::read(&path).unwrap() == object);
    }
}

#[cfg(unix)]
#[test]
fn a_published_file_is_never_written_to_through_its_part_name() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    begin(&snapshot, &path);
    // As if it had been killed between the new name and the removal of the old one.
    let kept = dir.path().join("kept.zip");
    fs::hard_link(dir.path().join(PART), &kept).unwrap();
    let before = fs::read(&kept).unwrap();
    snapshot.download(&path).unwrap();
    assert!(fs::read(&kept).unwrap() == before);
    assert_eq!(names(dir.path()), ["kept.zip", "x.zip"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_part_file_s_place_is_not_followed() {
    let object = archive(1000, 9);
    let origin = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let other = dir.path().join("other");
    fs::write(&other, "mine").unwrap();
    std::os::unix::fs::symlink(&other, dir.path().join(PART)).unwrap();
    std::os::unix::fs::symlink(&other, dir.path().join(META)).unwrap();
    Snapshot::from_url(&origin.url()).unwrap().download(dir.path().join("x.zip")).unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["other", "x.zip"]);
}

/// Downloads in a process of its own. Started by the tests below.
#[test]
#[ignore = "a process that other tests start and kill"]
fn child() {
    let (Ok(url), Ok(path)) = (std::env::var("DOWNLOAD_URL"), std::env::var("DOWNLOAD_PATH")) else { return };
    let connections = std::env::var("DOWNLOAD_CONNECTIONS").map_or(1, |n| n.parse().unwrap());
    let overwrite = std::env::var("DOWNLOAD_KEEP").map_or(Overwrite::Refuse, |_| Overwrite::Keep);
    let options =
        DownloadOptions::new().connections(connections).overwrite(overwrite).retry_for(Duration::from_secs(1));
    match Snapshot::from_url(&url).unwrap().download_with(path, &options) {
        Ok(done) => println!("done {}", done.bytes),
        Err(error) => println!("{error:?}"),
    }
}

pub(super) fn child_command(shell: Option<&str>, url: &str, path: &Path, connections: usize) -> Command {
    let exe = std::env::current_exe().unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let child = format!("{module}::child");
    let mut command = match shell {
        None => Command::new(exe),
        Some(script) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{script}; exec \"$0\" \"$@\"")).arg(exe);
            command
        }
    };
    command
        .args(["--exact", &child, "--ignored", "--nocapture", "--test-threads=1"])
        .env("DOWNLOAD_URL", url)
        .env("DOWNLOAD_PATH", path)
        .env("DOWNLOAD_CONNECTIONS", connections.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Kills downloads at random moments and shows after each that nothing half is visible and little is lost.
fn kill(connections: usize, rounds: u32) {
    let object = archive(3_000_000, 9);
    let origin = slow(object.clone(), 64 * 1024, Duration::from_millis(1));
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    // How long a whole run takes here and now: the kills are spread over that time.
    let begun = std::time::Instant::now();
    assert!(child_command(None, &origin.url(), &path, connections).status().unwrap().success());
    let full = begun.elapsed().as_millis() as u64;
    fs::remove_file(&path).unwrap();
    let (mut finished, mut continued, mut before) = (0, 0, 0);
    let mut state = 12345u32;
    for round in 0..rounds {
        let mut child = child_command(None, &origin.url(), &path, connections).spawn().unwrap();
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_millis(u64::from(state >> 16) % (full + full / 8 + 1)));
        child.kill().unwrap();
        child.wait().unwrap();
        if path.exists() {
            assert!(fs::read(&path).unwrap() == object, "round {round}: a final file that is not whole");
            fs::remove_file(&path).unwrap();
            (finished, before) = (finished + 1, 0);
            continue;
        }
        // The next run, told to stop at its first word, says where it goes on.
        let written = fs::metadata(dir.path().join(PART)).map_or(0, |m| m.len());
        let resumed = OnceLock::new();
        let options = DownloadOptions::new().progress(|p| {
            resumed.get_or_init(|| p.resumed_from);
            ControlFlow::Break(())
        });
        assert!(snapshot.download_with(&path, &options).is_err_and(|e| e.is_cancelled()), "round {round}");
        let resumed = *resumed.get().unwrap();
        // Of what is complete, one byte is asked for again.
        assert!(resumed + 1 >= before, "round {round}: {before} were there, {resumed} are left");
        if connections == 1 {
            assert!(resumed + BUFFER >= written, "round {round}: {written} written, {resumed} kept");
        }
        continued += u32::from(resumed > before);
        before = resumed;
    }
    assert!(finished > 0 && continued > 0, "{finished} finished, {continued} continued: badly timed");
    let done = snapshot.download(&path).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
    assert_eq!(names(dir.path()), ["x.zip"]);
}

#[test]
fn killed_at_any_moment_it_leaves_a_whole_file_or_none_and_goes_on() {
    kill(1, if BYTEWISE { 40 } else { 150 });
}

#[test]
fn killed_at_any_moment_side_by_side_too() {
    kill(4, if BYTEWISE { 40 } else { 80 });
}

#[cfg(unix)]
#[test]
fn a_write_that_fails_half_way_leaves_no_file_and_can_be_continued() {
    let object = archive(3_000_000, 9);
    let origin = Origin::good(object.clone());
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    // No file may grow over 1 MiB; without the signal the write fails as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 2048";
    for connections in [1, 4] {
        let output = child_command(Some(limited), &origin.url(), &path, connections).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Io {"), "{said}");
        assert!(!path.exists());
    }
    Snapshot::from_url(&origin.url()).unwrap().download(&path).unwrap();
    assert!(fs::read(&path).unwrap() == object);
    assert_eq!(names(dir.path()), ["x.zip"]);
}

/// A child process holds every open file from its fork until it runs its own program: a lock that only closing
/// lets go of would outlive the download.
#[cfg(unix)]
#[test]
fn children_that_are_started_meanwhile_hold_no_part_file_back() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        for _ in 0..10 {
            let dir = tempdir().unwrap();
            let path = dir.path().join("x.zip");
            let written = begin(&snapshot, &path);
            let done = snapshot.download(&path);
            let left = names(dir.path());
            let resumed = done.as_ref().map_or(0, |done| done.resumed_from);
            if resumed + BUFFER < written || left != ["x.zip"] {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                panic!("{written} bytes were there, {resumed} were kept: {left:?}");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
