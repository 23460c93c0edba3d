//! Archives over a source that fetches ahead: told what will be read, it is asked for nothing else, and what comes of it is
//! the same.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use squarecloud_blocking::{Archive, Error, ExtractOptions, Links, Overwrite, Prefetch, Refusal, Snapshot, Source};

use crate::download_origin::{Origin, Reply};
use crate::raw_zip::*;

/// Bytes in memory that count the reads for which they were not prepared.
pub struct Told {
    bytes: Vec<u8>,
    /// Once something was claimed.
    untold: Arc<AtomicU64>,
}

impl Told {
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), untold: Arc::default() }
    }

    pub fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

impl Source for Told {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buf)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) -> Option<Box<dyn Prefetch + '_>> {
        assert!(ranges.is_sorted_by(|a, b| a.end <= b.start), "not in order, or not disjoint: {ranges:?}");
        Some(Box::new(Claims { told: self, ranges: ranges.to_vec(), claimed: 0.into() }))
    }
}

struct Claims<'a> {
    told: &'a Told,
    ranges: Vec<Range<u64>>,
    claimed: AtomicUsize,
}

impl Source for Claims<'_> {
    fn size(&self) -> io::Result<u64> {
        self.told.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let claimed = self.ranges.iter().take(self.claimed.load(Ordering::Relaxed));
        let (start, end) = (offset, offset + buf.len() as u64);
        if !claimed.into_iter().any(|range| range.start <= start && end <= range.end) {
            self.told.untold.fetch_add(1, Ordering::Relaxed);
        }
        self.told.read_at(offset, buf)
    }
}

impl Prefetch for Claims<'_> {
    fn claim(&self) -> Option<usize> {
        Some(self.claimed.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < self.ranges.len())
    }

    fn finish(&self, range: usize) {
        assert!(range < self.ranges.len());
    }

    fn stop(&self) {}
}

fn project() -> Vec<E> {
    let mut entries = vec![folder("app/")];
    for n in 0..200 {
        entries.push(deflated(format!("app/{n:03}.js"), format!("content {n} ").repeat(n).as_bytes()));
        if n % 40 == 0 {
            entries.push(link(&format!("app/link-{n}"), &format!("{n:03}.js")));
        }
    }
    entries.push(file("app/large", &vec![7; 3 << 20]));
    entries
}

#[test]
fn what_is_read_was_told() {
    let bytes = zip(project()).bytes();
    let (archive, there) = (Archive::new(Told::new(&bytes)).unwrap(), Archive::new(bytes).unwrap());
    let dir = tempfile::tempdir().unwrap();
    for (number, options) in [
        ExtractOptions::new(),
        ExtractOptions::new().threads(4),
        ExtractOptions::new().links(Links::Skip),
        ExtractOptions::new().filter(|entry| entry.crc32() % 3 == 0),
        ExtractOptions::new().prefix("app/017.js").strip(1),
    ]
    .iter()
    .enumerate()
    {
        let [one, two] = ["one", "two"].map(|name| dir.path().join(format!("{name}{number}")));
        let (told, plain) = (archive.extract_with(&one, options).unwrap(), there.extract_with(&two, options).unwrap());
        assert_eq!((told.files, told.links, told.bytes), (plain.files, plain.links, plain.bytes));
        assert!(tree(&one) == tree(&two), "{number}");
    }
    assert!(archive.verify().unwrap().is_ok());
    let names = ["app/100.js", "app/003.js", "app/large", "app/link-40", "app/100.js"];
    let contents: Vec<_> = names.iter().map(|name| there.read(name).unwrap()).collect();
    assert_eq!(archive.read_many(names).unwrap(), contents);
    assert_eq!(archive.plan(&ExtractOptions::new()).unwrap().links(), 5);
    assert_eq!(archive.source().untold(), 0);
}

#[test]
fn links_that_are_read_with_the_files_are_judged_before_anything_appears() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["../../out", "/etc/passwd", "evil", ""] {
        let bytes = zip([project(), vec![link("app/evil", target)]].concat()).bytes();
        let archive = Archive::new(Told::new(&bytes)).unwrap();
        let error = archive.extract(dir.path().join("target")).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Link), "{target}: {error}");
        assert!(error.to_string().contains("app/evil"), "{error}");
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    }
    // What is there already counts, too.
    std::os::unix::fs::symlink("..", dir.path().join("up")).unwrap();
    let through = Archive::new(Told::new(&zip(vec![link("way", "up/..")]).bytes())).unwrap();
    let options = ExtractOptions::new().overwrite(Overwrite::Keep);
    assert_eq!(through.extract_with(dir.path(), &options).unwrap_err().refusal(), Some(Refusal::Link));
}

