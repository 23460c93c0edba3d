//! The main job: take a snapshot of an app, wait for it, download it, look inside, extract it.

mod common;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use squarecloud_blocking::{Archive, DownloadOptions, EntryKind, ExtractOptions, Overwrite, Source};

/// Take a snapshot of an app, wait for it, download it, look inside, extract it.
#[derive(Parser)]
struct Args {
    /// The app's id; without SQUARECLOUD_API_KEY, the sandbox's app
    app_id: Option<String>,
    /// Where the zip and the extracted files go
    #[arg(default_value = "backups")]
    directory: PathBuf,
}

/// How many entries the table shows.
const ROWS: usize = 12;

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let connection = common::connect(args.app_id)?;
    let app = connection.client.app(&connection.app_id);

    common::note(format!("Taking a snapshot of {} ...", common::fit(&app.info()?.name, 50)));
    let started = Instant::now();
    let snapshot = app.snapshot()?;
    common::note(format!("It was ready after {:.1} s.", started.elapsed().as_secs_f64()));

    // Every byte is checked before the file gets its name. The same snapshot is not downloaded twice.
    let options = DownloadOptions::new().verify(true).overwrite(Overwrite::Keep);
    let download = snapshot.download_with(&args.directory, &options.progress(common::bar("Downloading")))?;
    let archive = download.archive()?;

    let directory = unused(&download.path.with_extension(""));
    let started = Instant::now();
    let options = ExtractOptions::new().progress(common::bar("Extracting"));
    let extracted = archive.extract_with(&directory, &options)?;
    common::note(format!("The extraction took {:.2} s.\n", started.elapsed().as_secs_f64()));

    let mut out = io::stdout();
    largest(&archive, &mut out)?;
    writeln!(out, "\nThe snapshot, {}, is", common::size(download.bytes))?;
    writeln!(out, "{}", download.path.display())?;
    writeln!(out, "Its {} files, {}, are in", extracted.files, common::size(extracted.bytes))?;
    writeln!(out, "{}", directory.display())?;
    Ok(())
}

/// Prints the largest files.
fn largest<S: Source>(archive: &Archive<S>, out: &mut impl Write) -> io::Result<()> {
    let mut files: Vec<_> = archive.entries().filter(|entry| entry.kind() == EntryKind::File).collect();
    files.sort_by_key(|entry| std::cmp::Reverse(entry.size()));
    writeln!(out, "{}", common::HEADER)?;
    for entry in files.iter().take(ROWS) {
        writeln!(out, "{}", common::row(entry))?;
    }
    match files.len().saturating_sub(ROWS) {
        0 => Ok(()),
        more => writeln!(out, "{:>30}and {more} smaller ones", ""),
    }
}

/// `path`, or the first of `path-2`, `path-3`, ... that is not there yet.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", path.display()));
    std::iter::once(path.to_owned())
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}
