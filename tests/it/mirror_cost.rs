//! What a mirror costs: the requests of a run, also where listings are refused, limited or fail.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use squarecloud_blocking::{Client, Keep, Kind, Limit};

use crate::download_origin::quick_dir;
use crate::mirror_support::*;
use crate::sandbox::{self, End, Fault, NewSnapshot, On, Route, Sandbox};
use crate::support::builder;

const APPS: Route = Route::List(sandbox::Kind::App);

#[test]
fn a_run_costs_a_listing_of_each_kind_and_a_request_for_each_new_snapshot() {
    let (sandbox, dir) = world(5);
    let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
    asked(&sandbox);
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!(asked(&sandbox), (2, 10));
    assert_eq!(report.bytes, wanted.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert_eq!((relative(&dir, &report.fetched), report.kept), (paths(&wanted), 0));
    assert!(report.is_complete());

    let again = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((asked(&sandbox), again.bytes, again.kept, again.fetched.len()), ((2, 0), 0, 10, 0));
    put(&sandbox, sandbox.app_id(), 0);
    let plan = mirror(&sandbox, &dir).plan().unwrap();
    assert_eq!((asked(&sandbox), plan.fetch.len(), plan.keep.len()), ((2, 0), 1, 10));
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((asked(&sandbox), report.kept, report.fetched.len()), ((2, 1), 10, 1));
}

#[test]
fn what_is_not_chosen_is_neither_asked_for_nor_fetched() {
    let (sandbox, _) = world(2);
    let other = sandbox.add_resource(sandbox::Kind::App, "other", sandbox.files(sandbox.app_id()));
    put(&sandbox, &other, 1);
    let (app, database) = (sandbox.app_id(), sandbox.database_id());
    let run = |change: &dyn Fn(squarecloud_blocking::Mirror) -> squarecloud_blocking::Mirror| {
        let dir = quick_dir();
        let report = change(mirror(&sandbox, &dir)).run().unwrap();
        assert!(report.is_complete());
        let scopes: Vec<String> = sandbox.requests().into_iter().map(|request| request.query).collect();
        let folders: BTreeSet<String> = files(&dir).iter().map(|f| f.rsplit_once('/').unwrap().0.to_owned()).collect();
        (scopes[0].clone(), asked(&sandbox), folders.into_iter().collect::<Vec<_>>())
    };
    let (apps, databases) = ("scope=applications".to_owned(), "scope=databases".to_owned());
    let [app_dir, other_dir] = [app, &other].map(|id| format!("apps/{id}"));
    let database_dir = format!("databases/{database}");
    let mut both = vec![app_dir.clone(), other_dir.clone()];
    both.sort();
    assert_eq!(run(&|m| m.kind(Kind::App)), (apps.clone(), (1, 3), both));
    assert_eq!(run(&|m| m.kind(Kind::Database)), (databases, (1, 2), vec![database_dir.clone()]));
    assert_eq!(run(&|m| m.only([app])), (apps.clone(), (2, 2), vec![app_dir.clone()]));
    assert_eq!(run(&|m| m.only([app, database])), (apps.clone(), (2, 4), vec![app_dir, database_dir.clone()]));
    assert_eq!(run(&|m| m.kind(Kind::App).only([&other])), (apps.clone(), (1, 1), vec![other_dir.clone()]));
    let manual = Some(squarecloud_blocking::Origin::Manual);
    let by_origin = manual.clone();
    assert_eq!(
        run(&|m| {
            let manual = by_origin.clone();
            m.filter(move |info| info.origin == manual)
        }),
        (apps.clone(), (2, 1), vec![other_dir])
    );
    assert_eq!(run(&|m| m.filter(|info| info.kind == Kind::Database)), (apps, (2, 2), vec![database_dir]));
}

#[test]
fn where_the_account_has_no_listing_each_app_and_database_is_listed_once() {
    let sandbox = Sandbox::builder().small().no_limits().free_plan().history(2).start();
    let other = sandbox.add_resource(sandbox::Kind::App, "other", sandbox.files(sandbox.app_id()));
    put(&sandbox, &other, 1);
    let (app, ids) = (sandbox.app_id(), [sandbox.app_id(), &other, sandbox.database_id()]);
    let cost = |mirror: squarecloud_blocking::Mirror| {
        sandbox.clear_requests();
        let report = mirror.run().unwrap();
        assert!(report.is_complete(), "{report:?}");
        let listings = sandbox.requests().iter().filter(|request| request.path.ends_with("/snapshots")).count();
        let refused = sandbox.count(Route::ListAccount);
        (refused, sandbox.count(Route::Me), listings - refused, asked(&sandbox))
    };
    let dir = quick_dir();
    assert_eq!(cost(mirror(&sandbox, &dir)), (1, 1, 3, (5, 5)));
    assert_eq!(cost(mirror(&sandbox, &dir)), (1, 1, 3, (5, 0)));
    assert_eq!(cost(mirror(&sandbox, &dir).kind(Kind::Database)), (1, 1, 1, (3, 0)));
    assert_eq!(cost(mirror(&sandbox, &dir).only(ids)), (1, 1, 3, (5, 0)));
    assert_eq!(cost(mirror(&sandbox, &dir).only([app])), (1, 1, 1, (3, 0)));
    assert_eq!(files(&dir).len(), 5);
}

#[test]
fn an_app_shared_through_a_workspace_is_mirrored_where_it_is_listed() {
    let (sandbox, _) = world(3);
    let app = sandbox.app_id().to_owned();
    let (composite, key) = sandbox.share(&app);
    let client = with_key(&sandbox, &key);
    let wanted = paths(&listed(&sandbox, Kind::App));
    // The account's listing shows only its own.
    let dir = quick_dir();
    asked(&sandbox);
    let report = client.mirror(dir.path()).only([&composite]).run().unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((asked(&sandbox), files(&dir)), ((3, 3), wanted.clone()));
    let again = client.mirror(dir.path()).only([&composite]).run().unwrap();
    assert_eq!((asked(&sandbox), again.kept), ((3, 0), 3));
    // On the free plan the account shows it.
    sandbox.world().accounts.values_mut().for_each(|account| account.plan = "free".into());
    for only in [None, Some(&composite)] {
        let dir = quick_dir();
        let mirror = client.mirror(dir.path());
        let report = only.map_or(mirror.clone(), |id| mirror.only([id])).run().unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((asked(&sandbox), files(&dir)), ((3, 3), wanted.clone()));
    }
    // Its owner may use either id.
    for id in [&app, &composite] {
        let dir = quick_dir();
        assert!(mirror(&sandbox, &dir).only([id]).run().unwrap().is_complete());
        assert_eq!(files(&dir), wanted);
    }
}

#[test]
fn an_id_that_is_not_found_is_reported_once_and_the_others_are_mirrored() {
    let (sandbox, dir) = world(2);
    let report = mirror(&sandbox, &dir).only(["nobody", sandbox.app_id()]).run().unwrap();
    assert_eq!(asked(&sandbox), (4, 2));
    assert_eq!(not_listed(&report), ["database nobody: DATABASE_NOT_FOUND"]);
    assert!(!report.is_complete() && report.fetched.len() == 2);
    assert_eq!(mirror(&sandbox, &dir).kind(Kind::App).only(["nobody"]).run().unwrap().not_listed[0].0, "app nobody");
    // Ids that cannot be ids lead nowhere else.
    for id in ["", "..", "a\nb"] {
        sandbox.clear_requests();
        let report = mirror(&sandbox, &dir).only([id]).run().unwrap();
        assert!(!report.is_complete() && asked(&sandbox) == (2, 0), "{id:?}: {report:?}");
    }
}

#[test]
fn a_key_for_single_resources_mirrors_those() {
    let (sandbox, dir) = world(2);
    let (app, database) = (sandbox.app_id(), sandbox.database_id());
    let before = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!(before.fetched.len(), 4);
    put(&sandbox, app, 0);
    put(&sandbox, database, 0);
    let client = with_key(&sandbox, &sandbox.limited_key(&["snapshots:read"], &[app]));
    let report = client.mirror(dir.path()).keep(Keep::last(1)).run().unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.fetched.len(), report.kept, report.pruned.len()), (1, 2, 2), "{report:?}");
    assert!(relative(&dir, &report.pruned).iter().all(|path| path.starts_with("apps/")), "{report:?}");
    let report = client.mirror(dir.path()).only([app, database]).run().unwrap();
    assert_eq!(not_listed(&report), [format!("database {database}: RESOURCE_NOT_ALLOWED")]);
}

