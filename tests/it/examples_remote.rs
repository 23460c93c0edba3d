//! The two examples that work straight from the snapshot host, and what they ask of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::examples::{Ended, NOTICE, command, empty, run};
use crate::sandbox::{Fault, FileNode, Files, Kind, MODE_FILE, NewSnapshot, Port, Route, Sandbox, to_zip};

const HOUR: Duration = Duration::from_secs(3600);

/// An example that works on an app of this sandbox.
fn with_key(sandbox: &Sandbox, dir: &Path, name: &str, args: &[&str]) -> Command {
    let mut command = command(dir, name, args);
    command.env("SQUARECLOUD_API_KEY", sandbox.api_key()).env("SQUARECLOUD_BASE_URL", sandbox.base_url());
    command
}

#[track_caller]
fn changed(sandbox: &Sandbox, app: &str) -> Ended {
    Ended::of(with_key(sandbox, empty().path(), "changed", &[app]), "")
}

#[track_caller]
fn undelete(sandbox: &Sandbox, dir: &Path, file: &str, app: &str) -> Ended {
    Ended::of(with_key(sandbox, dir, "undelete", &[file, app]), "")
}

/// An app with no snapshots but these: how old, and the zip.
fn app(sandbox: &Sandbox, snapshots: impl IntoIterator<Item = (Duration, Vec<u8>)>) -> String {
    let id = sandbox.add_resource(Kind::App, "other-bot", Files::new());
    for (age, bytes) in snapshots {
        sandbox.put_snapshot(NewSnapshot { age, bytes: Some(bytes), ..NewSnapshot::of(&id) });
    }
    id
}

/// A zip of these files.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let node = |text: &str| FileNode::new(text, MODE_FILE, 1_793_611_800);
    to_zip(&files.iter().map(|(name, text)| ((*name).to_owned(), node(text))).collect())
}

