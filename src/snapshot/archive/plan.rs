//! What an extraction would do, decided before the first byte is written. No I/O here.

use std::borrow::Cow;
use std::ops::Range;

use super::directory::Directory;
use super::entry::{Entry, EntryKind};
use super::fault::{Fault, Judged, shown};
use super::format::{Central, DEFLATE, ENCRYPTED, MASKED, PATCH, STORED, STRONG};
use super::layout::Layout;
use super::name::{self, Platform};
use super::options::{ExtractOptions, Links};
use super::settle::settle;
use super::{links, verify::BadEntry};
use crate::error::{Error, Refusal, Result};

/// A path of the plan: a range of its one text of paths.
pub(super) type Path = Range<usize>;

/// A file or a link to make.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) index: u32,
    pub(super) path: Path,
    pub(super) link: bool,
}

/// A directory to make, parents before children.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: Path,
    /// The entry that gives its mode and time, if the archive has one.
    pub(super) index: Option<u32>,
}

/// What [`Archive::extract_with`](crate::Archive::extract_with) would do with the same options: the dry run.
pub struct ExtractPlan {
    text: String,
    pub(super) files: Vec<Leaf>,
    pub(super) links: Vec<Leaf>,
    /// The links' targets, in the same order.
    pub(super) targets: Vec<String>,
    pub(super) folders: Vec<Folder>,
    /// Directory entries that have bytes in the archive: an empty deflate stream, if nothing is hidden there.
    pub(super) hollow: Vec<u32>,
    /// More paths or links than allowed: links are not read then.
    pub(super) crowded: bool,
    pub(super) layout: Option<Layout>,
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

    /// The paths inside the target that would be made, with `/` between components: directories, then files, then links.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let leaves = self.files.iter().chain(&self.links).map(|leaf| &leaf.path);
        self.folders.iter().map(|folder| &folder.path).chain(leaves).map(|path| self.path(path))
    }

    /// Everything that makes the extraction refuse the archive; empty when it would go on.
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

    /// The first refusal as an error.
    pub(super) fn check(&self) -> Result<()> {
        self.refused.first().map_or(Ok(()), |bad| {
            Err(Error::Refused { entry: bad.name.clone(), refusal: bad.refusal, detail: bad.detail.clone() })
        })
    }

    pub(super) fn refuse(&mut self, name: Option<&str>, fault: Fault) {
        self.refused.push(BadEntry::new(name.map(shown), fault));
    }

    /// Forgets what `keep` does not want to have written.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let text = &self.text;
        self.files.retain(|leaf| text.get(leaf.path.clone()).is_some_and(&keep));
        let kept: Vec<bool> =
            self.links.iter().map(|leaf| text.get(leaf.path.clone()).is_some_and(&keep)).collect();
        let mut kept_links = kept.iter();
        self.links.retain(|_| kept_links.next() == Some(&true));
        let mut kept_targets = kept.iter();
        self.targets.retain(|_| kept_targets.next() == Some(&true));
    }
}

/// Decides all that the directory alone can tell.
pub(super) fn draw(directory: &Directory, options: &ExtractOptions, platform: Platform) -> ExtractPlan {
    let mut plan = ExtractPlan {
        text: String::new(),
        files: Vec::new(),
        links: Vec::new(),
        targets: Vec::new(),
        folders: Vec::new(),
        hollow: Vec::new(),
        crowded: false,
        layout: None,
        bytes: 0,
        refused: Vec::new(),
    };
    let (mut packed, mut count, mut targets) = (0u64, 0u64, 0u64);
    let mut listed = Vec::new();
    for index in directory.indices() {
        let entry = Entry { directory, index };
        if options.filter.as_ref().is_some_and(|pick| !pick(&entry)) {
            continue;
        }
        let central = directory.central(index);
        let path = match path(&entry, &central, options, platform) {
            Ok(Wanted::No) => continue,
            Ok(Wanted::Root) => {
                content(&entry, &central, options).unwrap_or_else(|f| plan.refuse(Some(entry.name()), f));
                if entry.compressed_size() > 0 {
                    plan.hollow.push(index);
                }
                continue;
            }
            Ok(Wanted::At(path)) => path,
            Err(fault) => {
                if under(entry.name(), &options.prefixes) {
                    plan.refuse(Some(entry.name()), fault);
                }
                continue;
            }
        };
        count += 1;
        if let Err(fault) = content(&entry, &central, options).and_then(|()| options.limits.path(&path)) {
            plan.refuse(Some(entry.name()), fault);
            continue;
        }
        let start = plan.text.len();
        plan.text.push_str(&path);
        let path = start..plan.text.len();
        match entry.kind() {
            EntryKind::Directory => {
                if entry.compressed_size() > 0 {
                    plan.hollow.push(index);
                }
                listed.push(Folder { path, index: Some(index) });
            }
            EntryKind::Symlink => {
                targets = targets.saturating_add(entry.size());
                plan.links.push(Leaf { index, path, link: true });
            }
            _ => {
                plan.bytes = plan.bytes.saturating_add(entry.size());
                packed = packed.saturating_add(entry.compressed_size());
                plan.files.push(Leaf { index, path, link: false });
            }
        }
    }
    for fault in [options.limits.count(count), options.limits.whole(plan.bytes, packed)]
        .into_iter()
        .filter_map(Result::err)
    {
        plan.refuse(None, fault);
    }
    let (folders, faults) = settle(&plan, &listed, platform, options.limits.entries);
    plan.folders = folders;
    // Directories that no entry lists are made, too: many deep paths must not get around the limit.
    let paths = (plan.folders.len() + plan.files.len() + plan.links.len()) as u64;
    let too_many_links = options.links != Links::Skip && targets > links::LONGEST_TOGETHER;
    if too_many_links {
        plan.refuse(None, Fault::new(Refusal::TooLarge, "the targets of its links have more than 64 MiB"));
    }
    plan.crowded = too_many_links || options.limits.count(count.max(paths)).is_err();
    if let (Ok(()), Err(fault)) = (options.limits.count(count), options.limits.count(paths)) {
        plan.refuse(None, fault);
    }
    for (index, fault) in faults {
        plan.refuse(Some(directory.name(index)), fault);
    }
    if options.links == Links::Skip {
        plan.links.clear();
    }
    plan
}

