//! What a hard reviewer found in reading straight from the host: hangs, first of all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use squarecloud_blocking::{Archive, DownloadOptions, ExtractOptions, Refusal, Remote, Snapshot, Source};

use crate::download_origin::{Origin as Host, Reply, archive as noise};
use crate::raw_zip::{deflated, file, link, zip};

type Origin = Host<false>;
const ONE: Option<&str> = Some("\"one\"");
const MIB: usize = 1 << 20;

fn remote(origin: &Origin) -> Archive<Remote> {
    Snapshot::from_url(&origin.url()).unwrap().archive().unwrap()
}

/// What `work` returns, unless it hangs.
fn soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, result) = channel();
    std::thread::spawn(move || sender.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))));
    match result.recv_timeout(Duration::from_secs(15)) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => panic!("HANG: no result after 15 seconds"),
    }
}

fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(len)
    .collect()
}

/// A hidden entry between a link and the next entry.
#[test]
fn a_hidden_entry_behind_a_link_is_refused() {
    let hidden = file("evil", b"evil").with(|e| e.no_central = true);
    let archive = zip(vec![file("a", b"a"), link("l", "a"), hidden, file("b", b"b")]).bytes();
    let archive = Archive::new(archive).unwrap();
    assert!(!archive.verify().unwrap().is_ok());
    let dir = tempfile::tempdir().unwrap();
    let result = archive.extract(dir.path().join("x"));
    assert!(result.is_err(), "extracted: {result:?}");
}

/// A link's descriptor that lies.
#[test]
fn a_lying_descriptor_behind_a_link_is_refused() {
    let bad = link("l", "a").described().with(|e| e.after[5] ^= 1);
    let archive = Archive::new(zip(vec![file("a", b"a"), bad, file("b", b"b")]).bytes()).unwrap();
    assert!(!archive.verify().unwrap().is_ok());
    assert!(!archive.plan(&ExtractOptions::new()).unwrap().is_ok(), "plan");
    let dir = tempfile::tempdir().unwrap();
    let result = archive.extract(dir.path().join("x"));
    assert!(result.is_err(), "extracted: {result:?}");
}

/// A callback of a download that panics, as `println!` into a closed pipe does.
#[test]
fn a_panicking_callback_of_a_download_does_not_hang() {
    for connections in [1, 4] {
        let panicked = soon(move || {
            let origin = Origin::good(noise(3 * MIB, 7));
            let dir = tempfile::tempdir().unwrap();
            let options = DownloadOptions::new().connections(connections).progress(|progress| {
                assert!(progress.bytes < MIB as u64 / 2, "on purpose");
                ControlFlow::Continue(())
            });
            let snapshot = Snapshot::from_url(&origin.url()).unwrap();
            let call = std::panic::AssertUnwindSafe(|| snapshot.download_with(dir.path().join("x.zip"), &options));
            std::panic::catch_unwind(call).is_err()
        });
        assert!(panicked);
    }
}

/// The same of an extraction from the host.
#[test]
fn a_panicking_callback_of_an_extraction_does_not_hang() {
    let panicked = soon(|| {
        let origin = Origin::good(zip((0..4).map(|n| file(format!("{n}"), &bytes(20 * MIB, n))).collect()).bytes());
        let dir = crate::download_origin::quick_dir();
        let once = AtomicBool::new(false);
        let options = ExtractOptions::new().threads(2).progress(move |_| {
            assert!(once.swap(true, Ordering::Relaxed), "on purpose");
            ControlFlow::Continue(())
        });
        let archive = remote(&origin);
        let call = std::panic::AssertUnwindSafe(|| archive.extract_with(dir.path().join("x"), &options));
        std::panic::catch_unwind(call).is_err()
    });
    assert!(panicked);
}

/// An entry of 30 MiB whose data runs into the next one, and that.
fn running_on() -> Vec<u8> {
    // Found out only by the local file header: it says more extra field than there is.
    let mut bytes = zip(vec![file("a", &bytes(30 * MIB, 1)), file("b", &bytes(2 * MIB, 2))]).bytes();
    bytes[28] = 8;
    bytes
}

/// The bytes at `limit` are in another reader's range, beyond the window.
#[test]
fn data_that_runs_into_the_next_entry_is_refused_without_a_hang() {
    let local = Archive::new(running_on()).unwrap();
    let want: Vec<Refusal> = local.verify().unwrap().bad.iter().map(|bad| bad.refusal).collect();
    let found = soon(|| {
        let origin = Origin::good(running_on());
        remote(&origin).verify().unwrap().bad.iter().map(|bad| bad.refusal).collect::<Vec<_>>()
    });
    assert_eq!(found, want);
}

