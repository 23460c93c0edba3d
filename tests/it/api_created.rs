//! A snapshot that was just created: what one look at the listing adds to it.

use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;
use squarecloud_blocking::{Client, DownloadOptions, Overwrite, SnapshotInfo};
use tempfile::tempdir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::sandbox::{Fault, Kind, ListingForm, NewSnapshot, Port, Route, Sandbox};
use crate::support::{Slept, builder, client};

fn sandbox() -> Sandbox {
    Sandbox::builder().small().no_limits().start()
}

fn keep() -> DownloadOptions<'static> {
    DownloadOptions::new().overwrite(Overwrite::Keep)
}

#[test]
fn it_is_the_listed_one_at_once() {
    let sandbox = sandbox();
    sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(600), ..NewSnapshot::of(sandbox.app_id()) });
    let app = client(&sandbox).app(sandbox.app_id());
    sandbox.clear_requests();
    let created = app.snapshot().unwrap();
    assert_eq!(
        sandbox.requests().iter().map(|r| r.route).collect::<Vec<_>>(),
        [Route::Create(Kind::App), Route::List(Kind::App)]
    );
    let info = created.info().unwrap();
    let latest = app.latest_snapshot().unwrap().unwrap();
    assert_eq!(info, &latest);
    assert_eq!(created.url(), latest.url().unwrap(), "the link that names the version");
    assert_eq!(created.key(), latest.key());
    app.restore(info).unwrap();

    // One snapshot, one name, fetched once.
    let listed = app.open(&latest).unwrap();
    assert_eq!(created.file_name(), listed.file_name());
    let dir = tempdir().unwrap();
    let download = created.download(dir.path()).unwrap();
    sandbox.clear_requests();
    let kept = listed.download_with(dir.path(), &keep()).unwrap();
    assert_eq!((&kept.path, kept.resumed_from), (&download.path, download.bytes));
    assert!(sandbox.requests().iter().all(|r| r.port != Port::Snapshots));
    let modified = std::fs::metadata(&kept.path).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(modified.as_nanos(), latest.created_at.unix_timestamp_nanos().unsigned_abs());
}

#[test]
fn a_database_s_too() {
    let sandbox = sandbox();
    let database = client(&sandbox).database(sandbox.database_id());
    let created = database.snapshot().unwrap();
    assert_eq!(created.info(), database.latest_snapshot().unwrap().as_ref());
    database.restore(created.info().unwrap()).unwrap();
}

#[test]
fn names_say_when_and_which_and_sort_by_time() {
    let sandbox = sandbox();
    let client = client(&sandbox);
    let app = client.app(sandbox.app_id());
    let mut names = Vec::new();
    for _ in 0..3 {
        sandbox.advance(Duration::from_secs(200));
        let created = app.snapshot().unwrap();
        let SnapshotInfo { id, created_at, version_id, .. } = created.info().unwrap();
        let time = created_at.replace_nanosecond(0).unwrap();
        let time = time.format(&Rfc3339).unwrap().replace(['-', ':'], "");
        let version = created.file_name().strip_prefix(&format!("{id}.{time}.")).unwrap().strip_suffix(".zip").unwrap();
        assert_eq!(version.len(), 16, "{version}");
        assert!(version_id.as_ref().unwrap().starts_with(&version[..7]), "{version}");
        names.push(created.file_name().to_owned());
    }
    assert!(names.is_sorted() && names[0] != names[2], "{names:?}");
    let mut listed: Vec<_> = app.all_snapshots().unwrap();
    listed.reverse();
    let listed: Vec<_> = listed.iter().map(|info| client.open(info).unwrap().file_name().to_owned()).collect();
    assert_eq!(listed, names);
}

#[test]
fn a_listing_that_fails_costs_nothing() {
    let faults = [
        Fault::Code(500, "INTERNAL_ERROR", ""),
        Fault::Code(429, "RATE_LIMITED", "30"),
        Fault::Code(403, "ACCESS_DENIED", ""),
        Fault::Truncate(20),
        Fault::NoResponse,
        Fault::Response(serde_json::json!([])),
    ];
    for fault in faults {
        let sandbox = sandbox();
        let slept = Slept::default();
        let app = builder(&sandbox).sleep(slept.sleeper()).build().unwrap().app(sandbox.app_id());
        sandbox.fault(Route::List(Kind::App), fault.clone());
        let created = app.snapshot().unwrap();
        assert_eq!((sandbox.count(Route::List(Kind::App)), slept.total()), (1, Duration::ZERO), "{fault:?}");
        assert!(created.info().is_none(), "{fault:?}");
        let name = created.file_name();
        assert!(name.ends_with("Z.zip") && name.matches('.').count() == 2, "the time of signing: {name}");
        created.download(tempdir().unwrap().path()).unwrap();
    }
}

