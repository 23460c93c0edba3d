//! A snapshot's bytes without a file.

use std::io::Read;

use squarecloud_blocking::{Client, Snapshot, Source};

use super::Origin;
use crate::download_origin::{Asked, Reply, archive, assert_no_secret, chain};

const ONE: Option<&str> = Some("\"one\"");

fn snapshot(origin: &Origin) -> Snapshot {
    Snapshot::from_url(&origin.url()).unwrap()
}

#[test]
fn a_reader_gives_the_bytes_over_as_many_connections_as_it_takes() {
    let object = archive(300_000, 5);
    let body = object.clone();
    let origin = Origin::start(move |asked| {
        let mut reply = Reply::right(&body, ONE, asked);
        reply.cut = Some(70_000).filter(|cut| *cut < reply.body.len());
        reply
    });
    let mut bytes = Vec::new();
    let mut reader = snapshot(&origin).reader().unwrap();
    assert_eq!(reader.total(), Some(object.len() as u64));
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, object);
    assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
    assert!(origin.asked().len() > 3);
}

#[test]
fn a_reader_does_not_mix_two_objects() {
    let (old, new) = (archive(300_000, 5), archive(300_000, 6));
    let origin = Origin::start(move |asked| match asked.number {
        0 => Reply { cut: Some(100_000), ..Reply::right(&old, ONE, asked) },
        _ => Reply::right(&new, Some("\"two\""), asked),
    });
    let mut reader = snapshot(&origin).reader().unwrap();
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).unwrap_err();
    assert_no_secret(&format!("{error:?} {error} {reader:?}"));
    assert!(reader.read(&mut [0; 10]).is_err(), "it stays failed");
}

#[test]
fn errors_of_the_first_answer_come_at_once() {
    let origin = Origin::start(|_| Reply::plain(403, "<Error><Code>AccessDenied</Code></Error>"));
    assert_eq!(snapshot(&origin).reader().unwrap_err().status(), Some(403));
    assert_eq!(snapshot(&origin).remote().unwrap_err().status(), Some(403));
}

#[test]
fn positioned_reads_give_the_bytes_with_few_requests() {
    let object = archive(2_000_000, 5);
    let origin = Origin::good(object.clone());
    let remote = snapshot(&origin).remote().unwrap();
    assert_eq!(remote.size().unwrap(), object.len() as u64);
    let mut buf = vec![0; 3000];
    let count = remote.read_at(object.len() as u64 - 1000, &mut buf).unwrap();
    assert_eq!(buf[..count], object[object.len() - 1000..]);
    assert_eq!(origin.asked().len(), 1, "the end came with the first answer");
    assert_eq!(remote.read_at(object.len() as u64, &mut buf).unwrap(), 0);
    assert_eq!(remote.read_at(u64::MAX, &mut buf).unwrap(), 0);
    let mut at = 0;
    while at < object.len() {
        let count = remote.read_at(at as u64, &mut buf).unwrap();
        assert_eq!(buf[..count], object[at..at + count]);
        at += count;
    }
    assert!(origin.asked().len() < 8, "{} requests", origin.asked().len());
    assert!(origin.asked()[1..].iter().all(|a| a.header("if-match") == ONE));
}

#[test]
fn threads_read_at_once() {
    let object = archive(1_500_000, 5);
    let origin = Origin::good(object.clone());
    let remote = snapshot(&origin).remote().unwrap();
    std::thread::scope(|scope| {
        for n in 0..4usize {
            let (remote, object) = (&remote, &object);
            scope.spawn(move || {
                for step in 0..20 {
                    let at = (n * 350_000 + step * 9973) % object.len();
                    let mut buf = [0; 700];
                    let count = remote.read_at(at as u64, &mut buf).unwrap();
                    assert!(count > 0 && buf[..count] == object[at..at + count]);
                }
            });
        }
    });
}

#[test]
fn a_changed_object_is_an_error_of_positioned_reads() {
    let (old, new) = (archive(2_000_000, 5), archive(2_000_000, 6));
    let origin = Origin::start(move |asked| match asked.number {
        0 => Reply::right(&old, ONE, asked),
        _ => Reply::right(&new, Some("\"two\""), asked),
    });
    let remote = snapshot(&origin).remote().unwrap();
    let error = remote.read_at(5, &mut [0; 10]).unwrap_err();
    assert!(error.get_ref().unwrap().to_string().contains("changed"), "{error}");
}

#[test]
fn without_ranges_a_small_snapshot_is_read_whole_and_a_large_one_refused() {
    for (size, works) in [(100_000, true), (9 << 20, false)] {
        let object = archive(size, 5);
        let body = object.clone();
        let origin =
            Origin::start(move |asked| Reply::right(&body, ONE, &Asked { headers: Vec::new(), ..asked.clone() }));
        let remote = snapshot(&origin).remote();
        assert_eq!(remote.is_ok(), works);
        if let Ok(remote) = remote {
            let mut buf = [0; 100];
            assert_eq!(remote.read_at(500, &mut buf).unwrap(), 100);
            assert_eq!(buf, object[500..600]);
        }
    }
}

