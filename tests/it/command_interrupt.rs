//! Ctrl-C in each verb that takes long: it ends with 130, says what is kept and how to go on, and going on works.

use std::time::{Duration, Instant};

use crate::command_pty::{CTRL_C, Shown};
use crate::command_support::{World, until, world, zip_of};
use crate::sandbox::{Creation, End, Fault, Kind, Noise, On, Port, Restoration, Route};

/// Runs a verb until `ready`, and presses Ctrl-C.
#[track_caller]
fn interrupt(world: &World, args: &[&str], doing: &str, ready: impl Fn() -> bool) -> Shown {
    let mut terminal = world.terminal(120, args);
    terminal.see_text(doing);
    assert!(until(|| ready().then_some(())).is_some(), "{args:?} does not get so far");
    terminal.press(CTRL_C);
    let pressed = Instant::now();
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{args:?}: {}", shown.screen);
    assert!(shown.screen.contains("stopped"), "{args:?}: {}", shown.screen);
    assert!(pressed.elapsed() < Duration::from_secs(10), "{args:?}: {:?}", pressed.elapsed());
    shown
}

/// A world with one large snapshot, and the zip.
fn large() -> (World, Vec<u8>) {
    let world = world(0);
    let bytes = zip_of(&[("a.txt", b"a\n"), ("noise.bin", &Noise::new(2).bytes(3 << 20))]);
    world.put(bytes.clone(), 1);
    (world, bytes)
}

/// The host sends the first bytes of an object, and the rest as slowly as it can.
fn crawl(world: &World) {
    world.sandbox.fault(On::Snapshots, Fault::Trickle(2000, Duration::from_millis(10)));
}

/// How many requests the host has got.
fn asked(world: &World) -> usize {
    world.sandbox.requests().iter().filter(|request| request.port == Port::Snapshots).count()
}

#[test]
fn a_download_keeps_what_it_has() {
    let (world, bytes) = large();
    crawl(&world);
    let args = ["download", "demo-bot", "-C", "it.zip"];
    let mut terminal = world.terminal(120, &args);
    terminal.see(|frame| frame.lines().any(|line| line.contains("Downloading") && line.contains(" kB/")));
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert!(shown.screen.contains("kept") && shown.screen.contains("same command"), "{}", shown.screen);
    assert!(!world.path("it.zip").exists(), "{:?}", world.names());
    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    world.run(&args).done();
    assert!(world.read("it.zip") == bytes);
    assert_eq!(world.names(), ["it.zip"]);
    let requests = world.sandbox.requests();
    let first = requests.iter().find(|it| it.port == Port::Snapshots).unwrap().header("range").unwrap();
    assert!(!first.starts_with("bytes=0-"), "{first}");
}

/// The same while the host says nothing at all.
#[test]
fn a_silent_host_does_not_keep_the_user() {
    let (world, bytes) = large();
    world.sandbox.fault(On::Snapshots, Fault::InBody(1 << 20, End::Stall));
    let args = ["download", "demo-bot", "-C", "it.zip"];
    let mut terminal = world.terminal(120, &args);
    terminal.see(|frame| frame.lines().any(|line| line.contains("Downloading") && line.contains(" kB/")));
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert!(shown.screen.contains("kept in .") && shown.screen.contains("same command"), "{}", shown.screen);
    world.sandbox.clear_faults();
    world.run(&args).done();
    assert!(world.read("it.zip") == bytes);
}

/// Twice is at once, and is told the same.
#[test]
fn the_second_ctrl_c_ends_at_once() {
    let (world, _) = large();
    world.sandbox.fault(On::Snapshots, Fault::InBody(1 << 20, End::Stall));
    let mut terminal = world.terminal(120, &["download", "demo-bot"]);
    terminal.see(|frame| frame.lines().any(|line| line.contains("Downloading") && line.contains(" kB/")));
    terminal.press(CTRL_C);
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert!(shown.screen.contains("kept in .") && shown.screen.contains("same command"), "{}", shown.screen);
}