/// Where an entry goes.
enum Wanted<'a> {
    No,
    /// It is the target itself.
    Root,
    At(Cow<'a, str>),
}

/// The path an entry would get.
fn path<'a>(
    entry: &Entry<'a>,
    central: &Central<'_>,
    options: &ExtractOptions,
    platform: Platform,
) -> Judged<Wanted<'a>> {
    if let Some(problem) = entry.directory.name_problem(entry.index) {
        return Err(Fault::new(Refusal::Name, problem));
    }
    let taken = name::take(entry.name(), central.host, platform)?;
    // Readers that do not know the Unicode path take the name in the header: it has to be harmless, too.
    if central.name.len() != entry.name().len() || central.name != entry.name().as_bytes() {
        name::take(&String::from_utf8_lossy(central.name), central.host, platform)?;
    }
    if taken.path.is_empty() {
        // Only a directory can be the target itself: a file or a link of that name would have none.
        return if taken.directory && entry.kind() == EntryKind::Directory {
            Ok(Wanted::Root)
        } else {
            Err(Fault::new(Refusal::Name, "it is empty"))
        };
    }
    if !under(&taken.path, &options.prefixes) {
        return Ok(Wanted::No);
    }
    if options.strip == 0 {
        return Ok(Wanted::At(taken.path));
    }
    let rest =
        taken.path.match_indices('/').nth(options.strip - 1).and_then(|(at, _)| taken.path.get(at + 1..));
    Ok(rest.map_or(Wanted::No, |rest| Wanted::At(rest.to_owned().into())))
}

fn under(path: &str, prefixes: &[String]) -> bool {
    let inside = |prefix: &String| {
        path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.is_empty() || inside(prefix))
}

/// Whether the data of an entry can be read at all, and asks for no more than allowed.
fn content(entry: &Entry<'_>, central: &Central<'_>, options: &ExtractOptions) -> Judged<()> {
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
    readable(central, entry.size(), entry.compressed_size())?;
    if kind == EntryKind::Directory && (entry.size() != 0 || central.crc != 0) {
        return Err(Fault::corrupt("it is a directory with content"));
    }
    options.limits.entry(entry.size(), entry.compressed_size())
}

/// Whether this crate can read an entry's data.
pub(super) fn readable(central: &Central<'_>, size: u64, packed: u64) -> Judged<()> {
    if central.flags & (ENCRYPTED | STRONG | MASKED) != 0 || central.method == 99 {
        return Err(Fault::new(
            Refusal::Encrypted,
            "this crate has no passwords; decrypt it with another tool",
        ));
    }
    if central.flags & PATCH != 0 {
        return Err(Fault::new(Refusal::Unsupported, "it is a patch and not a file"));
    }
    match central.method {
        STORED if size != packed => Err(Fault::corrupt("it is stored as it is and has two different sizes")),
        DEFLATE if packed == 0 && size != 0 => Err(Fault::corrupt("it has a size and no data")),
        STORED | DEFLATE => Ok(()),
        other => Err(Fault::new(
            Refusal::Unsupported,
            format!("its compression method is {other}; only stored (0) and deflate (8) are read"),
        )),
    }
}
