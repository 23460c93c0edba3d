//! The command's `mirror`: what it prints, what it asks, what it deletes.

use insta::assert_snapshot;

use crate::command_pty::CTRL_C;
use crate::command_support::{World, golden, world};
use crate::sandbox::{Fault, On};

/// How many snapshots are in the mirror.
fn held(world: &World) -> usize {
    let folders = ["apps", "databases"].map(|kind| world.path("m").join(kind));
    let resources = folders.iter().filter_map(|it| it.read_dir().ok()).flatten().map(|it| it.unwrap().path());
    let files = resources.flat_map(|it| it.read_dir().unwrap()).map(|it| it.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "zip")).count()
}

#[test]
fn what_is_new_is_fetched_and_the_second_run_has_nothing_to_do() {
    let (world, _golden) = (world(2), golden());
    let ran = world.run(&["mirror", "m"]);
    let rows = ran.text();
    assert!(rows.lines().count() == 5 && rows.contains("fetched  m/apps/"), "{rows}");
    assert_eq!(held(&world), 4);
    ran.done();
    world.sandbox.clear_requests();
    let ran = world.run(&["mirror", "m"]);
    assert_snapshot!(ran.err, @"0 fetched (0 B), 4 already there, 0 deleted.");
    assert_eq!((ran.done().as_str(), world.count("download")), ("", 0));
}

#[test]
fn a_document_says_what_was_done() {
    let (world, _golden) = (world(1), golden());
    assert_snapshot!(world.run(&["mirror", "m", "--only", "demo-bot", "--json"]).done(), @r#"
    {
      "fetched": [
        "m/apps/c0ffee00d15e4a5eb10c5ca1ab1e0001/c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic.<TIME>.fyXE4Hr-<HASH>.zip"
      ],
      "bytes": <BYTES>,
      "kept": 0,
      "pruned": [],
      "damaged": [],
      "failed": [],
      "not_listed": [],
      "not_taken": [],
      "skipped": [],
      "stopped": null
    }
    "#);
    assert_snapshot!(world.run(&["mirror", "m", "--only", "demo-bot", "--json", "--dry-run"]).done(), @r#"
    {
      "fetch": [],
      "keep": [
        {
          "path": "m/apps/c0ffee00d15e4a5eb10c5ca1ab1e0001/c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic.<TIME>.fyXE4Hr-<HASH>.zip",
          "is_listed": true,
          "reasons": [
            "everything"
          ],
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
      ],
      "prune": [],
      "unneeded": [],
      "damaged": [],
      "failed": [],
      "not_listed": [],
      "skipped": []
    }
    "#);
    assert_eq!(held(&world), 1);
}

#[test]
fn a_dry_run_shows_what_would_be_done() {
    let (world, _golden) = (world(3), golden());
    world.run(&["mirror", "m", "--only", "demo-bot"]).done();
    world.sandbox.advance(std::time::Duration::from_secs(60));
    let args = ["mirror", "m", "--only", "demo-bot", "--keep-last", "1", "--dry-run"];
    let ran = world.run(&args);
    assert_snapshot!(ran.err, @"Would fetch 0 (0 B) and delete 2 in m.");
    assert_snapshot!(ran.done(), @"
    ACTION  CREATED                    SIZE  ID                                WHY   KIND
    keep    <LOCAL DATE AND TIME>  <kB >  c0ffee00d15e4a5eb10c5ca1ab1e0001  last  app
    delete  <LOCAL DATE AND TIME>  <kB >  c0ffee00d15e4a5eb10c5ca1ab1e0001        app
    delete  <LOCAL DATE AND TIME>  <kB >  c0ffee00d15e4a5eb10c5ca1ab1e0001        app
    ");
    assert_eq!(held(&world), 3);
}

#[test]
fn deleting_needs_a_yes() {
    let world = world(3);
    world.run(&["mirror", "m"]).done();
    let args = ["mirror", "m", "--keep-last", "2"];
    let said = world.run(&args).failed(2);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(held(&world), 6);
    for (answer, code, left) in [("n\r", 1, 6), (CTRL_C, 130, 6), ("y\r", 0, 4)] {
        let mut terminal = world.terminal(120, &args);
        terminal.see_text("Delete 2 snapshots");
        terminal.see_text("[y/N]");
        assert_eq!(held(&world), 6);
        terminal.press(answer);
        let shown = terminal.end();
        assert_eq!((shown.code, held(&world)), (code, left), "{answer:?}: {}", shown.screen);
    }
    let ran = world.run(&["mirror", "m", "--keep-last", "1", "--yes"]);
    assert!(ran.text().contains("deleted"), "{ran:?}");
    assert_eq!(held(&world), 2);
    // Also when there is nothing to delete yet: a cron job shall not fail later.
    world.run(&["mirror", "m", "--keep-last", "1"]).failed(2);
}

/// One snapshot that cannot be had does not keep the others away.
#[test]
fn a_part_is_better_than_nothing() {
    let world = world(2);
    world.sandbox.fault(On::path("GET", "/databases/841905532178461902/**"), Fault::xml(404, "NoSuchKey"));
    let ran = world.run(&["mirror", "m"]);
    assert_eq!(held(&world), 2, "{ran:?}");
    let said = ran.failed(7);
    assert!(said.contains(world.sandbox.database_id()), "{said}");
    world.sandbox.clear_faults();
    world.run(&["mirror", "m"]).done();
    assert_eq!(held(&world), 4);
}

#[test]
fn only_names_what_it_is_for() {
    let world = world(2);
    world.run(&["mirror", "m", "--database"]).done();
    assert_eq!(held(&world), 2);
    world.run(&["mirror", "m", "--only", "nobody"]).failed(4);
    world.run(&["mirror", "m", "--only", "c0ffee"]).done();
    assert_eq!(held(&world), 4);
}

/// A new snapshot of each first, then the mirror has them.
#[test]
fn new_ones_can_be_taken_first() {
    let world = world(0);
    world.run(&["mirror", "m", "--take-new", "--only", "demo-bot"]).done();
    assert_eq!((world.count("create"), held(&world)), (1, 1));
}
