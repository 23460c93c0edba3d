//! Extractions and downloads on file systems that lose power or cannot hold everything. They are mounted for it, so only
//! root runs these; `.ci/run` does.

use std::fs;
use std::path::{Path, PathBuf};

use squarecloud_blocking::{
    Archive, DownloadOptions, Error, ExtractOptions, Extracted, Links, Overwrite, Refusal, Snapshot,
};

use crate::disks::{Bind, Disk};
use crate::download_origin;
use crate::extract_kills::{extract_in_child, kill_while_replacing};
use crate::raw_zip::*;

fn many() -> Vec<u8> {
    let content = |n: usize| format!("{n} ").repeat(1 + n * 7 % 3000).into_bytes();
    let name = |n: usize| if n.is_multiple_of(5) { format!("top-{n}") } else { format!("a-{}/b/{n}", n % 13) };
    let mut entries: Vec<E> = (0..500).map(|n| deflated(name(n), &content(n))).collect();
    entries.push(folder("a-1/"));
    entries.push(link("link", "top-0"));
    zip(entries).bytes()
}

fn extract(bytes: Vec<u8>, target: &Path, options: &ExtractOptions) -> Result<Extracted, Error> {
    Archive::new(bytes).unwrap().extract_with(target, options)
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn a_durable_extraction_survives_a_power_cut() {
    let right = tempfile::tempdir().unwrap();
    extract(many(), &right.path().join("t"), &ExtractOptions::new()).unwrap();
    let right = tree(&right.path().join("t"));
    let o = ExtractOptions::new;
    for (target, options, old) in [
        ("new", o().durable(true), None),
        ("parent/of/new", o().durable(true), None),
        ("empty", o().durable(true), Some("")),
        ("full", o().overwrite(Overwrite::Replace), Some("old")),
        ("kept", o().overwrite(Overwrite::Keep).durable(true), Some("")),
    ] {
        let disk = Disk::ext4();
        let at = disk.path().join(target);
        if let Some(content) = old {
            fs::create_dir(&at).unwrap();
            if !content.is_empty() {
                fs::create_dir_all(at.join("a-3/b")).unwrap();
                fs::write(at.join("a-3/b/3"), content).unwrap();
                fs::write(at.join("top-0"), content).unwrap();
            }
            fs::File::open(disk.path()).unwrap().sync_all().unwrap();
        }
        extract(many(), &at, &options).unwrap();
        let cut = disk.after_a_power_cut();
        let mut found = tree(&cut.path().join(target));
        // That the staging directory is gone need not have reached the disk.
        found.retain(|path, _| !path.starts_with(".extract."));
        assert!(found == right, "{target}: {} of {}", found.len(), right.len());
    }
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn a_download_survives_a_power_cut() {
    let object = download_origin::archive(3_000_000, 9);
    let origin = download_origin::Origin::<false>::good(object.clone());
    for connections in [1, 4] {
        let disk = Disk::ext4();
        let options = DownloadOptions::new().connections(connections);
        Snapshot::from_url(&origin.url()).unwrap().download_with(disk.path().join("new/x.zip"), &options).unwrap();
        let cut = disk.after_a_power_cut();
        assert!(fs::read(cut.path().join("new/x.zip")).unwrap() == object);
    }
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn what_exfat_cannot_hold_is_refused_before_anything_is_written() {
    let disk = Disk::exfat();
    let target = disk.path().join("t");
    let plain = || vec![file("Dir/x", b"1"), file("dir/y", b"2"), folder("DIR/sub/"), file("dir/Sub/z", b"3")];
    let with = |more: Vec<E>| zip([plain(), more].concat()).bytes();
    let big = "b".repeat(1 << 20);
    for (more, refusal, entry, words) in [
        (vec![link("l", "Dir/x")], Refusal::Unsupported, "l", &["Links::Skip"][..]),
        (vec![file("a:b.txt", b"4")], Refusal::Name, "a:b.txt", &["':'", "filter"]),
        (vec![file("q?/x", b"4")], Refusal::Name, "q?", &["'?'", "filter"]),
        (vec![file("readme.md", b"4"), file("README.md", b"5")], Refusal::Collision, "README.md", &["readme.md"]),
        (vec![file("l", b"4"), file("L/x", b"5")], Refusal::Collision, "L/x", &["the file l"]),
    ] {
        let more = [more, vec![file("big", big.as_bytes())]].concat();
        let error = extract(with(more.clone()), &target, &ExtractOptions::new()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, Error::Refused { entry: Some(found), .. } if found == entry), "{text}");
        assert_eq!(error.refusal(), Some(refusal), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(tree(&disk.path()), Tree::new(), "{text}");
        // Elsewhere, the same archive is fine.
        extract(with(more), &tempfile::tempdir().unwrap().path().join("t"), &ExtractOptions::new()).unwrap();
    }
    let done = extract(with(vec![link("l", "x")]), &target, &ExtractOptions::new().links(Links::Skip)).unwrap();
    assert_eq!((done.files, done.directories, done.modes_not_kept, done.times_not_kept), (3, 2, 4, 0));
    let found: Vec<String> = tree(&target).into_keys().collect();
    assert_eq!(found, ["DIR", "DIR/sub", "DIR/sub/z", "DIR/x", "DIR/y"]);
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn a_directory_on_exfat_is_filled_and_replaced() {
    let disk = Disk::exfat();
    let files = |content: &[u8]| zip(vec![file("a/x", content), file("A/y", content), file("z", content)]).bytes();
    let target = disk.path().join("t");
    fs::create_dir(&target).unwrap();
    extract(files(b"old"), &target, &ExtractOptions::new()).unwrap();
    extract(files(b"new"), &target, &ExtractOptions::new().overwrite(Overwrite::Replace)).unwrap();
    for name in ["a/x", "a/y", "z"] {
        assert_eq!(fs::read(target.join(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
    // The last move fails: everything is as it was.
    let in_the_way = target.join("zz");
    let options = ExtractOptions::new().overwrite(Overwrite::Replace).progress(move |_| {
        let _ = fs::create_dir(&in_the_way);
        std::ops::ControlFlow::Continue(())
    });
    let bytes =
        zip(vec![file("a/x", b"newer"), file("b/c", b"newer"), file("z", b"newer"), file("zz", b"newer")]).bytes();
    let before = tree(&target);
    assert!(matches!(extract(bytes, &target, &options), Err(Error::Exists { .. })));
    fs::remove_dir(target.join("zz")).unwrap();
    assert!(tree(&target) == before);
    let scratch = tempfile::tempdir().unwrap();
    let target = disk.path().join("k");
    fs::create_dir(&target).unwrap();
    kill_while_replacing(scratch.path(), &target, 5);
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn an_ext4_file_is_old_or_new_after_a_kill() {
    let (disk, scratch) = (Disk::ext4(), tempfile::tempdir().unwrap());
    let target = disk.path().join("t");
    fs::create_dir(&target).unwrap();
    kill_while_replacing(scratch.path(), &target, 15);
}

#[cfg(unix)]
#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn an_empty_directory_stays_the_one_it_is_wherever_it_is_mounted() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let (disk, dir) = (Disk::ext4(), tempfile::tempdir().unwrap());
    for (volume, place) in [(disk.path().join("v"), dir.path().join("m")), (dir.path().join("v"), dir.path().join("n"))]
    {
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&place).unwrap();
        chown(&volume, Some(1234), Some(5678)).unwrap();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o2770)).unwrap();
        let bind = Bind::new(&volume, &place);
        let what = || fs::metadata(&place).map(|m| (m.ino(), m.uid(), m.gid(), m.mode())).unwrap();
        let before = what();
        extract(many(), &place, &ExtractOptions::new()).unwrap();
        assert_eq!(what(), before);
        drop(bind);
        assert!(volume.join("a-1/b/1").is_file() && fs::read_dir(&place).unwrap().count() == 0);
    }
}

#[test]
#[ignore = "mounts a file system, which only root may; .ci/run runs it"]
fn a_volume_mounted_inside_the_target_is_filled_too() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let (disk, dir) = (Disk::ext4(), tempfile::tempdir().unwrap());
    let (volume, data) = (disk.path().join("v"), dir.path().join("app/data"));
    let archive = |content: &[u8]| {
        let under = |name: &str| deflated(format!("app/data/{name}"), content);
        let more =
            [folder("app/data/new/").with(|e| e.mode = 0o040_750), link("app/data/l", "x"), file("app/y", content)];
        zip([vec![under("x"), under("sub/z"), under("new/z")], more.to_vec()].concat()).bytes()
    };
    fs::create_dir_all(&data).unwrap();
    fs::create_dir_all(volume.join("sub")).unwrap();
    let _bind = Bind::new(&volume, &data);
    let o = |policy| ExtractOptions::new().overwrite(policy);
    fs::write(data.join("x"), "old").unwrap();
    chown(data.join("x"), Some(1234), Some(5678)).unwrap();
    fs::set_permissions(data.join("x"), fs::Permissions::from_mode(0o4755)).unwrap();
    let before = tree(dir.path());
    // The last move fails: a directory is in its place.
    let options = o(Overwrite::Replace);
    let in_the_way = dir.path().join("app/y");
    let options = options.progress(move |_| {
        let _ = fs::create_dir(&in_the_way);
        std::ops::ControlFlow::Continue(())
    });
    assert!(matches!(extract(archive(b"new"), dir.path(), &options), Err(Error::Exists { .. })));
    fs::remove_dir(dir.path().join("app/y")).unwrap();
    assert!(tree(dir.path()) == before);
    // The old file was copied there and back: it is still its owner's, and nobody else's program.
    let found = fs::metadata(data.join("x")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1234, 5678, 0o755));

    let done = extract(archive(b"kept"), dir.path(), &o(Overwrite::Keep)).unwrap();
    assert_eq!((done.files, done.kept), (3, 1));
    assert_eq!(fs::read(volume.join("x")).unwrap(), b"old");
    extract(archive(b"new"), dir.path(), &o(Overwrite::Replace)).unwrap();
    let right = tempfile::tempdir().unwrap();
    extract(archive(b"new"), &right.path().join("t"), &ExtractOptions::new()).unwrap();
    assert!(tree(dir.path()) == tree(&right.path().join("t")));
    let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(volume.join("x")), modified(right.path().join("t/app/data/x")));
    // A fifo is not read: that would wait for its other end.
    fs::remove_file(volume.join("x")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(volume.join("x")).status().unwrap().success());
    assert!(matches!(extract(archive(b"new"), dir.path(), &o(Overwrite::Replace)), Err(Error::Io { .. })));
}

/// Extracts as another user: what that one may not do, root would do all the same.
#[cfg(unix)]
fn as_nobody(zip: &Path, target: &Path, set: &[&str]) -> std::process::Output {
    let child = extract_in_child(zip, target, set);
    let mut nobody = std::process::Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--clear-groups"]).arg(child.get_program()).args(child.get_args());
    nobody.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nobody.current_dir("/").output().unwrap()
}

/// A directory of that user's, with an archive in it that has a directory nobody may write to.
#[cfg(unix)]
fn of_nobody() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::{PermissionsExt, chown};
    let around = tempfile::tempdir().unwrap();
    fs::set_permissions(around.path(), fs::Permissions::from_mode(0o777)).unwrap();
    chown(around.path(), Some(65534), None).unwrap();
    let path = around.path().join("x.zip");
    let closed = folder("a/").with(|e| e.mode = 0o040_500);
    let entries = vec![closed, file("a/b/x", b"new"), file("a/y", b"new"), file("z", b"new")];
    fs::write(&path, zip(entries).bytes()).unwrap();
    (around, path)
}

#[cfg(unix)]
fn staged(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().ends_with(".partial")).collect()
}

