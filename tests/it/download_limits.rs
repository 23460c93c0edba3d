//! What ends a transfer and what does not: slow hosts, late responses, web pages, records in odd states.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Client, DownloadOptions, Snapshot};

use super::Origin;
use super::download_files::begin;
#[cfg(target_os = "linux")]
use super::download_files::child_command;
use crate::download_origin::{Asked, Reply, archive, chain, names, quick_dir};

const ONE: Option<&str> = Some("\"one\"");
const LIMIT: Duration = Duration::from_millis(600);
const PART: &str = ".x.zip.part";
const META: &str = ".x.zip.part.meta";

fn impatient(url: &str, min_speed: u64) -> Snapshot {
    let client = Client::builder("key-0").timeout(LIMIT).min_speed(min_speed).no_proxy().build().unwrap();
    client.open_url(url).unwrap()
}

/// Where a download goes on; it is cancelled at its first word.
fn resumed(snapshot: &Snapshot, path: &Path, connections: usize) -> u64 {
    let resumed = Mutex::new(None);
    let options = DownloadOptions::new().connections(connections).progress(|p| {
        resumed.lock().unwrap().get_or_insert(p.resumed_from);
        ControlFlow::Break(())
    });
    let _ = snapshot.download_with(path, &options);
    let first = *resumed.lock().unwrap();
    first.unwrap()
}

/// A host that is fast and then silent, or late, over and over: 5 kB in 200 ms and more, a fortieth of the minimum.
#[test]
fn bursts_between_silences_are_below_the_minimum_speed() {
    let object = archive(400_000, 3);
    type Delay = fn(Reply) -> Reply;
    let delays: [Delay; 2] = [
        |right| Reply { silent: Some((5000, LIMIT * 4)).filter(|(n, _)| *n < right.body.len()), ..right },
        |right| Reply { late: LIMIT / 3, cut: Some(5000).filter(|n| *n < right.body.len()), ..right },
    ];
    for delay in delays {
        let body = object.clone();
        let origin = Origin::start(move |asked| delay(Reply::right(&body, ONE, asked)));
        let (dir, begun) = (quick_dir(), Instant::now());
        let result = impatient(&origin.url(), 1 << 20).download(dir.path());
        assert!(result.is_err() && begun.elapsed() < LIMIT * 6, "{:?}, {result:?}", begun.elapsed());
    }
}

/// The time limit of the first response is that of 1 MiB, and the host that ignores ranges sends all.
#[test]
fn a_whole_answer_to_the_first_range_has_the_time_it_needs() {
    let object = archive(6_000_000, 3);
    let body = object.clone();
    // 100 kB each 40 ms: 2.5 MB/s, more than twice the minimum speed.
    let origin = Origin::start(move |asked| {
        let plain = Asked { headers: Vec::new(), ..asked.clone() };
        Reply { pace: Some((100_000, Duration::from_millis(40))), ..Reply::right(&body, ONE, &plain) }
    });
    let dir = quick_dir();
    let options = DownloadOptions::new().connections(4);
    let done = impatient(&origin.url(), 1 << 20).download_with(dir.path(), &options).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
    assert_eq!(origin.asked().len(), 1, "nothing was wrong with the first response");
}