/// A silent host: something is shown meanwhile, and nothing has to be cancelled.
#[test]
fn what_only_looks_ends_at_once() {
    let (world, _) = large();
    world.sandbox.fault(On::Snapshots, Fault::BeforeAnswer(End::Stall));
    let mut terminal = world.terminal(120, &["ls", "demo-bot"]);
    assert!(until(|| (asked(&world) > 0).then_some(())).is_some());
    terminal.see_text("Opening");
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert_eq!(shown.screen.trim(), "error: stopped; nothing was changed");
}

/// The `^C` that the terminal writes behind a bar does not break its row, which could not be cleared then.
#[test]
fn no_bar_stays_on_a_narrow_terminal() {
    let (world, _) = large();
    for fault in [Fault::Trickle(2000, Duration::from_millis(10)), Fault::InBody(1 << 20, End::Stall)] {
        world.sandbox.clear_faults();
        world.sandbox.fault(On::Snapshots, fault);
        let mut terminal = world.terminal(50, &["download", "demo-bot"]);
        terminal.see(|frame| frame.lines().any(|line| line.contains("Downloading") && line.contains(" kB/")));
        terminal.press(CTRL_C);
        let shown = terminal.end();
        assert_eq!(shown.code, 130, "{}", shown.screen);
        assert!(shown.screen.starts_with("error: stopped; what was downloaded is kept"), "{}", shown.screen);
        assert!(!shown.wrapped.iter().any(|row| row.contains("Downloading")), "{:#?}", shown.wrapped);
    }
}

#[test]
fn a_creation_goes_on_without_the_user() {
    let world = world(0);
    world.sandbox.rules(|rules| rules.creation = Creation::After(Duration::from_secs(60)));
    let shown = interrupt(&world, &["create", "demo-bot"], "Creating", || world.count("list") > 0);
    assert!(shown.screen.contains("`list c0ffee00d15e4a5eb10c5ca1ab1e0001`"), "{}", shown.screen);
    assert_eq!(world.count("create"), 1);
    world.sandbox.advance(Duration::from_secs(61));
    assert_eq!(world.run(&["list", "demo-bot"]).done().lines().count(), 2);
}

/// The service holds a creation open for a minute and a half.
#[test]
fn a_creation_that_is_held_open_is_left_alone() {
    let world = world(0);
    world.sandbox.fault(Route::Create(Kind::App), Fault::BeforeAnswer(End::Stall));
    let shown = interrupt(&world, &["create", "demo-bot"], "Creating", || world.count("create") > 0);
    assert!(shown.screen.contains("`list c0ffee00d15e4a5eb10c5ca1ab1e0001`"), "{}", shown.screen);
    assert_eq!(world.run(&["list", "demo-bot"]).done().lines().count(), 2);
}

#[test]
fn a_round_of_creations_shows_those_that_are_done() {
    let world = world(0);
    let mut terminal = world.terminal(120, &["create", "--all"]);
    // The bar is there a moment before Ctrl-C is heard.
    terminal.see_text("Waiting 1s");
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert!(shown.screen.contains("demo-bot") && shown.screen.contains("stopped: 1 of 2"), "{}", shown.screen);
    assert!(shown.screen.contains(world.sandbox.database_id()), "{}", shown.screen);
    assert_eq!(world.count("create"), 1);
}

#[test]
fn an_extraction_leaves_nothing() {
    let (world, _) = large();
    world.sandbox.fault(On::Snapshots, Fault::Trickle(2000, Duration::from_millis(10))).after(1);
    let args = ["extract", "demo-bot", "--into", "it"];
    let shown = interrupt(&world, &args, "Extracting", || asked(&world) > 1);
    assert!(shown.screen.contains("nothing"), "{}", shown.screen);
    assert!(!world.path("it").exists(), "{:?}", world.names());
    world.sandbox.clear_faults();
    world.run(&args).done();
    // What the first one may have left beside it is gone, too.
    assert_eq!(world.names(), ["it"]);
    assert_eq!((world.read("it/a.txt"), world.read("it/noise.bin").len()), (b"a\n".to_vec(), 3 << 20));
}

