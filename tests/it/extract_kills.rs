//! Extractions that are killed: what they leave whole, and what the next one removes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use squarecloud_blocking::{Archive, Error, ExtractOptions, Overwrite};

use crate::raw_zip::*;

/// Files enough for a kill to fall between the moves.
const FILES: usize = 600;

fn content(age: &str, n: usize) -> Vec<u8> {
    format!("{age} {n} ").repeat(20 + n % 50).into_bytes()
}

fn name(n: usize) -> String {
    if n.is_multiple_of(3) { format!("top-{n}.txt") } else { format!("dir-{}/sub/{n}.txt", n % 7) }
}

fn archive_at(dir: &Path) -> PathBuf {
    let path = dir.join("new.zip");
    let entries = (0..FILES).map(|n| deflated(name(n), &content("new", n)));
    fs::write(&path, zip(entries.collect()).bytes()).unwrap();
    path
}

/// Extracts in a process of its own. Started by the tests below, and of `extract_disks`.
#[test]
#[ignore = "a process that other tests start and kill"]
fn child() {
    let (Ok(zip), Ok(dir)) = (std::env::var("EXTRACT_ZIP"), std::env::var("EXTRACT_DIR")) else { return };
    let set = |name: &str| std::env::var_os(name).is_some();
    let mut options = ExtractOptions::new();
    if set("EXTRACT_REPLACE") {
        options = options.overwrite(Overwrite::Replace);
    }
    if set("EXTRACT_DURABLE") {
        options = options.durable(true);
    }
    let exit = set("EXTRACT_EXIT");
    options = options.progress(move |p| {
        if p.entries == p.total_entries {
            println!("written");
            if exit {
                // As dead as after a kill: no destructor runs.
                std::process::exit(9);
            }
        }
        ControlFlow::Continue(())
    });
    match Archive::open(zip).unwrap().extract_with(dir, &options) {
        Ok(done) => println!("{done:?}"),
        Err(error) => println!("{error:?}"),
    }
}

