//! The README and the changelog against the tree: what they name exists, and their tables say what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use squarecloud_blocking::{Client, Mirror};

use crate::sandbox::Sandbox;
use crate::support::client;

static README: LazyLock<String> = LazyLock::new(|| plain(include_str!("../../README.md")));
static CHANGELOG: LazyLock<String> = LazyLock::new(|| plain(include_str!("../../CHANGELOG.md")));
static MANIFEST: LazyLock<String> = LazyLock::new(|| plain(include_str!("../../Cargo.toml")));

/// Git may have checked the file out with the line ends of Windows.
fn plain(text: &str) -> String {
    text.replace('\r', "")
}

/// The fenced blocks in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fenced = README.split("\n```").skip(1).step_by(2);
    fenced
        .filter_map(|block| block.split_once('\n').filter(|(first, _)| *first == language).map(|(_, rest)| rest))
        .collect()
}

/// The rows below a table's header, as cells without backticks.
fn table(header: &str) -> Vec<Vec<String>> {
    let (_, rows) = README.split_once(&format!("\n| {header}")).unwrap_or_else(|| panic!("no table `{header}`"));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let rows: Vec<_> = rows.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "the table `{header}` is empty");
    rows
}

/// What lies between each `before` and the next `after` on the same line.
fn between<'a>(text: &'a str, before: &str, after: &[char]) -> Vec<&'a str> {
    let found = text.split(before).skip(1).map(|rest| rest.lines().next().unwrap_or_default());
    found.map(|rest| rest.split(after).next().unwrap_or_default()).collect()
}

/// The value of a key in the manifest's section, or all keys of the section.
fn section(name: &str) -> Vec<(&'static str, &'static str)> {
    let (_, rest) = MANIFEST.split_once(&format!("\n[{name}]\n")).unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect()
}

fn package(key: &str) -> &'static str {
    let (_, rest) = MANIFEST.split_once(&format!("\n{key} = \"")).unwrap();
    rest.split('"').next().unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_two_commands_are_as_they_always_were() {
    assert_eq!(blocks("sh")[0].trim_end(), "cargo run --release --example backup\ncargo test");
}

#[test]
fn every_example_named_exists() {
    let names: BTreeSet<_> = between(&README, "--example ", &[' ', '`', '\n']).into_iter().collect();
    assert!(names.contains("backup") && names.contains("sandbox"), "{names:?}");
    for name in names {
        let at = root().join("examples").join(name);
        assert!(at.with_extension("rs").exists() || at.join("main.rs").exists(), "--example {name}");
    }
}

#[test]
fn every_path_and_anchor_exists() {
    let headings = README
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let plain = |heading: &str| heading.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != ' ', "");
    let anchors: BTreeSet<_> = headings.map(|heading| format!("#{}", plain(heading).replace(' ', "-"))).collect();
    let links = between(&README, "](", &[')']);
    assert!(links.iter().any(|link| link.starts_with('#')) && links.contains(&"LICENSE"), "{links:?}");
    for link in links.into_iter().filter(|link| !link.starts_with("https://")) {
        let exists = if link.starts_with('#') { anchors.contains(link) } else { root().join(link).exists() };
        assert!(exists, "a link to {link}");
    }
    let code = README.split('`').skip(1).step_by(2);
    let is_path = |code: &&str| ["src/", "tests/", "examples/", ".ci/"].iter().any(|folder| code.starts_with(folder));
    let paths: Vec<_> = code.filter(is_path).collect();
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths.into_iter().filter(|path| !path.contains("/target/")) {
        assert!(root().join(path).exists(), "the path {path}");
    }
}

