//! What the examples share: the client of the environment or of the built-in sandbox, and human numbers.

#![allow(dead_code, reason = "each example uses its own part of this")]

#[path = "../../tests/sandbox/mod.rs"]
mod sandbox;

use std::env;
use std::process::ExitCode;

use squarecloud_blocking::{Client, Result};

/// A client, the app to work on, and the sandbox to keep alive when there is one.
pub struct Connection {
    pub client: Client,
    pub app_id: String,
    _sandbox: Option<sandbox::Sandbox>,
}

/// The service when `SQUARECLOUD_API_KEY` is set, with the app id as first argument; else the sandbox.
pub fn connect() -> Result<Connection> {
    let mut connection = account()?;
    if connection._sandbox.is_none() {
        let Some(app_id) = env::args().nth(1) else {
            eprintln!("Please give the id of the app as first argument.");
            std::process::exit(2);
        };
        connection.app_id = app_id;
    }
    Ok(connection)
}

/// The service when `SQUARECLOUD_API_KEY` is set, without an app id; else the sandbox.
pub fn account() -> Result<Connection> {
    if env::var_os("SQUARECLOUD_API_KEY").is_some() {
        return Ok(Connection { client: Client::from_env()?, app_id: String::new(), _sandbox: None });
    }
    println!("No SQUARECLOUD_API_KEY is set, so this runs against the built-in sandbox.\n");
    let sandbox = sandbox::Sandbox::builder().history(5).start();
    let client = Client::builder(sandbox.api_key()).base_url(sandbox.base_url()).build()?;
    Ok(Connection { client, app_id: sandbox.app_id().to_owned(), _sandbox: Some(sandbox) })
}

/// Prints what went wrong, with its causes, in one line.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `12.9 MB`
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// `2026-11-20 18:04`
pub fn date(time: squarecloud_blocking::time::PrimitiveDateTime) -> String {
    let (y, m, d) = time.to_calendar_date();
    format!("{y}-{:02}-{d:02} {:02}:{:02}", u8::from(m), time.hour(), time.minute())
}
