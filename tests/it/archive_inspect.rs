//! Looking into archives and comparing them: what entries say, what that costs, and over which sources.

use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Archive, EntryKind, Error, ExtractOptions, Refusal, Source};

use crate::raw_zip::*;

/// Counts the bytes read.
struct Counted(Vec<u8>, AtomicU64);

impl Source for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read_at(offset, buf)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn counted(entries: Vec<E>) -> Archive<Counted> {
    Archive::new(Counted(zip(entries).bytes(), AtomicU64::new(0))).unwrap()
}

fn stamp(seconds: u32) -> Vec<u8> {
    field(0x5455, &[&[1][..], &seconds.to_le_bytes()].concat())
}

fn ntfs(seconds: u64) -> Vec<u8> {
    let ticks = ((seconds + 11_644_473_600) * 10_000_000).to_le_bytes();
    field(0x000a, &[&[0, 0, 0, 0, 1, 0, 24, 0][..], &ticks, &ticks, &ticks].concat())
}

#[test]
fn times_come_from_the_best_field_there_is() {
    let time = |extra: Vec<u8>| {
        let archive = Archive::new(zip(vec![file("x", b"1").with(|e| e.extra = extra)]).bytes()).unwrap();
        archive.entries().next().unwrap().modified().unwrap().assume_utc().unix_timestamp()
    };
    assert_eq!(time(stamp(1_000_000_000)), 1_000_000_000);
    assert_eq!(time(ntfs(1_100_000_000)), 1_100_000_000);
    assert_eq!(time([ntfs(1_100_000_000), stamp(1_000_000_000)].concat()), 1_000_000_000);
    assert_eq!(time([field(0x5455, b"\0"), ntfs(1_100_000_000)].concat()), 1_100_000_000);
    assert_eq!(time(vec![]), 1_704_110_400);
}

#[test]
fn kinds_come_from_modes_and_names() {
    use EntryKind::*;
    let kinds = |entries: Vec<E>| -> Vec<_> {
        let archive = Archive::new(zip(entries).bytes()).unwrap();
        archive.entries().map(|e| (e.kind(), e.unix_mode())).collect()
    };
    let mode = |name: &str, mode: u32| file(name, b"").with(|e| e.mode = mode);
    assert_eq!(
        kinds(vec![
            mode("f", 0o100_644),
            mode("d/", 0),
            mode("d", 0o040_755),
            link("l", "x"),
            mode("p", 0o010_644),
            mode("-", 0o010_600),
            mode("n", 0o120_777).with(|e| e.host = 0),
            mode("b\\", 0).with(|e| e.host = 10),
        ]),
        [
            (File, Some(0o100_644)),
            (Directory, None),
            (Directory, Some(0o040_755)),
            (Symlink, Some(0o120_777)),
            (Special, Some(0o010_644)),
            (File, Some(0o010_600)),
            (File, None),
            (Directory, None),
        ]
    );
}

#[test]
fn totals_names_and_differences_cost_no_reading() {
    let text = b"text text text text text text";
    let old = counted(vec![deflated("a", text), file("b", b"22"), link("l", "a")]);
    let new = counted(vec![deflated("a", text), file("b", b"33"), file("l", b"a")]);
    let before = [&old, &new].map(|archive| archive.source().1.load(Ordering::Relaxed));
    assert_eq!(old.total_size(), text.len() as u64 + 3);
    assert_eq!(old.total_compressed_size(), deflate(text).len() as u64 + 3);
    let diff = old.diff(&new);
    // A link that became a file of the same bytes is not the same.
    let changed: Vec<_> = diff.changed.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(changed, ["b", "l"]);
    assert!(!old.tree().to_string().is_empty());
    let after = [&old, &new].map(|archive| archive.source().1.load(Ordering::Relaxed));
    assert_eq!(before, after);
}

