//! A cron job: keeps the account's snapshots in `backups`, seven daily, five weekly and twelve monthly ones of each app and
//! database. Prints one line, and errors; the exit status tells whether everything is there.

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
    Ok(report.is_complete())
}
