//! The sandbox as a program of its own: its command line, and what it prints.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::handle::Sandbox;
use super::rules::{Creation, Restoration};
use super::words::{self, Wanted};

/// How long what `--pending` leaves pending takes.
const PENDING: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Serve(Options),
    /// Moves the time of the sandbox on this port.
    Advance(u16, String),
    Help,
}

#[derive(Debug, Default)]
pub struct Options {
    pub port: u16,
    pub snapshot_port: u16,
    pub history: u32,
    pub pending: bool,
    pub small: bool,
    pub faults: Vec<Wanted>,
}

/// Reads the arguments, without the program's name. Pure.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = args.into_iter().flat_map(|arg| match arg.split_once('=') {
        Some((name, value)) if arg.starts_with("--") => vec![name.to_string(), value.to_string()],
        _ => vec![arg],
    });
    let (mut options, mut advance) = (Options { history: 5, ..Options::default() }, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--port" => options.port = number(&arg, &value()?, u16::MAX)?,
            "--snapshot-port" => options.snapshot_port = number(&arg, &value()?, u16::MAX)?,
            // The service keeps a snapshot for 30 days.
            "--history" => options.history = number(&arg, &value()?, 29)?.into(),
            "--fault" => options.faults.push(words::fault(&value()?)?),
            "--pending" => options.pending = true,
            "--small" => options.small = true,
            "--advance" => advance = Some(value()?),
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(format!("there is no option `{arg}`; --help lists them")),
        }
    }
    match advance {
        None => Ok(Command::Serve(options)),
        Some(_) if options.port == 0 => Err("--advance wants the --port of a running sandbox".into()),
        Some(by) => words::duration(&by).map(|_| Command::Advance(options.port, by)),
    }
}

fn number(name: &str, text: &str, most: u16) -> Result<u16, String> {
    let number = text.parse().ok().filter(|n| *n <= most);
    number.ok_or_else(|| format!("{name} wants a number up to {most}, not `{text}`"))
}

/// Runs until the process is killed, or gives its exit code: 1 when it did not work, 2 when it was asked wrongly.
pub fn run(args: impl Iterator<Item = OsString>) -> u8 {
    let (code, text) = match parse(args.map(|arg| arg.to_string_lossy().into_owned())) {
        Err(text) => (2, text),
        Ok(Command::Help) => {
            print(&help());
            return 0;
        }
        Ok(Command::Advance(port, by)) => match advance(port, &by) {
            Ok(()) => return 0,
            Err(e) => (1, format!("no sandbox answers on port {port}: {e}")),
        },
        Ok(Command::Serve(options)) => match serve(options) {
            Ok(never) => match never {},
            Err(e) => (1, format!("{e}; stop what listens there or choose another port (0 is any free one)")),
        },
    };
    let _ = writeln!(io::stderr(), "sandbox: {text}");
    code
}

fn serve(options: Options) -> io::Result<std::convert::Infallible> {
    let mut builder = Sandbox::builder().ports(options.port, options.snapshot_port).history(options.history).lenient();
    if options.small {
        builder = builder.small();
    }
    if options.pending {
        builder = builder.rules(|r| {
            (r.creation, r.restoration) = (Creation::After(PENDING), Restoration::After(PENDING));
        });
    }
    let sandbox = builder.try_start()?;
    options.faults.into_iter().for_each(|wanted| sandbox.want(wanted));
    print(&greeting(&sandbox));
    loop {
        std::thread::park();
    }
}

/// In one piece. Whoever does not listen any more does not end the sandbox.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What a shell can read: `. ./file`.
fn greeting(sandbox: &Sandbox) -> String {
    let (api, host) = (sandbox.base_url(), sandbox.snapshot_host());
    format!(
        "# An offline Square Cloud on this machine only. It runs until Ctrl-C or a kill.\n\
         export SQUARECLOUD_BASE_URL={api}\n\
         export SQUARECLOUD_SNAPSHOT_HOST={host}\n\
         export SQUARECLOUD_API_KEY={}\n\
         export SQUARECLOUD_APP_ID={}\n\
         export SQUARECLOUD_DATABASE_ID={}\n\
         # Try it: curl -H \"Authorization: $SQUARECLOUD_API_KEY\" $SQUARECLOUD_BASE_URL/users/me\n\
         export SQUARECLOUD_SANDBOX={}/_sandbox\n",
        sandbox.api_key(),
        sandbox.app_id(),
        sandbox.database_id(),
        api.trim_end_matches("/v2"),
    )
}

fn advance(port: u16, by: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = format!("POST /_sandbox/advance?by={by} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    socket.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut response = String::new();
    socket.read_to_string(&mut response)?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => print(&format!("{body}\n")),
        _ => return Err(io::Error::other("what listens there has no control route")),
    }
    Ok(())
}

fn help() -> String {
    let mut text = format!(
        "An offline Square Cloud on 127.0.0.1, for any client.\n\n\
         sandbox [--port N] [--snapshot-port N] [--history N] [--pending] [--small] [--fault ROUTE=KIND[:n]]...\n\
         sandbox --port N --advance DURATION\n\n\
         \x20 --port N           the API's port; any free one without it\n\
         \x20 --snapshot-port N  the snapshot host's port; any free one without it\n\
         \x20 --history N        days of automatic snapshots of the app and the database, 0 to 29; 5 without it\n\
         \x20 --pending          creations and restores answer 202 and are done {} s later\n\
         \x20 --small            three small files instead of a few hundred\n\
         \x20 --fault            goes wrong, the first n times or always; can be given more than once\n\
         \x20 --advance DURATION moves the clock of the sandbox on --port: 90s, 31m, 25h, 31d\n\n\
         Routes: {}\n\nKinds:\n",
        PENDING.as_secs(),
        words::ROUTES.join(", "),
    );
    for (word, what, _) in words::KINDS.iter().chain(&words::DOWNLOAD_KINDS) {
        let _ = writeln!(text, "  {word:<13} {what}");
    }
    text + "  400 to 599    this status and a page of HTML; with -xml, such as 503-xml, S3's XML\n"
}