/// What may happen to a listing, and how it is reported.
fn listing_faults() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::rate_limited(), "RATE_LIMITED"),
        (Fault::Code(500, "INTERNAL_SERVER_ERROR", ""), "INTERNAL_SERVER_ERROR"),
        (Fault::html(502), "Some(502)"),
        (Fault::BeforeAnswer(End::Stall), "timeout"),
        (Fault::Code(403, "MISSING_SCOPE", ""), "MISSING_SCOPE"),
        (Fault::null(), "Some(200)"),
        (Fault::Response(serde_json::json!([{"name": "", "size": 1}])), "Some(200)"),
    ]
}

/// A client that waits for a listing no longer than it must.
fn soon(sandbox: &Sandbox, said: &str) -> Client {
    let limit = if said == "timeout" { 1000 } else { 30_000 };
    hasty(sandbox).retries(0).total_timeout(Duration::from_millis(limit)).build().unwrap()
}

#[test]
fn what_cannot_be_listed_is_not_pruned_and_the_other_kind_is_mirrored() {
    for kind in [Kind::App, Kind::Database] {
        for (fault, said) in listing_faults() {
            let (sandbox, dir) = world(3);
            assert_eq!(mirror(&sandbox, &dir).run().unwrap().fetched.len(), 6);
            put(&sandbox, sandbox.app_id(), 0);
            put(&sandbox, sandbox.database_id(), 0);
            spoil_listing(&sandbox, kind, fault);
            let report = soon(&sandbox, said).mirror(dir.path()).keep(Keep::last(1)).run().unwrap();
            let (failed, other) = if kind == Kind::App { ("apps", "databases/") } else { ("databases", "apps/") };
            assert_eq!(not_listed(&report), [format!("{failed}: {said}")]);
            assert!(!report.is_complete() && report.errors().count() == 1);
            assert_eq!((report.fetched.len(), report.pruned.len(), report.kept), (1, 3, 3), "{failed}, {said}");
            let done = [report.fetched, report.pruned].concat();
            assert!(relative(&dir, &done).iter().all(|path| path.starts_with(other)), "{done:?}");
        }
    }
}

