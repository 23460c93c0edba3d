//! The plan carried out: everything made in a private directory, then put in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::files::Work;
use super::merge::{self, Merge};
use super::options::ExtractOptions;
use super::target::{Staging, Target};
use super::work::cores;
use super::{Archive, piped};
use crate::error::Result;
use crate::snapshot::overwrite::Overwrite;
use crate::snapshot::source::Source;

/// What an extraction made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// The directory everything is in, as it was given.
    pub path: PathBuf,
    /// Files written.
    pub files: usize,
    /// Directories of the archive, whether they were made or there already.
    pub directories: usize,
    /// Symbolic links made.
    pub links: usize,
    /// Bytes written into files.
    pub bytes: u64,
    /// Files and links left as they were, with [`Overwrite::Keep`].
    pub kept: usize,
}

pub(super) fn extract<S: Source>(
    archive: &Archive<S>,
    dir: &Path,
    options: &ExtractOptions,
) -> Result<Extracted> {
    let mut target = Target::look(dir, options.overwrite)?;
    let mut plan = archive.plan(options)?;
    plan.check()?;
    let staging = match &target {
        Target::Fresh { parent, name } => Staging::new(parent, name)?,
        Target::Empty { real, parent, name } => match Staging::new(parent, name) {
            Ok(staging) => staging,
            // A volume, or a directory given by somebody else: its parent is not ours, but it is.
            Err(_) => {
                let real = real.clone();
                let staging = Staging::new(&real, name)?;
                target = Target::Inside { real };
                staging
            }
        },
        Target::Inside { real } => {
            merge::check(&plan, real, options.overwrite)?;
            Staging::new(real, "extract".as_ref())?
        }
    };
    let planned = plan.files.len() + plan.links.len();
    if let Target::Inside { real } = &target
        && options.overwrite == Overwrite::Keep
    {
        plan.retain(|path| fs::symlink_metadata(real.join(path)).is_err());
    }
    let kept = planned - plan.files.len() - plan.links.len();
    let bytes =
        plan.files.iter().filter_map(|leaf| archive.directory.record(leaf.index)).map(|r| r.size).sum();
    let large = plan
        .files
        .iter()
        .filter_map(|leaf| archive.directory.record(leaf.index))
        .filter(|r| r.size > piped::WORTH)
        .count();
    let piped = large < options.threads.unwrap_or_else(cores);
    let work =
        Work { archive, options, plan: &plan, root: &staging.tree, dir, stop: AtomicBool::new(false), piped };
    work.run(bytes)?;
    match target {
        Target::Fresh { parent, name } => {
            work.finish(&staging.tree, &plan.folders)?;
            staging.place(&parent.join(name))?;
        }
        Target::Empty { real, .. } => {
            work.finish(&staging.tree, &plan.folders)?;
            let as_it_was = fs::metadata(&real).map(|m| m.permissions());
            #[cfg(windows)]
            let _ = fs::remove_dir(&real);
            staging.place(&real)?;
            if let Ok(permissions) = as_it_was {
                let _ = fs::set_permissions(&real, permissions);
            }
        }
        Target::Inside { real } => {
            let mut merge = Merge::new(&staging, &real);
            let made = merge.run(&plan)?;
            work.finish(&real, &made)?;
            merge.commit();
        }
    }
    let (files, directories, links) = (plan.files.len(), plan.folders.len(), plan.links.len());
    Ok(Extracted { path: dir.to_owned(), files, directories, links, bytes, kept })
}
