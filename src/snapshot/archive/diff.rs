//! What changed from one archive to another, told from their directories alone.

use super::directory::Directory;
use super::entry::Entry;

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

pub(super) fn diff(old: &Directory, new: &Directory) -> Diff {
    let mut diff = Diff::default();
    let entry = |directory, index| Entry { directory, index };
    for was in old.indices().map(|index| entry(old, index)) {
        let name = was.name();
        let Some((index, _)) = new.find(name) else {
            diff.removed.push(Difference { name: name.into(), old_size: Some(was.size()), new_size: None });
            continue;
        };
        let is = entry(new, index);
        if (was.size(), was.crc32(), was.kind()) != (is.size(), is.crc32(), is.kind()) {
            diff.changed.push(Difference {
                name: name.into(),
                old_size: Some(was.size()),
                new_size: Some(is.size()),
            });
        }
    }
    for is in new.indices().map(|index| entry(new, index)).filter(|is| old.find(is.name()).is_none()) {
        diff.added.push(Difference { name: is.name().into(), old_size: None, new_size: Some(is.size()) });
    }
    diff
}
