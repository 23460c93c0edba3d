//! Runs as a whole: one at a time in a directory, on so many threads, with progress and cancellation.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;
use squarecloud_blocking::{Client, Error, Keep, Kind, MirrorProgress};

use crate::download::Origin;
use crate::download_origin::{Reply, archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::{self, Fault, On, Port, Route, Sandbox};
use crate::support::Slept;

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

fn assert_busy(error: &Error, dir: &Path) {
    assert!(matches!(error, Error::Busy { path } if *path == dir.join(LOCK)), "{error:?}");
    let lock = dir.join(LOCK);
    let text =
        format!("another run is at work in this mirror and holds {}; try again when it has ended", lock.display());
    assert_eq!(error.to_string(), text);
    assert!(!error.is_retryable() && !error.is_rate_limited());
}

#[test]
fn a_second_run_in_a_directory_ends_at_once_and_names_the_lock() {
    let (sandbox, dir) = world(2);
    let tried = AtomicBool::new(false);
    let report = mirror(&sandbox, &dir).run_with(|_| {
        if !tried.swap(true, Ordering::Relaxed) {
            sandbox.clear_requests();
            assert_busy(&mirror(&sandbox, &dir).run().unwrap_err(), dir.path());
            assert_busy(&mirror(&sandbox, &dir).take_new(true).run().unwrap_err(), dir.path());
            assert_eq!(sandbox.requests().len(), 0, "it asks for nothing");
            // Looking needs no lock.
            assert_eq!(mirror(&sandbox, &dir).plan().unwrap().fetch.len(), 4);
            let now = squarecloud_blocking::time::OffsetDateTime::now_utc();
            mirror(&sandbox, &dir).find(sandbox.app_id(), now).unwrap();
        }
        GO_ON
    });
    assert_eq!(report.unwrap().fetched.len(), 4);
    assert_eq!(mirror(&sandbox, &dir).run().unwrap().kept, 4);
    // Runs in other directories are not in the way.
    assert_eq!(mirror(&sandbox, &quick_dir()).run().unwrap().fetched.len(), 4);
}

#[test]
fn the_lock_is_freed_however_a_run_ends() {
    let (sandbox, dir) = world(1);
    assert!(mirror(&sandbox, &dir).run_with(|_| ControlFlow::Break(())).unwrap_err().is_cancelled());
    sandbox.fault(Route::ListAccount, Fault::rate_limited());
    mirror(&sandbox, &dir).run().unwrap_err();
    sandbox.clear_faults();
    let panicking = mirror(&sandbox, &dir);
    let panicked = std::thread::scope(|scope| scope.spawn(|| panicking.run_with(|_| panic!("on purpose"))).join());
    assert!(panicked.is_err());
    assert!(mirror(&sandbox, &dir).run().unwrap().is_complete());
}

/// A run in a process of its own, which says when it is at work and ends when it is told to.
#[test]
#[ignore = "a process that another test starts"]
fn child() {
    let Ok(dir) = std::env::var("MIRROR_DIR") else { return };
    let var = |name: &str| std::env::var(name).unwrap();
    let client = Client::builder(var("MIRROR_KEY")).base_url(var("MIRROR_API")).build().unwrap();
    let said = AtomicBool::new(false);
    let report = client.mirror(dir).run_with(|_| {
        if !said.swap(true, Ordering::Relaxed) {
            println!("at work");
            std::io::stdin().lock().read_line(&mut String::new()).unwrap();
        }
        GO_ON
    });
    println!("{}", report.unwrap());
}

#[test]
fn a_run_in_another_process_is_in_the_way_too_until_it_ends_or_dies() {
    let (sandbox, dir) = world(1);
    for is_killed in [true, false] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mirror_runs::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env("MIRROR_DIR", dir.path())
            .env("MIRROR_KEY", sandbox.api_key())
            .env("MIRROR_API", sandbox.base_url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("at work")));
        assert_busy(&mirror(&sandbox, &dir).run().unwrap_err(), dir.path());
        if is_killed {
            child.kill().unwrap();
        } else {
            child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
            assert!(lines.any(|line| line.contains("2 fetched")));
        }
        child.wait().unwrap();
    }
    assert_eq!(mirror(&sandbox, &dir).run().unwrap().kept, 2);
}

