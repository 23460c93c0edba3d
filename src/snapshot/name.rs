//! PURE. What a downloaded snapshot and the files beside it are called.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::percent::{encode, percent_decode, query_value};
use crate::secret::{SignedUrl, is_invisible};
use crate::types::SnapshotInfo;

/// The longest name made here, in bytes: file systems take 255, and the part file's name is longer.
const MAX_NAME: usize = 200;
/// How long a signed link lives, in seconds.
const LINK_LIFE: i64 = 30 * 24 * 60 * 60;

/// What a snapshot is called, and how it is told from others.
pub(crate) struct Named {
    pub(crate) file_name: String,
    /// The version that the link or the listing names.
    pub(crate) version: Option<String>,
    /// Whether the name stands for this snapshot alone.
    pub(crate) is_unique: bool,
}

/// What the snapshot is called that a link with this path and query leads to. `info`: what a listing says of it.
pub(crate) fn of_link(path: &str, query: &str, info: Option<&SnapshotInfo>) -> Named {
    let listed = || info?.version_id.clone().filter(|version| !version.is_empty());
    let version = query_value(query, "versionId").or_else(listed);
    // A link may be signed twice: the time of signing stands in only where nothing else tells versions apart.
    let signed_at = || if version.is_none() { signed_at(query) } else { None };
    let created_at = info.map(|info| info.created_at).or_else(signed_at);
    let file_name = file_name(path, created_at, version.as_deref());
    Named { file_name, is_unique: created_at.is_some() || version.is_some(), version }
}

/// What a listed snapshot is called: as [`of_link`] does once it is opened.
pub(crate) fn of_listed(info: &SnapshotInfo) -> Named {
    match info.url() {
        Some(url) => of_link(url.path(), url.query(), Some(info)),
        None => of_link(&format!("/{}.zip", encode(&info.id)), info.key().expose(), Some(info)),
    }
}

/// Whether the link of a listed snapshot names its version. One that does not leads to the newest of the same name.
pub(crate) fn is_pinned(info: &SnapshotInfo) -> bool {
    query_value(info.url().map_or(info.key().expose(), SignedUrl::query), "versionId").is_some()
}

/// The file name of a snapshot: `<name>.<created_at>.<version>.zip`, without what is not known.
///
/// `path` is the link's. Never contains any part of the signature.
fn file_name(path: &str, created_at: Option<OffsetDateTime>, version: Option<&str>) -> String {
    let mut tail = String::new();
    for mark in [created_at.and_then(compact), version.map(safe_version)].into_iter().flatten() {
        tail.push('.');
        tail.push_str(&mark);
    }
    tail.push_str(".zip");
    safe_stem(&snapshot_name(path), MAX_NAME - tail.len()) + &tail
}

/// The snapshot's name in a link: the last segment of its path, without `.zip`.
pub(crate) fn snapshot_name(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = percent_decode(last).unwrap_or_else(|| last.to_owned());
    match name.len().checked_sub(4).and_then(|at| name.split_at_checked(at)) {
        Some((stem, zip)) if zip.eq_ignore_ascii_case(".zip") => stem.to_owned(),
        _ => name,
    }
}

/// What a name made by [`file_name`] says: the name of the snapshot, and when it was created.
pub(crate) fn parse(name: &str) -> Option<(&str, OffsetDateTime)> {
    let (rest, last) = name.strip_suffix(".zip")?.rsplit_once('.')?;
    if let Some(created_at) = uncompact(last) {
        return Some((rest, created_at));
    }
    let (stem, time) = rest.rsplit_once('.')?;
    let is_version = (1..=16).contains(&last.len()) && last.chars().all(is_plain);
    uncompact(time).filter(|_| is_version).map(|created_at| (stem, created_at))
}

/// The name of the directory with the snapshots of one app or database. Different ids give different names; usually it is
/// the id itself.
pub(crate) fn folder_name(id: &str) -> String {
    let safe = safe_stem(id, MAX_NAME / 2);
    if safe == id { safe } else { format!("{safe}-{:016x}", fnv1a(id.as_bytes())) }
}

