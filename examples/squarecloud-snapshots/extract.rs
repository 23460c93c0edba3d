//! `extract`: files of a snapshot, into a directory. Of one at the host, only what is asked for is fetched.

use std::fs;
use std::path::Path;

use serde::Serialize;
use squarecloud_blocking::{Archive, Error, ExtractOptions, ExtractPlan, Extracted, Source};

use crate::args::{Extract, Overwrite};
use crate::bars::Bar;
use crate::context::Context;
use crate::exit::{self, Exit, Failure, Result};
use crate::inspect::components;
use crate::output::{middle, printable, size, width};
use crate::snapshot::{Named, print_path, with};
use crate::verify::{Problem, plain};

/// `extract --json`.
#[derive(Serialize)]
struct Made<'a> {
    directory: &'a str,
    files: usize,
    directories: usize,
    links: usize,
    bytes: u64,
    /// Files that were there and stayed as they are.
    kept: usize,
    times_not_kept: usize,
    modes_not_kept: usize,
}

/// `extract --dry-run --json`.
#[derive(Serialize)]
struct Planned<'a> {
    directory: &'a str,
    files: usize,
    directories: usize,
    links: usize,
    bytes: u64,
    paths: Vec<&'a str>,
    refused: Vec<Problem>,
}

pub fn extract(context: &Context, args: &Extract) -> Result<Exit> {
    let named = Named::find(context, &args.snapshot)?;
    let directory = args.into.clone().unwrap_or_else(|| named.directory());
    let mut options = ExtractOptions::new().strip(args.strip).overwrite(context.globals.overwrite.into());
    for path in &args.paths {
        options = options.prefix(components(path).join("/"));
    }
    let opened = named.open()?;
    if args.dry_run {
        with!(&opened, archive => plan(context, archive, &directory, &options))
    } else {
        with!(&opened, archive => make(context, archive, &directory, options))
    }
}

fn make<S: Source>(context: &Context, archive: &Archive<S>, directory: &Path, options: ExtractOptions) -> Result<Exit> {
    let stopped = format!("stopped; nothing was extracted to {}", printable(&directory.display().to_string()));
    let work = || {
        let bar = Bar::bytes(context, "Extracting");
        archive.extract_with(directory, &options.progress(bar.reporter()))
    };
    // A new directory appears by one rename. In one that exists, a kill could leave a part of the files.
    let result = if directory.exists() {
        let stopped = "stopped in the middle; the same command with --overwrite replace extracts the rest";
        context.cancellable_to_the_end(stopped, work)
    } else {
        context.cancellable_with(stopped.as_str(), work)
    };
    let made = result.map_err(|error| match error.is_cancelled() {
        true => Failure::new(Exit::Interrupted, &stopped),
        false => failure(error),
    })?;
    tell(context, &made);
    let out = context.out();
    if out.json {
        out.document(&Made {
            directory: &directory.to_string_lossy(),
            files: made.files,
            directories: made.directories,
            links: made.links,
            bytes: made.bytes,
            kept: made.kept,
            times_not_kept: made.times_not_kept,
            modes_not_kept: made.modes_not_kept,
        })?;
    } else {
        print_path(&out, directory)?;
    }
    Ok(Exit::Done)
}

/// The summary, and what is not as in the archive.
fn tell(context: &Context, made: &Extracted) {
    context.note(summary("Extracted", made.files, made.directories, made.links, made.bytes));
    if made.kept > 0 {
        context.note(format_args!("Left as it was, because it existed: {}.", count(made.kept, "file", "files")));
    }
    for (lost, what) in [(made.times_not_kept, "modification times"), (made.modes_not_kept, "permissions")] {
        if lost > 0 {
            context.note(format_args!("The file system did not take the {what} of {lost} files and directories."));
        }
    }
}

fn summary(done: &str, files: usize, directories: usize, links: usize, bytes: u64) -> String {
    let (files, links) = (count(files, "file", "files"), count(links, "link", "links"));
    format!("{done} {files}, {}, {links}: {}.", count(directories, "directory", "directories"), size(bytes))
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The dry run: what would be made on standard output, what would be refused on standard error.
fn plan<S: Source>(
    context: &Context,
    archive: &Archive<S>,
    directory: &Path,
    options: &ExtractOptions,
) -> Result<Exit> {
    let plan = archive.plan(options).map_err(failure)?;
    let out = context.out();
    if out.json {
        out.document(&Planned {
            directory: &directory.to_string_lossy(),
            files: plan.files(),
            directories: plan.directories(),
            links: plan.links(),
            bytes: plan.bytes(),
            paths: plan.paths().collect(),
            refused: plan.refused().iter().map(Problem::from).collect(),
        })?;
    } else {
        out.write(paths(&plan, directory).as_bytes())?;
    }
    for bad in plan.refused() {
        exit::complain(&format!("would be refused: {}", Problem::from(bad)));
    }
    if !plan.is_ok() {
        return Ok(Exit::Damaged);
    }
    context.note(summary("Would extract", plan.files(), plan.directories(), plan.links(), plan.bytes()));
    if matches!(context.globals.overwrite, Overwrite::Refuse) && is_occupied(directory) {
        return Err(occupied(directory));
    }
    Ok(Exit::Done)
}

/// A row for each path.
fn paths(plan: &ExtractPlan, directory: &Path) -> String {
    let mut paths: Vec<&str> = plan.paths().collect();
    paths.sort_unstable();
    let mut text = String::new();
    for path in paths {
        let path = printable(&directory.join(path).to_string_lossy());
        text.push_str(&width().map_or(path.clone(), |width| middle(&path, width)));
        text.push('\n');
    }
    text
}

/// Whether the extraction would refuse the target because of what is there.
fn is_occupied(directory: &Path) -> bool {
    match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::symlink_metadata(directory).is_ok(),
    }
}

fn occupied(directory: &Path) -> Failure {
    let advice = "name another directory with --into, or say with --overwrite what happens to existing files";
    let directory = printable(&directory.to_string_lossy());
    Failure::new(Exit::Failed, format_args!("{directory} already exists and was not changed; {advice}"))
}

/// The library's error, with advice for this verb.
fn failure(error: Error) -> Failure {
    match error {
        Error::Exists { path } => occupied(&path),
        Error::NoSuchEntry { name, .. } if name.is_empty() => {
            Failure::new(Exit::NotFound, "--strip leaves nothing to extract")
        }
        Error::Refused { archive, entry, refusal, detail } => {
            Error::Refused { archive, entry, refusal, detail: plain(&detail) }.into()
        }
        other => other.into(),
    }
}
