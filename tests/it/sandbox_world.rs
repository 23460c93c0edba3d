//! The sandbox's world: what it allows, remembers, signs and restores.

use std::time::Duration;

use proptest::prelude::{prop_assert_eq, proptest};
use serde_json::json;

use crate::sandbox::{
    Asked, Creation, Kind, ListingForm, NewSnapshot, Port, Restoration, Sandbox, VersionIds, from_zip, range, rfc3339,
};
use crate::sandbox_raw::{Raw, call, fetch};

fn small() -> Sandbox {
    Sandbox::builder().small().start()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn snapshots(s: &Sandbox) -> String {
    format!("/apps/{}/snapshots", s.app_id())
}

fn restore(s: &Sandbox, name: &str, version: &str) -> crate::sandbox_raw::Reply {
    let body = json!({"snapshotId": name, "versionId": version}).to_string();
    call(s, "POST", &format!("{}/restore", snapshots(s)), &body)
}

#[test]
fn a_snapshot_is_made_listed_fetched_and_restored() {
    let s = small();
    let made = call(&s, "POST", &snapshots(&s), "");
    assert_eq!(made.status, 200, "{:?}", made.json());
    let response = &made.json()["response"];
    let (url, key) = (response["url"].as_str().unwrap(), response["key"].as_str().unwrap());
    assert!(url.starts_with(s.snapshot_host()) && url.ends_with(key) && !key.contains("versionId"));
    let zip = fetch(&s, url, "");
    assert_eq!((zip.status, zip.whole), (200, true));
    assert_eq!(from_zip(&zip.body).unwrap(), s.files(s.app_id()), "the zip holds the files, modes and times");

    let list = call(&s, "GET", &snapshots(&s), "").json();
    let item = &list["response"][0];
    assert_eq!(item["name"], format!("{}_javascript_manual", s.app_id()));
    assert_eq!(item["size"], zip.body.len());
    assert!(item["key"].as_str().unwrap().contains("&versionId="));
    assert_eq!(fetch(&s, item["url"].as_str().unwrap(), "").body, zip.body);

    let before = s.files(s.app_id());
    s.write_file(s.app_id(), "index.js", "broken");
    s.write_file(s.app_id(), "new.js", "new");
    let (name, version) = (item["name"].as_str().unwrap(), item["version_id"].as_str().unwrap());
    assert_eq!(restore(&s, name, version).json(), json!({"status": "success"}));
    assert_eq!(s.files(s.app_id()), before, "what is not in the snapshot is gone");
    let status = call(&s, "GET", &format!("{}/restore", snapshots(&s)), "").json();
    assert_eq!(status["response"]["state"], "success");
    assert!(status["response"]["finished_at"].as_i64().unwrap() > 1_700_000_000_000);
}

#[test]
fn links_are_checked_and_expire() {
    let s = small();
    let link = s.put_object("some/thing.zip", b"0123456789".to_vec());
    assert_eq!(fetch(&s, &link.url, "").body, b"0123456789");
    let forged = link.url.replace("Signature=", "Signature=A");
    assert_eq!(fetch(&s, &forged, "").status, 403);
    let other = link.url.replace("thing", "other");
    assert_eq!(fetch(&s, &other, "").status, 403);
    let later = link.url.replace("Expires=", "Expires=9");
    assert_eq!(fetch(&s, &later, "").status, 403);
    let without = link.url.split("&versionId").next().unwrap();
    let refused = fetch(&s, without, "");
    assert!(String::from_utf8_lossy(&refused.body).contains("SignatureDoesNotMatch"));
    let mut raw = Raw::open(&s, Port::Snapshots);
    raw.send(crate::sandbox_raw::get(&link.url, "").replacen("GET", "HEAD", 1).as_bytes());
    assert_eq!(raw.reply().status, 403, "signed for GET");
    s.advance(seconds(30 * 86_400 + 5));
    let refused = fetch(&s, &link.url, "");
    assert_eq!(refused.status, 403);
    assert!(String::from_utf8_lossy(&refused.body).contains("Request has expired"));
}

#[test]
fn ranges_and_preconditions() {
    let s = small();
    let bytes: Vec<u8> = (0..=255).collect();
    let link = s.put_object("r.zip", bytes.clone());
    let whole = fetch(&s, &link.url, "");
    let (etag, modified) = (whole.header("ETag").unwrap(), whole.header("Last-Modified").unwrap());
    assert_eq!(whole.header("x-amz-version-id"), Some(link.version_id.as_str()));
    for (range, status, span) in [
        ("bytes=0-0", 206, Some((0, 0))),
        ("bytes=10-19", 206, Some((10, 19))),
        ("bytes=250-", 206, Some((250, 255))),
        ("bytes=250-9999", 206, Some((250, 255))),
        ("bytes=-6", 206, Some((250, 255))),
        ("bytes=-9999", 206, Some((0, 255))),
        ("bytes=256-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, Some((0, 255))),
        ("bytes=0-1,4-5", 200, Some((0, 255))),
        ("lines=0-1", 200, Some((0, 255))),
    ] {
        let reply = fetch(&s, &link.url, &format!("Range: {range}\r\n"));
        assert_eq!(reply.status, status, "{range}");
        match span {
            Some((first, last)) => assert_eq!(reply.body, bytes[first..=last], "{range}"),
            None => assert_eq!(reply.header("Content-Range"), Some("bytes */256"), "{range}"),
        }
        if let (206, Some((first, last))) = (status, span) {
            assert_eq!(reply.header("Content-Range").unwrap(), format!("bytes {first}-{last}/256"));
        }
    }
    for (lines, status) in [
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".into(), 412),
        (format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n"), 206),
        (format!("Range: bytes=1-2\r\nIf-Range: W/{etag}\r\n"), 200),
        (format!("Range: bytes=1-2\r\nIf-Range: {modified}\r\n"), 206),
        ("Range: bytes=1-2\r\nIf-Range: \"x\"\r\n".into(), 200),
    ] {
        assert_eq!(fetch(&s, &link.url, &lines).status, status, "{lines}");
    }
    s.replace_object(&link, vec![7; 256], true);
    assert_eq!(fetch(&s, &link.url, &format!("If-Match: {etag}\r\n")).status, 412);
}

proptest! {
    /// Against the words of RFC 9110 section 14.1.2, with sizes small enough to meet every edge.
    #[test]
    fn a_range_names_the_bytes_that_exist(first in 0usize..12, last in 0usize..12, total in 0usize..10) {
        let named: Vec<usize> = (0..total).filter(|i| (first..=last).contains(i)).collect();
        let open: Vec<usize> = (0..total).filter(|i| *i >= first).collect();
        let suffix: Vec<usize> = (0..total).filter(|i| i + last >= total).collect();
        for (header, bytes, valid) in [
            (format!("bytes={first}-{last}"), named, first <= last),
            (format!("bytes={first}-"), open, true),
            (format!("bytes=-{last}"), suffix, true),
        ] {
            let wanted = match bytes.as_slice() {
                _ if !valid => Asked::Nonsense,
                [] => Asked::Beyond,
                [first, .., last] => Asked::Part(*first..last + 1),
                [only] => Asked::Part(*only..only + 1),
            };
            prop_assert_eq!(range(&header, total), wanted, "{} of {}", header, total);
        }
    }
}

#[test]
fn cooldowns_and_the_daily_quota() {
    let s = small();
    s.world().accounts.values_mut().for_each(|a| a.memory_mb = 512); // four a day
    let database = format!("/databases/{}/snapshots", s.database_id());
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 200);
    let user = call(&s, "POST", &database, "");
    assert_eq!((user.status, user.code().as_str()), (429, "KEEP_CALM"));
    assert!(user.json()["message"].as_str().unwrap().ends_with("1r/5s"));
    s.advance(seconds(5));
    assert_eq!(call(&s, "POST", &database, "").status, 200);
    s.advance(seconds(174));
    let resource = call(&s, "POST", &snapshots(&s), "");
    assert!(resource.json()["message"].as_str().unwrap().ends_with("1r/180s"));
    s.advance(seconds(2));
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 200);
    s.advance(seconds(180));
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 200);
    s.advance(seconds(180));
    let daily = call(&s, "POST", &snapshots(&s), "");
    assert_eq!((daily.status, daily.code().as_str()), (429, "DAILY_SNAPSHOTS_LIMIT_REACHED"));
    assert!(daily.json()["message"].as_str().unwrap().ends_with("4r/24h"));
    s.advance(seconds(86_400));
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 200, "a day later");
    let names = call(&s, "GET", &database, "").json();
    assert_eq!(names["response"][0]["name"], format!("{}_postgres", s.database_id()));
}