#[test]
fn when_nothing_can_be_listed_the_run_fails_and_touches_nothing() {
    for (fault, said) in listing_faults() {
        let (sandbox, dir) = world(2);
        mirror(&sandbox, &dir).run().unwrap();
        let before = tree(dir.path());
        sandbox.fault(Route::ListAccount, fault);
        let client = soon(&sandbox, said);
        let error = client.mirror(dir.path()).keep(Keep::last(1)).run().unwrap_err();
        assert_eq!(short(&error), said, "{error}");
        assert!(client.mirror(dir.path()).plan().is_err());
        assert_eq!(tree(dir.path()), before);
    }
}

/// A world on the free plan with so many apps, each of which has one snapshot, and a budget of 30 calls in 60 s.
fn many(apps: usize) -> Arc<Sandbox> {
    let rules = |rules: &mut sandbox::Rules| rules.budget = Some(30);
    let sandbox = Sandbox::builder().small().free_plan().rules(rules).start();
    for number in 1..apps {
        let id = sandbox.add_resource(sandbox::Kind::App, &format!("app-{number}"), sandbox.files(sandbox.app_id()));
        sandbox.put_snapshot(NewSnapshot { age: DAY, ..NewSnapshot::of(&id) });
    }
    Arc::new(sandbox)
}

