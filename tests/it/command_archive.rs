//! The command's `ls`, `cat`, `diff`, `verify` and `extract`: on local zips, on snapshots at the host, on links.

use std::fs;

use insta::assert_snapshot;

use crate::command_support::{World, damaged_zip, golden, world, zip_of};
use crate::sandbox::{Kind, Port};

/// A world with three versions of an app, one a day, each of which says in `which.txt` how old it is.
fn versions() -> (World, Vec<crate::sandbox::Link>) {
    let world = world(0);
    let put = |days: u32| world.put(zip_of(&[("which.txt", format!("{days} days\n").as_bytes())]), days);
    let links = [3, 2, 1].map(put).into();
    (world, links)
}

const OLD: &[(&str, &[u8])] = &[
    ("README.md", b"# Bot\n"),
    ("config/settings.json", b"{}\n"),
    ("data/empty.log", b""),
    ("src/commands/ban.js", b"ban();\n"),
    ("src/index.js", b"main();\n"),
];
const NEW: &[(&str, &[u8])] = &[
    ("README.md", b"# Bot\n"),
    ("config/settings.json", b"{\"a\":1}\n"),
    ("data/empty.log", b""),
    ("src/commands/mute.js", b"mute();\n"),
    ("src/index.js", b"main();\n"),
];

/// A world with the two zips of these files in the working directory.
fn old_and_new() -> World {
    let world = world(0);
    world.write("old.zip", &zip_of(OLD));
    world.write("new.zip", &zip_of(NEW));
    world
}

