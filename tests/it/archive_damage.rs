//! Damage: cut off anywhere or with any bit turned, an archive never panics, never writes outside its target and
//! never gives other bytes than those that were put in.

use std::collections::HashMap;
use std::fs;

use squarecloud_blocking::{Archive, ExtractOptions, Limits};

use crate::raw_zip::*;

fn sample() -> Vec<E> {
    vec![
        folder("d/"),
        deflated("d/a.txt", b"text text text text, and some more of it"),
        deflated("d/b.txt", b"streamed streamed streamed").described(),
        file("c.bin", &[0, 1, 2, 3, 250, 251]),
        link("d/l", "a.txt"),
    ]
}

fn contents() -> HashMap<String, Vec<u8>> {
    sample().into_iter().map(|e| (String::from_utf8(e.name).unwrap(), e.content)).collect()
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    for z in [
        zip(sample()),
        zip(sample()).with(|z| z.comment = b"the end".to_vec()),
        zip(sample()).with(|z| z.zip64 = Some(Z64::default())),
    ] {
        let whole = z.bytes();
        assert!(Archive::new(whole.clone()).is_ok());
        for len in 0..whole.len() {
            assert!(Archive::new(whole[..len].to_vec()).is_err(), "{len} of {} bytes", whole.len());
        }
    }
}

#[test]
fn an_archive_with_a_stored_archive_inside_is_refused_when_cut_off() {
    let whole = zip(vec![file("a", b"1"), file("inner.zip", &zip(sample()).bytes())]).bytes();
    for len in 0..whole.len() {
        assert!(Archive::new(whole[..len].to_vec()).is_err(), "{len} of {} bytes", whole.len());
    }
}

#[test]
fn a_turned_bit_never_gives_wrong_bytes() {
    let whole = zip(sample()).bytes();
    let want = contents();
    let around = tempfile::tempdir().unwrap();
    let parent = around.path().join("parent");
    fs::create_dir(&parent).unwrap();
    fs::write(around.path().join("canary"), "alive").unwrap();
    let options = ExtractOptions::new().threads(1).limits(Limits::new().total_bytes(1 << 20));
    let mut harmless = 0;
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(archive) = Archive::new(bytes) else { continue };
        let verified = archive.verify().unwrap();
        for entry in archive.entries() {
            let Ok(content) = archive.read(entry.name()) else { continue };
            // A turned bit in a name makes another name in both headers impossible, and in one it is found.
            assert_eq!(Some(&content), want.get(entry.name()), "bit {bit} of {}", entry.name());
        }
        let target = parent.join("t");
        match archive.extract_with(&target, &options) {
            Err(_) => assert_eq!(fs::read_dir(&parent).unwrap().count(), 0, "bit {bit} left something"),
            Ok(_) => {
                assert!(verified.is_ok(), "bit {bit} extracted and not verified: {:?}", verified.bad);
                harmless += 1;
                for (path, content) in want.iter().filter(|(path, _)| !path.ends_with('/')) {
                    let at = target.join(path);
                    let same = match fs::read_link(&at) {
                        Ok(link) => link.to_string_lossy().as_bytes() == content,
                        Err(_) => &fs::read(&at).unwrap() == content,
                    };
                    assert!(same, "bit {bit} changed {path}");
                }
                fs::remove_dir_all(&target).unwrap();
            }
        }
        assert_eq!(fs::read(around.path().join("canary")).unwrap(), b"alive");
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 2);
    }
    // Times, versions and modes may turn; most bits may not.
    assert!(harmless > 0 && harmless < whole.len() * 8 / 2, "{harmless} of {}", whole.len() * 8);
}

#[test]
fn verify_names_every_bad_entry_and_only_those() {
    let mut entries: Vec<E> =
        (0..100).map(|i| deflated(format!("f{i}"), format!("content {i} content").as_bytes())).collect();
    for bad in [3, 50, 99] {
        let last = entries[bad].compressed.as_ref().unwrap().len() - 1;
        entries[bad].compressed.as_mut().unwrap()[last / 2] ^= 0x40;
    }
    entries[10].local_name = Some(b"f11".to_vec());
    entries[20].method = 12;
    let archive = Archive::new(zip(entries).bytes()).unwrap();
    let verified = archive.verify().unwrap();
    let names: Vec<&str> = verified.bad.iter().filter_map(|bad| bad.name.as_deref()).collect();
    assert_eq!(names, ["f3", "f10", "f20", "f50", "f99"]);
    assert_eq!(verified.entries, 100);
    assert!(!verified.is_ok());
    assert!(archive.read("f4").is_ok() && archive.read("f3").is_err() && archive.read("f10").is_err());
}
