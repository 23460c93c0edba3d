//! Patterns over names, and the names as a tree.

use std::fmt;

use super::directory::Directory;
use super::entry::{Entry, EntryKind};
use super::fault::shown;

/// Whether a name fits a pattern. `?` is one character and `*` any number of them, but not `/`; `**` as a whole
/// component is any number of components. A pattern without `/` is held against the last component.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let name: Vec<&str> = name.trim_end_matches('/').split('/').collect();
    let pattern: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    match pattern.as_slice() {
        [one] if *one != "**" => name.last().is_some_and(|last| component(one, last)),
        many => wild(many, &name, |p| *p == "**", |p, n| component(p, n)),
    }
}

fn component(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    wild(&pattern, &text, |p| *p == '*', |p, c| *p == '?' || p == c)
}

/// Matching with a joker for any number of items; going back to the last joker is enough, so it takes
/// at most pattern times text steps.
fn wild<P, T>(pattern: &[P], text: &[T], joker: impl Fn(&P) -> bool, same: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while let Some(item) = text.get(t) {
        match pattern.get(p) {
            Some(wanted) if joker(wanted) => {
                last = Some((p, t));
                p += 1;
            }
            Some(wanted) if same(wanted, item) => (p, t) = (p + 1, t + 1),
            _ => match last {
                Some((star, from)) => {
                    last = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(joker))
}

/// An archive's names as a tree, made by [`Archive::tree`](crate::Archive::tree) and meant to be printed.
pub struct Tree<'a> {
    directory: &'a Directory,
}

impl<'a> Tree<'a> {
    pub(super) fn of(directory: &'a Directory) -> Self {
        Self { directory }
    }
}

impl fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("entries", &self.directory.len()).finish()
    }
}

/// One line a component, indented by its depth; names escaped, sizes of files in bytes.
impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<Entry<'_>> =
            self.directory.indices().map(|index| Entry { directory: self.directory, index }).collect();
        entries.sort_by(|a, b| a.name().split('/').cmp(b.name().split('/')));
        let mut open: Vec<&str> = Vec::new();
        for entry in entries {
            let parts: Vec<&str> = entry.name().split('/').filter(|part| !part.is_empty()).collect();
            let shared = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
            // The last component is the entry itself, even if a line of the same name came before.
            let from = shared.min(parts.len().saturating_sub(1));
            let is_directory = entry.kind() == EntryKind::Directory;
            for (depth, part) in parts.iter().enumerate().skip(from) {
                let last = depth + 1 == parts.len();
                if last && is_directory && shared == parts.len() {
                    continue;
                }
                // Depth is the archive's word: it must not make lines of megabytes.
                write!(f, "{:indent$}{}", "", shown(part), indent = 2 * depth.min(100))?;
                match entry.kind() {
                    _ if !last => writeln!(f, "/")?,
                    EntryKind::Directory => writeln!(f, "/")?,
                    EntryKind::File => writeln!(f, "  {}", entry.size())?,
                    EntryKind::Symlink => writeln!(f, "  (link)")?,
                    EntryKind::Special => writeln!(f, "  (special)")?,
                }
            }
            open = parts;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name) in [
            ("*.json", "a.json"),
            ("*.json", "x/y/a.json"),
            ("x/*.json", "x/a.json"),
            ("**/a", "a"),
            ("**/a", "x/y/a"),
            ("x/**", "x/y/z"),
            ("x/**/z", "x/z"),
            ("x/**/z", "x/1/2/z"),
            ("?.t", "é.t"),
            ("a*b*c", "a__b__b_c"),
            ("**", "a/b"),
            ("dir", "x/dir/"),
            ("*", "a"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.json", "a.jsonx"),
            ("x/*.json", "x/y/a.json"),
            ("x/*", "y/x/a"),
            ("a?", "a"),
            ("x/**/z", "x/1/2/y"),
            ("", "a"),
            ("a/b", "a"),
            ("a", "a/b"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(1000), &"a".repeat(2000).replace("aaaa", "aaab")));
    }
}
