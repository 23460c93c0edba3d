//! What an archive at the snapshot host costs: requests and bytes, counted by the host.

use std::sync::Arc;

use squarecloud_blocking::{Archive, Client, ExtractOptions, Remote};

use crate::download_origin::{Origin, quick_dir};
use crate::raw_zip::{self, deflated, file, zip};
use crate::remote_support::{Corpus, Cost, FIRST, GAP, REQUEST, Work, builder, folders, gaps, made, wait_until};

fn host(bytes: &Arc<Vec<u8>>) -> Origin<false> {
    let bytes = bytes.clone();
    Origin::start(move |asked| crate::download_origin::Reply::right(&bytes, Some("\"one\""), asked))
}

fn client() -> Client {
    builder().build().unwrap()
}

/// What the host has counted so far, when all is sent.
fn cost(host: &Origin<false>) -> Cost {
    wait_until(|| host.under_way() == 0);
    Cost { requests: host.asked().len() as u64, bytes: host.sent() }
}

fn since(host: &Origin<false>, before: Cost) -> Cost {
    let now = cost(host);
    Cost { requests: now.requests - before.requests, bytes: now.bytes - before.bytes }
}

/// The host and the client count the same, but for the rest of a gap at a request's end: nobody waits for that.
#[track_caller]
fn assert_stats(archive: &Archive<Remote>, host: &Origin<false>) {
    let (stats, sent) = (archive.source().stats(), cost(host));
    assert_eq!(stats.requests, sent.requests);
    assert!(stats.bytes <= sent.bytes && sent.bytes - stats.bytes <= GAP, "{stats:?}, {sent:?}");
}

/// Each kind of work stays within what the issue allows, opening included.
#[track_caller]
fn assert_cost(corpus: &Corpus) {
    assert_cost_and(corpus, &Work::ALL, Cost::default());
}

/// The same, with a little more for what the central directory does not tell.
#[track_caller]
fn assert_cost_and(corpus: &Corpus, works: &[Work], more: Cost) {
    for work in works {
        let host = host(&corpus.bytes);
        let archive = work.run(&client(), &host.url(), corpus).unwrap();
        cost(&host).assert_within(corpus.allowed(*work).and(more), &format!("{work:?} of {corpus:?}"));
        assert_stats(&archive, &host);
    }
}

#[test]
fn few_small_files() {
    assert_cost(&Corpus::new("60 small files", made(folders(3, 20, 9000))));
    let all_in_the_first_window = Corpus::new("tiny", made(folders(3, 10, 200)));
    assert!(all_in_the_first_window.len() < FIRST);
    for work in Work::ALL {
        let host = host(&all_in_the_first_window.bytes);
        work.run(&client(), &host.url(), &all_in_the_first_window).unwrap();
        assert_eq!(cost(&host), Cost { requests: 1, bytes: all_in_the_first_window.len() });
    }
}

#[test]
fn many_small_files() {
    let corpus = Corpus::new("3,000 small files", made(folders(30, 100, 1200)));
    assert!(corpus.directory() > 2 * FIRST);
    assert_cost(&corpus);
}

#[test]
fn one_big_entry() {
    let corpus = Corpus::new(
        "a big entry",
        made(|maker| {
            folders(2, 20, 3000)(maker);
            maker.file("app/big.bin", 40 << 20);
            maker.file("app/end.txt", 100_000);
        }),
    );
    assert_cost(&corpus);
    let host = host(&corpus.bytes);
    let archive = client().open_url(&host.url()).unwrap().archive().unwrap();
    let before = cost(&host);
    let mut copied = Vec::new();
    archive.copy("app/big.bin", &mut copied).unwrap();
    assert!(copied == corpus.local.read("app/big.bin").unwrap());
    let allowed = Cost { requests: (40 << 20) / REQUEST + 1, bytes: (40 << 20) + (16 << 10) };
    since(&host, before).assert_within(allowed, "copying it");
    assert_stats(&archive, &host);
}

/// A hardly compressible entry, deflated.
#[test]
fn one_big_deflated_entry() {
    let noise = made(|maker| maker.file("x", 12 << 20));
    let entries = (0..40).map(|n| deflated(format!("app/{:02}/{n}", n / 20), &noise[n * 5000..][..5000]));
    let big = deflated("app/big.bin", &noise);
    let corpus = Corpus::new("a big deflated entry", zip(entries.chain([big]).collect()).bytes());
    assert!(corpus.len() > 12 << 20);
    assert_cost(&corpus);
}

