//! PURE. Names: what their bytes say, and whether they may become a path. The platform is an argument.
//!
//! Repairing a bad name in silence is how files end up where nobody looks for them, so nothing is
//! repaired: a name is taken as it is, or refused.

use std::borrow::Cow;

use super::fault::{Fault, Judged};
use super::format::{CentralHeader, UNICODE_PATH, UTF8, crc32_of_name, fields_of, u32_at};
use crate::error::Refusal;
use crate::snapshot::name::is_device;

/// The upper half of code page 437 (APPNOTE appendix D.1).
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                     αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// A longest component every file system takes.
const COMPONENT: usize = 255;

/// Whose rules for names hold besides those that hold everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Unix,
    /// Names that differ in case are one file.
    Apple,
    /// The same, but a colon begins the name of a stream; device names and dots at the end are special, too.
    Windows,
}

impl Platform {
    pub(super) const HERE: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_vendor = "apple") {
        Self::Apple
    } else {
        Self::Unix
    };
}

/// Hosts that write unix modes: UNIX and OS X (Darwin) (APPNOTE 4.4.2.2).
pub(super) fn unix_host(host: u8) -> bool {
    host == 3 || host == 19
}

/// MS-DOS, OS/2, NTFS, VFAT.
fn dos_host(host: u8) -> bool {
    matches!(host, 0 | 6 | 10 | 11 | 14)
}

/// Whether `\` separates: on DOS hosts, in names without `/`. Java calls its host MS-DOS wherever it runs, so with a `/` in
/// the name a `\` is a letter; other readers have the same rule.
pub(super) fn backslash_separates(name: &[u8], host: u8) -> bool {
    dos_host(host) && !name.contains(&b'/')
}

/// What is wrong with a name whose bytes say nothing about their encoding.
pub(super) const NOT_UTF8: &str = "its bytes are not UTF-8, and nothing says what they are; leave it out with \
                                   `ExtractOptions::filter`, or take it as code page 437 with `ExtractOptions::cp437`";

/// Whether an entry is a directory: by the unix mode's type bits where there are some, else by its name's end; or, as
/// 7-Zip has written them, without data and by the attribute of DOS (0x10).
pub(super) fn is_directory(header: &CentralHeader<'_>, name: &str) -> bool {
    let attribute = dos_host(header.host) && header.attributes & 0x10 != 0 && header.size == 0;
    match if unix_host(header.host) { header.attributes >> 28 } else { 0 } {
        4 => true,
        0 | 8 if name.ends_with('/') || attribute => true,
        0 | 8 => name.ends_with('\\') && backslash_separates(name.as_bytes(), header.host),
        _ => false,
    }
}

/// The name as text, and what is wrong with the bytes, if anything is. A wrong name is still shown. Borrowed and
/// right is only what the header's own bytes say.
pub(super) fn decode<'a>(c: &CentralHeader<'a>) -> (Cow<'a, str>, Option<&'static str>) {
    let path = match unicode_path(c.extra, c.name) {
        Ok(path) => path,
        Err(problem) => return (String::from_utf8_lossy(c.name), Some(problem)),
    };
    if c.flags & UTF8 != 0 {
        return match std::str::from_utf8(c.name) {
            // Some readers believe the flag and some the field.
            Ok(name) if path.is_some_and(|path| path != c.name) => {
                (name.into(), Some("its Unicode path differs from its name, which is UTF-8 already"))
            }
            Ok(name) => (name.into(), None),
            Err(_) => (String::from_utf8_lossy(c.name), Some("it says it is UTF-8 and is not")),
        };
    }
    if let Some(path) = path {
        return match std::str::from_utf8(path) {
            Ok(name) => (name.to_owned().into(), None),
            Err(_) => (String::from_utf8_lossy(path), Some("its Unicode path is not UTF-8")),
        };
    }
    match std::str::from_utf8(c.name) {
        // Many tools write UTF-8 without saying so; text in a code page is hardly ever valid UTF-8 by chance.
        Ok(name) => (name.into(), None),
        Err(_) => {
            let name: String = c.name.iter().map(|byte| cp437(*byte)).collect();
            (name.into(), Some(NOT_UTF8).filter(|_| !dos_host(c.host)))
        }
    }
}

