//! What a mirror deletes, and what it never does: what a policy keeps, and what may be missing elsewhere.

use std::fs;
use std::time::Duration;

use serde_json::json;
use squarecloud_blocking::time::{OffsetDateTime, UtcOffset};
use squarecloud_blocking::{Keep, KeepReason, Kind, PlannedSnapshot};

use crate::mirror_support::*;
use crate::sandbox::{Fault, Link, NewSnapshot, On, Sandbox};

/// So many hours before the sandbox's next midnight (UTC), which makes days countable.
fn put_at(sandbox: &Sandbox, id: &str, hours: u64) -> Link {
    let now = u64::try_from(sandbox.now_ms()).unwrap();
    let midnight = now / 86_400_000 * 86_400_000;
    let at = midnight - hours * 3_600_000 + 1;
    sandbox.put_snapshot(NewSnapshot { age: Duration::from_millis(now - at), ..NewSnapshot::of(id) })
}

/// A planned snapshot by the days of its age, and the reasons.
fn planned(list: &[PlannedSnapshot]) -> Vec<(i64, Vec<KeepReason>)> {
    let age = |planned: &PlannedSnapshot| {
        let age = OffsetDateTime::now_utc() - planned.snapshot.created_at;
        (age.whole_hours() + 12) / 24
    };
    list.iter().map(|planned| (age(planned), planned.reasons.clone())).collect()
}

#[test]
fn a_plan_says_what_is_fetched_kept_pruned_and_skipped_and_why_and_writes_nothing() {
    use KeepReason::{Daily, Last, Oldest};
    let (sandbox, dir) = world(0);
    let id = sandbox.app_id();
    for days in [9, 8, 7, 2] {
        put(&sandbox, id, days);
    }
    mirror(&sandbox, &dir).run().unwrap();
    put(&sandbox, id, 1);
    put(&sandbox, id, 6);
    let keep = || Keep::last(1).and(Keep::daily(3));
    let mirror = || mirror(&sandbox, &dir).keep(keep());
    let before = tree(dir.path());
    let plan = mirror().plan().unwrap();
    assert_eq!(planned(&plan.fetch), [(1, vec![Last, Daily]), (6, vec![Daily])]);
    assert_eq!(planned(&plan.keep), [(2, vec![Daily])]);
    assert_eq!(planned(&plan.prune), [(7, vec![]), (8, vec![]), (9, vec![])]);
    assert!(
        plan.unneeded.is_empty() && plan.damaged.is_empty() && plan.failed.is_empty() && plan.not_listed.is_empty()
    );
    assert!(plan.fetch.iter().chain(&plan.prune).all(|planned| planned.is_listed));
    assert_eq!(tree(dir.path()), before);
    let report = mirror().run().unwrap();
    let paths = |list: &[PlannedSnapshot]| relative(&dir, list.iter().map(|planned| &planned.path));
    assert_eq!(relative(&dir, &report.fetched), paths(&plan.fetch));
    assert_eq!(relative(&dir, &report.pruned), paths(&plan.prune));
    assert_eq!(report.kept, plan.keep.len());
    // What was pruned and is still listed is not fetched again.
    let plan = mirror().plan().unwrap();
    assert_eq!(planned(&plan.unneeded).iter().map(|(days, _)| *days).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!((plan.fetch.len(), plan.keep.len(), plan.prune.len()), (0, 3, 0));
    assert_eq!(mirror().run().unwrap().kept, 3);

    let missing = dir.path().join("not/there/yet");
    let elsewhere = hasty(&sandbox).build().unwrap().mirror(&missing);
    let plan = elsewhere.clone().keep(Keep::daily(9)).plan().unwrap();
    assert_eq!((plan.fetch.len(), plan.fetch[5].reasons.clone()), (6, vec![Daily]));
    assert!(!dir.path().join("not").exists());
    let plan = elsewhere.keep(Keep::weekly(9)).plan().unwrap();
    assert!(plan.fetch.last().unwrap().reasons.iter().any(|reason| matches!(reason, Oldest | KeepReason::Weekly)));
    assert!(!dir.path().join("not").exists());
}

#[test]
fn a_policy_counts_days_in_the_given_offset() {
    let (sandbox, dir) = world(0);
    // At 23 and 1 o'clock of two days.
    for hours in [1, 23, 25, 47] {
        put_at(&sandbox, sandbox.app_id(), hours);
    }
    // Of which times of the day the kept ones are.
    let kept = |offset| {
        let plan = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::daily(9)).offset(offset).plan().unwrap();
        assert_eq!(plan.unneeded.len(), 1);
        plan.fetch.iter().map(|planned| planned.snapshot.created_at.hour()).collect::<Vec<_>>()
    };
    assert_eq!(kept(UtcOffset::UTC), [23, 23, 1], "the last of two days, and the oldest");
    assert_eq!(kept(UtcOffset::from_hms(3, 0, 0).unwrap()), [23, 1, 1], "the last of three days, which begin earlier");
    let mirror = mirror(&sandbox, &dir).keep(Keep::daily(1));
    assert_eq!(mirror.clone().plan().unwrap().fetch.len(), 1);
    let report = mirror.offset(UtcOffset::from_hms(3, 0, 0).unwrap()).run().unwrap();
    assert_eq!(report.fetched.len(), 1);
}

