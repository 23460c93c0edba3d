//! What an extraction would do, decided from the central directory before anything is written. The links' targets are read
//! first, too, except where the source fetches ahead: then they come with the files' data. Local file headers are judged when
//! the data is read, into a private directory.

use std::collections::{HashMap, HashSet};

use super::Archive;
use super::entry::{Entry, EntryKind};
use super::links;
use super::local::Reader;
use super::options::{ExtractOptions, Links};
use super::paths::{Folder, Leaf, assign, respell, under, wanted};
use super::work::read_some;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::directory::Record;
use crate::snapshot::archive::fault::{BadEntry, Fault, Judged};
use crate::snapshot::archive::name::Platform;
use crate::snapshot::source::Source;

/// What [`Archive::extract_with`](crate::Archive::extract_with) would do with the same options: the dry run.
#[derive(Debug, Default)]
pub struct ExtractPlan {
    pub(super) files: Vec<Leaf>,
    pub(super) links: Vec<Leaf>,
    pub(super) folders: Vec<Folder>,
    /// Entries that nothing is written for, but that are read and judged like the others: directories, and links that
    /// are left out.
    pub(super) unwritten: Vec<u32>,
    bytes: u64,
    refused: Vec<BadEntry>,
    /// There are more paths or longer link targets than allowed, so the targets are not read.
    exceeds_limits: bool,
}

impl ExtractPlan {
    /// Returns how many files would be written.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Returns how many directories would be made inside the target, those that no entry names included.
    pub fn directories(&self) -> usize {
        self.folders.len()
    }

    /// Returns how many symbolic links would be made.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Returns the bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the paths inside the target that would be made, with `/` between components: directories, then files,
    /// then links.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let folders = self.folders.iter().map(|folder| folder.path.as_str());
        folders.chain(self.leaves().map(|leaf| leaf.path.as_str()))
    }

    /// Returns everything that makes the extraction refuse the archive before it reads the files' data.
    pub fn refused(&self) -> &[BadEntry] {
        &self.refused
    }

    /// Whether nothing is refused.
    pub fn is_ok(&self) -> bool {
        self.refused.is_empty()
    }

    /// All files and links.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> + Clone {
        self.files.iter().chain(&self.links)
    }

    /// Reads the links' targets and refuses those that lead out.
    pub(super) fn follow_links<S: Source>(&mut self, archive: &Archive<S>, platform: Platform) -> Result<()> {
        if self.exceeds_limits {
            return Ok(());
        }
        let (mut targets, indices) = (Vec::new(), self.links.iter().map(|leaf| leaf.index).collect());
        read_some(archive, indices, true, |reader, index| {
            match read_target(reader, index, platform) {
                Ok(target) => targets.push((index, target)),
                Err(error) => self.refused.push(BadEntry::of(error)?),
            }
            Ok::<_, Error>(())
        })?;
        self.set_targets(archive, targets, platform);
        Ok(())
    }

    /// Sets the links' targets and refuses those that lead out.
    pub(super) fn set_targets<S: Source>(
        &mut self,
        archive: &Archive<S>,
        targets: Vec<(u32, String)>,
        platform: Platform,
    ) {
        let mut targets: HashMap<u32, String> = targets.into_iter().collect();
        for leaf in &mut self.links {
            if let Some(target) = targets.remove(&leaf.index) {
                leaf.target = Some(target);
            }
        }
        for (leaf, fault) in links::refused(&self.links, platform, None) {
            self.refused.push(BadEntry::new(Some(archive.directory.name(leaf.index)), fault));
        }
    }
}

/// Reads a link's target.
pub(super) fn read_target(reader: &mut Reader<'_>, index: u32, platform: Platform) -> Result<String> {
    let content = reader.content(index)?;
    links::target(content, platform).map_err(|fault| fault.error(Some(reader.name(index))))
}

/// A plan in the making.
struct Draft<'a, S: Source> {
    archive: &'a Archive<S>,
    options: &'a ExtractOptions,
    platform: Platform,
    plan: ExtractPlan,
    /// The directories that entries name.
    listed: Vec<Folder>,
}

/// Decides everything.
pub(super) fn draw_whole<S: Source>(
    archive: &Archive<S>,
    options: &ExtractOptions,
    platform: Platform,
) -> Result<ExtractPlan> {
    let mut plan = draw(archive, options, platform)?;
    plan.follow_links(archive, platform)?;
    Ok(plan)
}

/// Decides everything but whether the links stay inside: see [`ExtractPlan::follow_links`].
///
/// # Errors
/// `NoSuchEntry`, and what the source fails with. What is wrong with the archive is part of the plan.
pub(super) fn draw<S: Source>(
    archive: &Archive<S>,
    options: &ExtractOptions,
    platform: Platform,
) -> Result<ExtractPlan> {
    let mut draft = Draft { archive, options, platform, plan: ExtractPlan::default(), listed: Vec::new() };
    for entry in archive.entries() {
        if options.filter.as_ref().is_none_or(|pick| pick.0(&entry)) {
            draft.add(&entry);
        }
    }
    draft.judge_choice()?;
    draft.settle();
    draft.refuse_overlaps()?;
    if options.links == Links::Skip {
        draft.plan.unwritten.extend(draft.plan.links.drain(..).map(|leaf| leaf.index));
    }
    Ok(draft.plan)
}

