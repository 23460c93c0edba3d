//! What real tools write and no reader can be misled by is opened, verified and extracted; and what comes close to it and
//! does mislead is refused.

use std::fs;

use squarecloud_blocking::{Archive, Error, ExtractOptions, Limits, Links, Refusal};

use crate::raw_zip::*;

/// Extracted with these options, as paths and contents.
fn extracted_with(bytes: &[u8], options: &ExtractOptions) -> Result<Vec<(String, String)>, Error> {
    let out = tempfile::tempdir().unwrap();
    let archive = Archive::new(bytes.to_vec())?;
    let result = archive.extract_with(out.path().join("t"), options);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), usize::from(result.is_ok()));
    result?;
    let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
    Ok(tree(&out.path().join("t")).into_iter().map(|(path, content)| (path, text(content))).collect())
}

/// Whole, and extracted to these files.
fn honest(what: &str, bytes: &[u8], want: &[(&str, &str)]) {
    let archive = Archive::new(bytes.to_vec()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let verified = archive.verify().unwrap();
    assert!(verified.is_ok(), "{what}: {:?}", verified.bad);
    let found = extracted_with(bytes, &ExtractOptions::new()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let files: Vec<_> = found.iter().filter(|(_, content)| content != "dir").collect();
    assert_eq!(files.len(), want.len(), "{what}: {found:?}");
    for ((path, content), (want, text)) in files.into_iter().zip(want) {
        assert_eq!((path.as_str(), content.as_str()), (*want, format!("={text}").as_str()), "{what}");
        if let Some(entry) = archive.entry(want) {
            assert_eq!(archive.read(want).unwrap(), text.as_bytes(), "{what}");
            assert_eq!(entry.size(), text.len() as u64, "{what}");
        }
    }
}

fn refusal(bytes: &[u8]) -> Option<Refusal> {
    extracted_with(bytes, &ExtractOptions::new()).err().and_then(|e| e.refusal())
}

fn x() -> E {
    deflated("x", b"12345 12345 12345")
}

/// Its checksum is given: tens of thousands take a while to compute.
fn empty(name: String) -> E {
    file(name, b"").with(|e| e.crc = Some(0))
}

const X: &[(&str, &str)] = &[("x", "12345 12345 12345")];

#[test]
fn highly_compressible_files_are_extracted_unless_a_ratio_is_asked_for() {
    // What a preallocated log of a database looks like: above 256 to 1, and above 8 MiB.
    let bytes = zip(vec![deflated("pg_wal/1", &vec![0; 16 << 20])]).bytes();
    assert_eq!(refusal(&bytes), None);
    let limited = |limits| extracted_with(&bytes, &ExtractOptions::new().limits(limits)).err().unwrap().refusal();
    assert_eq!(limited(Limits::new().ratio(256)), Some(Refusal::Ratio));
    assert_eq!(limited(Limits::new().total_bytes(8 << 20)), Some(Refusal::TooLarge));
}

#[test]
fn headers_may_differ_in_what_misleads_nobody() {
    let one = |what: &str, entry: E, want| honest(what, &zip(vec![entry, folder("d/")]).bytes(), want);
    let named = |flags, local| file("é.txt", b"1").with(|e| (e.flags, e.local_flags) = (flags, Some(local)));
    one("UTF-8 there only", named(0, UTF8), &[("é.txt", "1")]);
    one("UTF-8 in the directory only", named(UTF8, 0), &[("é.txt", "1")]);
    one("UTF-8 in the directory only, of DOS", named(UTF8, 0).with(|e| e.host = 0), &[("é.txt", "1")]);
    one("descriptor there only", x().described().with(|e| (e.flags, e.local_flags) = (0, Some(8))), X);
    one(
        "descriptor in the directory only",
        x().with(|e| e.after = x().described().after).with(|e| (e.flags, e.local_flags) = (8, Some(0))),
        X,
    );
    let sizes = |crc, compressed, size| {
        x().described().with(|e| (e.local_crc, e.local_compressed_size, e.local_size) = (crc, compressed, size))
    };
    let (zero, ones) = (Some(0), Some(u32::MAX));
    for (what, crc, compressed, size) in [
        ("ones", zero, ones, ones),
        ("the right size only", zero, zero, None),
        ("the right checksum only", None, zero, zero),
        ("ones and the right one", None, ones, None),
    ] {
        one(what, sizes(crc, compressed, size), X);
    }
    one("zeros in a ZIP64 field", x().with(|e| e.extra = zip64_field(&[0, 0, 0])), X);
    one(
        "a zero in a ZIP64 field",
        x().with(|e| {
            let size = e.content.len() as u64;
            e.extra = zip64_field(&[size, 0]);
        }),
        X,
    );
    one("zeros in the local ZIP64 field", x().with(|e| e.local_extra = zip64_field(&[0, 0])), X);
    one(
        "a zero in the local ZIP64 field",
        x().with(|e| {
            let size = e.content.len() as u64;
            e.local_extra = zip64_field(&[size, 0]);
        }),
        X,
    );
    one(
        "right sizes in the local ZIP64 field of a stream",
        x().described().with(|e| {
            let sizes = [e.content.len() as u64, e.compressed.as_ref().unwrap().len() as u64];
            e.local_extra = zip64_field(&sizes);
        }),
        X,
    );
    let slashed = |host, name: &str, local: &str| {
        file(name, b"hello").with(|e| (e.host, e.local_name) = (host, Some(local.into())))
    };
    one("backslashes", slashed(0, "a\\b\\c", "a/b/c"), &[("a/b/c", "hello")]);
    one("slashes", slashed(10, "a/b/c", "a\\b\\c"), &[("a/b/c", "hello")]);
    // Java on Linux says its host is DOS: beside a slash, a backslash is a letter.
    one("a backslash beside a slash", slashed(0, "d/a\\x2d", "d/a\\x2d"), &[("d/a\\x2d", "hello")]);
    one("a backslash at the end beside a slash", slashed(0, "d/a\\", "d/a\\"), &[("d/a\\", "hello")]);
    for (name, local) in [("a/b/c", "a\\b/c"), ("a/b\\c", "a\\b\\c"), ("a\\b\\c", "a/b\\c")] {
        assert_eq!(refusal(&zip(vec![slashed(0, name, local)]).bytes()), Some(Refusal::Corrupt), "{name} {local}");
    }
}

#[test]
fn a_descriptor_is_needed_only_where_the_header_leaves_something_open() {
    let followed = |flags, local, after: &[u8]| {
        let first = x().with(|e| (e.flags, e.local_flags, e.after) = (flags, Some(local), after.to_vec()));
        zip(vec![first, file("y", b"1")]).bytes()
    };
    let padded = |after: &[u8]| [b"\0\0\0", after].concat();
    let right = x().described().after;
    let wrong = [&right[..15], b"x"].concat();
    for (flags, local) in [(8, 0), (0, 8), (8, 8), (0, 0)] {
        for after in [vec![], padded(b""), vec![0; 100], right.clone(), wrong.clone(), [&right[..], b"\0\0"].concat()] {
            honest(&format!("{flags} {local} {after:?}"), &followed(flags, local, &after), &[X[0], ("y", "1")]);
        }
        // Readers of the stream would take the padding for data.
        for after in [padded(&right), padded(&wrong), [&wrong[..], &right].concat()] {
            assert_eq!(refusal(&followed(flags, local, &after)), Some(Refusal::Corrupt), "{flags} {local} {after:?}");
        }
    }
    for after in [vec![], padded(b""), padded(&right), wrong] {
        let open = x().described().with(|e| e.after = after);
        assert_eq!(refusal(&zip(vec![open, file("y", b"1")]).bytes()), Some(Refusal::Corrupt));
    }
}

#[test]
fn directories_without_data_may_claim_what_they_like() {
    let claims = |size, crc| folder("d/").with(|e| (e.size, e.crc) = (Some(size), Some(crc)));
    for (what, directory) in [
        ("a size", claims(4096, 0)),
        ("a size and a checksum", claims(4096, 7)),
        ("a size there only", folder("d/").with(|e| e.local_size = Some(4096))),
        ("a size in the directory only", claims(4096, 0).with(|e| e.local_size = Some(0))),
        ("a size and deflate", claims(4096, 0).with(|e| e.method = 8)),
        ("a size, by its name only", claims(4096, 0).with(|e| (e.host, e.mode) = (0, 0))),
    ] {
        let bytes = zip(vec![directory, file("d/a", b"1")]).bytes();
        honest(what, &bytes, &[("d/a", "1")]);
        let archive = Archive::new(bytes).unwrap();
        assert_eq!((archive.entry("d/").unwrap().size(), archive.total_size()), (0, 1), "{what}");
        assert_eq!(archive.plan(&ExtractOptions::new()).unwrap().bytes(), 1);
        assert_eq!(archive.verify().unwrap().bytes, 1);
    }
    let twice = zip(vec![folder("d/"), file("d/a", b"1"), folder("d/").with(|e| e.mode = 0o040_700)]);
    honest("a directory twice", &twice.bytes(), &[("d/a", "1")]);
    let listed_again = folder("d/").with(|e| (e.no_local, e.offset) = (true, Some(0)));
    let shared = zip(vec![folder("d/"), file("d/a", b"1"), listed_again.clone(), listed_again]);
    honest("a local header listed three times", &shared.bytes(), &[("d/a", "1")]);
    let other = folder("e/").with(|e| (e.no_local, e.offset) = (true, Some(0)));
    assert_eq!(refusal(&zip(vec![folder("d/"), other]).bytes()), Some(Refusal::Corrupt));
    let under_it = file("d/", b"1").with(|e| (e.mode, e.no_local, e.offset) = (0o100_644, true, Some(0)));
    assert!(refusal(&zip(vec![folder("d/"), file("pad", b"1"), under_it]).bytes()).is_some());
}

#[test]
fn a_count_without_zip64_may_be_modulo_65536() {
    for count in [65_536, 65_537] {
        let all = (0..count).map(|i| empty(format!("{i}"))).collect();
        let z = zip(all).with(|z| z.count = Some((count as u16, count as u16)));
        let archive = Archive::new(z.bytes()).unwrap();
        assert_eq!(archive.len(), count);
        assert!(archive.entry("65535").is_some());
        let one_more = (count as u16 + 1, count as u16 + 1);
        assert!(Archive::new(z.clone().with(|z| z.count = Some(one_more)).bytes()).is_err());
        let wide = Some(Z64 { count: Some(count as u64 & 0xFFFF), ..Z64::default() });
        assert!(Archive::new(z.with(|z| (z.zip64, z.count) = (wide, None)).bytes()).is_err());
    }
}

#[test]
fn other_bytes_may_lie_behind_the_end_and_between_entries() {
    let fine = || zip(vec![x()]);
    for trailing in [&b"\n"[..], b"\r\n", b"\0\n", b"-- signed by someone, PK and PK\x06 --", &[7; 65_535]] {
        honest("behind the end", &fine().with(|z| z.trailing = trailing.to_vec()).bytes(), X);
    }
    honest(
        "behind the comment",
        &fine().with(|z| (z.comment, z.trailing) = (b"comment".to_vec(), b"\n".to_vec())).bytes(),
        X,
    );
    honest("behind ZIP64", &fine().with(|z| (z.zip64, z.trailing) = (Some(Z64::default()), b"\n".to_vec())).bytes(), X);
    honest(
        "behind a script",
        &fine().with(|z| (z.prefix, z.relative, z.trailing) = (b"#!/bin/sh\n".to_vec(), true, b"\n".to_vec())).bytes(),
        X,
    );
    let inner = file("inner.zip", &zip(vec![file("a", b"1")]).bytes());
    let both = zip(vec![inner.clone()]).with(|z| z.trailing = b"\n".to_vec()).bytes();
    assert_eq!(Archive::new(both).unwrap().len(), 1);
    let between = |gap: &[u8]| zip(vec![x().with(|e| e.after = gap.to_vec()), file("y", b"1")]).bytes();
    honest("a gap", &between(b"padding, PK and PK\x06"), &[X[0], ("y", "1")]);
    let by_attribute = file("d", b"").with(|e| (e.host, e.mode, e.attributes) = (0, 0, 0x10));
    honest("a directory of 7-Zip's", &zip(vec![by_attribute, file("d/x", b"1")]).bytes(), &[("d/x", "1")]);
    honest("letters of a header", &between(b"a header begins with PK\x03\x04 and a version"), &[X[0], ("y", "1")]);
    // Whatever a header says of itself, some reader makes something of it.
    let nameless = file("", b"x").with(|e| e.local_extra = unicode_path(b"", b"hidden")).local();
    let odd_method = file("hidden", b"x").with(|e| e.method = 50).local();
    let long_name = file("./".repeat(2500) + "hidden", b"x").local();
    let directory = zip(vec![file("hidden", b"x")]).bytes().split_off(37);
    let signatures = [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"].map(|signature| signature.to_vec());
    for hidden in [nameless, odd_method, long_name, directory].into_iter().chain(signatures) {
        assert_eq!(refusal(&between(&hidden)), Some(Refusal::Corrupt));
        assert_eq!(refusal(&between(&[&[0; 65_534], &hidden[..]].concat())), Some(Refusal::Corrupt));
        let behind = [&zip(vec![x()]).bytes(), &b"\n"[..], &hidden].concat();
        assert!(Archive::new(behind).is_err());
    }
}

#[test]
fn a_program_in_front_may_have_signatures_and_no_entry() {
    let behind = |prefix: &[u8]| zip(vec![x()]).with(|z| z.prefix = prefix.to_vec()).bytes();
    let program =
        [&b"\x7fELF PK\x03\x04\0 PK\x05\x06, PK\x01\x02 and PK\x03\x04"[..], &[0; 40], b" PK\x03\x04"].concat();
    for prefix in [b"PK00", b"PK\x07\x08", &program[..]] {
        honest("a prefix", &behind(prefix), X);
    }
    let nameless = file("", b"x").with(|e| e.local_extra = unicode_path(b"", b"hidden")).local();
    for entry in [file("hidden", b"x").local(), nameless, file("./".repeat(2500), b"x").local()] {
        for start in [&b""[..], b"PK00", b"PK\x07\x08", b"#!/bin/sh\n", &[b'#'; 5000]] {
            assert_eq!(refusal(&behind(&[start, &entry].concat())), Some(Refusal::Corrupt));
        }
    }
}

#[test]
fn a_cut_off_backup_is_not_taken_for_an_archive_in_it() {
    let inner = zip(vec![file("secret", b"x")]).bytes();
    for stored in [
        inner.clone(),
        [&b"tar "[..], &inner, b" more of the tar"].concat(),
        [&zip(vec![]).bytes()[..], b"..."].concat(),
    ] {
        let whole = zip(vec![file("a", b"1"), file("stored", &stored), file("b", b"2")]).bytes();
        for len in 0..whole.len() {
            assert!(Archive::new(whole[..len].to_vec()).is_err(), "{len} of {} bytes", whole.len());
        }
    }
}

#[test]
fn names_in_unknown_bytes_are_refused_until_it_is_said_what_they_are() {
    let z = zip(vec![file("ok", b"1"), file(b"caf\x82.txt", b"2")]);
    let archive = Archive::new(z.bytes()).unwrap();
    assert!(archive.verify().unwrap().is_ok());
    assert_eq!(archive.read("café.txt").unwrap(), b"2");
    let error = extracted_with(&z.bytes(), &ExtractOptions::new()).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Name));
    assert!(error.to_string().contains("ExtractOptions::cp437"), "{error}");
    let found = extracted_with(&z.bytes(), &ExtractOptions::new().cp437(true)).unwrap();
    assert_eq!(found, [("café.txt".into(), "=2".into()), ("ok".into(), "=1".into())]);
    // The option decodes; it does not make a name harmless.
    let climbs = zip(vec![file(b"../caf\x82", b"2")]).bytes();
    let error = extracted_with(&climbs, &ExtractOptions::new().cp437(true)).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::ClimbsOut));
    let flagged = zip(vec![file(b"caf\x82", b"2").with(|e| e.flags = UTF8)]).bytes();
    assert!(extracted_with(&flagged, &ExtractOptions::new().cp437(true)).is_err());
    honest(
        "UTF-8 of DOS without the flag",
        &zip(vec![file("café", b"1").with(|e| e.host = 0)]).bytes(),
        &[("café", "1")],
    );
}

