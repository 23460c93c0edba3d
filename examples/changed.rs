//! Shows what has changed in an app since yesterday, from two snapshots that it does not download.

mod common;

use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::time::Duration;

/// Show what has changed in an app since yesterday.
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
    let app = connection.client.app(&connection.app_id);
    let snapshots = app.all_snapshots()?;
    let (newest, others) = snapshots.split_first().ok_or("the app has no snapshot yet")?;
    // What a schedule takes every day is seldom exactly a day older.
    let yesterdays = others.iter().find(|info| newest.created_at - info.created_at > Duration::hours(23));
    let older = yesterdays.or(others.first()).ok_or("the app has only one snapshot yet")?;
    let said = if yesterdays.is_none() { " (no snapshot is a day older)" } else { "" };
    common::note(format!("From {} to {} UTC{said}:", common::date(older.created_at), common::date(newest.created_at)));

    // Only the central directories are fetched: they have every file's name, size and checksum.
    let diff = app.open(older)?.archive()?.diff(&app.open(newest)?.archive()?);
    common::say(if diff.is_empty() { "Nothing has changed." } else { common::CHANGES })?;
    for (what, changes) in [("added", diff.added), ("removed", diff.removed), ("changed", diff.changed)] {
        changes.iter().try_for_each(|change| common::say(common::change(what, change)))?;
    }
    Ok(())
}
