//! Looks into a zip, or into the newest snapshot of an app without downloading it.

mod common;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::{Archive, Source};

/// Look into a zip, or into the newest snapshot of an app without downloading it.
#[derive(Parser)]
struct Args {
    /// A zip's path, or an app's id; else the sandbox's app
    #[arg(value_name = "ZIP|APP_ID")]
    what: Option<String>,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let is_zip = |what: &String| Path::new(what).extension().is_some_and(|extension| extension == "zip");
    if let Some(zip) = args.what.as_ref().filter(|what| is_zip(what)) {
        return show(&Archive::open(zip)?);
    }
    let connection = common::connect(args.what)?;
    let app = connection.client.app(&connection.app_id);
    let info = app.latest_snapshot()?.ok_or("the app has no snapshot yet")?;
    show(&connection.client.open(&info)?.archive()?)
}

/// Prints what is in the archive, and the app's configuration: of a remote one, only the bytes of these are fetched.
fn show<S: Source>(archive: &Archive<S>) -> common::Result {
    let mut out = io::stdout();
    writeln!(out, "{}", common::HEADER)?;
    for entry in archive.entries() {
        writeln!(out, "{}", common::row(&entry))?;
    }
    if archive.entry("squarecloud.app").is_some() {
        let config = archive.read("squarecloud.app")?;
        writeln!(out, "\nsquarecloud.app:")?;
        for line in String::from_utf8_lossy(&config).lines() {
            writeln!(out, "{}", common::fit(line, 80))?;
        }
    }
    let (size, compressed) = (common::size(archive.total_size()), common::size(archive.total_compressed_size()));
    common::note(format!("{} entries, {size}, {compressed} compressed", archive.len()));
    Ok(())
}
