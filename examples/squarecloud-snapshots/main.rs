//! Square Cloud's snapshots from the shell: create, list, download, look into, extract and restore them.
//!
//! `cargo run --example squarecloud-snapshots -- --help`. How the program reads: `args` and `help` are the command
//! line, each verb group has a file named after it, and what they share is in `context` (the client, cancelling),
//! `snapshot` and `resource` (what an argument names), `output` (standard output), `bars` (standard error) and `exit`
//! (exit codes).

mod account;
mod args;
mod bars;
mod context;
mod create;
mod dates;
mod download;
mod exit;
mod extract;
mod help;
mod inspect;
mod list;
mod mirror;
mod output;
mod resource;
mod restore;
#[path = "../../tests/sandbox/mod.rs"]
mod sandbox;
mod secret;
mod snapshot;
mod verify;

use std::env;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Verb};
use context::Context;
use exit::{Exit, Result};

fn main() -> ExitCode {
    let Args { verb, globals } = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && env::args().any(|it| secret::is_link(&it)) => {
            eprint!("{}", secret::redact(&error.to_string()));
            return Exit::Usage.into();
        }
        Err(error) => error.exit(),
    };
    let json = globals.json;
    let result = Context::new(globals).and_then(|context| run(&context, verb));
    exit::report(result, json).into()
}

fn run(context: &Context, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Apps => account::apps(context),
        Verb::Quota => account::quota(context),
        Verb::Create(args) => create::create(context, &args),
        Verb::Upload { zip } => create::upload(context, &zip),
        Verb::List { id } => list::list(context, id.as_deref()),
        Verb::Download(args) => download::download(context, &args),
        Verb::Ls(args) => inspect::ls(context, &args),
        Verb::Cat { snapshot, path } => inspect::cat(context, &snapshot, &path),
        Verb::Diff { older, newer } => inspect::diff(context, &older, &newer),
        Verb::Verify { files } => verify::verify(context, &files),
        Verb::Extract(args) => extract::extract(context, &args),
        Verb::Restore(args) => restore::restore(context, &args),
        Verb::Mirror(args) => mirror::mirror(context, &args),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "squarecloud-snapshots", &mut script);
            context.out().write(&script)?;
            Ok(Exit::Done)
        }
    }
}
