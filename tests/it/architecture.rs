//! The module rules, read off the `use` lines: who may know whom.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file, as its path below `src` and its text without unit tests.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 20);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// No file that `applies` mentions one of `words`.
fn never(rule: &str, applies: impl Fn(&str, &str) -> bool, words: &[&str]) {
    let mut checked = 0;
    for (name, code) in sources() {
        if applies(&name, &code) {
            checked += 1;
            for word in words {
                assert!(!code.contains(word), "{rule}: src/{name} mentions `{word}`");
            }
        }
    }
    assert!(checked > 0, "{rule}: no file to hold it against");
}

#[test]
fn only_the_http_files_name_ureq() {
    let others = |name: &str, _: &str| !name.starts_with("api/http/");
    never("HTTP has one home", others, &["ureq::", "use ureq"]);
}

#[test]
fn archives_know_no_network_and_the_network_knows_no_archives() {
    let archive = |name: &str, _: &str| name.starts_with("snapshot/archive/");
    never("an archive is bytes", archive, &["crate::api", "crate::client", "remote", "super::download"]);
    let mirror = |name: &str, _: &str| name.starts_with("snapshot/mirror/");
    never("a mirror asks through one trait", mirror, &["crate::api", "crate::client", "zip::"]);
    let api = |name: &str, _: &str| name.starts_with("api/");
    never("the API knows no zip", api, &["archive", "zip::"]);
    // Whether bytes end like an archive is all that is asked on the way.
    let bytes = ["location", "part", "range", "reader", "record", "remote", "stream", "transfer"];
    let checks = "super::archive::{LAST, check_end}";
    let transfer = |name: &str, _: &str| bytes.iter().any(|file| name == format!("snapshot/{file}.rs"));
    for (name, code) in sources().iter().filter(|(name, code)| transfer(name, code)) {
        for word in ["crate::client", "archive::", "zip::"] {
            assert!(!code.replace(checks, "").contains(word), "bytes know no zip: src/{name} mentions `{word}`");
        }
    }
}

#[test]
fn pure_files_do_no_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let pure = |name: &str, _: &str| fs::read_to_string(root.join(name)).unwrap().starts_with("//! PURE");
    let io = ["std::fs", "TcpStream", "std::thread", "Instant::now", "SystemTime::now", "now_utc", "ureq"];
    never("a pure file decides", pure, &io);
}

#[test]
fn the_library_neither_prints_nor_exits_nor_panics_on_purpose() {
    let macros =
        ["println!(", "print!(", "eprintln!(", "dbg!(", "todo!(", "unimplemented!(", "panic!(", "process::exit"];
    never("a library is quiet", |_, _| true, &macros);
    never("input never panics", |_, _| true, &[".unwrap()", ".expect(", "unreachable!("]);
}

#[test]
fn no_file_outgrows_its_name() {
    for (name, _) in sources() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&name);
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= 350, "src/{name} has {lines} lines: its pure half has grown");
    }
}

/// A function ends where a line closes what its first line's indentation opened.
#[test]
fn no_function_is_longer_than_a_screen() {
    for (name, code) in sources() {
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words =
                line.trim_start().trim_start_matches("pub").trim_start_matches("(crate)").trim_start_matches("(super)");
            if !words.trim_start().starts_with("fn ") || line.trim_end().ends_with('}') {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|l| *l == close).unwrap_or(0);
            assert!(length <= 50, "src/{name}: {} lines in {line}", length + 1);
        }
    }
}

/// Who imports whom inside `src/snapshot`: never in a circle.
#[test]
fn no_two_files_of_a_snapshot_import_each_other() {
    let files: Vec<(String, String)> =
        sources().into_iter().filter(|(name, _)| name.starts_with("snapshot/")).collect();
    let imports = |(name, code): &(String, String)| -> Vec<usize> {
        let folder = name.rsplit_once('/').unwrap().0;
        let uses = |stem: &str, from: &str| {
            let paths = [format!("{from}::{stem}::"), format!("{from}::{stem};"), format!("{from}::{stem}(")];
            let listed = |line: &str| {
                line.trim_start().strip_prefix(&format!("use {from}::{{")).is_some_and(|names| {
                    names.split(['{', '}', ',', ' ', ';']).any(|word| word.split("::").next() == Some(stem))
                })
            };
            paths.iter().any(|path| code.contains(path)) || code.lines().any(listed)
        };
        let target = |(other, _): &(String, String)| {
            let (other_folder, file) = other.rsplit_once('/').unwrap();
            let stem = if file == "mod.rs" {
                return other_folder
                    .rsplit_once('/')
                    .is_some_and(|(parent, stem)| parent == folder && uses(stem, "super"));
            } else {
                file.strip_suffix(".rs").unwrap()
            };
            other_folder == folder && uses(stem, "super")
        };
        (0..files.len()).filter(|&n| files[n].0 != *name && target(&files[n])).collect()
    };
    let graph: Vec<Vec<usize>> = files.iter().map(imports).collect();
    assert!(graph.iter().map(Vec::len).sum::<usize>() > 60, "the imports are read");
    // What can be reached from a file must not reach back.
    for start in 0..files.len() {
        let (mut seen, mut next) = (vec![false; files.len()], graph[start].clone());
        while let Some(n) = next.pop() {
            assert!(n != start, "src/{} is in a circle", files[start].0);
            if !std::mem::replace(&mut seen[n], true) {
                next.extend(&graph[n]);
            }
        }
    }
}