#[test]
fn archives_of_different_sources_are_compared() {
    let bytes = zip(vec![deflated("a", b"1"), file("b", b"2")]).bytes();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("a.zip");
    fs::write(&path, &bytes).unwrap();
    let on_disk = Archive::open(&path).unwrap();
    assert!(on_disk.diff(&Archive::new(Dribble(bytes)).unwrap()).is_empty());
    let newer = Archive::new(zip(vec![file("b", b"2"), file("c", b"333")]).bytes()).unwrap();
    let diff = on_disk.diff(&newer);
    assert_eq!((diff.added.len(), diff.removed.len(), diff.changed.len()), (1, 1, 0));
    assert_eq!((diff.added[0].new_size, diff.removed[0].old_size), (Some(3), Some(1)));
}

#[test]
fn verifying_counts_what_is_right_and_writes_nothing() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("a.zip");
    let large = vec![7; 3 << 20];
    let bad = deflated("bad", b"12345").with(|e| e.crc = Some(1));
    let entries = vec![deflated("a", &large), bad, file("b", b"22"), folder("d/"), link("l", "a")];
    fs::write(&path, zip(entries).bytes()).unwrap();
    let before = tree(out.path());
    let verified = Archive::open(&path).unwrap().verify().unwrap();
    assert_eq!((verified.entries, verified.bytes, verified.bad.len()), (5, (3 << 20) + 3, 1));
    assert_eq!(tree(out.path()), before);
}

#[test]
fn a_stream_is_read_piece_by_piece() {
    let content: Vec<u8> = (0..2_000_000u32).map(|i| (i / 7) as u8).collect();
    let archive = counted(vec![deflated("x", &content).with(|e| {
        // Stored: what was read can be told from what was asked for.
        e.method = 0;
        e.compressed = None;
    })]);
    let before = archive.source().1.load(Ordering::Relaxed);
    let mut stream = archive.reader("x").unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first[..], content[..1000]);
    drop(stream);
    let read = archive.source().1.load(Ordering::Relaxed) - before;
    // Four pieces ahead, one being read, and the local file header.
    assert!(read <= 6 * (256 << 10), "{read} bytes read for the first 1,000");
}

#[test]
fn clones_share_one_archive_and_content_goes_to_any_writer() {
    let archive = counted(vec![deflated("a", b"text"), file("b", b"22")]);
    let before = archive.source().1.load(Ordering::Relaxed);
    let clone = archive.clone();
    assert_eq!((clone.len(), archive.source().1.load(Ordering::Relaxed)), (2, before));
    let mut content = Vec::new();
    assert_eq!(clone.copy("a", &mut content).unwrap(), 4);
    assert_eq!(archive.copy("b", io::Cursor::new(&mut content)).unwrap(), 2);
    assert_eq!(content, b"22xt");
}

/// Opens, and then fails in a way of its own.
struct Own(Vec<u8>, AtomicU64);

#[derive(Debug, thiserror::Error)]
#[error("the source's own error")]
struct OwnError;

impl Source for Own {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.1.fetch_add(1, Ordering::Relaxed) {
            0..2 => self.0.read_at(offset, buf),
            _ => Err(io::Error::new(io::ErrorKind::TimedOut, OwnError)),
        }
    }
}

#[test]
fn an_error_of_the_source_comes_back_whole() {
    let archive = Archive::new(Own(zip(vec![deflated("a", b"text")]).bytes(), AtomicU64::new(0))).unwrap();
    let whole = |e: &io::Error| {
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        assert!(e.get_ref().is_some_and(|inner| inner.is::<OwnError>()));
    };
    let of = |e: Error| match e {
        Error::Archive { source, .. } => whole(source.downcast_ref::<io::Error>().unwrap()),
        other => panic!("{other}"),
    };
    of(archive.read("a").unwrap_err());
    of(archive.copy("a", io::sink()).unwrap_err());
    of(archive.verify().unwrap_err());
    let out = tempfile::tempdir().unwrap();
    of(archive.extract(out.path().join("t")).unwrap_err());
}