/// A page in the snapshot's place is not the snapshot, whatever headers it has.
#[test]
fn a_web_page_in_the_middle_costs_nothing() {
    type Page = (&'static str, Option<&'static str>, &'static [(&'static str, &'static str)]);
    let pages: [Page; 3] = [
        ("known by its version only", None, &[("Content-Type", "text/html")]),
        ("a page with a tag", ONE, &[("Content-Type", "text/html"), ("ETag", "\"page\"")]),
        ("upper case", ONE, &[("Content-Type", "Text/HTML; charset=utf-8")]),
    ];
    let mut lost = Vec::new();
    for (what, etag, page) in pages {
        let object = archive(2_000_000, 3);
        let origin = Origin::start(move |asked| {
            let mut right = Reply::right(&object, etag, asked);
            right.headers.push(("x-amz-version-id".into(), "v1".into()));
            match asked.number {
                0 => Reply { cut: Some(1_000_000), ..right },
                1 => {
                    let headers = page.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
                    Reply { headers, ..Reply::plain(200, "<html>back soon</html>") }
                }
                _ => right,
            }
        });
        let dir = quick_dir();
        let path = dir.path().join("x.zip");
        let snapshot = Snapshot::from_url(&origin.url()).unwrap();
        let first = snapshot.download(&path).unwrap_err();
        let done = snapshot.download(&path).unwrap();
        if done.resumed_from != 1_000_000 {
            lost.push(format!("{what}: {} kept after {first:?}", done.resumed_from));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

/// One connection survives a silence; of several, one silent response ends all.
#[test]
fn one_silent_response_of_many_is_mended() {
    let object = archive(6_000_000, 3);
    let body = object.clone();
    let origin = Origin::start(move |asked| {
        let late = if asked.number == 3 { LIMIT * 4 } else { Duration::ZERO };
        Reply { late, ..Reply::right(&body, ONE, asked) }
    });
    let dir = quick_dir();
    let options = DownloadOptions::new().connections(2);
    let done = impatient(&origin.url(), 1024).download_with(dir.path(), &options).unwrap();
    assert!(fs::read(done.path).unwrap() == object);
}

/// The first failure in time is why the download ended, not that of the calling thread.
#[test]
fn a_cancelled_download_says_so_with_several_connections_too() {
    for _ in 0..4 {
        let object = archive(4_000_000, 3);
        // The last piece flows; the others fall silent.
        let origin = Origin::start(move |asked| {
            let right = Reply::right(&object, ONE, asked);
            match asked.range(object.len()).unwrap().start {
                3_145_728 => Reply { pace: Some((50_000, Duration::from_millis(10))), ..right },
                _ => Reply { silent: Some((100_000, LIMIT * 4)), ..right },
            }
        });
        let dir = quick_dir();
        let options = DownloadOptions::new()
            .connections(4)
            .attempts(1)
            .progress(|p| if p.bytes > 700_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        let error = impatient(&origin.url(), 1024).download_with(dir.path(), &options).unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
    }
}

/// What one connection put on the disk stays there when several go on.
#[cfg(target_os = "linux")]
#[test]
fn what_is_durable_stays_so_when_the_part_file_is_cut() {
    let object = archive(4_000_000, 9);
    let origin = Origin::breaking(object, 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let dir = quick_dir();
    let (path, meta) = (dir.path().join("x.zip"), dir.path().join(META));
    begin(&snapshot, &path);
    // As if all that is written had been synced.
    let text = fs::read_to_string(&meta).unwrap();
    let written = &text[text.len() - 34..text.len() - 18];
    fs::write(&meta, format!("{}{written}\n", &text[..text.len() - 17])).unwrap();
    let before = resumed(&snapshot, &path, 4);
    assert!(before > 0);
    // The machine restarts.
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replacen("\"boot\":\"", "\"boot\":\"earlier-", 1)).unwrap();
    assert!(resumed(&snapshot, &path, 4) >= before.min(600_000));
}

/// A record without a byte yet (killed before the first write) is cut like a new one.
#[test]
fn a_record_without_bytes_does_not_hold_several_connections_back() {
    let object = archive(6_000_000, 9);
    let origin = Origin::breaking(object.clone(), 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    let dir = quick_dir();
    let (path, meta) = (dir.path().join("x.zip"), dir.path().join(META));
    begin(&snapshot, &path);
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, format!("{}{:016x} {:016x}\n", &text[..text.len() - 34], 0, 0)).unwrap();
    let before = origin.asked().len();
    snapshot.download_with(&path, &DownloadOptions::new().connections(4)).unwrap();
    assert!(fs::read(&path).unwrap() == object);
    let asked = &origin.asked()[before..];
    assert!(asked.iter().filter(|a| a.header("range").is_some()).count() > 2, "{asked:#?}");
}

/// The query of a redirect's target is a signature, too.
#[test]
fn an_error_page_after_a_redirect_shows_no_secret() {
    let origin = Origin::start(|asked| {
        let target = "/other/app.zip?token=rEdIrEcTeDsEcReT";
        match asked.line.contains("/other/") {
            false => Reply { headers: vec![("Location".into(), target.into())], ..Reply::plain(302, "") },
            true => Reply::plain(403, "token rEdIrEcTeDsEcReT has expired"),
        }
    });
    let dir = quick_dir();
    let error = Snapshot::from_url(&origin.url()).unwrap().download(dir.path()).unwrap_err();
    assert!(!chain(&error).contains("rEdIrEcTeDsEcReT"), "{error}");
}

/// Progress while another download holds the part file, and of a file that is kept.
#[test]
fn the_first_attempt_is_number_one() {
    let object = archive(3_000_000, 9);
    let origin = Origin::start(move |asked| Reply {
        pace: Some((200_000, Duration::from_millis(20))),
        ..Reply::right(&object, ONE, asked)
    });
    let dir = quick_dir();
    let path = dir.path().join("x.zip");
    let (url, lowest) = (origin.url(), AtomicU64::new(9));
    let begun = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let options = DownloadOptions::new().progress(|_| {
            begun.store(true, Ordering::Relaxed);
            ControlFlow::Continue(())
        });
        let first = {
            let (url, path) = (url.clone(), path.clone());
            scope.spawn(move || Snapshot::from_url(&url).unwrap().download_with(path, &options).unwrap())
        };
        while !begun.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let options = DownloadOptions::new().overwrite(squarecloud_blocking::Overwrite::Keep).progress(|p| {
            lowest.fetch_min(p.attempt.into(), Ordering::Relaxed);
            ControlFlow::Continue(())
        });
        Snapshot::from_url(&url).unwrap().download_with(&path, &options).unwrap();
        first.join().unwrap();
    });
    assert_eq!(lowest.load(Ordering::Relaxed), 1);
}

/// A process that has no more files to open must not remove what an earlier one fetched.
#[cfg(target_os = "linux")]
#[test]
fn too_many_open_files_cost_no_part_file() {
    let object = archive(2_000_000, 9);
    let origin = Origin::breaking(object, 700_000);
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    for files in 4..16 {
        let dir = quick_dir();
        let path = dir.path().join("x.zip");
        begin(&snapshot, &path);
        assert_eq!(names(dir.path()), [PART, META]);
        let limit = format!("ulimit -n {files}");
        let said = child_command(Some(&limit), &origin.url(), &path, 1).output().unwrap();
        assert!(path.exists() || dir.path().join(PART).exists(), "{files} files: the part file is gone: {said:?}");
    }
}

/// A connection that pauses before its next attempt makes none after the download was cancelled.
#[test]
fn a_pause_that_is_cut_short_is_not_followed_by_a_request() {
    for _ in 0..6 {
        let object = archive(1_900_000, 3);
        let broke = std::sync::Arc::new(Mutex::new(None));
        let (seen, tries) = (broke.clone(), std::sync::Arc::new(AtomicU64::new(0)));
        let tried = tries.clone();
        let origin = Origin::start(move |asked| {
            let right = Reply::right(&object, ONE, asked);
            if asked.range(object.len()).unwrap().start == 0 {
                return Reply { pace: Some((4_000, Duration::from_millis(2))), ..right };
            }
            tried.fetch_add(1, Ordering::Relaxed);
            seen.lock().unwrap().get_or_insert(Instant::now());
            Reply { cut: Some(0), ..right }
        });
        let dir = quick_dir();
        let options = DownloadOptions::new().connections(2).progress(|_| {
            let broke = *broke.lock().unwrap();
            // The first pause lasts 25 ms at least.
            match broke.is_some_and(|at: Instant| at.elapsed() > Duration::from_millis(12)) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let error = impatient(&origin.url(), 1024).download_with(dir.path(), &options).unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(tries.load(Ordering::Relaxed), 1, "a request after the cancellation");
    }
}
