//! The archive as users hold it: every method hands its work down to another file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::directory::CentralDirectory;
use super::entry::Entry;
use super::extract::{self, Extracted};
use super::fault::Fault;
use super::local::Reader;
use super::options::ExtractOptions;
use super::plan::ExtractPlan;
use super::read::{self, Diff, EntryReader, Tree, Verified};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// The largest entry that [`Archive::read`] puts into memory.
const READ_LIMIT: u64 = 1 << 30;

/// A ZIP archive: a snapshot's files, in a file, in memory or at the snapshot host.
///
/// Opening reads the central directory only: two reads, and about 150 bytes of memory an entry. Cheap to clone, and
/// everything it gives can be used by several threads at once.
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
    directory: Arc<CentralDirectory>,
}

/// Shares source and central directory: costs nothing.
impl<S: Source> Clone for Archive<S> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), directory: Arc::clone(&self.directory) }
    }
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
    /// The EOCD records and the central directory must be whole and agree with each other
    /// ([APPNOTE](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) 4.3.12 to 4.3.16); what single entries
    /// are is judged when they are read or extracted.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not a ZIP archive, is cut off or contradicts itself;
    /// [`Error::Archive`] when the source fails.
    pub fn new(source: S) -> Result<Self> {
        let directory = CentralDirectory::read(&source).map_err(|e| e.error(None))?;
        Ok(Self { source: Arc::new(source), directory: Arc::new(directory) })
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

    /// All entries in the order of the central directory.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        // `Range<u32>` has a size that is known, but not on every platform.
        let records = self.directory.records().iter().enumerate();
        records.map(|(index, _)| Entry { directory: &self.directory, index: index as u32 })
    }

    /// The entry of exactly that name; the first, if there are several. The first call sorts the names: 4 bytes of
    /// memory an entry.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.directory.find(name).map(|(index, _)| Entry { directory: &self.directory, index })
    }

    /// The bytes of all entries when extracted, as the central directory says.
    pub fn total_size(&self) -> u64 {
        self.directory.records().iter().fold(0, |sum, r| sum.saturating_add(r.size))
    }

    /// The bytes of all entries in the archive, as the central directory says.
    pub fn total_compressed_size(&self) -> u64 {
        self.directory.records().iter().fold(0, |sum, r| sum.saturating_add(r.compressed))
    }

    /// The names as an indented tree, to be printed: escaped, so that no name can do harm to a terminal.
    pub fn tree(&self) -> Tree<'_> {
        Tree::of(&self.directory)
    }

    /// The content of an entry, its size and CRC-32 checked. Memory: the content, 1 GiB at most; one or two reads.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`]; [`Error::Refused`] when it is not a file or a link, larger than 1 GiB, listed twice,
    /// encrypted, compressed by an unknown method or damaged; [`Error::Archive`] when the source fails.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let index = read::find(&self.directory, name)?;
        let size = self.directory.record(index).size;
        if size > READ_LIMIT {
            let fault =
                Fault::new(Refusal::TooLarge, "it is larger than 1 GiB; write it somewhere with `copy`");
            return Err(fault.error(Some(name)));
        }
        let mut reader = Reader::new(&*self.source, &self.directory, size);
        reader.content(index, None).map_err(|e| e.error(Some(name)))
    }

    /// Writes the content of an entry to `to` and returns its size. Memory: half a MiB. The size and CRC-32 are
    /// checked, but only at the end: on an error, what was written already is worth nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), except that there is no limit; [`Error::Io`] when `to` fails.
    pub fn copy(&self, name: &str, mut to: impl Write) -> Result<u64> {
        let index = read::find(&self.directory, name)?;
        let size = self.directory.record(index).size;
        let failed = |e| Error::io("writing", name, e);
        Reader::new(&*self.source, &self.directory, size)
            .read_one(index, None, |piece| to.write_all(piece).map_err(failed))
            .map_err(|e| e.error(Some(name)))?;
        to.flush().map_err(failed)?;
        Ok(size)
    }

    /// An entry as a stream, decoded by a thread of its own while it is read. Memory: about 1 MiB.
    ///
    /// # Errors
    /// Those of [`copy`](Self::copy) that show before the data is read; later ones come from the stream.
    pub fn reader(&self, name: &str) -> Result<EntryReader>
    where
        S: 'static,
    {
        let index = read::find(&self.directory, name)?;
        EntryReader::start(Arc::clone(&self.source), Arc::clone(&self.directory), index)
    }

    /// Compares every entry's headers and data with the central directory: structure, sizes and CRC-32. Everything is
    /// decoded once by all cores and nothing is written. Memory: half a MiB a core.
    ///
    /// Names and links are harmless until extracted: they are judged by [`plan`](Self::plan).
    ///
    /// # Errors
    /// [`Error::Archive`] when the source fails. What is wrong with the archive is not an error but the result.
    pub fn verify(&self) -> Result<Verified> {
        read::verify(&*self.source, &self.directory)
    }

    /// The dry run of an extraction: what would be made, and all that is refused before data is read. Reads the links'
    /// targets and nothing else; writes nothing. What headers and data in front of the central directory tell is found
    /// by [`verify`](Self::verify), or by an extraction before anything appears at its target.
    ///
    /// # Errors
    /// [`Error::Archive`] when the source fails. What is refused is not an error but part of the plan.
    pub fn plan(&self, options: &ExtractOptions) -> Result<ExtractPlan> {
        extract::plan(&*self.source, &self.directory, options)
    }

    /// Extracts everything into `dir`, which must not exist or be empty. All or nothing: the files are written
    /// into a private directory beside it, and one rename puts that in place; after an error, `dir` is as it was.
    ///
    /// Uses all cores. Memory: half a MiB a core and some 200 bytes an entry. Disk: the extracted bytes.
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
        extract::extract(&*self.source, &self.directory, dir.as_ref(), options)
    }

    /// What changed from this archive to a newer one: by names, sizes, CRC-32 and kinds of the two central directories,
    /// so nothing is read.
    pub fn diff<T: Source>(&self, newer: &Archive<T>) -> Diff {
        read::diff(&self.directory, &newer.directory)
    }
}
