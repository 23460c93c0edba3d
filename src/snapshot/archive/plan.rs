//! PURE. What an extraction would do, decided before the first byte is written: from the central directory and the links'
//! targets alone. Local file headers are judged when the data is read, into a private directory.

use std::collections::HashSet;

use super::directory::{CentralDirectory, Layout};
use super::entry::{Entry, EntryKind, readable};
use super::fault::{BadEntry, Failure, Fault, Judged};
use super::links::{self, LinkTree};
use super::name::Platform;
use super::options::{ExtractOptions, Links};
use super::paths::{Folder, Leaf, Path, Wanted, assign, under, wanted};
use crate::error::{Error, Refusal, Result};

/// What [`Archive::extract_with`](crate::Archive::extract_with) would do with the same options: the dry run.
pub struct ExtractPlan {
    text: String,
    pub(super) files: Vec<Leaf>,
    pub(super) links: Vec<Leaf>,
    pub(super) folders: Vec<Folder>,
    /// Entries that nothing is written for, but that are read and judged like the others: directories, and links that
    /// are left out.
    pub(super) unwritten: Vec<u32>,
    pub(super) layout: Layout,
    /// No entry is left out by a filter or a prefix.
    pub(super) whole: bool,
    bytes: u64,
    refused: Vec<BadEntry>,
}

impl std::fmt::Debug for ExtractPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtractPlan")
            .field("files", &self.files.len())
            .field("links", &self.links.len())
            .field("directories", &self.folders.len())
            .field("bytes", &self.bytes)
            .field("refused", &self.refused)
            .finish()
    }
}

impl ExtractPlan {
    /// Files that would be written.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Directories that would be made inside the target, those that no entry names included.
    pub fn directories(&self) -> usize {
        self.folders.len()
    }

    /// Symbolic links that would be made.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The paths inside the target that would be made, with `/` between components: directories, then files, then
    /// links.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let leaves = self.leaves().map(|leaf| &leaf.path);
        self.folders.iter().map(|folder| &folder.path).chain(leaves).map(|path| self.path(path))
    }

    /// Everything that makes the extraction refuse the archive before it reads the files' data.
    pub fn refused(&self) -> &[BadEntry] {
        &self.refused
    }

    /// Whether nothing is refused.
    pub fn is_ok(&self) -> bool {
        self.refused.is_empty()
    }

    pub(super) fn path(&self, path: &Path) -> &str {
        self.text.get(path.clone()).unwrap_or_default()
    }

    /// All files and links.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> + Clone {
        self.files.iter().chain(&self.links)
    }

    /// The first refusal as an error.
    pub(super) fn check(&self) -> Result<()> {
        self.refused.first().map_or(Ok(()), |bad| {
            Err(Error::Refused { entry: bad.name.clone(), refusal: bad.refusal, detail: bad.detail.clone() })
        })
    }

    /// The plan without the files and links that `keep` does not want to have written.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let kept = |leaf: &Leaf| self.text.get(leaf.path.clone()).is_some_and(&keep);
        self.files.retain(kept);
        self.links.retain(kept);
    }
}

/// A plan in the making.
struct Draft<'a> {
    directory: &'a CentralDirectory,
    options: &'a ExtractOptions,
    platform: Platform,
    plan: ExtractPlan,
    /// The directories that entries name.
    listed: Vec<Folder>,
    count: u64,
    /// Compressed bytes of all files.
    compressed: u64,
    /// Bytes of all links' targets.
    targets: u64,
}

/// Decides everything; `read` gets the content of a link.
///
/// # Errors
/// What reading a link's target fails with, unless the archive is to blame.
pub(super) fn draw(
    directory: &CentralDirectory,
    options: &ExtractOptions,
    platform: Platform,
    read: impl FnMut(u32, u64) -> Result<Vec<u8>, Failure>,
) -> Result<ExtractPlan> {
    let plan = ExtractPlan {
        text: String::new(),
        files: Vec::new(),
        links: Vec::new(),
        folders: Vec::new(),
        unwritten: Vec::new(),
        layout: Layout::of(directory),
        whole: options.filter.is_none() && options.prefixes.is_empty(),
        bytes: 0,
        refused: Vec::new(),
    };
    let (listed, count, compressed, targets) = (Vec::new(), 0, 0, 0);
    let mut draft = Draft { directory, options, platform, plan, listed, count, compressed, targets };
    for index in directory.indices() {
        let entry = Entry { directory, index };
        if options.filter.as_ref().is_none_or(|pick| pick(&entry)) {
            draft.add(&entry);
        }
    }
    let modest = draft.settle();
    draft.refuse_overlaps();
    if options.links == Links::Skip {
        draft.plan.unwritten.extend(draft.plan.links.drain(..).map(|leaf| leaf.index));
    } else if modest {
        draft.follow_links(read)?;
    }
    Ok(draft.plan)
}

