//! A ZIP archive over any [`Source`]: looked into, verified, compared and extracted.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use self::directory::Directory;
use self::fault::Fault;
use self::name::Platform;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

mod body;
mod content;
mod diff;
mod directory;
mod ends;
mod entry;
mod extract;
mod fault;
mod files;
mod format;
mod layout;
mod limits;
mod links;
mod merge;
mod name;
mod options;
mod piped;
mod plan;
mod reader;
mod search;
mod settle;
mod target;
mod times;
mod verify;
mod window;
mod work;

pub use diff::{Diff, Difference};
pub use entry::{Entry, EntryKind};
pub use extract::Extracted;
pub use limits::Limits;
pub use options::{ExtractOptions, Links};
pub use plan::ExtractPlan;
pub use reader::EntryReader;
pub use search::Tree;
pub use verify::{BadEntry, Verified};

/// The largest entry that [`Archive::read`] puts into memory.
const READ_LIMIT: u64 = 1 << 30;

/// A ZIP archive: a snapshot's files, in a file, in memory or at the snapshot host.
///
/// Opening reads the directory only: one or two reads, and about 150 bytes of memory an entry. Everything it
/// gives can be used by several threads at once.
///
/// ```
/// # use std::io::Write;
/// use squarecloud_blocking::{Archive, ExtractOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("snapshot.zip");
/// # let mut writer = zip::ZipWriter::new(std::fs::File::create(&path)?);
/// # writer.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
/// # writer.write_all(b"{}")?;
/// # writer.finish()?;
/// # let target = dir.path().join("app");
/// let archive = Archive::open(&path)?;
/// print!("{}", archive.tree());
/// assert_eq!(archive.read("app/config.json")?, b"{}");
/// assert!(archive.verify()?.is_ok());
///
/// let options = ExtractOptions::new().strip(1);
/// for refused in archive.plan(&options)?.refused() {
///     println!("{:?}: {}", refused.name, refused.detail);
/// }
/// let extracted = archive.extract_with(&target, &options)?;
/// assert_eq!(extracted.files, 1);
/// assert!(target.join("config.json").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Archive<S: Source> {
    source: Arc<S>,
    directory: Directory,
}

impl Archive<File> {
    /// Opens an archive in a file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, and those of [`Archive::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(File::open(path).map_err(|e| Error::io("opening", path, e))?)
    }
}

impl<S: Source> Archive<S> {
    /// Opens an archive.
    ///
    /// The end records and the directory must be whole and agree with each other (APPNOTE 4.3.12 to 4.3.16);
    /// what single entries are is judged when they are read or extracted.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no ZIP archive, it is cut off or contradicts itself;
    /// [`Error::Archive`] when the source fails.
    pub fn new(source: S) -> Result<Self> {
        let directory = Directory::read(&source)?;
        Ok(Self { source: Arc::new(source), directory })
    }

