//! The command's exit codes, and its manners with standard output: closed early, full, never with a secret.

use std::io::{BufRead, BufReader, Read};

use crate::command_support::{damaged_zip, wait, world, zip_of};
use crate::sandbox::{Creation, Fault, Kind, On, Restoration, Route};

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let world = world(1);
    let help = world.run(&["--help"]).done();
    for (code, meaning) in [
        (0, "done"),
        (1, "failed"),
        (2, "usage"),
        (3, "damaged archive"),
        (4, "not found"),
        (5, "limit or quota"),
        (6, "accepted and still pending"),
        (7, "partly done"),
        (130, "Ctrl-C"),
    ] {
        assert!(help.lines().any(|line| line.trim() == format!("{code}  {meaning}")), "{code} {meaning}: {help}");
    }
    world.write("damaged.zip", &damaged_zip());
    for (code, args) in [
        (0, &["list"][..]),
        (2, &["lost"]),
        (2, &["list", "--timeout", "0"]),
        (2, &["restore", "demo-bot"]),
        (2, &["download", "demo-bot", "--latest", "--at", "2026-11-20"]),
        (2, &["download", "demo-bot", "--at", "yesterday"]),
        (3, &["verify", "damaged.zip"]),
        (3, &["extract", "damaged.zip"]),
        (4, &["list", "nobody"]),
        (4, &["download", "demo-bot", "--at", "2001-01-01"]),
        (4, &["download", "demo-bot", "--version", "zzz"]),
        (4, &["cat", "demo-bot", "nothing"]),
        (4, &["verify", "nothing.zip"]),
        (4, &["ls", "nothing.zip"]),
    ] {
        let ran = world.run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert_eq!(ran.err.contains("error:"), code != 0, "{args:?}: {ran:?}");
    }
    assert_eq!(world.names(), ["damaged.zip"]);
}

/// What the service says, and the code that it becomes.
#[test]
fn refusals_of_the_service_have_codes() {
    let app = Kind::App;
    let cases: [(i32, &str, On, Fault, &[&str]); 8] = [
        (1, "ACCESS_DENIED", On::Api, Fault::Code(401, "ACCESS_DENIED", ""), &["apps"]),
        (1, "502", Route::Create(app).into(), Fault::html(502), &["create", "demo-bot"]),
        (
            1,
            "SNAPSHOT_FAILED",
            Route::Create(app).into(),
            Fault::Code(404, "SNAPSHOT_FAILED", ""),
            &["create", "demo-bot"],
        ),
        (4, "APP_NOT_FOUND", Route::List(app).into(), Fault::Code(404, "APP_NOT_FOUND", ""), &["list", "demo-bot"]),
        (4, "NoSuchKey", On::Snapshots, Fault::xml(404, "NoSuchKey"), &["download", "demo-bot"]),
        (5, "KEEP_CALM", Route::Create(app).into(), Fault::keep_calm(), &["create", "demo-bot"]),
        (5, "DAILY_SNAPSHOTS_LIMIT", Route::Create(app).into(), Fault::daily_limit(), &["create", "demo-bot"]),
        (5, "RATE_LIMITED", On::Api, Fault::rate_limited(), &["apps"]),
    ];
    let world = world(1);
    for (code, said, on, fault, args) in cases {
        let fault = world.sandbox.fault(on, fault);
        let err = world.run(args).failed(code);
        assert!(err.contains(said), "{args:?}: {err}");
        fault.remove();
    }
}

/// The command's own rules of the sandbox, not a fault that says the same.
#[test]
fn a_quota_a_cooldown_and_pending_work() {
    let world = world(1);
    world.sandbox.rules(|rules| (rules.cooldowns, rules.quota) = (true, true));
    world.run(&["create", "demo-bot"]).done();
    let said = world.run(&["create", "demo-bot"]).failed(5);
    assert!(said.contains("KEEP_CALM"), "{said}");
    world.sandbox.rules(|rules| rules.restoration = Restoration::AfterPolls(9));
    let ran = world.run(&["restore", "demo-bot", "--latest", "--yes"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.err.contains("--wait"), "{ran:?}");
    world.sandbox.rules(|rules| rules.creation = Creation::Fails);
    world.sandbox.advance(std::time::Duration::from_secs(600));
    world.run(&["create", "demo-bot"]).failed(1);
}

#[test]
fn usage_is_told_on_standard_error_and_help_on_standard_output() {
    let world = world(0);
    let ran = world.run(&[]);
    assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("Usage:"), "{ran:?}");
    let version = world.run(&["--version"]).done();
    assert_eq!(version, format!("squarecloud-snapshots {}\n", env!("CARGO_PKG_VERSION")));
    for verb in ["list", "download", "restore", "mirror"] {
        let ran = world.run(&[verb, "--help"]);
        assert!(ran.err.is_empty(), "{ran:?}");
        assert!(ran.done().contains(&format!("squarecloud-snapshots {verb}")));
    }
    assert_eq!(world.sandbox.requests().len(), 0);
}

