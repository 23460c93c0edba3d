//! A table of hostile and odd archives: each is refused for the stated reason with nothing left behind, or
//! extracted to exactly what is stated.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use squarecloud_blocking::{Archive, Refusal, Source};

use crate::raw_zip::*;

enum Want {
    /// Refused for one of these reasons.
    No(&'static [Refusal]),
    /// Extracted to these paths; a directory ends with `/`, a link's content is `-> target`.
    Yes(Vec<(String, String)>),
}

struct Case(String, Vec<u8>, Want);

fn no(name: impl Into<String>, z: Z, reason: &'static [Refusal]) -> Case {
    Case(name.into(), z.bytes(), Want::No(reason))
}

fn yes(name: impl Into<String>, z: Z, want: &[(&str, &str)]) -> Case {
    Case(name.into(), z.bytes(), Want::Yes(want.iter().map(|(p, c)| ((*p).into(), (*c).into())).collect()))
}

fn fine() -> Vec<E> {
    vec![folder("d/"), deflated("d/a.txt", b"first first first"), file("b.txt", b"second")]
}

const FINE: &[(&str, &str)] = &[("d/", ""), ("d/a.txt", "first first first"), ("b.txt", "second")];

#[rustfmt::skip]
fn names(cases: &mut Vec<Case>) {
    use Refusal::*;
    for name in ["../x", "..", "../", "a/../../x", "a/..", "a/../b", "..\\x", "a\\..\\..\\x", "./../x", "d/../../../../../../../../canary", "....//../x", "a/b/c/../../../../x"] {
        for host in [0, 3] {
            cases.push(no(format!("climbing {name:?} host {host}"), zip(vec![file("ok", b"1"), file(name, b"x").with(|e| e.host = host)]), &[ClimbsOut]));
        }
    }
    for name in ["/x", "/", "//s/x", "\\x", "\\\\s\\x", "\\\\?\\C:\\x", "\\\\.\\NUL", "C:\\x", "c:/x", "/etc/passwd", "/srv/canary"] {
        cases.push(no(format!("absolute {name:?}"), zip(vec![file("ok", b"1"), file(name, b"x")]), &[Absolute]));
    }
    for name in ["C:x", "c:", "a:b:c", "C:/x"] {
        cases.push(no(format!("a drive of DOS {name:?}"), zip(vec![file("ok", b"1"), file(name, b"x").with(|e| e.host = 0)]), &[Absolute]));
    }
    cases.push(no("not UTF-8 and nothing says what", zip(vec![file("ok", b"1"), file(b"caf\xe9.txt", b"x")]), &[Name]));
    let long = "x".repeat(256);
    for name in ["", "a\0b", "\0", ".", "a/.", long.as_str(), "ok.txt\0.exe"] {
        cases.push(no(format!("name {name:?}"), zip(vec![file(name, b"x")]), &[Name]));
    }
    cases.push(no("invalid UTF-8 with the flag", zip(vec![file(b"a\xff", b"").with(|e| e.flags = UTF8)]), &[Name]));
    cases.push(no("overlong UTF-8 of ..", zip(vec![file(b"\xc0\xae\xc0\xae/x", b"").with(|e| e.flags = UTF8)]), &[Name]));
    cases.push(no("control characters in a refused name", zip(vec![file("\u{1b}[2J\r\u{202e}/../x", b"")]), &[ClimbsOut]));
    cases.push(no("path too long", zip(vec![file(["y".repeat(200).as_str(); 21].join("/"), b"")]), &[TooMany]));
    cases.push(no("too deep", zip(vec![file(["y"; 129].join("/"), b"")]), &[TooMany]));
    for (a, b) in [("f.txt", "f.txt"), ("f.txt", "./f.txt"), ("x/f", "x//f"), ("x/f", "x/./f"), ("./f", ".//f")] {
        cases.push(no(format!("same path {a} {b}"), zip(vec![file(a, b"1"), file(b, b"2")]), &[Collision]));
        cases.push(no(format!("same path {b} {a}"), zip(vec![file(b, b"1"), file(a, b"2")]), &[Collision]));
    }
    cases.push(no("same path by backslash", zip(vec![file("a/b", b"1"), file("a\\b", b"2").with(|e| e.host = 0)]), &[Collision]));
    cases.push(no("file and directory", zip(vec![file("a", b"1"), folder("a/")]), &[Collision]));
    cases.push(no("directory and file", zip(vec![folder("a/"), file("a", b"1")]), &[Collision]));
    cases.push(no("file as parent", zip(vec![file("a", b"1"), file("a/b", b"2")]), &[Collision]));
    cases.push(no("file as parent, reversed", zip(vec![file("a/b/c", b"2"), file("a", b"1")]), &[Collision]));
    cases.push(no("unicode path climbs", zip(vec![file("ok", b"x").with(|e| e.extra = unicode_path(b"ok", b"../x"))]), &[ClimbsOut]));
    cases.push(no("unicode path hides climbing", zip(vec![file("../x", b"x").with(|e| e.extra = unicode_path(b"../x", b"ok"))]), &[ClimbsOut]));
    cases.push(no("unicode path is not UTF-8", zip(vec![file("ok", b"x").with(|e| e.extra = unicode_path(b"ok", b"\xff"))]), &[Name]));
    cases.push(no("unicode path collides", zip(vec![file("a", b"1"), file("b", b"2").with(|e| e.extra = unicode_path(b"b", b"a"))]), &[Collision]));
    cases.push(no("unicode path of the local header differs", zip(vec![file("ok", b"x").with(|e| e.local_extra = unicode_path(b"ok", b"other"))]), &[Corrupt]));

    cases.push(no("unicode path twice", zip(vec![file("ok", b"x").with(|e| e.extra = [unicode_path(b"ok", b"a"), unicode_path(b"ok", b"b")].concat())]), &[Name]));
    cases.push(no("unicode path twice, the second climbs", zip(vec![file("ok", b"x").with(|e| e.extra = [unicode_path(b"ok", b"ok"), unicode_path(b"ok", b"../x")].concat())]), &[Name]));
    cases.push(no("unicode path twice in the local header", zip(vec![file("ok", b"x").with(|e| e.local_extra = [unicode_path(b"ok", b"ok"), unicode_path(b"ok", b"b")].concat())]), &[Corrupt]));
    cases.push(no("unicode path beside another UTF-8 name", zip(vec![file("ok", b"x").with(|e| { e.flags = UTF8; e.extra = unicode_path(b"ok", b"other"); })]), &[Name]));
    for (what, entry) in [("file", file("./", b"x")), ("link", link("./", "/etc")), ("fifo", file("./", b"").with(|e| e.mode = 0o010_644)), ("content", folder("./").with(|e| e.content = b"x".to_vec())), ("secret", folder("./").with(|e| e.flags = 1))] {
        cases.push(no(format!("the root as a {what}"), zip(vec![file("ok", b"1"), entry]), &[Name, Link, Special, Corrupt, Encrypted]));
    }

    cases.push(yes("the root as a directory", zip(vec![folder("./"), file("./a", b"1"), folder("././")]), &[("a", "1")]));
    cases.push(yes("unicode path twice alike", zip(vec![file("ok", b"1").with(|e| e.extra = unicode_path(b"ok", "é".as_bytes()).repeat(2))]), &[("é", "1")]));
    cases.push(yes("unicode path and UTF-8 name alike", zip(vec![file("é", b"1").with(|e| { e.flags = UTF8; e.extra = unicode_path("é".as_bytes(), "é".as_bytes()); })]), &[("é", "1")]));
    cases.push(yes("colons where a drive has one", zip(vec![file("a:b.txt", b"1"), file("t:x/y", b"2"), file("C:", b"3"), link("l", "C:x")]), &[("a:b.txt", "1"), ("t:x/", ""), ("t:x/y", "2"), ("C:", "3"), ("l", "-> C:x")]));
    cases.push(yes("colons", zip(vec![file("a:b:c", b"1"), file("12:30", b"2"), file("x/C:y", b"3"), link("l", "1:2")]), &[("a:b:c", "1"), ("12:30", "2"), ("x/", ""), ("x/C:y", "3"), ("l", "-> 1:2")]));
    cases.push(yes("backslashes from NTFS", zip(vec![file("a\\b.txt", b"1").with(|e| e.host = 10), file("c\\", b"").with(|e| { e.host = 10; e.mode = 0; })]), &[("a/", ""), ("a/b.txt", "1"), ("c/", "")]));
    cases.push(yes("dots in names", zip(vec![file("...", b"1"), file("..a/b..", b"2"), file(".env", b"3")]), &[("...", "1"), ("..a/", ""), ("..a/b..", "2"), (".env", "3")]));
    cases.push(yes("dot and double slash", zip(vec![file("./a", b"1"), file("x//b", b"2"), folder("./"), folder("x/./y/")]), &[("a", "1"), ("x/", ""), ("x/b", "2"), ("x/y/", "")]));
    cases.push(yes("CP437", zip(vec![file(b"\x82.txt", b"1").with(|e| { e.host = 0; e.mode = 0; })]), &[("é.txt", "1")]));
    cases.push(yes("UTF-8 with the flag", zip(vec![file("é.txt", b"1").with(|e| { e.host = 0; e.flags = UTF8; })]), &[("é.txt", "1")]));
    cases.push(yes("UTF-8 without the flag from unix", zip(vec![file("日本.txt", b"1")]), &[("日本.txt", "1")]));
    cases.push(yes("unicode path", zip(vec![file(b"?.txt", b"1").with(|e| { e.host = 0; e.extra = unicode_path(b"?.txt", "é.txt".as_bytes()); })]), &[("é.txt", "1")]));
    cases.push(yes("stale unicode path", zip(vec![file("new.txt", b"1").with(|e| e.extra = unicode_path(b"old.txt", b"old.txt"))]), &[("new.txt", "1")]));
    cases.push(yes("backslashes from DOS", zip(vec![file("a\\b.txt", b"1").with(|e| e.host = 0), file("c\\", b"").with(|e| e.host = 0)]), &[("a/", ""), ("a/b.txt", "1"), ("c/", "")]));
    cases.push(yes("backslash from unix", zip(vec![file("a\\b.txt", b"1")]), &[("a\\b.txt", "1")]));
    cases.push(yes("control characters", zip(vec![file("a\n\u{1b}[2J", b"1")]), &[("a\n\u{1b}[2J", "1")]));
    cases.push(yes("directory twice", zip(vec![folder("a/"), file("a/b", b"1"), folder("a/")]), &[("a/", ""), ("a/b", "1")]));
    cases.push(yes("directory after its content", zip(vec![file("a/b/c", b"1"), folder("a/b/"), folder("a/")]), &[("a/", ""), ("a/b/", ""), ("a/b/c", "1")]));
    cases.push(yes("names that differ in case", zip(vec![file("A", b"1"), file("a", b"2")]), &[("A", "1"), ("a", "2")]));
    cases.push(yes("windows device names", zip(vec![file("CON", b"1"), file("x/nul.txt", b"2"), file("trailing. ", b"3")]), &[("CON", "1"), ("x/", ""), ("x/nul.txt", "2"), ("trailing. ", "3")]));
    cases.push(yes("longest component", zip(vec![file("x".repeat(255), b"1")]), &[("x".repeat(255).as_str(), "1")]));
}

#[rustfmt::skip]
fn links_and_modes(cases: &mut Vec<Case>) {
    use Refusal::*;
    for target in ["/etc/passwd", "..", "../canary", "../../x", "/", "", "a/../../x", "..\\x", "C:\\x", "C:/x", "x\0y", "./../x", "d/../../canary"] {
        cases.push(no(format!("link to {target:?}"), zip(vec![file("ok", b"1"), link("l", target)]), &[Link]));
    }
    cases.push(no("link out from a directory", zip(vec![link("d/l", "../../x")]), &[Link]));
    cases.push(no("link chain", zip(vec![link("a", "."), link("b", "a/..")]), &[Link]));
    cases.push(no("link chain reversed", zip(vec![link("b", "a/../x"), link("a", ".")]), &[Link]));
    cases.push(no("link chain in depth", zip(vec![folder("d/e/"), link("up", "d/e"), link("out", "up/../../../x")]), &[Link]));
    cases.push(no("link cycle", zip(vec![link("a", "b"), link("b", "a")]), &[Link]));
    cases.push(no("link to itself", zip(vec![link("a", "a")]), &[Link]));
    cases.push(no("file through a link", zip(vec![folder("d/"), link("l", "d"), file("l/x", b"1")]), &[Link]));
    cases.push(no("file through a link, reversed", zip(vec![folder("d/"), file("l/x", b"1"), link("l", "d")]), &[Link]));
    cases.push(no("link replaced by a file", zip(vec![link("l", "d"), file("l", b"1")]), &[Collision]));
    cases.push(no("two links of one name", zip(vec![link("l", "a"), link("l", "b")]), &[Collision]));
    cases.push(no("directory over a link", zip(vec![folder("d/"), link("l", "d"), folder("l/")]), &[Link, Collision]));
    cases.push(no("link with a directory's name", zip(vec![link("l/", "d")]), &[Corrupt, Link]));
    cases.push(no("link of Darwin out", zip(vec![link("l", "/etc").with(|e| e.host = 19)]), &[Link]));
    cases.push(no("link target too long", zip(vec![link("l", &"x/".repeat(3000))]), &[Link]));
    cases.push(no("compressed link out", zip(vec![link("l", "../../../x").with(|e| { e.method = 8; e.compressed = Some(deflate(&e.content)); })]), &[Link]));
    for kind in [0o010_000, 0o020_000, 0o060_000, 0o140_000, 0o160_000, 0o110_000] {
        cases.push(no(format!("mode {kind:o}"), zip(vec![file("x", b"").with(|e| e.mode = kind | 0o644)]), &[Special]));
    }
    cases.push(no("a fifo of the name that Info-ZIP gives its standard input", zip(vec![file("d/-", b"").with(|e| e.mode = 0o010_600)]), &[Special]));
    cases.push(no("directory with hidden bytes", zip(vec![folder("d/").with(|e| { e.method = 8; e.compressed = Some(deflate(b"hidden")); })]), &[Corrupt]));
    cases.push(no("directory with bytes after its deflate stream", zip(vec![folder("d/").with(|e| { e.method = 8; e.compressed = Some(b"\x03\0hidden".to_vec()); })]), &[Corrupt]));
    cases.push(no("link cycle in depth", zip(vec![link("d/a", "b/x"), link("d/b", "a/x")]), &[Link]));
    cases.push(no("directory by mode with content", zip(vec![file("x", b"content").with(|e| e.mode = 0o040_755)]), &[Corrupt]));
    cases.push(no("directory by name with content", zip(vec![file("x/", b"content")]), &[Corrupt]));

    cases.push(yes("relative links", zip(vec![file("node_modules/x/cli.js", b"1"), link("node_modules/.bin/x", "../x/cli.js"), link("here", "."), link("dangling", "not/there")]),
        &[("node_modules/", ""), ("node_modules/x/", ""), ("node_modules/x/cli.js", "1"), ("node_modules/.bin/", ""), ("node_modules/.bin/x", "-> ../x/cli.js"), ("here", "-> ."), ("dangling", "-> not/there")]));
    cases.push(yes("links through links", zip(vec![folder("d/e/"), link("a", "d"), link("b", "a/e"), file("d/e/f", b"1")]), &[("d/", ""), ("d/e/", ""), ("a", "-> d"), ("b", "-> a/e"), ("d/e/f", "1")]));
    cases.push(yes("link mode of a DOS host is a file", zip(vec![link("l", "/etc/passwd").with(|e| e.host = 0)]), &[("l", "/etc/passwd")]));
    cases.push(yes("the standard input of Info-ZIP", zip(vec![deflated("-", b"from a pipe").with(|e| e.mode = 0o010_600)]), &[("-", "from a pipe")]));
    cases.push(yes("no mode", zip(vec![file("x", b"1").with(|e| e.mode = 0), file("y", b"2").with(|e| { e.mode = 0; e.host = 0; e.attributes = 0x20; })]), &[("x", "1"), ("y", "2")]));
    cases.push(yes("set-id bits", zip(vec![file("x", b"1").with(|e| e.mode = 0o106_755)]), &[("x", "1")]));
    cases.push(yes("read-only", zip(vec![folder("d/").with(|e| e.mode = 0o040_555), file("d/x", b"1").with(|e| e.mode = 0o100_444)]), &[("d/", ""), ("d/x", "1")]));
    cases.push(yes("directory by mode only", zip(vec![file("d", b"").with(|e| e.mode = 0o040_755), file("d/x", b"1")]), &[("d/", ""), ("d/x", "1")]));
    cases.push(no("compressed directory with a checksum", zip(vec![folder("d/").with(|e| { e.method = 8; e.compressed = Some(vec![3, 0]); e.crc = Some(7); })]), &[Corrupt]));
    cases.push(yes("directory with a checksum", zip(vec![folder("d/").with(|e| e.crc = Some(7))]), &[("d/", "")]));
    cases.push(yes("compressed directory", zip(vec![folder("d/").with(|e| { e.method = 8; e.compressed = Some(vec![3, 0]); })]), &[("d/", "")]));
    cases.push(yes("odd dates", zip(vec![file("x", b"1").with(|e| e.stamp = (0, 0)), file("y", b"2").with(|e| e.stamp = (0xFFFF, 0xFFFF))]), &[("x", "1"), ("y", "2")]));
    for (i, extra) in [field(0x5455, b""), field(0x5455, b"\x01"), field(0x5455, b"\x03\0\0\0\x80"), field(0x000a, b"\0\0\0\0\x01\0\x18\0abc"), b"UT\xff\xffxx".to_vec(), b"\0\0\0".to_vec(), field(0x5455, b"\x01\xff\xff\xff\x7f")].into_iter().enumerate() {
        cases.push(yes(format!("broken extra {i}"), zip(vec![file("x", b"1").with(|e| { e.extra = extra.clone(); e.local_extra = extra.clone(); })]), &[("x", "1")]));
    }
}

#[rustfmt::skip]
fn bodies(cases: &mut Vec<Case>) {
    use Refusal::*;
    for (what, flags) in [("encrypted", 1u16), ("strongly encrypted", 0x41), ("masked headers", 0x2001)] {
        cases.push(no(what, zip(vec![file("ok", b"1"), file("x", b"12345678901234").with(|e| e.flags = flags)]), &[Encrypted]));
    }
    cases.push(no("AES", zip(vec![file("x", b"12345").with(|e| e.method = 99)]), &[Encrypted]));
    cases.push(no("patch", zip(vec![file("x", b"12345").with(|e| e.flags = 1 << 5)]), &[Unsupported]));
    for method in [1, 6, 9, 12, 14, 93, 95, 98, 255, 65535] {
        cases.push(no(format!("method {method}"), zip(vec![file("ok", b"1"), file("x", b"12345").with(|e| e.method = method)]), &[Unsupported]));
    }
    cases.push(no("wrong checksum, stored", zip(vec![file("x", b"12345").with(|e| e.crc = Some(7))]), &[Corrupt]));
    cases.push(no("wrong checksum, compressed", zip(vec![deflated("x", b"12345").with(|e| e.crc = Some(7))]), &[Corrupt]));
    cases.push(no("checksum of nothing", zip(vec![file("x", b"").with(|e| e.crc = Some(7))]), &[Corrupt]));
    for by in [-1i64, 1, 100, -4] {
        cases.push(no(format!("size off by {by}"), zip(vec![deflated("x", b"12345 12345 12345").with(|e| e.size = Some((17 + by) as u32))]), &[Corrupt]));
        cases.push(no(format!("stored size off by {by}"), zip(vec![file("x", b"12345 12345 12345").with(|e| e.size = Some((17 + by) as u32))]), &[Corrupt]));
    }
    cases.push(no("size huge", zip(vec![deflated("x", b"12345").with(|e| e.size = Some(0xFFFF_FF00))]), &[Corrupt]));
    cases.push(no("size 0 and data", zip(vec![deflated("x", b"12345").with(|e| e.size = Some(0))]), &[Corrupt]));
    cases.push(no("damaged deflate", zip(vec![deflated("x", b"12345").with(|e| e.compressed = Some(vec![0xFF; 9]))]), &[Corrupt]));
    cases.push(no("deflate cut off", zip(vec![deflated("x", b"12345 abcdefgh").with(|e| { let mut p = deflate(&e.content); p.truncate(p.len() - 3); e.compressed = Some(p); })]), &[Corrupt]));
    cases.push(no("deflate without its last byte", zip(vec![deflated("x", b"12345 abcdefgh").with(|e| { let mut p = deflate(&e.content); p.pop(); e.compressed = Some(p); })]), &[Corrupt]));
    cases.push(no("bytes after deflate", zip(vec![deflated("x", b"12345").with(|e| { let mut p = deflate(&e.content); p.extend(b"hidden"); e.compressed = Some(p); })]), &[Corrupt]));
    cases.push(no("one byte after deflate", zip(vec![deflated("x", b"12345").with(|e| { let mut p = deflate(&e.content); p.push(0); e.compressed = Some(p); })]), &[Corrupt]));
    cases.push(no("much after deflate", zip(vec![deflated("x", b"12345").with(|e| { let mut p = deflate(&e.content); p.extend([7; 40_000]); e.compressed = Some(p); })]), &[Corrupt]));
    cases.push(no("compressed to nothing", zip(vec![deflated("x", b"12345").with(|e| e.compressed = Some(vec![]))]), &[Corrupt]));
    let zeros = vec![0; 10 << 20];
    cases.push(no("bomb that says less", zip(vec![deflated("x", &zeros).with(|e| e.size = Some(1))]), &[Corrupt]));
    cases.push(no("bomb that says more", zip(vec![deflated("x", b"").with(|e| { e.size = Some(u32::MAX); e.extra = zip64_field(&[33 << 30]); })]), &[TooLarge]));
    let whole = deflated("a", b"the same bytes for both");
    cases.push(no("two entries, one local header", zip(vec![whole.clone(), whole.clone().with(|e| { e.no_local = true; e.offset = Some(0); })]), &[Overlap, Collision]));
    cases.push(no("two names, one local header", zip(vec![whole.clone(), whole.clone().with(|e| { e.name = b"b".to_vec(); e.no_local = true; e.offset = Some(0); })]), &[Overlap, Corrupt]));
    let inner = deflated("b", b"inner").local();
    cases.push(no("entry inside another's data", zip(vec![file("a", &[b"xx", &inner[..], b"yy"].concat()), deflated("b", b"inner").with(|e| { e.no_local = true; e.offset = Some(33); })]), &[Overlap]));
    cases.push(no("data runs into the next entry", zip(vec![file("a", b"12345").with(|e| { e.compressed_size = Some(20); e.size = Some(20); }), file("b", b"1")]), &[Overlap, Corrupt]));
    cases.push(no("data runs into the directory", zip(vec![file("a", b"12345").with(|e| { e.compressed_size = Some(40); e.size = Some(40); })]), &[Corrupt, Overlap]));
    cases.push(no("data runs out of the file", zip(vec![file("a", b"12345").with(|e| { e.compressed_size = Some(9999); e.size = Some(9999); })]), &[Corrupt]));
    cases.push(no("offset out of the file", zip(vec![file("a", b"12345").with(|e| e.offset = Some(0x7FFF_FFFF))]), &[Corrupt]));
    cases.push(no("offset into the middle", zip(vec![file("a", b"12345"), file("b", b"1").with(|e| e.offset = Some(3))]), &[Corrupt]));
    cases.push(no("offset off by one", zip(vec![file("a", b"12345").with(|e| e.offset = Some(1)), file("b", b"1")]), &[Corrupt]));
    cases.push(no("offsets exchanged", zip(vec![file("a", b"12345").with(|e| e.offset = Some(36)), file("b", b"1").with(|e| e.offset = Some(0)), file("c", b"123456")]), &[Corrupt]));
    cases.push(no("compressed size of the directory only runs into the next entry", zip(vec![file("a", b"12345").with(|e| { e.compressed_size = Some(20); e.local_compressed_size = Some(5); }), file("b", b"1")]), &[Corrupt]));
    cases.push(yes("data in another order", zip(vec![file("a", b"1").with(|e| e.no_central = true), file("b", b"2"), file("a", b"1").with(|e| { e.no_local = true; e.offset = Some(0); })]), &[("a", "1"), ("b", "2")]));
    cases.push(yes("empty, compressed", zip(vec![deflated("x", b"")]), &[("x", "")]));
    cases.push(yes("empty, compressed as nothing at all", zip(vec![file("x", b"").with(|e| e.method = 8)]), &[("x", "")]));
    cases.push(yes("a small file of zeros", zip(vec![deflated("x", &[b'0'; 100_000])]), &[("x", "0".repeat(100_000).as_str())]));
    cases.push(yes("an archive in the archive", zip(vec![file("x.zip", &zip(fine()).bytes()), file("y", b"1")]), &[("x.zip", String::from_utf8_lossy(&zip(fine()).bytes()).as_ref()), ("y", "1")]));
    cases.push(yes("an archive in the archive at its end", zip(vec![file("x.zip", &zip(fine()).bytes())]), &[("x.zip", String::from_utf8_lossy(&zip(fine()).bytes()).as_ref())]));
}

#[rustfmt::skip]
fn headers(cases: &mut Vec<Case>) {
    use Refusal::*;
    let lie = |what: &str, change: fn(&mut E)| no(format!("local header: {what}"), zip(vec![file("ok", b"1"), deflated("x", b"12345 12345").with(change)]), &[Corrupt]);
    cases.push(lie("other name", |e| e.local_name = Some(b"y".to_vec())));
    cases.push(lie("longer name", |e| e.local_name = Some(b"../../x".to_vec())));
    cases.push(lie("other method", |e| e.local_method = Some(0)));
    cases.push(lie("other checksum", |e| e.local_crc = Some(1)));
    cases.push(lie("other compressed size", |e| e.local_compressed_size = Some(1)));
    cases.push(lie("other size", |e| e.local_size = Some(1)));
    cases.push(lie("sizes 0 without descriptor", |e| { e.local_size = Some(0); e.local_compressed_size = Some(0); e.local_crc = Some(0); }));
    cases.push(lie("encrypted there only", |e| e.local_flags = Some(1)));
    cases.push(lie("descriptor there only, sizes that are neither 0 nor right", |e| { e.local_flags = Some(8); e.local_size = Some(1); }));
    cases.push(lie("descriptor in the directory only, sizes 0", |e| { *e = e.clone().described(); e.local_flags = Some(0); }));
    cases.push(lie("sizes of all ones and no descriptor there", |e| { *e = e.clone().described(); e.local_flags = Some(0); (e.local_size, e.local_compressed_size) = (Some(u32::MAX), Some(u32::MAX)); }));
    cases.push(lie("checksum of all ones", |e| { *e = e.clone().described(); e.local_crc = Some(u32::MAX); }));
    cases.push(lie("backslashes of unix", |e| { e.name = b"a\\b".to_vec(); e.local_name = Some(b"a/b".to_vec()); }));
    cases.push(lie("a slash more", |e| { e.host = 0; e.name = b"a\\b".to_vec(); e.local_name = Some(b"a//b".to_vec()); }));
    cases.push(lie("a directory's data", |e| { *e = folder("d/").with(|e| e.local_compressed_size = Some(9)); }));
    cases.push(lie("no signature", |e| e.local_signature = Some(*b"ABCD")));
    cases.push(lie("a directory's signature", |e| e.local_signature = Some(*b"PK\x01\x02")));
    cases.push(lie("open sizes without zip64", |e| { e.local_size = Some(u32::MAX); e.local_compressed_size = Some(u32::MAX); }));
    cases.push(lie("zip64 sizes that differ", |e| { e.local_size = Some(u32::MAX); e.local_compressed_size = Some(u32::MAX); e.local_extra = zip64_field(&[12, 13]); }));
    cases.push(lie("superfluous zip64 sizes that differ", |e| e.local_extra = zip64_field(&[12, 13])));
    cases.push(lie("two zip64 fields", |e| { let n = e.compressed.as_ref().unwrap().len() as u64; (e.local_size, e.local_compressed_size) = (Some(u32::MAX), Some(u32::MAX)); e.local_extra = [zip64_field(&[11, n]), zip64_field(&[12, n])].concat(); }));
    cases.push(no("UTF-8 flag of a foreign name there only", zip(vec![file(b"\x82", b"1").with(|e| { e.host = 0; e.local_flags = Some(UTF8); })]), &[Corrupt]));
    cases.push(no("descriptor lies", zip(vec![deflated("x", b"12345 12345").described().with(|e| e.after[5] ^= 1)]), &[Corrupt]));
    cases.push(no("descriptor missing", zip(vec![deflated("x", b"12345 12345").described().with(|e| e.after.clear())]), &[Corrupt]));
    cases.push(no("descriptor's size lies", zip(vec![deflated("x", b"12345 12345").described().with(|e| e.after[12] ^= 1), file("y", b"1")]), &[Corrupt]));
    cases.push(no("data behind nothing stored where a descriptor is announced", zip(vec![file("x", b"").with(|e| { e.flags = 8; e.after = b"hidden".to_vec(); }), file("y", b"1")]), &[Corrupt]));
    cases.push(no("nothing where a descriptor is announced", zip(vec![file("x", b"").with(|e| e.flags = 8), file("y", b"1")]), &[Corrupt]));
    cases.push(no("data behind nothing at all where a descriptor is announced", zip(vec![file("x", b"").with(|e| { e.method = 8; e.flags = 8; e.after = deflate(b"hidden"); }), file("y", b"1")]), &[Corrupt]));
    cases.push(no("hidden entry that goes on in the next header", zip(vec![file("a", b"1").with(|e| e.after = file("hidden", b"x").local()[..24].to_vec()), file("b", &[7; 255]).with(|e| e.local_extra = vec![0; 100])]), &[Corrupt]));
    cases.push(no("hidden entry after another", zip(vec![file("a", b"1").with(|e| e.after = file("hidden", b"x").local()), file("b", b"2")]), &[Corrupt]));
    cases.push(no("hidden entry after padding", zip(vec![file("a", b"1").with(|e| { e.after = vec![0; 50]; e.after.extend(file("hidden", b"x").local()); }), file("b", b"2")]), &[Corrupt]));
    cases.push(no("hidden entry at the end", zip(vec![file("a", b"1"), file("hidden", b"2").with(|e| e.no_central = true)]), &[Corrupt]));
    cases.push(no("hidden entry at the start", zip(vec![file("hidden", b"2").with(|e| e.no_central = true), file("a", b"1")]), &[Corrupt]));
    cases.push(no("hidden entry in a prefix", zip(vec![file("a", b"1")]).with(|z| { z.prefix = b"#!/bin/sh\n".to_vec(); z.prefix.extend(file("hidden", b"x").local()); }), &[Corrupt]));
    cases.push(no("hidden entry behind a descriptor", zip(vec![deflated("x", b"12345").described().with(|e| e.after.extend(file("hidden", b"x").local()))]), &[Corrupt]));

    cases.push(yes("descriptor", zip(vec![deflated("x", b"12345 12345").described(), file("y", b"1")]), &[("x", "12345 12345"), ("y", "1")]));
    cases.push(yes("descriptor without signature", zip(vec![deflated("x", b"12345 12345").described().with(|e| { e.after.drain(..4); }), file("y", b"1")]), &[("x", "12345 12345"), ("y", "1")]));
    cases.push(yes("stored with descriptor", zip(vec![file("x", b"12345").described(), file("y", b"").described()]), &[("x", "12345"), ("y", "")]));
    cases.push(yes("descriptor of 64 bits", zip(vec![deflated("x", b"12345").described().with(|e| {
        e.after = b"PK\x07\x08".to_vec(); e.after.extend(crc32(b"12345").to_le_bytes()); e.after.extend((e.compressed.as_ref().unwrap().len() as u64).to_le_bytes()); e.after.extend(5u64.to_le_bytes()); }), file("y", b"1")]), &[("x", "12345"), ("y", "1")]));
    cases.push(yes("descriptor flag and sizes and no descriptor", zip(vec![deflated("x", b"12345").with(|e| e.flags = 8), file("y", b"1")]), &[("x", "12345"), ("y", "1")]));
    cases.push(yes("padding and sizes in the header where a descriptor is announced", zip(vec![file("x", b"12345").with(|e| { e.flags = 8; e.after = b" and more".to_vec(); }), file("y", b"1")]), &[("x", "12345"), ("y", "1")]));
    cases.push(yes("a wrong descriptor and sizes in the header", zip(vec![deflated("x", b"12345").with(|e| { e.flags = 8; e.after = b"PK\x07\x08".to_vec(); e.after.extend([0; 20]); }), file("y", b"1")]), &[("x", "12345"), ("y", "1")]));
    cases.push(yes("descriptor and sizes in the header", zip(vec![deflated("x", b"12345").described().with(|e| { e.local_crc = None; e.local_size = None; e.local_compressed_size = None; })]), &[("x", "12345")]));
    cases.push(yes("padding between entries", zip(vec![file("x", b"1").with(|e| e.after = vec![0; 4096]), file("y", b"2")]), &[("x", "1"), ("y", "2")]));
    cases.push(yes("alignment in the local extra", zip(vec![file("x", b"1").with(|e| e.local_extra = vec![0; 3])]), &[("x", "1")]));
    cases.push(yes("zip64 entry", zip(vec![deflated("x", b"12345").with(|e| {
        let n = e.compressed.as_ref().unwrap().len() as u64;
        (e.size, e.compressed_size) = (Some(u32::MAX), Some(u32::MAX)); e.extra = zip64_field(&[5, n]); e.local_extra = zip64_field(&[5, n]); })]), &[("x", "12345")]));
    cases.push(yes("zip64 in the local header only", zip(vec![deflated("x", b"12345").with(|e| {
        let n = e.compressed.as_ref().unwrap().len() as u64;
        (e.local_size, e.local_compressed_size) = (Some(u32::MAX), Some(u32::MAX)); e.local_extra = zip64_field(&[5, n]); })]), &[("x", "12345")]));
    cases.push(yes("room for zip64 sizes behind a stream", zip(vec![deflated("x", b"12345").described().with(|e| e.local_extra = zip64_field(&[0, 0]))]), &[("x", "12345")]));
    cases.push(yes("superfluous zip64 field", zip(vec![file("x", b"12345").with(|e| e.extra = zip64_field(&[5, 5]))]), &[("x", "12345")]));
    cases.push(yes("comments of entries", zip(vec![file("x", b"1").with(|e| e.comment = b"PK\x01\x02 is a comment".to_vec())]), &[("x", "1")]));
}

#[rustfmt::skip]
fn ends(cases: &mut Vec<Case>) {
    use Refusal::*;
    let bad = |what: &str, change: &dyn Fn(&mut Z)| { let mut z = zip(fine()); change(&mut z); no(what, z, &[Corrupt]) };
    cases.push(Case("nothing".into(), vec![], Want::No(&[Corrupt])));
    cases.push(Case("text".into(), b"hello, world".to_vec(), Want::No(&[Corrupt])));
    cases.push(Case("zeros".into(), vec![0; 100_000], Want::No(&[Corrupt])));
    cases.push(bad("counts fewer", &|z| z.count = Some((2, 2))));
    cases.push(bad("counts more", &|z| z.count = Some((4, 4))));
    cases.push(bad("counts none", &|z| z.count = Some((0, 0))));
    cases.push(bad("counts 65535", &|z| z.count = Some((65535, 65535))));
    cases.push(bad("two counts", &|z| z.count = Some((2, 3))));
    cases.push(bad("directory length too small", &|z| z.length = Some(50)));
    cases.push(bad("directory length too large", &|z| z.length = Some(500)));
    cases.push(bad("directory length open", &|z| z.length = Some(u32::MAX)));
    cases.push(bad("directory offset too small", &|z| z.offset = Some(3)));
    cases.push(bad("directory offset too large", &|z| z.offset = Some(9999)));
    cases.push(bad("directory offset open", &|z| z.offset = Some(u32::MAX)));
    cases.push(bad("bytes between directory and end", &|z| z.after_directory = b"something".to_vec()));
    cases.push(bad("more than a comment could have behind the end", &|z| z.trailing = vec![b'\n'; 65_536]));
    cases.push(bad("an entry behind the end", &|z| { z.trailing = b"\n".to_vec(); z.trailing.extend(file("evil", b"x").local()); }));
    cases.push(bad("a directory behind the end", &|z| { z.trailing = b"\n".to_vec(); z.trailing.extend(&zip(fine()).bytes()[150..]); z.trailing.truncate(200); }));
    cases.push(bad("another archive and a line behind the end", &|z| { z.trailing = zip(vec![file("evil", b"x")]).bytes(); z.trailing.push(b'\n'); }));
    cases.push(bad("an empty archive and a line behind the end", &|z| { z.trailing = zip(vec![]).bytes(); z.trailing.push(b'\n'); }));
    cases.push(bad("a record that is cut off behind the end", &|z| { z.trailing = zip(vec![file("evil", b"x")]).with(|z| z.comment_length = Some(9)).bytes(); }));
    cases.push(bad("a record in the comment, and a line behind the end", &|z| { z.comment = zip(vec![file("evil", b"x")]).bytes(); z.trailing = b"\n".to_vec(); }));
    cases.push(Case("an empty archive in a text".into(), [b"text ", &zip(vec![]).bytes()[..], b" text"].concat(), Want::No(&[Corrupt])));
    cases.push(bad("comment cut off", &|z| z.comment_length = Some(7)));
    cases.push(bad("EOCD record in the comment", &|z| z.comment = zip(vec![]).bytes()));
    cases.push(bad("archive in the comment", &|z| z.comment = zip(vec![file("evil", b"x")]).bytes()));
    cases.push(bad("archive in the comment, shorter", &|z| { z.comment = zip(vec![file("evil", b"x")]).bytes(); z.comment.extend(b"tail"); }));
    cases.push(bad("EOCD record in the comment, of a directory elsewhere", &|z| {
        // One entry's header stands in a file's data, 31 bytes from the start.
        let header = zip(vec![file("evil", b"")]).bytes()[34..84].to_vec();
        z.entries.insert(0, file("a", &header));
        z.comment = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x32\0\0\0\x1f\0\0\0\x03\0and more".to_vec();
    }));
    for (count, disks) in [((1, 1), (1, 1)), ((0, 1), (0, 0))] {
        cases.push(bad("an archive in the comment that counts oddly", &|z| { z.comment = zip(vec![file("evil", b"x")]).with(|z| (z.count, z.disks) = (Some(count), disks)).bytes(); z.comment.extend(b"tail"); }));
        let header = zip(vec![file("evil", b"")]).bytes()[34..84].to_vec();
        let trailing = zip(vec![]).with(|z| (z.count, z.disks, z.length, z.offset) = (Some(count), disks, Some(50), Some(31))).bytes();
        cases.push(no("an archive behind the end that counts oddly", zip(vec![file("a", &header)]).with(|z| z.trailing = [&trailing[..], b"tail"].concat()), &[Corrupt, Unsupported]));
    }
    // Readers that look for the record from the end take each of these.
    let evil = zip(vec![file("evil", b"x")]).bytes();
    let decoy = |count: u16, length, offset| zip(vec![]).with(|z| (z.count, z.length, z.offset) = (Some((count, count)), Some(length), Some(offset))).bytes();
    for (what, decoy) in [
        ("that counts none", [&evil[..85], &decoy(0, 50, 35)].concat()),
        ("of a directory elsewhere that counts none", decoy(0, 50, 0x7FFF_FFFF)),
        ("of a directory elsewhere", decoy(1, 50, 0x7FFF_FFFF)),
        ("of an impossible length", decoy(0, 50, 0)),
        ("that counts more than its length can hold", decoy(5, 10, 3)),
        ("that is none", b"PK\x05\x06 is how an EOCD record begins".to_vec()),
        ("that is cut off", b"PK\x05\x06\0\0\0\0".to_vec()),
    ] {
        cases.push(bad(&format!("a record {what} in the comment"), &|z| z.comment = [&decoy[..], b"x"].concat()));
        cases.push(bad(&format!("a record {what} behind the end"), &|z| z.trailing = [&decoy[..], b"x"].concat()));
    }
    cases.push(bad("ZIP64 records in the comment", &|z| { z.comment = zip(vec![file("evil", b"x")]).with(|z| (z.zip64, z.length) = (Some(Z64::default()), Some(50))).bytes(); z.comment.extend(b"tail"); }));
    cases.push(bad("two archives", &|z| { z.prefix = zip(vec![file("other", b"x")]).bytes(); z.relative = true; }));
    cases.push(bad("two archives, offsets from the start", &|z| z.prefix = zip(vec![file("other", b"x")]).bytes()));
    cases.push(bad("an archive behind a script", &|z| { z.prefix = b"#!/bin/sh\n".to_vec(); z.prefix.extend(zip(vec![file("other", b"x")]).bytes()); z.relative = true; }));
    cases.push(bad("an empty archive before", &|z| { z.prefix = b"text ".to_vec(); z.prefix.extend(zip(vec![]).bytes()); z.relative = true; }));
    let doubled = { let all = zip(fine()).bytes(); let at = all.windows(4).position(|w| w == b"PK\x01\x02").unwrap(); [&all[..], &all[at..]].concat() };
    cases.push(Case("directory doubled".into(), doubled, Want::No(&[Corrupt])));
    let twice = { let all = zip(fine()).bytes(); [&all[..], &all[..]].concat() };
    cases.push(Case("everything twice".into(), twice, Want::No(&[Corrupt])));
    let hidden = { let mut all = zip(fine()).bytes(); all.extend(zip(vec![]).bytes()); all };
    cases.push(Case("empty archive appended".into(), hidden, Want::No(&[Corrupt])));
    cases.push(bad("directory with something else in it", &|z| z.entries[1].comment = vec![0; 9]).corrupted(|b| { let at = b.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap(); b[at] = b'X'; }));
    for disks in [(1, 0), (0, 1), (1, 1), (7, 7)] {
        cases.push(no(format!("disks {disks:?}"), zip(fine()).with(|z| z.disks = disks), &[Unsupported, Corrupt]));
    }
    cases.push(no("entry on another disk", zip(vec![file("x", b"1").with(|e| e.disk = 1)]), &[Unsupported]));
    let wide = |what: &str, change: &dyn Fn(&mut Z64)| { let mut z = Z64::default(); change(&mut z); no(format!("zip64: {what}"), zip(fine()).with(|all| all.zip64 = Some(z)), &[Corrupt]) };
    cases.push(wide("count lies", &|z| z.count = Some(4)));
    cases.push(wide("count huge", &|z| z.count = Some(u64::MAX)));
    cases.push(wide("length lies", &|z| z.length = Some(46)));
    cases.push(wide("length huge", &|z| z.length = Some(u64::MAX)));
    cases.push(wide("offset lies", &|z| z.offset = Some(1)));
    cases.push(wide("offset huge", &|z| z.offset = Some(u64::MAX)));
    cases.push(wide("record elsewhere", &|z| z.record = Some(1)));
    cases.push(wide("record far away", &|z| z.record = Some(u64::MAX)));
    cases.push(no("zip64: disks", zip(fine()).with(|z| z.zip64 = Some(Z64 { disks: 1, ..Z64::default() })), &[Unsupported]));
    cases.push(no("zip64: records contradict", zip(fine()).with(|z| { z.zip64 = Some(Z64 { narrow: true, ..Z64::default() }); z.count = Some((2, 2)); }), &[Corrupt]));
    cases.push(no("zip64 field missing", zip(vec![file("x", b"1").with(|e| e.size = Some(u32::MAX))]), &[Corrupt]));
    cases.push(no("zip64 field too short", zip(vec![file("x", b"1").with(|e| { e.size = Some(u32::MAX); e.extra = field(1, b"abc"); })]), &[Corrupt]));
    cases.push(no("zip64 field twice", zip(vec![file("x", b"1").with(|e| { e.extra = [zip64_field(&[1, 1]), zip64_field(&[2, 2])].concat(); })]), &[Corrupt]));
    cases.push(no("zip64 field contradicts", zip(vec![file("x", b"1").with(|e| e.extra = zip64_field(&[2, 1]))]), &[Corrupt]));
    cases.push(no("zip64 offset huge", zip(vec![file("x", b"1").with(|e| { e.offset = Some(u32::MAX); e.extra = zip64_field(&[u64::MAX - 3]); })]), &[Corrupt]));
    cases.push(no("zip64 sizes huge", zip(vec![file("x", b"1").with(|e| { (e.size, e.compressed_size) = (Some(u32::MAX), Some(u32::MAX)); e.extra = zip64_field(&[u64::MAX, u64::MAX]); })]), &[Corrupt]));

    cases.push(yes("fine", zip(fine()), FINE));
    cases.push(yes("last block filled with zeros", zip(fine()).with(|z| z.trailing = vec![0; 10_000]), FINE));
    cases.push(yes("empty archive", zip(vec![]), &[]));
    cases.push(yes("comment", zip(fine()).with(|z| z.comment = b"made by hand".to_vec()), FINE));
    cases.push(yes("longest comment", zip(fine()).with(|z| z.comment = vec![b'x'; 65535]), FINE));
    cases.push(yes("other signatures in the comment", zip(fine()).with(|z| z.comment = b"PK\x03\x04 and PK\x01\x02 are how headers begin".to_vec()), FINE));
    cases.push(yes("prefix, offsets from its end", zip(fine()).with(|z| { z.prefix = b"#!/bin/sh\nexec unzip $0\n".to_vec(); z.relative = true; }), FINE));
    cases.push(yes("prefix, offsets from the start", zip(fine()).with(|z| z.prefix = b"#!/bin/sh\nexec unzip $0\n".to_vec()), FINE));
    cases.push(yes("large prefix", zip(fine()).with(|z| z.prefix = vec![0x90; 300_000]), FINE));
    cases.push(yes("zip64", zip(fine()).with(|z| z.zip64 = Some(Z64::default())), FINE));
    cases.push(yes("zip64 and all said twice", zip(fine()).with(|z| z.zip64 = Some(Z64 { narrow: true, ..Z64::default() })), FINE));
    cases.push(yes("zip64 with extensible data", zip(fine()).with(|z| z.zip64 = Some(Z64 { extensible: vec![7; 20], ..Z64::default() })), FINE));
    cases.push(yes("zip64 behind a prefix", zip(fine()).with(|z| { z.zip64 = Some(Z64::default()); z.prefix = vec![b'#'; 99]; z.relative = true; }), FINE));
    cases.push(yes("zip64 behind a counted prefix", zip(fine()).with(|z| { z.zip64 = Some(Z64::default()); z.prefix = vec![b'#'; 99]; }), FINE));
}

impl Case {
    fn corrupted(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.1);
        self
    }
}

