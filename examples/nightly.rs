//! A cron job: keeps the account's snapshots in `backups`, seven daily, five weekly and twelve monthly ones of each app
//! and database. Prints one line, and errors; the exit status tells whether everything is there.
//!
//! In a crontab: `0 3 * * * cd /srv/backups && SQUARECLOUD_API_KEY=... ./nightly`.

mod common;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use squarecloud_blocking::Keep;

/// Keep the account's snapshots in `backups`: 7 daily, 5 weekly, 12 monthly.
#[derive(Parser)]
struct Args {}

fn main() -> ExitCode {
    let Args {} = Args::parse();
    common::exit(run())
}

fn run() -> common::Result {
    let connection = common::account()?;
    let keep = Keep::daily(7).and(Keep::weekly(5)).and(Keep::monthly(12));
    let report = connection.client.mirror("backups").keep(keep).run()?;
    for error in report.errors() {
        common::note(format!("{error:#}"));
    }
    for item in &report.skipped {
        common::note(format!("could not be decoded: {item}"));
    }
    writeln!(io::stdout(), "{report}")?;
    if report.is_complete() { Ok(()) } else { Err("not everything is there".into()) }
}