#[test]
fn a_plan_costs_no_reading_but_of_links_and_the_extraction_finds_the_rest() {
    let lie = file("b", b"22").with(|e| e.local_name = Some(b"c".to_vec()));
    let archive = counted(vec![deflated("a", b"text"), lie]);
    let before = archive.source().1.load(Ordering::Relaxed);
    assert!(archive.plan(&ExtractOptions::new()).unwrap().is_ok());
    assert_eq!(archive.source().1.load(Ordering::Relaxed), before);
    let out = tempfile::tempdir().unwrap();
    let error = archive.extract(out.path().join("t")).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Corrupt));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    assert_eq!(archive.verify().unwrap().bad.len(), 1);
}

/// A source each of whose reads takes as long as `.1` says, from the third one on.
struct Slow(Vec<u8>, AtomicU64, Duration);

impl Source for Slow {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.1.fetch_add(1, Ordering::Relaxed) >= 2 {
            std::thread::sleep(self.2);
        }
        self.0.read_at(offset, buf)
    }
}

/// Falls silent, then breaks.
struct Broken(Vec<u8>, AtomicU64);

impl Source for Broken {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.1.fetch_add(1, Ordering::Relaxed) >= 2 {
            std::thread::sleep(Duration::from_millis(400));
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.0.as_slice().read_at(offset, buf)
    }
}

#[test]
fn verifying_reports_and_can_be_cancelled_even_over_a_slow_source() {
    let bytes = zip(vec![deflated("a", b"text"), file("b", b"22")]).bytes();
    let archive = |pause| Archive::new(Slow(bytes.clone(), AtomicU64::new(0), Duration::from_millis(pause))).unwrap();
    let seen = Mutex::new(Vec::new());
    let verified = archive(0).verify_with(|progress| {
        seen.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    });
    assert!(verified.unwrap().is_ok());
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.bytes, last.total, last.entries, last.total_entries), (6, Some(6), 2, 2));

    let (calls, begun) = (AtomicU64::new(0), Instant::now());
    let cancelled = archive(450).verify_with(|_| {
        if calls.fetch_add(1, Ordering::Relaxed) == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let error = cancelled.unwrap_err();
    assert!(
        error.is_cancelled() && error.to_string() == "verifying the archive was cancelled by the callback",
        "{error}"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 3, "not again after it cancelled");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());

    // What fails after it was cancelled is still a cancellation.
    let broken = Archive::new(Broken(bytes.clone(), AtomicU64::new(0))).unwrap();
    assert!(broken.verify_with(|_| ControlFlow::Break(())).unwrap_err().is_cancelled());

    // What fails is not a cancellation.
    let failing = Archive::new(Own(bytes.clone(), AtomicU64::new(0))).unwrap();
    assert!(matches!(failing.verify_with(|_| ControlFlow::Continue(())), Err(Error::Archive { .. })));
}

#[test]
fn errors_name_the_file_or_link() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zip");
    fs::write(&path, zip(vec![deflated("a", b"text"), file("b/", b"")]).bytes()).unwrap();
    let name = path.display();
    let archive = Archive::open(&path).unwrap();
    let said = |error: Error, text: &str| assert!(error.to_string().starts_with(text), "{error}");
    said(archive.read("c").unwrap_err(), &format!("{name} has no entry \"c\""));
    said(archive.copy("b/", io::sink()).unwrap_err(), &format!("entry b/ of {name} was refused because"));
    said(archive.plan(&ExtractOptions::new().prefix("x")).unwrap_err(), &format!("{name} has no entry \"x\""));
    said(archive.verify_with(|_| ControlFlow::Break(())).unwrap_err(), &format!("verifying {name} was cancelled"));
    fs::write(&path, b"no archive").unwrap();
    said(Archive::open(&path).unwrap_err(), &format!("{name} was refused because"));
    said(Archive::new(b"no archive".to_vec()).unwrap_err(), "the archive was refused because");
}