#[test]
fn a_held_creation_appears_after_polls_or_time() {
    let s = small();
    s.rules(|r| r.creation = Creation::AfterPolls(2));
    let held = call(&s, "POST", &snapshots(&s), "");
    assert_eq!((held.status, held.code().as_str()), (202, "SNAPSHOT_PROCESSING"));
    let shown = || call(&s, "GET", &snapshots(&s), "").json()["response"].as_array().unwrap().len();
    assert_eq!([shown(), shown(), shown()], [0, 0, 1]);
    s.rules(|r| r.creation = Creation::After(seconds(100)));
    s.advance(seconds(181));
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 202);
    assert_eq!(shown(), 1);
    s.advance(seconds(101));
    assert_eq!(shown(), 2);
    s.rules(|r| r.creation = Creation::Fails);
    s.advance(seconds(181));
    let failed = call(&s, "POST", &snapshots(&s), "");
    assert_eq!((failed.status, failed.code().as_str()), (404, "SNAPSHOT_FAILED"));
}

#[test]
fn the_listing_is_cached_for_thirty_minutes() {
    let s = small();
    s.rules(|r| r.creation_refreshes = false);
    let shown = || call(&s, "GET", &snapshots(&s), "").json()["response"].as_array().unwrap().len();
    assert_eq!(shown(), 0);
    assert_eq!(call(&s, "POST", &snapshots(&s), "").status, 200);
    assert_eq!(shown(), 0, "remembered");
    s.advance(seconds(29 * 60));
    assert_eq!(shown(), 0, "remembered");
    s.advance(seconds(61));
    assert_eq!(shown(), 1);
}

