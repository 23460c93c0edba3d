//! PURE. Where symbolic links lead, told from their targets: nothing is looked at on the disk.

use std::borrow::Cow;
use std::collections::HashMap;

use super::paths::Leaf;
use crate::error::Refusal;
use crate::snapshot::archive::fault::{Fault, Judged};
use crate::snapshot::archive::name::{Platform, drive, key};

/// The longest target a system takes.
pub(super) const LONGEST: u64 = 4095;

/// What the targets of all links may have together: they are kept in memory.
pub(super) const LONGEST_TOGETHER: u64 = 64 << 20;

/// Systems give up after forty links, too.
const FOLLOWED: usize = 40;

/// A link's content as its target.
///
/// # Errors
/// `Link` for a target that cannot be one or does not begin inside.
pub(super) fn target(content: Vec<u8>, platform: Platform) -> Judged<String> {
    let bad = |detail: &'static str| Err(Fault::new(Refusal::Link, detail));
    let Ok(target) = String::from_utf8(content) else { return bad("its target is not UTF-8") };
    if target.is_empty() || target.contains('\0') {
        return bad("its target is empty or has a NUL byte");
    }
    if target.contains('\\') {
        return bad("its target has a backslash");
    }
    if target.starts_with('/') || drive(&target, platform == Platform::Windows) {
        return bad("its target is absolute");
    }
    Ok(target)
}

/// All links of an archive, and where each leads, found out once: with hostile ones, following every link anew
/// takes hours.
struct LinkTree<'a> {
    platform: Platform,
    existing: Option<&'a dyn Fn(&str) -> Existing>,
    /// The links' paths as a tree: from a node by a component to the next. Node 0 is the target directory.
    steps: HashMap<(u32, Cow<'a, str>), u32>,
    nodes: Vec<Node<'a>>,
}

/// What a target directory has at a path.
pub(super) enum Existing {
    Nothing,
    Directory,
    Link(String),
}

struct Node<'a> {
    parent: u32,
    name: Cow<'a, str>,
    link: Option<Cow<'a, str>>,
    end: Option<Judged<(Place, usize)>>,
}

/// A path inside: the last node on its way, and how many components it goes on where no links are.
#[derive(Clone, Copy)]
struct Place {
    node: u32,
    beyond: u32,
}

/// The links that lead out of the target directory at any step, or in a link cycle. `existing` tells what the target
/// directory has at a path where the archive has no link; without it, nothing.
pub(super) fn refused<'a>(
    links: &'a [Leaf],
    platform: Platform,
    existing: Option<&'a dyn Fn(&str) -> Existing>,
) -> Vec<(&'a Leaf, Fault)> {
    let root = Node { parent: 0, name: "".into(), link: None, end: None };
    let mut tree = LinkTree { platform, existing, steps: HashMap::new(), nodes: vec![root] };
    let nodes: Vec<u32> = links.iter().map(|link| tree.insert(link)).collect();
    links.iter().zip(nodes).filter_map(|(link, node)| Some((link, tree.end(node, 0).err()?))).collect()
}

