//! PURE. Which entry gets which path: what becomes of its name, the directories to make, and the entries that claim what
//! another has.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::entry::{Entry, EntryKind};
use super::fault::{Fault, Judged};
use super::name::{self, Platform};
use super::options::ExtractOptions;
use crate::error::Refusal;

/// A path of the plan: a range of its one text of paths.
pub(super) type Path = Range<usize>;

/// A file or a link to make.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) index: u32,
    pub(super) path: Path,
    /// A link's target.
    pub(super) target: Option<String>,
}

/// A directory to make, parents before children.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: Path,
    /// The entry that gives its mode and time, if the archive has one.
    pub(super) index: Option<u32>,
}

/// Where an entry goes.
pub(super) enum Wanted<'a> {
    No,
    /// It is the target itself.
    Root,
    At(Cow<'a, str>),
}

/// The path an entry would get.
pub(super) fn wanted<'a>(
    entry: &Entry<'a>,
    options: &ExtractOptions,
    platform: Platform,
) -> Judged<Wanted<'a>> {
    let header = entry.header();
    if let Some(problem) = entry.directory.name_problem(entry.index) {
        return Err(Fault::new(Refusal::Name, problem));
    }
    let relative = name::to_path(entry.name(), header.host, platform)?;
    // Readers that do not know the Unicode path take the name in the header: it has to be harmless, too.
    if header.name.len() != entry.name().len() || header.name != entry.name().as_bytes() {
        name::to_path(&String::from_utf8_lossy(header.name), header.host, platform)?;
    }
    if relative.path.is_empty() {
        // Only a directory can be the target itself: a file or a link of that name would have none.
        return if relative.directory && entry.kind() == EntryKind::Directory {
            Ok(Wanted::Root)
        } else {
            Err(Fault::new(Refusal::Name, "it is empty"))
        };
    }
    if !under(&relative.path, &options.prefixes) {
        return Ok(Wanted::No);
    }
    if options.strip == 0 {
        return Ok(Wanted::At(relative.path));
    }
    let rest = relative
        .path
        .match_indices('/')
        .nth(options.strip - 1)
        .and_then(|(at, _)| relative.path.get(at + 1..));
    Ok(rest.map_or(Wanted::No, |rest| Wanted::At(rest.to_owned().into())))
}

/// Whether a path lies at or under one of the prefixes.
pub(super) fn under(path: &str, prefixes: &[String]) -> bool {
    let inside = |prefix: &String| {
        path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.is_empty() || inside(prefix))
}

/// Gives every path one owner: the directories to make, parents first, and the entries that claim what another has. Ends
/// when there are more than `most` directories.
pub(super) fn assign<'a>(
    text: &'a str,
    leaves: impl Iterator<Item = &'a Leaf> + Clone,
    listed: &[Folder],
    platform: Platform,
    most: u64,
) -> (Vec<Folder>, Vec<(u32, Fault)>) {
    let mut assignment =
        Assignment { text, platform, owners: HashMap::new(), folders: Vec::new(), known: HashMap::new() };
    let mut faults = Vec::new();
    for leaf in leaves.clone() {
        if assignment.owners.insert(assignment.key(&leaf.path), leaf).is_some() {
            let detail = "another entry has the same path; do not trust this archive";
            faults.push((leaf.index, Fault::new(Refusal::Collision, detail)));
        }
    }
    let listed = listed.iter().map(|folder| (folder.path.clone(), folder.index.unwrap_or_default(), true));
    for (path, index, own) in listed.chain(leaves.map(|leaf| (leaf.path.clone(), leaf.index, false))) {
        if assignment.folders.len() as u64 > most {
            break;
        }
        if let Err(fault) = assignment.enter(&path, index, own) {
            faults.push((index, fault));
        }
    }
    (assignment.folders, faults)
}

struct Assignment<'a> {
    text: &'a str,
    platform: Platform,
    owners: HashMap<Cow<'a, str>, &'a Leaf>,
    folders: Vec<Folder>,
    known: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Assignment<'a> {
    fn key(&self, path: &Path) -> Cow<'a, str> {
        name::key(self.text.get(path.clone()).unwrap_or_default(), self.platform)
    }

    /// Adds the directories above a path, and the path itself if it is the entry's `own` directory.
    fn enter(&mut self, path: &Path, index: u32, own: bool) -> Judged<()> {
        let mut missing = Vec::new();
        let text = self.text.get(path.clone()).unwrap_or_default();
        let parents = text.rmatch_indices('/').map(|(at, _)| path.start..path.start + at);
        for folder in own.then(|| path.clone()).into_iter().chain(parents) {
            let key = self.key(&folder);
            if self.known.contains_key(&key) {
                break;
            }
            if let Some(owner) = self.owners.get(&key) {
                let (refusal, detail) = if owner.target.is_some() {
                    (
                        Refusal::Link,
                        "it lies behind a symbolic link of the archive; do not trust this archive",
                    )
                } else {
                    (Refusal::Collision, "it lies where the archive has a file; do not trust this archive")
                };
                return Err(Fault::new(refusal, detail));
            }
            missing.push((key, folder));
        }
        for (key, path) in missing.into_iter().rev() {
            self.known.insert(key, self.folders.len());
            self.folders.push(Folder { path, index: None });
        }
        if own && let Some(folder) = self.known.get(&self.key(path)).and_then(|at| self.folders.get_mut(*at))
        {
            folder.index = Some(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::CentralDirectory;
    use super::super::options::ExtractOptions;
    use super::super::plan;
    use super::*;

    const UNIX: Platform = Platform { windows: false, fold_case: false, colon: false };
    const MAC: Platform = Platform { windows: false, fold_case: true, colon: true };
    const WINDOWS: Platform = Platform { windows: true, fold_case: true, colon: true };

    /// What a plan for these names refuses; `name -> target` is a link.
    fn refused(names: &[&str], platform: Platform) -> Vec<Refusal> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for name in names {
            match name.split_once(" -> ") {
                Some((name, target)) => writer.add_symlink(name, target, options).unwrap(),
                None => writer.start_file(*name, options).unwrap(),
            }
        }
        let bytes = writer.finish().unwrap().into_inner();
        let plan =
            plan::draw(&CentralDirectory::read(&bytes).unwrap(), &ExtractOptions::new(), platform, |_, _| {
                Ok(b"x".to_vec())
            })
            .unwrap();
        plan.refused().iter().map(|bad| bad.refusal).collect()
    }

    #[test]
    fn names_that_differ_in_case_are_one_file_on_some_systems() {
        for names in [&["a", "A"][..], &["é", "É"], &["x/a", "X/A"], &["a", "A/b"], &["A/b", "a"]] {
            assert_eq!(refused(names, UNIX), [], "{names:?}");
            assert_eq!(refused(names, MAC), [Refusal::Collision], "{names:?}");
            assert_eq!(refused(names, WINDOWS), [Refusal::Collision], "{names:?}");
        }
        let through = &["l -> x", "L/y"];
        assert_eq!(refused(through, UNIX), []);
        assert_eq!(refused(through, MAC), [Refusal::Link]);
        for platform in [UNIX, MAC, WINDOWS] {
            assert_eq!(refused(&["Dir/a", "dir/b"], platform), []);
        }
    }

    #[test]
    fn each_system_refuses_the_names_it_cannot_have() {
        let all = ["nul.txt", "x/COM1", "trailing.", "a:b:c"];
        assert_eq!(refused(&all, UNIX), []);
        assert_eq!(refused(&all, MAC), [Refusal::Name]);
        assert_eq!(refused(&all, WINDOWS), [Refusal::Name; 4]);
    }
}
