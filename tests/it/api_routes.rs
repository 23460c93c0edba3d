//! Every call against the sandbox: what it gives, and what it sent.

use std::time::Duration;

use squarecloud_blocking::{Client, Error, ErrorCode, Kind, Origin, RestoreState, SnapshotInfo};

use crate::sandbox::{Fault, ListingForm, NewSnapshot, Port, Route, Sandbox, VersionIds};
use crate::support::{builder, client};

/// Method and target of every request the API got.
fn sent(sandbox: &Sandbox) -> Vec<String> {
    let api = sandbox.requests().into_iter().filter(|r| r.port == Port::Api);
    api.map(|r| {
        if r.query.is_empty() {
            format!("{} {}", r.method, r.path)
        } else {
            format!("{} {}?{}", r.method, r.path, r.query)
        }
    })
    .collect()
}

#[test]
fn every_read_gives_what_the_service_says() {
    let sandbox = Sandbox::builder().no_limits().start();
    let client = client(&sandbox);
    let (app, database) = (sandbox.app_id().to_owned(), sandbox.database_id().to_owned());

    let account = client.account().unwrap();
    assert!(account.applications.iter().any(|a| a.id == app && a.ram > 0 && !a.lang.is_empty()));
    assert!(account.databases.iter().any(|d| d.id == database && !d.engine.is_empty()));
    assert_eq!(account.daily_snapshot_quota(), account.user.plan.memory.limit / 256 * 2);
    assert!(account.skipped.is_empty());

    assert!(client.service_status().unwrap().is_online());
    assert_eq!(client.app(&app).info().unwrap().id, app);
    assert!(client.database(&database).info().unwrap().port > 0);
    assert!(client.app(&app).status().unwrap().running);
    assert!(client.database(&database).raw_status().unwrap().cpu.is_some());
    assert!(client.all_app_status(None).unwrap().statuses.iter().any(|s| s.id == app));
    assert!(client.all_database_status().unwrap().statuses.iter().any(|s| s.id == database));

    let v2 = |path: &str| format!("GET /v2{path}");
    assert_eq!(
        sent(&sandbox),
        [
            v2("/users/me"),
            v2("/service/status"),
            v2(&format!("/apps/{app}")),
            v2(&format!("/databases/{database}")),
            v2(&format!("/apps/{app}/status")),
            v2(&format!("/databases/{database}/status?rawData=true")),
            v2("/apps/status"),
            v2("/databases/status"),
        ]
    );
    assert!(sandbox.remarks().is_empty(), "{:?}", sandbox.remarks());
}

#[test]
fn actions_work_and_their_refusals_keep_the_code() {
    let sandbox = Sandbox::builder().no_limits().start();
    let app = client(&sandbox).app(sandbox.app_id());
    assert_eq!(app.restart().unwrap().status, "success");
    assert_eq!(app.stop().unwrap().status, "success");
    let refused = app.stop().unwrap_err();
    assert!(refused.code().is_some_and(|code| code == "CONTAINER_ALREADY_STOPPED"), "{refused}");
    assert_eq!(refused.status(), Some(409));
    assert_eq!(app.start().unwrap().status, "success");
    let database = client(&sandbox).database(sandbox.database_id());
    database.stop().unwrap();
    database.start().unwrap();
    assert!(sandbox.remarks().is_empty(), "{:?}", sandbox.remarks());
}

#[test]
fn listings_of_every_generation_decode_and_open() {
    for form in [ListingForm::New, ListingForm::Old, ListingForm::Seed] {
        for ids in [VersionIds::Uuid, VersionIds::Odd] {
            let sandbox =
                Sandbox::builder().small().no_limits().rules(|r| (r.listing, r.version_ids) = (form, ids)).start();
            let app = sandbox.app_id().to_owned();
            let newest = sandbox.put_snapshot(NewSnapshot::of(&app));
            sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(86_400), ..NewSnapshot::of(&app) });
            sandbox.put_snapshot(NewSnapshot {
                origin: None,
                age: Duration::from_secs(9_000),
                ..NewSnapshot::of(&app)
            });

            let client = client(&sandbox);
            let listed = client.all_app_snapshots(&app).unwrap();
            assert!(listed.len() >= 3, "{form:?}");
            assert!(listed.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
            assert!(listed.iter().all(|info| info.resource_id() == app && info.kind == Kind::App));
            assert_eq!(listed[0].version_id.as_deref(), Some(newest.version_id.as_str()), "{form:?}");
            if matches!(form, ListingForm::New) {
                assert_eq!(listed[0].origin, Some(Origin::Manual));
            }
            let latest = client.app(&app).latest_snapshot().unwrap().unwrap();
            // Each listing is signed anew, so the keys may differ.
            let which = |info: &SnapshotInfo| (info.id.clone(), info.created_at, info.version_id.clone());
            assert_eq!(which(&latest), which(&listed[0]));
            let snapshot = client.open(&latest).unwrap();
            assert_eq!(snapshot.url().expose().split('?').next(), newest.url.split('?').next());
            assert_eq!(snapshot.key(), latest.key());
            let again = client.open(&listed[1]).unwrap();
            assert_ne!(again.file_name(), snapshot.file_name());
            // The owner is asked for once, and only when the listing gave no link.
            let owners = sent(&sandbox).iter().filter(|line| line.ends_with("/users/me")).count();
            assert_eq!(owners, usize::from(!matches!(form, ListingForm::New)), "{form:?}");
        }
    }
}

