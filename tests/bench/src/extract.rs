//! Extraction and opening, as whole processes, against the tools that are installed.
//!
//! Every round gets a fresh directory; all are deleted at the end, since creating files is slow for minutes after
//! a mass deletion on ext4.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::make;
use crate::stats::{Contestant, compare, contestant};

pub fn run(only: Option<&str>, rounds: usize) {
    let base = tempfile::Builder::new().prefix("bench-").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    for (kind, make) in make::KINDS {
        if only.is_some_and(|only| only != kind) {
            continue;
        }
        let zip = base.path().join(format!("{kind}.zip"));
        make(&zip);
        one(kind, &zip, base.path(), rounds);
    }
}

fn one(kind: &str, zip: &Path, base: &Path, rounds: usize) {
    let round = Cell::new(0);
    let fresh = || {
        round.set(round.get() + 1);
        base.join(format!("{kind}-{}", round.get()))
    };
    let ours = program("one_extract");
    let fresh = &fresh;
    let tool = |name: &'static str, command: Vec<String>, dir_last: bool| -> Contestant<'_> {
        contestant(name, move || {
            let dir = fresh();
            if !dir_last {
                std::fs::create_dir(&dir).unwrap();
            }
            run_quietly(Command::new(&command[0]).args(&command[1..]).arg(&dir));
        })
    };
    let zip_text = zip.display().to_string();
    let with =
        |words: &[&str]| words.iter().map(|w| if *w == "ZIP" { zip_text.clone() } else { (*w).to_owned() }).collect();
    let ours_text = ours.display().to_string();
    let mut all = vec![tool("squarecloud-blocking", with(&[&ours_text, "extract", "ZIP"]), true)];
    if installed("unzip") {
        all.push(tool("unzip -q", with(&["unzip", "-q", "ZIP", "-d"]), true));
    }
    if installed("bsdtar") {
        all.push(tool("bsdtar", with(&["bsdtar", "-xf", "ZIP", "-C"]), false));
    }
    if installed("ripunzip") {
        all.push(tool("ripunzip", with(&["ripunzip", "unzip-file", "ZIP", "-d"]), true));
    }
    all.push(tool("only writing, 2 threads", with(&[&ours_text, "write", "ZIP"]), true));
    all.push(tool("only inflating (zip crate)", with(&[&ours_text, "inflate", "ZIP"]), true));
    compare(&format!("extract {kind}"), rounds, all);
    footprint("squarecloud-blocking", &[&ours_text, "extract", &zip_text, &fresh().display().to_string()]);
    if installed("ripunzip") {
        footprint("ripunzip", &["ripunzip", "unzip-file", &zip_text, "-d", &fresh().display().to_string()]);
    }
}

/// Opening, against the `zip` crate over a buffered file.
pub fn open(rounds: usize) {
    let base = tempfile::tempdir().unwrap();
    for n in [20_000, 200_000] {
        let zip = base.path().join(format!("{n}.zip"));
        make::many_entries(&zip, n);
        compare(
            &format!("open {n} entries"),
            rounds,
            vec![
                contestant("squarecloud-blocking", || {
                    assert!(!squarecloud_blocking::Archive::open(&zip).unwrap().is_empty())
                }),
                contestant("zip crate, buffered file", || {
                    let file = std::io::BufReader::new(std::fs::File::open(&zip).unwrap());
                    assert!(!zip::ZipArchive::new(file).unwrap().is_empty());
                }),
            ],
        );
    }
}

/// Processor time and peak memory of one run, where the system can tell.
pub fn footprint(name: &str, command: &[&str]) {
    if !Path::new("/usr/bin/time").exists() {
        return;
    }
    let format = ["-f", "%U s user, %S s system, %M kB peak"];
    let output = Command::new("/usr/bin/time").args(format).args(command).stdout(Stdio::null()).output();
    let text = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    println!("  {name:<28} {}", text.lines().last().unwrap_or_default());
}

fn run_quietly(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

pub fn installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A program that is built with this one.
pub fn program(name: &str) -> PathBuf {
    let mut exe = std::env::current_exe().unwrap();
    exe.set_file_name(name);
    assert!(exe.exists(), "build it first: cargo build --release --bins");
    exe
}
