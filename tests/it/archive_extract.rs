//! The options of an extraction, the targets it goes to, and looking into an archive without extracting it.

use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squarecloud_blocking::{Archive, EntryKind, Error, ExtractOptions, Limits, Links, Overwrite, Refusal, Source};

use crate::raw_zip::*;

fn sample() -> Archive<Vec<u8>> {
    Archive::new(
        zip(vec![
            folder("app/"),
            deflated("app/main.js", b"console.log(1)"),
            file("app/src/a.json", b"{}"),
            file("app/src/b.txt", b"b"),
            link("app/current", "src"),
            file("top.json", b"[]"),
        ])
        .bytes(),
    )
    .unwrap()
}

fn paths(root: &Path) -> Vec<String> {
    tree(root).into_iter().filter(|(_, what)| what != b"dir").map(|(path, _)| path).collect()
}

fn extracted(options: ExtractOptions) -> Vec<String> {
    let out = tempfile::tempdir().unwrap();
    sample().extract_with(out.path().join("t"), &options).unwrap();
    paths(&out.path().join("t"))
}

#[test]
fn filters_prefixes_and_stripping_choose_what_is_extracted() {
    let o = ExtractOptions::new;
    assert_eq!(extracted(o().filter(|e| e.name().ends_with(".json"))), ["app/src/a.json", "top.json"]);
    assert_eq!(extracted(o().prefix("app/src")), ["app/src/a.json", "app/src/b.txt"]);
    assert_eq!(extracted(o().prefix("app/src/").prefix("top.json")), ["app/src/a.json", "app/src/b.txt", "top.json"]);
    assert_eq!(extracted(o().strip(1)), ["current", "main.js", "src/a.json", "src/b.txt"]);
    assert_eq!(extracted(o().strip(2)), ["a.json", "b.txt"]);
    assert_eq!(extracted(o().links(Links::Skip).prefix("app").strip(1)), ["main.js", "src/a.json", "src/b.txt"]);
}

#[test]
fn stripping_and_filtering_do_not_get_around_the_rules() {
    let refusal = |entries, options: ExtractOptions| {
        let out = tempfile::tempdir().unwrap();
        let result = Archive::new(zip(entries).bytes()).unwrap().extract_with(out.path().join("t"), &options);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), usize::from(result.is_ok()));
        result.err().and_then(|e| e.refusal())
    };
    let o = ExtractOptions::new;
    assert_eq!(refusal(vec![file("a/../x", b"")], o().strip(2)), Some(Refusal::ClimbsOut));
    assert_eq!(refusal(vec![link("a/b/l", "../../x")], o()), None);
    assert_eq!(refusal(vec![link("a/b/l", "../../x")], o().strip(1)), Some(Refusal::Link));
    assert_eq!(refusal(vec![file("a/x", b"1"), file("b/x", b"2")], o().strip(1)), Some(Refusal::Collision));
    assert_eq!(refusal(vec![file("a", b"1"), file("../x", b"2")], o().filter(|e| e.name() == "a")), None);
    assert_eq!(refusal(vec![file("a", b"1"), link("l", "/etc")], o().links(Links::Skip)), None);
    assert_eq!(refusal(vec![file("a", b"1"), link("l", "a")], o().links(Links::Refuse)), Some(Refusal::Link));
    assert_eq!(refusal(vec![file("a", b"1"), file("b", b"22").with(|e| e.flags = 1)], o().prefix("a")), None);
}

