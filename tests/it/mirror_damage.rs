//! Files of a mirror that were cut, changed, replaced or blocked: noticed, kept aside and fetched again.

use std::fs::{self, OpenOptions};
use std::path::Path;

use squarecloud_blocking::{KeepReason, Kind, MirrorReport};
use tempfile::TempDir;

use crate::download_origin::{archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::{Fault, ListingForm, NewSnapshot, Route, Sandbox};
use crate::support::builder;

type Spoil = fn(&Path);

/// What a run notices whether or not the snapshot is listed.
const ALWAYS: [(&str, Spoil); 6] = [
    ("cut by a byte", |path| cut(path, 1)),
    ("cut to a half", |path| cut(path, fs::metadata(path).unwrap().len() / 2)),
    ("zeroed", |path| {
        let length = fs::metadata(path).unwrap().len();
        fs::write(path, vec![0; length as usize]).unwrap();
    }),
    ("emptied", |path| fs::write(path, "").unwrap()),
    ("zeroed at the end", |path| edit(path, |bytes| bytes.iter_mut().rev().take(600).for_each(|byte| *byte = 0))),
    ("text", |path| fs::write(path, "not a zip, whatever its name").unwrap()),
];

/// What a run notices when the listing tells the size.
const LISTED: [(&str, Spoil); 3] = [
    ("appended", |path| edit(path, |bytes| bytes.extend_from_slice(b"more"))),
    ("another archive", |path| fs::write(path, archive(5000, 3)).unwrap()),
    ("another archive in front", |path| {
        edit(path, |bytes| {
            bytes.splice(0..0, archive(500, 3));
        });
    }),
];

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, by: u64) {
    let length = fs::metadata(path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len(length - by).unwrap();
}

/// Flips a bit in the middle of the data of an archive's entry.
#[cfg(feature = "zip")]
fn flip(path: &Path) {
    edit(path, |bytes| {
        let middle = bytes.len() / 3;
        bytes[middle] ^= 16;
    });
}

fn damaged_path(path: &str, number: usize) -> String {
    if number < 2 { format!("{path}.damaged") } else { format!("{path}.{number}.damaged") }
}

fn read(dir: &TempDir, path: &str) -> Vec<u8> {
    fs::read(dir.path().join(path)).unwrap()
}

/// A mirror of some snapshots of the app, of which the first one is then spoiled. Returns its path and what it became.
fn spoiled(sandbox: &Sandbox, dir: &TempDir, spoil: Spoil) -> (String, Vec<u8>, Vec<u8>) {
    let (path, good) = listed(sandbox, Kind::App)[0].clone();
    mirror(sandbox, dir).run().unwrap();
    let created_at = modified(&dir.path().join(&path));
    spoil(&dir.path().join(&path));
    // As after a power cut, which leaves the time that was set.
    let file = OpenOptions::new().write(true).open(dir.path().join(&path)).unwrap();
    if read(dir, &path).len() <= good.len() {
        file.set_modified(created_at.into()).unwrap();
    }
    let bad = read(dir, &path);
    assert!(bad != good);
    (path, good, bad)
}

/// A listed one is damaged: it is set aside and fetched again.
fn assert_fetched_again(
    dir: &TempDir,
    report: &MirrorReport,
    (path, good, bad): &(String, Vec<u8>, Vec<u8>),
    n: usize,
) {
    assert_eq!(relative(dir, &report.damaged), [damaged_path(path, n)], "{report:?}");
    assert_eq!(relative(dir, &report.fetched), *std::slice::from_ref(path), "{report:?}");
    assert!(report.is_complete() && read(dir, path) == *good && read(dir, &damaged_path(path, n)) == *bad);
}

#[test]
fn a_damaged_file_is_kept_aside_and_fetched_again() {
    for (what, spoil) in ALWAYS.into_iter().chain(LISTED) {
        let (sandbox, dir) = world(2);
        let bad = spoiled(&sandbox, &dir, spoil);
        let plan = mirror(&sandbox, &dir).plan().unwrap();
        let planned = [&plan.damaged, &plan.fetch].map(|list| relative(&dir, list.iter().map(|planned| &planned.path)));
        assert_eq!(planned, [[bad.0.clone()], [bad.0.clone()]], "{what}");
        assert!(read(&dir, &bad.0) == bad.2, "a plan changes nothing");
        asked(&sandbox);
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_fetched_again(&dir, &report, &bad, 1);
        assert_eq!(asked(&sandbox), (2, 1), "{what}");
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.kept, report.damaged.len(), asked(&sandbox)), (4, 0, (2, 0)), "{what}");
    }
}