#[test]
fn another_snapshot_is_never_taken_for_it() {
    type Spoil = fn(&Sandbox);
    fn edit(sandbox: &Sandbox, edit: fn(&mut Value)) {
        sandbox.fault(Route::List(Kind::App), Fault::Edit(edit));
    }
    let spoils: [(&str, Spoil); 7] = [
        ("no clock to go by", |s| drop(s.fault(Route::Create(Kind::App), Fault::RemoveHeader("Date")))),
        ("a listing from a cache", |s| {
            s.rules(|r| (r.listing_cache, r.creation_refreshes) = (true, false));
            client(s).app(s.app_id()).all_snapshots().unwrap();
        }),
        ("another name", |s| edit(s, |envelope| envelope["response"][0]["name"] = "another_manual".into())),
        ("made by the service", |s| edit(s, |envelope| envelope["response"][0]["origin"] = "automatic".into())),
        ("another path", |s| {
            edit(s, |envelope| {
                let url = &mut envelope["response"][0]["url"];
                *url = url.as_str().unwrap().replace("_manual.zip", "_other.zip").into();
            });
        }),
        ("made later", |s| {
            edit(s, |envelope| {
                let modified = &mut envelope["response"][0]["modified"];
                let at = OffsetDateTime::parse(modified.as_str().unwrap(), &Rfc3339).unwrap() + Duration::from_secs(3);
                *modified = at.format(&Rfc3339).unwrap().into();
            });
        }),
        ("two that could be it", |s| {
            edit(s, |envelope| {
                let mut other = envelope["response"][0].clone();
                other["version_id"] = "v2".into();
                envelope["response"].as_array_mut().unwrap().push(other);
            });
        }),
    ];
    for (what, spoil) in spoils {
        let sandbox = sandbox();
        if what.contains("cache") {
            sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(600), ..NewSnapshot::of(sandbox.app_id()) });
        }
        spoil(&sandbox);
        let created = client(&sandbox).app(sandbox.app_id()).snapshot().unwrap();
        assert!(created.info().is_none() && !created.url().expose().contains("versionId"), "{what}");
        created.download(tempdir().unwrap().path()).unwrap();
    }
}

#[test]
fn an_older_listing_adds_what_it_has() {
    let sandbox = sandbox();
    sandbox.rules(|r| r.listing = ListingForm::Old);
    let client: Client = client(&sandbox);
    let app = client.app(sandbox.app_id());
    sandbox.clear_requests();
    let created = app.snapshot().unwrap();
    assert_eq!(sandbox.requests().len(), 2, "the account's id is not needed");
    let info = created.info().unwrap();
    assert!(info.url().is_none() && info.version_id.is_some());
    assert_eq!(created.file_name(), client.open(info).unwrap().file_name());
    assert!(!created.url().expose().contains("versionId"), "the link of the creation's response");
    created.download(tempdir().unwrap().path()).unwrap();
    app.restore(info).unwrap();
}

#[test]
fn a_version_in_the_creation_s_link_must_be_the_listed_one() {
    type Edit = fn(&mut Value);
    let versions: [(Edit, bool); 3] = [
        (|_| {}, false),
        (|envelope| envelope["response"][0]["version_id"] = "new".into(), true),
        (|envelope| envelope["response"][0]["key"] = "k".into(), false),
    ];
    for (edit, is_it) in versions {
        let sandbox = sandbox();
        // The listing's link is left out: it names the true version.
        sandbox.rules(|r| r.listing = ListingForm::Old);
        let name_version = |envelope: &mut Value| {
            let url = &mut envelope["response"]["url"];
            *url = format!("{}&versionId=new", url.as_str().unwrap()).into();
        };
        sandbox.fault(Route::Create(Kind::App), Fault::Edit(name_version));
        sandbox.fault(Route::List(Kind::App), Fault::Edit(edit));
        let created = client(&sandbox).app(sandbox.app_id()).snapshot().unwrap();
        assert_eq!(created.info().is_some(), is_it);
        assert!(created.url().expose().ends_with("versionId=new") && created.file_name().ends_with(".new.zip"));
    }
}

#[test]
fn whole_seconds_in_the_listing_are_enough() {
    for _ in 0..8 {
        let sandbox = sandbox();
        let round = |envelope: &mut Value| {
            let modified = &mut envelope["response"][0]["modified"];
            *modified = format!("{}Z", modified.as_str().unwrap().split('.').next().unwrap()).into();
        };
        sandbox.fault(Route::List(Kind::App), Fault::Edit(round));
        assert!(client(&sandbox).app(sandbox.app_id()).snapshot().unwrap().info().is_some());
    }
}

#[test]
fn a_listing_that_hangs_or_trickles_holds_nothing_up() {
    for fault in [Fault::Delay(Duration::from_secs(9)), Fault::Trickle(1, Duration::from_millis(20))] {
        let sandbox = sandbox();
        sandbox.fault(Route::List(Kind::App), fault.clone());
        let client = builder(&sandbox).total_timeout(Duration::from_millis(200)).build().unwrap();
        let begun = Instant::now();
        assert!(client.snapshot(sandbox.app_id()).unwrap().info().is_none(), "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{fault:?}: {:?}", begun.elapsed());
    }
}
