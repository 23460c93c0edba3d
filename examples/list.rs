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
    println!("{:<17} {:>10}  {:<10} name", "made", "size", "by");
    for info in &listing.snapshots {
        let made = time::PrimitiveDateTime::new(info.created_at.date(), info.created_at.time());
        let by = info.origin.as_ref().map_or_else(|| "unknown".into(), ToString::to_string);
        println!("{:<17} {:>10}  {:<10} {}", common::date(made), common::size(info.size), by, info.id);
    }
    let total = listing.snapshots.iter().map(|info| info.size).sum();
    println!("{} snapshots, {}", listing.snapshots.len(), common::size(total));
    for item in &listing.skipped {
        println!("could not be decoded: {item}");
    }
    Ok(())
}
