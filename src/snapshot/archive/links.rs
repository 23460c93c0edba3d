//! Where symbolic links lead, found out on paper: nothing of the target directory is looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fault::{Fault, Judged};
use super::name::{Platform, key};
use crate::error::Refusal;

/// The longest target a system takes.
pub(super) const LONGEST: u64 = 4095;

/// Systems give up after forty links, too.
const FOLLOWED: usize = 40;

/// A link's content as its target.
///
/// # Errors
/// `Link` for a target that cannot be one or does not begin inside.
pub(super) fn target(content: Vec<u8>) -> Judged<String> {
    let bad = |detail: &'static str| Err(Fault::new(Refusal::Link, detail));
    let Ok(target) = String::from_utf8(content) else { return bad("its target is not UTF-8") };
    if target.is_empty() || target.contains('\0') {
        return bad("its target is empty or has a NUL byte");
    }
    if target.contains('\\') {
        return bad("its target has a backslash");
    }
    if target.starts_with('/') || target.as_bytes().get(1) == Some(&b':') {
        return bad(
            "its target is absolute; do not trust this archive, or leave links out with `Links::Skip`",
        );
    }
    Ok(target)
}

/// Follows the link at `path` through all other links of the archive.
///
/// # Errors
/// `Link` when it leads out at any step, or in a circle.
pub(super) fn follow(
    path: &str,
    target: &str,
    links: &HashMap<Cow<'_, str>, &str>,
    platform: Platform,
) -> Judged<()> {
    let out = || {
        Fault::new(
            Refusal::Link,
            "it leads out of the target directory; do not trust this archive, or leave links out with `Links::Skip`",
        )
    };
    let mut here: Vec<&str> = path.split('/').collect();
    here.pop();
    let mut ahead: Vec<&str> = target.split('/').rev().collect();
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        match part {
            "" | "." => continue,
            ".." => {
                here.pop().ok_or_else(out)?;
                continue;
            }
            part => here.push(part),
        }
        if let Some(next) = links.get(&key(&here.join("/"), platform)) {
            followed += 1;
            if followed > FOLLOWED {
                return Err(Fault::new(
                    Refusal::Link,
                    "it leads in a circle; leave links out with `Links::Skip`",
                ));
            }
            here.pop();
            ahead.extend(next.split('/').rev());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: Platform = Platform { windows: false, fold_case: false };

    fn leads(all: &[(&str, &str)]) -> Vec<bool> {
        let links: HashMap<_, _> = all.iter().map(|(path, target)| (Cow::from(*path), *target)).collect();
        all.iter().map(|(path, target)| follow(path, target, &links, UNIX).is_ok()).collect()
    }

    #[test]
    fn links_that_stay_inside_are_fine() {
        assert_eq!(
            leads(&[
                ("node_modules/.bin/x", "../x/cli.js"),
                ("a", "."),
                ("b/c", ".."),
                ("d", "a/a/b/c/e"),
                ("f", "not/there")
            ]),
            [true; 5]
        );
    }

    #[test]
    fn links_that_lead_out_are_found_directly_and_in_chains() {
        assert_eq!(leads(&[("a", "..")]), [false]);
        assert_eq!(leads(&[("a/b", "../../x")]), [false]);
        assert_eq!(leads(&[("a", "."), ("b", "a/..")]), [true, false]);
        assert_eq!(leads(&[("d/a", ".."), ("b", "d/a/../x")]), [true, false]);
        assert_eq!(leads(&[("x", "y/../../z")]), [false]);
        assert_eq!(leads(&[("a", "b"), ("b", "a")]), [false, false]);
        assert_eq!(leads(&[("a", "a")]), [false]);
        // Each doubles the way: it must end quickly.
        let many: Vec<(String, String)> =
            (0..60).map(|i| (format!("l{i}"), format!("l{}/l{}", i + 1, i + 1))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert!(!leads(&many)[0]);
    }

    #[test]
    fn targets_that_are_none_are_refused() {
        for bad in [&b""[..], b"/etc/passwd", b"a\0b", b"..\\x", b"C:x", b"\xff"] {
            assert_eq!(target(bad.to_vec()).map_err(|f| f.refusal), Err(Refusal::Link), "{bad:?}");
        }
        assert_eq!(target(b"../x".to_vec()).as_deref(), Ok("../x"));
    }
}
