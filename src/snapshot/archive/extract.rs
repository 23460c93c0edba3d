//! The plan carried out: everything made in a private directory, then put in place.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::Work;
use super::handle::Archive;
use super::local::Reader;
use super::merge::{self, Merge};
use super::name::Platform;
use super::options::ExtractOptions;
use super::paths::Leaf;
use super::plan::{self, ExtractPlan};
use super::staging::Target;
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

impl<S: Source> Archive<S> {
    /// The dry run of an extraction: what would be made, and all that is refused before data is read. Reads the links'
    /// targets, and the local file headers of entries that seem to overlap; writes nothing. What else headers and data
    /// in front of the central directory tell is found by [`verify`](Self::verify), or by an extraction before anything
    /// appears at its target.
    ///
    /// # Errors
    /// [`Error::Archive`](crate::Error::Archive) when the source fails. What is refused is not an error but part of the
    /// plan.
    pub fn plan(&self, options: &ExtractOptions) -> Result<ExtractPlan> {
        plan::draw(self, options, Platform::HERE)
    }

    /// Extracts everything into `dir`, which must not exist or be empty. All or nothing: the files are written
    /// into a private directory beside it, and one rename puts that in place; after an error, `dir` is as it was.
    ///
    /// Uses all cores. Memory: half a MiB a core and some 200 bytes an entry. Disk: the extracted bytes.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists); [`Error::Refused`](crate::Error::Refused) for the first thing that
    /// [`plan`](Self::plan) refuses, or for damaged data; [`Error::Io`](crate::Error::Io) when the file system fails;
    /// [`Error::Archive`](crate::Error::Archive) when the source does.
    pub fn extract(&self, dir: impl AsRef<Path>) -> Result<Extracted> {
        self.extract_with(dir, &ExtractOptions::new())
    }

    /// [`extract`](Self::extract), as the options say.
    ///
    /// # Errors
    /// Those of [`extract`](Self::extract), and [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn extract_with(&self, dir: impl AsRef<Path>, options: &ExtractOptions) -> Result<Extracted> {
        let dir = dir.as_ref();
        let mut target = Target::look(dir, options.overwrite)?;
        let mut plan = self.plan(options)?;
        if let Some(bad) = plan.refused().first() {
            return Err(bad.clone().into());
        }
        // What lies before the first entry is nobody's business when only some entries are asked for.
        if options.filter.is_none() && options.prefixes.is_empty() {
            Reader::new(self, 0).judge_prefix()?;
        }
        let planned = plan.leaves().count();
        if let Target::Inside(real) = &target {
            merge::check(&plan, real, options.overwrite)?;
            if options.overwrite == Overwrite::Keep {
                let missing = |leaf: &Leaf| fs::symlink_metadata(real.join(&leaf.path)).is_err();
                plan.files.retain(missing);
                plan.links.retain(missing);
            }
        }
        let kept = planned - plan.leaves().count();
        let staging = target.staging()?;
        let bytes = plan.files.iter().map(|leaf| self.directory.record(leaf.index).size).sum();
        let work = Work::new(self, options, &plan, dir, &staging.tree);
        work.run(bytes)?;
        match &target {
            Target::New(path) => {
                work.finish(&staging.tree, &plan.folders)?;
                staging.place(path)?;
            }
            Target::Inside(real) => {
                let mut merge = Merge::new(&staging, real);
                let made = merge.run(&plan)?;
                work.finish(real, &made)?;
                merge.commit();
            }
        }
        let (files, directories, links) = (plan.files.len(), plan.folders.len(), plan.links.len());
        Ok(Extracted { path: dir.to_owned(), files, directories, links, bytes, kept })
    }
}