#[test]
fn the_account_listing_is_limited_and_paid() {
    let s = Sandbox::builder().small().history(2).rules(|r| r.listing_cache = false).start();
    let list = |scope: &str| call(&s, "GET", &format!("/users/snapshots{scope}"), "");
    let apps = list("").json();
    assert_eq!(apps["response"].as_array().unwrap().len(), 2);
    assert!(apps["response"][0]["name"].as_str().unwrap().ends_with("_javascript_automatic"));
    assert_eq!(list("?scope=databases").json()["response"][1]["runtime"], "postgres");
    assert_eq!((list("?scope=both").status, list("?scope=both").code().as_str()), (400, "INVALID_SCOPE"));
    assert_eq!(list("").status, 200);
    assert_eq!((list("").status, list("").code().as_str()), (429, "RATE_LIMITED"));
    s.advance(seconds(120));
    assert_eq!(list("").status, 429, "blocked for half an hour");
    s.advance(seconds(30 * 60));
    assert_eq!(list("").status, 200);
    let free = Sandbox::builder().small().free_plan().start();
    let refused = call(&free, "GET", "/users/snapshots", "");
    assert_eq!((refused.status, refused.code().as_str()), (402, "UPGRADE_REQUIRED"));
}

#[test]
fn three_spellings_of_a_listing() {
    let s = Sandbox::builder().small().no_limits().rules(|r| r.version_ids = VersionIds::Odd).start();
    let link = s.put_snapshot(NewSnapshot { age: seconds(60), ..NewSnapshot::of(s.app_id()) });
    assert!(link.version_id.contains(['/', '+']));
    let item = || call(&s, "GET", &snapshots(&s), "").json()["response"][0].clone();
    let new = item();
    assert_eq!(new["version_id"], link.version_id);
    assert_eq!(new["origin"], "manual");
    assert_eq!(fetch(&s, new["url"].as_str().unwrap(), "").status, 200, "odd ids are signed and found");
    s.rules(|r| r.listing = ListingForm::Old);
    let old = item();
    assert!(old["version_id"].is_null() && old["url"].is_null() && old["key"].is_string());
    s.rules(|r| r.listing = ListingForm::Seed);
    let seed = item();
    assert!(seed["size"].is_string() && seed["id"] == new["name"]);
    assert!(seed["created_at"].as_str().unwrap() < rfc3339(s.now_ms() - 59_000).as_str());
}

