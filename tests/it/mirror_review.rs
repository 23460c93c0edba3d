//! What reviewers of the mirror found: listings, links and directories that are not as they should be, night after night.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use squarecloud_blocking::time::OffsetDateTime;
use squarecloud_blocking::{Client, Keep, Kind};
use tempfile::TempDir;

use crate::download_origin::{Origin, Reply, archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::{self, Fault, On, Port, Route, Sandbox};
use crate::support::builder;

fn wrong_sizes(listing: &mut serde_json::Value) {
    listing["response"].as_array_mut().unwrap().iter_mut().for_each(|item| item["size"] = 7.into());
}

/// As a copy without the files' times.
fn lose_times(dir: &TempDir) {
    for file in files(dir) {
        let file = fs::File::options().write(true).open(dir.path().join(file)).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
    }
}

/// Every size in a listing is wrong, and the file system keeps no times.
#[test]
fn sizes_that_are_always_wrong_do_not_fetch_and_set_aside_for_ever() {
    let (sandbox, dir) = world(3);
    sandbox.fault(Route::ListAccount, Fault::Edit(wrong_sizes));
    let night = || {
        let report = mirror(&sandbox, &dir).run().unwrap();
        lose_times(&dir);
        (report.fetched.len(), report.damaged.len(), report.is_complete())
    };
    assert_eq!([night(), night(), night(), night()], [(6, 0, true), (6, 6, true), (0, 0, true), (0, 0, true)]);
    assert_eq!(files(&dir).len(), 12);
}

/// Nothing tells that it is the sizes in the listing that are wrong, but the files are all that there is.
#[test]
fn good_files_keep_their_names_while_they_cannot_be_fetched_again() {
    for is_cancelled in [false, true] {
        let (sandbox, dir) = world(3);
        mirror(&sandbox, &dir).run().unwrap();
        lose_times(&dir);
        let good = files(&dir);
        let cut = fs::File::options().write(true).open(dir.path().join(&good[0])).unwrap();
        cut.set_len(100).unwrap();
        sandbox.fault(Route::ListAccount, Fault::Edit(wrong_sizes));
        // Slow enough that the run is told to end while it fetches.
        let slow = is_cancelled.then(|| sandbox.fault(Route::Object, Fault::Trickle(10, Duration::from_millis(10))));
        if slow.is_none() {
            sandbox.pause(Port::Snapshots);
        }
        let result = mirror(&sandbox, &dir).run_with(|progress| {
            if is_cancelled && progress.total > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let mut expected = [vec![format!("{}.damaged", good[0])], good[1..].to_vec()].concat();
        if let Ok(report) = &result {
            assert_eq!(relative(&dir, &report.damaged), expected[..1]);
            assert!(!report.is_complete() && report.fetched.is_empty(), "{report:?}");
        }
        assert_eq!(result.is_err_and(|error| error.is_cancelled()), is_cancelled);
        let mut found = files(&dir);
        found.retain(|path| !path.contains("/."));
        expected.sort();
        assert_eq!(found, expected);
        let newest = mirror(&sandbox, &dir).find(sandbox.database_id(), OffsetDateTime::now_utc()).unwrap();
        assert_eq!(newest, Some(dir.path().join(&good[5])));
        // When the host is back, they are fetched once.
        sandbox.resume(Port::Snapshots);
        if let Some(slow) = slow {
            slow.remove();
        }
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.fetched.len(), report.damaged.len(), report.is_complete()), (6, 5, true), "{report:?}");
    }
}

/// Without a version in the link, the host sends the newest snapshot of the name.
#[test]
fn another_snapshot_is_not_taken_for_the_listed_one() {
    let newest = archive(900, 2);
    let item = |day: u8, size: usize| {
        let (modified, version) = (format!("2026-11-{day}T10:00:00.000Z"), format!("v{day}"));
        json!({"name": "app_js_manual", "size": size, "modified": modified, "version_id": version, "key": "Signature=s"})
    };
    let items = [item(20, archive(400, 1).len()), item(21, newest.len())];
    let listing = json!({"status": "success", "response": items}).to_string();
    let sent = newest.clone();
    let origin = Origin::<false>::start(move |asked| {
        let is_asked = |word| asked.line.contains(word);
        match (is_asked("/users/snapshots"), is_asked("/users/me")) {
            (true, _) => Reply::plain(200, &listing),
            (_, true) => Reply::plain(200, r#"{"status":"success","response":{"user":{"id":"1"}}}"#),
            _ => Reply::right(&sent, Some("\"newest\""), asked),
        }
    });
    let host = origin.url().split('/').take(3).collect::<Vec<_>>().join("/");
    let client = Client::builder("key").base_url(format!("{host}/v2")).snapshot_host(host).build().unwrap();
    let dir = quick_dir();
    let report = client.mirror(dir.path()).kind(Kind::App).run().unwrap();
    assert_eq!((report.fetched.len(), report.failed.len()), (1, 1), "{report:?}");
    assert_eq!(fs::read(&report.fetched[0]).unwrap(), newest);
    assert_eq!(files(&dir).len(), 1);
}

#[test]
fn an_empty_listing_of_one_app_prunes_nothing_of_it() {
    let sandbox = Sandbox::builder().small().no_limits().free_plan().history(5).start();
    let other = sandbox.add_resource(sandbox::Kind::App, "other", sandbox.files(sandbox.app_id()));
    put(&sandbox, &other, 1);
    let dir = quick_dir();
    mirror(&sandbox, &dir).run().unwrap();
    let route = format!("/apps/{}/snapshots", sandbox.app_id());
    sandbox.fault(On::path("GET", route.leak()), Fault::Response(json!([])));
    let report = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::last(1)).run().unwrap();
    assert!(report.pruned.is_empty() && report.kept == 6, "{report:?}");
}

#[cfg(unix)]
#[test]
fn a_link_to_itself_is_not_a_directory_of_ours() {
    let (sandbox, dir) = world(2);
    mirror(&sandbox, &dir).run().unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("apps/loop")).unwrap();
    assert_eq!(mirror(&sandbox, &dir).run().unwrap().kept, 4);
}

