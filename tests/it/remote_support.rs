//! What the tests of archives at the snapshot host share: archives of several kinds, what is done with them, and what
//! that may cost.

use std::fmt;
use std::io::{Cursor, Read, Write};
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Archive, Client, ClientBuilder, Error, ExtractOptions, Remote};
use zip::CompressionMethod::{Deflated, Stored};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::download_origin::{assert_no_secret, chain, names, quick_dir};
use crate::raw_zip::{Tree, tree};

/// How many of the last bytes the first request is for.
pub const FIRST: u64 = 66_657;
/// The longest request for data, and the longest gap that is read over.
pub const REQUEST: u64 = 8 << 20;
pub const GAP: u64 = 256 << 10;

/// A builder of clients without a proxy, for which pauses take no time.
pub fn builder() -> ClientBuilder {
    Client::builder("key-0").no_proxy().sleep(|_| {})
}

/// An archive, and what is picked from it.
pub struct Corpus {
    pub kind: &'static str,
    pub bytes: Arc<Vec<u8>>,
    /// The same archive in memory: what it says is right.
    pub local: Archive<Arc<Vec<u8>>>,
    /// One small file, 20 neighbours and a folder, none of them at the end.
    pub one: String,
    pub neighbours: Vec<String>,
    pub folder: String,
    trees: [OnceLock<Tree>; 2],
}

impl Corpus {
    /// Picks from folders named `app/NN`, of which there is more than one.
    pub fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        let bytes = Arc::new(bytes);
        let local = Archive::new(bytes.clone()).unwrap();
        let folder = String::from("app/01");
        let inside = |name: &&str| name.starts_with("app/01/") && !name.ends_with('/');
        let neighbours: Vec<String> =
            local.entries().map(|e| e.name()).filter(inside).take(20).map(Into::into).collect();
        let one = neighbours[neighbours.len() / 2].clone();
        Self { kind, bytes, local, one, neighbours, folder, trees: Default::default() }
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The length of the central directory, of an archive without a comment.
    pub fn directory(&self) -> u64 {
        let field = &self.bytes[self.bytes.len() - 10..][..4];
        u32::from_le_bytes(field.try_into().unwrap()).into()
    }

    /// The compressed sizes of what `pick` is true for, and the ranges they lie in.
    pub fn packed(&self, pick: impl Fn(&str) -> bool) -> (u64, Vec<Range<u64>>) {
        let mut zip = zip::ZipArchive::new(Cursor::new(self.bytes.as_slice())).unwrap();
        let (mut sum, mut ranges) = (0, Vec::new());
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).unwrap();
            if pick(&entry.name().unwrap()) {
                sum += entry.compressed_size();
                ranges.push(entry.header_start()..entry.data_start().unwrap() + entry.compressed_size());
            }
        }
        ranges.sort_by_key(|range| range.start);
        (sum, ranges)
    }

    /// What an extraction makes: of everything, or of the folder.
    fn tree(&self, options: &ExtractOptions, which: usize) -> &Tree {
        self.trees[which].get_or_init(|| {
            let dir = quick_dir();
            self.local.extract_with(dir.path(), options).unwrap();
            tree(dir.path())
        })
    }

    /// The highest cost that `work` may have, the opening included.
    pub fn allowed(&self, work: Work) -> Cost {
        let open = Cost {
            requests: if self.directory() + 22 <= FIRST { 1 } else { 2 },
            bytes: (self.directory() * 105 / 100).max(FIRST) + (6 << 10),
        };
        let (sum, ranges) = match work {
            Work::List => return open,
            Work::Everything | Work::Verify => {
                let most = self.len() * 102 / 100;
                return Cost { requests: self.len() / REQUEST + 4, bytes: most.max(self.len() + FIRST) };
            }
            Work::Folder => self.packed(|name| name.starts_with(&self.folder)),
            Work::ReadMany => self.packed(|name| self.neighbours.iter().any(|n| n == name)),
            Work::Read | Work::Copy | Work::Reader => self.packed(|name| name == self.one),
        };
        let gaps = gaps(&ranges);
        match work {
            Work::Folder => Cost {
                requests: open.requests + sum / REQUEST + gaps.iter().filter(|gap| **gap > GAP).count() as u64 + 1,
                bytes: open.bytes + sum * 105 / 100 + (gaps.len() as u64 + 1) * (64 << 10),
            },
            Work::ReadMany => Cost { requests: open.requests + 3, bytes: open.bytes + sum + (16 << 10) },
            _ => Cost { requests: open.requests + 1, bytes: open.bytes + sum + (16 << 10) },
        }
    }
}

impl fmt::Debug for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, directory {})", self.kind, self.len(), self.directory())
    }
}

/// What lies between neighbouring ranges.
pub fn gaps(ranges: &[Range<u64>]) -> Vec<u64> {
    ranges.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].end)).filter(|gap| *gap > 0).collect()
}

/// Requests, and bytes of response bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub requests: u64,
    pub bytes: u64,
}

impl Cost {
    pub fn and(self, more: Self) -> Self {
        Self { requests: self.requests + more.requests, bytes: self.bytes + more.bytes }
    }

