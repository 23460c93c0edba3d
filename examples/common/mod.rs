//! What the examples share: the client of the environment or of the built-in sandbox, and output for people.

#![allow(dead_code, reason = "each example uses its own part of this")]

#[path = "../../tests/sandbox/mod.rs"]
mod sandbox;

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use indicatif::{DecimalBytes, ProgressBar, ProgressFinish, ProgressStyle};
use squarecloud_blocking::time::{OffsetDateTime, UtcOffset};
use squarecloud_blocking::{Client, Progress, Refusal};

pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// A client, the app to work on, and the sandbox to keep alive when there is one.
pub struct Connection {
    pub client: Client,
    pub app_id: String,
    _sandbox: Option<sandbox::Sandbox>,
}

/// The service when `SQUARECLOUD_API_KEY` is set, and the app with this id; else the sandbox and its app.
pub fn connect(app_id: Option<String>) -> Result<Connection> {
    let mut connection = account()?;
    if connection._sandbox.is_none() {
        connection.app_id = app_id.unwrap_or_else(|| missing_app_id(&connection.client));
    }
    Ok(connection)
}

/// The service when `SQUARECLOUD_API_KEY` is set, without an app; else the sandbox.
pub fn account() -> Result<Connection> {
    if env::var_os("SQUARECLOUD_API_KEY").is_some() {
        return Ok(Connection { client: Client::from_env()?, app_id: String::new(), _sandbox: None });
    }
    note("No SQUARECLOUD_API_KEY is set, so this runs against the built-in sandbox.");
    let sandbox = sandbox::Sandbox::builder().history(5).try_start()?;
    let client = Client::builder(sandbox.api_key()).base_url(sandbox.base_url()).build()?;
    Ok(Connection { client, app_id: sandbox.app_id().to_owned(), _sandbox: Some(sandbox) })
}

/// Wrong usage: ends the process with the ids to choose from, if the key may see them.
fn missing_app_id(client: &Client) -> ! {
    let apps = client.account().map(|account| account.applications).unwrap_or_default();
    let mut message = String::from("the app's id is missing\n");
    for app in apps {
        message += &format!("  {}  {}\n", app.id, fit(&app.name, 40));
    }
    clap::Error::raw(ErrorKind::MissingRequiredArgument, message + "\nFor more information, try '--help'.\n").exit()
}

/// The exit status. An error is one line, with its causes; a pipe that nobody reads (`list | head -1`) is no error.
pub fn exit(result: Result) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    note(format!("{error:#}"));
    ExitCode::FAILURE
}

/// A line on stderr. Unlike `eprintln`, it does not panic when nobody can read it.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on stdout. Unlike `println`, it does not panic when nobody can read it, and says so.
pub fn say(line: impl Display) -> Result {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// `None`, and a note on stderr, if the snapshot or the file in it is damaged: an older snapshot may still be good.
pub fn unless_damaged<T>(result: squarecloud_blocking::Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.refusal() == Some(Refusal::Corrupt) => note(format!("{error:#}")),
        result => return Ok(Some(result?)),
    }
    Ok(None)
}

/// An error, if what was to be extracted was there already.
#[cfg(feature = "zip")]
pub fn none_kept(made: &squarecloud_blocking::Extracted) -> Result {
    if made.kept == 0 { Ok(()) } else { Err("the file is there already".into()) }
}

/// A callback that shows progress as a bar on stderr, if that is a terminal. The bar goes when everything is done, or
/// when the callback is dropped.
pub fn bar(verb: &'static str) -> impl Fn(Progress) -> ControlFlow<()> + Send + Sync {
    let template = "{prefix} [{bar:20}] {decimal_bytes} of {decimal_total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::no_length().with_style(style.progress_chars("=> ")).with_finish(ProgressFinish::AndClear);
    move |progress| {
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_prefix(if progress.waiting { "Waiting for the host" } else { verb });
        bar.set_position(progress.bytes);
        if progress.total == Some(progress.bytes) {
            bar.finish_and_clear();
        }
        ControlFlow::Continue(())
    }
}

/// `12.90 MB`
pub fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

/// `2026-11-20 18:04`, in UTC.
pub fn date(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    let (y, m, d) = time.to_calendar_date();
    format!("{y}-{:02}-{d:02} {:02}:{:02}", u8::from(m), time.hour(), time.minute())
}

/// The text in at most `width` columns, without its middle if it is longer. Control characters are escaped.
pub fn fit(text: &str, width: usize) -> String {
    let text = text.escape_debug().to_string();
    let columns = console::measure_text_width;
    if columns(&text) <= width {
        return text;
    }
    let mut end = text.chars();
    while columns(end.as_str()) > width / 2 {
        end.next();
    }
    format!("{}{}", console::truncate_str(&text, width - width / 2, "…"), end.as_str())
}

/// A path in full, so that it can be copied. Only control characters are escaped.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.contains(char::is_control) { text.escape_debug().to_string() } else { text.into_owned() }
}

/// The header of [`row`].
pub const HEADER: &str = "      size  changed (UTC)     name";

/// An entry of an archive in one row of at most 80 columns.
#[cfg(feature = "zip")]
pub fn row(entry: &squarecloud_blocking::Entry<'_>) -> String {
    let changed = entry.modified().map_or_else(String::new, |time| date(time.assume_utc()));
    format!("{:>10}  {changed:<16}  {}", size(entry.size()), fit(entry.name(), 50))
}

/// The header of [`change`].
pub const CHANGES: &str = "                then         now  name";

/// A difference of two archives in one row of at most 80 columns.
#[cfg(feature = "zip")]
pub fn change(what: &str, difference: &squarecloud_blocking::Difference) -> String {
    let [old, new] = [difference.old_size, difference.new_size].map(|bytes| bytes.map_or("-".into(), size));
    format!("{what:<8}{old:>12}{new:>12}  {}", fit(&difference.name, 46))
}
