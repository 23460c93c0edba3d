//! Many threads on one archive at the snapshot host, and what becomes of connections when their work ends early.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use squarecloud_blocking::{Archive, ExtractOptions, Remote};

use crate::download_origin::{Asked, Origin, Reply, names, quick_dir};
use crate::remote_support::{Corpus, FIRST, REQUEST, Work, builder, folders, made, wait_until};
use crate::support::Gate;

const ONE: Option<&str> = Some("\"one\"");

/// How much may be fetched ahead of what takes it, and how much more the system may hold for four connections: at most
/// what each has requested.
const WINDOW: u64 = 24 << 20;
const BUFFERS: u64 = 4 * REQUEST;

fn opened(host: &Origin<false>) -> Archive<Remote> {
    builder().build().unwrap().open_url(&host.url()).unwrap().archive().unwrap()
}

fn media() -> Corpus {
    Corpus::new(
        "media",
        made(|maker| {
            folders(2, 20, 5000)(maker);
            (0..30).for_each(|n| maker.file(&format!("app/{:02}/media-{n}", n / 15), 400_000 + n));
        }),
    )
}

/// Much more than the host may be ahead.
const BIG: usize = 96 << 20;

fn big() -> Corpus {
    Corpus::new(
        "a big entry",
        made(|maker| {
            folders(2, 20, 3000)(maker);
            maker.file("app/big.bin", BIG);
        }),
    )
}

/// While one connection is silent, nobody else waits for it: reading, extracting and verifying go on.
#[test]
fn one_silent_connection_holds_up_nobody_else() {
    for from in [None, Some(0), Some(100_000)] {
        let corpus = media();
        let slow = "app/01/media-20";
        let (_, ranges) = corpus.packed(|name| name == slow);
        let middle = usize::try_from(ranges[0].start + ranges[0].end).unwrap() / 2;
        let (gate, came) = (Arc::new(Gate::default()), Arc::new(AtomicBool::new(false)));
        let (bytes, closed, first) = (corpus.bytes.clone(), gate.clone(), came.clone());
        let host = Origin::<false>::start(move |asked| {
            let right = Reply::right(&bytes, ONE, asked);
            let meant = asked.range(bytes.len()).is_some_and(|range| range.contains(&middle));
            // Only the first request for it: the others need these bytes, too.
            if !meant || first.swap(true, SeqCst) {
                return right;
            }
            let Some(from) = from else {
                closed.wait();
                return right;
            };
            Reply { hold: Some((from, closed.clone())), ..right }
        });
        let archive = opened(&host);
        std::thread::scope(|scope| {
            let (archive, corpus) = (&archive, &corpus);
            let waiting = scope.spawn(move || archive.read(slow).unwrap());
            wait_until(|| came.load(SeqCst));
            let (done, all) = channel();
            for work in Work::ALL.into_iter().chain(Work::ALL) {
                let done = done.clone();
                scope.spawn(move || done.send(work.run_on(archive, corpus)).unwrap());
            }
            let finished: Vec<_> = (0..16).map(|_| all.recv_timeout(Duration::from_secs(25))).collect();
            let waits = !waiting.is_finished();
            gate.open();
            assert!(finished.iter().all(|result| matches!(result, Ok(Ok(())))), "{from:?}: {finished:?}");
            assert!(waits && waiting.join().unwrap() == corpus.local.read(slow).unwrap());
        });
    }
}

/// Many threads, one archive: everyone gets the right bytes, and the costs add up.
#[test]
fn many_threads_on_one_archive() {
    let corpus = media();
    let bytes = corpus.bytes.clone();
    let host = Origin::<false>::start(move |asked| Reply::right(&bytes, ONE, asked));
    let archive = opened(&host);
    std::thread::scope(|scope| {
        for work in Work::ALL.into_iter().chain(Work::ALL) {
            let (archive, corpus) = (&archive, &corpus);
            scope.spawn(move || work.run_on(archive, corpus).unwrap());
        }
    });
    wait_until(|| host.under_way() == 0);
    let stats = archive.source().stats();
    assert_eq!((stats.requests, stats.bytes), (host.asked().len() as u64, host.sent()));
    let most: u64 = Work::ALL.iter().map(|work| corpus.allowed(*work).requests).sum();
    assert!(stats.requests <= 2 * most, "{stats:?}");
}

/// A host with this archive that needs a moment for each piece.
fn slow(corpus: &Corpus) -> Origin<false> {
    let bytes = corpus.bytes.clone();
    Origin::start(move |asked| {
        let pace = (asked.number > 0).then_some((64 << 10, Duration::from_millis(2)));
        Reply { pace, ..Reply::right(&bytes, ONE, asked) }
    })
}

/// What is no longer wanted ends at the host, too: soon nothing is under way, and without the archive nothing is open.
#[track_caller]
fn assert_ends(host: &Origin<false>, archive: Archive<Remote>) {
    wait_until(|| host.under_way() == 0);
    drop(archive);
    wait_until(|| host.connections() == 0);
    assert!(host.sent() <= WINDOW + BUFFERS + (8 << 20), "it went on: {} bytes", host.sent());
}