#[test]
fn settings_that_cannot_be_met_are_refused_before_anything_is_done() {
    let (sandbox, dir) = world(1);
    let missing = dir.path().join("missing");
    let mirror = || hasty(&sandbox).build().unwrap().mirror(&missing);
    for bad in [mirror().threads(0), mirror().threads(33), mirror().only(Vec::<String>::new())] {
        let now = squarecloud_blocking::time::OffsetDateTime::now_utc();
        let errors =
            [bad.run().map(drop), bad.plan().map(drop), bad.find("x", now).map(drop)].map(|result| result.unwrap_err());
        assert!(errors.iter().all(|error| matches!(error, Error::Invalid { .. })), "{errors:?}");
    }
    assert!(sandbox.requests().is_empty() && !missing.exists());
    assert!(mirror().threads(32).run().unwrap().is_complete());
}

/// How many requests are there, and how many there were at a time at most.
type Meeting = Arc<(Mutex<(usize, usize)>, Condvar)>;

/// A host whose responses wait until `meeting` requests are there.
fn meeting(sandbox: &Sandbox, snapshots: usize, meeting: usize) -> (Origin, Meeting) {
    let state = Arc::new((Mutex::new((0, 0)), Condvar::new()));
    let (shared, answered) = (state.clone(), AtomicUsize::new(0));
    let object = archive(2000, 3);
    let size = object.len();
    let origin = Origin::start(move |asked| {
        let mut counts = shared.0.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        shared.1.notify_all();
        // The last ones have nobody left to meet.
        let wait = if answered.load(Ordering::SeqCst) + meeting <= snapshots { 10 } else { 0 };
        let mut counts =
            shared.1.wait_timeout_while(counts, Duration::from_secs(wait), |counts| counts.1 < meeting).unwrap().0;
        answered.fetch_add(1, Ordering::SeqCst);
        counts.0 -= 1;
        drop(counts);
        Reply::right(&object, Some("\"one\""), asked)
    });
    let url = |n: usize| origin.url().replace("app.zip", &format!("app{n}.zip"));
    let item =
        |n: usize| json!({"name": format!("app{n}"), "size": size, "modified": "2026-11-20T18:04:11Z", "url": url(n)});
    let items: Vec<_> = (0..snapshots).map(item).collect();
    sandbox.fault(Route::ListAccount, Fault::Response(items.into()));
    (origin, state)
}

#[test]
fn so_many_snapshots_are_downloaded_at_a_time_and_no_more() {
    for (threads, expected) in [(Some(1), 1), (None, 2), (Some(8), 8), (Some(32), 12)] {
        let (sandbox, dir) = world(0);
        let (_origin, state) = meeting(&sandbox, 12, expected);
        let mirror = mirror(&sandbox, &dir).kind(Kind::App);
        let report = threads.map_or(mirror.clone(), |n| mirror.threads(n)).run().unwrap();
        assert!(report.is_complete() && report.fetched.len() == 12, "{report:?}");
        assert_eq!(state.0.lock().unwrap().1, expected, "{threads:?}");
    }
}

/// Every progress of a run that fetches everything.
fn progress_of(sandbox: &Sandbox, dir: &tempfile::TempDir) -> Vec<MirrorProgress> {
    let seen = Mutex::new(Vec::new());
    let report = mirror(sandbox, dir).threads(3).run_with(|progress| {
        seen.lock().unwrap().push(progress);
        GO_ON
    });
    assert!(report.unwrap().is_complete());
    seen.into_inner().unwrap()
}

#[test]
fn progress_tells_bytes_snapshots_and_names_of_the_whole() {
    let (sandbox, dir) = world(8);
    sandbox.fault(On::Snapshots, Fault::Delay(Duration::from_millis(7)));
    let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
    let size: u64 = wanted.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let seen = progress_of(&sandbox, &dir);
    let mut names = BTreeSet::new();
    for (before, now) in seen.iter().zip(&seen[1..]) {
        assert!(before.bytes <= now.bytes && before.snapshots <= now.snapshots, "{before:?}, {now:?}");
        assert!(now.bytes <= now.total && now.snapshots <= now.total_snapshots && now.names.len() <= 3, "{now:?}");
        names.extend(now.names.clone());
    }
    let totals: BTreeSet<_> = seen.iter().map(|now| (now.total, now.total_snapshots)).collect();
    assert_eq!(totals, [(0, 0), (size, 16)].into());
    assert!(seen.iter().all(|now| !now.waiting) && names.len() >= 3, "{names:?}");
    assert!(names.iter().all(|name| wanted.iter().any(|(path, _)| path.ends_with(name))), "{names:?}");
    // A file that is only checked is named, too.
    let seen = progress_of(&sandbox, &dir);
    assert!(seen.iter().all(|now| now.total == 0), "{seen:?}");
}

#[test]
fn the_last_report_is_of_everything() {
    let (sandbox, dir) = world(8);
    let seen = progress_of(&sandbox, &dir);
    let last = seen.last().unwrap();
    assert_eq!((last.bytes, last.snapshots, last.names.len()), (last.total, 16, 0), "{last:?}");
}

