//! Restores an app to a snapshot, after asking, and waits until it is done.

mod common;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Restore an app to a snapshot, after asking, and wait until it is done.
#[derive(Parser)]
struct Args {
    /// The app's id; without SQUARECLOUD_API_KEY, the sandbox's app
    app_id: Option<String>,
    /// The snapshot, as `list` shows it [default: the newest]
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> common::Result {
    let connection = common::connect(args.app_id)?;
    let app = connection.client.app(&connection.app_id);
    let snapshots = app.all_snapshots()?;
    let wanted = args.version_id.as_deref();
    let info = snapshots.iter().find(|info| wanted.is_none() || info.version_id.as_deref() == wanted);
    let info = info.ok_or("the app has no such snapshot; `list` shows those it has")?;

    let (created, size) = (common::date(info.created_at), common::size(info.size));
    common::note(format!("App: {}", common::fit(app.id(), 70)));
    common::note(format!("Replace its files by the snapshot of {created} UTC, {size}? [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if !answer.trim().eq_ignore_ascii_case("y") {
        return Err("nothing was changed".into());
    }

    // What the service accepted is not necessarily done, so this waits for the end.
    let status = app.restore_and_wait(info, Duration::from_secs(600))?;
    writeln!(io::stdout(), "The restore has ended: {}", status.state)?;
    Ok(())
}
