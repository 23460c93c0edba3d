//! The sandbox as a program: its command line, its exit codes, and that it stays up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::sandbox::program::{self, Command as Asked};
use crate::sandbox::{On, words};

const ARGS: &str = "SANDBOX_ARGS";

/// The program itself, as the tests below start it.
#[test]
#[ignore = "started by the tests of this file"]
fn child() {
    let args = std::env::var(ARGS).unwrap();
    let code = program::run(args.lines().map(Into::into));
    std::process::exit(code.into());
}

/// This test binary, which is never older than the sources.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let module = module_path!().split_once("::").unwrap().1;
    command.args(["--exact", &format!("{module}::child"), "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(ARGS, args.join("\n")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running program; dropping it kills it.
struct Running {
    child: Child,
    printed: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("/_sandbox\n") {
            assert!(out.read_line(&mut printed).unwrap() > 0, "it ended: {printed}");
        }
        // Its output closes here: it must not mind.
        Self { child, printed }
    }

    fn variable(&self, name: &str) -> &str {
        let start = format!("export SQUARECLOUD_{name}=");
        self.printed.lines().find_map(|line| line.strip_prefix(&start)).unwrap()
    }

    fn port(&self) -> u16 {
        self.variable("BASE_URL")
            .strip_prefix("http://127.0.0.1:")
            .unwrap()
            .strip_suffix("/v2")
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Status line and body.
    fn ask(&self, request: &str) -> (String, String) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let key = self.variable("API_KEY");
        let head = format!("{request} HTTP/1.1\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().into(), body.into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("sandbox: ") && text.lines().count() == 1, "one line: {text}");
    text
}

#[test]
fn without_an_input_it_stays_up_and_does_what_it_was_asked() {
    let running = Running::start(command(&["--small", "--history=2", "--fault", "create=503:1", "--pending"]));
    let snapshots = format!("/v2/apps/{}/snapshots", running.variable("APP_ID"));
    let (status, body) = running.ask(&format!("POST {snapshots}"));
    assert!(status.contains(" 503 ") && body.starts_with("<html>"), "{status} {body}");
    let (status, body) = running.ask(&format!("POST {snapshots}"));
    assert!(status.contains(" 202 ") && body.contains("SNAPSHOT_PROCESSING"), "{status} {body}");
    let port = running.port().to_string();
    let moved = end(&["--port", &port, "--advance", "10s"]);
    assert!(moved.status.success() && String::from_utf8_lossy(&moved.stdout).contains("{\"now\":\"20"), "{moved:?}");
    let (_, body) = running.ask(&format!("GET {snapshots}"));
    assert_eq!((body.matches("_automatic\"").count(), body.matches("_manual\"").count()), (2, 1), "{body}");
    let (_, log) = running.ask("GET /_sandbox/requests");
    assert_eq!(log.matches("\"status\":").count(), 3, "{log}");
}

/// `cargo test` builds the examples, `cargo test --test it` does not.
#[test]
fn the_example_is_this_program() {
    let target: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().into();
    let example = target.join("examples").join(format!("sandbox{}", std::env::consts::EXE_SUFFIX));
    if !example.exists() {
        return;
    }
    let mut command = Command::new(example);
    command.args(["--small", "--history", "0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let running = Running::start(command);
    assert!(running.ask("GET /v2/users/me").0.contains(" 200 "));
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--port", "--snapshot-port"] {
        let output = end(&[option, &port, "--small"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).contains(&format!("127.0.0.1:{port}")), "{output:?}");
    }
    drop(taken);
    let output = end(&["--port", &port, "--advance", "1d"]);
    assert!(output.status.code() == Some(1) && line(&output).contains(&port), "{output:?}");
}

#[test]
fn what_it_cannot_read_is_one_line_and_exit_code_2() {
    for (args, said) in [
        (&["--port", "65536"][..], "65535"),
        (&["--port"], "wants a value"),
        (&["--history", "30"], "29"),
        (&["--sport", "1"], "--help"),
        (&["--fault", "create"], "ROUTE=KIND[:n]"),
        (&["--fault", "creation=500"], "create"),
        (&["--fault", "create=calm"], "keep-calm"),
        (&["--fault", "create=keep-calm:0"], "`0`"),
        (&["--fault=list=no-range"], "download"),
        (&["--advance", "1d"], "--port"),
        (&["--port", "1", "--advance", "1w"], "31d"),
    ] {
        let output = end(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(line(&output).contains(said), "{args:?}: {output:?}");
    }
    let help = end(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && help.stderr.is_empty());
    let words = words::KINDS.iter().chain(&words::DOWNLOAD_KINDS).map(|k| k.0);
    assert!(words.chain(words::ROUTES).chain(["--snapshot-port", "-xml"]).all(|word| text.contains(word)), "{text}");
}

#[test]
fn arguments_become_options() {
    let parse = |args: &[&str]| program::parse(args.iter().map(ToString::to_string));
    let Ok(Asked::Serve(options)) = parse(&[]) else { panic!("nothing is needed") };
    assert_eq!((options.port, options.history, options.pending, options.faults.len()), (0, 5, false, 0));
    let Ok(Asked::Serve(options)) = parse(&["--port=1", "--fault=any=reset", "--fault", "list=503-xml:2"]) else {
        panic!("both spellings")
    };
    let faults: Vec<_> = options.faults.iter().map(|f| (f.on.clone(), f.times)).collect();
    assert_eq!(faults, [(On::Any, None), (On::Word("list"), Some(2))]);
    assert!(matches!(parse(&["--advance", "90", "--port", "7"]), Ok(Asked::Advance(7, by)) if by == "90"));
}

#[test]
fn times_have_one_unit() {
    for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("31m", 1860), ("25h", 90_000), ("3650d", 315_360_000)] {
        assert_eq!(words::duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "s", "-1", "1.5h", "1h30m", "1 h", "1w", "5ss", "3651d", "99999999999999999999d", "1é", "é"] {
        assert!(words::duration(text).is_err(), "{text}");
    }
}
