//! The examples, as a person runs them: real processes in an empty directory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use console::measure_text_width;

use crate::programs::example;
use crate::sandbox::Sandbox;

/// Those that work on an app.
const OF_APP: [&str; 6] = ["backup", "bring_back", "changed", "inspect", "list", "restore"];
const OTHERS: [&str; 3] = ["extract", "nightly", "undelete"];
pub const NOTICE: &str = "No SQUARECLOUD_API_KEY is set, so this runs against the built-in sandbox.";

/// An example in a directory, with nothing of this process's environment that it would heed.
pub fn command(dir: &Path, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(example(name));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    for variable in ["SQUARECLOUD_API_KEY", "SQUARECLOUD_BASE_URL"] {
        command.env_remove(variable);
    }
    command
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn of(mut command: Command, input: &str) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // It may have ended without reading.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let ended = Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        for secret in [Sandbox::start().api_key(), "Signature", "AWSAccessKeyId", "Expires="] {
            assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}: {ended:?}");
        }
        // No colours, bars or panics.
        for never in ["\x1b", "\r", "panicked"] {
            assert!(!ended.out.contains(never) && !ended.err.contains(never), "{never:?}: {ended:?}");
        }
        ended.fits()
    }

    /// Whether every line has at most 80 columns. Only a path may be longer: it must be whole to be of use.
    #[track_caller]
    fn fits(self) -> Self {
        let paths = ["backups", "restored", "elsewhere"];
        let fits = |line: &&str| measure_text_width(line) <= 80 || paths.iter().any(|start| line.starts_with(start));
        let mut lines = self.out.lines().chain(self.err.lines());
        let too_long = lines.find(|line| self.code == Some(0) && !fits(line));
        assert_eq!(too_long, None, "{self:?}");
        self
    }

    /// A success on the sandbox, which only stderr mentions.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.code == Some(0) && !self.out.is_empty(), "{self:?}");
        assert!(!self.out.contains("sandbox"), "{self:?}");
        self
    }

    /// A failure, said in one line after the notes.
    #[track_caller]
    pub fn failed(self, said: &str) -> Self {
        assert!(self.code == Some(1) && self.out.is_empty(), "{self:?}");
        assert!(self.err.lines().last().is_some_and(|line| line.contains(said)), "{said}: {self:?}");
        self
    }

    /// The last line of the output that is a path.
    #[track_caller]
    fn path(&self, dir: &Path, wanted: impl Fn(&Path) -> bool) -> PathBuf {
        let paths = self.out.lines().map(|line| dir.join(line.trim()));
        paths.filter(|path| path.starts_with(dir) && wanted(path)).last().unwrap_or_else(|| panic!("no path: {self:?}"))
    }
}

#[track_caller]
pub fn run(dir: &Path, name: &str, args: &[&str]) -> Ended {
    Ended::of(command(dir, name, args), "")
}

pub fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A zip as `backup` makes it.
fn zip(dir: &Path) -> PathBuf {
    run(dir, "backup", &[]).succeeded().path(dir, Path::is_file)
}

#[test]
fn backup_works_again_and_again() {
    let dir = empty();
    let mut directories = Vec::new();
    for _ in 0..3 {
        let ended = run(dir.path(), "backup", &[]).succeeded();
        assert!(ended.err.starts_with(&format!("{NOTICE}\nTaking a snapshot of demo-bot ...\n")), "{ended:?}");
        assert!(ended.out.starts_with("      size  changed (UTC)     name\n"), "{ended:?}");
        assert!(ended.out.contains(" kB  2026-11-"), "{ended:?}");
        let zip = ended.path(dir.path(), Path::is_file);
        assert!(zip.starts_with(dir.path().join("backups")) && zip.extension().is_some_and(|e| e == "zip"), "{zip:?}");
        let directory = ended.path(dir.path(), |path| path.join("squarecloud.app").is_file());
        assert!(!directories.contains(&directory), "{directories:?}");
        directories.push(directory);
    }
    let ended = run(dir.path(), "backup", &["any-app", "elsewhere"]).succeeded();
    assert!(ended.path(dir.path(), Path::is_file).starts_with(dir.path().join("elsewhere")), "{ended:?}");
}

