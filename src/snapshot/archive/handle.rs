//! The archive as users hold it, and what its central directory tells. Reading and extracting it are files of their own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::directory::CentralDirectory;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::snapshot::source::Source;

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
    pub(super) source: Arc<S>,
    pub(super) directory: Arc<CentralDirectory>,
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
        self.directory.records.len()
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
        let records = self.directory.records.iter().enumerate();
        records.map(|(index, _)| Entry { directory: &self.directory, index: index as u32 })
    }

    /// The entry of exactly that name; the first, if there are several. The first call sorts the names: 4 bytes of
    /// memory an entry.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.directory.find(name).map(|(index, _)| Entry { directory: &self.directory, index })
    }

    /// The bytes of all entries when extracted, as the central directory says.
    pub fn total_size(&self) -> u64 {
        self.directory.records.iter().fold(0, |sum, r| sum.saturating_add(r.size))
    }

    /// The bytes of all entries in the archive, as the central directory says.
    pub fn total_compressed_size(&self) -> u64 {
        self.directory.records.iter().fold(0, |sum, r| sum.saturating_add(r.compressed))
    }
}