/// In a directory that exists, a kill could leave a part of the new files, so it stops by itself and cleans up.
#[test]
fn an_extraction_over_old_files_is_not_killed() {
    let (world, _) = large();
    std::fs::create_dir(world.path("it")).unwrap();
    world.write("it/a.txt", b"old");
    world.sandbox.fault(On::Snapshots, Fault::Trickle(2000, Duration::from_millis(10))).after(1);
    let args = ["extract", "demo-bot", "--into", "it", "--overwrite", "replace"];
    let shown = interrupt(&world, &args, "Extracting", || asked(&world) > 1);
    assert!(shown.screen.contains("nothing"), "{}", shown.screen);
    let left: Vec<_> = std::fs::read_dir(world.path("it")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!((left, world.read("it/a.txt")), (vec!["a.txt".into()], b"old".to_vec()));
}

/// A zip that takes minutes to read: zeros deflate a thousandfold.
fn huge() -> Vec<u8> {
    use std::io::{Cursor, Write};
    use zip::write::{SimpleFileOptions, ZipWriter};
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("0", SimpleFileOptions::default()).unwrap();
    for _ in 0..128 {
        zip.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut one = zip::ZipArchive::new(Cursor::new(zip.finish().unwrap().into_inner())).unwrap();
    let mut many = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..200 {
        many.raw_copy_file_rename(one.by_index_raw(0).unwrap(), i.to_string()).unwrap();
    }
    many.finish().unwrap().into_inner()
}

#[test]
fn a_verification_can_be_begun_again() {
    let world = world(0);
    world.write("small.zip", &zip_of(&[("a.txt", b"a\n")]));
    world.write("huge.zip", &huge());
    let shown = interrupt(&world, &["verify", "small.zip", "huge.zip"], "GB/", || true);
    assert!(shown.screen.contains("ok") && shown.screen.contains("1 of 2"), "{}", shown.screen);
    world.run(&["verify", "small.zip"]).done();
}

#[test]
fn a_mirror_goes_on_with_the_rest() {
    let world = world(2);
    // The first object arrives, the others crawl.
    world.sandbox.fault(On::Snapshots, Fault::Trickle(10, Duration::from_millis(20))).after(1);
    let args = ["mirror", "m", "--threads", "1"];
    let shown = interrupt(&world, &args, "Mirroring", || asked(&world) > 1);
    assert!(shown.screen.contains("same command"), "{}", shown.screen);
    world.sandbox.clear_faults();
    let ran = world.run(&args);
    assert!(ran.err.contains("3 fetched") && ran.err.contains("1 already there"), "{ran:?}");
    ran.done();
}

#[test]
fn a_restore_goes_on_without_the_user() {
    let world = world(1);
    world.sandbox.write_file(world.sandbox.app_id(), "index.js", b"broken");
    world.sandbox.rules(|rules| rules.restoration = Restoration::After(Duration::from_secs(60)));
    let args = ["restore", "demo-bot", "--latest", "--yes", "--wait"];
    let shown = interrupt(&world, &args, "Restoring", || world.count("restore-status") > 0);
    assert!(shown.screen.contains("goes on"), "{}", shown.screen);
    assert_eq!(world.count("restore"), 1);
}

#[test]
fn an_upload_is_not_half_there() {
    let world = world(0);
    let config = b"MAIN=index.js\nMEMORY=256\nVERSION=recommended\nDISPLAY_NAME=rehearsal\n";
    let noise = Noise::new(4).bytes(1 << 20);
    world.write("app.zip", &zip_of(&[("squarecloud.app", config), ("noise.bin", &noise)]));
    world.sandbox.fault(Route::Upload, Fault::InRequest(100_000, End::Stall));
    let mut terminal = world.terminal(120, &["upload", "app.zip"]);
    // So much fits into the buffers in between.
    terminal.see_text("waiting for the service");
    terminal.press(CTRL_C);
    let shown = terminal.end();
    assert_eq!(shown.code, 130, "{}", shown.screen);
    assert!(shown.screen.contains("`apps` shows whether"), "{}", shown.screen);
    assert!(!world.run(&["apps"]).done().contains("rehearsal"));
}
