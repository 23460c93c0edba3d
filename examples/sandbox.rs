//! An offline Square Cloud on loopback, to point any client at, in any language. Runs until Ctrl-C or a kill.
//!
//! `cargo run --example sandbox -- --port 8080`; `--help` lists the options.

use std::process::ExitCode;

#[path = "../tests/sandbox/mod.rs"]
mod sandbox;

fn main() -> ExitCode {
    sandbox::program::run(std::env::args_os().skip(1)).into()
}
