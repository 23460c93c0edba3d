//! PURE. Which entry gets which path: what becomes of its name, the directories to make, and the entries that claim what
//! another has.

use std::borrow::Cow;
use std::collections::HashMap;

use super::entry::{Entry, EntryKind};
use super::options::ExtractOptions;
use crate::error::Refusal;
use crate::snapshot::archive::fault::{Fault, Judged, shown};
use crate::snapshot::archive::name::{self, Platform};

/// A file or a link to make.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) index: u32,
    pub(super) path: String,
    /// A link's target.
    pub(super) target: Option<String>,
}

/// A directory to make, parents before children.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: String,
    /// The entry that gives its mode and time, if the archive has one.
    pub(super) index: Option<u32>,
}

/// The path an entry would get: an empty one if it is the target itself, none if it is not to be extracted.
pub(super) fn wanted(entry: &Entry<'_>, options: &ExtractOptions, platform: Platform) -> Judged<Option<String>> {
    let header = entry.header();
    let problem = entry.directory.name_problem(entry.index);
    if let Some(problem) = problem.filter(|problem| !options.cp437 || *problem != name::NOT_UTF8) {
        return Err(Fault::new(Refusal::Name, problem));
    }
    let path = name::to_path(entry.name(), header.host, platform)?;
    // Readers that do not know the Unicode path take the name in the header: it has to be harmless, too.
    if header.name != entry.name().as_bytes() {
        name::to_path(&String::from_utf8_lossy(header.name), header.host, platform)?;
    }
    if path.is_empty() {
        // Only a directory can be the target itself: a file or a link of that name would have none.
        let is_directory = entry.kind() == EntryKind::Directory;
        return if is_directory { Ok(Some(path)) } else { Err(Fault::new(Refusal::Name, "it is empty")) };
    }
    if !under(&path, &options.prefixes) {
        return Ok(None);
    }
    Ok(path.splitn(options.strip.saturating_add(1), '/').nth(options.strip).map(str::to_owned))
}

/// Whether a path lies at or under one of the prefixes.
pub(super) fn under(path: &str, prefixes: &[String]) -> bool {
    let inside = |prefix: &String| {
        path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.is_empty() || inside(prefix))
}

/// What has a path.
enum Owner<'a> {
    File(&'a str),
    Link(&'a str),
    /// By its place among the directories to make.
    Folder(usize),
}

type Owners<'a> = HashMap<Cow<'a, str>, Owner<'a>>;

/// Gives every path one owner: the directories to make, parents first, and the entries that claim what another has. Ends
/// when there are more than `most` directories.
pub(super) fn assign<'a>(
    leaves: impl Iterator<Item = &'a Leaf> + Clone,
    listed: &'a [Folder],
    platform: Platform,
    most: u64,
) -> (Vec<Folder>, Vec<(u32, Fault)>) {
    let (mut owners, mut faults) = (Owners::new(), Vec::new());
    for leaf in leaves.clone() {
        let owner = if leaf.target.is_some() { Owner::Link(&leaf.path) } else { Owner::File(&leaf.path) };
        if let Some(Owner::File(other) | Owner::Link(other)) = owners.insert(name::key(&leaf.path, platform), owner) {
            faults.push((
                leaf.index,
                Fault::new(Refusal::Collision, format!("it has the same path as {}", shown(other))),
            ));
        }
    }
    let mut folders = Vec::new();
    let listed = listed.iter().map(|folder| (&folder.path, folder.index.unwrap_or_default(), true));
    for (path, index, listed) in listed.chain(leaves.map(|leaf| (&leaf.path, leaf.index, false))) {
        if folders.len() as u64 > most {
            break;
        }
        let own = listed.then_some(index);
        if let Err(fault) = enter(path, own, &mut owners, &mut folders, platform) {
            faults.push((index, fault));
        }
    }
    (folders, faults)
}

/// Adds the directories above a path, and the path itself if it is a directory, of the entry `own`.
fn enter<'a>(
    path: &'a str,
    own: Option<u32>,
    owners: &mut Owners<'a>,
    folders: &mut Vec<Folder>,
    platform: Platform,
) -> Judged<()> {
    let parents = path.rmatch_indices('/').filter_map(|(at, _)| path.get(..at));
    let mut missing = Vec::new();
    for folder in own.map(|_| path).into_iter().chain(parents) {
        let key = name::key(folder, platform);
        let (refusal, what, other) = match owners.get(&key) {
            None => {
                missing.push((key, folder));
                continue;
            }
            Some(Owner::Folder(_)) => break,
            Some(Owner::Link(other)) => (Refusal::Link, "behind the archive's symbolic link", other),
            Some(Owner::File(other)) => (Refusal::Collision, "where the archive has the file", other),
        };
        return Err(Fault::new(refusal, format!("it lies {what} {}", shown(other))));
    }
    for (key, path) in missing.into_iter().rev() {
        owners.insert(key, Owner::Folder(folders.len()));
        folders.push(Folder { path: path.to_owned(), index: None });
    }
    if own.is_some()
        && let Some(Owner::Folder(at)) = owners.get(&name::key(path, platform))
        && let Some(folder) = folders.get_mut(*at)
    {
        folder.index = own;
    }
    Ok(())
}

/// Spells every path like the directory that is made for it where case does not count: after `Dir/a`, `dir/b` is `Dir/b`.
pub(super) fn respell<'a>(folders: &mut [Folder], leaves: impl Iterator<Item = &'a mut Leaf>, platform: Platform) {
    let mut made: HashMap<String, String> = HashMap::new();
    let respell = |made: &HashMap<String, String>, path: &mut String| {
        if let Some((parent, name)) = path.rsplit_once('/')
            && let Some(spelled) = made.get(&*name::key(parent, platform)).filter(|spelled| *spelled != parent)
        {
            *path = format!("{spelled}/{name}");
        }
    };
    for Folder { path, .. } in folders {
        respell(&made, path);
        made.insert(name::key(path, platform).into_owned(), path.clone());
    }
    leaves.for_each(|leaf| respell(&made, &mut leaf.path));
}

#[cfg(test)]
mod tests {
    use super::super::Archive;
    use super::super::plan;
    use super::*;

    use Platform::{Apple as MAC, Unix as UNIX, Windows as WINDOWS};

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
        let archive = Archive::new(bytes).unwrap();
        let plan = plan::draw_whole(&archive, &ExtractOptions::new(), platform).unwrap();
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
        let all = ["nul.txt", "x/COM1", "trailing.", "ab:c"];
        assert_eq!(refused(&all, UNIX), []);
        assert_eq!(refused(&all, MAC), []);
        assert_eq!(refused(&all, WINDOWS), [Refusal::Name; 4]);
    }
}
