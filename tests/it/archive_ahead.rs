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
        assert!(ranges.is_sorted_by_key(|range| range.start), "not in order: {ranges:?}");
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

/// A host that falls silent is noticed by the callback and by whoever cancels, long before its time is over.
#[test]
fn what_waits_for_a_silent_host_reports_and_can_be_cancelled() {
    let mut entries = project();
    entries.insert(1, file("app/first", &vec![1; 1 << 20]));
    let bytes = zip(entries).bytes();
    let silence = (100_000, Duration::from_secs(5));
    let origin = Origin::<false>::start(move |asked| {
        let silent = (asked.number > 0).then_some(silence);
        Reply { silent, ..Reply::right(&bytes, Some("\"one\""), asked) }
    });
    let dir = tempfile::tempdir().unwrap();
    let archive = Snapshot::from_url(&origin.url()).unwrap().archive().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let break_off = |calls: &AtomicU64| match calls.fetch_add(1, Ordering::Relaxed) {
        // The host is silent by then: the calls come with the time.
        0..5 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let begun = Instant::now();
    let verified = archive.verify_with(|_| break_off(&calls));
    assert!(matches!(verified, Err(Error::Cancelled { action: "verifying", .. })), "{verified:?}");
    let counted = Arc::new(AtomicU64::new(0));
    let options = ExtractOptions::new().progress(move |_| break_off(&counted));
    let extracted = archive.extract_with(dir.path().join("t"), &options);
    assert!(matches!(extracted, Err(Error::Cancelled { action: "extracting to", .. })), "{extracted:?}");
    assert!(begun.elapsed() < silence.1, "{:?}", begun.elapsed());
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}