#[test]
fn ls_is_a_tree_or_a_table() {
    let (world, _golden) = (old_and_new(), golden());
    assert_snapshot!(world.run(&["ls", "old.zip"]).done(), @"
    README.md  6 B
    config/
      settings.json  3 B
    data/
      empty.log  0 B
    src/
      commands/
        ban.js  7 B
      index.js  8 B
    ");
    assert_snapshot!(world.run(&["ls", "-l", "old.zip"]).done(), @"
    MODE        SIZE  COMPRESSED  MODIFIED          PATH
    -rw-r--r--   6 B         6 B  2026-11-02 09:30  README.md
    -rw-r--r--   3 B         3 B  2026-11-02 09:30  config/settings.json
    -rw-r--r--   0 B         0 B  2026-11-02 09:30  data/empty.log
    -rw-r--r--   7 B         7 B  2026-11-02 09:30  src/commands/ban.js
    -rw-r--r--   8 B         8 B  2026-11-02 09:30  src/index.js
    ");
    assert_snapshot!(world.run(&["ls", "old.zip", "src/commands/", "--json"]).done(), @r#"
    [
      {
        "path": "src/commands/ban.js",
        "kind": "file",
        "size": 7,
        "compressed_size": 7,
        "modified": "2026-11-02T09:30:00",
        "mode": "0644",
        "crc32": "ea926bf9"
      }
    ]
    "#);
    let said = world.run(&["ls", "old.zip", "sr"]).failed(4);
    assert!(said.contains("sr"), "{said}");
}

#[test]
fn diff_shows_what_was_added_removed_and_changed() {
    let world = old_and_new();
    assert_snapshot!(world.run(&["diff", "old.zip", "new.zip"]).done(), @"
       OLD  NEW  PATH
    ~  3 B  8 B  config/settings.json
    -  7 B    -  src/commands/ban.js
    +    -  8 B  src/commands/mute.js
    ");
    assert_snapshot!(world.run(&["diff", "old.zip", "new.zip", "--json"]).done(), @r#"
    {
      "added": [
        {
          "path": "src/commands/mute.js",
          "old_size": null,
          "new_size": 8
        }
      ],
      "removed": [
        {
          "path": "src/commands/ban.js",
          "old_size": 7,
          "new_size": null
        }
      ],
      "changed": [
        {
          "path": "config/settings.json",
          "old_size": 3,
          "new_size": 8
        }
      ]
    }
    "#);
    assert_eq!(world.run(&["diff", "old.zip", "old.zip"]).done(), "");
}

#[test]
fn cat_prints_the_bytes_and_nothing_else() {
    let world = world(1);
    let files = world.sandbox.files(world.sandbox.app_id());
    for path in ["data/noise.bin", "index.js", "./data//noise.bin"] {
        let ran = world.run(&["cat", "demo-bot", path]);
        let stored = &files[path.trim_start_matches("./").replace("//", "/").as_str()];
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(ran.out, *stored.data, "{path}");
    }
    let said = world.run(&["cat", "demo-bot", "data"]).failed(1);
    assert!(said.contains("directory"), "{said}");
    world.run(&["cat", "demo-bot", "data", "--json"]).failed(2);
}

/// Every way to name a snapshot.
#[test]
fn a_snapshot_has_many_names() {
    let (world, links) = versions();
    let database = world.sandbox.put_snapshot(crate::sandbox::NewSnapshot {
        bytes: Some(zip_of(&[("which.txt", b"the database\n")])),
        ..crate::sandbox::NewSnapshot::of(world.sandbox.database_id())
    });
    world.write("local.zip", &zip_of(&[("which.txt", b"local\n")]));
    let created: Vec<_> = world.run(&["list", "demo-bot", "--json"]).json().as_array().unwrap().clone();
    let at = |i: usize| created[i]["created_at"].as_str().unwrap().to_owned();
    // The rows of the table begin with a date that is an argument, too.
    let shown = world.run(&["list", "demo-bot"]).done();
    let shown = |i: usize| shown.lines().nth(i + 1).unwrap().split("  ").next().unwrap().to_owned();
    for (name, expected) in [
        (world.sandbox.app_id().to_owned(), "1 days\n"),
        ("c0ffee".into(), "1 days\n"),
        ("demo-bot".into(), "1 days\n"),
        (format!("demo-bot@{}", at(1)), "2 days\n"),
        (format!("c0ffee@{}", shown(1)), "2 days\n"),
        (format!("demo-bot@{}", &shown(2)[..10]), "3 days\n"),
        (format!("demo-bot@{}", links[0].version_id), "3 days\n"),
        (format!("demo-bot@{}", &links[1].version_id[..6]), "2 days\n"),
        (links[0].url.clone(), "3 days\n"),
        ("demo-db".into(), "the database\n"),
        (format!("facade@{}", database.version_id), "the database\n"),
        ("local.zip".into(), "local\n"),
    ] {
        assert_eq!(world.run(&["cat", &name, "which.txt"]).done(), expected, "{name}");
    }
    let ran = world.run_with(&["cat", "-", "which.txt"], &format!("{}\n", links[1].url));
    assert_eq!(ran.done(), "2 days\n");
    assert_eq!(world.run(&["cat", "demo-db", "which.txt", "--database"]).done(), "the database\n");
    world.run(&["cat", "demo-bot", "which.txt", "--database"]).failed(4);
}

/// A link needs no key, and the key does not go where the link goes.
#[test]
fn a_link_needs_no_key() {
    let (world, links) = versions();
    for (args, input) in [(["ls", links[0].url.as_str()], ""), (["ls", "-"], links[0].url.as_str())] {
        let mut command = world.command(&args);
        command.env_remove("SQUARECLOUD_API_KEY").stdin(std::process::Stdio::piped());
        assert!(world.finish(command, input).done().contains("which.txt"));
    }
    let requests = world.sandbox.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.port == Port::Snapshots));
}

#[test]
fn what_is_not_unique_is_a_question() {
    let (world, _) = versions();
    world.sandbox.add_resource(Kind::App, "demo-bot", crate::sandbox::Files::new());
    let said = world.run(&["ls", "demo-bot"]).failed(2);
    assert!(said.contains("more than one") && said.contains(world.sandbox.app_id()), "{said}");
    {
        let mut world = world.sandbox.world();
        let mut twin = world.resources["c0ffee00d15e4a5eb10c5ca1ab1e0001"].clone();
        (twin.id, twin.name) = ("c0ffee00d15e4a5eb10c5ca1ab1e0002".into(), "twin".into());
        world.resources.insert(twin.id.clone(), twin);
    }
    let said = world.run(&["ls", "c0ffee"]).failed(2);
    assert!(said.contains("0001") && said.contains("0002"), "{said}");
    // A whole id is never ambiguous.
    world.run(&["ls", world.sandbox.app_id()]).done();
}

/// One file of a large snapshot costs a fraction of it.
#[test]
fn only_what_is_shown_is_fetched() {
    let world = world(0);
    let noise = crate::sandbox::Noise::new(1).bytes(2 << 20);
    world.put(zip_of(&[("a.bin", &noise), ("b.txt", b"small\n"), ("c.bin", &noise)]), 1);
    for args in [&["ls", "demo-bot"][..], &["cat", "demo-bot", "b.txt"], &["extract", "demo-bot", "b.txt"]] {
        world.sandbox.clear_requests();
        world.run(args).done();
        let requests = world.sandbox.requests();
        let ranges = requests.iter().filter(|it| it.port == Port::Snapshots).map(|it| it.header("range").unwrap());
        let bytes: usize = ranges.map(|range| length(range, 4 << 20)).sum();
        assert!(bytes < 1 << 20, "{args:?}: {bytes}");
    }
}

/// How many bytes a range asks for.
fn length(range: &str, total: usize) -> usize {
    match crate::sandbox::range(range, total) {
        crate::sandbox::Asked::Part(part) => part.len(),
        other => panic!("{range}: {other:?}"),
    }
}

#[test]
fn verify_names_what_is_wrong() {
    let (world, _golden) = (old_and_new(), golden());
    world.write("damaged.zip", &damaged_zip());
    world.write("cut.zip", &zip_of(OLD)[..300]);
    assert_snapshot!(world.run(&["verify", "old.zip", "new.zip"]).done(), @"
    ok       old.zip  5 entries, 24 B
    ok       new.zip  5 entries, 30 B
    ");
    let ran = world.run(&["verify", "old.zip", "damaged.zip", "lost.zip", "cut.zip"]);
    assert_snapshot!(ran.text(), @"
    ok       old.zip  5 entries, 24 B
    damaged  damaged.zip  2 entries, 5 B
    failed   lost.zip
    damaged  cut.zip
    ");
    let said = ran.failed(3);
    assert!(said.contains("noise.bin") && said.contains("lost.zip") && said.contains("cut.zip"), "{said}");
    let ran = world.run(&["verify", "old.zip", "damaged.zip", "--json"]);
    assert_eq!(ran.code, 3);
    assert_snapshot!(ran.text(), @r#"
    [
      {
        "path": "old.zip",
        "result": "ok",
        "entries": 5,
        "bytes": 24,
        "problems": []
      },
      {
        "path": "damaged.zip",
        "result": "damaged",
        "entries": 2,
        "bytes": 5,
        "problems": [
          {
            "entry": "noise.bin",
            "refusal": "corrupt",
            "detail": "its data is damaged (Invalid checksum); get the file again, and if it is the same do not trust it"
          }
        ]
      }
    ]
    "#);
}

#[test]
fn extract_takes_all_or_a_part() {
    let world = old_and_new();
    assert_eq!(world.run(&["extract", "old.zip"]).done(), "old\n");
    for (name, data) in OLD {
        assert_eq!(world.read(&format!("old/{name}")), *data, "{name}");
    }
    let args = ["extract", "new.zip", "src/commands", "README.md", "--into", "part/of/it", "--strip", "1"];
    world.run(&args).done();
    // What has nothing left of its path is left out.
    assert_eq!(world.read("part/of/it/commands/mute.js"), b"mute();\n");
    assert!(!world.path("part/of/it/README.md").exists() && !world.path("part/of/it/index.js").exists());
    world.run(&["extract", "new.zip", "src/nothing", "--into", "none"]).failed(4);
    assert!(!world.path("none").exists());
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = old_and_new();
    let ran = world.run(&["extract", "old.zip", "src", "--strip", "1", "--dry-run"]);
    assert_snapshot!(ran.err, @"Would extract 2 files, 1 directory, 0 links: 15 B.");
    assert_snapshot!(ran.done(), @"
    old/commands
    old/commands/ban.js
    old/index.js
    ");
    assert_snapshot!(world.run(&["extract", "old.zip", "src", "--dry-run", "--json"]).done(), @r#"
    {
      "directory": "old",
      "files": 2,
      "directories": 2,
      "links": 0,
      "bytes": 15,
      "paths": [
        "src",
        "src/commands",
        "src/commands/ban.js",
        "src/index.js"
      ],
      "refused": []
    }
    "#);
    assert_eq!(world.names(), ["new.zip", "old.zip"]);
}

#[test]
fn existing_files_are_refused_kept_or_replaced() {
    let world = old_and_new();
    world.run(&["extract", "old.zip", "--into", "bot"]).done();
    world.write("bot/mine.txt", b"mine");
    let settings = || world.read("bot/config/settings.json");
    let extract = |policy| world.run(&["extract", "new.zip", "--into", "bot", "--overwrite", policy]);
    let said = extract("refuse").failed(1);
    assert!(said.contains("bot") && said.contains("--overwrite"), "{said}");
    assert_eq!(settings(), b"{}\n");
    assert!(!world.path("bot/src/commands/mute.js").exists());
    let said = extract("keep").err;
    assert!(said.contains("4 files"), "{said}");
    assert_eq!((settings(), world.path("bot/src/commands/mute.js").exists()), (b"{}\n".to_vec(), true));
    extract("replace").done();
    assert_eq!(
        (settings(), fs::read(world.path("bot/mine.txt")).unwrap()),
        (b"{\"a\":1}\n".to_vec(), b"mine".to_vec())
    );
}

/// Names that could lead out of the directory, or fool the reader of a terminal.
#[test]
fn hostile_names_are_shown_harmless_and_not_extracted() {
    let world = world(0);
    world.write("evil.zip", &zip_of(&[("../out.txt", b"x"), ("\u{1b}[2Jred\u{1b}[31m.txt", b"x")]));
    for args in [&["ls", "evil.zip"][..], &["ls", "-l", "evil.zip"], &["diff", "evil.zip", "evil.zip"]] {
        let ran = world.run(args);
        assert!(!ran.text().contains('\u{1b}'), "{ran:?}");
        ran.done();
    }
    let said = world.run(&["extract", "evil.zip", "--into", "in"]).failed(3);
    assert!(!said.contains('\u{1b}'), "{said:?}");
    let ran = world.run(&["extract", "evil.zip", "--into", "in", "--dry-run"]);
    assert!(ran.code == 3 && !ran.text().contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
    assert_eq!(world.names(), ["evil.zip"]);
}
