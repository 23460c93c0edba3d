//! One entry as its directory describes it.

use std::fmt;

use time::PrimitiveDateTime;

use super::directory::Directory;
use super::fault::shown;
use super::format::Central;
use super::{name, times};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; its target is its content.
    Symlink,
    /// A device, a fifo, a socket or a type this crate does not know. Never extracted.
    Special,
}

/// The type bits of a unix mode.
const TYPE: u32 = 0o170_000;

/// One entry of an [`Archive`](crate::Archive), as the archive's directory describes it. Costs nothing to get
/// or to ask; what it says is held against the data only by `read`, `copy`, `verify` and `extract`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub(super) directory: &'a Directory,
    pub(super) index: u32,
}

impl<'a> Entry<'a> {
    fn central(&self) -> Central<'a> {
        self.directory.central(self.index)
    }

    /// The name, as stored: UTF-8 or code page 437 decoded, nothing repaired. It may be hostile: print it
    /// with [`escape_debug`](str::escape_debug) and never join it to a path; `extract` judges it.
    pub fn name(&self) -> &'a str {
        self.directory.name(self.index)
    }

    /// The size when extracted, in bytes.
    pub fn size(&self) -> u64 {
        self.directory.record(self.index).map_or(0, |r| r.size)
    }

    /// The size in the archive, in bytes.
    pub fn compressed_size(&self) -> u64 {
        self.directory.record(self.index).map_or(0, |r| r.packed)
    }

    /// The CRC-32 of the content.
    pub fn crc32(&self) -> u32 {
        self.central().crc
    }

    /// When it was last modified: from the extended timestamp or the NTFS field in UTC, else the DOS time in
    /// the local time of whoever made the archive (APPNOTE 4.4.6). `None` when there is no date that exists.
    pub fn modified(&self) -> Option<PrimitiveDateTime> {
        times::modified(&self.central())
    }

    /// What it is: by the unix mode's type bits where there are some, else by a `/` at the name's end. What
    /// `zip` reads from a pipe and names `-` has the pipe's mode and is a file.
    pub fn kind(&self) -> EntryKind {
        kind(&self.central(), self.name())
    }

    /// The unix mode with its type bits; `None` when the archive was not made by a unix tool or gives none.
    pub fn unix_mode(&self) -> Option<u32> {
        unix_mode(&self.central())
    }

    /// The compression method: 0 is stored, 8 is deflate, and others are not extracted (APPNOTE 4.4.5).
    pub fn method(&self) -> u16 {
        self.central().method
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &format_args!("{}", shown(self.name())))
            .field("kind", &self.kind())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

pub(super) fn unix_mode(central: &Central<'_>) -> Option<u32> {
    let mode = central.attributes >> 16;
    (name::unix_host(central.host) && mode != 0).then_some(mode)
}

/// The permission bits to set: never set-id or sticky, and none when the archive gives none.
pub(super) fn permissions(central: &Central<'_>) -> Option<u32> {
    unix_mode(central).map(|mode| mode & 0o777).filter(|mode| *mode != 0)
}

fn kind(central: &Central<'_>, name: &str) -> EntryKind {
    let named_directory = name.ends_with('/') || (name.ends_with('\\') && name::dos_host(central.host));
    match unix_mode(central).map_or(0, |mode| mode & TYPE) {
        0o120_000 => EntryKind::Symlink,
        0o040_000 => EntryKind::Directory,
        0 | 0o100_000 if named_directory => EntryKind::Directory,
        0 | 0o100_000 => EntryKind::File,
        // What Info-ZIP reads from a pipe (`zip out.zip -`) has the pipe's mode and always this name.
        0o010_000 if name == "-" => EntryKind::File,
        _ => EntryKind::Special,
    }
}
