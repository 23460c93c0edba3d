//! Brings a file back from the newest snapshot that has it. Of the snapshots, it fetches little more than that file.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::{EntryKind, ExtractOptions, Overwrite};

/// Bring a file back from the newest snapshot that has it. Overwrites nothing.
#[derive(Parser)]
struct Args {
    /// The file, by its path in the app
    file: String,
    /// The app's id; without SQUARECLOUD_API_KEY, the sandbox's app
    app_id: Option<String>,
    /// Write it below this directory
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    output: PathBuf,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let connection = common::connect(args.app_id)?;
    let options = ExtractOptions::new().prefix(&args.file).overwrite(Overwrite::Keep).progress(common::bar("Copying"));
    for info in connection.client.app(&connection.app_id).all_snapshots()? {
        let Some(archive) = common::unless_damaged(connection.client.open(&info)?.archive())? else { continue };
        let Some(_file) = archive.entry(&args.file).filter(|entry| entry.kind() == EntryKind::File) else { continue };
        let Some(made) = common::unless_damaged(archive.extract_with(&args.output, &options))? else { continue };
        common::none_kept(&made)?;
        let (date, path) = (common::date(info.created_at), common::path(&args.output.join(&args.file)));
        return common::say(format!("The file, from the snapshot of {date} UTC, is\n{path}"));
    }
    Err("no snapshot of the app has this file".into())
}
