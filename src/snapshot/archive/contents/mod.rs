//! The archive as users hold it, and what its central directory tells: entries, the tree of names, differences. Reading
//! and extracting it are files of their own.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub use self::entry::{Entry, EntryKind};
pub use self::extract::Extracted;
pub use self::options::{ExtractOptions, Limits, Links};
pub use self::plan::ExtractPlan;
pub use self::read::{EntryReader, Verified};
use super::directory::CentralDirectory;
use super::fault::shown;
use super::name::Platform;
use crate::error::{Error, Result};
use crate::snapshot::source::Source;

mod data;
mod entry;
mod extract;
mod links;
mod local;
mod meter;
mod moves;
mod options;
mod paths;
mod plan;
mod read;
mod staging;
mod target;
mod work;

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
    /// What errors call it: a file, or a link without its query.
    name: Option<Arc<str>>,
}

/// Shares source and central directory: costs nothing.
impl<S: Source> Clone for Archive<S> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), directory: Arc::clone(&self.directory), name: self.name.clone() }
    }
}

impl Archive<File> {
    /// Opens an archive in a file.
    ///
    /// ```no_run
    /// for entry in squarecloud_blocking::Archive::open("backup.zip")?.entries() {
    ///     println!("{:?}: {} bytes", entry.name(), entry.size());
    /// }
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, and those of [`Archive::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
        Self::named(file, &path.to_string_lossy())
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
        Ok(Self { source: Arc::new(source), directory: Arc::new(directory), name: None })
    }

    /// Opens an archive that errors call `name`.
    pub(crate) fn named(source: S, name: &str) -> Result<Self> {
        let archive = Self::new(source).map_err(|error| error.in_archive(Some(name)))?;
        Ok(Self { name: Some(name.into()), ..archive })
    }

    /// The error of a call, which names the archive.
    fn naming(&self, error: Error) -> Error {
        error.in_archive(self.name.as_deref())
    }

    /// Returns the number of entries, directories counted. Costs nothing.
    pub fn len(&self) -> usize {
        self.directory.records.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the source, as it was given.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns all entries in the order of the central directory. Reads nothing.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        // `Range<u32>` has a size that is known, but not on every platform.
        let records = self.directory.records.iter().enumerate();
        records.map(|(index, _)| Entry { directory: &self.directory, index: index as u32 })
    }

    /// Returns the entry of exactly that name; the first, if there are several. The first call sorts the names: 4 bytes
    /// of memory an entry.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.directory.find(name).map(|(index, _)| Entry { directory: &self.directory, index })
    }

    /// Returns the bytes of all entries when extracted, as the central directory says.
    pub fn total_size(&self) -> u64 {
        self.directory.records.iter().fold(0, |sum, r| sum.saturating_add(r.size))
    }

    /// Returns the bytes of all entries in the archive, as the central directory says.
    pub fn total_compressed_size(&self) -> u64 {
        self.directory.records.iter().fold(0, |sum, r| sum.saturating_add(r.compressed))
    }

    /// Returns the names as an indented tree, to be printed: escaped, so that no name can do harm to a terminal.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// assert_eq!(archive.tree().to_string(), "app/\n  config.json  0\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tree(&self) -> Tree<'_> {
        Tree { directory: &self.directory }
    }

    /// Returns what an extraction would make, and all that is refused before data is read: the dry run. Reads the
    /// links' targets, and the local file headers of entries that seem to overlap; writes nothing. What else headers
    /// and data in front of the central directory tell is found by [`verify`](Self::verify), or by an extraction before
    /// anything appears at its target.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// let plan = archive.plan(&squarecloud_blocking::ExtractOptions::new().strip(1))?;
    /// assert_eq!(plan.paths().collect::<Vec<_>>(), ["config.json"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`] when no entry lies under a given prefix, or filter and `strip` leave none;
    /// [`Error::Archive`] when the source fails. What is refused is not an error but part of the plan.
    pub fn plan(&self, options: &ExtractOptions) -> Result<ExtractPlan> {
        plan::draw_whole(self, options, Platform::HERE).map_err(|error| self.naming(error))
    }

