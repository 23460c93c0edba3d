//! Restores an app to its newest snapshot, after asking.

mod common;

use std::io::BufRead;
use std::process::ExitCode;
use std::time::Duration;

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
    println!("Replace the files of app {} by this snapshot? [y/N]\n{info}", app.id());
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).is_err() || !answer.trim().eq_ignore_ascii_case("y") {
        println!("Nothing was changed.");
        return Ok(());
    }
    // What the service accepted is not necessarily done, so this waits for the end.
    let status = app.restore_and_wait(&info, Duration::from_secs(600))?;
    println!("The restore has ended: {status}");
    Ok(())
}