/// What an archive's permission bits take from its owner does not keep the next extraction from removing it.
#[cfg(unix)]
#[test]
#[ignore = "becomes another user, which only root may; .ci/run runs it"]
fn what_a_killed_extraction_left_without_permissions_is_removed_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let (around, zip_at) = of_nobody();
    let target = around.path().join("t");
    assert_eq!(as_nobody(&zip_at, &target, &["EXTRACT_EXIT"]).status.code(), Some(9));
    // As it is between the end of the writing and the rename.
    let left = staged(around.path());
    fs::set_permissions(left[0].join("tree/a"), fs::Permissions::from_mode(0o500)).unwrap();
    let root = around.path().join("r");
    Archive::open(&zip_at).unwrap().extract(&root).unwrap();
    let output = as_nobody(&zip_at, &target, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("files: 3"), "{output:?}");
    assert_eq!(staged(around.path()), [] as [PathBuf; 0]);
    assert_eq!(fs::metadata(target.join("a")).unwrap().permissions().mode() & 0o777, 0o500);
}

#[cfg(unix)]
#[test]
#[ignore = "becomes another user, which only root may; .ci/run runs it"]
fn another_user_s_leftovers_are_not_touched() {
    let (around, zip_at) = of_nobody();
    let target = around.path().join("t");
    assert_eq!(as_nobody(&zip_at, &target, &["EXTRACT_EXIT"]).status.code(), Some(9));
    Archive::open(&zip_at).unwrap().extract(&target).unwrap();
    assert_eq!(staged(around.path()).len(), 1);
}

