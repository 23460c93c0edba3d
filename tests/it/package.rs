//! What `cargo package` puts into the crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What lies beside the folders. The first three are cargo's own.
const TOP: [&str; 7] =
    ["Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json", "Cargo.toml", "CHANGELOG.md", "LICENSE", "README.md"];

/// The folders of which every Rust file is part of the package: the examples need the sandbox.
const FOLDERS: [&str; 3] = ["src", "examples", "tests/sandbox"];

/// The Rust files below `folder`, as the package names them.
fn rust_files(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            rust_files(root, &name, found);
        } else if name.ends_with(".rs") {
            found.insert(name);
        }
    }
}

#[test]
fn the_package_is_the_sources_the_examples_and_their_sandbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected: BTreeSet<String> = TOP.iter().map(|name| (*name).to_owned()).collect();
    for folder in FOLDERS {
        rust_files(root, folder, &mut expected);
    }
    assert!(expected.contains("src/lib.rs") && expected.contains("tests/sandbox/mod.rs"));

    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(root);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut listed: BTreeSet<String> = listed.lines().map(|line| line.replace('\\', "/")).collect();
    // Not in a package made outside a Git repository.
    listed.insert(".cargo_vcs_info.json".to_owned());

    let missing: Vec<_> = expected.difference(&listed).collect();
    let unexpected: Vec<_> = listed.difference(&expected).collect();
    assert!(missing.is_empty() && unexpected.is_empty(), "missing: {missing:?}, unexpected: {unexpected:?}");
}