#[test]
fn list_shows_what_a_restore_needs() {
    let dir = empty();
    for _ in 0..2 {
        let ended = run(dir.path(), "list", &[]).succeeded();
        let rows: Vec<_> = ended.out.lines().collect();
        assert_eq!((rows.len(), rows[0]), (6, "created (UTC)          size  origin     version id"), "{ended:?}");
        assert!(rows[1..].is_sorted_by(|newer, older| newer > older), "{ended:?}");
        assert!(rows[1..].iter().all(|row| row.contains("automatic")), "{ended:?}");
        assert!(ended.err.starts_with(&format!("{NOTICE}\n5 snapshots, ")) && ended.err.contains("UTC"), "{ended:?}");
    }
    let list = run(dir.path(), "list", &[]).out;
    let version = list.lines().last().unwrap().split_whitespace().last().unwrap();
    let ended = Ended::of(command(dir.path(), "restore", &["--version-id", version]), "y\n").succeeded();
    let day = &list.lines().last().unwrap()[..10];
    assert!(ended.err.contains(&format!("snapshot of {day}")), "{ended:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn restore_asks_first() {
    let dir = empty();
    for _ in 0..2 {
        let ended = Ended::of(command(dir.path(), "restore", &[]), "y\n").succeeded();
        assert!(ended.err.starts_with(NOTICE) && ended.err.contains("[y/N]"), "{ended:?}");
        assert_eq!(ended.out, "The restore has ended: success\n");
    }
    for answer in ["", "\n", "n\n", "yes, but\n"] {
        Ended::of(command(dir.path(), "restore", &[]), answer).failed("nothing was changed");
    }
    run(dir.path(), "restore", &["--version-id", "none"]).failed("no such snapshot");
}

#[test]
fn inspect_looks_into_snapshots_and_zips() {
    let dir = empty();
    let zip = zip(dir.path());
    let (remote, local) = (run(dir.path(), "inspect", &[]), run(dir.path(), "inspect", &[zip.to_str().unwrap()]));
    assert_eq!(remote.succeeded().out, local.out);
    assert!(local.out.contains("  src/index.js\n") && local.out.contains("\nsquarecloud.app:\nMAIN="), "{local:?}");
    assert!(local.code == Some(0) && !local.err.contains(NOTICE) && local.err.contains(" entries, "), "{local:?}");
    run(dir.path(), "inspect", &["not-there.zip"]).failed("not-there.zip");
}

#[test]
fn extract_replaces_only_when_told_to() {
    let dir = empty();
    let zip = zip(dir.path());
    let zip = zip.to_str().unwrap();
    let ended = run(dir.path(), "extract", &[zip, "restored"]).succeeded();
    assert!(ended.err.contains(" files, ") && ended.out.ends_with("are in\nrestored\n"), "{ended:?}");
    let config = dir.path().join("restored/squarecloud.app");
    fs::write(&config, "mine").unwrap();
    run(dir.path(), "extract", &[zip, "restored"]).failed("restored");
    assert_eq!(fs::read(&config).unwrap(), b"mine");
    for _ in 0..2 {
        run(dir.path(), "extract", &[zip, "restored", "--replace"]).succeeded();
        assert!(fs::read_to_string(&config).unwrap().starts_with("MAIN="));
    }
    fs::rename(zip, dir.path().join("a.zip")).unwrap();
    run(dir.path(), "extract", &["a.zip"]).succeeded().path(dir.path(), |path| path.ends_with("a"));
    run(dir.path(), "extract", &["not-there.zip"]).failed("not-there.zip");
}

#[test]
fn nightly_says_one_line() {
    let dir = empty();
    for _ in 0..3 {
        let ended = run(dir.path(), "nightly", &[]).succeeded();
        assert!(ended.err == format!("{NOTICE}\n") && ended.out.lines().count() == 1, "{ended:?}");
        assert!(ended.out.ends_with(" 0 damaged, 0 failed\n"), "{ended:?}");
    }
    assert!(dir.path().join("backups/apps").is_dir() && dir.path().join("backups/databases").is_dir());
}

#[test]
fn bring_back_works_again_and_again() {
    let dir = empty();
    for args in [&[][..], &["--upload"], &["any-app", "--days", "3"], &["--days", "1"]] {
        let ended = run(dir.path(), "bring_back", args).succeeded();
        assert!(ended.err.starts_with(&format!("{NOTICE}\n")) && ended.err.contains(" fetched "), "{ended:?}");
        let directory = ended.path(dir.path(), |path| path.join("squarecloud.app").is_file());
        assert!(directory.starts_with(dir.path().join("restored")), "{ended:?}");
        assert_eq!(ended.out.contains("They run as a new app, "), args.contains(&"--upload"), "{ended:?}");
    }
    run(dir.path(), "bring_back", &["--days", "300"]).failed("no good copy that old");
}

#[test]
fn what_they_leave_is_ignored_by_git() {
    let ignored = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".gitignore")).unwrap();
    let dir = empty();
    for name in ["backup", "nightly", "bring_back"] {
        run(dir.path(), name, &[]).succeeded();
    }
    for entry in fs::read_dir(dir.path()).unwrap() {
        let pattern = format!("{}/", entry.unwrap().file_name().display());
        assert!(ignored.lines().any(|line| line == pattern), "{pattern}");
    }
}

