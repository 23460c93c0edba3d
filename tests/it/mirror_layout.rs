//! Where a mirror puts files and what it calls them: by hand, from every form of the listing, and from hostile ones.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use squarecloud_blocking::{Kind, Mirror};

use crate::download_origin::quick_dir;
use crate::mirror_support::*;
use crate::sandbox::{End, Fault, ListingForm, On, Port, Route, Sandbox, VersionIds, encode};
use crate::support::builder;

#[test]
fn files_are_where_the_documentation_says_with_their_bytes_and_times() {
    for versions in [VersionIds::S3, VersionIds::Uuid, VersionIds::Odd] {
        for form in [ListingForm::New, ListingForm::Old, ListingForm::Seed] {
            let sandbox = Sandbox::builder().small().no_limits().rules(|rules| rules.version_ids = versions).start();
            let dir = quick_dir();
            for (days, id) in [(3, sandbox.app_id()), (2, sandbox.app_id()), (2, sandbox.database_id())] {
                sandbox.write_file(id, "new.txt", format!("{days} days ago"));
                put(&sandbox, id, days);
            }
            let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
            let times: Vec<_> = [Kind::App, Kind::Database]
                .map(|kind| builder(&sandbox).build().unwrap().all_snapshots(kind).unwrap())
                .concat();
            sandbox.rules(|rules| rules.listing = form);
            let report = mirror(&sandbox, &dir).run().unwrap();
            assert!(report.is_complete(), "{form:?}: {report:?}");
            assert_eq!(files(&dir), paths(&wanted), "{form:?}");
            for (path, bytes) in &wanted {
                let path = dir.path().join(path);
                assert!(fs::read(&path).unwrap() == *bytes, "{form:?}");
                // The time of creation stands in the name, to the second, and in the file's time, to the millisecond.
                let at = modified(&path);
                assert!(times.iter().any(|info| info.created_at == at), "{form:?}: {at}");
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let (date, clock) = (at.date().to_string().replace('-', ""), at.time());
                let stamp = format!(".{date}T{:02}{:02}{:02}Z.", clock.hour(), clock.minute(), clock.second());
                assert!(name.contains(&stamp) && name.ends_with(".zip"), "{name}, {stamp}");
            }
            // Another form of the listing names the same files.
            for form in [ListingForm::New, ListingForm::Old, ListingForm::Seed] {
                sandbox.rules(|rules| rules.listing = form);
                asked(&sandbox);
                let again = mirror(&sandbox, &dir).run().unwrap();
                assert_eq!((again.kept, asked(&sandbox)), (3, (2, 0)), "{form:?}: {again:?}");
            }
        }
    }
}

#[test]
fn a_part_file_goes_on() {
    let (sandbox, dir) = world(0);
    sandbox.write_file(sandbox.app_id(), "noise.bin", crate::download_origin::archive(300_000, 5));
    put(&sandbox, sandbox.app_id(), 1);
    let wanted = listed(&sandbox, Kind::App);
    sandbox.fault(On::Snapshots, Fault::InBody(200_000, End::Close)).once();
    sandbox.fault(On::Snapshots, Fault::html(503)).after(1);
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.fetched.len(), report.failed.len(), report.bytes), (0, 1, 0), "{report:?}");
    let left = files(&dir);
    assert!(left.iter().all(|path| path.contains("/.")), "nothing visible is incomplete: {left:?}");
    sandbox.clear_faults();
    sandbox.clear_requests();
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert!(report.is_complete() && files(&dir) == paths(&wanted), "{report:?}");
    assert!(fs::read(dir.path().join(&wanted[0].0)).unwrap() == wanted[0].1);
    let requests = sandbox.requests();
    let ranges: Vec<_> = requests.iter().filter(|r| r.port == Port::Snapshots).map(|r| r.header("range")).collect();
    assert_eq!(ranges, [Some("bytes=200000-")]);
    assert_eq!(report.bytes, wanted[0].1.len() as u64 - 200_000, "only the rest was transferred");
}

const NAMES: [&str; 34] = [
    "../x",
    "../../x",
    "..\\x",
    "/etc/passwd",
    "C:\\x",
    "a/b",
    "a:b",
    "a\\b",
    "a_b",
    "A_b",
    "a%2Fb",
    "%2e%2e%2fx",
    "CON",
    "con",
    "nul_js_manual",
    "COM1.zip",
    "LPT¹",
    " ",
    "  ",
    ".hidden",
    "..x",
    "x..",
    "x.",
    "x ",
    "x.zip",
    "_x",
    "-rf",
    "~",
    "$HOME",
    "ünïcödé",
    "u\u{308}nicode",
    "日本語_js_manual",
    "a\u{202e}b",
    "*?\"<>|",
];

/// An item of a listing, and the object that its link leads to.
fn item(sandbox: &Sandbox, number: usize, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let bytes = crate::download_origin::archive(100 + number, 7);
    let link = sandbox.put_object(&format!("applications/{OWNER}/{}.zip", encode(name, "")), bytes.clone());
    let mut item = json!({"name": name, "size": bytes.len(), "modified": "2026-11-20T18:04:11.512Z", "key": link.key,
        "version_id": link.version_id, "url": link.url});
    change(&mut item);
    item
}