fn table() -> Vec<Case> {
    let mut cases = Vec::new();
    names(&mut cases);
    links_and_modes(&mut cases);
    bodies(&mut cases);
    headers(&mut cases);
    ends(&mut cases);
    cases
}

/// Runs one case among bystanders and says what was wrong, if anything was.
fn run<S: Source>(case: &Case, source: S) -> Result<(), String> {
    let around = tempfile::tempdir().unwrap();
    fs::create_dir_all(around.path().join("parent/sibling")).unwrap();
    for canary in ["canary", "x", "parent/canary", "parent/x", "parent/sibling/canary"] {
        fs::write(around.path().join(canary), "alive").unwrap();
    }
    let before = tree(around.path());
    let result = Archive::new(source).and_then(|archive| archive.extract(around.path().join("parent/target")));
    let after = tree(around.path());
    let (mut outside, mut inside) = (Tree::new(), Tree::new());
    for (path, content) in after {
        match path.strip_prefix("parent/target").map(|rest| rest.trim_start_matches('/')) {
            // Contents are stated as text, so they are compared as text.
            Some(inner) => inside.insert(inner.to_owned(), String::from_utf8_lossy(&content).into_owned().into_bytes()),
            None => outside.insert(path, content),
        };
    }
    if outside != before {
        return Err(format!("the surroundings changed: {outside:?}"));
    }
    match (&case.2, result) {
        (Want::No(reasons), Err(e)) => match e.refusal() {
            Some(reason) if !reasons.contains(&reason) => Err(format!("refused for {reason:?}: {e}")),
            None => Err(format!("failed: {e}")),
            Some(_) if !inside.is_empty() => Err(format!("refused and left {inside:?}")),
            // What is wrong, and behind a semicolon what to do; and nothing that moves a cursor.
            Some(_) if !e.to_string().contains("; ") => Err(format!("does not say what to do: {e}")),
            Some(_) if e.to_string().contains(char::is_control) => Err(format!("not escaped: {e:?}")),
            Some(_) => Ok(()),
        },
        (Want::No(_), Ok(_)) => Err(format!("extracted {inside:?}")),
        (Want::Yes(_), Err(e)) => Err(format!("refused: {e}")),
        (Want::Yes(want), Ok(_)) => {
            let mut tree: Tree = [(String::new(), b"dir".to_vec())].into();
            tree.extend(want.iter().map(|(path, content)| {
                match (path.strip_suffix('/'), content.starts_with("-> ")) {
                    (Some(dir), _) => (dir.to_owned(), b"dir".to_vec()),
                    (None, true) => (path.clone(), content.clone().into_bytes()),
                    (None, false) => (path.clone(), format!("={content}").into_bytes()),
                }
            }));
            if tree == inside { Ok(()) } else { Err(format!("extracted {inside:?}")) }
        }
    }
}

fn all(source: impl Fn(&[u8]) -> Box<dyn Source>) {
    let cases = table();
    assert!(cases.len() >= 150, "{}", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let ran = catch_unwind(AssertUnwindSafe(|| run(case, source(&case.1))));
            let result = ran.unwrap_or_else(|_| Err("panicked".into()));
            result.err().map(|why| format!("{}: {}", case.0, why.chars().take(300).collect::<String>()))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_archives_leave_nothing_and_odd_ones_are_extracted() {
    all(|bytes| Box::new(bytes.to_vec()));
}

#[cfg(target_os = "linux")]
#[test]
fn the_same_over_a_source_of_single_bytes() {
    all(|bytes| Box::new(Dribble(bytes.to_vec())));
}

#[cfg(target_os = "linux")]
#[test]
fn the_same_fetched_ahead() {
    all(|bytes| Box::new(crate::archive_ahead::Told::new(bytes)));
}