pub fn extract_in_child(zip: &Path, dir: &Path, set: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "extract_kills::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("EXTRACT_ZIP", zip)
        .env("EXTRACT_DIR", dir)
        .envs(set.iter().map(|name| (name, "1")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// An extraction that dies when everything is written and nothing is moved yet.
fn die(zip: &Path, dir: &Path) {
    assert_eq!(extract_in_child(zip, dir, &["EXTRACT_EXIT"]).status().unwrap().code(), Some(9));
}

fn staged(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().ends_with(".partial")).collect()
}

/// Starts a replacing extraction and returns when everything is written and files begin to move.
fn begin_to_move(zip: &Path, target: &Path) -> Child {
    let mut child = extract_in_child(zip, target, &["EXTRACT_REPLACE"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("written")));
    child
}

/// Kills replacing extractions while files move; after each, every file is old or new, and whole.
pub fn kill_while_replacing(scratch: &Path, target: &Path, rounds: u32) {
    let zip = archive_at(scratch);
    let restore = || {
        for n in 0..FILES {
            let path = target.join(name(n));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content("old", n)).unwrap();
        }
    };
    restore();
    let mut child = begin_to_move(&zip, target);
    let begun = Instant::now();
    assert!(child.wait().unwrap().success());
    let full = begun.elapsed().as_micros() as u64;
    for round in 0..rounds {
        restore();
        let mut child = begin_to_move(&zip, target);
        std::thread::sleep(Duration::from_micros(full * u64::from(round) / u64::from(rounds)));
        child.kill().unwrap();
        child.wait().unwrap();
        for n in 0..FILES {
            let found = fs::read(target.join(name(n))).unwrap_or_default();
            let whole = found == content("old", n) || found == content("new", n);
            assert!(whole, "round {round}: {} has {} bytes", name(n), found.len());
        }
    }
    let options = ExtractOptions::new().overwrite(Overwrite::Replace);
    Archive::open(&zip).unwrap().extract_with(target, &options).unwrap();
    assert!((0..FILES).all(|n| fs::read(target.join(name(n))).unwrap() == content("new", n)));
    assert_eq!(staged(target), [] as [&Path; 0], "what the killed ones left is gone");
}

#[test]
fn a_kill_while_files_are_replaced_leaves_each_old_or_new() {
    let (scratch, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    kill_while_replacing(scratch.path(), target.path(), 15);
}

#[test]
fn what_a_killed_extraction_left_is_removed_by_the_next() {
    let around = tempfile::tempdir().unwrap();
    let zip = archive_at(around.path());
    let archive = Archive::open(&zip).unwrap();
    let target = around.path().join("target");
    for _ in 0..2 {
        die(&zip, &target);
    }
    assert_eq!(staged(around.path()).len(), 1, "the second one removed what the first one left");
    archive.extract(&target).unwrap();
    assert_eq!(staged(around.path()).len(), 0);

    // A target that somebody made meanwhile is theirs; what was left goes all the same.
    let theirs = around.path().join("theirs");
    die(&zip, &theirs);
    fs::create_dir_all(theirs.join("x")).unwrap();
    assert!(matches!(archive.extract(&theirs), Err(Error::Exists { .. })));
    assert_eq!(staged(around.path()).len(), 0);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
    fs::remove_dir_all(&theirs).unwrap();

    // The same inside a directory that is there already, which counts as empty all the time.
    let volume = around.path().join("volume");
    fs::create_dir(&volume).unwrap();
    for _ in 0..2 {
        die(&zip, &volume);
        assert_eq!(staged(&volume).len(), 1);
    }
    archive.extract(&volume).unwrap();
    assert_eq!(tree(&volume), tree(&target));

    // The kill came while it was removed, or before it was locked.
    fs::create_dir_all(around.path().join(".target.0000000000000001.partial/tree/x")).unwrap();
    fs::create_dir(around.path().join(".target.0000000000000002.partial")).unwrap();

    // Of another target, or not of ours at all: left alone.
    for other in [".other.0123456789abcdef.partial", ".target.0123.partial", ".target.0123456789abcdef.partial.txt"] {
        fs::create_dir(around.path().join(other)).unwrap();
    }
    fs::write(around.path().join(".target.0123456789abcdef.partial"), "a file").unwrap();
    let replace = ExtractOptions::new().overwrite(Overwrite::Replace);
    archive.extract_with(&target, &replace).unwrap();
    assert_eq!(fs::read_dir(around.path()).unwrap().count(), 7);
}

#[test]
fn what_a_living_extraction_writes_is_not_removed() {
    let around = tempfile::tempdir().unwrap();
    let zip = archive_at(around.path());
    for existing in [false, true] {
        let target = around.path().join(format!("target-{existing}"));
        if existing {
            fs::create_dir(&target).unwrap();
        }
        let (go, wait) = mpsc::channel::<()>();
        let (begun, other) = mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let options = ExtractOptions::new().progress(move |_| {
            let _ = begun.send(());
            let _ = wait.lock().unwrap().recv();
            ControlFlow::Continue(())
        });
        std::thread::scope(|scope| {
            let first = scope.spawn(|| Archive::open(&zip).unwrap().extract_with(&target, &options));
            other.recv().unwrap();
            Archive::open(&zip).unwrap().extract(&target).unwrap();
            drop(go);
            // It wrote all it had to, and found that the other one was first.
            let error = first.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::Exists { .. }), "{error:?}");
        });
        let whole = |n| fs::read(target.join(name(n))).unwrap() == content("new", n);
        assert!((0..FILES).all(whole));
        assert_eq!(staged(around.path()).len() + staged(&target).len(), 0);
    }
}

/// A target as a kill between two moves leaves it.
fn half_filled(around: &Path, zip: &Path) -> PathBuf {
    let target = around.join("target");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir(&target).unwrap();
    die(zip, &target);
    let from = staged(&target)[0].join("tree");
    for moved in ["dir-0", "dir-1", "top-0.txt"] {
        fs::rename(from.join(moved), target.join(moved)).unwrap();
    }
    target
}

#[test]
fn an_empty_directory_that_a_killed_extraction_filled_in_part_is_completed() {
    let around = tempfile::tempdir().unwrap();
    let zip = archive_at(around.path());
    let archive = Archive::open(&zip).unwrap();
    let target = half_filled(around.path(), &zip);
    let done = archive.extract(&target).unwrap();
    assert!(done.kept > 100 && done.kept + done.files == FILES, "{done:?}");
    assert!((0..FILES).all(|n| fs::read(target.join(name(n))).unwrap() == content("new", n)));
    assert_eq!(staged(&target).len(), 0);
    assert!(matches!(archive.extract(&target), Err(Error::Exists { .. })), "it is full now");

    // What somebody else put there or changed since is theirs.
    for (path, theirs) in [("theirs.txt", "theirs"), ("dir-0/sub/7.txt", "changed"), ("top-3.txt", "theirs")] {
        let target = half_filled(around.path(), &zip);
        fs::write(target.join(path), theirs).unwrap();
        let before: Vec<_> = tree(&target).into_iter().filter(|(path, _)| !path.contains("partial")).collect();
        let error = archive.extract(&target).unwrap_err();
        assert!(matches!(&error, Error::Exists { path: found } if found.ends_with(path)), "{error:?}");
        let after: Vec<_> = tree(&target).into_iter().filter(|(path, _)| !path.contains("partial")).collect();
        assert!(before == after);
    }
}

