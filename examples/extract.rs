//! Extracts a zip into a directory. Says first what will happen.

mod common;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::{Archive, ExtractOptions, Overwrite};

/// Extract a zip into a directory. Says first what will happen.
#[derive(Parser)]
struct Args {
    /// The zip
    zip: PathBuf,
    /// The directory; without it, one beside the zip, with its name
    directory: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    replace: bool,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let directory = args.directory.unwrap_or_else(|| args.zip.with_extension(""));
    let overwrite = if args.replace { Overwrite::Replace } else { Overwrite::Refuse };
    let options = ExtractOptions::new().durable(true).overwrite(overwrite).progress(common::bar("Extracting"));

    let archive = Archive::open(&args.zip)?;
    let plan = archive.plan(&options)?;
    let (files, directories, links) = (plan.files(), plan.directories(), plan.links());
    common::note(format!("{files} files, {directories} directories, {links} links, {}", common::size(plan.bytes())));
    for refused in plan.refused() {
        let name = common::fit(refused.name.as_deref().unwrap_or("the archive"), 40);
        common::note(format!("refused: {name} ({})", refused.refusal));
    }

    let extracted = archive.extract_with(&directory, &options)?;
    let not_kept = extracted.times_not_kept + extracted.modes_not_kept;
    if not_kept > 0 {
        common::note(format!("The file system did not take {not_kept} times and permissions."));
    }
    let mut out = io::stdout();
    writeln!(out, "{} files, {}, are in", extracted.files, common::size(extracted.bytes))?;
    writeln!(out, "{}", directory.display())?;
    Ok(())
}
