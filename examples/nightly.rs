//! A cron job: keeps the account's snapshots in `backups`, seven daily, five weekly and twelve monthly ones of each app and
//! database. Prints one line, and errors; the exit status tells whether everything is there.
//!
//! In a crontab: `0 3 * * * SQUARECLOUD_API_KEY=... nightly`. Without the key it works on the built-in sandbox.

mod common;

use std::process::ExitCode;

use squarecloud_blocking::{Keep, Result};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => common::exit(Err(error)),
    }
}

fn run() -> Result<bool> {
    let connection = common::account()?;
    let keep = Keep::daily(7).and(Keep::weekly(5)).and(Keep::monthly(12));
    let report = connection.client.mirror("backups").keep(keep).run()?;
    println!("{report}");
    report.errors().for_each(|error| eprintln!("{error:#}"));
    report.skipped.iter().for_each(|item| eprintln!("could not be decoded: {item}"));
    Ok(report.is_complete())
}
