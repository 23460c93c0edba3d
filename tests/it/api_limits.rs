//! The limits the service sets: how errors tell them apart.

use std::sync::Arc;
use std::time::Duration;

use squarecloud_blocking::{Client, Error, ErrorCode, Limit, Rate};

use crate::sandbox::{Fault, Files, Kind, NewSnapshot, On, Route, Sandbox};
use crate::support::{Slept, builder};

/// A client whose pauses pass in the sandbox's world only.
fn virtual_client(sandbox: &Arc<Sandbox>) -> Client {
    let clock = Arc::clone(sandbox);
    let builder = builder(sandbox).sleep(move |pause| clock.advance(pause + Duration::from_millis(1)));
    builder.build().unwrap()
}

fn apps(sandbox: &Sandbox) -> Vec<String> {
    let mut apps = vec![sandbox.app_id().to_owned()];
    apps.extend((0..3).map(|n| sandbox.add_resource(Kind::App, &format!("app {n}"), Files::new())));
    apps
}

#[test]
fn a_cooldown_is_refused_and_says_how_long_to_wait() {
    let sandbox = Arc::new(Sandbox::builder().small().start());
    let client = virtual_client(&sandbox);
    let apps = apps(&sandbox);
    client.snapshot(&apps[0]).unwrap();
    let error = client.snapshot(&apps[1]).unwrap_err();
    assert_eq!(error.limit(), Some(Limit::Cooldown), "{error}");
    assert_eq!(error.rate(), Some(Rate { requests: 1, per: Duration::from_secs(5) }));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    assert!(error.to_string().contains("wait 5 s") && !error.is_retryable(), "{error}");
    sandbox.advance(Duration::from_secs(6));
    let error = client.snapshot(&apps[0]).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(180)), "{error}");
    assert_eq!(sandbox.count(Route::Create(Kind::App)), 3, "a refusal is not repeated");
}

#[test]
fn the_quota_and_the_budget_are_no_cooldown() {
    let sandbox = Arc::new(Sandbox::builder().small().rules(|r| r.cooldowns = false).start());
    let client = virtual_client(&sandbox);
    let quota = client.account().unwrap().daily_snapshot_quota();
    let error = (0..=quota).find_map(|_| client.snapshot(sandbox.app_id()).err()).unwrap();
    assert_eq!(error.code(), Some(&ErrorCode::DAILY_SNAPSHOTS_LIMIT_REACHED));
    assert_eq!((error.limit(), error.retry_after()), (Some(Limit::Quota), None));
    let rate = error.rate().unwrap();
    assert_eq!((u64::from(rate.requests), rate.per), (quota, Duration::from_secs(86_400)));
    assert!(error.to_string().contains("a day old"), "{error}");

    sandbox.rules(|r| r.budget = Some(1));
    let error = (0..3).find_map(|_| client.account().err()).unwrap();
    assert_eq!((error.limit(), error.retry_after()), (Some(Limit::Budget), Some(Duration::from_secs(1800))));
    assert!(error.to_string().contains("30 min"), "{error}");
}

#[test]
fn the_services_own_word_comes_first_and_an_edge_says_nothing() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let client = builder(&sandbox).build().unwrap();
    sandbox.fault(On::Api, Fault::keep_calm());
    sandbox.fault(On::Api, Fault::Header("Retry-After", "77".into()));
    let error = client.account().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(77)), "{error}");
    sandbox.clear_faults();
    sandbox.fault(On::Api, Fault::html(429));
    let error = client.account().unwrap_err();
    assert!(error.is_rate_limited() && error.limit().is_none() && error.retry_after().is_none(), "{error}");
}

/// An edge, a load balancer or S3 sends no envelope, but may say how long to wait.
#[test]
fn a_wait_is_kept_whatever_the_body_is() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    let client = builder(&sandbox).retries(0).sleep(Slept::default().sleeper()).build().unwrap();
    let snapshot = client.open(&client.app(sandbox.app_id()).latest_snapshot().unwrap().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The sandbox has a clock of its own, so that a date against this machine's would show.
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let waits = ["90", "Sun, 06 Nov 1994 08:51:07 GMT", "Sunday, 06-Nov-94 08:51:07 GMT", "Sun Nov  6 08:51:07 1994"];
    for (status, wait) in [429, 503].into_iter().flat_map(|status| waits.map(|wait| (status, wait))) {
        for fault in [Fault::html(status), Fault::xml(status, "SlowDown")] {
            sandbox.fault(On::Any, fault);
            sandbox.fault(On::Any, Fault::Header("Date", date.into()));
            sandbox.fault(On::Any, Fault::Header("Retry-After", wait.into()));
            for error in [client.account().unwrap_err(), snapshot.download(dir.path()).unwrap_err()] {
                assert!(matches!(error, Error::UnexpectedResponse { .. }), "{error:?}");
                assert_eq!(error.retry_after(), Some(Duration::from_secs(90)), "{wait}: {error}");
                assert_eq!((error.status(), error.is_rate_limited()), (Some(status), status == 429));
                assert!(error.to_string().contains("wait 90 s"), "{error}");
            }
            sandbox.clear_faults();
        }
    }
}
