//! Networks that are away for a while, and hosts that are busy: a download waits as long as agreed, and not longer.
//!
//! Time is that of the hidden `sleep` hook: pauses take no time here, and an outage ends when they add up to its length.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Client, DownloadOptions, Error, Snapshot, Source};
use tempfile::tempdir;

use crate::download_origin::{Asked, Origin, Reply, archive, names, quick_dir};
use crate::sandbox::{Fault, NewSnapshot, Port, Route, Sandbox};
use crate::support::{Slept, builder};

const ONE: Option<&str> = Some("\"one\"");

fn seconds(seconds: f32) -> Duration {
    Duration::from_secs_f32(seconds)
}

fn open(url: &str, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Snapshot {
    Client::builder("key-0").no_proxy().sleep(sleep).build().unwrap().open_url(url).unwrap()
}

/// What a host or the edge in front of it says in an outage.
fn outages() -> Vec<(&'static str, Reply)> {
    let with = |status, name: &str, value: &str| Reply {
        headers: vec![(name.into(), value.into()), ("Content-Type".into(), "text/html".into())],
        ..Reply::plain(status, "<html>back soon</html>")
    };
    vec![
        ("a closed connection", Reply { status: 0, ..Reply::default() }),
        ("500", Reply::plain(500, "oops")),
        ("502", with(502, "Server", "edge")),
        ("503", Reply::plain(503, "<Error><Code>SlowDown</Code></Error>")),
        ("503 and seconds", with(503, "Retry-After", "7")),
        ("503 and a date", with(503, "Retry-After", "Thu, 26 Nov 2026 04:00:09 GMT")),
        ("429", with(429, "Retry-After", "1")),
        ("429 and nonsense", with(429, "Retry-After", "soon")),
        ("520", Reply::plain(520, "<html>")),
        ("522", Reply::plain(522, "<html>")),
        ("524", Reply::plain(524, "<html>")),
        ("530", Reply::plain(530, "<html>")),
    ]
}

/// A host that is away from the request with this number on, until `slept` adds up to `length`.
fn away(object: Vec<u8>, from: usize, length: Duration, during: Reply, slept: &Slept) -> Origin<false> {
    let slept = slept.clone();
    Origin::start(move |asked| {
        if asked.number >= from && slept.total() < length {
            return during.clone();
        }
        let cut = Some(300_000).filter(|cut| asked.number < from && *cut < object.len());
        Reply { cut, ..Reply::right(&object, ONE, asked) }
    })
}

#[test]
fn an_outage_at_the_start_or_in_the_middle_is_waited_out() {
    let object = archive(2_500_000, 3);
    for (what, during) in outages() {
        for length in [0.3, 5.0, 60.0] {
            for (from, connections) in [(0, 1), (1, 1), (0, 3), (2, 3)] {
                let (slept, dir) = (Slept::default(), quick_dir());
                let origin = away(object.clone(), from, seconds(length), during.clone(), &slept);
                let options = DownloadOptions::new().connections(connections);
                let done = open(&origin.url(), slept.sleeper()).download_with(dir.path(), &options);
                let told = format!("{what}, {length} s from request {from}, {connections} connections: {done:?}");
                assert!(fs::read(done.expect(&told).path).unwrap() == object, "{told}");
                // Each connection pauses on its own, and the last pause may end after the outage.
                let most = (seconds(length) + seconds(30.1)) * connections as u32;
                assert!(slept.total() <= most, "{told}: paused for {:?}", slept.total());
            }
        }
    }
}

#[test]
fn readers_wait_out_an_outage_too() {
    let object = archive(900_000, 3);
    for (what, during) in outages() {
        for from in [0, 1] {
            let slept = Slept::default();
            let origin = away(object.clone(), from, seconds(60.0), during.clone(), &slept);
            let (snapshot, mut read) = (open(&origin.url(), slept.sleeper()), Vec::new());
            snapshot.reader().unwrap().read_to_end(&mut read).unwrap();
            assert!(read == object, "{what}");

            let slept = Slept::default();
            let origin = away(object.clone(), from, seconds(60.0), during.clone(), &slept);
            let remote = open(&origin.url(), slept.sleeper()).remote().unwrap();
            let mut buffer = [0; 1000];
            assert_eq!(remote.read_at(5000, &mut buffer).unwrap(), 1000);
            assert!(buffer == object[5000..6000], "{what}");
        }
    }
}

#[test]
fn a_port_that_refuses_connections_is_waited_for() {
    for connections in [1, 4] {
        let sandbox = Arc::new(Sandbox::builder().no_limits().start());
        let listed = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
        sandbox.pause(Port::Snapshots);
        let (slept, gate) = (Slept::default(), sandbox.clone());
        let (count, total) = (slept.sleeper(), slept.clone());
        let sleep = move |pause| {
            count(pause);
            if total.total() >= seconds(60.0) {
                gate.resume(Port::Snapshots);
            }
        };
        let snapshot = builder(&sandbox).sleep(sleep).build().unwrap().open_url(&listed.url).unwrap();
        let dir = tempdir().unwrap();
        snapshot.download_with(dir.path(), &DownloadOptions::new().connections(connections)).unwrap();
        assert!(slept.total() >= seconds(60.0) && slept.total() <= seconds(92.0), "{:?}", slept.total());
    }
}

#[test]
fn it_does_not_wait_longer_than_agreed() {
    for (limit, most) in [(None, 121.0), (Some(10.0), 11.0), (Some(0.0), 0.0)] {
        for connections in [1, 3] {
            let slept = Slept::default();
            let origin = Origin::<false>::start(|_| Reply::plain(503, "never"));
            let options = DownloadOptions::new().connections(connections);
            let options = limit.map_or(options.clone(), |limit| options.retry_for(seconds(limit)));
            let dir = tempdir().unwrap();
            let error = open(&origin.url(), slept.sleeper()).download_with(dir.path(), &options).unwrap_err();
            assert_eq!(error.status(), Some(503));
            assert!(slept.total() <= seconds(most), "{limit:?}: {:?}", slept.total());
            assert!(slept.total() >= seconds((most * 0.98 - 2.0_f32).max(0.0)), "{limit:?}: {:?}", slept.total());
            assert_eq!(names(dir.path()), [""; 0]);
        }
    }
}

#[test]
fn what_does_not_pass_is_not_waited_for() {
    for status in [401, 403, 404, 410] {
        let slept = Slept::default();
        let origin = Origin::<false>::start(move |_| Reply::plain(status, "no"));
        let dir = tempdir().unwrap();
        open(&origin.url(), slept.sleeper()).download(dir.path()).unwrap_err();
        assert_eq!((origin.asked().len(), slept.total()), (1, Duration::ZERO), "{status}");
    }
}

#[test]
fn the_host_is_given_the_time_it_asks_for() {
    let object = archive(1000, 3);
    for (value, least, most) in [("3", 3.0, 3.0), ("0", 0.2, 0.5), ("99999999999", 0.2, 0.5), ("86400", 119.9, 120.0)] {
        let (slept, body) = (Slept::default(), object.clone());
        let origin = Origin::<false>::start(move |asked| match asked.number {
            0 => Reply { headers: vec![("Retry-After".into(), value.into())], ..Reply::plain(429, "<html>") },
            _ => Reply::right(&body, ONE, asked),
        });
        let dir = tempdir().unwrap();
        open(&origin.url(), slept.sleeper()).download(dir.path()).unwrap();
        let total = slept.total();
        assert!((seconds(least)..=seconds(most)).contains(&total), "{value}: {total:?}");
    }
}

/// Cancelling is noticed while the download pauses, and the callback is told that it does.
#[test]
fn a_pause_can_be_cancelled_at_once() {
    for connections in [1, 3] {
        let origin = Origin::<false>::start(|_| Reply::plain(503, "never"));
        let (paused, attempts) = (std::sync::Mutex::new(None), AtomicU32::new(0));
        let options = DownloadOptions::new().connections(connections).progress(|p| {
            attempts.fetch_max(p.attempt, Ordering::Relaxed);
            // The second pause lasts half a second at least.
            if !p.waiting || p.attempt < 2 {
                return ControlFlow::Continue(());
            }
            paused.lock().unwrap().get_or_insert(Instant::now());
            ControlFlow::Break(())
        });
        let dir = tempdir().unwrap();
        let error = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &options).unwrap_err();
        let ended = paused.lock().unwrap().unwrap().elapsed();
        assert!(error.is_cancelled() && ended < Duration::from_millis(100), "{error:?} after {ended:?}");
        assert_eq!((attempts.load(Ordering::Relaxed), origin.asked().len()), (2, 2));
    }
}