#[test]
fn limits_refuse_before_anything_is_written() {
    let limits = Limits::new;
    for (limits, refusal) in [
        (limits().total_bytes(10), Refusal::TooLarge),
        (limits().entry_bytes(10), Refusal::TooLarge),
        (limits().entries(5), Refusal::TooMany),
        (limits().depth(2), Refusal::TooMany),
        (limits().path_length(13), Refusal::TooMany),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = sample().extract_with(out.path().join("t"), &ExtractOptions::new().limits(limits)).unwrap_err();
        assert_eq!(error.refusal(), Some(refusal), "{error}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
}

#[test]
fn directories_that_no_entry_lists_count_as_entries() {
    let deep = |i| file(format!("{i}/a/b/c/d/e"), b"");
    let archive = Archive::new(zip((0..20).map(deep).collect()).bytes()).unwrap();
    let options = |most| ExtractOptions::new().limits(Limits::new().entries(most));
    let refused: Vec<_> = archive.plan(&options(119)).unwrap().refused().iter().map(|bad| bad.refusal).collect();
    assert_eq!(refused, [Refusal::TooMany]);
    assert!(archive.plan(&options(120)).unwrap().is_ok());
}

#[test]
fn the_targets_of_all_links_together_are_limited() {
    // A few bytes each in the archive, gigabytes of memory when read.
    let one = deflated("", "./".repeat(2000).as_bytes()).with(|e| e.mode = 0o120_777);
    let links = (0..17_000).map(|i| one.clone().with(|e| e.name = format!("l{i}").into()));
    let archive = Archive::new(zip(links.collect()).bytes()).unwrap();
    let plan = archive.plan(&ExtractOptions::new()).unwrap();
    let refused: Vec<_> = plan.refused().iter().map(|bad| (bad.name.clone(), bad.refusal)).collect();
    assert_eq!(refused, [(None, Refusal::TooLarge)]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_too_long_for_the_system_is_refused_like_one_too_long_for_the_limit() {
    let long = ["p".repeat(240).as_str(); 17].join("/");
    for (policy, entry) in [
        (Overwrite::Refuse, file(&long, b"1")),
        (Overwrite::Replace, file(&long, b"1")),
        (Overwrite::Refuse, folder(&format!("{long}/"))),
        (Overwrite::Keep, link(&long, "x")),
    ] {
        let out = tempfile::tempdir().unwrap();
        if policy != Overwrite::Refuse {
            fs::write(out.path().join("mine"), "mine").unwrap();
        }
        let before = tree(out.path());
        let archive = Archive::new(zip(vec![file("ok", b"1"), entry]).bytes()).unwrap();
        let limits = Limits::new().path_length(10_000);
        let error =
            archive.extract_with(out.path(), &ExtractOptions::new().overwrite(policy).limits(limits)).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::TooMany), "{error}");
        assert!(error.to_string().contains("ppp"), "{error}");
        assert_eq!(tree(out.path()), before);
    }
}

#[test]
fn what_is_written_is_compared_when_asked_for() {
    for verify in [false, true] {
        let out = tempfile::tempdir().unwrap();
        let around = out.path().to_owned();
        let archive = Archive::new(zip(vec![file("x", b"12345")]).bytes()).unwrap();
        let options = ExtractOptions::new().threads(1).verify(verify).progress(move |_| {
            // The disk loses what was written: the callback comes after the first piece.
            for partial in fs::read_dir(&around).unwrap().map(|e| e.unwrap().path()) {
                let _ = fs::write(partial.join("tree/x"), b"1234X");
            }
            ControlFlow::Continue(())
        });
        let result = archive.extract_with(out.path().join("t"), &options);
        assert_eq!(result.is_err(), verify, "{result:?}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), usize::from(!verify));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_read_back_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let out = tempfile::tempdir().unwrap();
    let archive = Archive::new(zip(vec![file("x", b"1").with(|e| e.mode = 0o100_200)]).bytes()).unwrap();
    archive.extract_with(out.path().join("t"), &ExtractOptions::new().verify(true)).unwrap();
    assert_eq!(fs::metadata(out.path().join("t/x")).unwrap().permissions().mode() & 0o777, 0o200);
}

#[cfg(unix)]
#[test]
fn links_of_the_target_lead_no_link_of_the_archive_out() {
    use std::os::unix::fs::symlink;
    for (entries, policy, fine) in [
        (vec![link("l", "mine/x")], Overwrite::Replace, false),
        (vec![folder("d/"), link("d/l", "../mine/../x")], Overwrite::Keep, false),
        (vec![link("l", "inner/x")], Overwrite::Replace, true),
        (vec![link("mine", "inner"), link("l", "mine/x")], Overwrite::Replace, true),
        (vec![link("mine", "inner"), link("l", "mine/x")], Overwrite::Keep, false),
    ] {
        let out = tempfile::tempdir().unwrap();
        let target = out.path().join("t");
        fs::create_dir_all(target.join("inner")).unwrap();
        symlink("..", target.join("mine")).unwrap();
        let before = tree(out.path());
        let archive = Archive::new(zip(entries).bytes()).unwrap();
        let result = archive.extract_with(&target, &ExtractOptions::new().overwrite(policy));
        if fine {
            result.unwrap();
        } else {
            assert_eq!(result.unwrap_err().refusal(), Some(Refusal::Link));
            assert_eq!(tree(out.path()), before);
        }
    }
}

#[test]
fn the_plan_says_what_would_be_done_and_all_that_is_refused() {
    let plan = sample().plan(&ExtractOptions::new()).unwrap();
    assert_eq!((plan.files(), plan.directories(), plan.links(), plan.bytes()), (4, 2, 1, 19));
    assert!(plan.is_ok());
    assert_eq!(
        plan.paths().collect::<Vec<_>>(),
        ["app", "app/src", "app/main.js", "app/src/a.json", "app/src/b.txt", "top.json", "app/current"]
    );
    let bad = Archive::new(zip(vec![file("../x", b""), file("ok", b""), link("l\u{1b}", "/etc")]).bytes()).unwrap();
    let plan = bad.plan(&ExtractOptions::new()).unwrap();
    let refused: Vec<_> = plan.refused().iter().map(|bad| (bad.name.as_deref(), bad.refusal)).collect();
    assert_eq!(refused, [(Some("../x"), Refusal::ClimbsOut), (Some("l\\u{1b}"), Refusal::Link)]);
}

#[test]
fn targets_that_exist_are_left_alone_unless_empty() {
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/mine"), "mine").unwrap();
    fs::write(at("file"), "mine").unwrap();
    let before = tree(out.path());
    for existing in ["full", "file"] {
        assert!(matches!(sample().extract(at(existing)), Err(Error::Exists { .. })), "{existing}");
        assert_eq!(tree(out.path()), before);
    }
    assert!(matches!(sample().extract(""), Err(Error::Invalid { .. })));
    sample().extract(at("empty")).unwrap();
    sample().extract(at("not/there/yet/")).unwrap();
    assert_eq!(paths(&at("empty")), paths(&at("not/there/yet")));
    assert_eq!(paths(&at("empty")).len(), 5);
    let left: Vec<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .filter(|n| n.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn an_existing_empty_target_stays_the_directory_it_is() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let out = tempfile::tempdir().unwrap();
    fs::set_permissions(out.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let what = || fs::metadata(out.path()).map(|m| (m.ino(), m.uid(), m.mode())).unwrap();
    let before = what();
    sample().extract(out.path()).unwrap();
    assert_eq!(what(), before);
    assert_eq!(paths(out.path()).len(), 5);
}

#[test]
fn an_existing_empty_target_is_emptied_again_when_something_is_in_the_way() {
    for (mine, theirs) in [("top.json", "app"), ("app", "top.json")] {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(mine);
        let options = ExtractOptions::new().progress(move |_| {
            fs::write(&path, "mine").unwrap();
            ControlFlow::Continue(())
        });
        let error = sample().extract_with(out.path(), &options).unwrap_err();
        assert!(matches!(&error, Error::Exists { path } if path.ends_with(mine)), "{error}");
        assert_eq!(fs::read_to_string(out.path().join(mine)).unwrap(), "mine");
        assert!(!out.path().join(theirs).exists());
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_large_file_is_written_while_it_is_inflated() {
    let content: Vec<u8> = (0..3_000_000u32).flat_map(|i| (i ^ (i >> 7)).to_le_bytes()).collect();
    for threads in [1, 4] {
        let out = tempfile::tempdir().unwrap();
        let o = || ExtractOptions::new().threads(threads);
        let archive = Archive::new(zip(vec![deflated("large", &content), file("small", b"1")]).bytes()).unwrap();
        archive.extract_with(out.path().join("t"), &o().verify(true)).unwrap();
        assert!(fs::read(out.path().join("t/large")).unwrap() == content);
        let cancelled =
            o().progress(|p| if p.bytes > 2_000_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        assert!(archive.extract_with(out.path().join("u"), &cancelled).unwrap_err().is_cancelled());
        let bad = zip(vec![deflated("large", &content).with(|e| e.crc = Some(1))]).bytes();
        let error = Archive::new(bad).unwrap().extract_with(out.path().join("v"), &o()).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Corrupt));
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
}

#[test]
fn parents_made_for_a_refused_archive_are_gone_again() {
    let out = tempfile::tempdir().unwrap();
    let bad = Archive::new(zip(vec![file("a", b"1"), deflated("b", b"22").with(|e| e.crc = Some(1))]).bytes()).unwrap();
    assert!(bad.extract(out.path().join("not/there/t")).is_err());
    assert_eq!(tree(out.path()), Tree::new());
}

#[cfg(unix)]
#[test]
fn a_link_given_as_target_is_what_it_leads_to() {
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name);
    fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    sample().extract(at("link")).unwrap();
    assert!(at("link").is_symlink() && at("real/top.json").is_file());
    assert!(matches!(sample().extract(at("dangling")), Err(Error::Exists { .. })));
}

#[test]
fn a_directory_with_something_in_it_is_merged_as_asked() {
    for (policy, content, kept) in [(Overwrite::Replace, "[]", 0), (Overwrite::Keep, "mine", 2)] {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir_all(out.path().join("app/src")).unwrap();
        for mine in ["top.json", "app/src/a.json", "app/mine"] {
            fs::write(out.path().join(mine), "mine").unwrap();
        }
        let done = sample().extract_with(out.path(), &ExtractOptions::new().overwrite(policy)).unwrap();
        assert_eq!((done.kept, done.files), (kept, 4 - kept));
        assert_eq!(fs::read_to_string(out.path().join("top.json")).unwrap(), content);
        assert_eq!(fs::read_to_string(out.path().join("app/mine")).unwrap(), "mine");
        assert_eq!(
            paths(out.path()),
            ["app/current", "app/main.js", "app/mine", "app/src/a.json", "app/src/b.txt", "top.json"]
        );
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_target_are_never_written_through() {
    use std::os::unix::fs::symlink;
    for policy in [Overwrite::Replace, Overwrite::Keep] {
        let out = tempfile::tempdir().unwrap();
        let (target, outside) = (out.path().join("t"), out.path().join("outside"));
        fs::create_dir(&target).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("top.json"), "mine").unwrap();
        symlink(&outside, target.join("app")).unwrap();
        let before = tree(out.path());
        let error = sample().extract_with(&target, &ExtractOptions::new().overwrite(policy)).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Link));
        assert_eq!(tree(out.path()), before);
        fs::remove_file(target.join("app")).unwrap();
        symlink(outside.join("top.json"), target.join("top.json")).unwrap();
        sample().extract_with(&target, &ExtractOptions::new().overwrite(policy)).unwrap();
        assert_eq!(fs::read_to_string(outside.join("top.json")).unwrap(), "mine");
        assert_eq!(target.join("top.json").is_symlink(), policy == Overwrite::Keep);
    }
}

#[test]
fn a_directory_is_never_replaced_by_a_file_nor_a_file_by_a_directory() {
    for (existing, is_dir) in [("top.json/x", true), ("app", false)] {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(existing);
        if is_dir {
            fs::create_dir_all(&path).unwrap();
        } else {
            fs::write(&path, "mine").unwrap();
        }
        let before = tree(out.path());
        let result = sample().extract_with(out.path(), &ExtractOptions::new().overwrite(Overwrite::Replace));
        assert!(matches!(result, Err(Error::Exists { .. })), "{result:?}");
        assert_eq!(tree(out.path()), before);
    }
}

#[test]
fn a_merge_that_meets_damage_changes_nothing() {
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("a"), "mine").unwrap();
    let before = tree(out.path());
    let bad = Archive::new(zip(vec![file("a", b"1"), deflated("b", b"22").with(|e| e.crc = Some(1))]).bytes()).unwrap();
    let error = bad.extract_with(out.path(), &ExtractOptions::new().overwrite(Overwrite::Replace)).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Corrupt));
    assert_eq!(tree(out.path()), before);
}

#[test]
fn the_callback_sees_the_end_and_cancels_without_traces() {
    let out = tempfile::tempdir().unwrap();
    let many = zip((0..500).map(|i| deflated(format!("d/{i}"), &[b'x'; 1000])).collect()).bytes();
    let archive = Archive::new(many).unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let to = Arc::clone(&seen);
    let options = ExtractOptions::new().progress(move |p| {
        assert_eq!((p.total, p.total_entries), (Some(500_000), 500));
        assert!(to.fetch_max(p.bytes, Ordering::Relaxed) <= p.bytes);
        ControlFlow::Continue(())
    });
    archive.extract_with(out.path().join("t"), &options).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 500_000);
    let error = archive
        .extract_with(out.path().join("u"), &ExtractOptions::new().progress(|_| ControlFlow::Break(())))
        .unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn modes_and_times_are_kept_or_not_as_asked() {
    use std::os::unix::fs::PermissionsExt;
    let archive = Archive::new(
        zip(vec![
            folder("d/").with(|e| e.mode = 0o040_500),
            file("d/run.sh", b"1").with(|e| e.mode = 0o106_711),
            file("ro", b"2").with(|e| e.mode = 0o100_400),
        ])
        .bytes(),
    )
    .unwrap();
    let out = tempfile::tempdir().unwrap();
    let mode = |path: &str| fs::metadata(out.path().join(path)).unwrap().permissions().mode() & 0o7777;
    archive.extract(out.path().join("t")).unwrap();
    assert_eq!((mode("t/d"), mode("t/d/run.sh") & 0o7700, mode("t/ro")), (0o500, 0o700, 0o400));
    let at = archive.entry("ro").unwrap().modified().unwrap().assume_utc();
    for path in ["t/ro", "t/d", "t/d/run.sh"] {
        assert_eq!(fs::metadata(out.path().join(path)).unwrap().modified().unwrap(), at, "{path}");
    }
    archive.extract_with(out.path().join("u"), &ExtractOptions::new().keep_modes(false).keep_times(false)).unwrap();
    assert_eq!((mode("u/d") & 0o700, mode("u/d/run.sh") & 0o7700, mode("u/ro") & 0o700), (0o700, 0o600, 0o600));
    assert!(fs::metadata(out.path().join("u/ro")).unwrap().modified().unwrap() > at);
    fs::set_permissions(out.path().join("t/d"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_archive_can_be_looked_into() {
    let archive = sample();
    assert_eq!((archive.len(), archive.is_empty(), archive.entries().len()), (6, false, 6));
    let entry = archive.entry("app/main.js").unwrap();
    assert_eq!(
        (entry.name(), entry.size(), entry.kind(), entry.unix_mode(), entry.method()),
        ("app/main.js", 14, EntryKind::File, Some(0o100_644), 8)
    );
    assert_eq!(entry.crc32(), crc32(b"console.log(1)"));
    assert_eq!(entry.modified().unwrap().to_string(), "2024-01-01 12:00:00.0");
    assert_eq!(archive.entry("app/").unwrap().kind(), EntryKind::Directory);
    assert_eq!(archive.entry("app/current").unwrap().kind(), EntryKind::Symlink);
    assert!(archive.entry("nope").is_none());
    assert_eq!(archive.total_size(), 22);

    assert_eq!(
        archive.tree().to_string(),
        "app/\n  current  (link)\n  main.js  14\n  src/\n    a.json  2\n    b.txt  1\ntop.json  2\n"
    );
    assert!(matches!(archive.read("nope"), Err(Error::NoSuchEntry { .. })));
    assert_eq!(archive.read("app/").unwrap_err().refusal(), Some(Refusal::Special));
    let twice = Archive::new(zip(vec![file("a", b"1"), file("a", b"2")]).bytes()).unwrap();
    assert_eq!(twice.read("a").unwrap_err().refusal(), Some(Refusal::Collision));
}

#[test]
fn a_stream_of_a_damaged_entry_ends_with_an_error() {
    let bad = Archive::new(zip(vec![deflated("x", &[b'x'; 600_000]).with(|e| e.crc = Some(1))]).bytes()).unwrap();
    let mut content = Vec::new();
    let error = bad.reader("x").unwrap().read_to_end(&mut content).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>()).and_then(Error::refusal);
    assert_eq!(inner, Some(Refusal::Corrupt));
    drop(bad.reader("x").unwrap());
}

#[test]
fn what_changed_between_two_archives_is_told_from_their_directories() {
    let old = Archive::new(
        zip(vec![file("same", b"1"), file("gone", b"22"), file("content", b"333"), file("size", b"4")]).bytes(),
    )
    .unwrap();
    let new = Archive::new(
        zip(vec![deflated("same", b"1"), file("content", b"xyz"), file("size", b"44"), file("new", b"5")]).bytes(),
    )
    .unwrap();
    let diff = old.diff(&new);
    let show = |list: &[squarecloud_blocking::Difference]| {
        list.iter().map(|d| (d.name.clone(), d.old_size, d.new_size)).collect::<Vec<_>>()
    };
    assert_eq!(show(&diff.added), [("new".into(), None, Some(1))]);
    assert_eq!(show(&diff.removed), [("gone".into(), Some(2), None)]);
    assert_eq!(show(&diff.changed), [("content".into(), Some(3), Some(3)), ("size".into(), Some(1), Some(2))]);
    assert!(old.diff(&old).is_empty());
}

/// Fails at every read from the given one on.
struct Failing(Vec<u8>, AtomicU64);

impl Source for Failing {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.0.read_at(offset, &mut buf[..1]),
            Err(_) => Err(io::Error::other("the disk is gone")),
        }
    }
}

#[test]
fn a_source_that_fails_at_any_read_leaves_nothing() {
    let bytes = zip(vec![deflated("a", b"12345"), file("b/c", b"678"), link("l", "a")]).bytes();
    let out = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for reads in 0.. {
        let result = Archive::new(Failing(bytes.clone(), reads.into()))
            .and_then(|a| a.extract_with(out.path().join("t"), &ExtractOptions::new().threads(2)));
        match result {
            Ok(_) => break,
            Err(Error::Archive { .. }) => refused += 1,
            Err(e) => panic!("{e}"),
        }
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
    assert!(refused > bytes.len());
    assert_eq!(paths(&out.path().join("t")), ["a", "b/c", "l"]);
}

#[test]
fn a_new_target_may_be_spelled_with_a_dot_or_a_separator() {
    for spelled in ["new", "new/", "new/.", "deep/new/."] {
        let out = tempfile::tempdir().unwrap();
        sample().extract(out.path().join(spelled)).unwrap_or_else(|e| panic!("{spelled}: {e:?}"));
        assert!(out.path().join(spelled).join("top.json").is_file(), "{spelled}");
    }
}
