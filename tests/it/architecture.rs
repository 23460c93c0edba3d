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
    let io = ["std::fs", "std::net", "std::thread", "Instant::now", "SystemTime::now", "now_utc", "ureq"];
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