#[test]
fn a_run_that_is_cancelled_leaves_nothing_half_and_the_next_one_finishes() {
    for after in [0, 1, 2, 4, 7] {
        let (sandbox, dir) = world(4);
        sandbox.write_file(sandbox.app_id(), "noise.bin", archive(300_000, 5));
        put(&sandbox, sandbox.app_id(), 0);
        sandbox.fault(On::Snapshots, Fault::Delay(Duration::from_millis(6)));
        let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
        let (calls, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let error = mirror(&sandbox, &dir).run_with(|progress| {
            let is_late = progress.snapshots >= after && (after > 0 || progress.total > 0);
            if is_late || calls.load(Ordering::Relaxed) > 0 {
                late.fetch_add(1, Ordering::Relaxed);
                return ControlFlow::Break(());
            }
            GO_ON
        });
        let error = error.unwrap_err();
        assert!(error.is_cancelled() && matches!(&error, Error::Cancelled { path, .. } if *path == dir.path()));
        assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
        assert_eq!(late.load(Ordering::Relaxed), 1, "it is not called again");
        for path in files(&dir).iter().filter(|path| !path.contains("/.")) {
            let good = wanted.iter().find(|wanted| wanted.0 == *path).unwrap();
            assert!(fs::read(dir.path().join(path)).unwrap() == good.1, "{path}");
        }
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert!(report.is_complete() && report.kept + report.fetched.len() == 9, "{report:?}");
        assert_eq!(files(&dir), paths(&wanted));
    }
}

#[test]
fn a_cancelled_run_prunes_nothing_and_downloads_nothing_more() {
    let (sandbox, dir) = world(9);
    mirror(&sandbox, &dir).run().unwrap();
    put(&sandbox, sandbox.app_id(), 0);
    let before = files(&dir);
    sandbox.clear_requests();
    sandbox.fault(On::Snapshots, Fault::Delay(Duration::from_millis(20)));
    let error = mirror(&sandbox, &dir)
        .keep(Keep::last(1))
        .run_with(|progress| if progress.total > 0 { ControlFlow::Break(()) } else { GO_ON });
    assert!(error.unwrap_err().is_cancelled());
    let left = files(&dir);
    assert!(before.iter().all(|path| left.contains(path)), "{left:?}");
    let report = mirror(&sandbox, &dir).run_with(|_| ControlFlow::Break(()));
    assert!(report.unwrap_err().is_cancelled());
    assert!(sandbox.count(On::Snapshots) <= 1);
}

#[test]
fn the_pauses_between_listings_can_be_cancelled() {
    let sandbox = Sandbox::builder().small().no_limits().free_plan().start();
    for number in 0..45 {
        sandbox.add_resource(sandbox::Kind::App, &format!("app-{number}"), sandbox.files(sandbox.app_id()));
    }
    let (dir, slept) = (quick_dir(), Slept::default());
    let count = slept.sleeper();
    // The callback is called by the real time.
    let sleep = move |slice| {
        count(slice);
        std::thread::sleep(Duration::from_millis(1));
    };
    let client = crate::support::builder(&sandbox).sleep(sleep).build().unwrap();
    let error =
        client.mirror(dir.path()).run_with(|progress| if progress.waiting { ControlFlow::Break(()) } else { GO_ON });
    assert!(error.unwrap_err().is_cancelled());
    assert_eq!(sandbox.requests().iter().filter(|request| request.port == Port::Api).count(), 7);
    assert!(slept.total() < Duration::from_secs(30), "{:?}", slept.total());
}

#[test]
fn a_run_waits_no_more_once_a_pause_is_over() {
    let sandbox = Sandbox::builder().small().no_limits().free_plan().history(5).start();
    for number in 0..25 {
        sandbox.add_resource(sandbox::Kind::App, &format!("app-{number}"), sandbox.files(sandbox.app_id()));
    }
    let dir = quick_dir();
    mirror(&sandbox, &dir).run().unwrap();
    let client =
        crate::support::builder(&sandbox).sleep(|_| std::thread::sleep(Duration::from_micros(20))).build().unwrap();
    let (paused, checking) = (AtomicBool::new(false), AtomicBool::new(false));
    let report = client.mirror(dir.path()).run_with(|progress| {
        paused.fetch_or(progress.waiting, Ordering::Relaxed);
        checking.fetch_or(progress.waiting && !progress.names.is_empty(), Ordering::Relaxed);
        GO_ON
    });
    assert_eq!(report.unwrap().kept, 10);
    assert!(paused.into_inner() && !checking.into_inner());
}