#[test]
fn the_accounts_listing_is_asked_by_scope() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    sandbox.put_snapshot(NewSnapshot::of(sandbox.database_id()));
    let client = client(&sandbox);
    for kind in [Kind::App, Kind::Database] {
        let listed = client.all_snapshots(kind).unwrap();
        assert!(!listed.is_empty() && listed.iter().all(|info| info.kind == kind));
    }
    assert_eq!(
        sent(&sandbox),
        ["GET /v2/users/snapshots?scope=applications", "GET /v2/users/snapshots?scope=databases"]
    );

    let free = Sandbox::builder().small().free_plan().start();
    let error = crate::support::client(&free).all_snapshots(Kind::App).unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::UPGRADE_REQUIRED));
}

#[test]
fn a_shared_app_is_reached_by_its_composite_id() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let (composite, key) = sandbox.share(sandbox.app_id());
    let client = Client::builder(key).base_url(sandbox.base_url()).build().unwrap();
    let app = client.app(&composite);
    let snapshot = app.snapshot().unwrap();
    assert!(snapshot.url().to_string().contains(sandbox.app_id()));
    let latest = app.latest_snapshot().unwrap().unwrap();
    assert_eq!(latest.resource_id(), sandbox.app_id(), "names hold the app id only");
    app.restore(&latest).unwrap();
    assert!(sent(&sandbox).iter().all(|line| line.contains(&composite)));
}

#[test]
fn a_restore_brings_the_files_back_and_sends_the_name_verbatim() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let app = client(&sandbox).app(sandbox.app_id());
    let before = sandbox.files(app.id());
    app.snapshot().unwrap();
    sandbox.write_file(app.id(), "src/broken.js", "oops");
    assert_ne!(sandbox.files(app.id()).len(), before.len());

    let info = app.latest_snapshot().unwrap().unwrap();
    assert_eq!(app.restore(&info).unwrap().status, "success");
    assert_eq!(sandbox.files(app.id()).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(app.restore_status().unwrap().state, RestoreState::Success);

    let request = sandbox.requests().into_iter().find(|r| r.method == "POST" && r.path.ends_with("/restore")).unwrap();
    let body = format!(r#"{{"snapshotId":"{}","versionId":"{}"}}"#, info.id, info.version_id.as_deref().unwrap());
    assert_eq!(String::from_utf8_lossy(&request.body), body);

    let error = app.restore(&{
        let mut other = info.clone();
        other.kind = Kind::Database;
        other
    });
    assert!(error.unwrap_err().to_string().contains("kind database"));
}

#[test]
fn the_restore_by_names_needs_no_listing() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.database_id()));
    let client = client(&sandbox);
    let response =
        client.restore_snapshot("database".parse().unwrap(), sandbox.database_id(), &link.name, &link.version_id);
    assert_eq!(response.unwrap().status, "success");
    let missing = client.restore_snapshot(Kind::Database, sandbox.database_id(), &link.name, "no-such-version");
    assert!(missing.unwrap_err().is_not_found());
}

#[test]
fn bad_input_is_refused_before_anything_is_sent() {
    let sandbox = Sandbox::builder().small().start();
    let client = client(&sandbox);
    for id in ["", ".", "..", "a\nb"] {
        assert!(client.app(id).snapshot().is_err());
        assert!(client.app(id).info().is_err());
        assert!(client.all_database_snapshots(id).is_err());
        assert!(client.restore_snapshot(Kind::App, id, "s", "v").is_err());
    }
    assert!(client.restore_snapshot(Kind::App, "a", "", "v").is_err());
    assert!(client.restore_snapshot(Kind::App, "a", "s", "").is_err());
    for key in ["", "  ", "a\r\nX-Evil: 1", "é", " padded "] {
        assert!(Client::new(key).is_err(), "{key:?}");
    }
    for url in [
        "",
        "api.squarecloud.app",
        "ftp://x",
        "http://api.squarecloud.app/v2",
        "https://",
        "https://u:p@h/v2",
        "https://h/v2?x",
        "https://h:99999/v2",
    ] {
        assert!(Client::builder("key").base_url(url).build().is_err(), "{url:?}");
    }
    for url in ["http://127.0.0.1:1/v2", "http://localhost:1", "http://[::1]:1/v2/"] {
        assert!(Client::builder("key").base_url(url).build().is_ok(), "{url:?}");
    }
    for link in ["", "x", "http://example.com/a.zip?k", "https://h", "https://h/a.zip?a b", "file:///etc/passwd"] {
        assert!(client.open_url(link).is_err(), "{link:?}");
    }
    assert!(Client::builder("key").user_agent("a\nb").build().is_err());
    assert!(Client::builder("key").proxy("::").build().is_err());
    for scheme in ["socks4", "socks5"] {
        assert!(Client::builder("key").proxy(format!("{scheme}://127.0.0.1:1")).build().is_err());
    }
    assert!(Client::builder("key").timeout(Duration::ZERO).build().is_err());
    assert!("server".parse::<Kind>().is_err());
    assert!(sandbox.requests().is_empty());
}

