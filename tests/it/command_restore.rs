//! The command's `restore`: it asks, and says what the service has accepted.

use insta::assert_snapshot;

use crate::command_pty::CTRL_C;
use crate::command_support::{World, golden, world};
use crate::sandbox::{End, Fault, On, Restoration};

/// A world in which the app has changed since its snapshot.
fn changed() -> World {
    let world = world(1);
    world.sandbox.write_file(world.sandbox.app_id(), "index.js", b"broken");
    world
}

/// Whether the app's files are those of the snapshot again.
fn is_restored(world: &World) -> bool {
    *world.sandbox.files(world.sandbox.app_id())["index.js"].data != b"broken"
}

#[test]
fn without_a_terminal_it_needs_a_yes() {
    let (world, _golden) = (changed(), golden());
    let said = world.run(&["restore", "demo-bot", "--latest"]).failed(2);
    assert!(said.contains("--yes") && said.contains("demo-bot"), "{said}");
    // Nor does a yes on a pipe count.
    world.run_with(&["restore", "demo-bot", "--latest"], "y\n").failed(2);
    assert!(world.count("restore") == 0 && !is_restored(&world));
    assert_snapshot!(world.run(&["restore", "demo-bot", "--latest", "--yes"]).done(), @"restored: app demo-bot, snapshot from <LOCAL DATE AND TIME>");
    assert_eq!(world.run(&["restore", "demo-bot", "--latest", "--yes"]).err, "");
    assert!(is_restored(&world));
}

#[test]
fn a_document_says_what_was_restored() {
    let (world, _golden) = (changed(), golden());
    assert_snapshot!(world.run(&["restore", "demo-bot", "--latest", "--yes", "--json"]).done(), @r#"
    {
      "kind": "app",
      "resource_id": "c0ffee00d15e4a5eb10c5ca1ab1e0001",
      "name": "demo-bot",
      "status": "done",
      "snapshot": {
        "id": "c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic",
        "size": <BYTES>,
        "created_at": "<RFC 3339>",
        "kind": "app",
        "version_id": "fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj",
        "runtime": "javascript",
        "origin": "automatic"
      },
      "restore": {
        "state": "success",
        "step": null,
        "code": null,
        "started_at": "<RFC 3339>",
        "finished_at": "<RFC 3339>"
      }
    }
    "#);
}

#[test]
fn on_a_terminal_it_asks() {
    for (answer, code) in [("y\r", 0), ("yes\r", 0), ("n\r", 1), ("\r", 1), ("yeah\r", 1), ("\x04", 1), (CTRL_C, 130)] {
        let world = changed();
        let mut terminal = world.terminal(120, &["restore", "demo-bot", "--latest"]);
        terminal.see_text("[y/N]");
        assert!(!is_restored(&world));
        terminal.press(answer);
        let shown = terminal.end();
        assert_eq!((shown.code, is_restored(&world)), (code, code == 0), "{answer:?}: {}", shown.screen);
        assert!(shown.screen.contains("demo-bot"), "{}", shown.screen);
        assert_eq!(world.count("restore"), usize::from(code == 0), "{answer:?}");
        assert_eq!(shown.screen.contains("nothing was changed"), code != 0, "{answer:?}: {}", shown.screen);
    }
}

#[test]
fn the_wait_ends_with_the_restore() {
    let world = changed();
    world.sandbox.rules(|rules| rules.restoration = Restoration::Dispatched(0));
    let ran = world.run(&["restore", "demo-bot", "--latest", "--yes", "--wait"]);
    assert!(is_restored(&world), "{ran:?}");
    ran.done();
}

#[test]
fn what_is_accepted_is_pending() {
    let (world, _golden) = (changed(), golden());
    world.sandbox.rules(|rules| rules.restoration = Restoration::AfterPolls(5));
    let ran = world.run(&["restore", "demo-bot", "--latest", "--yes"]);
    assert_eq!(ran.code, 6);
    assert_snapshot!(ran.text(), @"accepted: app demo-bot, snapshot from <LOCAL DATE AND TIME>");
    assert_snapshot!(ran.err, @"The restore of app demo-bot was accepted and is not done yet: the service goes on with it, so do not request it again. --wait waits for its end.");
    let ran = world.run(&["restore", "demo-bot", "--latest", "--yes", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!((ran.code, document["status"].as_str()), (6, Some("pending")));
}

/// What became of it is not known, but it was accepted.
#[test]
fn a_status_that_cannot_be_read_is_pending() {
    let world = changed();
    for fault in [Fault::html(200), Fault::html(404), Fault::BeforeAnswer(End::Reset)] {
        world.sandbox.clear_faults();
        world.sandbox.clear_requests();
        world.sandbox.fault(On::Word("restore-status"), fault);
        let ran = world.run(&["restore", "demo-bot", "--latest", "--yes", "--json", "--timeout", "1"]);
        assert!(ran.err.contains("do not request it again"), "{ran:?}");
        let document: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
        assert_eq!((ran.code, document["status"].as_str()), (6, Some("pending")), "{ran:?}");
        assert_eq!(world.count("restore"), 1);
    }
}

/// An older service cannot tell whether a restore is done.
#[test]
fn without_a_status_route_it_is_pending() {
    let world = changed();
    world.sandbox.rules(|rules| rules.restore_status = false);
    let ran = world.run(&["restore", "demo-bot", "--latest", "--yes", "--wait"]);
    assert_eq!((ran.code, world.count("restore")), (6, 1), "{ran:?}");
    assert!(ran.err.contains("not known"), "{ran:?}");
}

#[test]
fn a_failed_restore_is_a_failure() {
    let world = changed();
    world.sandbox.rules(|rules| rules.restoration = Restoration::Fails);
    let said = world.run(&["restore", "demo-bot", "--latest", "--yes"]).failed(1);
    assert!(said.contains("SNAPSHOT_RESTORE_FAILED") && said.contains("demo-bot"), "{said}");
    world.sandbox.rules(|rules| rules.restoration = Restoration::FailsLater(0, "SNAPSHOT_CORRUPT"));
    let said = world.run(&["restore", "demo-bot", "--latest", "--yes", "--wait"]).failed(1);
    assert!(said.contains("SNAPSHOT_CORRUPT"), "{said}");
    assert!(!is_restored(&world));
}
