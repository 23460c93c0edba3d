//! Extracts a zip into a directory: `extract ZIP DIRECTORY`. Shows what would happen first.

mod common;

use std::process::ExitCode;

use squarecloud_blocking::{Archive, ExtractOptions, Result};

fn main() -> ExitCode {
    common::exit(run())
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [zip, directory] = args.as_slice() else {
        println!("usage: extract ZIP DIRECTORY");
        return Ok(());
    };
    let archive = Archive::open(zip)?;
    let options = ExtractOptions::new().durable(true);
    let plan = archive.plan(&options)?;
    println!(
        "{} files, {} directories, {} links, {}",
        plan.files(),
        plan.directories(),
        plan.links(),
        common::size(plan.bytes())
    );
    for refused in plan.refused() {
        println!("refused: {} ({})", refused.name.as_deref().unwrap_or("the archive"), refused.refusal);
    }
    let extracted = archive.extract_with(directory, &options)?;
    println!("{} files, {} in {directory}", extracted.files, common::size(extracted.bytes));
    let not_kept = extracted.times_not_kept + extracted.modes_not_kept;
    if not_kept > 0 {
        println!("The file system did not take {not_kept} times and permissions.");
    }
    Ok(())
}
