//! One list of archives through every door: the file, the download, the reader and the archive at the snapshot host take
//! and refuse the same ones.

use std::fs;
use std::io::Read;

use squarecloud_blocking::{Archive, Refusal, Snapshot};

use crate::raw_zip::*;
use crate::sandbox::Sandbox;

/// What real tools wrote: small, and each for its whole kind.
const CASES: [(&str, &[u8]); 11] = [
    ("case", include_bytes!("cases/case.zip")),
    ("colon", include_bytes!("cases/colon.zip")),
    ("dir4096", include_bytes!("cases/dir4096.zip")),
    ("dot", include_bytes!("cases/dot.zip")),
    ("izarc", include_bytes!("cases/izarc.zip")),
    ("latin1", include_bytes!("cases/latin1.zip")),
    ("local-ffff-noextra", include_bytes!("cases/local-ffff-noextra.zip")),
    ("links", include_bytes!("cases/links.zip")),
    ("padded", include_bytes!("cases/padded.zip")),
    ("stub", include_bytes!("cases/stub.zip")),
    ("utf8flag", include_bytes!("cases/utf8flag.zip")),
];

fn x() -> E {
    deflated("x", b"12345 12345 12345")
}

/// Its checksum is given: tens of thousands take a while to compute.
fn empty(name: String) -> E {
    file(name, b"").with(|e| e.crc = Some(0))
}

/// Archives, and whether they are taken.
fn through_the_doors() -> Vec<(&'static str, Vec<u8>, bool)> {
    let fine = || zip(vec![folder("d/"), x(), file("d/a", b"1")]);
    let script = b"#!/bin/sh\nexec unzip $0\n".to_vec();
    let inner = zip(vec![file("inner", b"x")]).bytes();
    let cut_off = |stored: &[u8], more: &[u8]| {
        let whole = zip(vec![file("a", b"1"), file("stored", stored), file("b", b"2")]).bytes();
        let at = whole.windows(stored.len()).position(|bytes| bytes == stored).unwrap();
        [&whole[..at + stored.len()], more].concat()
    };
    // An archive, and a second directory behind its end that lists its first entry only.
    let listed_again = {
        let all = zip(vec![file("a", b"1"), file("b", b"2")]).bytes();
        let first = zip(vec![file("a", b"1")]).with(|z| z.offset = Some(all.len() as u32)).bytes();
        [&all[..], &first[32..]].concat()
    };
    let many = |count: usize| zip((0..count).map(|i| empty(format!("{i:0200}"))).collect());
    vec![
        ("fine", fine().bytes(), true),
        ("highly compressible", zip(vec![deflated("pg_wal/1", &vec![0; 16 << 20])]).bytes(), true),
        ("empty", zip(vec![]).bytes(), true),
        ("comment", fine().with(|z| z.comment = vec![b'x'; 65_535]).bytes(), true),
        (
            "script, offsets from its end",
            fine().with(|z| (z.prefix, z.relative) = (script.clone(), true)).bytes(),
            true,
        ),
        ("script, offsets from the start", fine().with(|z| z.prefix = script.clone()).bytes(), true),
        ("zeros", fine().with(|z| z.trailing = vec![0; 10_000]).bytes(), true),
        ("line break", fine().with(|z| z.trailing = b"\r\n".to_vec()).bytes(), true),
        ("signature", fine().with(|z| z.trailing = vec![b's'; 65_535]).bytes(), true),
        ("ZIP64", fine().with(|z| z.zip64 = Some(Z64::default())).bytes(), true),
        ("large directory", many(1000).bytes(), true),
        ("large directory and a line break", many(1000).with(|z| z.trailing = b"\n".to_vec()).bytes(), true),
        ("large and a script", many(1000).with(|z| (z.prefix, z.relative) = (vec![b'#'; 200_000], true)).bytes(), true),
        ("modulo 65,536", zip((0..65_536).map(|i| empty(format!("{i}"))).collect()).bytes(), true),
        (
            "odd headers",
            zip(vec![x().described().with(|e| (e.flags, e.local_size) = (0, Some(u32::MAX)))]).bytes(),
            true,
        ),
        ("nothing", vec![], false),
        ("text", b"hello, world".to_vec(), false),
        (
            "cut off",
            {
                let mut all = fine().bytes();
                all.pop();
                all
            },
            false,
        ),
        ("cut off in the comment", fine().with(|z| z.comment_length = Some(9)).bytes(), false),
        ("an archive behind another", [fine().bytes(), fine().bytes()].concat(), false),
        ("two records", fine().with(|z| z.comment = zip(vec![]).bytes()).bytes(), false),
        ("an entry behind the end", [fine().bytes(), file("evil", b"x").local()].concat(), false),
        ("too much behind the end", fine().with(|z| z.trailing = vec![1; 65_536]).bytes(), false),
        ("a count that is wrong", fine().with(|z| z.count = Some((2, 2))).bytes(), false),
        (
            "a directory that is none",
            {
                let mut all = fine().bytes();
                let at = all.len() - 22 - 49;
                all[at] ^= 1;
                all
            },
            false,
        ),
        ("cut off behind an archive in it", cut_off(&inner, b""), false),
        ("cut off behind an archive in a tar in it", cut_off(&inner, b"more"), false),
        ("cut off behind a large archive in it", cut_off(&many(1000).bytes(), b""), false),
        ("cut off, behind a script", [&script[..], &cut_off(&inner, b"")].concat(), false),
        ("cut off, behind a script, and a line break", [&script[..], &cut_off(&inner, b"\n")].concat(), false),
        ("cut off, behind a marker", [b"PK00", &cut_off(&inner, b"")[..]].concat(), false),
        ("cut off, behind another marker", [b"PK\x07\x08", &cut_off(&inner, b"")[..]].concat(), false),
        ("cut off in a descriptor", cut_off(&inner, b"PK\x07\x08\x01\x02\x03\x04"), false),
        ("a marker", fine().with(|z| z.prefix = b"PK00".to_vec()).bytes(), true),
        ("listed again", listed_again.clone(), false),
        ("listed again, and a line break", [&listed_again[..], b"\n"].concat(), false),
        (
            "an archive in it and a line break",
            zip(vec![file("inner", &inner)]).with(|z| z.trailing = b"\n".to_vec()).bytes(),
            true,
        ),
        ("a record in the comment", fine().with(|z| z.comment = [&inner[..], b"x"].concat()).bytes(), false),
        ("a record's signature in the comment", fine().with(|z| z.comment = b"see PK\x05\x06".to_vec()).bytes(), false),
    ]
}