/// A failure takes away what the archive brought, and nothing that others did meanwhile.
#[test]
fn what_others_put_into_new_directories_survives_the_way_back() {
    let many = (0..3000).map(|n| file(format!("f-{n:04}"), b"new"));
    let bytes = zip([vec![file("a/b/x", b"new")], many.collect(), vec![file("z", b"new")]].concat()).bytes();
    let archive = Archive::new(bytes).unwrap();
    let mut caught = 0;
    for round in 0..30 {
        let around = tempfile::tempdir().unwrap();
        let target = around.path().join("t");
        fs::create_dir(&target).unwrap();
        let (last, theirs) = (target.join("z"), target.join("a/b/theirs"));
        let done = std::sync::atomic::AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut written = false;
                while !written && !done.load(std::sync::atomic::Ordering::Relaxed) {
                    written = fs::write(&theirs, "theirs").is_ok();
                }
                // Saved as editors do.
                if written {
                    fs::write(around.path().join("saved"), "theirs").unwrap();
                    fs::rename(around.path().join("saved"), target.join("a/b/x")).unwrap();
                }
                written
            });
            // In the way of the last file.
            let options = ExtractOptions::new().overwrite([Overwrite::Refuse, Overwrite::Replace][round % 2]);
            let options = options.progress(move |_| {
                let _ = fs::create_dir(&last);
                ControlFlow::Continue(())
            });
            let error = archive.extract_with(&target, &options).unwrap_err();
            assert!(matches!(&error, Error::Exists { path } if path.ends_with("z")), "{error:?}");
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            other.join().unwrap()
        });
        let found: Vec<String> = tree(&target).into_keys().collect();
        if written {
            caught += 1;
            assert_eq!(found, ["a", "a/b", "a/b/theirs", "a/b/x", "z"]);
            for path in [theirs, target.join("a/b/x")] {
                assert_eq!(fs::read_to_string(path).unwrap(), "theirs");
            }
        } else {
            assert_eq!(found, ["z"]);
        }
        if caught > 3 {
            break;
        }
    }
    assert!(caught > 0);
}

#[test]
fn extractions_that_keep_what_is_there_fill_one_directory_side_by_side() {
    let around = tempfile::tempdir().unwrap();
    let zip = archive_at(around.path());
    let target = around.path().join("t");
    fs::create_dir(&target).unwrap();
    std::thread::scope(|scope| {
        let run =
            || Archive::open(&zip).unwrap().extract_with(&target, &ExtractOptions::new().overwrite(Overwrite::Keep));
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for run in runs {
            let done = run.join().unwrap().unwrap();
            assert_eq!(done.files + done.kept, FILES, "{done:?}");
        }
    });
    assert!((0..FILES).all(|n| fs::read(target.join(name(n))).unwrap() == content("new", n)));
    assert_eq!(staged(&target).len(), 0);
}

#[test]
fn replacing_again_gives_directories_the_archive_s_permissions_again() {
    use std::os::unix::fs::PermissionsExt;
    let target = tempfile::tempdir().unwrap();
    let closed = folder("a/").with(|e| e.mode = 0o040_555);
    let archive = Archive::new(zip(vec![closed, file("a/x", b"1")]).bytes()).unwrap();
    let mode = || fs::metadata(target.path().join("a")).unwrap().permissions().mode() & 0o777;
    for policy in [Overwrite::Replace, Overwrite::Keep] {
        let options = ExtractOptions::new().overwrite(policy);
        archive.extract_with(target.path(), &options).unwrap();
        assert_eq!(mode(), 0o555);
        // As a kill before the end leaves it.
        fs::set_permissions(target.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
        archive.extract_with(target.path(), &options).unwrap();
        assert_eq!(mode(), if policy == Overwrite::Replace { 0o555 } else { 0o755 });
    }
}