#[test]
fn many_apps_are_listed_no_faster_than_the_key_may_call() {
    let (sandbox, dir) = (many(44), quick_dir());
    let client = builder(&sandbox).sleep(passing(&sandbox)).build().unwrap();
    let report = client.mirror(dir.path()).run().unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.fetched.len(), sandbox.count(APPS)), (43, 44));
    assert!(!is_too_fast(&sandbox));
    // It is not slower than it has to be.
    let requests = sandbox.requests();
    let times: Vec<i64> = requests.iter().filter(|r| r.port == sandbox::Port::Api).map(|r| r.at_ms).collect();
    assert!(times[times.len() - 1] - times[0] < 150_000, "{times:?}");
}

#[test]
fn a_thousand_files_cost_two_requests() {
    let (sandbox, dir) = (Sandbox::builder().small().no_limits().start(), quick_dir());
    for number in 0..1000 {
        let age = Duration::from_secs(number * 600);
        sandbox.put_snapshot(NewSnapshot { age, ..NewSnapshot::of(sandbox.app_id()) });
    }
    for (path, bytes) in listed(&sandbox, Kind::App) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    asked(&sandbox);
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((asked(&sandbox), report.kept, report.bytes), ((2, 0), 1000, 0));
    assert!(report.is_complete());
}

#[test]
fn the_error_of_the_listing_is_not_hidden_by_a_search_for_the_id_elsewhere() {
    let (sandbox, dir) = (Sandbox::builder().small().no_limits().start(), quick_dir());
    put(&sandbox, sandbox.app_id(), 1);
    spoil_listing(&sandbox, Kind::App, Fault::Code(500, "INTERNAL_SERVER_ERROR", ""));
    let said = match mirror(&sandbox, &dir).only([sandbox.app_id()]).run() {
        Ok(report) => not_listed(&report),
        Err(error) => vec![short(&error)],
    };
    assert_eq!(said, ["apps: INTERNAL_SERVER_ERROR"]);
}

#[test]
fn an_app_that_cannot_be_decoded_is_reported_once() {
    let (sandbox, dir) = (Sandbox::builder().small().no_limits().free_plan().history(1).start(), quick_dir());
    let edit: fn(&mut serde_json::Value) = |envelope| {
        envelope["response"]["applications"].as_array_mut().unwrap().push(serde_json::json!({"name": "no id"}));
    };
    sandbox.fault(Route::Me, Fault::Edit(edit));
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.skipped.len(), report.fetched.len()), (1, 2), "{:?}", report.skipped);
    assert!(!report.is_complete());
}

#[test]
fn a_blocked_account_is_not_asked_for_every_other_app() {
    let (sandbox, dir) = (many(10), quick_dir());
    sandbox.fault(On::Word("list"), Fault::rate_limited()).after(2);
    let client = builder(&sandbox).sleep(passing(&sandbox)).build().unwrap();
    let report = client.mirror(dir.path()).keep(Keep::last(1)).run().unwrap();
    assert!(report.errors().all(|error| error.limit() == Some(Limit::Budget)), "{report:?}");
    // Two that were listed, and one request for each kind that says so.
    assert_eq!(sandbox.count(On::Word("list")), 4, "the service blocks all calls for half an hour");
}

#[test]
fn in_the_old_form_the_account_is_asked_once_whatever_it_says() {
    for (fault, fetched) in [(None, 20), (Some(Fault::Code(403, "MISSING_SCOPE", "")), 0)] {
        let rules = |rules: &mut sandbox::Rules| rules.listing = sandbox::ListingForm::Old;
        let sandbox = Sandbox::builder().small().no_limits().rules(rules).history(10).start();
        let dir = quick_dir();
        fault.map(|fault| sandbox.fault(Route::Me, fault));
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.fetched.len(), report.is_complete()), (fetched, fetched > 0));
        assert!(sandbox.count(Route::Me) <= 2, "asked {} times", sandbox.count(Route::Me));
    }
}

#[test]
fn a_run_after_a_plan_does_not_wait() {
    let (sandbox, dir) = world(1);
    let slept = crate::support::Slept::default();
    let mirror = builder(&sandbox).sleep(slept.sleeper()).build().unwrap().mirror(dir.path());
    assert_eq!(mirror.plan().unwrap().fetch.len(), 2);
    assert_eq!(mirror.run().unwrap().fetched.len(), 2);
    assert_eq!(slept.total(), Duration::ZERO);
}
