//! Lists the snapshots of an app, newest first.

mod common;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// List the snapshots of an app, newest first. All times are UTC.
#[derive(Parser)]
struct Args {
    /// The app's id; without SQUARECLOUD_API_KEY, the sandbox's app
    app_id: Option<String>,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let connection = common::connect(args.app_id)?;
    let listing = connection.client.app(&connection.app_id).listing()?;

    let mut out = io::stdout();
    writeln!(out, "created (UTC)          size  origin     version id")?;
    for info in &listing.snapshots {
        let created = common::date(info.created_at);
        let size = common::size(info.size);
        let origin = info.origin.as_ref().map_or_else(|| "-".into(), |origin| common::fit(&origin.to_string(), 9));
        let version = common::fit(info.version_id.as_deref().unwrap_or("-"), 40);
        writeln!(out, "{created:<16} {size:>10}  {origin:<9}  {version}")?;
    }

    let total = listing.snapshots.iter().map(|info| info.size).sum();
    common::note(format!("{} snapshots, {}", listing.snapshots.len(), common::size(total)));
    if let Some(oldest) = listing.snapshots.last() {
        common::note(format!("The service deletes the oldest on {} UTC.", common::date(oldest.expires_at())));
    }
    for item in &listing.skipped {
        common::note(format!("could not be decoded: {item}"));
    }
    Ok(())
}