#[test]
fn policies_are_kept_for_each_resource_by_itself() {
    let (sandbox, dir) = world(6);
    let other = sandbox.add_resource(crate::sandbox::Kind::App, "other", sandbox.files(sandbox.app_id()));
    put(&sandbox, &other, 20);
    mirror(&sandbox, &dir).run().unwrap();
    let all = files(&dir).len();
    // No policy of zero rules deletes anything.
    for keep in [Keep::everything(), Keep::last(0), Keep::daily(0).and(Keep::within(Duration::ZERO)), Keep::default()] {
        let report = mirror(&sandbox, &dir).keep(keep).run().unwrap();
        assert_eq!((report.pruned.len(), report.kept), (0, all));
    }
    let policies: [(Keep, usize); 5] = [
        (Keep::within(DAY * 4 - DAY / 24), 4 + 4 + 1),
        (Keep::daily(3), 3 + 3 + 1),
        (Keep::last(3).and(Keep::hourly(2)), 3 + 3 + 1),
        (Keep::last(2), 2 + 2 + 1),
        (Keep::last(1), 1 + 1 + 1),
    ];
    for (keep, left) in policies {
        let plan = mirror(&sandbox, &dir).keep(keep.clone()).plan().unwrap();
        assert_eq!(plan.keep.len(), left, "{keep:?}");
        let report = mirror(&sandbox, &dir).keep(keep.clone()).run().unwrap();
        assert!(report.is_complete() && report.fetched.is_empty(), "{keep:?}: {report:?}");
        assert_eq!((report.kept, files(&dir).len()), (left, left), "{keep:?}");
    }
    let newest = listed(&sandbox, Kind::App).last().unwrap().0.clone();
    assert!(files(&dir).contains(&newest) && files(&dir).iter().any(|path| path.contains(&other)));
}

/// What a listing may be like for nothing of its kind to be pruned.
#[test]
fn nothing_is_pruned_of_a_kind_whose_listing_is_not_to_be_trusted() {
    let faults: [(&str, Fault); 4] = [
        ("empty", Fault::Response(json!([]))),
        ("an item without a name", Fault::Edit(|e| e["response"].as_array_mut().unwrap().push(json!({"size": 1})))),
        ("an item without a time", Fault::Edit(|e| e["response"][0]["modified"] = json!("yesterday"))),
        ("an item of another type", Fault::Edit(|e| e["response"].as_array_mut().unwrap().push(json!([])))),
    ];
    for kind in [Kind::App, Kind::Database] {
        for (what, fault) in faults.clone() {
            let (sandbox, dir) = world(4);
            mirror(&sandbox, &dir).run().unwrap();
            spoil_listing(&sandbox, kind, fault.clone());
            let plan = mirror(&sandbox, &dir).keep(Keep::last(1)).plan().unwrap();
            let spoiled = |planned: &&PlannedSnapshot| planned.snapshot.kind == kind;
            let reasons: Vec<_> = plan.keep.iter().filter(spoiled).map(|planned| planned.reasons[0]).collect();
            assert_eq!(
                reasons,
                [KeepReason::Last, KeepReason::Incomplete, KeepReason::Incomplete, KeepReason::Incomplete],
                "{what}"
            );
            assert_eq!((plan.prune.len(), plan.prune.iter().filter(spoiled).count()), (3, 0), "{what}");
            spoil_listing(&sandbox, kind, fault);
            let report = mirror(&sandbox, &dir).keep(Keep::last(1)).run().unwrap();
            assert_eq!((report.pruned.len(), report.kept), (3, 5), "{what}: {report:?}");
            assert_eq!(report.is_complete(), what == "empty", "{what}: {report:?}");
        }
    }
}