impl<'a> LinkTree<'a> {
    fn insert(&mut self, leaf: &'a Leaf) -> u32 {
        let parts = leaf.path.split('/');
        let at = parts.fold(0, |at, part| match self.steps.get(&(at, key(part, self.platform))) {
            Some(next) => *next,
            None => self.add(at, part.into(), None),
        });
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.link = leaf.target.as_deref().map(Cow::from);
        }
        at
    }

    fn add(&mut self, parent: u32, name: Cow<'a, str>, link: Option<Cow<'a, str>>) -> u32 {
        let at = self.nodes.len() as u32;
        let folded = match self.platform {
            Platform::Unix => name.clone(),
            _ => key(&name, self.platform).into_owned().into(),
        };
        self.steps.insert((parent, folded), at);
        self.nodes.push(Node { parent, name, link, end: None });
        at
    }

    /// The node one step on, made if there is something in the target directory.
    fn step(&mut self, from: u32, part: &str) -> Option<u32> {
        if let Some(next) = self.steps.get(&(from, key(part, self.platform))) {
            return Some(*next);
        }
        let link = match self.existing?(&self.path(from, part)) {
            Existing::Nothing => return None,
            Existing::Directory => None,
            Existing::Link(target) => Some(target.into()),
        };
        Some(self.add(from, part.to_owned().into(), link))
    }

    fn path(&self, node: u32, last: &str) -> String {
        let (mut parts, mut at) = (vec![last], node);
        while let Some(node) = self.nodes.get(at as usize).filter(|_| at != 0) {
            parts.push(&node.name);
            at = node.parent;
        }
        parts.reverse();
        parts.join("/")
    }

    /// Where the link at a node leads, and how many links that takes.
    fn end(&mut self, at: u32, depth: usize) -> Judged<(Place, usize)> {
        let Some(node) = self.nodes.get(at as usize) else { return Err(out()) };
        if let Some(end) = &node.end {
            return end.clone();
        }
        let (from, target) = (Place { node: node.parent, beyond: 0 }, node.link.clone().unwrap_or_default());
        let end = if depth < FOLLOWED { self.walk(from, &target, depth) } else { Err(cycle()) };
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.end = Some(end.clone());
        }
        end
    }

    fn walk(&mut self, from: Place, target: &str, depth: usize) -> Judged<(Place, usize)> {
        let (mut here, mut followed) = (from, 1);
        // The archive's own are refused earlier.
        if target.starts_with('/') {
            return Err(out());
        }
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." if here.beyond > 0 => here.beyond -= 1,
                ".." if here.node == 0 => return Err(out()),
                ".." => here.node = self.nodes.get(here.node as usize).map_or(0, |node| node.parent),
                _ if here.beyond > 0 => here.beyond += 1,
                part => match self.step(here.node, part) {
                    None => here.beyond = 1,
                    Some(next) if self.nodes.get(next as usize).is_some_and(|node| node.link.is_some()) => {
                        let (end, more) = self.end(next, depth + 1)?;
                        (here, followed) = (end, followed + more);
                        if followed > FOLLOWED {
                            return Err(cycle());
                        }
                    }
                    Some(next) => here.node = next,
                },
            }
        }
        Ok((here, followed))
    }
}

fn out() -> Fault {
    Fault::new(Refusal::Link, "it leads out of the target directory")
}

fn cycle() -> Fault {
    Fault::new(Refusal::Link, "it leads in a link cycle or through too many links")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads_on<S: AsRef<str>>(all: &[(S, S)], platform: Platform) -> Vec<bool> {
        let leaf = |(path, target): &(S, S)| {
            let (path, target) = (path.as_ref().to_owned(), Some(target.as_ref().to_owned()));
            Leaf { index: 0, path, target }
        };
        let leaves: Vec<Leaf> = all.iter().map(leaf).collect();
        let refused = refused(&leaves, platform, None);
        leaves.iter().map(|leaf| refused.iter().all(|(bad, _)| bad.path != leaf.path)).collect()
    }

    fn leads<S: AsRef<str>>(all: &[(S, S)]) -> Vec<bool> {
        leads_on(all, Platform::Unix)
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
        assert!(!leads(&many)[0]);
        assert_eq!(leads(&[("d/a", "b/x"), ("d/b", "a/x")]), [false, false]);
        assert_eq!(leads(&[("d/a", "../c"), ("c", "d/../..")]), [false, false]);
        assert_eq!(leads(&[("d/a", "../c"), ("c", "d/x/../..")]), [true, true]);
        assert_eq!(leads_on(&[("A", "."), ("b", "a/..")], Platform::Apple), [true, false]);
    }

    #[test]
    fn each_link_is_followed_once() {
        // Chains of long targets: followed anew from every link, this takes minutes.
        let (deep, back) = ("x/".repeat(800), "../".repeat(800));
        let all: Vec<(String, String)> =
            (0..2010).map(|i| (format!("l{i}"), format!("{deep}{back}l{}", i + usize::from(i % 30 < 29)))).collect();
        assert_eq!(leads(&all).iter().filter(|ok| **ok).count(), 0);
    }

    #[test]
    fn targets_that_are_none_are_refused() {
        for bad in [&b""[..], b"/etc/passwd", b"a\0b", b"..\\x", b"C:/x", b"\xff"] {
            assert_eq!(target(bad.to_vec(), Platform::Unix).map_err(|f| f.refusal), Err(Refusal::Link), "{bad:?}");
        }
        for fine in ["../x", "C:x", "a:b"] {
            assert_eq!(target(fine.into(), Platform::Unix).as_deref(), Ok(fine));
        }
        assert_eq!(target(b"C:x".to_vec(), Platform::Windows).map_err(|f| f.refusal), Err(Refusal::Link));
    }
}
