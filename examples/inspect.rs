//! Looks into the newest snapshot of an app without downloading it.

mod common;

use std::process::ExitCode;

use squarecloud_blocking::Result;

fn main() -> ExitCode {
    common::exit(run())
}

fn run() -> Result<()> {
    let connection = common::connect()?;
    let app = connection.client.app(&connection.app_id);
    let Some(info) = app.latest_snapshot()? else {
        println!("The app {} has no snapshot yet.", app.id());
        return Ok(());
    };
    let archive = connection.client.open(&info)?.archive()?;
    print!("{}", archive.tree());
    if let Ok(config) = archive.read("squarecloud.app") {
        println!("\nsquarecloud.app:\n{}", String::from_utf8_lossy(&config));
    }
    Ok(())
}