    /// Extracts everything into `dir`, which must not exist or be empty. All or nothing: the files are written into a
    /// private directory first, beside a new `dir` or in an existing one. A new `dir` appears with one rename. An existing
    /// one stays the directory it is; it is filled by renames, and emptied again if one fails.
    ///
    /// What a killed extraction left is removed by the next one to the same `dir`, and never makes it count as not empty:
    /// if the kill came while it was filled, the next extraction completes it. A power cut soon after the call can still
    /// take content away, unless [`durable`](ExtractOptions::durable) is set. A file system that cannot hold what is in the
    /// archive (no links, no `:`, names that differ in case only) is found out, and that entry refused, before anything is
    /// written.
    ///
    /// Uses all cores. Memory: half a MiB a core, another MiB for each file above 8 MiB that is being written, and some
    /// 200 bytes an entry; straight from a snapshot's host, about 32 MiB more. Disk: the extracted bytes.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// # let dir = tempfile::tempdir()?;
    /// let extracted = archive.extract(dir.path().join("restored"))?;
    /// assert_eq!(extracted.files, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`] when `dir` exists and is not an empty directory; [`Error::Refused`] for the first thing that
    /// [`plan`](Self::plan) refuses, or for damaged data; [`Error::Io`] when the file system fails;
    /// [`Error::Archive`] when the source does.
    pub fn extract(&self, dir: impl AsRef<Path>) -> Result<Extracted> {
        self.extract_with(dir, &ExtractOptions::new())
    }

    /// Extracts as [`extract`](Self::extract) does, with options.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// # let dir = tempfile::tempdir()?;
    /// let options = squarecloud_blocking::ExtractOptions::new().prefix("app").strip(1);
    /// archive.extract_with(dir.path(), &options)?;
    /// assert!(dir.path().join("config.json").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`extract`](Self::extract) and [`plan`](Self::plan), and [`Error::Cancelled`].
    pub fn extract_with(&self, dir: impl AsRef<Path>, options: &ExtractOptions) -> Result<Extracted> {
        extract::extract(self, dir.as_ref(), options).map_err(|error| self.naming(error))
    }

    /// Returns what changed from this archive to a newer one: by names, sizes, CRC-32 and kinds of the two central
    /// directories, so nothing is read.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// let diff = archive.diff(&archive.clone());
    /// assert!(diff.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn diff<T: Source>(&self, newer: &Archive<T>) -> Diff {
        let mut diff = Diff::default();
        let difference = |was: Option<Entry<'_>>, is: Option<Entry<'_>>| Difference {
            name: was.or(is).map_or("", |entry| entry.name()).into(),
            old_size: was.map(|entry| entry.size()),
            new_size: is.map(|entry| entry.size()),
        };
        let content = |entry: Entry<'_>| (entry.size(), entry.crc32(), entry.kind());
        for was in self.entries() {
            match newer.entry(was.name()) {
                None => diff.removed.push(difference(Some(was), None)),
                Some(is) if content(was) != content(is) => diff.changed.push(difference(Some(was), Some(is))),
                Some(_) => {}
            }
        }
        let added = newer.entries().filter(|is| self.entry(is.name()).is_none());
        diff.added.extend(added.map(|is| difference(None, Some(is))));
        diff
    }
}

/// An archive's names as a tree, made by [`Archive::tree`](crate::Archive::tree) and meant to be printed.
#[derive(Debug)]
pub struct Tree<'a> {
    directory: &'a CentralDirectory,
}

/// One line a component, indented by its depth; names escaped, sizes of files in bytes.
impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<Entry<'_>> =
            self.directory.indices().map(|index| Entry { directory: self.directory, index }).collect();
        entries.sort_by(|a, b| a.name().split('/').cmp(b.name().split('/')));
        let mut open: Vec<&str> = Vec::new();
        for entry in entries {
            let parts: Vec<&str> = entry.name().split('/').filter(|part| !part.is_empty()).collect();
            let shared = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
            // The last component is the entry itself, even if a line of the same name came before.
            let from = shared.min(parts.len().saturating_sub(1));
            let is_directory = entry.kind() == EntryKind::Directory;
            for (depth, part) in parts.iter().enumerate().skip(from) {
                let last = depth + 1 == parts.len();
                if last && is_directory && shared == parts.len() {
                    continue;
                }
                // Depth is the archive's word: it must not make lines of megabytes.
                write!(f, "{:indent$}{}", "", shown(part), indent = 2 * depth.min(100))?;
                match entry.kind() {
                    _ if !last => writeln!(f, "/")?,
                    EntryKind::Directory => writeln!(f, "/")?,
                    EntryKind::File => writeln!(f, "  {}", entry.size())?,
                    EntryKind::Symlink => writeln!(f, "  (link)")?,
                    EntryKind::Special => writeln!(f, "  (special)")?,
                }
            }
            open = parts;
        }
        Ok(())
    }
}

/// One difference between two archives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The entry's name, as stored.
    pub name: String,
    /// Its size in the older archive, if it is there.
    pub old_size: Option<u64>,
    /// Its size in the newer archive, if it is there.
    pub new_size: Option<u64>,
}

/// What [`Archive::diff`](crate::Archive::diff) found. Each list has the order of the archive it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// Only in the newer archive.
    pub added: Vec<Difference>,
    /// Only in the older archive.
    pub removed: Vec<Difference>,
    /// In both, with another size, checksum or kind.
    pub changed: Vec<Difference>,
}

impl Diff {
    /// Whether both have the same entries with the same content.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