#[test]
fn a_reader_dropped_half_way_closes_its_connections() {
    let corpus = big();
    for taken in [0, 1, 3 << 20] {
        let host = slow(&corpus);
        let archive = opened(&host);
        let mut reader = archive.reader("app/big.bin").unwrap();
        let mut begin = vec![0; taken];
        reader.read_exact(&mut begin).unwrap();
        drop(reader);
        assert_ends(&host, archive);
    }
}

#[test]
fn what_is_cancelled_closes_its_connections() {
    let corpus = big();
    for work in [Work::Everything, Work::Verify] {
        let host = slow(&corpus);
        let archive = opened(&host);
        let enough = |bytes: u64| if bytes > 1 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let beside = quick_dir();
        let error = if work == Work::Verify {
            archive.verify_with(|now| enough(now.bytes)).unwrap_err()
        } else {
            let options = ExtractOptions::new().progress(move |now| enough(now.bytes));
            archive.extract_with(beside.path().join("out"), &options).unwrap_err()
        };
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(names(beside.path()), [""; 0]);
        assert_ends(&host, archive);
    }
}

#[test]
fn a_writer_that_fails_closes_its_connections() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let corpus = big();
    let host = slow(&corpus);
    let archive = opened(&host);
    let error = archive.copy("app/big.bin", Full(1 << 20)).unwrap_err();
    assert!(
        matches!(&error, squarecloud_blocking::Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert_ends(&host, archive);
}

/// Takes its first bytes only when the gate opens.
struct Blocked(Arc<Gate>, Sender<()>, u64);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.1.send(());
        self.0.wait();
        self.2 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a host sent when it sends no more.
fn settled(host: &Origin<false>) -> u64 {
    let (mut before, mut same) = (host.sent(), 0);
    while same < 20 {
        std::thread::sleep(Duration::from_millis(10));
        same = if host.sent() == before { same + 1 } else { 0 };
        before = host.sent();
    }
    before
}

/// However fast the host is, it gets no further ahead of what takes the bytes than the window allows.
#[test]
fn the_host_gets_ahead_by_no_more_than_the_window() {
    let corpus = big();
    let bytes = corpus.bytes.clone();
    let host = Origin::<false>::start(move |asked| Reply::right(&bytes, ONE, asked));
    let archive = opened(&host);
    let (gate, (told, came)) = (Arc::new(Gate::default()), channel());
    std::thread::scope(|scope| {
        let mut blocked = Blocked(gate.clone(), told, 0);
        let archive = &archive;
        let copying = scope.spawn(move || archive.copy("app/big.bin", &mut blocked).map(|_| blocked.2));
        came.recv().unwrap();
        let ahead = settled(&host).max(requested(&host, corpus.bytes.len()));
        gate.open();
        assert!(ahead <= WINDOW + BUFFERS + FIRST, "{ahead} bytes ahead");
        assert_eq!(copying.join().unwrap().unwrap(), BIG as u64);
    });
}

#[test]
fn a_reader_nobody_reads_fetches_no_more_than_the_window() {
    let corpus = big();
    let bytes = corpus.bytes.clone();
    let host = Origin::<false>::start(move |asked| Reply::right(&bytes, ONE, asked));
    let archive = opened(&host);
    let reader = archive.reader("app/big.bin").unwrap();
    wait_until(|| host.asked().len() > 1);
    let ahead = settled(&host).max(requested(&host, corpus.bytes.len()));
    assert!(ahead <= WINDOW + BUFFERS + FIRST, "{ahead} bytes ahead");
    drop(reader);
    assert_ends(&host, archive);
}

/// How many bytes were asked for.
fn requested(host: &Origin<false>, total: usize) -> u64 {
    let length = |asked: &Asked| asked.range(total).map_or(total, |range| range.len()) as u64;
    host.asked().iter().map(length).sum()
}

/// At most four connections at a time, and they are used again.
#[test]
fn there_are_at_most_four_connections() {
    let corpus = big();
    for work in [Work::Everything, Work::Verify, Work::Copy] {
        let (bytes, most) = (corpus.bytes.clone(), AtomicU64::new(0));
        let host = Origin::<false>::start(move |asked| Reply::right(&bytes, ONE, asked));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (host, done, most) = (&host, &done, &most);
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    most.fetch_max(host.connections(), SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let ran = work.run(&builder().build().unwrap(), &host.url(), &corpus);
            done.store(true, SeqCst);
            ran.unwrap();
        });
        assert!(most.load(SeqCst) <= 4, "{work:?}: {most:?}");
    }
}

/// Each response waits for three others: so four connections are at work at the same time.
#[test]
fn four_connections_fetch_at_once() {
    let corpus = big();
    for work in [Work::Everything, Work::Verify] {
        let (bytes, together, gate) = (corpus.bytes.clone(), AtomicU64::new(0), Gate::default());
        let host = Origin::<false>::start(move |asked| {
            if asked.number > 0 {
                if together.fetch_add(1, SeqCst) == 3 {
                    gate.open();
                }
                gate.wait();
            }
            Reply::right(&bytes, ONE, asked)
        });
        let archive = opened(&host);
        std::thread::scope(|scope| {
            let ((done, all), archive, corpus) = (channel(), &archive, &corpus);
            scope.spawn(move || done.send(work.run_on(archive, corpus)).unwrap());
            all.recv_timeout(Duration::from_secs(25)).unwrap().unwrap();
        });
    }
}