/// On a disk with room for one, what was begun of yesterday's would keep out today's.
#[test]
fn what_was_begun_of_a_snapshot_that_is_not_needed_any_more_goes() {
    let (sandbox, dir) = world(2);
    let plan = mirror(&sandbox, &dir).keep(Keep::last(1)).plan().unwrap();
    let begun = plan.unneeded[0]
        .path
        .with_file_name(format!(".{}.part", plan.unneeded[0].path.file_name().unwrap().to_str().unwrap()));
    fs::create_dir_all(begun.parent().unwrap()).unwrap();
    fs::write(&begun, "PK").unwrap();
    sandbox.fault(On::Snapshots, Fault::xml(404, "NoSuchKey")).times(2);
    mirror(&sandbox, &dir).keep(Keep::last(1)).run().unwrap();
    assert!(!begun.exists());
}

#[test]
fn an_app_that_cannot_be_decoded_gets_no_new_snapshot_and_that_is_said() {
    let (sandbox, dir) = world(1);
    let odd: fn(&mut serde_json::Value) = |account| {
        account["response"]["applications"].as_array_mut().unwrap().push(json!({"name": "no id"}));
    };
    sandbox.fault(Route::Me, Fault::Edit(odd));
    let report = mirror(&sandbox, &dir).take_new(true).run().unwrap();
    assert!(!report.is_complete() && report.skipped.len() == 1, "{report:?}");
}

/// One odd item must not keep away an app that is listed by itself.
#[test]
fn a_named_app_is_listed_by_itself_beside_an_odd_item() {
    let (sandbox, dir) = world(1);
    let (id, key) = sandbox.share(sandbox.app_id());
    let odd: fn(&mut serde_json::Value) = |listing| {
        let good = json!({"name": "other", "size": 1, "modified": "2026-11-20T10:00:00Z", "key": "k"});
        listing["response"].as_array_mut().unwrap().extend([json!({"name": "x", "size": "big"}), good]);
    };
    sandbox.fault(Route::ListAccount, Fault::Edit(odd));
    let report = with_key(&sandbox, &key).mirror(dir.path()).only([id]).run().unwrap();
    assert_eq!((report.fetched.len(), report.is_complete()), (1, false), "{report:?}");
}

#[test]
fn databases_are_listed_no_faster_after_many_apps() {
    let sandbox = Arc::new(Sandbox::builder().small().free_plan().rules(|rules| rules.budget = Some(30)).start());
    for number in 1..20 {
        sandbox.add_resource(sandbox::Kind::App, &format!("app-{number}"), sandbox.files(sandbox.app_id()));
    }
    for number in 1..15 {
        let files = sandbox.files(sandbox.app_id());
        sandbox.add_resource(sandbox::Kind::Database, &format!("database-{number}"), files);
    }
    let client = builder(&sandbox).sleep(passing(&sandbox)).build().unwrap();
    let report = client.mirror(quick_dir().path()).run().unwrap();
    assert!(report.is_complete() && !is_too_fast(&sandbox), "{report:?}");
    assert_eq!(asked(&sandbox).0, 2 + 20 + 15);
}

#[test]
fn many_named_apps_without_snapshots_are_listed_no_faster_than_the_key_may_call() {
    let sandbox = Arc::new(Sandbox::builder().small().rules(|rules| rules.budget = Some(30)).start());
    let named = |number| {
        let kind = if number < 20 { sandbox::Kind::App } else { sandbox::Kind::Database };
        sandbox.add_resource(kind, &format!("named-{number}"), sandbox.files(sandbox.app_id()))
    };
    let (ids, dir): (Vec<String>, _) = ((0..30).map(named).collect(), quick_dir());
    let client = builder(&sandbox).sleep(passing(&sandbox)).build().unwrap();
    let report = client.mirror(dir.path()).only(&ids).run().unwrap();
    assert!(report.is_complete() && !is_too_fast(&sandbox), "{report:?}");
    // One that is a database is no app.
    assert_eq!(asked(&sandbox).0, 2 + 20 + 2 * 10);
    // A bad key is not shown again.
    put(&sandbox, sandbox.app_id(), 1);
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::Code(401, "ACCESS_DENIED", "")).after(2);
    let report = client.mirror(dir.path()).only(&ids).run().unwrap();
    assert_eq!((report.not_listed.len(), asked(&sandbox).0), (1, 2 + 3), "{report:?}");
}

/// The listing is late and does not show the new one, and meanwhile the service made one on its own schedule.
#[test]
fn an_automatic_snapshot_is_not_taken_for_the_new_one() {
    let rules = |rules: &mut sandbox::Rules| (rules.creation_refreshes, rules.date_header) = (false, false);
    let (sandbox, dir) = (Sandbox::builder().small().free_plan().rules(rules).start(), quick_dir());
    put(&sandbox, sandbox.app_id(), 1);
    let made_now: fn(&mut serde_json::Value) = |listing| {
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1000;
        let item = &mut listing["response"][0];
        (item["modified"], item["origin"]) = (sandbox::rfc3339(now).into(), "automatic".into());
    };
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::Edit(made_now)).after(1);
    let report = mirror(&sandbox, &dir).kind(Kind::App).take_new(true).run().unwrap();
    assert!(report.not_taken.len() == 1 && report.not_taken[0].1.is_pending(), "{report:?}");
}