#[test]
fn each_damaged_file_is_kept_under_a_number_of_its_own() {
    let (sandbox, dir) = world(1);
    for (number, (_, spoil)) in ALWAYS.into_iter().enumerate().take(4).skip(1) {
        let bad = spoiled(&sandbox, &dir, spoil);
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_fetched_again(&dir, &report, &bad, number);
    }
    assert_eq!(files(&dir).len(), 2 + 3);
    assert_eq!(mirror(&sandbox, &dir).run().unwrap().kept, 2);
}

#[test]
fn a_damaged_file_that_is_not_listed_any_more_is_reported_once() {
    for (what, spoil) in ALWAYS {
        let (sandbox, dir) = world(0);
        let gone = put(&sandbox, sandbox.app_id(), 3);
        let (path, _, bad) = spoiled(&sandbox, &dir, spoil);
        sandbox.remove_object(&gone);
        put(&sandbox, sandbox.app_id(), 1);
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!(relative(&dir, &report.damaged), [damaged_path(&path, 1)], "{what}");
        assert_eq!((report.failed.len(), report.fetched.len(), report.is_complete()), (1, 1, false), "{what}");
        let (info, error) = &report.failed[0];
        assert_eq!(info.resource_id(), sandbox.app_id());
        assert!(path.contains(&info.id) && error.to_string().contains(".damaged"), "{error}");
        assert!(read(&dir, &damaged_path(&path, 1)) == bad && !dir.path().join(&path).exists());
        assert!(mirror(&sandbox, &dir).run().unwrap().is_complete(), "{what}");
    }
}

/// Nothing tells the size of a snapshot that is not listed any more, and everything in the archive is as it was.
#[test]
fn a_file_that_is_not_listed_any_more_and_got_longer_is_whole_while_it_is_an_archive() {
    let (sandbox, dir) = world(0);
    let gone = put(&sandbox, sandbox.app_id(), 3);
    let (path, _, longer) = spoiled(&sandbox, &dir, LISTED[0].1);
    sandbox.remove_object(&gone);
    put(&sandbox, sandbox.app_id(), 1);
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.damaged.len(), report.kept, report.fetched.len()), (0, 1, 1), "{report:?}");
    assert!(read(&dir, &path) == longer);
}

#[cfg(feature = "zip")]
#[test]
fn a_flipped_bit_is_noticed_with_verify() {
    for is_listed in [true, false] {
        let (sandbox, dir) = world(0);
        let gone = put(&sandbox, sandbox.app_id(), 3);
        let bad = spoiled(&sandbox, &dir, flip);
        put(&sandbox, sandbox.app_id(), 1);
        if !is_listed {
            sandbox.remove_object(&gone);
        }
        let mirror = || mirror(&sandbox, &dir).verify(true);
        assert_eq!(mirror().verify(false).run().unwrap().damaged.len(), 0);
        assert_eq!(mirror().plan().unwrap().damaged.len(), 1);
        let report = mirror().run().unwrap();
        if is_listed {
            assert_fetched_again(&dir, &report, &bad, 1);
        } else {
            assert_eq!((relative(&dir, &report.damaged), report.failed.len()), (vec![damaged_path(&bad.0, 1)], 1));
        }
        assert!(mirror().run().unwrap().is_complete());
    }
}

/// What the host has is damaged, too: with `verify`, it does not get its name.
#[cfg(feature = "zip")]
#[test]
fn a_bad_archive_from_the_host_is_not_taken_with_verify() {
    let (sandbox, dir) = world(1);
    let link = put(&sandbox, sandbox.app_id(), 0);
    let file = dir.path().join("x");
    fs::write(&file, &listed(&sandbox, Kind::App)[1].1).unwrap();
    flip(&file);
    sandbox.replace_object(&link, fs::read(&file).unwrap(), true);
    fs::remove_file(file).unwrap();
    for _ in 0..2 {
        let report = mirror(&sandbox, &dir).verify(true).run().unwrap();
        assert_eq!((report.failed.len(), files(&dir).len()), (1, 2), "{report:?}");
        assert!(report.failed[0].1.refusal() == Some(squarecloud_blocking::Refusal::Corrupt), "{report:?}");
    }
}

/// The listing's size is 7 too large, or 0.
fn wrong_size(sandbox: &Sandbox, is_zero: bool) {
    let edit: fn(&mut serde_json::Value) = if is_zero {
        |envelope| envelope["response"].as_array_mut().unwrap().iter_mut().for_each(|item| item["size"] = 0.into())
    } else {
        |envelope| {
            for item in envelope["response"].as_array_mut().unwrap() {
                let size = &item["size"];
                let size = size.as_u64().or_else(|| size.as_str()?.parse().ok()).unwrap();
                item["size"] = (size + 7).into();
            }
        }
    };
    sandbox.fault(Route::ListAccount, Fault::Edit(edit));
}

