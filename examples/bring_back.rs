//! Brings an app back as it was some days ago, from the files of a mirror: to look at, or as a new app.

mod common;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::time::{Duration, OffsetDateTime};
use squarecloud_blocking::{Archive, ExtractOptions, Overwrite};

/// Bring an app back as it was some days ago, from a mirror in `backups`.
#[derive(Parser)]
struct Args {
    /// The app's id; without SQUARECLOUD_API_KEY, the sandbox's app
    app_id: Option<String>,
    /// How many days to go back
    #[arg(long, value_name = "N", default_value_t = 3)]
    days: u16,
    /// Also run it as a new app, beside the present one
    #[arg(long)]
    upload: bool,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let connection = common::connect(args.app_id)?;
    let mirror = connection.client.mirror("backups");
    common::note(mirror.clone().only([&connection.app_id]).run()?);

    let time = OffsetDateTime::now_utc() - Duration::days(args.days.into());
    let zip = mirror.find(&connection.app_id, time)?.ok_or("the mirror has no good copy that old")?;

    // The directory has the zip's name, so whatever is there already is the same snapshot.
    let directory = Path::new("restored").join(zip.file_stem().unwrap_or_default());
    let options = ExtractOptions::new().overwrite(Overwrite::Replace).progress(common::bar("Extracting"));
    let extracted = Archive::open(&zip)?.extract_with(&directory, &options)?;
    let mut out = io::stdout();
    writeln!(out, "{} files, as they were at {} UTC or before, are in", extracted.files, common::date(time))?;
    writeln!(out, "{}", directory.display())?;

    if args.upload {
        // `client.app(id).commit(&zip)` would put the files into the present app instead.
        let app = connection.client.upload(&zip)?;
        writeln!(out, "They run as a new app, {}", app.id)?;
    }
    Ok(())
}
