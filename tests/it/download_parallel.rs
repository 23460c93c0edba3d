//! Ranges side by side.

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use squarecloud_blocking::{DownloadOptions, Snapshot};
use tempfile::tempdir;

use super::Origin;
use crate::download_origin::{Asked, Reply, archive, names};

const ONE: Option<&str> = Some("\"one\"");

fn four() -> DownloadOptions<'static> {
    DownloadOptions::new().connections(4)
}

#[test]
fn four_connections_give_the_same_file() {
    for size in [10, 1_000_000, 1_100_000, 9_000_000] {
        let object = archive(size, 7);
        let origin = Origin::good(object.clone());
        let dir = tempdir().unwrap();
        let last = Mutex::new(None);
        let options = four().progress(|p| {
            *last.lock().unwrap() = Some(p);
            ControlFlow::Continue(())
        });
        let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &options).unwrap();
        assert!(fs::read(&done.path).unwrap() == object, "{size}");
        assert_eq!(names(dir.path()), ["app.v1.zip"]);
        assert_eq!(last.lock().unwrap().unwrap().bytes, object.len() as u64);
        let fetched: usize = origin.asked().iter().map(|a| a.range(object.len()).unwrap().len()).sum();
        assert_eq!(fetched, object.len(), "no byte twice");
    }
}

#[test]
fn without_ranges_the_first_answer_is_used() {
    let object = archive(3_000_000, 7);
    let body = object.clone();
    let origin = Origin::start(move |asked| Reply::right(&body, ONE, &Asked { headers: Vec::new(), ..asked.clone() }));
    let dir = tempdir().unwrap();
    let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &four()).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn without_a_proof_of_sameness_one_connection_has_to_do() {
    let object = archive(3_000_000, 7);
    let body = object.clone();
    let origin = Origin::start(move |asked| Reply::right(&body, None, asked));
    let dir = tempdir().unwrap();
    let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &four()).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
    assert!(origin.asked()[1].header("range").is_none());
}

#[test]
fn cuts_in_every_answer_are_mended() {
    let object = archive(4_000_000, 7);
    let body = object.clone();
    let origin = Origin::start(move |asked| {
        let mut reply = Reply::right(&body, ONE, asked);
        reply.cut = Some(200_000 + asked.number * 977).filter(|cut| *cut < reply.body.len());
        reply
    });
    let dir = tempdir().unwrap();
    let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &four()).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
}

#[test]
fn an_object_that_changes_half_way_is_fetched_anew() {
    let (old, new) = (archive(6_000_000, 7), archive(6_000_000, 8));
    let body = new.clone();
    let origin = Origin::start(move |asked| match asked.number {
        0..=2 => Reply::right(&old, ONE, asked),
        _ => Reply::right(&body, Some("\"two\""), asked),
    });
    let dir = tempdir().unwrap();
    let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &four()).unwrap();
    assert!(fs::read(done.path).unwrap() == new);
    assert_eq!(names(dir.path()), ["app.v1.zip"]);
}

#[test]
fn a_cancelled_one_goes_on_with_any_number_of_connections() {
    let object = archive(12_000_000, 7);
    for (before, after) in [(4, 4), (4, 1), (1, 4)] {
        let body = object.clone();
        let origin = Origin::start(move |asked| Reply {
            pace: Some((100_000, Duration::from_millis(4))),
            ..Reply::right(&body, ONE, asked)
        });
        let dir = tempdir().unwrap();
        let snapshot = Snapshot::from_url(&origin.url()).unwrap();
        let options = DownloadOptions::new()
            .connections(before)
            .progress(|p| if p.bytes > 4_000_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        assert!(snapshot.download_with(dir.path(), &options).unwrap_err().is_cancelled());
        let options = DownloadOptions::new().connections(after);
        let done = snapshot.download_with(dir.path(), &options).unwrap();
        assert!(fs::read(&done.path).unwrap() == object, "{before} then {after}");
        assert!(done.resumed_from > 3_000_000, "{before} then {after}: {}", done.resumed_from);
        assert_eq!(names(dir.path()), ["app.v1.zip"]);
    }
}

#[test]
fn the_connections_fetch_at_the_same_time() {
    let object = archive(8_000_000, 7);
    let body = object.clone();
    let arrived = Arc::new((Mutex::new(0), Condvar::new()));
    let (met, timed_out) = (arrived.clone(), Arc::new(AtomicBool::new(false)));
    let late = timed_out.clone();
    // After the first request, none is answered before four are there.
    let origin = Origin::start(move |asked| {
        if asked.number > 0 {
            let mut count = met.0.lock().unwrap();
            *count += 1;
            met.1.notify_all();
            let waited = met.1.wait_timeout_while(count, Duration::from_secs(10), |count| *count < 4).unwrap();
            late.fetch_or(waited.1.timed_out(), Ordering::Relaxed);
        }
        Reply::right(&body, ONE, asked)
    });
    let dir = tempdir().unwrap();
    let done = Snapshot::from_url(&origin.url()).unwrap().download_with(dir.path(), &four()).unwrap();
    assert!(fs::read(done.path).unwrap() == object && !timed_out.load(Ordering::Relaxed));
}