#[test]
fn without_a_key_the_first_line_says_what_to_do() {
    let world = world(0);
    for key in [None, Some("")] {
        let mut command = world.command(&["apps"]);
        command.env_remove("SQUARECLOUD_API_KEY");
        key.map(|key| command.env("SQUARECLOUD_API_KEY", key));
        let said = world.finish(command, "").failed(1);
        assert!(said.contains("SQUARECLOUD_API_KEY") && said.contains("--sandbox"), "{said}");
    }
}

#[test]
fn the_built_in_sandbox_needs_neither_key_nor_network() {
    let world = world(0);
    let mut command = world.command(&["--sandbox", "list"]);
    command.env_remove("SQUARECLOUD_API_KEY").env_remove("SQUARECLOUD_BASE_URL");
    let ran = world.finish(command, "");
    assert!(ran.err.to_lowercase().contains("sandbox"), "{ran:?}");
    assert_eq!(ran.done().lines().count(), 11);
    assert_eq!(world.sandbox.requests().len(), 0);
}

/// `| head -1` reads a line of what does not fit into a pipe, and goes.
#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let world = world(1);
    let names: Vec<String> = (0..3000).map(|i| format!("a rather long name of a directory/{i:04}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    world.write("many.zip", &zip_of(&files));
    for args in [&["ls", "many.zip"][..], &["ls", "-l", "many.zip"], &["ls", "--json", "many.zip"]] {
        let mut child = world.command(args).spawn().unwrap();
        let mut out = BufReader::with_capacity(100, child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        drop(out);
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((wait(&mut child), err.as_str()), (0, ""), "{args:?}");
    }
}

/// The same for what is short: nobody reads even the first line.
#[test]
fn no_verb_minds_a_closed_pipe() {
    let world = world(2);
    world.write("a.zip", &zip_of(&[("a.txt", b"a\n")]));
    world.write("b.zip", &zip_of(&[("b.txt", b"b\n")]));
    for args in [
        &["apps"][..],
        &["apps", "--json"],
        &["list"],
        &["quota"],
        &["ls", "a.zip"],
        &["cat", "a.zip", "a.txt"],
        &["cat", "demo-bot", "index.js"],
        &["diff", "a.zip", "b.zip"],
        &["verify", "a.zip"],
        &["extract", "a.zip", "--dry-run"],
        &["mirror", "m", "--dry-run"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = world.command(args);
        command.arg("--quiet").stdout(write);
        let ran = world.finish(command, "");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let world = world(1);
    world.write("a.zip", &zip_of(&[("a.txt", b"a\n")]));
    for args in
        [&["apps"][..], &["list", "--json"], &["cat", "a.zip", "a.txt"], &["ls", "a.zip"], &["completions", "zsh"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = world.command(args);
        command.stdout(full);
        let said = world.finish(command, "").failed(1);
        assert!(said.contains("standard output"), "{args:?}: {said}");
    }
}

/// Signed links that are wrong in some way: no part of the query is repeated.
#[test]
fn errors_about_links_keep_the_query_to_themselves() {
    let world = world(1);
    let good = world.put(zip_of(&[("a.txt", b"a\n")]), 0).url;
    let wrong_host = good.replace("127.0.0.1", "127.0.0.2:1");
    let wrong_path = good.replace(".zip?", "x.zip?");
    let no_scheme = good.split_once("//").unwrap().1.to_owned();
    let old = good.replace("Expires=", "Expires=1");
    for link in [wrong_host, wrong_path, no_scheme, old, format!("{good} trailing"), format!("ftp:{good}")] {
        for args in [
            &["ls", &link][..],
            &["download", &link],
            &["list", &link],
            &["restore", &link, "--latest"],
            &["create", &link],
            &["verify", &link],
            &["upload", &link],
            &["mirror", "m", "--only", &link],
            &["mirror", &link],
            &["restore", "demo-bot", "--version", &link],
            &["cat", "demo-bot", &link],
            &["download", "demo-bot", "-C", &link],
            &["nonsense", &link],
        ] {
            let ran = world.run(&[args, &["--timeout", "0.2"]].concat());
            assert_ne!(ran.code, 0, "{args:?}: {ran:?}");
        }
    }
    assert_eq!(world.names(), [""; 0]);
}