#[test]
fn a_listing_that_is_wrong_about_the_size_does_not_have_everything_fetched_again() {
    for is_zero in [false, true] {
        for form in [ListingForm::New, ListingForm::Seed] {
            let (sandbox, dir) = world(2);
            let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
            sandbox.rules(|rules| rules.listing = form);
            wrong_size(&sandbox, is_zero);
            for round in 0..3 {
                let report = mirror(&sandbox, &dir).run().unwrap();
                let fetched = if round == 0 { 4 } else { 0 };
                assert_eq!((report.fetched.len(), report.kept), (fetched, 4 - fetched), "{round}: {report:?}");
                assert!(report.is_complete() && files(&dir) == paths(&wanted), "{report:?}");
            }
            // Even so, damage is noticed.
            for (what, spoil) in ALWAYS.into_iter().chain(LISTED) {
                spoil(&dir.path().join(&wanted[0].0));
                let report = mirror(&sandbox, &dir).run().unwrap();
                assert_eq!((report.damaged.len(), report.fetched.len()), (1, 1), "{what}: {report:?}");
                assert!(read(&dir, &wanted[0].0) == wanted[0].1);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn what_stands_in_a_file_s_way_is_left_alone_and_reported() {
    use std::os::unix::fs::symlink;
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 5] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a full directory", |path| fs::create_dir_all(path.join("in")).unwrap()),
        ("a link to nothing", |path| symlink("nothing", path).unwrap()),
        ("a link to a directory", |path| symlink("..", path).unwrap()),
        ("a pipe", |path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for (what, plant) in plants {
        let (sandbox, dir) = world(2);
        let wanted = listed(&sandbox, Kind::App);
        let path = dir.path().join(&wanted[0].0);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        plant(&path);
        let before = tree(dir.path());
        let plan = mirror(&sandbox, &dir).plan().unwrap();
        assert_eq!(tree(dir.path()), before);
        for round in 0..2 {
            let report = mirror(&sandbox, &dir).run().unwrap();
            assert_eq!((report.failed.len(), report.damaged.len()), (1, 0), "{what}: {report:?}");
            assert_eq!(report.fetched.len() + report.kept, 3, "{what}, {round}: the others are fetched");
            let text = format!("{:#}", report.failed[0].1);
            assert!(text.contains(path.to_str().unwrap()), "{what}: {text}");
        }
        let kept = tree(dir.path());
        assert!(before.iter().all(|(path, what)| kept.get(path) == Some(what)), "{what}");
        assert!(what.contains("nothing") || plan.failed.len() == 1, "{what}: {plan:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_good_copy_elsewhere_counts_as_one() {
    let (sandbox, dir) = world(2);
    let elsewhere = quick_dir();
    mirror(&sandbox, &dir).run().unwrap();
    let path = dir.path().join(&listed(&sandbox, Kind::App)[0].0);
    fs::rename(&path, elsewhere.path().join("x")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("x"), &path).unwrap();
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.kept, report.fetched.len(), report.is_complete()), (4, 0, true), "{report:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_counts_for_nothing_and_stays() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, dir) = world(3);
    mirror(&sandbox, &dir).run().unwrap();
    let paths = listed(&sandbox, Kind::App);
    let newest = dir.path().join(&paths[2].0);
    fs::set_permissions(&newest, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&newest).is_ok() {
        return; // root may read everything
    }
    let mirror = mirror(&sandbox, &dir).kind(Kind::App).keep(squarecloud_blocking::Keep::last(1));
    let plan = mirror.plan().unwrap();
    assert_eq!((plan.failed.len(), plan.keep.len(), plan.prune.len()), (1, 1, 1), "{plan:?}");
    assert_eq!(plan.keep[0].reasons, [KeepReason::Last]);
    let report = mirror.run().unwrap();
    assert!(!report.is_complete() && newest.exists() && dir.path().join(&paths[1].0).exists(), "{report:?}");
}

#[test]
fn a_snapshot_deleted_by_hand_comes_back_while_it_is_listed() {
    let (sandbox, dir) = world(2);
    sandbox.put_snapshot(NewSnapshot { name: None, ..NewSnapshot::of(sandbox.app_id()) });
    mirror(&sandbox, &dir).run().unwrap();
    let wanted = listed(&sandbox, Kind::App);
    fs::remove_file(dir.path().join(&wanted[1].0)).unwrap();
    let report = builder(&sandbox).build().unwrap().mirror(dir.path()).run().unwrap();
    assert_eq!((relative(&dir, &report.fetched), report.kept), (vec![wanted[1].0.clone()], 4));
}
