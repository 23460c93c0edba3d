//! The command's `download`.

use insta::assert_snapshot;

use crate::command_support::{damaged_zip, golden, world, zip_of};
use crate::sandbox::{End, Fault, Noise, On, Port};

#[test]
fn the_latest_arrives_whole_and_its_path_is_printed() {
    let (world, _golden) = (world(3), golden());
    let ran = world.run(&["download", "demo-bot"]);
    assert_snapshot!(ran.err, @"<kB > from <LOCAL DATE AND TIME>, downloaded in <S> s and checked.");
    let path = ran.done();
    let name = path.trim_end();
    let latest = world.run(&["list", "demo-bot", "--json"]).json()[0]["version_id"].as_str().unwrap().to_owned();
    assert_eq!(world.names(), [name.trim_start_matches("./")]);
    let stored = world.sandbox.world().objects.values().flatten().find(|it| it.id == latest).unwrap().data.clone();
    assert_eq!(world.read(name), *stored);
    assert_snapshot!(world.run(&["verify", name]).done().replace(name, "NAME"), @"ok       NAME  3 entries, <kB >");
}

#[test]
fn a_document_says_what_was_downloaded() {
    let (world, _golden) = (world(1), golden());
    assert_snapshot!(world.run(&["download", "demo-bot", "--json", "-C", "a/b"]).done(), @r#"
    {
      "path": "a/b/c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic.<TIME>.fyXE4Hr-<HASH>.zip",
      "bytes": <BYTES>,
      "resumed_from": 0,
      "snapshot": {
        "id": "c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic",
        "size": <BYTES>,
        "created_at": "<RFC 3339>",
        "kind": "app",
        "version_id": "fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj",
        "runtime": "javascript",
        "origin": "automatic"
      }
    }
    "#);
    assert_eq!(world.run(&["download", "demo-bot", "--json", "--quiet", "-C", "c"]).err, "");
}

#[test]
fn one_is_chosen_by_date_or_version() {
    let world = world(0);
    let put = |days: u32| world.put(zip_of(&[("which.txt", format!("{days} days").as_bytes())]), days);
    let links = [3, 2, 1].map(put);
    let list = world.run(&["list", "demo-bot", "--json"]).json();
    let date = list[1]["created_at"].as_str().unwrap();
    let at = format!("demo-bot@{date}");
    for (args, expected) in [
        (&["demo-bot", "--latest"][..], "1 days"),
        (&["demo-bot", "--at", date], "2 days"),
        (&["demo-bot", "--version", &links[0].version_id], "3 days"),
        (&[&at], "2 days"),
        (&[&links[0].url], "3 days"),
    ] {
        let args = [&["download", "-C", "it.zip", "--overwrite", "replace"], args].concat();
        world.run(&args).done();
        assert_eq!(world.run(&["cat", "it.zip", "which.txt"]).done(), expected, "{args:?}");
    }
    let ran = world.run_with(&["download", "-", "-C", "stdin.zip"], &format!("{}\n", links[1].url));
    assert_eq!(ran.done(), "stdin.zip\n");
    assert_eq!(world.run(&["cat", "stdin.zip", "which.txt"]).done(), "2 days");
    world.run(&["download", &at, "--latest"]).failed(2);
}

#[test]
fn what_is_there_is_refused_kept_or_replaced() {
    let world = world(1);
    world.run(&["download", "demo-bot", "-C", "it.zip"]).done();
    let bytes = world.read("it.zip");
    // The same snapshot is welcome, so that a nightly download of the latest need not fail.
    for overwrite in [&[][..], &["--overwrite", "keep"]] {
        let kept = world.run(&[&["download", "demo-bot", "-C", "it.zip"], overwrite].concat());
        assert!(kept.err.contains("was there already"), "{kept:?}");
        kept.done();
    }
    world.write("it.zip", b"something else");
    for overwrite in [&[][..], &["--overwrite", "keep"]] {
        let said = world.run(&[&["download", "demo-bot", "-C", "it.zip"], overwrite].concat()).failed(1);
        assert!(said.contains("it.zip") && said.contains("--overwrite replace"), "{said}");
    }
    assert_eq!(world.read("it.zip"), b"something else");
    world.run(&["download", "demo-bot", "-C", "it.zip", "--overwrite", "replace"]).done();
    assert_eq!(world.read("it.zip"), bytes);
}

/// Every byte is checked before the file appears.
#[test]
fn a_damaged_snapshot_does_not_appear() {
    let world = world(0);
    world.put(damaged_zip(), 1);
    let said = world.run(&["download", "demo-bot", "-C", "it.zip"]).failed(3);
    assert!(said.contains("noise.bin"), "{said}");
    assert!(!world.path("it.zip").exists(), "{:?}", world.names());
}

/// A host that falls silent ends the run; the next one fetches only what is missing.
#[test]
fn the_same_command_goes_on() {
    let world = world(0);
    let bytes = zip_of(&[("noise.bin", &Noise::new(2).bytes(600_000))]);
    world.put(bytes.clone(), 1);
    let silent = world.sandbox.fault(On::Snapshots, Fault::AtObjectByte(200_000, End::Stall));
    let said = world.run(&["download", "demo-bot", "-C", "it.zip", "--timeout", "0.3"]).failed(1);
    assert!(said.contains("kept") && said.contains("same command"), "{said}");
    assert!(!world.path("it.zip").exists());
    silent.remove();
    world.sandbox.clear_requests();
    let ran = world.run(&["download", "demo-bot", "-C", "it.zip"]);
    assert!(ran.err.contains("earlier"), "{ran:?}");
    ran.done();
    assert_eq!((world.read("it.zip"), world.names()), (bytes, vec!["it.zip".to_owned()]));
    let requests = world.sandbox.requests();
    let mut ranges = requests.iter().filter(|it| it.port == Port::Snapshots).map(|it| it.header("range"));
    assert!(ranges.all(|range| range.is_some_and(|range| !range.starts_with("bytes=0-"))), "{requests:?}");
}

#[test]
fn several_connections_share_the_work() {
    let world = world(0);
    let bytes = zip_of(&[("noise.bin", &Noise::new(2).bytes(24 << 20))]);
    world.put(bytes.clone(), 1);
    world.run(&["download", "demo-bot", "--connections", "3", "-C", "it.zip"]).done();
    assert!(world.read("it.zip") == bytes);
    let requests = world.sandbox.requests();
    let connections: std::collections::BTreeSet<_> =
        requests.iter().filter(|it| it.port == Port::Snapshots).map(|it| it.connection).collect();
    assert_eq!(connections.len(), 3);
}