#[test]
fn what_is_no_archive_is_no_snapshot() {
    let (whole, page) = (archive(200_000, 5), b"<html>log in</html>".to_vec());
    let cut = whole[..whole.len() - 1].to_vec();
    for object in [Vec::new(), page, cut, [&whole[..], &whole[..99]].concat(), vec![0; 200_000]] {
        for length in [true, false] {
            for ranges in [true, false] {
                let body = object.clone();
                let origin = Origin::start(move |asked| {
                    let asked = if ranges { asked.clone() } else { Asked { headers: Vec::new(), ..asked.clone() } };
                    let mut reply = Reply::right(&body, ONE, &asked);
                    if !length && reply.status == 200 {
                        reply.length = Some(None);
                    }
                    reply
                });
                let snapshot = snapshot(&origin);
                let read = snapshot.reader().and_then(|mut reader| {
                    let read = std::io::copy(&mut reader, &mut std::io::sink());
                    read.map_err(|e| e.downcast::<squarecloud_blocking::Error>().unwrap())
                });
                let label = format!("{} bytes, length {length}, ranges {ranges}", object.len());
                assert_eq!(read.unwrap_err().status(), Some(200), "{label}");
                let status = snapshot.remote().unwrap_err().status();
                assert!(matches!(status, Some(200 | 206 | 416)), "{label}: {status:?}");
            }
        }
    }
}

#[cfg(feature = "zip")]
#[test]
fn an_archive_is_listed_and_read_where_it_is() {
    let object = archive(3_000_000, 5);
    let origin = Origin::good(object);
    let archive = snapshot(&origin).archive().unwrap();
    assert_eq!(archive.len(), 46);
    assert_eq!(archive.read("file-3").unwrap().len(), 65536);
    assert!(origin.asked().len() <= 3, "{}", origin.asked().len());
}

#[test]
fn a_prefix_and_the_longest_comment_are_no_fault() {
    let with_comment = |length: u16| {
        let mut object = archive(100_000, 5);
        let end = object.len() - 2;
        object[end..].copy_from_slice(&length.to_le_bytes());
        object.resize(object.len() + usize::from(length), b'c');
        object
    };
    let behind = |prefix: &[u8], object: &[u8]| [prefix, object].concat();
    for object in [
        with_comment(65_535),
        behind(b"#!/bin/sh\nexit 0\n", &archive(1000, 5)),
        behind(b"#!/bin/sh\nexit 0\n", &with_comment(65_535)),
        behind(b"MZ\x90\0\x03", &archive(300_000, 5)),
        behind(b"\x7fELF\x02", &archive(1000, 5)),
    ] {
        let origin = Origin::good(object.clone());
        let mut bytes = Vec::new();
        snapshot(&origin).reader().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, object);
        let remote = snapshot(&origin).remote().unwrap();
        assert_eq!(remote.size().unwrap(), object.len() as u64);
        #[cfg(feature = "zip")]
        assert!(!squarecloud_blocking::Archive::new(remote).unwrap().is_empty());
    }
}

/// The error of a positioned read is the one that the host gave, whatever layers it went through.
#[cfg(feature = "zip")]
#[test]
fn what_ends_a_read_from_an_archive_is_still_the_error_it_was() {
    use std::time::Duration;
    let object = archive(3_000_000, 5);
    let opened = |after: fn(&Asked, Reply) -> Reply| {
        let body = object.clone();
        let origin = Origin::start(move |asked| {
            let right = Reply::right(&body, ONE, asked);
            if asked.number == 0 { right } else { after(asked, right) }
        });
        let client = Client::builder("key").timeout(Duration::from_millis(200)).no_proxy().build().unwrap();
        let archive = client.open_url(&origin.url()).unwrap().archive().unwrap();
        (archive, origin)
    };
    let (archive, _origin) = opened(|_, _| Reply::plain(403, "<Error><Code>AccessDenied</Code></Error>"));
    let error = archive.read("file-3").unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Some(403), false), "{error:?}");
    assert_no_secret(&chain(&error));

    let (archive, _origin) = opened(|_, right| Reply { silent: Some((10, Duration::from_millis(800))), ..right });
    let error = archive.read("file-3").unwrap_err();
    assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
}

#[test]
fn the_prefix_of_any_program_is_downloaded_too() {
    for prefix in [&b"any bytes at all"[..], b"#!/bin/sh\n"] {
        let object = [prefix, &archive(200_000, 5)].concat();
        let origin = Origin::good(object.clone());
        let dir = tempfile::tempdir().unwrap();
        let done = snapshot(&origin).download(dir.path()).unwrap();
        assert!(std::fs::read(done.path).unwrap() == object);
        let mut bytes = Vec::new();
        snapshot(&origin).reader().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == object);
        snapshot(&origin).remote().unwrap();
    }
}