    #[track_caller]
    pub fn assert_within(self, allowed: Self, told: &str) {
        assert!(self.requests <= allowed.requests && self.bytes <= allowed.bytes, "{told}: {self:?}, not {allowed:?}");
    }
}

/// What is done with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    List,
    Read,
    ReadMany,
    Copy,
    Reader,
    Folder,
    Everything,
    Verify,
}

impl Work {
    pub const ALL: [Self; 8] = [
        Self::List,
        Self::Read,
        Self::ReadMany,
        Self::Copy,
        Self::Reader,
        Self::Folder,
        Self::Everything,
        Self::Verify,
    ];

    /// Opens the archive behind `url`, does this and compares the result with the truth.
    ///
    /// # Errors
    /// What the library fails with. Then nothing is left at the target or beside it.
    pub fn run(self, client: &Client, url: &str, corpus: &Corpus) -> Result<Archive<Remote>, Error> {
        let archive = client.open_url(url)?.archive()?;
        self.run_on(&archive, corpus).map(|()| archive)
    }

    pub fn run_on(self, archive: &Archive<Remote>, corpus: &Corpus) -> Result<(), Error> {
        let (one, local) = (corpus.one.as_str(), &corpus.local);
        match self {
            Self::List => {
                let listed = archive.entries().map(|e| (e.name(), e.size(), e.crc32(), e.unix_mode()));
                assert!(listed.eq(local.entries().map(|e| (e.name(), e.size(), e.crc32(), e.unix_mode()))));
            }
            Self::Read => assert!(archive.read(one)? == local.read(one)?),
            Self::ReadMany => {
                // Whatever their order.
                let wanted: Vec<&String> = corpus.neighbours.iter().rev().collect();
                let read = archive.read_many(&wanted)?;
                assert!(
                    read.len() == wanted.len() && read.iter().zip(&wanted).all(|(r, n)| *r == local.read(n).unwrap())
                );
            }
            Self::Copy => {
                let mut copied = Vec::new();
                archive.copy(one, &mut copied)?;
                assert!(copied == local.read(one)?);
            }
            Self::Reader => {
                let mut read = Vec::new();
                archive.reader(one)?.read_to_end(&mut read).map_err(|e| e.downcast::<Error>().unwrap())?;
                assert!(read == local.read(one)?);
            }
            Self::Folder => self.extract(archive, corpus, &ExtractOptions::new().prefix(&corpus.folder), 0)?,
            Self::Everything => self.extract(archive, corpus, &ExtractOptions::new(), 1)?,
            Self::Verify => {
                let verified = archive.verify()?;
                assert!(verified.is_ok() && verified == local.verify()?, "{:?}", verified.bad);
            }
        }
        Ok(())
    }

    fn extract(
        self,
        archive: &Archive<Remote>,
        corpus: &Corpus,
        options: &ExtractOptions,
        which: usize,
    ) -> Result<(), Error> {
        let beside = quick_dir();
        let target = beside.path().join("out");
        if let Err(error) = archive.extract_with(&target, options) {
            assert_eq!(names(beside.path()), [""; 0], "{self:?}: {error:?}");
            return Err(error);
        }
        assert_eq!(names(beside.path()), ["out"]);
        assert!(tree(&target) == *corpus.tree(options, which), "{self:?} of {corpus:?}");
        Ok(())
    }
}

/// The error says why, without a secret, and is not what followed from it elsewhere.
#[track_caller]
pub fn assert_reason(error: &Error, reasons: &[&str], told: &str) {
    let text = chain(error);
    assert_no_secret(&text);
    assert!(!error.is_cancelled() && !text.contains("failed before"), "{told}: {text}");
    assert!(reasons.iter().any(|reason| text.contains(reason)), "{told}: {text}");
}

/// Waits until `done`, which a host finds out a moment after its client; for half a minute at most.
#[track_caller]
pub fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What does not compress.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 7_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take((1 << 20) + 4099).collect()
});

/// Writes archives. Names begin with a folder `app/NN`.
pub struct Maker(ZipWriter<Cursor<Vec<u8>>>, usize);

impl Maker {
    pub fn file(&mut self, name: &str, len: usize) {
        self.1 += 1;
        let method = if len > 64 << 10 { Stored } else { Deflated };
        self.0.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        let mut left = len;
        while left > 0 {
            let from = (self.1 * 7919 + left) % 4099;
            let piece = left.min(1 << 20);
            self.0.write_all(&NOISE[from..from + piece]).unwrap();
            left -= piece;
        }
    }

    pub fn link(&mut self, name: &str, target: &str) {
        self.0.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    }
}

/// An archive that `write` fills.
pub fn made(write: impl FnOnce(&mut Maker)) -> Vec<u8> {
    let mut maker = Maker(ZipWriter::new(Cursor::new(Vec::new())), 0);
    write(&mut maker);
    maker.0.finish().unwrap().into_inner()
}

/// `folders` folders with `each` files of about `len` bytes.
pub fn folders(folders: usize, each: usize, len: usize) -> impl Fn(&mut Maker) {
    move |maker| {
        for n in 0..folders * each {
            maker.file(&format!("app/{:02}/some-module-{n:05}.js", n / each), len + n % 97);
        }
    }
}