#[test]
fn restores_are_followed_refused_and_fail() {
    let s = Sandbox::builder().small().no_limits().start();
    let link = s.put_snapshot(NewSnapshot::of(s.app_id()));
    let before = s.files(s.app_id());
    let state = || {
        let reply = call(&s, "GET", &format!("{}/restore", snapshots(&s)), "").json();
        reply["response"].clone()
    };
    assert_eq!(state(), json!({"state": "none"}));
    s.rules(|r| r.restoration = Restoration::AfterPolls(3));
    s.write_file(s.app_id(), "index.js", "broken");
    let held = restore(&s, &link.name, &link.version_id);
    assert_eq!((held.status, held.code().as_str()), (202, "SNAPSHOT_RESTORE_PROCESSING"));
    let seen: Vec<_> = (0..4).map(|_| state()["state"].as_str().unwrap().to_string()).collect();
    assert_eq!(seen, ["queued", "running", "running", "success"]);
    assert_eq!(s.files(s.app_id()), before);
    s.advance(seconds(3601));
    assert_eq!(state()["state"], "none", "forgotten after an hour");

    s.rules(|r| r.restoration = Restoration::FailsLater(1, "RESTORE_INTERRUPTED"));
    assert_eq!(restore(&s, &link.name, &link.version_id).status, 202);
    assert_eq!(state()["state"], "queued");
    assert_eq!((state()["state"].as_str(), state()["code"].as_str()), (Some("error"), Some("RESTORE_INTERRUPTED")));

    s.rules(|r| r.restoration = Restoration::Done);
    let corrupt = NewSnapshot { bytes: Some(b"no zip".to_vec()), ..NewSnapshot::of(s.app_id()) };
    let corrupt = s.put_snapshot(corrupt);
    let failed = restore(&s, &corrupt.name, &corrupt.version_id);
    assert_eq!((failed.status, failed.code().as_str()), (404, "SNAPSHOT_RESTORE_FAILED"));
    assert_eq!(state()["code"], "SNAPSHOT_CORRUPT");
    assert_eq!(s.files(s.app_id()), before, "a failed restore changes nothing");

    for (body, status, code) in [
        ("{", 400, "INVALID_JSON_BODY"),
        ("{\"snapshotId\":\"x\"}", 400, "MISSING_PARAMETERS"),
        ("{\"snapshotId\":\"\",\"versionId\":\"v\"}", 400, "INVALID_SNAPSHOT_ID"),
        ("{\"snapshotId\":\"x\",\"versionId\":7}", 400, "INVALID_VERSION_ID"),
        ("{\"snapshotId\":\"x\",\"versionId\":\"v\"}", 404, "SNAPSHOT_NOT_FOUND"),
    ] {
        let reply = call(&s, "POST", &format!("{}/restore", snapshots(&s)), body);
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}");
    }
    s.rules(|r| r.restore_status = false);
    let older = call(&s, "GET", &format!("{}/restore", snapshots(&s)), "");
    assert_eq!((older.status, older.code().as_str()), (404, "ROUTE_NOT_FOUND"));
}

#[test]
fn a_world_of_several_apps() {
    let s = small();
    let added: Vec<String> =
        (0..3).map(|i| s.add_resource(Kind::App, &format!("app-{i}"), s.files(s.app_id()))).collect();
    added.iter().for_each(|id| drop(s.put_snapshot(NewSnapshot::of(id))));
    let list = call(&s, "GET", "/users/snapshots", "").json();
    let names: Vec<&str> = list["response"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert!(names.len() == 3 && added.iter().all(|id| names.iter().any(|n| n.starts_with(id.as_str()))));
}

#[test]
fn the_demo_world_is_whole() {
    let s = Sandbox::start();
    let files = s.files(s.app_id());
    assert!((200..600).contains(&files.len()), "{} files", files.len());
    let total: usize = files.values().map(|f| f.data.len()).sum();
    assert!(total > 1_000_000 && total < 8_000_000, "{total} bytes");
    let reply = call(&s, "POST", &snapshots(&s), "");
    let zip = fetch(&s, reply.json()["response"]["url"].as_str().unwrap(), "");
    assert_eq!(from_zip(&zip.body).unwrap(), files);
}
