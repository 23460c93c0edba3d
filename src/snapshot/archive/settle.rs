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
