//! Work that outlives its request: creations and restores.

use std::time::Duration;

use squarecloud_blocking::{Error, ErrorCode, RestoreState};

use crate::sandbox::{self, Creation, Fault, NewSnapshot, Restoration, Route, Sandbox};
use crate::support::{Slept, builder};

#[test]
fn a_creation_the_service_is_still_at_is_waited_for_and_never_repeated() {
    let slept = Slept::default();
    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.creation = Creation::AfterPolls(3)).start();
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    let old = sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(400), ..NewSnapshot::of(sandbox.app_id()) });

    let snapshot = client.snapshot(sandbox.app_id()).unwrap();
    assert!(!snapshot.key().expose().contains(&old.version_id));
    assert_eq!(sandbox.count(Route::Create(sandbox::Kind::App)), 1);
    let looks = sandbox.count(Route::List(sandbox::Kind::App));
    assert!((2..=4).contains(&looks), "{looks} looks");
    assert!(slept.total() >= Duration::from_secs(10 * (looks as u64 - 1)), "no faster than every 10 s");
}

#[test]
fn the_clocks_may_be_off_and_an_older_snapshot_is_never_taken() {
    for shift in [-600, 0, 600] {
        for date in [true, false] {
            let sandbox = Sandbox::builder()
                .small()
                .no_limits()
                .rules(|r| (r.creation, r.date_header) = (Creation::AfterPolls(2), date))
                .start();
            sandbox.shift(shift);
            for age in [300, 599, 600, 601, 900] {
                let age = Duration::from_secs(age);
                sandbox.put_snapshot(NewSnapshot { age, ..NewSnapshot::of(sandbox.app_id()) });
            }
            let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
            let before: Vec<_> = client.all_app_snapshots(sandbox.app_id()).unwrap();
            let snapshot = client.snapshot(sandbox.app_id());
            if shift != 0 && !date {
                // Neither clock can be relied on.
                assert!(snapshot.unwrap_err().is_pending(), "shift {shift}");
                continue;
            }
            let snapshot = snapshot.unwrap();
            let fresh = before.iter().all(|old| !snapshot.key().expose().contains(old.key().expose()));
            assert!(fresh, "shift {shift}, date {date}");
        }
    }
}

#[test]
fn one_made_before_and_listed_late_is_not_the_requested_one() {
    for date in [true, false] {
        let sandbox = Sandbox::builder()
            .small()
            .no_limits()
            .rules(|r| (r.creation, r.date_header) = (Creation::AfterPolls(3), date))
            .start();
        let age = Duration::from_secs(190);
        let old = sandbox.put_snapshot(NewSnapshot { age, ..NewSnapshot::of(sandbox.app_id()) });
        let empty = Fault::Edit(|envelope| envelope["response"] = serde_json::json!([]));
        sandbox.fault(Route::List(sandbox::Kind::App), empty).times(1);
        let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
        let snapshot = client.snapshot(sandbox.app_id()).unwrap();
        assert_ne!(snapshot.info().unwrap().version_id.as_ref(), Some(&old.version_id), "date {date}");
    }
}

#[test]
fn the_wait_ends_as_pending() {
    let slept = Slept::default();
    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.creation = Creation::Never).start();
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    let error = client.snapshot(sandbox.app_id()).unwrap_err();
    assert!(error.is_pending() && !error.is_retryable(), "{error}");
    assert!((290..=311).contains(&slept.total().as_secs()), "{:?}", slept.total());
    assert_eq!(sandbox.count(Route::Create(sandbox::Kind::App)), 1);

    sandbox.clear_requests();
    let client = builder(&sandbox).snapshot_wait(Duration::ZERO).build().unwrap();
    assert!(client.snapshot(sandbox.app_id()).unwrap_err().is_pending());
    assert_eq!(sandbox.requests().len(), 1, "no listing when nobody waits");
}

#[test]
fn a_passing_fault_of_the_listing_does_not_end_the_wait() {
    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.creation = Creation::AfterPolls(1)).start();
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::html(502)).times(2);
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::rate_limited()).times(1).after(2);
    let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    client.snapshot(sandbox.app_id()).unwrap();
    assert_eq!(sandbox.count(Route::Create(sandbox::Kind::App)), 1);

    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.creation = Creation::AfterPolls(1)).start();
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::Code(403, "MISSING_SCOPE", "no"));
    let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    assert!(client.snapshot(sandbox.app_id()).unwrap_err().is_unauthorized());
}

#[test]
fn a_failed_creation_is_no_missing_app() {
    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.creation = Creation::Fails).start();
    let error = builder(&sandbox).build().unwrap().snapshot(sandbox.app_id()).unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::SNAPSHOT_FAILED));
    assert!(!error.is_not_found());
}

#[test]
fn a_restore_that_goes_on_is_an_error_until_it_was_followed_to_its_end() {
    let slept = Slept::default();
    let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.restoration = Restoration::AfterPolls(3)).start();
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    let app = client.app(sandbox.app_id());
    app.snapshot().unwrap();
    let info = app.latest_snapshot().unwrap().unwrap();

    let pending = app.restore(&info).unwrap_err();
    assert!(pending.is_pending(), "{pending}");
    let status = app.wait_for_restore(Duration::from_secs(60)).unwrap();
    assert_eq!(status.state, RestoreState::Success);
    assert!(slept.total() >= Duration::from_secs(5));
    assert_eq!(sandbox.count(Route::Restore(sandbox::Kind::App)), 1, "asked for once");
}

#[test]
fn a_restore_ends_with_its_code_or_as_pending_or_as_unavailable() {
    let start = |restoration| {
        let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.restoration = restoration).start();
        let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
        let app = client.app(sandbox.app_id());
        app.snapshot().unwrap();
        let info = app.latest_snapshot().unwrap().unwrap();
        let _ = app.restore(&info);
        (sandbox, app)
    };
    let (_sandbox, app) = start(Restoration::FailsLater(2, "SNAPSHOT_CORRUPT"));
    let error = app.wait_for_restore(Duration::from_secs(60)).unwrap_err();
    assert!(matches!(error, Error::RestoreFailed { .. }), "{error}");
    assert_eq!(error.code(), Some(&ErrorCode::SNAPSHOT_CORRUPT));

    let (_sandbox, app) = start(Restoration::AfterPolls(1000));
    let error = app.wait_for_restore(Duration::from_secs(20)).unwrap_err();
    assert!(error.is_pending(), "{error}");

    let (sandbox, app) = start(Restoration::Done);
    sandbox.rules(|r| r.restore_status = false);
    let error = app.wait_for_restore(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, Error::StatusUnavailable { .. }), "{error}");
    assert_eq!(error.status(), Some(404));
}

#[test]
fn a_service_that_knows_of_no_restore_says_nothing_was_done() {
    let sandbox = Sandbox::builder().small().start();
    let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    let app = client.app(sandbox.app_id());
    assert_eq!(app.restore_status().unwrap().state, RestoreState::None);
    let error = app.wait_for_restore(Duration::from_secs(60)).unwrap_err();
    assert!(matches!(error, Error::StatusUnavailable { .. }), "{error}");
}