#[test]
fn data_that_runs_into_the_next_entry_is_refused_by_extract_without_a_hang() {
    soon(|| {
        let origin = Origin::good(running_on());
        let dir = crate::download_origin::quick_dir();
        remote(&origin).extract_with(dir.path().join("x"), &ExtractOptions::new().threads(2)).unwrap_err()
    });
}

/// One file listed twice.
#[test]
fn a_file_listed_twice_is_verified_without_a_hang() {
    let all = || {
        let big = file("a", &bytes(30 * MIB, 1));
        let again = big.clone().with(|e| (e.no_local, e.offset) = (true, Some(0)));
        zip(vec![big, again]).bytes()
    };
    let want = Archive::new(all()).unwrap().verify().unwrap();
    let found = soon(move || {
        let origin = Origin::good(all());
        remote(&origin).verify().unwrap()
    });
    assert_eq!(found, want);
}

/// A small archive with a well compressed file behind the others.
#[test]
fn a_small_archive_with_a_large_file_at_its_end_costs_few_requests() {
    for threads in [1, 2] {
        let mut entries: Vec<_> = (0..64).map(|n| file(format!("{n}"), &bytes(3 << 10, n))).collect();
        entries.push(deflated("large", &vec![0; 3 * MIB]));
        entries.push(file("end", &bytes(66 << 10, 9)));
        let origin = Origin::good(zip(entries).bytes());
        let dir = crate::download_origin::quick_dir();
        let archive = remote(&origin);
        archive.extract_with(dir.path().join("x"), &ExtractOptions::new().threads(threads)).unwrap();
        let (stats, size) = (archive.source().stats(), archive.source().size().unwrap());
        assert!(stats.requests <= 4 && stats.bytes <= size + size / 10, "threads {threads}: {stats:?} of {size} bytes");
    }
}

/// One name given twice.
#[test]
fn a_name_given_twice_is_fetched_once() {
    let origin = Origin::good(zip(vec![file("a", &bytes(20 * MIB, 1)), file("b", &bytes(MIB, 2))]).bytes());
    let archive = remote(&origin);
    let contents = archive.read_many(["a", "a"]).unwrap();
    assert_eq!(contents[0], contents[1]);
    let stats = archive.source().stats();
    assert!(stats.requests <= 5, "{stats:?}");
}

/// A cancelled extraction does not wait for the window to fill.
#[test]
fn a_cancelled_extraction_returns_soon() {
    let object = zip([7, 15, 16].map(|n| file(format!("{n}"), &bytes(n * MIB, n as u32))).into()).bytes();
    let origin = Origin::start(move |asked| {
        let reply = Reply::right(&object, ONE, asked);
        Reply { pace: Some((64 << 10, Duration::from_millis(10))), ..reply }
    });
    let dir = crate::download_origin::quick_dir();
    let archive = Arc::new(remote(&origin));
    let (at, source) = (Arc::new(AtomicU64::new(0)), archive.clone());
    let seen = at.clone();
    let options = ExtractOptions::new().threads(2).progress(move |_| {
        seen.store(source.source().stats().bytes, Ordering::Relaxed);
        ControlFlow::Break(())
    });
    let error = archive.extract_with(dir.path().join("x"), &options).unwrap_err();
    assert!(error.is_cancelled());
    let after = archive.source().stats().bytes - at.load(Ordering::Relaxed);
    assert!(after < 4 * MIB as u64, "{after} bytes were fetched after cancelling");
}

/// The link expired: every reader's error must have the reason.
#[test]
fn the_reason_is_told() {
    for _ in 0..5 {
        let object = zip((0..4).map(|n| file(format!("{n}"), &bytes(10 * MIB, n))).collect()).bytes();
        let origin = Origin::start(move |asked| match asked.number {
            0..3 => Reply::right(&object, ONE, asked),
            _ => Reply::plain(403, "<Error><Code>AccessDenied</Code></Error>"),
        });
        let archive = remote(&origin);
        let error = soon(move || archive.verify().unwrap_err());
        assert_eq!(error.status(), Some(403), "{error:?}");
        crate::download_origin::assert_no_secret(&crate::download_origin::chain(&error));
    }
}

