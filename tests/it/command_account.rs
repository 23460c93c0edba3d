//! The command's `apps`, `list`, `quota` and `completions`: what they print, as tables and as JSON.

use insta::assert_snapshot;

use crate::command_support::{World, golden, world};
use crate::mirror_support::DAY;
use crate::sandbox::{Fault, Kind, NewSnapshot, On, Sandbox};

#[test]
fn apps_are_a_table_or_a_document() {
    let world = world(0);
    assert_snapshot!(world.run(&["apps"]).done(), @"
    NAME      KIND      ID                                RUNTIME     MEMORY
    demo-bot  app       c0ffee00d15e4a5eb10c5ca1ab1e0001  javascript  512 MB
    demo-db   database  facade5eed0b4dab9abedbeefcafe003  postgres    1024 MB
    ");
    assert_snapshot!(world.run(&["apps", "--json"]).done(), @r#"
    [
      {
        "kind": "app",
        "id": "c0ffee00d15e4a5eb10c5ca1ab1e0001",
        "name": "demo-bot",
        "ram": 512,
        "runtime": "javascript",
        "cluster": "c1",
        "created_at": "2026-01-05T08:00:00Z"
      },
      {
        "kind": "database",
        "id": "facade5eed0b4dab9abedbeefcafe003",
        "name": "demo-db",
        "ram": 1024,
        "runtime": "postgres",
        "cluster": "c1",
        "created_at": "2026-01-05T08:00:00Z"
      }
    ]
    "#);
    assert_snapshot!(world.run(&["apps", "--database"]).done(), @"
    NAME     KIND      ID                                RUNTIME   MEMORY
    demo-db  database  facade5eed0b4dab9abedbeefcafe003  postgres  1024 MB
    ");
}

#[test]
fn snapshots_of_one_app_are_told_apart_by_their_versions() {
    let (world, _golden) = (world(2), golden());
    assert_snapshot!(world.run(&["list", "demo-bot"]).done(), @"
    CREATED                    SIZE  VERSION                           EXPIRES  ORIGIN
    <LOCAL DATE AND TIME>  <kB >  fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj  28 days  automatic
    <LOCAL DATE AND TIME>  <kB >  xgv2sPBIogTLD32FGV94ISa5ABN7uG6H  27 days  automatic
    ");
    assert_snapshot!(world.run(&["list", "c0ffee", "--json"]).done(), @r#"
    [
      {
        "resource_id": "c0ffee00d15e4a5eb10c5ca1ab1e0001",
        "name": "demo-bot",
        "id": "c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic",
        "size": <BYTES>,
        "created_at": "<RFC 3339>",
        "kind": "app",
        "version_id": "fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj",
        "runtime": "javascript",
        "origin": "automatic",
        "expires_at": "<RFC 3339>"
      },
      {
        "resource_id": "c0ffee00d15e4a5eb10c5ca1ab1e0001",
        "name": "demo-bot",
        "id": "c0ffee00d15e4a5eb10c5ca1ab1e0001_javascript_automatic",
        "size": <BYTES>,
        "created_at": "<RFC 3339>",
        "kind": "app",
        "version_id": "xgv2sPBIogTLD32FGV94ISa5ABN7uG6H",
        "runtime": "javascript",
        "origin": "automatic",
        "expires_at": "<RFC 3339>"
      }
    ]
    "#);
}

#[test]
fn snapshots_of_the_account_have_names() {
    let (world, _golden) = (world(0), golden());
    for (id, days) in [(world.sandbox.database_id(), 1), (world.sandbox.app_id(), 2)] {
        world.sandbox.put_snapshot(NewSnapshot { age: DAY * days, ..NewSnapshot::of(id) });
    }
    assert_snapshot!(world.run(&["list"]).done(), @"
    CREATED                    SIZE  VERSION                           NAME      EXPIRES  ORIGIN  KIND
    <LOCAL DATE AND TIME>  <kB >  fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj  demo-db   28 days  manual  database
    <LOCAL DATE AND TIME>  <kB >  SvbJSHhaw41vWcytgDdV0hziQ0oVsa4X  demo-bot  27 days  manual  app
    ");
    assert_snapshot!(world.run(&["list", "--database"]).done(), @"
    CREATED                    SIZE  VERSION                           NAME     EXPIRES  ORIGIN  KIND
    <LOCAL DATE AND TIME>  <kB >  fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj  demo-db  28 days  manual  database
    ");
    assert_eq!(world.run(&["list", "--json"]).json().as_array().unwrap().len(), 2);
}

#[test]
fn times_are_local_in_tables_and_utc_in_json() {
    let world = world(1);
    let row = world.run(&["list", "demo-bot"]).done().lines().nth(1).unwrap().to_owned();
    let utc = world.run(&["list", "demo-bot", "--json"]).json()[0]["created_at"].as_str().unwrap().to_owned();
    let format = time::format_description::well_known::Rfc3339;
    let local =
        time::OffsetDateTime::parse(&utc, &format).unwrap().to_offset(time::UtcOffset::from_hms(-3, 0, 0).unwrap());
    let expected = format!("{} {:02}:{:02}-03:00", local.date(), local.hour(), local.minute());
    assert!(utc.ends_with('Z') && row.starts_with(&expected), "{utc} is {expected} and not {row}");
}

#[test]
fn an_account_without_snapshots_is_no_failure() {
    let world = world(0);
    let ran = world.run(&["list"]);
    assert!(ran.err.contains("create"), "{ran:?}");
    assert_eq!(ran.done().lines().count(), 1);
    assert_eq!(world.run(&["list", "--json"]).done(), "[]\n");
    assert_eq!(world.run(&["list", "--quiet"]).err, "");
}

/// The account's listing needs a paid plan; those of single apps and databases do not.
#[test]
fn a_free_plan_lists_one_by_one() {
    let world = World::of(Sandbox::builder().small().no_limits().history(2).free_plan().start());
    assert_eq!(world.run(&["list"]).done().lines().count(), 5);
    assert_eq!(world.count("list"), 2);
}

#[test]
fn what_cannot_be_listed_is_said_and_the_rest_is_shown() {
    let world = world(1);
    world.sandbox.fault(On::path("GET", "/users/snapshots"), Fault::rate_limited()).after(1);
    let ran = world.run(&["list"]);
    assert!(ran.text().contains("demo-bot") && !ran.text().contains("demo-db"), "{ran:?}");
    let said = ran.failed(7);
    assert!(said.contains("databases could not be listed") && said.contains("RATE_LIMITED"), "{said}");
}

#[test]
fn the_quota_and_what_is_used_of_it() {
    let (world, _golden) = (World::of(Sandbox::builder().small().start()), golden());
    world.run(&["create", "demo-bot", "--quiet"]).done();
    assert_snapshot!(world.run(&["quota"]).done(), @"
    PLAN        IN 24 H        USED        LEFT
    standard-4       32  at least 1  at most 31

    NAME      USED  NEXT ONE                LAST ONE                KIND
    demo-bot     1  <LOCAL DATE AND TIME>  <LOCAL DATE AND TIME>  app
    demo-db      0  now                     -                       database
    ");
    assert_snapshot!(world.run(&["quota", "--json"]).done(), @r#"
    {
      "plan": "standard-4",
      "quota": 32,
      "used": 1,
      "left": 31,
      "next_free_at": "<RFC 3339>",
      "resources": [
        {
          "kind": "app",
          "resource_id": "c0ffee00d15e4a5eb10c5ca1ab1e0001",
          "name": "demo-bot",
          "used": 1,
          "last_at": "<RFC 3339>",
          "next_at": "<RFC 3339>"
        },
        {
          "kind": "database",
          "resource_id": "facade5eed0b4dab9abedbeefcafe003",
          "name": "demo-db",
          "used": 0,
          "last_at": null,
          "next_at": null
        }
      ]
    }
    "#);
}

#[test]
fn completions_name_every_verb() {
    let world = world(0);
    let help = world.run(&["--help"]).done();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: Vec<_> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let verbs: Vec<_> = verbs.into_iter().filter(|verb| !verb.is_empty()).collect();
    assert!(verbs.len() >= 15 && verbs.contains(&"mirror"), "{verbs:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]).done();
        let missing: Vec<_> = verbs.iter().filter(|verb| !script.contains(**verb)).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
    assert_eq!(world.sandbox.requests().len(), 0);
}

#[test]
fn the_key_may_be_limited() {
    let mut world = world(1);
    let (app, kind) = (world.sandbox.app_id().to_owned(), Kind::App);
    // It sees no account: a whole id is enough then, a name is not.
    world.use_key(world.sandbox.limited_key(&["snapshots:read"], &[&app]));
    assert_eq!(world.run(&["list", &app]).done().lines().count(), 2, "{kind:?}");
    let said = world.run(&["list", "demo-bot"]).failed(1);
    assert!(said.contains("MISSING_SCOPE"), "{said}");
}