/// The name of the file that collects the bytes of `name`.
pub(crate) fn part_name(name: &str) -> String {
    format!(".{}.part", shorten(name, MAX_NAME))
}

/// `name`, or if it is longer than `max` bytes its beginning and a hash of it.
fn shorten(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let mut at = max.saturating_sub(17);
    while !name.is_char_boundary(at) {
        at -= 1;
    }
    format!("{}-{:016x}", name.get(..at).unwrap_or_default(), fnv1a(name.as_bytes()))
}

/// When the link expires, in seconds since 1970.
pub(crate) fn expires(query: &str) -> Option<i64> {
    query_value(query, "Expires")?.parse().ok()
}

/// When the link was signed.
fn signed_at(query: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(expires(query)?.checked_sub(LINK_LIFE)?).ok()
}

/// A time as `20261120T180411Z`.
fn compact(at: OffsetDateTime) -> Option<String> {
    let at = at.checked_to_offset(UtcOffset::UTC)?.replace_nanosecond(0).ok()?;
    Some(at.format(&Rfc3339).ok()?.replace(['-', ':'], ""))
}

/// The time that [`compact`] wrote.
fn uncompact(text: &str) -> Option<OffsetDateTime> {
    let is_one = |(at, c): (usize, u8)| match at {
        8 => c == b'T',
        15 => c == b'Z',
        _ => c.is_ascii_digit(),
    };
    if text.len() != 16 || !text.bytes().enumerate().all(is_one) {
        return None;
    }
    let part = |from, to| text.get(from..to).unwrap_or_default();
    let date = format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 11));
    OffsetDateTime::parse(&format!("{date}:{}:{}", part(11, 13), part(13, 16)), &Rfc3339).ok()
}

/// A version as part of a name, at most 16 characters. Different versions give different results; those that are
/// changed do so also where upper and lower case are the same.
fn safe_version(version: &str) -> String {
    if version.len() <= 16 && version.chars().all(is_plain) {
        return version.to_owned();
    }
    let safe: String = version.chars().map(|c| if is_plain(c) { c } else { '_' }).take(7).collect();
    let hash = fnv1a(version.as_bytes());
    format!("{safe:_<7}-{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// A stem that every file system takes and that cannot leave its directory.
fn safe_stem(stem: &str, max: usize) -> String {
    let is_odd = |c: char| r#"/\:*?"<>|"#.contains(c) || c.is_control() || is_invisible(c);
    let mut safe = stem.replace(is_odd, "_").trim_matches(['.', ' ']).to_owned();
    if safe.is_empty() {
        safe.push_str("snapshot");
    }
    if is_device(&safe) {
        safe.insert(0, '_');
    }
    shorten(&safe, max)
}

/// Whether Windows takes `name` for a device, whatever its extension.
pub(crate) fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|n| matches!(n, "¹" | "²" | "³") || (n.len() == 1 && n.as_bytes()[0].is_ascii_digit()))
        || matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$")
}

