//! Brings an app back as it was on a day, from the files of a mirror: to look at, and as a new app.
//!
//! `bring_back [APP_ID [DAYS_AGO]]`; the mirror is in `backups`.

mod common;

use std::process::ExitCode;

use squarecloud_blocking::time::{Duration, OffsetDateTime};
use squarecloud_blocking::{Archive, Result};

fn main() -> ExitCode {
    common::exit(run())
}

fn run() -> Result<()> {
    let connection = common::connect()?;
    let days = std::env::args().nth(2).and_then(|days| days.parse().ok()).unwrap_or(3);
    let mirror = connection.client.mirror("backups");
    println!("{}", mirror.clone().only([&connection.app_id]).run()?);

    let Some(path) = mirror.find(&connection.app_id, OffsetDateTime::now_utc() - Duration::days(days))? else {
        println!("There is no good copy that old.");
        return Ok(());
    };
    let archive = Archive::open(&path)?;
    println!("{} has {} files.", path.display(), archive.len());
    let extracted = archive.extract("restored")?;
    println!("Extracted {} files to `restored`.", extracted.files);

    // A new app beside the old one; `client.app(id).commit(&path)` would put the files into the old one.
    let app = connection.client.upload(&path)?;
    println!("They run as a new app: {} ({})", app.name, app.id);
    Ok(())
}
