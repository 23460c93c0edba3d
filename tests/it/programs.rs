//! The examples as programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of an example's executable, which is never older than the sources.
pub fn example(name: &str) -> PathBuf {
    static EXAMPLES: OnceLock<Result<BTreeMap<String, PathBuf>, String>> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(build).as_ref().unwrap_or_else(|error| panic!("{error}"));
    examples.get(name).unwrap_or_else(|| panic!("no example `{name}` in {examples:?}")).clone()
}

/// Builds the examples as this test binary was built, and returns where they are. There is nothing to do after a plain
/// `cargo test`, but `cargo test --test it` builds no examples.
fn build() -> Result<BTreeMap<String, PathBuf>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = this.ancestors().nth(2).ok_or("not in a target directory")?; // target/<profile>/deps/it-<hash>
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--examples", "--frozen", "--message-format=json-render-diagnostics"]);
    cargo.args(["--no-default-features", "--features", &features()]);
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") => {}
        Some(name) => _ = cargo.args(["--profile", name]),
        None => return Err(format!("no profile in {}", this.display())),
    }
    cargo.arg("--target-dir").arg(profile.with_file_name(""));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Of what Cargo tells a test about its package, build scripts would take note, and be run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo.output().map_err(|error| format!("{}: {error}", env!("CARGO")))?;
    if !output.status.success() {
        return Err(format!("the examples do not build: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect())
}

/// The features of this build, so that Cargo finds what is built already.
fn features() -> String {
    let all = [
        ("default", cfg!(feature = "default")),
        ("rustls", cfg!(feature = "rustls")),
        ("native-tls", cfg!(feature = "native-tls")),
        ("platform-verifier", cfg!(feature = "platform-verifier")),
        ("zip", cfg!(feature = "zip")),
    ];
    all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

/// The name and the path of the example that a message of Cargo is about.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_example = message["target"]["kind"][0] == "example";
    let (name, path) = (message["target"]["name"].as_str()?, message["executable"].as_str()?);
    is_example.then(|| (name.into(), path.into()))
}

#[test]
fn the_examples_are_built() {
    for name in ["backup", "list", "sandbox"] {
        assert!(example(name).is_file(), "{name}");
    }
}
