//! Work that outlives its request: creations and restores.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use squarecloud_blocking::{App, Error, ErrorCode, RestoreState};

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
    sandbox.fault(Route::List(sandbox::Kind::App), Fault::keep_calm()).times(1).after(2);
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

const LIST: Route = Route::List(sandbox::Kind::App);
const CREATE: Route = Route::Create(sandbox::Kind::App);
const STATUS: Route = Route::RestoreStatus(sandbox::Kind::App);

/// A sandbox whose creations and restores go on in the background, its app, and what was slept.
fn slow(creation: Creation, restoration: Restoration) -> (Sandbox, App, Slept) {
    let rules = |r: &mut sandbox::Rules| (r.creation, r.restoration) = (creation, restoration);
    let (sandbox, slept) = (Sandbox::builder().small().no_limits().rules(rules).start(), Slept::default());
    sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(400), ..NewSnapshot::of(sandbox.app_id()) });
    let app = builder(&sandbox).sleep(slept.sleeper()).build().unwrap().app(sandbox.app_id());
    (sandbox, app, slept)
}

#[test]
fn polls_that_come_too_often_come_less_often() {
    let (sandbox, app, slept) = slow(Creation::AfterPolls(0), Restoration::Done);
    sandbox.fault(LIST, Fault::Code(429, "KEEP_CALM", "Keep calm!")).times(2);
    sandbox.fault(LIST, Fault::Code(429, "KEEP_CALM", "Keep calm! 1r/60s")).times(1).after(2);
    sandbox.fault(LIST, Fault::html(429)).times(1).after(3);
    app.snapshot().unwrap();
    let pauses = [20, 40, 80, 160];
    assert_eq!(slept.total(), Duration::from_secs(pauses.iter().sum()));

    // A pause that the service asks for and that does not fit ends at the deadline, with a last poll.
    let (sandbox, app, slept) = slow(Creation::Never, Restoration::Done);
    sandbox.fault(LIST, Fault::Code(429, "KEEP_CALM", "Keep calm! 1r/301s"));
    let error = app.snapshot().unwrap_err();
    assert!(matches!(&error, Error::Pending { waited, .. } if waited.as_secs() == 300), "{error}");
    assert_eq!(slept.total().as_secs_f64().round(), 300.0);
    assert!((2..=3).contains(&sandbox.count(LIST)), "{}", sandbox.count(LIST));
}

#[test]
fn a_blocked_account_ends_the_wait_and_says_that_the_work_goes_on() {
    let (sandbox, app, slept) = slow(Creation::AfterPolls(0), Restoration::AfterPolls(1));
    let old = app.latest_snapshot().unwrap().unwrap();
    sandbox.fault(LIST, Fault::rate_limited());
    sandbox.fault(STATUS, Fault::rate_limited());
    let id = sandbox.app_id();
    for (error, work) in [
        (app.snapshot().unwrap_err(), "snapshot"),
        (app.restore_and_wait(&old, Duration::from_secs(60)).unwrap_err(), "restore"),
    ] {
        assert!(error.is_rate_limited() && !error.is_pending() && error.code().unwrap() == "RATE_LIMITED", "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1800)));
        let text = format!(
            "the {work} of app {id} was accepted and goes on, so do not request it again; all calls are \
                            blocked, wait 30 min"
        );
        assert!(error.to_string().contains(&text), "{error}");
    }
    assert_eq!((slept.total(), sandbox.count(LIST), sandbox.count(CREATE)), (Duration::ZERO, 2, 1));
}

#[test]
fn accepted_is_not_done() {
    for restoration in [Restoration::Dispatched(3), Restoration::AfterPolls(3)] {
        let (sandbox, app, slept) = slow(Creation::Done, restoration);
        let old = app.latest_snapshot().unwrap().unwrap();
        let status = app.restore_and_wait(&old, Duration::from_secs(60)).unwrap();
        assert_eq!(status.state, RestoreState::Success, "{restoration:?}");
        assert_eq!((slept.total().as_secs(), sandbox.count(Route::Restore(sandbox::Kind::App))), (15, 1));
    }
    let (sandbox, app, _) = slow(Creation::Done, Restoration::Dispatched(99));
    let old = app.latest_snapshot().unwrap().unwrap();
    assert!(app.restore_and_wait(&old, Duration::from_secs(20)).unwrap_err().is_pending());
    sandbox.rules(|r| r.restore_status = false);
    let error = app.restore_and_wait(&old, Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, Error::StatusUnavailable { .. }), "{error}");
}