    /// The number of entries, directories counted. Costs nothing.
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The source, as it was given.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// All entries in the order of the directory.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        // `Range<u32>` has a size that is known, but not on every platform.
        let records = self.directory.records().iter().enumerate();
        records.map(|(index, _)| Entry { directory: &self.directory, index: index as u32 })
    }

    /// The entry of exactly that name; the first, if there are several. The first call builds an index: 8 bytes of
    /// memory an entry.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.directory.find(name).map(|(index, _)| Entry { directory: &self.directory, index })
    }

    /// The entries whose names fit a pattern: `?` is one character and `*` any number, but not `/`; `**` is any
    /// number of components. A pattern without `/` is held against the last component: `*.json` finds them
    /// at any depth. For anything else, filter [`entries`](Self::entries) with a closure.
    pub fn glob(&self, pattern: &str) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(move |entry| search::fits(pattern, entry.name()))
    }

    /// The bytes of all entries when extracted, as the directory says.
    pub fn total_size(&self) -> u64 {
        self.directory.records().iter().fold(0, |sum, r| sum.saturating_add(r.size))
    }

    /// The bytes of all entries as packed, as the directory says.
    pub fn total_compressed_size(&self) -> u64 {
        self.directory.records().iter().fold(0, |sum, r| sum.saturating_add(r.packed))
    }

    /// The names as an indented tree, to be printed: escaped, so that no name can do harm to a terminal.
    pub fn tree(&self) -> Tree<'_> {
        Tree::of(&self.directory)
    }

    /// The content of an entry, its size and CRC-32 checked. Memory: the content, 1 GiB at most; one or two reads.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`]; [`Error::Refused`] when it is no file or link, larger than 1 GiB, listed twice,
    /// encrypted, packed by an unknown method or damaged; [`Error::Archive`] when the source fails.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (index, body) = self.locate(name)?;
        if body.size > READ_LIMIT {
            let fault =
                Fault::new(Refusal::TooLarge, "it is larger than 1 GiB; write it somewhere with `copy`");
            return Err(fault.of(name));
        }
        self.content(index, &body)
    }

    /// Writes the content of an entry to `to` and gives its size. Memory: half a MiB. The size and CRC-32 are
    /// checked, but only at the end: on an error, what was written already is worth nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), except that there is no limit; [`Error::Io`] when `to` fails.
    pub fn copy(&self, name: &str, to: &mut impl Write) -> Result<u64> {
        let (index, body) = self.locate(name)?;
        let written = self
            .unpack(index, &body, |piece| to.write_all(piece).map_err(|e| Error::io("writing", name, e)))?;
        to.flush().map_err(|e| Error::io("writing", name, e))?;
        Ok(written)
    }

    /// An entry as a stream, inflated by a thread of its own while it is read. Memory: about 1 MiB.
    ///
    /// # Errors
    /// Those of [`copy`](Self::copy) that show before the data is read; later ones come from the stream.
    pub fn reader(&self, name: &str) -> Result<EntryReader>
    where
        S: 'static,
    {
        let (_, body) = self.locate(name)?;
        EntryReader::start(Arc::clone(&self.source), name.to_owned(), body)
    }

    /// Holds every entry's headers and data against the directory: structure, sizes and CRC-32. Everything is
    /// inflated once by all cores and nothing is written. Memory: half a MiB a core.
    ///
    /// Names and links are harmless until extracted: they are judged by [`plan`](Self::plan).
    ///
    /// # Errors
    /// [`Error::Archive`] when the source fails. What is wrong with the archive is no error but the result.
    pub fn verify(&self) -> Result<Verified> {
        verify::verify(self)
    }

    /// The dry run of an extraction: what would be made, and all that is refused. Reads the local headers and
    /// the links' targets; writes nothing.
    ///
    /// # Errors
    /// [`Error::Archive`] when the source fails. What is refused is no error but part of the plan.
    pub fn plan(&self, options: &ExtractOptions) -> Result<ExtractPlan> {
        let mut plan = plan::draw(&self.directory, options, Platform::HERE);
        let mut wanted = vec![false; self.directory.len()];
        let leaves = plan.files.iter().chain(&plan.links).map(|leaf| leaf.index);
        for index in leaves.chain(plan.folders.iter().filter_map(|f| f.index)) {
            if let Some(wanted) = wanted.get_mut(index as usize) {
                *wanted = true;
            }
        }
        let partial = options.filter.is_some() || !options.prefixes.is_empty();
        let pick = |index: u32| !partial || wanted.get(index as usize) == Some(&true);
        let mut faults = Vec::new();
        let layout =
            layout::check(&*self.source, &self.directory, pick, |index, fault| faults.push((index, fault)))
                .map_err(|e| verify::reading(None, e))?;
        for (index, fault) in faults {
            plan.refuse(index.map(|i| self.directory.name(i)), fault);
        }
        plan.layout = Some(layout);
        self.look_into_directories(&mut plan)?;
        self.follow_links(&mut plan)?;
        Ok(plan)
    }

    /// Extracts everything into `dir`, which must not exist or be empty. All or nothing: the files are written
    /// into a private directory beside it, and one rename puts that in place; after an error, `dir` is as it was.
    ///
    /// Works with all cores. Memory: half a MiB a core and some 200 bytes an entry. Disk: the extracted bytes.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Refused`] for the first thing that [`plan`](Self::plan) refuses, or for damaged
    /// data; [`Error::Io`] when the file system fails; [`Error::Archive`] when the source does.
    pub fn extract(&self, dir: impl AsRef<Path>) -> Result<Extracted> {
        self.extract_with(dir, &ExtractOptions::new())
    }

    /// [`extract`](Self::extract), as the options say.
    ///
    /// # Errors
    /// Those of [`extract`](Self::extract), and [`Error::Cancelled`].
    pub fn extract_with(&self, dir: impl AsRef<Path>, options: &ExtractOptions) -> Result<Extracted> {
        extract::extract(self, dir.as_ref(), options)
    }

    /// What changed from this archive to a newer one: by names, sizes, CRC-32 and kinds of the two directories, so
    /// nothing is read or inflated.
    pub fn diff<T: Source>(&self, newer: &Archive<T>) -> Diff {
        diff::diff(&self.directory, &newer.directory)
    }
}