#[test]
fn help_is_asked_for_and_wrong_usage_is_not() {
    let dir = empty();
    for name in OF_APP.into_iter().chain(OTHERS) {
        for option in ["--help", "-h"] {
            let help = Ended::of(command(dir.path(), name, &[option]), "");
            assert!(help.code == Some(0) && help.err.is_empty() && help.out.contains(name), "{help:?}");
        }
        for wrong in ["--no-such-option", "-x"] {
            let ended = run(dir.path(), name, &[wrong]);
            assert!(ended.code == Some(2) && ended.out.is_empty() && ended.err.contains(&wrong[..2]), "{ended:?}");
        }
    }
    for args in [
        &["extract"][..],
        &["extract", "a.zip", "b", "c"],
        &["list", "a", "b"],
        &["nightly", "a"],
        &["bring_back", "--days", "x"],
        &["restore", "--version-id"],
    ] {
        let ended = run(dir.path(), args[0], &args[1..]);
        assert!(ended.code == Some(2) && ended.out.is_empty() && ended.err.contains("--help"), "{ended:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn with_a_key_they_work_on_the_app_of_this_id() {
    let (dir, sandbox) = (empty(), Sandbox::builder().small().history(5).start());
    let with_key = |name: &str, args: &[&str], key: &str| {
        let mut command = command(dir.path(), name, args);
        command.env("SQUARECLOUD_API_KEY", key).env("SQUARECLOUD_BASE_URL", sandbox.base_url());
        Ended::of(command, "y\n")
    };
    for name in OF_APP.into_iter().chain(["bring_back"]) {
        let ended = with_key(name, &[], sandbox.api_key());
        assert!(ended.code == Some(2) && ended.out.is_empty(), "{ended:?}");
        assert!(ended.err.contains("id is missing") && ended.err.contains(sandbox.app_id()), "{ended:?}");
        let ended = with_key(name, &[sandbox.app_id()], sandbox.api_key()).succeeded();
        assert!(!ended.err.contains(NOTICE), "{ended:?}");
        for (app_id, key, said) in
            [("no-such-app", sandbox.api_key(), "APP_NOT_FOUND"), (sandbox.app_id(), "wrong-key", "ACCESS_DENIED")]
        {
            let ended = with_key(name, &[app_id], key);
            assert!(ended.code == Some(1) && ended.out.is_empty() && ended.err.contains(said), "{ended:?}");
            assert!(!ended.err.contains("wrong-key"), "{ended:?}");
        }
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let dir = empty();
    let zip = zip(dir.path());
    let zip = zip.to_str().unwrap();
    let closed = || io::pipe().unwrap().1;
    for args in [&["backup"][..], &["bring_back"], &["extract", zip, "a"], &["inspect"], &["list"], &["nightly"]] {
        let mut command = command(dir.path(), args[0], &args[1..]);
        let output = command.stdout(closed()).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !err.contains("panicked") && !err.contains("ipe"), "{args:?}: {err}");
    }
    assert!(dir.path().join("a/squarecloud.app").is_file());
    for args in [&["list"][..], &["list", "--help"], &["list", "--wrong"]] {
        let mut command = command(dir.path(), args[0], &args[1..]);
        let status = command.stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(if args.contains(&"--wrong") { 2 } else { 0 }), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let dir = empty();
    for name in ["changed", "list", "inspect", "nightly"] {
        let mut command = command(dir.path(), name, &[]);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && err.contains("No space left"), "{name}: {err}");
    }
}

#[test]
fn rows_fit_whatever_a_name_is() {
    let dir = empty();
    let mut zip = zip::ZipWriter::new(File::create(dir.path().join("a.zip")).unwrap());
    let names = ["a/".repeat(60) + "end.txt", "写真".repeat(50) + ".png", "e\u{301}".repeat(90), "a\x1b[31m\nb".into()];
    for name in &names {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    }
    zip.finish().unwrap();
    let ended = run(dir.path(), "inspect", &["a.zip"]);
    let rows: Vec<_> = ended.out.lines().collect();
    assert_eq!((ended.code, rows.len()), (Some(0), 5), "{ended:?}");
    assert!(rows[1].ends_with("/end.txt") && rows[2].ends_with("真.png") && rows[4].ends_with(r"[31m\nb"), "{rows:#?}");
    let widths: Vec<_> = rows.iter().map(|row| measure_text_width(row)).collect();
    assert!(widths[1..3].iter().all(|width| (79..=80).contains(width)), "{widths:?}");
}

#[cfg(unix)]
#[test]
fn backup_shows_bars_on_a_terminal_and_clears_them() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    let dir = empty();
    let size = PtySize { rows: 60, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(example("backup"));
    command.cwd(dir.path());
    command.env_remove("SQUARECLOUD_API_KEY");
    command.env("TERM", "xterm");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut written = Vec::new();
    // On Linux the end is an error.
    let _ = pair.master.try_clone_reader().unwrap().read_to_end(&mut written);
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("Downloading [") && text.contains("Extracting ["), "{text:?}");
    let mut terminal = vt100::Parser::new(size.rows, size.cols, 0);
    terminal.process(&written);
    let screen = terminal.screen().contents();
    assert!(!screen.contains("ing [") && screen.contains("changed (UTC)"), "{screen}");
}