#[test]
fn waiting_is_told_only_while_nothing_else_goes_on() {
    let object = archive(6_000_000, 3);
    let failed = Arc::new(AtomicBool::new(false));
    let once = failed.clone();
    let origin = Origin::<false>::start(move |asked| {
        let right = Reply::right(&object, ONE, asked);
        // One of two connections breaks off and pauses, the other one goes on.
        if asked.range(object.len()).unwrap().start == 1 << 20 && asked.number < 2 {
            once.store(true, Ordering::Relaxed);
            return Reply { status: 0, ..Reply::default() };
        }
        Reply { pace: Some((20_000, Duration::from_millis(4))), ..right }
    });
    let dir = tempdir().unwrap();
    let waited = AtomicU32::new(0);
    let options = DownloadOptions::new().connections(2).progress(|p| {
        waited.fetch_add(u32::from(p.waiting), Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &options).unwrap();
    assert!(failed.load(Ordering::Relaxed) && waited.load(Ordering::Relaxed) == 0);
}

/// A host that serves one request at a time and refuses the others in one way or another.
#[test]
fn a_host_that_refuses_additional_connections_costs_no_download() {
    for status in [429, 503] {
        for connections in [2, 8, 32] {
            let sandbox = Sandbox::builder().no_limits().max_connections(1, status).start();
            let bytes = archive(6_000_000, 3);
            let listed =
                sandbox.put_snapshot(NewSnapshot { bytes: Some(bytes.clone()), ..NewSnapshot::of(sandbox.app_id()) });
            sandbox.fault(Route::Object, Fault::Bandwidth(40_000_000));
            let snapshot = builder(&sandbox).sleep(|_| {}).build().unwrap().open_url(&listed.url).unwrap();
            let dir = tempdir().unwrap();
            let options = DownloadOptions::new().connections(connections);
            let done = snapshot.download_with(dir.path(), &options);
            let done = done.unwrap_or_else(|e| panic!("{status}, {connections} connections: {e:#}"));
            assert!(fs::read(done.path).unwrap() == bytes);
        }
    }
    // Whatever else a host does to them.
    let refusals: [fn(&Asked) -> Reply; 3] = [
        |_| Reply::plain(403, "only one at a time"),
        |_| Reply { status: 0, ..Reply::default() },
        |_| Reply {
            headers: vec![("Content-Type".into(), "text/html".into())],
            ..Reply::plain(200, "<html>no</html>")
        },
    ];
    for refuse in refusals {
        let object = archive(6_000_000, 3);
        let (body, busy) = (object.clone(), AtomicBool::new(false));
        let origin = Origin::<false>::start(move |asked| {
            if asked.number > 0 && busy.swap(true, Ordering::SeqCst) {
                return refuse(asked);
            }
            std::thread::sleep(Duration::from_millis(3));
            busy.store(false, Ordering::SeqCst);
            Reply::right(&body, ONE, asked)
        });
        let dir = tempdir().unwrap();
        let options = DownloadOptions::new().connections(8);
        let done = open(&origin.url(), |_| {}).download_with(dir.path(), &options).unwrap();
        assert!(fs::read(done.path).unwrap() == object);
    }
}

#[test]
fn what_is_not_valid_http_is_a_broken_connection() {
    let object = archive(500_000, 3);
    let bad_chunk = Reply {
        status: 200,
        headers: vec![("Transfer-Encoding".into(), "chunked".into())],
        length: Some(None),
        body: b"5\r\nPK\x03\x04x\r\nzz\r\n".to_vec(),
        ..Reply::default()
    };
    for garbage in [Reply::plain(7, ""), bad_chunk] {
        for hops in [0, 1] {
            let (body, garbage, broken) = (object.clone(), garbage.clone(), AtomicBool::new(false));
            let origin = Origin::<false>::start(move |asked| {
                if hops == 1 && !asked.line.contains("/other/") {
                    let headers = vec![("Location".into(), "../../other/app.zip?token=1".into())];
                    return Reply { headers, ..Reply::plain(302, "") };
                }
                if broken.swap(true, Ordering::Relaxed) { Reply::right(&body, ONE, asked) } else { garbage.clone() }
            });
            let dir = tempdir().unwrap();
            let done = open(&origin.url(), |_| {}).download(dir.path()).unwrap();
            assert!(fs::read(done.path).unwrap() == object);
        }
    }
}

/// In a directory, a link without a version gives a name by the time it was signed, and a listing another one.
#[test]
fn a_fresh_link_continues_the_part_file_of_another_name() {
    let object = archive(2_000_000, 3);
    let body = object.clone();
    let origin = Origin::<false>::start(move |asked| {
        let mut right = Reply::right(&body, ONE, asked);
        right.headers.push(("x-amz-version-id".into(), "v1".into()));
        Reply { cut: asked.header("range").is_none().then_some(900_000), ..right }
    });
    let old = origin.url_without_version();
    let fresh = old.replace("Expires=1797790051", "Expires=1797795555");
    let other = fresh.replace("app.zip", "other.zip");
    for (first, second, continued) in
        [(&old, &fresh, 900_000), (&old, &origin.url(), 900_000), (&origin.url(), &fresh, 0), (&old, &other, 0)]
    {
        let dir = tempdir().unwrap();
        let options = DownloadOptions::new().attempts(1);
        open(first, |_| {}).download_with(dir.path(), &options).unwrap_err();
        let left = names(dir.path());
        let done = open(second, |_| {}).download(dir.path()).unwrap();
        assert_eq!(done.resumed_from, continued, "{first} then {second}: {left:?}");
        assert!(fs::read(&done.path).unwrap() == object);
        if continued > 0 {
            assert_eq!(names(dir.path()), [open(second, |_| {}).file_name()]);
        }
    }
}

/// A connection that is refused comes back no sooner than the host allows, while others go on.
#[test]
fn a_refused_connection_comes_back_when_the_host_says_so() {
    let object = archive(6_000_000, 3);
    let (body, busy, refused) = (object.clone(), AtomicBool::new(false), Arc::new(AtomicU32::new(0)));
    let count = refused.clone();
    let origin = Origin::<false>::start(move |asked| {
        if asked.number > 0 && busy.swap(true, Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
            return Reply { headers: vec![("Retry-After".into(), "30".into())], ..Reply::plain(429, "") };
        }
        std::thread::sleep(Duration::from_millis(20));
        busy.store(false, Ordering::SeqCst);
        Reply::right(&body, ONE, asked)
    });
    let (slept, dir) = (Slept::default(), tempdir().unwrap());
    let options = DownloadOptions::new().connections(4);
    // Time passes 200 times as fast.
    let count = slept.sleeper();
    let sleep = move |pause| {
        count(pause);
        std::thread::sleep(pause / 200);
    };
    let done = open(&origin.url(), sleep).download_with(dir.path(), &options).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused > 0);
    // The last pause of each is cut short when the others have finished.
    assert!(slept.total() >= seconds(30.0) * refused.saturating_sub(3), "{refused}: {:?}", slept.total());
    assert!(refused <= 12, "{refused} refusals");
}

/// The part file belongs to the object, not to the link it began with.
#[test]
fn a_fresh_link_continues_the_part_file() {
    let object = archive(2_000_000, 3);
    let origin = Origin::<false>::breaking(object.clone(), 900_000);
    let links = [origin.url(), origin.url_without_version()];
    for (first, second) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.zip");
        let options = DownloadOptions::new().attempts(1);
        let error = open(&links[first], |_| {}).download_with(&path, &options).unwrap_err();
        assert!(matches!(error, Error::Network { .. }), "{error:?}");
        let fresh =
            links[second].replace("Expires=1797790051", "Expires=1797795555").replace("Signature=", "Signature=new");
        let done = open(&fresh, |_| {}).download(&path).unwrap();
        assert_eq!(done.resumed_from, 900_000, "{first} then {second}");
        assert!(fs::read(path).unwrap() == object);
    }
}