#[test]
fn every_door_has_the_same_judge() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let out = tempfile::tempdir().unwrap();
    let cases = CASES.map(|(what, bytes)| (what, bytes.to_vec(), true));
    for (i, (what, bytes, taken)) in through_the_doors().into_iter().chain(cases).enumerate() {
        let path = out.path().join(format!("{i}.zip"));
        fs::write(&path, &bytes).unwrap();
        let link = sandbox.put_object(&format!("doors/{i}.zip"), bytes.clone());
        let snapshot = Snapshot::from_url(&link.url).unwrap();
        let mut read = Vec::new();
        let doors = [
            ("Archive::open", Archive::open(&path).map(drop).map_err(|e| e.to_string())),
            (
                "download",
                snapshot.download(out.path().join(format!("{i}-got.zip"))).map(drop).map_err(|e| e.to_string()),
            ),
            (
                "reader",
                snapshot
                    .reader()
                    .map_err(|e| e.to_string())
                    .and_then(|mut r| r.read_to_end(&mut read).map(drop).map_err(|e| e.to_string())),
            ),
            ("archive", snapshot.archive().map(drop).map_err(|e| e.to_string())),
        ];
        for (door, result) in doors {
            assert_eq!(result.is_ok(), taken, "{what} through {door}: {result:?}");
        }
        assert_eq!(read, bytes, "{what}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_real_tools_wrote_is_extracted_or_refused_with_a_reason() {
    for (what, bytes) in CASES {
        let out = tempfile::tempdir().unwrap();
        let archive = Archive::new(bytes).unwrap();
        assert!(archive.verify().unwrap().is_ok(), "{what}");
        let result = archive.extract(out.path().join("t"));
        match what {
            // Names in no encoding that is known: see `ExtractOptions::cp437`.
            "latin1" => assert_eq!(result.unwrap_err().refusal(), Some(Refusal::Name)),
            _ => assert!(result.is_ok(), "{what}: {result:?}"),
        }
    }
}
