//! The command's `create` and `upload`.

use insta::assert_snapshot;

use crate::command_support::{World, golden, world, zip_of};
use crate::sandbox::{Fault, Files, Kind, On, Route, Sandbox};

#[test]
fn a_new_snapshot_is_told_and_listed() {
    let (world, _golden) = (world(1), golden());
    assert_snapshot!(world.run(&["create", "demo-bot"]).done(), @"
    CREATED                    SIZE  VERSION                           NAME      KIND
    <LOCAL DATE AND TIME>  <kB >  xgv2sPBIogTLD32FGV94ISa5ABN7uG6H  demo-bot  app
    ");
    assert_eq!(world.run(&["list", "demo-bot"]).done().lines().count(), 3);
    assert_snapshot!(world.run(&["create", "facade", "--json"]).done(), @r#"
    [
      {
        "kind": "database",
        "resource_id": "facade5eed0b4dab9abedbeefcafe003",
        "name": "demo-db",
        "status": "created",
        "error": null,
        "snapshot": {
          "id": "facade5eed0b4dab9abedbeefcafe003_postgres",
          "size": <BYTES>,
          "created_at": "<RFC 3339>",
          "kind": "database",
          "version_id": "v7UmNIzNBy65suyjLRwHR5B77srClpNT",
          "runtime": "postgres",
          "origin": "manual"
        }
      }
    ]
    "#);
    assert_eq!(world.count("create"), 2);
}

#[test]
fn all_of_one_database_is_that_database() {
    let world = world(0);
    let created = world.run(&["create", "--all", "--database", "--json"]).json();
    let ids: Vec<_> = created.as_array().unwrap().iter().map(|it| it["resource_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [world.sandbox.database_id()]);
    world.run(&["create", "--all", "demo-bot"]).failed(2);
    assert_eq!(world.run(&["create"]).code, 2);
}

/// A quota stands against the others, too: they are not even asked for.
#[test]
fn a_used_up_quota_ends_a_round() {
    let world = world(0);
    world.sandbox.fault(Route::Create(Kind::App), Fault::daily_limit());
    let ran = world.run(&["create", "--all", "--json"]);
    let created: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    let status: Vec<_> = created.as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!((ran.code, status), (5, vec!["failed", "failed"]));
    let said = ran.failed(5);
    assert!(said.contains("demo-bot") && said.contains("demo-db"), "{said}");
    assert_eq!(world.count("create"), 1);
}

/// Whether the service has begun it is not known: it is not asked again, and the user is told where to look.
#[test]
fn what_is_unclear_is_not_repeated() {
    let world = world(0);
    world.sandbox.fault(Route::Create(Kind::App), Fault::BeforeAnswer(crate::sandbox::End::Reset));
    let ran = world.run(&["create", "demo-bot"]);
    assert!(ran.err.contains("`list c0ffee00d15e4a5eb10c5ca1ab1e0001`"), "{ran:?}");
    assert!([1, 6].contains(&ran.code), "{ran:?}");
    assert_eq!(world.count("create"), 1);
}

/// A name is the service's word, and may be anything: it is shown as text, and not offered for pasting.
#[test]
fn a_name_does_nothing_to_a_terminal() {
    let world = world(0);
    let id = world.sandbox.add_resource(Kind::App, "evil\u{1b}[31m\u{202e}\n; rm -rf ~", Files::new());
    world.sandbox.fault(On::Word("list"), Fault::html(200));
    let created = world.run(&["create", &id]);
    world.sandbox.fault(Route::Create(Kind::App), Fault::BeforeAnswer(crate::sandbox::End::Reset));
    for ran in [created, world.run(&["create", &id])] {
        let said = format!("{}{}", ran.text(), ran.err);
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
        assert!(said.lines().all(|line| !line.starts_with("; rm")), "{said:?}");
    }
    let ran = world.run(&["create", &id]);
    assert!(ran.err.contains(&format!("`list {id}`")), "{ran:?}");
}

/// The result is told without a row of dashes, and with `--quiet`, too.
#[test]
fn what_cannot_be_told_from_others_is_a_note() {
    let world = world(0);
    world.sandbox.fault(On::Word("list"), Fault::html(200));
    let ran = world.run(&["create", "demo-bot", "--quiet"]);
    assert!(ran.err.contains("was created") && ran.err.contains("`list c0ffee"), "{ran:?}");
    assert_eq!(ran.done(), "");
}

/// When all of it is sent, it is the service that is waited for.
#[test]
fn an_upload_waits_for_the_service() {
    let world = world(0);
    let config = b"MAIN=index.js\nMEMORY=256\nVERSION=recommended\nDISPLAY_NAME=rehearsal\n";
    world.write("app.zip", &zip_of(&[("squarecloud.app", config), ("index.js", b"main()\n")]));
    world.sandbox.fault(Route::Upload, Fault::Delay(std::time::Duration::from_millis(800)));
    let shown = world.terminal(120, &["upload", "app.zip"]).end();
    assert_eq!(shown.code, 0, "{}", shown.screen);
    let waits = |frame: &String| frame.contains("Uploading") && frame.contains("waiting for the service");
    assert!(shown.frames.iter().any(waits), "{:#?}", shown.frames);
}

#[test]
fn an_upload_makes_an_app() {
    let (world, _golden) = (world(0), golden());
    let config = b"MAIN=index.js\nMEMORY=256\nVERSION=recommended\nDISPLAY_NAME=rehearsal\n";
    world.write("app.zip", &zip_of(&[("squarecloud.app", config), ("index.js", b"main()\n")]));
    let shown = world.run(&["upload", "app.zip"]).done();
    assert!(shown.contains("rehearsal") && shown.contains("256 MB"), "{shown}");
    assert!(world.run(&["apps"]).done().contains("rehearsal"));
    let app = world.run(&["upload", "app.zip", "--json"]).json();
    assert_eq!((app["name"].as_str(), app["ram"].as_u64()), (Some("rehearsal"), Some(256)));
}

/// What the service would refuse is not sent.
#[test]
fn an_upload_is_checked_first() {
    let world = world(0);
    world.write("no-config.zip", &zip_of(&[("index.js", b"main()\n")]));
    let said = world.run(&["upload", "no-config.zip"]).failed(2);
    assert!(said.contains("squarecloud.app"), "{said}");
    assert!(world.run(&["upload", "lost.zip"]).failed(4).contains("lost.zip"));
    assert_eq!(world.count("upload"), 0);
}

/// The service's own clock decides about a cooldown.
#[test]
fn a_cooldown_says_when_it_is_over() {
    let world = World::of(Sandbox::builder().small().start());
    world.run(&["create", "demo-bot"]).done();
    let said = world.run(&["create", "demo-bot"]).failed(5);
    assert!(said.contains("demo-bot") || said.contains(world.sandbox.app_id()), "{said}");
    world.sandbox.advance(std::time::Duration::from_secs(181));
    world.run(&["create", "demo-bot"]).done();
}
