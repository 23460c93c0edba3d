//! The plan carried out: everything made in a private directory, then put in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::directory::CentralDirectory;
use super::files::Work;
use super::links;
use super::local::{Reader, judge_prefix};
use super::merge::{self, Merge};
use super::name::Platform;
use super::options::ExtractOptions;
use super::plan::{self, ExtractPlan};
use super::staging::{Staging, Target};
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

/// Decides what would be made. Reads the links' targets.
pub(super) fn plan<S: Source + ?Sized>(
    source: &S,
    directory: &CentralDirectory,
    options: &ExtractOptions,
) -> Result<ExtractPlan> {
    let mut reader = Reader::new(source, directory, links::LONGEST);
    plan::draw(directory, options, Platform::HERE, |index, next| reader.content(index, Some(next)))
}

pub(super) fn extract<S: Source + ?Sized>(
    source: &S,
    directory: &CentralDirectory,
    dir: &Path,
    options: &ExtractOptions,
) -> Result<Extracted> {
    let mut target = Target::look(dir, options.overwrite)?;
    let mut plan = plan(source, directory, options)?;
    plan.check()?;
    if plan.whole {
        judge_prefix(source, directory).map_err(|e| e.error(None))?;
    }
    if let Target::Inside { real } = &target {
        merge::check(&plan, real, options.overwrite)?;
    }
    let planned = plan.leaves().count();
    if let Target::Inside { real } = &target
        && options.overwrite == Overwrite::Keep
    {
        plan.retain(|path| fs::symlink_metadata(real.join(path)).is_err());
    }
    let kept = planned - plan.leaves().count();
    let staging = target.staging()?;
    let bytes = plan.files.iter().map(|leaf| directory.record(leaf.index).size).sum();
    let (root, stop) = (&staging.tree, AtomicBool::new(false));
    let work = Work { source, directory, options, plan: &plan, root, dir, stop };
    work.run(bytes)?;
    put_in_place(&work, &staging, &target)?;
    let (files, directories, links) = (plan.files.len(), plan.folders.len(), plan.links.len());
    Ok(Extracted { path: dir.to_owned(), files, directories, links, bytes, kept })
}

/// Moves the finished tree to its target.
fn put_in_place<S: Source + ?Sized>(work: &Work<'_, S>, staging: &Staging, target: &Target) -> Result<()> {
    match target {
        Target::Fresh { parent, name } => {
            work.finish(&staging.tree, &work.plan.folders)?;
            staging.place(&parent.join(name))
        }
        Target::Empty { real, .. } => {
            work.finish(&staging.tree, &work.plan.folders)?;
            let as_it_was = fs::metadata(real).map(|m| m.permissions());
            #[cfg(windows)]
            let _ = fs::remove_dir(real);
            staging.place(real)?;
            if let Ok(permissions) = as_it_was {
                let _ = fs::set_permissions(real, permissions);
            }
            Ok(())
        }
        Target::Inside { real } => {
            let mut merge = Merge::new(staging, real);
            let made = merge.run(work.plan)?;
            work.finish(real, &made)?;
            merge.commit();
            Ok(())
        }
    }
}
