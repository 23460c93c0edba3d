//! Who gets which path: the directories to make, and the entries that want what another has. No I/O here.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fault::Fault;
use super::name::{self, Platform};
use super::plan::{ExtractPlan, Folder, Leaf, Path};
use crate::error::Refusal;

/// Gives every path one owner: the directories to make, and the entries that want what another has. Ends when
/// there are more than `most` directories.
pub(super) fn settle(
    plan: &ExtractPlan,
    listed: &[Folder],
    platform: Platform,
    most: u64,
) -> (Vec<Folder>, Vec<(u32, Fault)>) {
    let mut faults = Vec::new();
    let key = |path: &Path| name::key(plan.path(path), platform);
    let leaves = plan.files.iter().chain(&plan.links);
    let mut owners: HashMap<Cow<'_, str>, &Leaf> =
        HashMap::with_capacity(plan.files.len() + plan.links.len());
    for leaf in leaves.clone() {
        if owners.insert(key(&leaf.path), leaf).is_some() {
            faults.push((
                leaf.index,
                Fault::new(Refusal::Collision, "another entry has the same path; do not trust this archive"),
            ));
        }
    }
    let mut folders: Vec<Folder> = Vec::new();
    let mut known: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut enter = |path: Path, index: u32, own: bool, faults: &mut Vec<(u32, Fault)>| {
        let mut missing = Vec::new();
        if folders.len() as u64 > most {
            return;
        }
        let text = plan.path(&path);
        let parents = text.rmatch_indices('/').map(|(at, _)| path.start..path.start + at);
        for folder in own.then(|| path.clone()).into_iter().chain(parents) {
            let key = key(&folder);
            if known.contains_key(&key) {
                break;
            }
            if let Some(owner) = owners.get(&key) {
                let (refusal, detail) = if owner.link {
                    (
                        Refusal::Link,
                        "it lies behind a symbolic link of the archive; do not trust this archive",
                    )
                } else {
                    (Refusal::Collision, "it lies where the archive has a file; do not trust this archive")
                };
                faults.push((index, Fault::new(refusal, detail)));
                return;
            }
            missing.push((key, folder));
        }
        for (key, path) in missing.into_iter().rev() {
            known.insert(key, folders.len());
            folders.push(Folder { path, index: None });
        }
        if own && let Some(folder) = known.get(&key(&path)).and_then(|at| folders.get_mut(*at)) {
            folder.index = Some(index);
        }
    };
    for folder in listed {
        enter(folder.path.clone(), folder.index.unwrap_or_default(), true, &mut faults);
    }
    for leaf in leaves {
        enter(leaf.path.clone(), leaf.index, false, &mut faults);
    }
    (folders, faults)
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
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
        let plan = plan::draw(&Directory::read(&bytes).unwrap(), &ExtractOptions::new(), platform);
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
