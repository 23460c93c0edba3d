//! Snapshots that cannot be fetched, a host that is away and a disk that is full: the rest of a run goes on, and each
//! failure is told.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use squarecloud_blocking::{Client, Error, Kind, MirrorReport};

use crate::download_origin::{archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::{End, Fault, NewSnapshot, On, Port, Route, Sandbox};
use crate::support::{Slept, builder};

/// What may be wrong with one snapshot, whether its link is renewed, and what the error says.
fn faults() -> Vec<(Fault, bool, &'static str)> {
    vec![
        (Fault::xml(404, "NoSuchKey"), true, "HTTP 404"),
        (Fault::xml(403, "AccessDenied"), true, "HTTP 403"),
        (Fault::Expired, true, "HTTP 403"),
        (Fault::html(410), true, "HTTP 410"),
        (Fault::xml(400, "InvalidArgument"), true, "HTTP 400"),
        (Fault::html(401), true, "HTTP 401"),
        (Fault::html(503), false, "HTTP 503"),
        (Fault::html(500), false, "HTTP 500"),
        (Fault::html(200), false, "not a zip archive"),
        (Fault::Body(b"PK\x03\x04 and then nothing of use".to_vec()), false, "damaged"),
        (Fault::Body(Vec::new()), false, "empty"),
        (Fault::Truncate(700), false, "damaged"),
        (Fault::BeforeAnswer(End::Reset), false, "received no complete response"),
        (Fault::Garbage(b"nonsense\r\n\r\n".to_vec()), false, "received no complete response"),
    ]
}

#[test]
fn one_bad_snapshot_does_not_end_the_run() {
    for (fault, is_renewed, said) in faults() {
        let (sandbox, dir) = world(3);
        let bad = [put(&sandbox, sandbox.app_id(), 0), put(&sandbox, sandbox.app_id(), 0)];
        let wanted = [listed(&sandbox, Kind::App), listed(&sandbox, Kind::Database)].concat();
        sandbox.clear_requests();
        let force = sandbox.fault(On::path("GET", &bad[0].path), fault.clone());
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.fetched.len(), report.failed.len()), (6, 2), "{fault:?}: {report:?}");
        assert!(!report.is_complete() && report.errors().count() == 2 && report.stopped.is_none());
        for (info, error) in &report.failed {
            assert!(bad.iter().any(|bad| Some(&bad.version_id) == info.version_id.as_ref()), "{info:?}");
            assert!(format!("{error:#}").contains(said), "{said}: {error:#}");
        }
        assert!(files(&dir).iter().all(|path| wanted.iter().any(|wanted| wanted.0 == *path) || path.contains("/.")));
        // A link that may have expired has its kind listed once more, and a new one is asked for, too, if there is one.
        assert_eq!(sandbox.count(Route::ListAccount), if is_renewed { 3 } else { 2 }, "{fault:?}");
        assert!(!is_renewed || (2..=4).contains(&force.hits()), "{fault:?}: {}", force.hits());
        sandbox.clear_faults();
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.fetched.len(), report.kept, report.is_complete()), (2, 6, true), "{fault:?}");
        assert_eq!(files(&dir), paths(&wanted));
    }
}

/// What could not be listed may be listed all the same.
#[test]
fn a_damaged_file_is_not_said_to_be_gone_when_the_listing_failed() {
    for fault in [Fault::Code(500, "INTERNAL_SERVER_ERROR", ""), Fault::Response(serde_json::json!([]))] {
        let (sandbox, dir) = world(2);
        mirror(&sandbox, &dir).run().unwrap();
        let file = dir.path().join(&files(&dir)[0]);
        fs::File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        spoil_listing(&sandbox, Kind::App, fault);
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.damaged.len(), report.failed.len(), report.kept), (1, 1, 3), "{report:?}");
        let said = report.failed[0].1.to_string();
        assert!(!said.contains("any more") && said.contains("its snapshot could not be listed"), "{said}");
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.fetched, report.kept), (vec![file], 3));
    }
}

/// The links in the next `listings` listings are refused by the host.
fn stale_links(sandbox: &Sandbox, listings: u64) {
    let edit: fn(&mut serde_json::Value) = |envelope| {
        for item in envelope["response"].as_array_mut().unwrap() {
            for field in ["url", "key"] {
                item[field] = item[field].as_str().unwrap().replace("Signature=", "Signature=x").into();
            }
        }
    };
    sandbox.fault(Route::ListAccount, Fault::Edit(edit)).times(listings);
}