#[test]
fn the_newest_good_copy_stays_and_a_failed_download_keeps_what_it_would_have_replaced() {
    for fault in [Fault::html(404), Fault::html(503), Fault::Body(vec![7; 100]), Fault::Expired] {
        let (sandbox, dir) = world(3);
        mirror(&sandbox, &dir).run().unwrap();
        let before = listed(&sandbox, Kind::App);
        let new = [put(&sandbox, sandbox.app_id(), 0), put(&sandbox, sandbox.app_id(), 0)];
        for link in &new {
            sandbox.fault(On::path("GET", &link.path), fault.clone());
        }
        for round in 0..2 {
            let report = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::last(2)).run().unwrap();
            assert_eq!((report.failed.len(), report.kept), (2, 2), "{fault:?}: {report:?}");
            assert_eq!(report.pruned.len(), usize::from(round == 0), "{report:?}");
            assert!(before[1..].iter().all(|(path, bytes)| fs::read(dir.path().join(path)).unwrap() == *bytes));
        }
        // Newer copies that are bad do not count, either.
        fs::write(dir.path().join(&before[2].0), "bad").unwrap();
        sandbox.world().objects.retain(|path, _| path.ends_with("manual.zip"));
        let report = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::last(1)).run().unwrap();
        assert_eq!((report.pruned.len(), report.damaged.len()), (0, 1), "{report:?}");
        assert!(dir.path().join(&before[1].0).exists(), "the newest good copy");
        sandbox.clear_faults();
        let report = mirror(&sandbox, &dir).kind(Kind::App).keep(Keep::last(1)).run().unwrap();
        assert_eq!((report.fetched.len(), report.pruned.len()), (1, 1), "{report:?}");
    }
}

/// A year later nothing of it is listed, but the app makes new ones.
#[test]
fn what_is_not_listed_any_more_follows_the_policy() {
    let (sandbox, dir) = world(20);
    mirror(&sandbox, &dir).kind(Kind::App).run().unwrap();
    sandbox.world().objects.clear();
    let keep = Keep::daily(5);
    // Nothing is listed: nothing is known.
    let report = mirror(&sandbox, &dir).keep(keep.clone()).run().unwrap();
    assert_eq!((report.kept, report.pruned.len()), (20, 0));
    put(&sandbox, sandbox.app_id(), 0);
    let plan = mirror(&sandbox, &dir).keep(keep.clone()).plan().unwrap();
    assert!(plan.keep.iter().chain(&plan.prune).all(|planned| !planned.is_listed) && plan.fetch[0].is_listed);
    let report = mirror(&sandbox, &dir).keep(keep).run().unwrap();
    assert_eq!((report.fetched.len(), report.kept, report.pruned.len()), (1, 4, 16));
}

#[test]
fn what_a_filter_leaves_out_is_neither_pruned_nor_counted() {
    let (sandbox, dir) = world(4);
    for days in [0, 1, 2] {
        put(&sandbox, sandbox.app_id(), days);
    }
    mirror(&sandbox, &dir).run().unwrap();
    let automatic = |info: &squarecloud_blocking::SnapshotInfo| info.id.ends_with("_automatic");
    let report = mirror(&sandbox, &dir).keep(Keep::last(1)).filter(automatic).run().unwrap();
    assert_eq!((report.kept, report.pruned.len(), files(&dir).len()), (2, 6, 5));
    // The same for files that are not listed any more.
    sandbox.world().objects.retain(|path, _| !path.contains("manual"));
    let report = mirror(&sandbox, &dir).keep(Keep::last(1)).filter(automatic).run().unwrap();
    assert_eq!((report.kept, report.pruned.len(), files(&dir).len()), (2, 0, 5));
    let report = mirror(&sandbox, &dir).keep(Keep::last(1)).only([sandbox.database_id()]).run().unwrap();
    assert_eq!((report.kept, files(&dir).len()), (1, 5));
}