#[test]
fn a_choice_that_matches_nothing_is_an_error() {
    let bytes = zip(vec![folder("./app/"), file("app/a", b"1"), link("app/l", "a"), file("../up", b"2")]).bytes();
    let archive = Archive::new(bytes.clone()).unwrap();
    let o = ExtractOptions::new;
    let app = |options: ExtractOptions| options.filter(|e| e.name().contains("app"));
    for (options, missing) in [
        (app(o().prefix("app/s")), "app/s"),
        (app(o().prefix("app").prefix("nope/").prefix("other")), "nope"),
        (o().filter(|_| false), ""),
        (app(o().strip(9)), ""),
        (o().filter(|e| e.name() == "app/a").prefix("app/l"), ""),
    ] {
        let planned = archive.plan(&options).map(drop).unwrap_err();
        let extracted = extracted_with(&bytes, &options).unwrap_err();
        for error in [planned, extracted] {
            assert!(matches!(&error, Error::NoSuchEntry { name, .. } if name == missing), "{error}");
            assert!(error.to_string().contains(missing) && !error.to_string().contains("\"\""), "{error}");
        }
    }
    assert!(extracted_with(&bytes, &app(o().prefix("").prefix("app/l"))).is_ok());
    let skipped = extracted_with(&bytes, &o().filter(|e| e.name() == "app/l").links(Links::Skip)).unwrap();
    assert_eq!(skipped, [("app".into(), "dir".into())]);
    assert_eq!(extracted_with(&bytes, &o().prefix("../up")).unwrap_err().refusal(), Some(Refusal::ClimbsOut));
    assert!(extracted_with(&zip(vec![]).bytes(), &o().strip(1)).unwrap().is_empty());
}