#[test]
fn expired_links_are_renewed_by_one_more_listing_of_their_kind() {
    let (sandbox, dir) = world(10);
    stale_links(&sandbox, 1);
    let report = mirror(&sandbox, &dir).threads(4).run().unwrap();
    assert!(report.is_complete() && report.fetched.len() == 20, "{report:?}");
    assert_eq!(asked(&sandbox), (3, 30));
    // Links that lead nowhere, however new, are asked for twice.
    put(&sandbox, sandbox.app_id(), 0);
    put(&sandbox, sandbox.database_id(), 0);
    stale_links(&sandbox, 2);
    sandbox.fault(On::Snapshots, Fault::Expired);
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.failed.len(), report.kept, asked(&sandbox)), (2, 20, (4, 4)), "{report:?}");
    assert!(report.failed.iter().all(|(_, error)| error.status() == Some(403)));
    // A listing that fails when it is asked for again, or has none of them any more, renews nothing.
    for fault in [Fault::rate_limited(), Fault::Response(serde_json::json!([]))] {
        sandbox.clear_faults();
        stale_links(&sandbox, 2);
        sandbox.fault(Route::ListAccount, fault).after(2);
        let report = mirror(&sandbox, &dir).run().unwrap();
        assert_eq!((report.failed.len(), asked(&sandbox)), (2, (4, 2)), "{report:?}");
    }
    sandbox.clear_faults();
    assert!(mirror(&sandbox, &dir).run().unwrap().is_complete());
}