impl<S: Source> Draft<'_, S> {
    fn refuse(&mut self, index: Option<u32>, fault: Fault) {
        let name = index.map(|index| self.archive.directory.name(index));
        self.plan.refused.push(BadEntry::new(name, fault));
    }

    /// Takes an entry in, or refuses it.
    fn add(&mut self, entry: &Entry<'_>) {
        let (options, index) = (self.options, entry.index);
        let path = match wanted(entry, options, self.platform) {
            Ok(Some(path)) => path,
            Ok(None) => return,
            Err(fault) => {
                if under(entry.name(), &options.prefixes) {
                    self.refuse(Some(index), fault);
                }
                return;
            }
        };
        if let Err(fault) = content(entry, options, self.platform).and_then(|()| options.limits.path(&path)) {
            return self.refuse(Some(index), fault);
        }
        match entry.kind() {
            EntryKind::Directory => {
                self.plan.unwritten.push(index);
                if !path.is_empty() {
                    self.listed.push(Folder { path, index: Some(index) });
                }
            }
            EntryKind::Symlink => self.plan.links.push(Leaf { index, path, target: Some(String::new()) }),
            _ => self.plan.files.push(Leaf { index, path, target: None }),
        }
    }

    /// Whether every prefix has an entry under it, and anything is left.
    fn judge_choice(&self) -> Result<()> {
        let none = |name: &str| Err(Error::NoSuchEntry { archive: None, name: name.to_owned() });
        let (plan, whole) = (&self.plan, ExtractOptions { cp437: true, ..ExtractOptions::default() });
        for prefix in &self.options.prefixes {
            let prefix = std::slice::from_ref(prefix);
            let lies_under = |entry: Entry<'_>| match wanted(&entry, &whole, self.platform) {
                Ok(path) => path.is_some_and(|path| under(&path, prefix)),
                Err(_) => under(entry.name(), prefix),
            };
            if !self.archive.entries().any(lies_under) {
                return none(&prefix.concat());
            }
        }
        let nothing = plan.leaves().next().is_none() && plan.unwritten.is_empty() && plan.refused.is_empty();
        if nothing && !self.archive.is_empty() { none("") } else { Ok(()) }
    }

    /// Gives every path one owner and judges the whole.
    fn settle(&mut self) {
        let limits = &self.options.limits;
        let sum = |leaves: &[Leaf], of: fn(Record) -> u64| {
            let all = leaves.iter().map(|leaf| of(self.archive.directory.record(leaf.index)));
            all.fold(0, u64::saturating_add)
        };
        let targets = sum(&self.plan.links, |record| record.size);
        let compressed = sum(&self.plan.files, |record| record.compressed);
        self.plan.bytes = sum(&self.plan.files, |record| record.size);
        let (folders, faults) = assign(self.plan.leaves(), &self.listed, self.platform, limits.entries);
        // Directories that no entry lists are made, too: many deep paths must not get around the limit.
        let count = limits.count((folders.len().max(self.listed.len()) + self.plan.leaves().count()) as u64);
        let whole = limits.whole(self.plan.bytes, compressed);
        self.plan.folders = folders;
        if self.platform != Platform::Unix {
            let leaves = self.plan.files.iter_mut().chain(&mut self.plan.links);
            respell(&mut self.plan.folders, leaves, self.platform);
        }
        let long = self.options.links != Links::Skip && targets > links::LONGEST_TOGETHER;
        let long = long.then(|| Fault::new(Refusal::TooLarge, "the targets of its links have more than 64 MiB"));
        self.plan.exceeds_limits = count.is_err() || long.is_some();
        for fault in [count.err(), whole.err(), long].into_iter().flatten() {
            self.refuse(None, fault);
        }
        for (index, fault) in faults {
            self.refuse(Some(index), fault);
        }
    }

    /// Refuses entries that share bytes with another.
    fn refuse_overlaps(&mut self) -> Result<()> {
        if self.archive.directory.layout().overlapping.is_empty() {
            return Ok(());
        }
        let leaves = self.plan.leaves().map(|leaf| leaf.index);
        let chosen: HashSet<u32> = leaves.chain(self.plan.unwritten.iter().copied()).collect();
        let mut reader = Reader::of_all(self.archive, &*self.archive.source);
        let overlaps = reader.judge_overlaps(|index| Ok(chosen.contains(&index)))?;
        self.plan.refused.extend(overlaps.into_iter().map(|(_, bad)| bad));
        Ok(())
    }
}

/// Whether the data of an entry can be read at all, and asks for no more than allowed.
fn content(entry: &Entry<'_>, options: &ExtractOptions, platform: Platform) -> Judged<()> {
    let refuse = |refusal, detail: &'static str| Err(Fault::new(refusal, detail));
    let (kind, size) = (entry.kind(), entry.size());
    if kind == EntryKind::Special {
        return refuse(Refusal::Special, "a backup has files, directories and links only");
    }
    if kind == EntryKind::Symlink {
        if options.links == Links::Refuse {
            return refuse(Refusal::Link, "it is a link, and links were asked to be refused");
        }
        if options.links == Links::Keep && platform == Platform::Windows {
            return refuse(Refusal::Unsupported, "links are made on Unix only; leave them out with `Links::Skip`");
        }
        if entry.name().ends_with('/') {
            return refuse(Refusal::Corrupt, "it is a link by its mode and a directory by its name");
        }
        if size > links::LONGEST && options.links != Links::Skip {
            return refuse(Refusal::Link, "its target is longer than 4,095 bytes");
        }
    }
    entry.readable()?;
    if kind == EntryKind::Directory && (size != 0 || entry.crc32() != 0) {
        return refuse(Refusal::Corrupt, "it is a directory with content");
    }
    options.limits.entry(size, entry.compressed_size())
}