#[test]
fn media_files() {
    assert_cost(&Corpus::new("media files", made(folders(2, 20, 500_000))));
}

/// The targets of links cost nothing of their own, wherever they are.
#[test]
fn links_all_over_the_archive() {
    let corpus = Corpus::new(
        "links",
        made(|maker| {
            for n in 0..48 {
                maker.file(&format!("app/{:02}/file-{n}", n / 24), 400_000 + n);
                maker.link(&format!("app/{:02}/link-{n}", n / 24), &format!("file-{n}"));
            }
        }),
    );
    assert_cost(&corpus);
}

/// A program in front of the archive; offsets count it or do not. That it is no archive is looked at first.
#[test]
fn a_prefix() {
    let entries: Vec<raw_zip::E> =
        (0..60).map(|n| file(format!("app/{:02}/file-{n}", n / 20), &vec![n as u8; 20_000])).collect();
    for relative in [false, true] {
        let prefix = [b"#!/bin/sh\nexit 0\n", vec![b'#'; 300_000].as_slice()].concat();
        let bytes = zip(entries.clone()).with(|z| (z.prefix, z.relative) = (prefix, relative)).bytes();
        let corpus = Corpus::new("a prefix", bytes);
        let places = 1 + u64::from(relative);
        let look = Cost { requests: places, bytes: places * (16 << 10) };
        assert_cost_and(&corpus, &Work::ALL.map(|work| if work == Work::Folder { Work::List } else { work }), look);
        // Before anything is extracted, all of it is looked at.
        let all = Cost { requests: 1, bytes: 300_017 };
        assert_cost_and(&corpus, &[Work::Folder], look.and(all));
    }
}

#[test]
fn data_descriptors_and_long_extra_fields() {
    let plain = |n: usize| deflated(format!("app/{:02}/file-{n}", n / 100), &vec![n as u8; 1000 + n]);
    let described = zip((0..500).map(|n| plain(n).described()).collect()).bytes();
    assert_cost(&Corpus::new("data descriptors", described));
    // As of an aligned archive: the central directory does not tell of them.
    let padded = |n: usize| plain(n).with(|e| e.local_extra = raw_zip::field(0xD935, &[0; 3000]));
    let corpus = Corpus::new("long extra fields", zip((0..400).map(padded).collect()).bytes());
    assert_cost_and(&corpus, &[Work::List, Work::Everything, Work::Verify], Cost::default());
    assert_cost_and(&corpus, &[Work::Read, Work::Copy], Cost { requests: 1, bytes: 128 << 10 });
}

/// The first request brings the directory, or the second one exactly what is missing.
#[test]
fn opening_costs_one_request_or_two() {
    for (directory, requests) in [(FIRST - 23, 1), (FIRST - 22, 1), (FIRST - 21, 2), (FIRST, 2), (4 * FIRST, 2)] {
        let corpus = Corpus::new("an edge", with_directory(directory));
        assert_eq!(corpus.directory(), directory);
        let host = host(&corpus.bytes);
        Work::List.run(&client(), &host.url(), &corpus).unwrap();
        let bytes = (directory + 22).max(FIRST);
        assert_eq!(cost(&host), Cost { requests, bytes }, "{directory}");
    }
}

/// An archive whose central directory has this length.
fn with_directory(length: u64) -> Vec<u8> {
    let count = length / 100;
    let rest = (length - count * 100) as usize;
    let name = |n: u64| format!("app/{:02}/{n:047}{}", n % 50, "x".repeat(if n == 0 { rest } else { 0 }));
    // It is longer than the first request, and nobody reads its data.
    let content = |n: u64| if n == 0 { vec![b'#'; 70_000] } else { b"some text".to_vec() };
    zip((0..count).map(|n| file(name(n), &content(n)).with(|e| e.crc = Some(0x1234))).collect()).bytes()
}

