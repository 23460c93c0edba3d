//! Extractions onto file systems that cannot do everything, and under a process limit. See `shim.rs`.

use std::fs;
use std::path::Path;

use squarecloud_blocking::{Archive, ExtractOptions};

use crate::extract_kills::extract_in_child;
use crate::raw_zip::*;
use crate::shim::Shim;

fn sample(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("new.zip");
    let large: Vec<u8> = (0..2_500_000u32).flat_map(u32::to_le_bytes).collect();
    let closed = folder("a/").with(|e| e.mode = 0o040_500);
    let entries = vec![closed, folder("b/"), file("a/x", b"new"), file("b/y", b"new"), file("z", b"new")];
    fs::write(&path, zip([entries, vec![deflated("large", &large), link("l", "z")]].concat()).bytes()).unwrap();
    path
}

fn prepared() -> (Shim, tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let zip = sample(dir.path());
    (Shim::build(), dir, zip)
}

/// What an extraction under the shim says; `None` when it was killed.
fn extract(shim: &Shim, calls: &str, zip: &Path, target: &Path, set: &[&str]) -> Option<String> {
    let mut child = extract_in_child(zip, target, set);
    let output = shim.preload(&mut child, calls).output().unwrap();
    output.status.code().map(|_| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn what_a_shim_file_system_does_not_take_is_counted() {
    let shim = Shim::build();
    for error in ["EPERM", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EACCES", "EROFS"] {
        let dir = tempfile::tempdir().unwrap();
        let zip = sample(dir.path());
        for (calls, times, modes) in [("utime", 6, 0), ("chmod", 0, 1)] {
            let target = dir.path().join(calls);
            let said = extract(&shim, &format!("{calls}:{error}"), &zip, &target, &[]).unwrap();
            let counted = format!("times_not_kept: {times}, modes_not_kept: {modes} ");
            assert!(said.contains("files: 4") && said.contains(&counted), "{error}: {said}");
            assert_eq!(fs::read(target.join("a/x")).unwrap(), b"new");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn a_sync_that_a_shim_file_system_does_not_have_is_no_failure_and_one_that_fails_is() {
    let (shim, dir, zip) = prepared();
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        let target = dir.path().join(error);
        let said = extract(&shim, &format!("fsync:{error}"), &zip, &target, &["EXTRACT_DURABLE"]).unwrap();
        assert!(said.contains("files: 4"), "{error}: {said}");
        fs::remove_dir_all(target).unwrap();
    }
    for failing in ["/z", "/b", "/tree"] {
        let said = extract(&shim, &format!("fsync:EIO:{failing}"), &zip, &dir.path().join("t"), &["EXTRACT_DURABLE"]);
        assert!(said.unwrap().contains("action: \"syncing"), "{failing}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{failing}");
    }
    // The directory that gets the names cannot be synced: they go again.
    let target = dir.path().join("around/t");
    for (prepared, failing) in [(dir.path().join("around"), "/around"), (target.clone(), "/around/t")] {
        fs::create_dir(prepared).unwrap();
        let said = extract(&shim, &format!("fsync:EIO:{failing}"), &zip, &target, &["EXTRACT_DURABLE"]);
        assert!(said.unwrap().contains("action: \"syncing"), "{failing}");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), usize::from(target.exists()), "{failing}");
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_hard_links_a_shim_file_system_keeps_old_files_by_copying() {
    let (shim, dir, zip) = prepared();
    let target = dir.path().join("t");
    let old = || {
        let _ = fs::remove_dir_all(&target);
        for path in ["b/y", "z", "large"] {
            fs::create_dir_all(target.join("b")).unwrap();
            fs::write(target.join(path), "old").unwrap();
        }
        std::os::unix::fs::symlink("old", target.join("l")).unwrap();
        tree(&target)
    };
    for error in ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"] {
        let before = old();
        // The last of all moves fails: what was moved goes back.
        let calls = format!("link:{error},rename:EIO:/t/l");
        let said = extract(&shim, &calls, &zip, &target, &["EXTRACT_REPLACE"]).unwrap();
        assert!(said.contains("moving an extracted file"), "{error}: {said}");
        assert!(tree(&target) == before, "{error}");
        for killed in ["/t/b/y", "/t/z", "/t/large", "/t/l"] {
            let before = old();
            let calls = format!("link:{error},rename:KILL:{killed}");
            assert_eq!(extract(&shim, &calls, &zip, &target, &["EXTRACT_REPLACE"]), None, "killed");
            let after = tree(&target);
            assert!(before.keys().all(|path| after.contains_key(path)), "{error} {killed}");
            assert_eq!(after[killed.trim_start_matches("/t/")], before[killed.trim_start_matches("/t/")]);
        }
        let said = extract(&shim, &format!("link:{error}"), &zip, &target, &["EXTRACT_REPLACE"]).unwrap();
        assert!(said.contains("files: 4"), "{error}: {said}");
        let right = dir.path().join("right");
        Archive::open(&zip).unwrap().extract(&right).unwrap();
        assert!(tree(&target) == tree(&right), "{error}");
        fs::remove_dir_all(right).unwrap();
    }
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_locks_a_shim_file_system_has_leftovers_that_count_for_nothing() {
    let (shim, dir, zip) = prepared();
    let target = dir.path().join("t");
    fs::create_dir(&target).unwrap();
    for error in ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL"] {
        // The first of all moves.
        let calls = format!("flock:{error},rename:KILL:/t/a");
        assert_eq!(extract(&shim, &calls, &zip, &target, &[]), None, "killed");
    }
    let said = extract(&shim, "flock:ENOLCK", &zip, &dir.path().join("new"), &[]).unwrap();
    assert!(said.contains("files: 4"), "{said}");
    // As soon as somebody can lock, they go.
    Archive::open(&zip).unwrap().extract_with(&target, &ExtractOptions::new()).unwrap();
    assert_eq!(fs::read_dir(&target).unwrap().count(), 5);
}

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn without_threads_a_shim_limit_costs_speed_only() {
    let (shim, dir, zip) = prepared();
    let said = extract(&shim, "thread:EAGAIN", &zip, &dir.path().join("t"), &["EXTRACT_DURABLE"]).unwrap();
    assert!(said.contains("files: 4"), "{said}");
}
