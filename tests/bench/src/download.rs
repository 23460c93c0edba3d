//! The same 350 MB from loopback over one connection, as whole processes, against curl, reqwest's blocking client
//! and the official Python SDK; and four capped connections against one.

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::extract::{footprint, program};
use crate::stats::{Contestant, compare, contestant};
use crate::{make, origin};

pub fn run(rounds: usize) {
    let base = tempfile::Builder::new().prefix("bench-").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let zip = base.path().join("object.bin");
    make::stored(&zip, 350_000_000);
    one("350 MB over plain HTTP", &zip, None, base.path(), rounds);
    one("350 MB over TLS", &zip, Some(&base.path().join("ca.pem")), base.path(), rounds);
    capped(&zip, base.path(), 3);
}

fn one(what: &str, zip: &Path, ca: Option<&Path>, base: &Path, rounds: usize) {
    let address = origin::start(zip, ca, None);
    let (scheme, ca_text) = ca.map_or(("http", String::new()), |ca| ("https", ca.display().to_string()));
    let url = format!("{scheme}://localhost:{}/applications/1/app.zip?versionId=v1", address.port());
    let round = Cell::new(0);
    let fresh = || {
        round.set(round.get() + 1);
        base.join(format!("{scheme}-{}.zip", round.get())).display().to_string()
    };
    let fresh = &fresh;
    let ours = program("one_download").display().to_string();
    let rival = program("one_reqwest").display().to_string();
    let curl = |target: String| {
        let mut command = vec!["curl".to_owned(), "-sS".into(), "-o".into(), target];
        if ca.is_some() {
            command.extend(["--cacert".into(), ca_text.clone()]);
        }
        command.push(url.clone());
        command
    };
    let mut all: Vec<Contestant<'_>> = vec![
        contestant("squarecloud-blocking", || {
            quiet(&[ours.clone(), url.clone(), fresh(), "1".into(), ca_text.clone()])
        }),
        contestant("curl", || quiet(&curl(fresh()))),
        // What ours gives: a file that is on the disk when the command ends.
        contestant("curl, then sync", || {
            let target = fresh();
            let script = curl(target.clone()).iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            quiet(&["sh".into(), "-c".into(), format!("{script} && sync '{target}'"), target]);
        }),
        contestant("reqwest::blocking", || quiet(&[rival.clone(), url.clone(), fresh(), ca_text.clone()])),
    ];
    let sdk =
        "import sys; from squarecloud import SquareCloud; SquareCloud('k').download_snapshot(sys.argv[1], sys.argv[2])";
    let has_sdk = ca.is_none() && has_sdk();
    if has_sdk {
        all.push(contestant("official Python SDK", || {
            quiet(&["python3".into(), "-c".into(), sdk.into(), url.clone(), fresh()]);
        }));
    }
    compare(what, rounds, all);
    footprint("squarecloud-blocking", &[ours.as_str(), &url, &fresh(), "1", &ca_text]);
    footprint("curl", &curl(fresh()).iter().map(String::as_str).collect::<Vec<_>>());
    footprint("reqwest::blocking", &[&rival, &url, &fresh(), &ca_text]);
    if has_sdk {
        footprint("official Python SDK", &["python3", "-c", sdk, &url, &fresh()]);
    }
}

fn has_sdk() -> bool {
    let import = Command::new("python3").args(["-c", "import squarecloud"]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success())
}

fn capped(zip: &Path, base: &Path, rounds: usize) {
    let address = origin::start(zip, None, Some(50_000_000));
    let url = format!("http://{address}/applications/1/app.zip?versionId=v1");
    let ours = program("one_download").display().to_string();
    let round = Cell::new(0);
    let go = |connections: &str| {
        round.set(round.get() + 1);
        let target = base.join(format!("capped-{}.zip", round.get())).display().to_string();
        quiet(&[ours.clone(), url.clone(), target, connections.into(), String::new()]);
    };
    compare(
        "350 MB at 50 MB/s a connection",
        rounds,
        vec![contestant("4 connections", || go("4")), contestant("1 connection", || go("1"))],
    );
}

fn quiet(command: &[String]) {
    let status = Command::new(&command[0]).args(&command[1..]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    // The next one starts with room for its pages, whoever it is.
    let target = command.iter().find(|word| word.ends_with(".zip") && !word.contains("://"));
    target.map(std::fs::remove_file).transpose().unwrap();
}