#[cfg(unix)]
#[test]
#[ignore = "becomes another user, which only root may; .ci/run runs it"]
fn directories_without_write_permission_and_others_files_are_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let (around, zip_at) = of_nobody();
    let target = around.path().join("t");
    let mode = || fs::metadata(target.join("a")).unwrap().permissions().mode() & 0o777;
    for _ in 0..2 {
        let output = as_nobody(&zip_at, &target, &["EXTRACT_REPLACE"]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("files: 3"), "{output:?}");
        assert_eq!(mode(), 0o500);
        // May not be linked (`fs.protected_hardlinks`), but read and replaced.
        fs::remove_file(target.join("z")).unwrap();
        fs::write(target.join("z"), "root's").unwrap();
    }
    // What cannot even be read could not be brought back.
    fs::set_permissions(target.join("z"), fs::Permissions::from_mode(0o600)).unwrap();
    let output = as_nobody(&zip_at, &target, &["EXTRACT_REPLACE"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("backing up"), "{output:?}");
    assert_eq!(fs::read(target.join("z")).unwrap(), b"root's");
    // A failure at the end: `a` and all in it is as it was.
    fs::remove_file(target.join("z")).unwrap();
    fs::create_dir(target.join("z")).unwrap();
    fs::write(target.join("a/y"), "old").unwrap();
    let output = as_nobody(&zip_at, &target, &["EXTRACT_REPLACE"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Exists"), "{output:?}");
    assert_eq!((mode(), fs::read(target.join("a/y")).unwrap()), (0o500, b"old".to_vec()));
}
