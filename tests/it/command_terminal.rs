//! The command on a terminal: rows that fit 50 and 120 columns, bars that move, colours that can be had without.

use std::collections::BTreeSet;
use std::time::Duration;

use insta::assert_snapshot;

use crate::command_pty::Shown;
use crate::command_support::{World, golden, world, zip_of};
use crate::sandbox::{Fault, Files, Kind, NewSnapshot, Noise, On, Route};

const WIDTHS: [u16; 2] = [50, 120];

/// A world with long names in two scripts, and two zips with long paths.
fn long_names() -> World {
    let world = world(2);
    for name in [
        "a-bot-whose-name-is-as-long-as-the-service-allows-names-to-be",
        "機器人機器人機器人機器人機器人機器人機器人機器人機器人機器人",
    ] {
        let id = world.sandbox.add_resource(Kind::App, name, Files::new());
        world.sandbox.put_snapshot(NewSnapshot { age: Duration::from_secs(90_000), ..NewSnapshot::of(&id) });
    }
    let deep = "a directory with a long name/".repeat(6);
    let paths = [format!("{deep}file.txt"), "src/文件夾文件夾文件夾文件夾文件夾文件夾文件夾文件夾/檔案.txt".to_owned()];
    let zip = |data: &[u8]| zip_of(&[(&paths[0], data), (&paths[1], data), ("a.txt", data)]);
    world.write("a-zip-whose-name-is-rather-long-for-a-narrow-terminal.zip", &zip(b"1"));
    world.write("b-zip-whose-name-is-rather-long-for-a-narrow-terminal.zip", &zip(b"23"));
    world
}

#[test]
fn no_row_of_a_table_wraps() {
    let world = long_names();
    let [a, b] = ["a", "b"].map(|it| format!("{it}-zip-whose-name-is-rather-long-for-a-narrow-terminal.zip"));
    for args in [
        &["apps"][..],
        &["list"],
        &["list", "demo-bot"],
        &["quota"],
        &["ls", &a],
        &["ls", "-l", &a],
        &["diff", &a, &b],
        &["verify", &a, &b],
        &["extract", &a, "--dry-run"],
        &["mirror", "m", "--dry-run"],
    ] {
        for width in WIDTHS {
            let shown = world.terminal(width, &[args, &["--quiet"]].concat()).end();
            assert_eq!((shown.code, &shown.wrapped), (0, &BTreeSet::new()), "{args:?} at {width}:\n{}", shown.screen);
            assert!(shown.screen.lines().count() >= 2, "{args:?} at {width}:\n{}", shown.screen);
        }
    }
}

