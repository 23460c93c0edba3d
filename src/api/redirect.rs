//! PURE. Where a redirect leads.

use crate::secret::SignedUrl;

/// The target of a redirect from `base` (RFC 3986, section 5.2), without its fragment.
pub(crate) fn resolve(base: &SignedUrl, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    let (location, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    let is_absolute = location.find([':', '/']).is_some_and(|at| location[at..].starts_with(':'));
    let absolute = if is_absolute {
        location.to_owned()
    } else if location.starts_with("//") {
        let scheme = base.origin().split("//").next().unwrap_or_default();
        format!("{scheme}{location}")
    } else if location.starts_with('/') {
        format!("{}{location}", base.origin())
    } else if location.is_empty() {
        let path = format!("{}{}", base.origin(), base.path());
        return if query.is_empty() { base.expose().to_owned() } else { path + query };
    } else {
        let (directory, _) = base.path().rsplit_once('/').unwrap_or_default();
        format!("{}{directory}/{location}", base.origin())
    };
    let Some(authority) = absolute.find("://").map(|at| at + 3) else {
        return absolute + query;
    };
    let (origin, path) = absolute.split_at(absolute[authority..].find('/').map_or(absolute.len(), |at| authority + at));
    format!("{origin}{}{query}", without_dots(path))
}

/// A path without its `.` and `..` segments (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // The first segment is the empty one before the path's first slash.
            ".." => drop(kept.drain(1.max(kept.len() - 1)..)),
            "." => {}
            _ => kept.push(segment),
        }
        if matches!(segment, "." | "..") && segments.peek().is_none() {
            kept.push("");
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(location: &str) -> String {
        resolve(&SignedUrl::parse("https://a/b/c/d;p?q").unwrap(), location)
    }

    /// The examples of RFC 3986, section 5.4; fragments are dropped.
    #[test]
    fn the_examples_of_the_rfc_hold() {
        let examples = [
            ("g:h", "g:h"),
            ("g", "https://a/b/c/g"),
            ("./g", "https://a/b/c/g"),
            ("g/", "https://a/b/c/g/"),
            ("/g", "https://a/g"),
            ("//g", "https://g"),
            ("?y", "https://a/b/c/d;p?y"),
            ("g?y", "https://a/b/c/g?y"),
            ("#s", "https://a/b/c/d;p?q"),
            ("g#s", "https://a/b/c/g"),
            ("g?y#s", "https://a/b/c/g?y"),
            (";x", "https://a/b/c/;x"),
            ("g;x", "https://a/b/c/g;x"),
            ("g;x?y#s", "https://a/b/c/g;x?y"),
            ("", "https://a/b/c/d;p?q"),
            (".", "https://a/b/c/"),
            ("./", "https://a/b/c/"),
            ("..", "https://a/b/"),
            ("../", "https://a/b/"),
            ("../g", "https://a/b/g"),
            ("../..", "https://a/"),
            ("../../", "https://a/"),
            ("../../g", "https://a/g"),
            ("../../../g", "https://a/g"),
            ("../../../../g", "https://a/g"),
            ("/./g", "https://a/g"),
            ("/../g", "https://a/g"),
            ("g.", "https://a/b/c/g."),
            (".g", "https://a/b/c/.g"),
            ("g..", "https://a/b/c/g.."),
            ("..g", "https://a/b/c/..g"),
            ("./../g", "https://a/b/g"),
            ("./g/.", "https://a/b/c/g/"),
            ("g/./h", "https://a/b/c/g/h"),
            ("g/../h", "https://a/b/c/h"),
            ("g;x=1/./y", "https://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "https://a/b/c/y"),
            ("g?y/./x", "https://a/b/c/g?y/./x"),
            ("g?y/../x", "https://a/b/c/g?y/../x"),
            ("g#s/../x", "https://a/b/c/g"),
            ("https:g", "https:g"),
        ];
        for (location, expected) in examples {
            assert_eq!(from(location), expected, "{location}");
        }
    }

    #[test]
    fn what_servers_send_beside_the_examples() {
        let cases = [
            ("https://h:1/x/../y?a=/../b", "https://h:1/y?a=/../b"),
            ("//h:1/x/./y?a", "https://h:1/x/y?a"),
            ("//h?a", "https://h?a"),
            ("/a//../b", "https://a/a/b"),
            ("/x?u=https://h/#f", "https://a/x?u=https://h/"),
            ("x?t=1:2", "https://a/b/c/x?t=1:2"),
            ("?", "https://a/b/c/d;p?"),
            ("..?y", "https://a/b/?y"),
        ];
        for (location, expected) in cases {
            assert_eq!(from(location), expected, "{location}");
        }
    }

    proptest! {
        #[test]
        fn no_dot_segment_stays(location in "[a./]{0,20}") {
            prop_assume!(!location.starts_with("//"));
            let url = from(&location);
            prop_assert!(url.starts_with("https://a/") && !url.split('/').any(|s| s == "." || s == ".."), "{}", url);
        }

        #[test]
        fn nothing_panics(location in ".{0,40}") {
            let _ = from(&location);
        }
    }
}