impl Draft<'_> {
    fn refuse(&mut self, index: Option<u32>, fault: Fault) {
        self.plan.refused.push(BadEntry::new(index.map(|index| self.directory.name(index)), fault));
    }

    /// Takes an entry in, or refuses it.
    fn add(&mut self, entry: &Entry<'_>) {
        let (options, index) = (self.options, entry.index);
        let path = match wanted(entry, options, self.platform) {
            Ok(Wanted::No) => return,
            Ok(Wanted::Root) => {
                content(entry, options).unwrap_or_else(|fault| self.refuse(Some(index), fault));
                return self.plan.unwritten.push(index);
            }
            Ok(Wanted::At(path)) => path,
            Err(fault) => {
                if under(entry.name(), &options.prefixes) {
                    self.refuse(Some(index), fault);
                }
                return;
            }
        };
        self.count += 1;
        if let Err(fault) = content(entry, options).and_then(|()| options.limits.path(&path)) {
            return self.refuse(Some(index), fault);
        }
        let start = self.plan.text.len();
        self.plan.text.push_str(&path);
        let path = start..self.plan.text.len();
        match entry.kind() {
            EntryKind::Directory => {
                self.plan.unwritten.push(index);
                self.listed.push(Folder { path, index: Some(index) });
            }
            EntryKind::Symlink => {
                self.targets = self.targets.saturating_add(entry.size());
                self.plan.links.push(Leaf { index, path, target: Some(String::new()) });
            }
            _ => {
                self.plan.bytes = self.plan.bytes.saturating_add(entry.size());
                self.compressed = self.compressed.saturating_add(entry.compressed_size());
                self.plan.files.push(Leaf { index, path, target: None });
            }
        }
    }

    /// Gives every path one owner and judges the whole. False when there are more paths or longer link targets than
    /// allowed: then they are not read.
    fn settle(&mut self) -> bool {
        let limits = &self.options.limits;
        let (folders, faults) =
            assign(&self.plan.text, self.plan.leaves(), &self.listed, self.platform, limits.entries);
        self.plan.folders = folders;
        // Directories that no entry lists are made, too: many deep paths must not get around the limit.
        let paths = (self.plan.folders.len() + self.plan.files.len() + self.plan.links.len()) as u64;
        let count = limits.count(self.count.max(paths));
        let whole = limits.whole(self.plan.bytes, self.compressed);
        let long = self.options.links != Links::Skip && self.targets > links::LONGEST_TOGETHER;
        let long =
            long.then(|| Fault::new(Refusal::TooLarge, "the targets of its links have more than 64 MiB"));
        let modest = count.is_ok() && long.is_none();
        for fault in [count.err(), whole.err(), long].into_iter().flatten() {
            self.refuse(None, fault);
        }
        for (index, fault) in faults {
            self.refuse(Some(index), fault);
        }
        modest
    }

    fn refuse_overlaps(&mut self) {
        if self.plan.layout.overlapping.is_empty() {
            return;
        }
        let plan = &self.plan;
        let chosen: HashSet<u32> =
            plan.leaves().map(|leaf| leaf.index).chain(plan.unwritten.iter().copied()).collect();
        let overlapping = plan.layout.overlapping.clone();
        for index in overlapping.into_iter().filter(|index| chosen.contains(index)) {
            self.refuse(Some(index), Layout::overlap());
        }
    }

    /// Reads the links' targets and refuses those that lead out.
    fn follow_links(&mut self, mut read: impl FnMut(u32, u64) -> Result<Vec<u8>, Failure>) -> Result<()> {
        let mut links = std::mem::take(&mut self.plan.links);
        for leaf in &mut links {
            let target = match read(leaf.index, self.plan.layout.next(leaf.index)) {
                Ok(content) => links::target(content),
                Err(Failure::Refused(fault)) => Err(fault),
                Err(e) => return Err(e.error(Some(self.directory.name(leaf.index)))),
            };
            match target {
                Ok(target) => leaf.target = Some(target),
                Err(fault) => self.refuse(Some(leaf.index), fault),
            }
        }
        let known =
            links.iter().map(|leaf| (self.plan.path(&leaf.path), leaf.target.as_deref().unwrap_or_default()));
        let mut tree = LinkTree::of(known, self.platform);
        let lead_out: Vec<_> = links
            .iter()
            .filter_map(|leaf| Some((leaf.index, tree.follow(self.plan.path(&leaf.path)).err()?)))
            .collect();
        drop(tree);
        for (index, fault) in lead_out {
            self.refuse(Some(index), fault);
        }
        self.plan.links = links;
        Ok(())
    }
}

/// Whether the data of an entry can be read at all, and asks for no more than allowed.
fn content(entry: &Entry<'_>, options: &ExtractOptions) -> Judged<()> {
    let kind = entry.kind();
    match kind {
        EntryKind::Special => {
            return Err(Fault::new(Refusal::Special, "a backup has files, directories and links only"));
        }
        EntryKind::Symlink if options.links == Links::Refuse => {
            return Err(Fault::new(Refusal::Link, "it is a link, and links were asked to be refused"));
        }
        EntryKind::Symlink if entry.name().ends_with('/') => {
            return Err(Fault::corrupt("it is a link by its mode and a directory by its name"));
        }
        EntryKind::Symlink if entry.size() > links::LONGEST && options.links != Links::Skip => {
            return Err(Fault::new(Refusal::Link, "its target is longer than 4,095 bytes"));
        }
        _ => {}
    }
    readable(entry.directory, entry.index)?;
    if kind == EntryKind::Directory && (entry.size() != 0 || entry.crc32() != 0) {
        return Err(Fault::corrupt("it is a directory with content"));
    }
    options.limits.entry(entry.size(), entry.compressed_size())
}