/// Small gaps are read over and large ones are not. Those between cost either their bytes or a request each.
#[test]
fn what_a_filter_leaves_out() {
    for (gap, files) in [(10_000, 60), (60_000, 60), (200_000, 30), (GAP as usize + 20_000, 20), (1_000_000, 8)] {
        let bytes = made(|maker| {
            folders(2, 2, 100)(maker);
            for n in 0..files {
                maker.file(&format!("app/wanted-{n}"), 90_000);
                maker.file(&format!("app/other-{n}"), gap);
            }
        });
        let corpus = Corpus::new("gaps", bytes);
        let (sum, ranges) = corpus.packed(|name| name.contains("wanted"));
        let gaps = gaps(&ranges).len() as u64;
        let host = host(&corpus.bytes);
        let archive = client().open_url(&host.url()).unwrap().archive().unwrap();
        let (before, dir) = (cost(&host), quick_dir());
        let options = ExtractOptions::new().filter(|entry| entry.name().contains("wanted"));
        assert_eq!(archive.extract_with(dir.path(), &options).unwrap().files, files);
        let bytes = sum * 105 / 100 + gaps * (64 << 10);
        let skipped = if gap < 64 << 10 { 0 } else { gaps };
        let allowed = Cost { requests: bytes / REQUEST + skipped + 2, bytes };
        since(&host, before).assert_within(allowed, &format!("gaps of {gap}"));
        assert_stats(&archive, &host);
    }
}

/// Each of a few files far apart costs a request and not much more than itself.
#[test]
fn scattered_files_are_read_in_one_go() {
    let corpus = Corpus::new("media files", made(folders(2, 20, 500_000)));
    let host = host(&corpus.bytes);
    let archive = client().open_url(&host.url()).unwrap().archive().unwrap();
    let wanted: Vec<String> = corpus.local.entries().step_by(9).map(|e| e.name().to_owned()).collect();
    let before = cost(&host);
    let read = archive.read_many(&wanted).unwrap();
    assert!(read.iter().zip(&wanted).all(|(read, name)| *read == corpus.local.read(name).unwrap()));
    let count = wanted.len() as u64;
    let bytes = read.iter().map(|read| read.len() as u64 + (16 << 10)).sum();
    since(&host, before).assert_within(Cost { requests: count, bytes }, "five files");
    let before = cost(&host);
    assert!(archive.read_many([wanted[0].as_str(), "no such file"]).is_err());
    assert!(archive.read_many([""; 0]).unwrap().is_empty());
    assert_eq!(since(&host, before), Cost::default(), "nothing is fetched in vain");
    // Twice the same name is the same content twice.
    let twice = archive.read_many([&wanted[1], &wanted[1]]).unwrap();
    assert!(twice[0] == twice[1] && twice[0] == read[1]);
    since(&host, before).assert_within(Cost { requests: 1, bytes: 520_000 }, "one file");
}

/// Comparing reads the directories only.
#[test]
fn a_diff_costs_one_or_two_requests_each() {
    for (each, requests) in [(20, 1), (800, 2)] {
        let old = Corpus::new("old", made(folders(3, each, 5000)));
        let new = Corpus::new(
            "new",
            made(|maker| {
                folders(3, each, 5000)(maker);
                maker.file("app/added", 5000);
            }),
        );
        let (old_host, new_host) = (host(&old.bytes), host(&new.bytes));
        let open = |host: &Origin<false>| client().open_url(&host.url()).unwrap().archive().unwrap();
        let (old_remote, new_remote) = (open(&old_host), open(&new_host));
        let right = old.local.diff(&new.local);
        assert_eq!((right.added.len(), right.removed.len(), right.changed.len()), (1, 0, 0));
        assert_eq!(old_remote.diff(&new_remote), right);
        assert_eq!(old_remote.diff(&new.local), right);
        assert_eq!(old.local.diff(&new_remote), right);
        for (host, corpus) in [(&old_host, &old), (&new_host, &new)] {
            assert_eq!(cost(host).requests, requests);
            cost(host).assert_within(corpus.allowed(Work::List), "a diff");
        }
    }
}

/// A plan costs no more than the links' targets.
#[test]
fn a_plan_alone() {
    let corpus = Corpus::new("media files", made(folders(2, 20, 500_000)));
    let host = host(&corpus.bytes);
    let archive = client().open_url(&host.url()).unwrap().archive().unwrap();
    assert_eq!(archive.plan(&ExtractOptions::new()).unwrap().files(), 40);
    assert_eq!(cost(&host), Cost { requests: 1, bytes: FIRST });
}