#[test]
fn all_that_is_done_is_reported() {
    let archive = Archive::new(Told::new(&zip(project()).bytes())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let last = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&last);
    let options = ExtractOptions::new().progress(move |progress| {
        *seen.lock().unwrap() = Some(progress);
        ControlFlow::Continue(())
    });
    archive.extract_with(dir.path().join("t"), &options).unwrap();
    let last = last.lock().unwrap().unwrap();
    assert_eq!((Some(last.bytes), last.entries), (last.total, last.total_entries));
}

#[test]
fn links_that_stay_are_known_to_the_others() {
    let entries = vec![
        file("releases/5/app", b"5"),
        file("releases/shared/db", b"0"),
        link("current", "releases/5"),
        link("up", "current/../../releases/shared"),
    ];
    let archive = Archive::new(Told::new(&zip(entries).bytes())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = ExtractOptions::new().overwrite(Overwrite::Keep);
    assert_eq!(archive.extract_with(dir.path(), &options).unwrap().links, 2);
    fs::remove_file(dir.path().join("up")).unwrap();
    let again = archive.extract_with(dir.path(), &options).unwrap();
    assert_eq!((again.links, again.kept), (1, 3));
    // A link that leads out is refused, also where something has its name already.
    let evil = Archive::new(Told::new(&zip(vec![link("current", "../../x")]).bytes())).unwrap();
    assert_eq!(evil.extract_with(dir.path(), &options).unwrap_err().refusal(), Some(Refusal::Link));
}

/// How long the host is silent: whoever notices it earlier does not wait for it.
const SILENCE: Duration = Duration::from_secs(5);

/// A host that falls silent in the middle of every response but the first ones.
fn silent(bytes: Vec<u8>, first: usize, after: usize) -> Origin<false> {
    Origin::start(move |asked| {
        let silent = (asked.number >= first).then_some((after, SILENCE));
        Reply { silent, ..Reply::right(&bytes, Some("\"one\""), asked) }
    })
}

/// A callback that breaks when only time makes calls.
fn break_off() -> impl Fn(squarecloud_blocking::Progress) -> ControlFlow<()> + Send + Sync {
    let calls = AtomicU64::new(0);
    move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0..5 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

/// A host that falls silent is noticed by the callback and by whoever cancels, long before its time is over.
fn can_be_cancelled(origin: &Origin<false>, options: &ExtractOptions) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Snapshot::from_url(&origin.url()).unwrap().archive().unwrap();
    let begun = Instant::now();
    let verified = archive.verify_with(break_off());
    assert!(matches!(verified, Err(Error::Cancelled { action: "verifying", .. })), "{verified:?}");
    let extracted = archive.extract_with(dir.path().join("t"), &options.clone().progress(break_off()));
    assert!(matches!(extracted, Err(Error::Cancelled { action: "extracting to", .. })), "{extracted:?}");
    assert!(begun.elapsed() < SILENCE, "{:?}", begun.elapsed());
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn what_waits_for_a_silent_host_reports_and_can_be_cancelled() {
    let mut entries = project();
    entries.insert(1, file("app/first", &vec![1; 1 << 20]));
    can_be_cancelled(&silent(zip(entries).bytes(), 1, 100_000), &ExtractOptions::new());
}

#[test]
fn what_is_small_can_be_cancelled_too() {
    let entries = vec![file("a/small", &[1; 100_000]), file("b/tail", &[2; 100_000])];
    can_be_cancelled(&silent(zip(entries).bytes(), 1, 1000), &ExtractOptions::new().prefix("a"));
}

#[test]
fn a_long_prefix_can_be_cancelled() {
    let entries = vec![file("a", &vec![1; 1 << 20])];
    let bytes = zip(entries).with(|z| (z.prefix, z.relative) = (vec![b'#'; 3 << 20], true)).bytes();
    // Opening reads the prefix's beginning and the first entry's.
    can_be_cancelled(&silent(bytes, 3, 1000), &ExtractOptions::new());
}
