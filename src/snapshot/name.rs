//! PURE. What a downloaded snapshot and the files beside it are called.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::percent::{percent_decode, query_value};
use crate::secret::is_invisible;

/// The longest name made here, in bytes: file systems take 255, and the part file's name is longer.
const MAX_NAME: usize = 200;
/// How long a signed link lives, in seconds.
const LINK_LIFE: i64 = 30 * 24 * 60 * 60;

/// The file name of the snapshot behind a link: `<stem>.<version>.zip`.
///
/// `path` and `query` are the link's. Without a version, the time of signing takes its place, so that two snapshots of
/// one app do not collide. Never contains any part of the signature.
pub(crate) fn file_name(path: &str, query: &str, version: Option<&str>) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let stem = percent_decode(last).unwrap_or_else(|| last.to_owned());
    let stem = match stem.len().checked_sub(4).and_then(|at| stem.split_at_checked(at)) {
        Some((stem, zip)) if zip.eq_ignore_ascii_case(".zip") => stem.to_owned(),
        _ => stem,
    };
    let mark = version.map(safe_version).or_else(|| signing_time(query));
    let tail = mark.map_or_else(|| ".zip".to_owned(), |mark| format!(".{mark}.zip"));
    let mut name = safe_stem(&stem, MAX_NAME - tail.len());
    name.push_str(&tail);
    name
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

/// When the link was signed, from its `Expires`, as `20261120T180411Z`.
pub(crate) fn signing_time(query: &str) -> Option<String> {
    let expires: i64 = query_value(query, "Expires")?.parse().ok()?;
    let at = OffsetDateTime::from_unix_timestamp(expires.checked_sub(LINK_LIFE)?).ok()?;
    Some(at.format(&Rfc3339).ok()?.replace(['-', ':'], ""))
}

/// A version as part of a name. Different versions give different results, also where upper and lower case
/// are the same.
fn safe_version(version: &str) -> String {
    let plain = version.len() <= 64 && version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain {
        return version.to_owned();
    }
    let safe: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(40).collect();
    format!("{safe}-{:016x}", fnv1a(version.as_bytes()))
}

/// A stem that every file system takes and that cannot leave its directory.
fn safe_stem(stem: &str, max: usize) -> String {
    let mut safe: String = stem
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            c if c.is_control() || is_invisible(c) => '_',
            c => c,
        })
        .collect();
    let trimmed = safe.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    safe = trimmed.to_owned();
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
    fn names_carry_the_version_or_the_time_of_signing() {
        let path = "/applications/1/app_javascript_manual.zip";
        assert_eq!(file_name(path, QUERY, Some("v-1")), "app_javascript_manual.v-1.zip");
        assert_eq!(file_name(path, QUERY, None), "app_javascript_manual.20261120T180731Z.zip");
        assert_eq!(file_name(path, "", None), "app_javascript_manual.zip");
        assert_eq!(file_name(path, "Expires=soon", None), "app_javascript_manual.zip");
    }

    #[test]
    fn odd_versions_stay_apart_and_stay_inside() {
        let path = "/a/app.zip";
        let names: Vec<String> = ["a/b", "a.b", "a+b", "a%2Fb", "../../x", &"v".repeat(400)]
            .iter()
            .map(|v| file_name(path, "", Some(v)))
            .collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!name.contains('/') && name.ends_with(".zip") && name.len() <= MAX_NAME, "{name}");
            assert!(names.iter().skip(i + 1).all(|other| !other.eq_ignore_ascii_case(name)), "{name}");
        }
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
            assert_eq!(file_name(path, "", None), want, "{path}");
        }
        let long = file_name(&format!("/a/{}.zip", "é".repeat(300)), "", Some(&"v".repeat(64)));
        assert!(long.len() <= MAX_NAME && long.ends_with(&format!("{}.zip", "v".repeat(64))));
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_safe_and_stable(path in "/.{0,80}", version in proptest::option::of(".{0,90}")) {
            let name = file_name(&path, "", version.as_deref());
            proptest::prop_assert_eq!(&name, &file_name(&path, "", version.as_deref()));
            proptest::prop_assert!(name.ends_with(".zip") && name.len() <= MAX_NAME && !name.starts_with('.'));
            proptest::prop_assert!(!name.contains(['/', '\\', ':', '\0']));
            proptest::prop_assert!(part_name(&name).len() + 5 < 255);
        }
    }
}