#[test]
fn features_are_those_of_the_manifest() {
    let all = section("features");
    let default = all.iter().find(|(name, _)| *name == "default").unwrap().1;
    let is_default = |name: &str| if default.contains(&format!("\"{name}\"")) { "yes" } else { "no" };
    let names = all.iter().map(|(name, _)| *name).filter(|name| *name != "default");
    let expected: BTreeSet<_> = names.map(|name| (name.to_owned(), is_default(name).to_owned())).collect();
    let written = table("feature |").into_iter().map(|row| (row[0].clone(), row[1].clone()));
    assert_eq!(written.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn versions_and_dependencies_are_those_of_the_manifest() {
    let rust = package("rust-version");
    assert!(README.contains(&format!("The minimum Rust version is {rust}.")), "{rust}");
    assert!(README.contains(&format!("img.shields.io/badge/rust-{rust}+-blue")), "{rust}");
    assert!(README.contains(&format!("| | this crate {} |", package("version"))));
    assert!(README.contains(&format!("[{}](LICENSE)", package("license"))));
    let (_, sentence) = README.split_once("Runtime dependencies are ").unwrap();
    let sentence = sentence.split('.').next().unwrap();
    let written: BTreeSet<_> = sentence.split('`').skip(1).step_by(2).collect();
    assert_eq!(written, section("dependencies").into_iter().map(|(name, _)| name).collect());
}

/// The defaults are read off the builder's `Debug`.
#[test]
fn time_limits_are_those_of_the_builder() {
    let builder = format!("{:?}", Client::builder("key"));
    for row in table("setting of `ClientBuilder` |") {
        let name = row[0].trim_end_matches("_timeout");
        let value = row[1].replace(" bytes/s", "").replace(' ', "");
        let words = [format!(" {name}: {value},"), format!(" {name}: {value} ")];
        assert!(words.iter().any(|word| builder.contains(word)), "{} is not {} in {builder}", row[0], row[1]);
    }
    let written = table("setting of `ClientBuilder` |").len();
    let nested = ["limits: Limits {", ", .."];
    let fields = nested.iter().fold(builder.clone(), |text, word| text.replace(word, "")).matches(": ").count();
    assert_eq!(written, fields, "{builder}");
}

/// All source text of the command.
fn command() -> String {
    let files = fs::read_dir(root().join("examples/squarecloud-snapshots")).unwrap();
    let text = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    text.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn exit_codes_are_those_of_the_commands_help() {
    let rows: Vec<_> = table("exit code |").into_iter().map(|row| row.join(" ")).collect();
    let help = format!("Exit codes: {} ", rows.join(" "));
    assert!(command().contains(&help), "{help}");
}

#[test]
fn verbs_and_flags_are_the_commands() {
    let command = command();
    let (_, verbs) = command.split_once("enum Verb {").unwrap();
    let block = *blocks("sh").iter().find(|block| block.contains("\nsquarecloud-snapshots ")).unwrap();
    let lines: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("squarecloud-snapshots ")).collect();
    assert!(lines.len() >= 5, "{block}");
    for word in lines.iter().flat_map(|line| line.split(' ')).filter_map(|word| word.strip_prefix("--")) {
        assert!(command.contains(&format!("pub {}:", word.replace('-', "_"))), "--{word}");
    }
    for line in lines {
        let verb = line.split(' ').find(|word| !word.starts_with("--")).unwrap();
        let variant = verb[..1].to_uppercase() + &verb[1..];
        let is_there = [',', '(', ' '].iter().any(|end| verbs.contains(&format!(" {variant}{end}")));
        assert!(is_there, "{verb}");
    }
}

#[test]
fn the_changelog_has_this_version() {
    let version = package("version");
    assert!(CHANGELOG.lines().any(|line| line.trim_end() == format!("## {version}")), "{version}");
}

/// Each run of digits as `0`.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && plain.ends_with('0')) {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn a_mirror_prints_the_line_that_is_shown() {
    let sandbox = Sandbox::builder().small().start();
    let dir = tempfile::tempdir().unwrap();
    let mirror: Mirror = client(&sandbox).mirror(dir.path());
    let shown = between(&README, "println!(\"{report}\"); // ", &['\n'])[0];
    assert_eq!(without_numbers(&mirror.run().unwrap().to_string()), without_numbers(shown));
}

/// The README's first program, line by line.
#[cfg(feature = "zip")]
fn backup(client: &Client, app_id: &str, backups: &Path) -> squarecloud_blocking::Result<()> {
    // As in the README, from here
    let snapshot = client.snapshot(app_id)?; // created, and ready to download
    let download = snapshot.download(backups)?; // complete and checked, or not there at all
    let archive = download.archive()?;
    println!("{} files in {}", archive.len(), download.path.display());
    archive.extract(download.path.with_extension(""))?; // everything, or nothing
    Ok(())
    // to here
}

#[cfg(feature = "zip")]
#[test]
fn the_first_program_runs_every_day() {
    let own = plain(include_str!("readme.rs"));
    let copied = own.split("// As in the README, from here\n").nth(1).unwrap().split("    // to here").next().unwrap();
    let program = copied.replace("download(backups)", "download(\"backups\")");
    assert!(README.contains(&program), "the README has not:\n{program}");

    let sandbox = Sandbox::builder().small().start();
    let (client, dir) = (client(&sandbox), tempfile::tempdir().unwrap());
    for day in 1..=3 {
        backup(&client, sandbox.app_id(), dir.path()).unwrap();
        let found = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let (zips, directories): (Vec<PathBuf>, Vec<PathBuf>) = found.partition(|path| path.is_file());
        assert_eq!((zips.len(), directories.len()), (day, day), "{zips:?} {directories:?}");
        sandbox.advance(std::time::Duration::from_secs(24 * 3600));
    }
}

/// The block for any language but its first lines, which start the program: `sandbox_program` does that.
#[cfg(all(unix, feature = "zip"))]
#[test]
fn the_sandbox_from_a_shell() {
    use std::process::Command;

    if Command::new("curl").arg("--version").output().is_err() {
        return eprintln!("not tested, since there is no curl");
    }
    let sandbox = Sandbox::builder().small().lenient().start();
    let block = *blocks("sh").iter().find(|block| block.contains("sandbox.env")).unwrap();
    let (start, rest) = block.split_once("\n\n").unwrap();
    assert_eq!(start.lines().count(), 3, "{start}");
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new("sh")
        .args(["-euc", rest])
        .current_dir(dir.path())
        .env("SQUARECLOUD_BASE_URL", sandbox.base_url())
        .env("SQUARECLOUD_API_KEY", sandbox.api_key())
        .env("SQUARECLOUD_APP_ID", sandbox.app_id())
        .env("SQUARECLOUD_SANDBOX", sandbox.base_url().replace("/v2", "/_sandbox"))
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    for expected in ["\"status\":\"success\"", "{\"faults\":1}", "\"routes\":["] {
        assert!(out.contains(expected), "{expected} is not in {out}\n{err}");
    }
    let zip = dir.path().join("backup.zip");
    let archive = squarecloud_blocking::Archive::open(&zip).unwrap();
    assert!(archive.verify().unwrap().is_ok() && !archive.is_empty());
    let created = client(&sandbox).app(sandbox.app_id()).latest_snapshot().unwrap().unwrap();
    assert_eq!(fs::metadata(zip).unwrap().len(), created.size);
}
