//! Part files do not pile up: which of them a finished download removes, and which it leaves alone.

use std::fs;
use std::path::Path;

use squarecloud_blocking::{DownloadOptions, Overwrite, Snapshot};
use tempfile::tempdir;

use super::Origin;
use super::download_files::begin;
use crate::download_origin::{Reply, archive, assert_no_secret, names};

const OLD: [&str; 2] = [".old.zip.part", ".old.zip.part.meta"];

fn of(url: &str) -> Snapshot {
    Snapshot::from_url(url).unwrap()
}

fn object() -> Vec<u8> {
    archive(2_000_000, 9)
}

/// Another snapshot's link: another app's, or another version's.
fn others(origin: &Origin) -> [String; 2] {
    let url = origin.url();
    let others = [url.replace("/applications/1/", "/applications/2/"), url.replace("versionId=v1", "versionId=v2")];
    assert!(others.iter().all(|other| *other != url));
    others
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_finished_or_kept_file_leaves_no_part_of_the_same_snapshot() {
    let origin = Origin::breaking(object(), 700_000);
    for overwrite in [Overwrite::Refuse, Overwrite::Replace, Overwrite::Keep] {
        let dir = tempdir().unwrap();
        begin(&of(&origin.url()), &dir.path().join("old.zip"));
        assert_eq!(names(dir.path()), OLD);
        assert_no_secret(&fs::read_to_string(dir.path().join(OLD[1])).unwrap());
        if overwrite == Overwrite::Keep {
            fs::write(dir.path().join("x.zip"), object()).unwrap();
        }
        let options = DownloadOptions::new().overwrite(overwrite);
        of(&origin.url()).download_with(dir.path().join("x.zip"), &options).unwrap();
        assert_eq!(names(dir.path()), ["x.zip"], "{overwrite:?}");
    }
}

#[test]
fn without_a_version_the_object_itself_shows_that_it_is_the_same() {
    for same in [true, false] {
        let origin = Origin::start(move |asked| {
            let tag = if same || asked.number == 0 { "\"one\"" } else { "\"two\"" };
            let body = object();
            Reply { cut: (asked.number == 0).then_some(700_000), ..Reply::right(&body, Some(tag), asked) }
        });
        let dir = tempdir().unwrap();
        let snapshot = of(&origin.url_without_version());
        begin(&snapshot, &dir.path().join("old.zip"));
        snapshot.download(dir.path().join("x.zip")).unwrap();
        assert_eq!(names(dir.path()).len(), if same { 1 } else { 3 }, "{same}");
    }
}

#[test]
fn parts_of_other_snapshots_stay_until_their_links_expire() {
    let origin = Origin::breaking(object(), 700_000);
    for other in others(&origin) {
        let dir = tempdir().unwrap();
        begin(&of(&other), &dir.path().join("old.zip"));
        of(&origin.url()).download(dir.path().join("x.zip")).unwrap();
        assert_eq!(names(dir.path()), [OLD[0], OLD[1], "x.zip"]);
        edit(&dir.path().join(OLD[1]), "\"expires\":1797790051", "\"expires\":1500000000");
        let keep = DownloadOptions::new().overwrite(Overwrite::Keep);
        of(&origin.url()).download_with(dir.path().join("x.zip"), &keep).unwrap();
        assert_eq!(names(dir.path()), ["x.zip"]);
    }
}

#[test]
fn what_another_download_writes_to_stays() {
    let origin = Origin::breaking(object(), 700_000);
    let dir = tempdir().unwrap();
    begin(&of(&origin.url()), &dir.path().join("old.zip"));
    let held = fs::File::open(dir.path().join(OLD[0])).unwrap();
    held.lock().unwrap();
    of(&origin.url()).download(dir.path().join("x.zip")).unwrap();
    assert_eq!(names(dir.path()), [OLD[0], OLD[1], "x.zip"]);
    held.unlock().unwrap();
    fs::remove_file(dir.path().join("x.zip")).unwrap();
    // A call that fails removes nothing of others.
    of(&Origin::start(|_| Reply::plain(404, "")).url()).download(dir.path().join("x.zip")).unwrap_err();
    assert_eq!(names(dir.path()), OLD);
    of(&origin.url()).download(dir.path().join("old.zip")).unwrap();
    assert_eq!(names(dir.path()), ["old.zip"], "it was there to be continued");
}

#[test]
fn what_is_not_a_part_file_with_a_record_of_ours_stays() {
    let origin = Origin::breaking(object(), 700_000);
    type Spoil = fn(&Path);
    let spoils: &[(&str, Spoil)] = &[
        ("no record", |d| fs::remove_file(d.join(OLD[1])).unwrap()),
        ("another program's record", |d| fs::write(d.join(OLD[1]), "{\"path\":\"/a\"}\n").unwrap()),
        ("a later form of the record", |d| edit(&d.join(OLD[1]), "\"format\":1", "\"format\":9")),
        ("another name", |d| {
            fs::rename(d.join(OLD[0]), d.join("old.zip.part")).unwrap();
            fs::rename(d.join(OLD[1]), d.join("old.zip.part.meta")).unwrap();
        }),
        ("a directory", |d| {
            fs::remove_file(d.join(OLD[0])).unwrap();
            fs::create_dir(d.join(OLD[0])).unwrap();
        }),
        #[cfg(unix)]
        ("a link", |d| {
            fs::rename(d.join(OLD[0]), d.join("mine")).unwrap();
            std::os::unix::fs::symlink("mine", d.join(OLD[0])).unwrap();
        }),
    ];
    for &(what, spoil) in spoils {
        let dir = tempdir().unwrap();
        begin(&of(&origin.url()), &dir.path().join("old.zip"));
        spoil(dir.path());
        let mut left = names(dir.path());
        of(&origin.url()).download(dir.path().join("x.zip")).unwrap();
        left.push("x.zip".into());
        assert_eq!(names(dir.path()), left, "{what}");
    }
}

#[test]
fn a_part_whose_record_had_no_name_yet_goes_too() {
    let origin = Origin::breaking(object(), 700_000);
    let dir = tempdir().unwrap();
    begin(&of(&origin.url()), &dir.path().join("old.zip"));
    // As a kill leaves it just before the new record replaces the old one.
    fs::rename(dir.path().join(OLD[1]), dir.path().join(".old.zip.part.meta.new")).unwrap();
    of(&origin.url()).download(dir.path().join("x.zip")).unwrap();
    assert_eq!(names(dir.path()), ["x.zip"]);
}

#[test]
fn a_file_s_missing_parents_are_created() {
    let origin = Origin::breaking(object(), 700_000);
    let dir = tempdir().unwrap();
    let path = dir.path().join("missing/and/deep/x.zip");
    of(&origin.url()).download(&path).unwrap();
    assert!(fs::read(&path).unwrap() == object());
}
