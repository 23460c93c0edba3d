//! System calls that fail in a child process, as they do on odd file systems: `shim.c`, preloaded.
//!
//! Needs a C compiler and Linux: tests that use it are ignored by default, have `shim` in their name, and are run by
//! `.ci/run`.

use std::process::Command;

use tempfile::TempDir;

/// The built library.
pub struct Shim(TempDir);

impl Shim {
    pub fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/shim.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-w", source, "-ldl", "-o"]).arg(dir.path().join("shim.so"));
        assert!(cc.status().unwrap().success(), "{cc:?}");
        Self(dir)
    }

    /// Lets calls of `command` fail: `fsync:EINVAL,link:EPERM`, as `shim.c` says.
    pub fn preload<'a>(&self, command: &'a mut Command, calls: &str) -> &'a mut Command {
        command.env("LD_PRELOAD", self.0.path().join("shim.so")).env("SHIM", calls)
    }
}
