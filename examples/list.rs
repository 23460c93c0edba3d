//! Lists the snapshots of an app, newest first.

mod common;

use std::process::ExitCode;

use squarecloud_blocking::Result;

fn main() -> ExitCode {
    common::exit(run())
}

fn run() -> Result<()> {
    let connection = common::connect()?;
    let listing = connection.client.app(&connection.app_id).listing()?;
    for info in &listing.snapshots {
        println!("{info}");
    }
    let total = listing.snapshots.iter().map(|info| info.size).sum();
    println!("{} snapshots, {}", listing.snapshots.len(), common::size(total));
    for item in &listing.skipped {
        println!("could not be decoded: {item}");
    }
    Ok(())
}
