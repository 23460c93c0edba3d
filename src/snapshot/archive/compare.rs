//! Archives looked into and compared by their central directories: nothing is read.

use std::fmt;

use super::directory::CentralDirectory;
use super::entry::{Entry, EntryKind};
use super::fault::shown;
use super::handle::Archive;
use crate::snapshot::source::Source;

impl<S: Source> Archive<S> {
    /// The names as an indented tree, to be printed: escaped, so that no name can do harm to a terminal.
    pub fn tree(&self) -> Tree<'_> {
        Tree { directory: &self.directory }
    }

    /// What changed from this archive to a newer one: by names, sizes, CRC-32 and kinds of the two central directories,
    /// so nothing is read.
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