#[test]
fn links_of_the_host_are_judged_before_anything_appears() {
    let entries = |target: &str| {
        let mut all: Vec<_> = (0..4).map(|n| file(format!("d/{n}"), &bytes(MIB, n))).collect();
        all.insert(1, link("d/fine", "0"));
        all.insert(3, link("d/other", target));
        zip(all).bytes()
    };
    for (target, fine) in [("3", true), ("../../x", false), ("", false), ("other", false)] {
        let origin = Origin::good(entries(target));
        let dir = tempfile::tempdir().unwrap();
        let last = Arc::new(std::sync::Mutex::new(Default::default()));
        let seen = last.clone();
        let options = ExtractOptions::new().progress(move |p| {
            *seen.lock().unwrap() = p;
            ControlFlow::Continue(())
        });
        let archive = remote(&origin);
        let result = archive.extract_with(dir.path().join("x"), &options);
        assert_eq!(result.is_ok(), fine, "{target}: {result:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), usize::from(fine));
        if fine {
            let p: squarecloud_blocking::Progress = *last.lock().unwrap();
            assert_eq!((Some(p.bytes), p.entries), (p.total, p.total_entries), "{p:?}");
            assert_eq!(p.entries, 6);
        }
    }
}

/// The host refuses the first attempt at every second piece, or serves one request at a time.
#[test]
fn a_busy_host_is_enough() {
    let object = zip((0..5).map(|n| file(format!("{n}"), &bytes(13 * MIB, n))).collect()).bytes();
    for limited in [false, true] {
        let (object, tries, at_work) =
            (object.clone(), std::sync::Mutex::new(std::collections::HashMap::new()), AtomicU64::new(0));
        let found = soon(move || {
            let origin = Origin::start(move |asked| {
                let right = Reply::right(&object, ONE, asked);
                if limited {
                    let busy = at_work.fetch_add(1, Ordering::Relaxed) > 0;
                    if !busy {
                        std::thread::sleep(Duration::from_millis(30));
                    }
                    at_work.fetch_sub(1, Ordering::Relaxed);
                    return if busy && asked.number > 0 { Reply::plain(503, "") } else { right };
                }
                let mut tries = tries.lock().unwrap();
                let start = asked.range(object.len()).unwrap().start;
                let count = tries.entry(start).or_insert(0);
                *count += 1;
                if asked.number > 0 && *count == 1 && (start / (8 << 20)) % 2 == 0 {
                    Reply::plain(503, "")
                } else {
                    right
                }
            });
            remote(&origin).verify().unwrap()
        });
        assert!(found.is_ok());
    }
}

/// Restoring over what is there.
#[test]
fn links_cost_no_requests_of_their_own_where_files_are_replaced() {
    let mut entries = Vec::new();
    for n in 0..20 {
        entries.push(file(format!("{n}"), &bytes(MIB, n)));
        entries.push(link(&format!("l{n}"), "0"));
    }
    let origin = Origin::good(zip(entries).bytes());
    let dir = crate::download_origin::quick_dir();
    std::fs::write(dir.path().join("0"), b"old").unwrap();
    let archive = remote(&origin);
    let options = ExtractOptions::new().overwrite(squarecloud_blocking::Overwrite::Replace);
    archive.extract_with(dir.path(), &options).unwrap();
    assert!(archive.source().stats().requests <= 3 + 3, "{:?}", archive.source().stats());
}

/// Two threads read ranges, and the link expires: each error should have the reason.
#[test]
fn no_reader_is_told_that_it_was_cancelled() {
    let object = zip((0..4).map(|n| file(format!("{n}"), &bytes(10 * MIB, n))).collect()).bytes();
    let origin = Origin::start(move |asked| match asked.number {
        0 => Reply::right(&object, ONE, asked),
        _ => Reply::plain(403, "<Error><Code>AccessDenied</Code></Error>"),
    });
    let remote = Snapshot::from_url(&origin.url()).unwrap().remote().unwrap();
    let fetched = remote.prefetch(&[0..10 << 20, 10 << 20..20 << 20]).unwrap();
    let errors: Vec<_> = (0..2)
        .map(|_| {
            let number = fetched.claim().unwrap() as u64;
            fetched.read_at(number * (10 << 20), &mut [0; 10]).unwrap_err()
        })
        .collect();
    let of = |error: &std::io::Error| error.get_ref()?.downcast_ref::<squarecloud_blocking::Error>()?.status();
    assert!(errors.iter().all(|error| of(error) == Some(403)), "{errors:?}");
}

/// Both read the second range, and the first one stays where it is: neither waits for the other for ever.
#[test]
fn readers_out_of_turn_do_not_wait_for_each_other() {
    let whole = bytes(30 * MIB, 3);
    let object = zip(vec![file("a", &whole), file("b", &bytes(MIB, 4))]).bytes();
    soon(move || {
        let (origin, length) = (Origin::good(object.clone()), 30 << 20);
        let remote = Snapshot::from_url(&origin.url()).unwrap().remote().unwrap();
        let fetched = remote.prefetch(&[0..0, 0..length]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let number = fetched.claim().unwrap();
                let (fetched, object) = (&fetched, &object);
                scope.spawn(move || {
                    let (mut at, mut buffer) = (0, vec![0; 256 << 10]);
                    while at < length {
                        let count = fetched.read_at(at, &mut buffer).unwrap();
                        assert!(buffer[..count] == object[at as usize..at as usize + count]);
                        at += count as u64;
                    }
                    fetched.finish(number);
                });
            }
        });
    });
}