#[test]
fn a_wrong_key_is_unauthorized_and_not_tried_again() {
    let sandbox = Sandbox::builder().small().start();
    let client = Client::builder("841905532178461902-wrong").base_url(sandbox.base_url()).build().unwrap();
    let error = client.account().unwrap_err();
    assert!(error.is_unauthorized() && !error.is_retryable(), "{error}");
    assert_eq!(sent(&sandbox).len(), 1);
}

#[test]
fn many_threads_share_one_client_and_its_connections() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let client = builder(&sandbox).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let app = client.app(sandbox.app_id());
            scope.spawn(move || (0..25).for_each(|_| assert!(app.status().unwrap().running)));
        }
    });
    assert_eq!(sent(&sandbox).len(), 200);
    assert!(sandbox.connections(Port::Api) <= 60, "{} connections", sandbox.connections(Port::Api));

    let before = sandbox.connections(Port::Api);
    (0..20).for_each(|_| assert!(client.account().is_ok()));
    assert!(sandbox.connections(Port::Api) <= before + 1, "one thread needs one connection");
}

#[test]
fn a_listing_that_cannot_be_read_is_an_error_and_a_half_readable_one_says_what_is_missing() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    for _ in 0..2 {
        sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    }
    let client = client(&sandbox);
    let app = client.app(sandbox.app_id());
    let listings = || [app.listing(), client.listing(Kind::App)];
    let spoil = |edit: fn(&mut serde_json::Value)| {
        for route in [Route::List(crate::sandbox::Kind::App), Route::ListAccount] {
            sandbox.fault(route, Fault::Edit(edit)).times(1);
        }
    };
    spoil(|envelope| {
        for item in envelope["response"].as_array_mut().unwrap() {
            item["modified"] = "soon".into();
        }
    });
    for listing in listings() {
        let error = listing.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }), "{error:?}");
        assert!(error.to_string().contains("none of 2 items can be decoded; item 0"), "{error}");
        assert!(error.to_string().contains("no `modified` time"), "{error}");
    }
    spoil(|envelope| envelope["response"][0]["size"] = "huge".into());
    for listing in listings() {
        let listing = listing.unwrap();
        assert_eq!((listing.snapshots.len(), listing.skipped.len(), listing.skipped[0].index), (1, 1, 0));
    }
}

#[test]
fn an_error_says_what_is_probably_wrong() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let client = client(&sandbox);
    let text = |error: Error| error.to_string();
    let app = text(client.app(sandbox.database_id()).info().unwrap_err());
    assert!(app.contains("APP_NOT_FOUND") && app.contains("`Client::account` lists the apps"), "{app}");
    assert!(app.ends_with("a database needs `Client::database`"), "{app}");
    let database = text(client.database(sandbox.app_id()).snapshot().unwrap_err());
    assert!(database.ends_with("an app needs `Client::app`"), "{database}");

    for id in ["YOUR_APP_ID", "app-id", "<app id>", "0123456789abcdef0123456789abcdef"] {
        assert!(text(client.app(id).info().unwrap_err()).contains("`Client::account` lists"), "{id}");
        sandbox.fault(Route::Info(crate::sandbox::Kind::App), Fault::Code(400, "INVALID_ID", "")).times(1);
        assert!(text(client.app(id).info().unwrap_err()).contains("`Client::account` lists"), "{id}");
    }
    let odd = client.app("c0ffee").info().unwrap_err();
    assert!(odd.is_not_found());

    let advice = "; the base URL should probably end in `/v2`";
    let base = sandbox.base_url().trim_end_matches("/v2").to_owned();
    let wrong = builder(&sandbox).base_url(base).build().unwrap();
    for error in [wrong.account().unwrap_err(), wrong.app("a").restore_status().unwrap_err()] {
        assert_eq!(error.code(), Some(&ErrorCode::ROUTE_NOT_FOUND));
        assert!(text(error).ends_with(advice));
    }
    for fault in [Fault::html(404), Fault::Answer(404, "application/json", b"{\"message\":\"no\"}".to_vec())] {
        sandbox.fault(Route::Unknown, fault.clone()).times(1);
        sandbox.fault(Route::Me, fault).times(1);
        assert!(text(wrong.account().unwrap_err()).contains(advice));
        assert!(!text(client.account().unwrap_err()).contains("base URL"));
    }
}

#[cfg(feature = "zip")]
#[test]
fn an_error_of_a_remote_archive_names_the_link_without_its_query() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let snapshot = client(&sandbox).snapshot(sandbox.app_id()).unwrap();
    let error = snapshot.archive().unwrap().read("nope").unwrap_err();
    let (link, query) = snapshot.url().expose().split_once('?').unwrap();
    assert!(error.to_string().starts_with(&format!("{link} has no entry \"nope\"")), "{error}");
    assert!(!format!("{error:?} {error:#} {:?}", snapshot.archive().unwrap()).contains(query));
}