#[test]
fn an_earlier_restore_is_not_taken_for_this_one() {
    for state in ["success", "error"] {
        let (sandbox, app, slept) = slow(Creation::Done, Restoration::Done);
        let old = app.latest_snapshot().unwrap().unwrap();
        let earlier: fn(&mut serde_json::Value) = match state {
            "success" => |envelope| envelope["response"]["started_at"] = 1_795_196_400_000u64.into(),
            _ => |envelope| {
                envelope["response"] = serde_json::json!({"state": "error", "finished_at": 1_795_196_400_000u64});
            },
        };
        sandbox.fault(STATUS, Fault::Edit(earlier)).times(2);
        assert_eq!(app.restore_and_wait(&old, Duration::from_secs(60)).unwrap().state, RestoreState::Success);
        assert_eq!(slept.total().as_secs(), 10, "{state}");
    }
}

/// Counts the calls, keeps the number of each one's poll, and cancels from the `last` one on.
fn watcher(last: u32, polls: &Mutex<Vec<u32>>) -> impl Fn(squarecloud_blocking::Progress) -> ControlFlow<()> {
    let calls = AtomicU32::new(0);
    move |progress| {
        assert_eq!((progress.bytes, progress.total), (0, None));
        polls.lock().unwrap().push(progress.attempt);
        if calls.fetch_add(1, Ordering::Relaxed) + 1 < last {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

#[test]
fn the_callback_is_called_while_the_service_holds_a_request_open_and_between_polls() {
    let (sandbox, app, slept) = slow(Creation::AfterPolls(2), Restoration::AfterPolls(1));
    sandbox.fault(CREATE, Fault::Delay(Duration::from_millis(350))).times(1);
    let polls = Mutex::default();
    let snapshot = app.snapshot_with(watcher(u32::MAX, &polls)).unwrap();
    let count = |polls: &Mutex<Vec<u32>>, n| polls.lock().unwrap().iter().filter(|poll| **poll == n).count();
    assert!(count(&polls, 0) >= 3 && count(&polls, 1) >= 100 && count(&polls, 2) >= 100, "{polls:?}");
    assert_eq!(slept.total().as_secs() % 10, 0);

    sandbox.fault(STATUS, Fault::Delay(Duration::from_millis(350))).times(1);
    let polls = Mutex::default();
    app.restore_and_wait_with(snapshot.info().unwrap(), Duration::from_secs(60), watcher(u32::MAX, &polls)).unwrap();
    assert!(count(&polls, 0) >= 1 && count(&polls, 1) >= 53 && count(&polls, 2) >= 1, "{polls:?}");
    let polls = Mutex::default();
    app.wait_for_restore_with(Duration::from_secs(60), watcher(u32::MAX, &polls)).unwrap();
    assert!(count(&polls, 1) >= 1);
}

#[test]
fn cancelling_a_wait_returns_at_once_and_leaves_the_work_to_the_service() {
    let at_most = Duration::from_secs(60);
    // In the POST, in a poll, and in a pause.
    for (slow_one, calls) in [(Some(CREATE), 2), (Some(LIST), 3), (None, 50)] {
        let (sandbox, app, slept) = slow(Creation::AfterPolls(3), Restoration::AfterPolls(9));
        let old = app.latest_snapshot().unwrap().unwrap();
        let cancelled = |work: &str, wait: &dyn Fn() -> Error| {
            let begun = Instant::now();
            let error = wait();
            assert!(error.is_cancelled() && matches!(error, Error::WaitCancelled { .. }), "{error}");
            let text = format!("waiting for the {work} of app {} was cancelled by the callback", app.id());
            assert!(error.to_string().starts_with(&text), "{error}");
            assert!(begun.elapsed() < Duration::from_millis(1200), "{work}: {:?}", begun.elapsed());
        };
        for route in slow_one.into_iter().chain([STATUS]) {
            sandbox.fault(route, Fault::Delay(Duration::from_millis(1500))).times(1);
        }
        cancelled("snapshot", &|| app.snapshot_with(watcher(calls, &Mutex::default())).unwrap_err());
        assert!(sandbox.count(CREATE) <= 1);
        assert!(slow_one.is_some() || slept.total() >= Duration::from_secs(4));
        cancelled("restore", &|| app.restore_and_wait_with(&old, at_most, watcher(3, &Mutex::default())).unwrap_err());
        assert!(sandbox.count(Route::Restore(sandbox::Kind::App)) <= 1);
        cancelled("restore", &|| app.wait_for_restore_with(at_most, watcher(20, &Mutex::default())).unwrap_err());
    }
}

/// The time that a callback takes is not the service's: it must not let in what was made before the request.
#[test]
fn a_slow_callback_does_not_make_the_request_older() {
    let (sandbox, app, _) = slow(Creation::AfterPolls(3), Restoration::Done);
    let before = NewSnapshot { age: Duration::from_millis(1100), ..NewSnapshot::of(sandbox.app_id()) };
    let before = sandbox.put_snapshot(before);
    let first = AtomicU32::new(0);
    let snapshot = app.snapshot_with(|_| {
        if first.fetch_add(1, Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1300));
        }
        ControlFlow::Continue(())
    });
    let made = snapshot.unwrap().info().unwrap().version_id.clone().unwrap();
    assert_ne!(made, before.version_id);
}

#[test]
fn what_is_said_of_the_work_is_what_this_call_knows() {
    let (sandbox, app, _) = slow(Creation::AfterPolls(3), Restoration::AfterPolls(9));
    // The wait ends because of the edge, and the snapshot goes on.
    sandbox.fault(LIST, Fault::html(403));
    let error = app.snapshot().unwrap_err();
    assert!(error.to_string().contains("was accepted and goes on"), "{error}");
    sandbox.fault(CREATE, Fault::html(502)).times(1);
    let error = app.snapshot().unwrap_err();
    assert!(error.to_string().contains("it may have been carried out anyway"), "{error}");
    // Nothing was requested here.
    sandbox.fault(STATUS, Fault::Code(401, "ACCESS_DENIED", "no"));
    let error = app.wait_for_restore(Duration::from_secs(60)).unwrap_err();
    assert!(!error.to_string().contains("accepted"), "{error}");
    let error = app.snapshot_with(|_| ControlFlow::Break(())).unwrap_err();
    assert!(error.is_cancelled() && error.to_string().contains("look before requesting"), "{error}");
    assert_eq!(sandbox.count(CREATE), 2, "a call that is cancelled at once sends nothing");
}

/// The service's clocks may differ by less than the time that it keeps between two restores; no time of its own breaks the wait.
#[test]
fn a_restore_dated_a_little_before_its_request_or_at_the_end_of_time_is_this_one() {
    let states: [fn(&mut serde_json::Value); 2] = [
        |envelope| {
            let now = i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap();
            envelope["response"] = serde_json::json!({"state": "success", "started_at": now - 30_000});
        },
        |envelope| {
            envelope["response"] = serde_json::json!({"state": "success", "started_at": 253_402_300_799_000u64});
        },
    ];
    for state in states {
        let (sandbox, app, slept) = slow(Creation::Done, Restoration::Done);
        let info = app.latest_snapshot().unwrap().unwrap();
        sandbox.fault(STATUS, Fault::Edit(state));
        assert_eq!(app.restore_and_wait(&info, Duration::from_secs(60)).unwrap().state, RestoreState::Success);
        assert_eq!(slept.total(), Duration::ZERO);
    }
}