/// A mirror whose app listing is `items`.
fn of(sandbox: &Sandbox, dir: &tempfile::TempDir, items: Vec<Value>) -> Mirror {
    sandbox.clear_faults();
    sandbox.fault(Route::ListAccount, Fault::Response(items.into()));
    mirror(sandbox, dir).kind(Kind::App)
}

#[test]
fn odd_names_stay_inside_and_apart() {
    let long = ["x", "é", "ab_"].map(|part| part.repeat(300));
    let twins = [format!("{}1", long[0]), format!("{}2", long[0])];
    let names: Vec<&str> = NAMES.into_iter().chain(long.iter().chain(&twins).map(String::as_str)).collect();
    for old in [false, true] {
        let (sandbox, dir) = world(0);
        let outer = tempfile::tempdir().unwrap();
        let inner = tempfile::tempdir_in(outer.path()).unwrap();
        let number = names.len();
        let drop_link = |item: &mut Value| {
            if old {
                item.as_object_mut().unwrap().retain(|field, _| !["url", "version_id"].contains(&field.as_str()));
            }
        };
        let items: Vec<Value> = names.iter().enumerate().map(|(n, name)| item(&sandbox, n, name, drop_link)).collect();
        for dir in [&dir, &inner] {
            let report = of(&sandbox, dir, items.clone()).threads(8).run().unwrap();
            assert!(report.is_complete(), "{:?} {:?}", report.failed, report.skipped);
            let distinct: BTreeSet<String> = files(dir).iter().map(|path| path.to_lowercase()).collect();
            assert_eq!((report.fetched.len(), distinct.len()), (number, number), "old: {old}");
            for path in files(dir) {
                let parts: Vec<&str> = path.split('/').collect();
                assert!(parts.len() == 3 && parts[0] == "apps", "{path}");
                for part in parts {
                    let tame = !part.starts_with(['.', ' ', '-']) || part == "-rf" || part.starts_with("-rf.");
                    assert!(part.len() <= 200 && tame && !part.ends_with(['.', ' ']), "{path}");
                    assert!(!part.contains(['\\', ':', '*', '?', '"', '<', '>', '|', '\u{202e}']), "{path}");
                }
            }
            // Each file has the bytes of its item, and the next run finds them all.
            let sizes: BTreeSet<u64> = report.fetched.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
            assert_eq!(sizes.len(), number);
            sandbox.clear_requests();
            let again = of(&sandbox, dir, items.clone()).run().unwrap();
            assert_eq!((again.kept, again.fetched.len(), sandbox.count(On::Snapshots)), (number, 0, 0));
        }
        assert_eq!(crate::download_origin::names(outer.path()).len(), 1, "nothing lies beside the mirror");
    }
}

#[test]
fn what_cannot_be_a_name_is_skipped_and_reported() {
    let (sandbox, dir) = world(0);
    let bad = ["", ".", "..", "a\nb", "a\0b"];
    let mut items: Vec<Value> = bad.iter().map(|name| json!({"name": name, "size": 1, "key": "k"})).collect();
    items.push(item(&sandbox, 0, "good", |_| {}));
    let report = of(&sandbox, &dir, items).run().unwrap();
    assert_eq!((report.skipped.len(), report.fetched.len()), (bad.len(), 1), "{report:?}");
    assert!(!report.is_complete());
}

#[test]
fn versions_of_one_second_stay_apart_and_an_item_that_comes_twice_is_fetched_once() {
    let (sandbox, dir) = world(0);
    let long = "v".repeat(400);
    let versions = ["v1", "V1.", "a/b", "a.b", "a+b", "a b", "../../x", "ü", "-", ".", &long];
    // The same link for all: what tells them apart is the listing's version.
    let bytes = crate::download_origin::archive(100, 7);
    let (url, key) = unversioned(&sandbox, "app_js_manual", bytes.clone());
    let plain = |version: &str| {
        json!({"name": "app_js_manual", "size": bytes.len(), "modified": "2026-11-20T18:04:11.512Z", "key": key,
            "version_id": version, "url": url})
    };
    let mut items: Vec<Value> = versions.iter().map(|version| plain(version)).collect();
    items.extend(items.clone());
    let mirror = of(&sandbox, &dir, items);
    sandbox.fault(On::Snapshots, Fault::RemoveHeader("x-amz-version-id"));
    let report = mirror.run().unwrap();
    let distinct: BTreeSet<String> = files(&dir).iter().map(|path| path.to_lowercase()).collect();
    assert_eq!((report.fetched.len(), distinct.len()), (versions.len(), versions.len()), "{report:?}");
}

#[test]
fn odd_times_and_sizes_are_survived() {
    let (sandbox, dir) = world(0);
    let times = ["0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"];
    let at =
        |(n, time): (usize, &&str)| item(&sandbox, n, &format!("app{n}_js"), |item| item["modified"] = (*time).into());
    let mut items: Vec<Value> = times.iter().enumerate().map(at).collect();
    items.push(item(&sandbox, 9, "app9_js", |item| item["size"] = u64::MAX.into()));
    items.push(item(&sandbox, 8, "app8_js", |item| item["size"] = 0.into()));
    let report = of(&sandbox, &dir, items.clone()).run().unwrap();
    assert!(report.is_complete() && report.fetched.len() == 6, "{report:?}");
    sandbox.clear_requests();
    let again = of(&sandbox, &dir, items).run().unwrap();
    assert!(again.is_complete() && again.kept == 6, "{again:?}");
    assert_eq!(sandbox.count(On::Snapshots), 0);
}