fn cp437(byte: u8) -> char {
    match byte.checked_sub(128) {
        None => char::from(byte),
        Some(high) => CP437.chars().nth(usize::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// The Info-ZIP Unicode Path field (APPNOTE 4.6.9), when it was made for this very name.
///
/// # Errors
/// When there are several and they differ: readers take the first or the last.
pub(super) fn unicode_path<'a>(extra: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let mut all = fields_of(extra, UNICODE_PATH);
    let Some(body) = all.next() else { return Ok(None) };
    if all.any(|other| other != body) {
        return Err("it has two Unicode paths that differ");
    }
    let fits = body.first() == Some(&1) && u32_at(body, 1) == Some(crc32_of_name(name));
    Ok(if fits { body.get(5..) } else { None })
}

/// Judges a name and makes it a relative path with `/` between components, without `.` and empty ones. An empty path is
/// the target itself (an entry `./`).
///
/// # Errors
/// `ClimbsOut`, `Absolute` or `Name`.
pub(super) fn to_path(name: &str, host: u8, platform: Platform) -> Judged<String> {
    let bad = |detail: &'static str| Err(Fault::new(Refusal::Name, detail));
    if name.is_empty() {
        return bad("it is empty");
    }
    if name.contains('\0') {
        return bad("it has a NUL byte");
    }
    if name.starts_with(['/', '\\']) || drive(name, dos_host(host) || platform == Platform::Windows) {
        return Err(Fault::new(Refusal::Absolute, "a backup's names are relative"));
    }
    // Judged with both separators everywhere: what is harmless here may be carried to another system.
    if name.split(['/', '\\']).any(|part| part == "..") {
        return Err(Fault::new(Refusal::ClimbsOut, "no name may have `..`"));
    }
    let separator = if backslash_separates(name.as_bytes(), host) { '\\' } else { '/' };
    if platform == Platform::Windows && separator == '/' && name.contains('\\') {
        return bad("it has a backslash, which separates on this system");
    }
    if name.rsplit(separator).next() == Some(".") {
        return bad("it ends with `.`, which no file can be named");
    }
    let mut path = String::with_capacity(name.len());
    for part in name.split(separator).filter(|part| !part.is_empty() && *part != ".") {
        component(part, platform)?;
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

fn component(part: &str, platform: Platform) -> Judged<()> {
    let bad = |detail: &'static str| Err(Fault::new(Refusal::Name, detail));
    if part.len() > COMPONENT {
        return bad("a component is longer than 255 bytes");
    }
    if platform == Platform::Windows { windows(part) } else { Ok(()) }
}

/// Whether a path begins with a drive: a letter, a colon and a separator. Without the separator it is a name, except
/// to DOS and Windows.
pub(super) fn drive(path: &str, dos: bool) -> bool {
    let separated = |rest: &[u8]| matches!(rest.first(), Some(b'/' | b'\\'));
    matches!(path.as_bytes(), [letter, b':', rest @ ..] if letter.is_ascii_alphabetic() && (dos || separated(rest)))
}

/// What Windows cannot have as a component, or would quietly take for another one.
fn windows(part: &str) -> Judged<()> {
    let bad = |detail: &'static str| Err(Fault::new(Refusal::Name, detail));
    if part.chars().any(|c| c < ' ' || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')) {
        return bad("it has a character that this system does not allow");
    }
    if part.ends_with(['.', ' ']) {
        return bad("a component ends with a dot or a space, which this system drops");
    }
    if is_device(part) {
        return bad("a component is the name of a device on this system");
    }
    Ok(())
}

/// The key under which two paths are one file on this platform.
pub(super) fn key(path: &str, platform: Platform) -> Cow<'_, str> {
    if platform == Platform::Unix { path.into() } else { path.to_lowercase().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Platform::{Apple as MAC, Unix as UNIX, Windows as WINDOWS};

    fn path(name: &str, host: u8, platform: Platform) -> Result<String, Refusal> {
        to_path(name, host, platform).map_err(|f| f.refusal)
    }

    #[test]
    fn names_are_refused_on_every_system() {
        use Refusal::*;
        for (name, refusal) in [
            ("", Name),
            ("a\0b", Name),
            (".", Name),
            ("a/.", Name),
            ("..", ClimbsOut),
            ("../x", ClimbsOut),
            ("a/../../x", ClimbsOut),
            ("a/..", ClimbsOut),
            ("a/../b", ClimbsOut),
            ("..\\x", ClimbsOut),
            ("a\\..\\..\\x", ClimbsOut),
            ("../", ClimbsOut),
            ("a/..\\x", ClimbsOut),
            ("/x", Absolute),
            ("//server/x", Absolute),
            ("\\x", Absolute),
            ("\\\\server\\x", Absolute),
            ("\\\\?\\C:\\x", Absolute),
            ("\\\\.\\COM1", Absolute),
            ("c:\\x", Absolute),
            ("Z:/x", Absolute),
            ("/", Absolute),
            ("C:\\x:stream", Absolute),
        ] {
            for host in [0, 3, 10] {
                for platform in [UNIX, MAC, WINDOWS] {
                    assert_eq!(path(name, host, platform), Err(refusal), "{name:?} {host}");
                }
            }
        }
        for name in ["C:x", "C:", "a:b:c", "c:x/y:z"] {
            for (host, platform) in [(0, UNIX), (11, MAC), (3, WINDOWS), (0, WINDOWS)] {
                assert_eq!(path(name, host, platform), Err(Absolute), "{name:?} {host}");
            }
        }
        assert_eq!(path(&"x".repeat(256), 3, UNIX), Err(Name));
        assert_eq!(path(&"x".repeat(255), 3, UNIX).map(|p| p.len()), Ok(255));
    }

    #[test]
    fn harmless_names_are_taken_as_they_are() {
        for (name, host, want) in [
            ("a/b", 3, "a/b"),
            ("a//b", 3, "a/b"),
            ("./a", 3, "a"),
            ("a/./b/", 3, "a/b"),
            ("./", 3, ""),
            ("a\\b", 3, "a\\b"),
            ("a\\b", 0, "a/b"),
            (".\\a\\", 0, "a"),
            ("a/b\\c", 0, "a/b\\c"),
            ("a/b\\", 10, "a/b\\"),
            ("...", 3, "..."),
            ("..a/b..", 3, "..a/b.."),
            ("CON", 3, "CON"),
            ("ab:c", 3, "ab:c"),
            ("a:b:c", 3, "a:b:c"),
            ("a:b.txt", 3, "a:b.txt"),
            ("t:x/y", 3, "t:x/y"),
            ("C:", 19, "C:"),
            ("1:2", 3, "1:2"),
            ("x/C:y", 3, "x/C:y"),
            ("é:x", 3, "é:x"),
            ("a. ", 3, "a. "),
            ("\u{202e}x\n", 3, "\u{202e}x\n"),
        ] {
            for platform in [UNIX, MAC] {
                assert_eq!(path(name, host, platform).as_deref(), Ok(want), "{name:?}");
            }
        }
    }

    #[test]
    fn windows_minds_more() {
        for name in
            ["CON", "a/nul.txt", "com1", "LPT9.x", "ab:c", "x/a:b", "a.", "b /c", "a?b", "a\\b", "AUX .txt", "com¹"]
        {
            assert_eq!(path(name, 3, WINDOWS), Err(Refusal::Name), "{name:?}");
        }
        for name in ["CONSOLE", "COM", "COM10", "a/b.c", "./a/"] {
            assert!(path(name, 3, WINDOWS).is_ok(), "{name:?}");
        }
        assert_eq!(path("a\\b", 0, WINDOWS).as_deref(), Ok("a/b"));
        assert_eq!(path("a/b\\c", 0, WINDOWS), Err(Refusal::Name));
        assert_eq!(key("ÄB", WINDOWS), "äb");
        assert_eq!(key("ÄB", MAC), "äb");
        assert_eq!(key("ÄB", UNIX), "ÄB");
    }

    #[test]
    fn bytes_become_text_by_flag_field_and_host() {
        let c = |flags, host, name: &'static [u8], extra: &'static [u8]| CentralHeader {
            flags,
            host,
            name,
            extra,
            ..CentralHeader::default()
        };
        assert_eq!(decode(&c(0, 0, b"\x82\xe1.txt", b"")), ("éß.txt".into(), None));
        assert_eq!(decode(&c(0, 3, "é".as_bytes(), b"")), ("é".into(), None));
        // UTF-8 by its bytes, whatever the host.
        assert_eq!(decode(&c(0, 0, "é".as_bytes(), b"")), ("é".into(), None));
        for host in [1, 3, 7, 19] {
            assert_eq!(decode(&c(0, host, b"\xff", b"")), ("\u{a0}".into(), Some(NOT_UTF8)));
        }
        assert_eq!(decode(&c(UTF8, 0, "é".as_bytes(), b"")), ("é".into(), None));
        assert!(decode(&c(UTF8, 3, b"\xff", b"")).1.is_some());
        assert_eq!(CP437.chars().count(), 128);
    }

    #[test]
    fn a_unicode_path_counts_only_for_the_name_it_was_made_for() {
        let mut extra = b"up\x07\0\x01".to_vec();
        extra.extend(crc32_of_name(b"x").to_le_bytes());
        extra.extend("é".as_bytes());
        let c = |name: &'static [u8]| CentralHeader { name, extra: &extra, ..CentralHeader::default() };
        assert_eq!(decode(&c(b"x")).0, "é");
        assert_eq!(decode(&c(b"y")).0, "y");
        let both = |other: &[u8]| [&extra[..], other].concat();
        assert_eq!(unicode_path(&both(&extra), b"x"), Ok(Some("é".as_bytes())));
        assert!(unicode_path(&both(b"up\x01\0\x01"), b"x").is_err());
        let flagged = CentralHeader { name: b"x", flags: UTF8, extra: &extra, ..CentralHeader::default() };
        assert!(decode(&flagged).1.is_some());
    }
}