#[test]
fn narrow_tables_shorten_ids_in_the_middle() {
    let (world, _golden) = (long_names(), golden());
    let at = |width: u16, args: &[&str]| world.terminal(width, args).end().screen;
    assert_snapshot!(at(50, &["apps"]), @"
    NAME       KIND      ID        RUNTIME     MEMORY
    a-bo…o-be  app       229a…eef  javascript  512 MB
    機器…器人  app       6efd…8d4  javascript  512 MB
    demo-bot   app       c0ff…001  javascript  512 MB
    demo-db    database  faca…003  postgres    1024 MB
    ");
    assert_snapshot!(at(120, &["apps"]), @"
    NAME                                                     KIND      ID                                RUNTIME     MEMORY
    a-bot-whose-name-is-as-long…-service-allows-names-to-be  app       229aa7156db0edb6eab7600e560beeef  javascript  512 MB
    機器人機器人機器人機器人機…人機器人機器人機器人機器人    app       6efdbf91b48b29ab9a6d7d2a1e1e98d4  javascript  512 MB
    demo-bot                                                 app       c0ffee00d15e4a5eb10c5ca1ab1e0001  javascript  512 MB
    demo-db                                                  database  facade5eed0b4dab9abedbeefcafe003  postgres    1024 MB
    ");
    assert_snapshot!(at(50, &["list", "demo-bot"]), @"
    CREATED                    SIZE  VERSION   EXPIRES
    <LOCAL DATE AND TIME>  <kB >  fyXE…3yj  28 days
    <LOCAL DATE AND TIME>  <kB >  xgv2…G6H  27 days
    ");
    assert_snapshot!(at(120, &["list", "demo-bot"]), @"
    CREATED                    SIZE  VERSION                           EXPIRES  ORIGIN
    <LOCAL DATE AND TIME>  <kB >  fyXE4Hr5xtp5DPNtv8fF8wN0kJdxi3yj  28 days  automatic
    <LOCAL DATE AND TIME>  <kB >  xgv2sPBIogTLD32FGV94ISa5ABN7uG6H  27 days  automatic
    ");
}

/// What a pipe gets is whole, whatever the terminal's width.
#[test]
fn a_pipe_gets_whole_rows() {
    let world = long_names();
    let ids: Vec<String> = world.sandbox.world().resources.keys().cloned().collect();
    let shown = world.run(&["apps"]).done();
    assert!(ids.iter().all(|id| shown.contains(id.as_str())), "{shown}");
}

/// Slow enough to be seen, fast enough not to be waited for.
fn slow(world: &World) {
    world.sandbox.fault(On::Snapshots, Fault::Trickle(50_000, Duration::from_millis(20)));
}

/// The frames of a bar, all of which must be single rows.
fn bars<'a>(shown: &'a Shown, doing: &str) -> BTreeSet<&'a str> {
    let wrapped: Vec<_> = shown.wrapped.iter().filter(|row| row.contains(doing)).collect();
    assert!(wrapped.is_empty(), "{wrapped:#?}");
    shown.frames.iter().flat_map(|frame| frame.lines()).filter(|line| line.contains(doing)).collect()
}

/// Runs it at both widths with a snapshot that takes a while.
fn has_a_bar(doing: &str, args: &[&str]) {
    let (world, noise) = (world(0), Noise::new(2).bytes(200_000));
    world.put(zip_of(&["1", "2", "3", "4", "5", "6", "7", "8"].map(|name| (name, noise.as_slice()))), 1);
    slow(&world);
    for width in WIDTHS {
        let to = width.to_string();
        let shown = world.terminal(width, &[args, &[&to]].concat()).end();
        assert_eq!(shown.code, 0, "{args:?}: {}", shown.screen);
        let bars = bars(&shown, doing);
        assert!(bars.len() >= 2, "{args:?} at {width}: {:#?}", shown.frames);
        assert!(bars.iter().any(|bar| bar.contains("B/1.60 MB") && bar.contains("/s")), "{bars:#?}");
        assert!(!shown.screen.contains(doing), "it stays: {}", shown.screen);
    }
}

#[test]
fn a_download_has_a_bar_that_moves() {
    has_a_bar("Downloading", &["download", "demo-bot", "-C"]);
}

#[test]
fn an_extraction_has_a_bar_that_moves() {
    has_a_bar("Extracting", &["extract", "demo-bot", "--into"]);
}

#[test]
fn a_mirror_has_a_bar_that_moves() {
    has_a_bar("Mirroring", &["mirror"]);
}

#[test]
fn verify_has_a_bar() {
    let world = world(0);
    let zeros = vec![b'0'; 64 << 20];
    world.write("large.zip", &zip_of(&[("zeros.txt", &zeros), ("more.txt", &zeros)]));
    for width in WIDTHS {
        let shown = world.terminal(width, &["verify", "large.zip"]).end();
        assert_eq!(shown.code, 0, "{}", shown.screen);
        assert!(!bars(&shown, "Verifying").is_empty(), "{:#?}", shown.frames);
        assert!(!shown.screen.contains("Verifying"), "{}", shown.screen);
    }
}

/// Nothing is known of a creation but that it takes its time.
#[test]
fn a_creation_shows_a_spinner_that_moves() {
    for width in WIDTHS {
        // Of two in the same second it could not be told which is which.
        let world = world(0);
        let _held = world.sandbox.fault(Route::Create(Kind::App), Fault::Delay(Duration::from_millis(600)));
        let shown = world.terminal(width, &["create", "demo-bot"]).end();
        assert_eq!((shown.code, &shown.wrapped), (0, &BTreeSet::new()), "{}", shown.screen);
        let turns: BTreeSet<_> = bars(&shown, "Creating").iter().filter_map(|bar| bar.chars().next()).collect();
        assert!(turns.len() >= 2, "{turns:?} of {:#?}", shown.frames);
        assert!(!shown.screen.contains("Creating"), "{}", shown.screen);
    }
}

#[test]
fn bars_can_be_had_without() {
    let world = world(0);
    world.put(zip_of(&[("noise.bin", &Noise::new(2).bytes(100_000))]), 1);
    slow(&world);
    for (option, to) in [("--no-progress", "a"), ("--quiet", "b")] {
        let shown = world.terminal(120, &["download", "demo-bot", "-C", to, option]).end();
        assert_eq!((shown.code, bars(&shown, "Downloading").len()), (0, 0), "{:#?}", shown.frames);
    }
    let ran = world.run(&["download", "demo-bot", "-C", "piped"]);
    assert!(!ran.err.contains("Downloading") && !ran.err.contains('\r') && !ran.err.contains('\u{1b}'), "{ran:?}");
}

/// A script gets a path as it is, a terminal one that does nothing to it.
#[test]
fn paths_do_nothing_to_a_terminal() {
    let world = world(1);
    world.write("a.zip", &zip_of(&[("a.txt", b"1")]));
    for args in [&["extract", "a.zip", "--into"][..], &["download", "demo-bot", "-C"]] {
        let [shown, piped] = [1, 2].map(|i| format!("{}{i}\x1b[31m.zip", args[0]));
        let on_terminal = world.terminal_with(120, &[args, &[&shown]].concat(), &[("NO_COLOR", "1")]).end();
        assert_eq!(on_terminal.code, 0, "{}", on_terminal.screen);
        assert!(!on_terminal.raw.contains("\x1b[31m"), "{:?}", on_terminal.raw);
        assert!(on_terminal.screen.contains("\\u{1b}[31m.zip"), "{}", on_terminal.screen);
        assert_eq!(world.run(&[args, &[&piped]].concat()).done(), format!("{piped}\n"));
    }
}

/// Colours are for terminals whose user wants them.
#[test]
fn colours_are_for_terminals() {
    let world = world(1);
    let is_coloured = |text: &str| text.contains("\x1b[3") || text.contains("\x1b[1m");
    for args in [&["list", "nobody"][..], &["--help"], &["lost"]] {
        let shown = world.terminal(120, args).end();
        assert!(is_coloured(&shown.raw), "{args:?}: {:?}", shown.raw);
        let shown = world.terminal_with(120, args, &[("NO_COLOR", "1")]).end();
        assert!(!is_coloured(&shown.raw), "{args:?}: {:?}", shown.raw);
        let ran = world.run(args);
        assert!(!ran.text().contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
    }
}

/// The help is read on narrow terminals, too.
#[test]
fn help_fits_the_terminal() {
    let world = world(0);
    for width in WIDTHS {
        for args in [&["--help"][..], &["download", "--help"], &["mirror", "--help"], &["-h"]] {
            let shown = world.terminal(width, args).end();
            // Lines to type cannot be broken.
            let is_command =
                |row: &&String| !row.trim_start_matches("Usage: ").trim().starts_with("squarecloud-snapshots");
            let mut wrapped = shown.wrapped.iter().filter(is_command);
            assert_eq!((shown.code, wrapped.next()), (0, None), "{args:?} at {width}");
        }
    }
}