/// How often the host was asked for each snapshot, by the version in the signed query. Nothing was asked for whole.
fn asked(sandbox: &Sandbox) -> Vec<usize> {
    let mut counts = BTreeMap::new();
    for request in sandbox.requests().iter().filter(|request| request.port == Port::Snapshots) {
        assert!(request.header("Range").is_some(), "{request:?}");
        let version = request.query.split('&').find(|field| field.starts_with("versionId=")).map(str::to_owned);
        *counts.entry(version.expect("a version")).or_insert(0) += 1;
    }
    sandbox.clear_requests();
    counts.into_values().collect()
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn changed_shows_what_yesterdays_deployment_changed() {
    let dir = empty();
    for _ in 0..2 {
        let ended = run(dir.path(), "changed", &[]).succeeded();
        assert!(ended.err.starts_with(&format!("{NOTICE}\nFrom 20")) && ended.err.ends_with(" UTC:\n"), "{ended:?}");
        let expected = "                then         now  name
added              -     2.22 kB  src/commands/weather.js
removed      1.42 kB           -  src/commands/coinflip.js
changed    151.55 kB   153.60 kB  data/users.sqlite
changed      4.74 kB     5.24 kB  src/index.js
";
        assert_eq!(ended.out, expected, "{ended:?}");
    }
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn changed_fetches_central_directories_only() {
    let sandbox = Sandbox::builder().history(5).start();
    let ended = changed(&sandbox, sandbox.app_id()).succeeded();
    assert_eq!(ended.out.lines().count(), 5, "{ended:?}");
    assert_eq!(asked(&sandbox), [1, 1]);
}

#[test]
fn changed_takes_the_newest_snapshot_that_is_about_a_day_older() {
    let sandbox = Sandbox::builder().small().start();
    let of = |text: &str| zip(&[("a", text)]);
    let ages = |ages: &[Duration]| {
        app(&sandbox, ages.iter().map(|age| (*age, of(&"x".repeat(age.as_secs() as usize / 3600)))))
    };
    for (others, chosen, said) in [
        (&[2, 23, 25][..], 25, false),
        (&[24, 48], 24, false),
        (&[23, 47, 72], 47, false),
        (&[200], 200, false),
        (&[3, 8], 3, true),
        (&[23], 23, true),
    ] {
        // A minute less than so many hours before the newest.
        let older = others.iter().map(|hours| HOUR * *hours - Duration::from_secs(60) + HOUR);
        let ended = changed(&sandbox, &ages(&[HOUR].into_iter().chain(older).collect::<Vec<_>>())).succeeded();
        let size = format!("{chosen} B");
        assert!(ended.out.lines().nth(1).is_some_and(|row| row.contains(&size)), "{others:?}: {ended:?}");
        assert_eq!(ended.err.contains("no snapshot is a day older"), said, "{others:?}: {ended:?}");
    }
}

#[test]
fn changed_needs_two_snapshots_that_can_be_read() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    changed(&sandbox, sandbox.app_id()).failed("no snapshot yet");
    let (old, new) = ((HOUR * 24, zip(&[("a", "1")])), (HOUR, zip(&[("a", "1")])));
    changed(&sandbox, &app(&sandbox, [new.clone()])).failed("only one snapshot");
    let ended = changed(&sandbox, &app(&sandbox, [old, new.clone()])).succeeded();
    assert_eq!(ended.out, "Nothing has changed.\n", "{ended:?}");
    let cut_off = new.1[..new.1.len() - 9].to_vec();
    changed(&sandbox, &app(&sandbox, [new, (HOUR * 25, cut_off)])).failed("damaged");
}

#[test]
fn undelete_takes_the_newest_snapshot_that_has_the_file() {
    let dir = empty();
    for (file, length) in [("data/giveaways.json", 48), ("src/commands/coinflip.js", 1421), ("logs/empty.log", 0)] {
        let ended = run(dir.path(), "undelete", &[file]).succeeded();
        assert!(
            ended.err == format!("{NOTICE}\n") && ended.out.ends_with(&format!(" UTC, is\n./{file}\n")),
            "{ended:?}"
        );
        assert_eq!(fs::metadata(dir.path().join(file)).unwrap().len(), length, "{file}");
    }
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn undelete_asks_no_older_snapshot_and_for_little_more_than_the_file() {
    let (dir, sandbox) = (empty(), Sandbox::builder().history(5).start());
    for (file, snapshots) in [("src/index.js", 1), ("src/commands/coinflip.js", 2), ("data/giveaways.json", 4)] {
        undelete(&sandbox, dir.path(), file, sandbox.app_id()).succeeded();
        let asked = asked(&sandbox);
        assert_eq!(asked.len(), snapshots, "{file}: {asked:?}");
        assert!(asked.iter().sum::<usize>() <= snapshots + 2, "{file}: {asked:?}");
    }
}

#[test]
fn undelete_overwrites_nothing() {
    let (dir, sandbox) = (empty(), Sandbox::builder().small().start());
    let app = app(&sandbox, [(HOUR, zip(&[("data/a.txt", "old"), ("b.txt", "old")]))]);
    let here = dir.path();
    fs::create_dir_all(here.join("data")).unwrap();
    fs::write(here.join("data/a.txt"), "mine").unwrap();
    undelete(&sandbox, here, "data/a.txt", &app).failed("there already");
    undelete(&sandbox, here, "b.txt", &app).succeeded();
    undelete(&sandbox, here, "b.txt", &app).failed("there already");
    fs::create_dir_all(here.join("elsewhere/b.txt")).unwrap();
    for (output, said) in [("elsewhere", "there already"), ("b.txt", "already exists")] {
        Ended::of(with_key(&sandbox, here, "undelete", &["b.txt", &app, "-o", output]), "").failed(said);
    }
    let args = ["--output", "restored/one/two", "data/a.txt", &app];
    let ended = Ended::of(with_key(&sandbox, here, "undelete", &args), "").succeeded();
    assert!(ended.out.contains("\nrestored/one/two") && ended.out.ends_with("data/a.txt\n"), "{ended:?}");
    let contents = [("data/a.txt", "mine"), ("b.txt", "old"), ("restored/one/two/data/a.txt", "old")];
    for (path, content) in contents {
        assert_eq!(fs::read_to_string(here.join(path)).unwrap(), content, "{path}");
    }
    assert_eq!(files(here).len(), contents.len(), "{:?}", files(here));
}

#[test]
fn undelete_finds_files_only_and_writes_nowhere_else() {
    let (dir, sandbox) = (empty(), Sandbox::builder().small().start());
    let here = dir.path().join("here");
    let absolute = dir.path().join("absolute").display().to_string();
    let hostile = ["../a", &absolute, "b/../../c", "d\x1b[31m\n/e\u{202e}'.txt"];
    let app = app(&sandbox, [(HOUR, zip(&hostile.map(|name| (name, "x")))), (HOUR * 2, zip(&[("data/a.txt", "x")]))]);
    fs::create_dir(&here).unwrap();
    for missing in ["nope", "data", "data/", "a.txt", "data/a.txt/", "DATA/A.TXT", ""] {
        undelete(&sandbox, &here, missing, &app).failed("no snapshot of the app has this file");
    }
    undelete(&sandbox, &here, "nope", sandbox.app_id()).failed("no snapshot of the app has this file");
    for name in &hostile[..3] {
        undelete(&sandbox, &here, name, &app).failed("refused");
    }
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    if cfg!(windows) {
        return; // which has no such names
    }
    let ended = undelete(&sandbox, &here, hostile[3], &app).succeeded();
    assert!(ended.out.lines().count() == 2 && ended.out.ends_with("'.txt\n"), "{ended:?}");
    assert_eq!(files(dir.path()).len(), 1);
}

#[cfg(unix)]
#[test]
fn undelete_writes_through_no_link() {
    let (dir, sandbox) = (empty(), Sandbox::builder().small().start());
    let app = app(&sandbox, [(HOUR, zip(&[("data/a.txt", "x")])), (HOUR * 2, zip(&[("data/a.txt", "x")]))]);
    let here = dir.path().join("here");
    fs::create_dir(&here).unwrap();
    std::os::unix::fs::symlink(dir.path(), here.join("data")).unwrap();
    undelete(&sandbox, &here, "data/a.txt", &app).failed("link");
    assert!(!dir.path().join("a.txt").exists());
}

#[test]
fn undelete_passes_over_damaged_snapshots() {
    let (dir, sandbox) = (empty(), Sandbox::builder().small().start());
    let whole = zip(&[("a.txt", "something short, which is stored")]);
    let mut damaged = whole.clone();
    let at = whole.windows(5).position(|bytes| bytes == b"short").unwrap();
    damaged[at] ^= 1;
    let app = app(&sandbox, [(HOUR, damaged.clone()), (HOUR * 2, damaged), (HOUR * 3, whole)]);
    let output = with_key(&sandbox, dir.path(), "undelete", &["a.txt", &app]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && err.lines().count() == 2 && err.contains("Invalid checksum"), "{err}");
    assert!(fs::read_to_string(dir.path().join("a.txt")).unwrap().contains("short"));
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn undelete_leaves_nothing_when_the_host_fails() {
    let (dir, sandbox) = (empty(), Sandbox::builder().history(2).start());
    for after in 0..2 {
        let refused = sandbox.fault(Route::Object, Fault::xml(403, "AccessDenied")).after(after);
        undelete(&sandbox, dir.path(), "assets/jingle.ogg", sandbox.app_id()).failed("403");
        refused.remove();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "after {after}");
    }
    undelete(&sandbox, dir.path(), "assets/jingle.ogg", sandbox.app_id()).succeeded();
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let dir = empty();
    for args in [&["changed"][..], &["undelete", "src/index.js"]] {
        let mut command = command(dir.path(), args[0], &args[1..]);
        let output = command.stdout(io::pipe().unwrap().1).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !err.contains("panicked") && !err.contains("ipe"), "{args:?}: {err}");
    }
    assert!(dir.path().join("src/index.js").is_file());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = empty();
    for args in [&["changed", "a", "b"][..], &["undelete"], &["undelete", "a", "b", "c"], &["undelete", "a", "-o", ""]]
    {
        let ended = run(dir.path(), args[0], &args[1..]);
        assert!(ended.code == Some(2) && ended.out.is_empty() && ended.err.contains("--help"), "{ended:?}");
    }
    let sandbox = Sandbox::builder().small().start();
    let ended = Ended::of(with_key(&sandbox, dir.path(), "undelete", &["a"]), "");
    assert!(ended.code == Some(2) && ended.err.contains("id is missing"), "{ended:?}");
}