/// A download that is cut, whose link has expired when it goes on. Returns whether its progress never told too much.
fn cut_and_renewed() -> bool {
    let (sandbox, dir) = world(0);
    sandbox.write_file(sandbox.app_id(), "noise.bin", archive(300_000, 5));
    put(&sandbox, sandbox.app_id(), 1);
    let wanted = listed(&sandbox, Kind::App).remove(0);
    let edit: fn(&mut serde_json::Value) = |envelope| {
        // Good, but another one than the next listing's.
        let url = envelope["response"][0]["url"].as_str().unwrap().to_owned();
        envelope["response"][0]["url"] = format!("{url}&first=1").into();
    };
    sandbox.fault(Route::ListAccount, Fault::Edit(edit)).once();
    sandbox.fault(On::Snapshots, Fault::InBody(200_000, End::Close)).once();
    sandbox.fault(On::Snapshots, Fault::Expired).once().after(1);
    let (seen, size) = (Mutex::new(Vec::new()), wanted.1.len() as u64);
    let report = mirror(&sandbox, &dir).kind(Kind::App).run_with(|progress| {
        seen.lock().unwrap().push(progress.bytes);
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert!(report.is_complete() && fs::read(dir.path().join(&wanted.0)).unwrap() == wanted.1, "{report:?}");
    let requests = sandbox.requests();
    let ranges: Vec<_> = requests.iter().filter(|r| r.port == Port::Snapshots).map(|r| r.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=200000-"), Some("bytes=200000-")]);
    seen.into_inner().unwrap().iter().all(|bytes| *bytes <= size)
}

#[test]
fn a_renewed_link_goes_on_where_the_old_one_ended() {
    cut_and_renewed();
}

#[test]
fn bytes_that_a_renewed_link_goes_on_with_are_counted_once() {
    assert!(cut_and_renewed());
}

/// A run that gets nothing of 20 snapshots, and how many seconds it waits for the host.
fn in_vain(spoil: impl Fn(&Sandbox)) -> (MirrorReport, u64) {
    let (sandbox, dir) = world(10);
    spoil(&sandbox);
    let slept = Slept::default();
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    let report = client.mirror(dir.path()).run().unwrap();
    assert!(report.fetched.is_empty() && files(&dir).is_empty() && !report.is_complete(), "{report:?}");
    sandbox.clear_faults();
    if sandbox.count(On::Snapshots) == 0 {
        sandbox.resume(Port::Snapshots);
    }
    assert!(mirror(&sandbox, &dir).run().unwrap().is_complete());
    (report, slept.total().as_secs())
}

#[test]
fn a_host_that_is_away_ends_the_run_before_it_was_waited_for_for_each_snapshot() {
    let close = |sandbox: &Sandbox| drop(sandbox.fault(On::Snapshots, Fault::BeforeAnswer(End::Close)));
    for (report, seconds) in [in_vain(|sandbox| sandbox.pause(Port::Snapshots)), in_vain(close)] {
        // Each of two threads waits for 2 min, and one of them again.
        assert!((240..=500).contains(&seconds), "{seconds}");
        assert!((2..=3).contains(&report.failed.len()), "{report:?}");
        assert!(matches!(report.stopped, Some(Error::Network { .. })), "{report:?}");
    }
}

#[test]
fn a_host_that_is_busy_is_not_waited_for_for_each_snapshot() {
    for status in [503, 502, 522] {
        let (report, seconds) = in_vain(|sandbox| drop(sandbox.fault(On::Snapshots, Fault::html(status))));
        assert!((100..=500).contains(&seconds), "{status}: {seconds} s for {} snapshots", report.failed.len());
    }
}

/// Three snapshots that the host cannot send do not stand against the others.
#[test]
fn some_snapshots_whose_connections_break_do_not_end_the_run() {
    let (sandbox, dir) = world(5);
    for _ in 0..4 {
        put(&sandbox, sandbox.app_id(), 0);
    }
    let path = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id())).path;
    sandbox.fault(On::path("GET", &path), Fault::BeforeAnswer(End::Reset));
    let report = mirror(&sandbox, &dir).run().unwrap();
    assert_eq!((report.fetched.len(), report.failed.len()), (10, 5), "{report:?}");
}

#[test]
fn a_host_that_comes_back_is_not_given_up() {
    let (sandbox, dir) = world(10);
    sandbox.fault(On::Snapshots, Fault::html(503)).times(6);
    sandbox.fault(On::Snapshots, Fault::BeforeAnswer(End::Reset)).times(4).after(9);
    let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    let report = client.mirror(dir.path()).run().unwrap();
    assert!(report.is_complete() && report.fetched.len() == 20, "{report:?}");
}

/// Mirrors in a process of its own, to a file system that may be too small. Started by the test below.
#[test]
#[ignore = "a process that another test starts"]
fn child() {
    let Ok(dir) = std::env::var("MIRROR_DIR") else { return };
    let var = |name: &str| std::env::var(name).unwrap();
    let builder = Client::builder(var("MIRROR_KEY")).base_url(var("MIRROR_API")).snapshot_host(var("MIRROR_HOST"));
    let (client, ballast) = (builder.build().unwrap(), Path::new(&dir).join("ballast"));
    fs::write(&ballast, vec![1; (4 << 20) - 720_000]).unwrap();
    let report = client.mirror(&dir).run().unwrap();
    let full = |error: &Error| matches!(error, Error::Io { source, .. } if source.to_string().contains("No space"));
    assert!(report.stopped.as_ref().is_some_and(full), "{report:?}");
    assert!(report.failed.is_empty() && !report.is_complete() && report.pruned.is_empty(), "{report:?}");
    assert!((1..5).contains(&report.fetched.len()), "{report:?}");
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["stopped"].as_str().unwrap().contains("No space left"), "{json}");
    for (path, (what, ..)) in tree(dir.as_ref()) {
        let is_hidden = path.file_name().unwrap().to_str().unwrap().starts_with('.');
        let is_fetched = report.fetched.iter().any(|fetched| fetched.ends_with(&path));
        assert!(what != "file" || is_hidden || is_fetched || path.ends_with("ballast"), "{path:?}");
    }
    // With more room, the next run finishes.
    fs::remove_file(ballast).unwrap();
    let again = client.mirror(&dir).run().unwrap();
    assert!(again.is_complete() && again.kept == report.fetched.len(), "{again:?}");
    println!("all is well");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_with_what_was_done() {
    let (sandbox, dir) = world(0);
    for number in 0..6 {
        let bytes = Some(archive(200_000 + number as usize, 3));
        sandbox.put_snapshot(NewSnapshot { bytes, age: DAY * number, ..NewSnapshot::of(sandbox.app_id()) });
    }
    let script = "mount -t tmpfs -o size=4m tmpfs \"$MIRROR_DIR\" || exit 77; exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mirror_failures::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("MIRROR_DIR", dir.path())
        .env("MIRROR_KEY", sandbox.api_key())
        .env("MIRROR_API", sandbox.base_url())
        .env("MIRROR_HOST", sandbox.snapshot_host())
        .output();
    let Ok(output) = output else { return };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Where users may not make namespaces, there is nothing to see.
    if output.status.code() == Some(77) || text.contains("unshare:") {
        return;
    }
    assert!(text.contains("all is well"), "{text}");
}

#[test]
fn a_directory_that_cannot_be_made_or_written_to_is_an_error() {
    let (sandbox, dir) = world(1);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("in")] {
        let mirror = hasty(&sandbox).build().unwrap().mirror(&path);
        let error = mirror.run().unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file"), "{error}");
    }
    let other = quick_dir();
    fs::write(other.path().join("apps"), "").unwrap();
    let error = mirror(&sandbox, &other).run().unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("apps")), "{error:?}");
    assert!(mirror(&sandbox, &other).plan().is_err() && sandbox.count(On::Snapshots) == 0);
    assert_eq!(files(&other), ["apps"]);
}