/// FNV-1a, 64 bits: short, stable, and not a secret.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "AWSAccessKeyId=EXAMPLE&Expires=1797790051&Signature=iWPed%2FcsouRAP%3D";

    #[test]
    fn names_carry_the_time_and_the_version() {
        let path = "/applications/1/app_javascript_manual.zip";
        let signed = signed_at(QUERY);
        assert_eq!(file_name(path, signed, Some("v-1")), "app_javascript_manual.20261120T180731Z.v-1.zip");
        assert_eq!(file_name(path, signed, None), "app_javascript_manual.20261120T180731Z.zip");
        assert_eq!(file_name(path, None, Some("v-1")), "app_javascript_manual.v-1.zip");
        assert_eq!(file_name(path, None, None), "app_javascript_manual.zip");
        for query in ["", "Expires=soon", "Expires=-9223372036854775808", "Expires=9223372036854775807"] {
            assert_eq!(signed_at(query), None, "{query}");
        }
        let elsewhere = |text| OffsetDateTime::parse(text, &Rfc3339).ok();
        let there = elsewhere("2026-11-25T01:59:44.512+23:30");
        assert_eq!(file_name(path, there, None), "app_javascript_manual.20261124T022944Z.zip");
        assert_eq!(file_name(path, elsewhere("0000-01-01T00:00:00+01:00"), None), "app_javascript_manual.zip");
    }

    #[test]
    fn odd_versions_stay_apart_and_stay_inside() {
        let versions =
            ["a/b", "a.b", "a+b", "a%2Fb", "../../x", "ü", &"v".repeat(17), &"V".repeat(17), &"v".repeat(400)];
        let names: Vec<String> = versions.iter().map(|v| file_name("/a/app.zip", None, Some(v))).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!name.contains('/') && name.len() == "app..zip".len() + 16, "{name}");
            assert!(names.iter().skip(i + 1).all(|other| !other.eq_ignore_ascii_case(name)), "{name}");
        }
        let most = "0123456789abcd-_";
        assert_eq!(file_name("/a/app.zip", None, Some(most)), format!("app.{most}.zip"));
    }

    #[test]
    fn hostile_paths_become_plain_names() {
        for (path, want) in [
            ("/a/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd.zip"),
            ("/a/CON.zip", "_CON.zip"),
            ("/a/com1.tar.zip", "_com1.tar.zip"),
            ("/a/.hidden.zip", "hidden.zip"),
            ("/a/", "snapshot.zip"),
            ("/a/%00%0a.ZIP", "__.zip"),
            ("/a/%zz.zip", "%zz.zip"),
        ] {
            assert_eq!(file_name(path, None, None), want, "{path}");
        }
        let long = file_name(&format!("/a/{}.zip", "é".repeat(300)), signed_at(QUERY), Some(&"v".repeat(16)));
        assert!(long.len() <= MAX_NAME && long.ends_with(&format!(".20261120T180731Z.{}.zip", "v".repeat(16))));
    }

    #[test]
    fn a_name_tells_what_it_was_made_from() {
        let at = signed_at(QUERY);
        for (path, version) in
            [("/a/app_js_manual.zip", Some("v-1")), ("/a/a.b.c.zip", None), ("/a/x.zip", Some("a/b"))]
        {
            let name = file_name(path, at, version);
            assert_eq!(parse(&name), Some((&*snapshot_name(path), at.unwrap())), "{name}");
        }
        for stranger in [
            "notes.zip",
            "app.v1.zip",
            "app.20261120T180731Z.v-1",
            "app.20261120T180731Z.v-1 (1).zip",
            "app.20261120T180731Z.v-1.zip.damaged",
            "app.20261120T180731Z.0123456789abcdef0.zip",
            "app.20261320T180731Z.zip",
            "app.20261120t180731z.zip",
            ".zip",
            "",
        ] {
            assert_eq!(parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_folder_is_named_for_one_id() {
        assert_eq!(folder_name("c0ffee-1"), "c0ffee-1");
        let odd = ["a/b", "a:b", "a_b", "a.", "..", "", ".a", "CON", "é\u{200b}", &"a".repeat(300), &"a".repeat(301)];
        let names: std::collections::BTreeSet<String> = odd.iter().map(|id| folder_name(id)).collect();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 150 && !name.contains(['/', ':']) && !name.starts_with('.')));
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_safe(path in "/.{0,80}", version in proptest::option::of(".{0,90}"), expires: i64) {
            let name = file_name(&path, signed_at(&format!("Expires={expires}")), version.as_deref());
            proptest::prop_assert!(name.ends_with(".zip") && name.len() <= MAX_NAME && !name.starts_with('.'));
            proptest::prop_assert!(!name.contains(['/', '\\', ':', '\0']));
            proptest::prop_assert!(part_name(&name).len() + 5 < 255);
        }
    }
}
