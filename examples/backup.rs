//! The main job: take a snapshot of an app, wait for it, download it, look inside, extract it.
//!
//! `backup [APP_ID [DIRECTORY]]`; without `SQUARECLOUD_API_KEY` it works on the built-in sandbox.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use squarecloud_blocking::{Archive, Download, DownloadOptions, EntryKind, Result, Snapshot, Source};

/// How many entries the table shows.
const ROWS: usize = 12;

fn main() -> ExitCode {
    common::exit(run())
}

fn run() -> Result<()> {
    let connection = common::connect()?;
    let directory = std::env::args().nth(2).map_or_else(|| PathBuf::from("backups"), PathBuf::from);
    let app = connection.client.app(&connection.app_id);

    println!("Taking a snapshot of {} ...", app.info()?.name);
    let started = Instant::now();
    let snapshot = app.snapshot()?;
    println!("It was ready after {:.1} s.", started.elapsed().as_secs_f64());

    let download = fetch(&snapshot, &directory)?;
    println!("Saved {} to {}\n", common::size(download.bytes), download.path.display());

    let archive = download.archive()?;
    table(&archive);

    let target = unused(&download.path.with_extension(""));
    let started = Instant::now();
    let extracted = archive.extract(&target)?;
    println!(
        "\nExtracted {} files, {}, in {:.2} s. They are in {}",
        extracted.files,
        common::size(extracted.bytes),
        started.elapsed().as_secs_f64(),
        target.display()
    );
    Ok(())
}

/// Downloads with a bar and checks every byte on the way.
fn fetch(snapshot: &Snapshot, directory: &Path) -> Result<Download> {
    let bar = ProgressBar::no_length().with_style(style());
    let options = DownloadOptions::new().verify(true).progress(|progress| {
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.bytes);
        bar.set_message(if progress.waiting { "the host is away, trying again" } else { "" });
        ControlFlow::Continue(())
    });
    let download = snapshot.download_with(directory, &options);
    bar.finish_and_clear();
    download
}

fn style() -> ProgressStyle {
    let template = "Downloading [{bar:30}] {decimal_bytes} of {decimal_total_bytes}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// The largest files, and what they all come to.
fn table<S: Source>(archive: &Archive<S>) {
    let mut files: Vec<_> = archive.entries().filter(|entry| entry.kind() == EntryKind::File).collect();
    files.sort_by_key(|entry| std::cmp::Reverse(entry.size()));
    println!("{:>10} {:>10}  {:<16}  largest files", "size", "packed", "changed");
    for entry in files.iter().take(ROWS) {
        let changed = entry.modified().map_or_else(String::new, common::date);
        let (size, packed) = (common::size(entry.size()), common::size(entry.compressed_size()));
        println!("{size:>10} {packed:>10}  {changed:<16}  {}", entry.name().escape_debug());
    }
    if files.len() > ROWS {
        println!("{:>10} {:>10}  {:<16}  and {} smaller ones", "", "", "", files.len() - ROWS);
    }
    let (size, packed) = (common::size(archive.total_size()), common::size(archive.total_compressed_size()));
    println!("{size:>10} {packed:>10}  {:<16}  in {} files", "", files.len());
}

/// `path`, or the first of `path-2`, `path-3`, ... that is not there yet.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", path.display()));
    std::iter::once(path.to_owned())
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}
