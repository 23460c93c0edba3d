//! `verify`: every byte of downloaded snapshots against its CRC.

use std::io;

use std::path::{Path, PathBuf};

use serde::Serialize;
use squarecloud_blocking::{Archive, BadEntry, Error, Refusal, Verified};

use crate::bars::Bar;
use crate::context::Context;
use crate::exit::{self, Exit, Failure, Result};
use crate::output::{middle, printable, size, width};
use crate::snapshot;

/// An item of `verify --json`.
#[derive(Serialize)]
struct Item {
    path: String,
    /// `ok`, `damaged`, or `failed` when the file could not be read.
    result: &'static str,
    entries: Option<usize>,
    /// Bytes that are right.
    bytes: Option<u64>,
    problems: Vec<Problem>,
}

/// What is wrong with an entry, or with the archive as a whole.
#[derive(Serialize)]
pub struct Problem {
    entry: Option<String>,
    refusal: Option<&'static str>,
    detail: String,
}

impl From<&BadEntry> for Problem {
    fn from(bad: &BadEntry) -> Self {
        Self { entry: bad.name.clone(), refusal: Some(word(bad.refusal)), detail: plain(&bad.detail) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "{entry}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

/// What the library says of an archive, with advice for the shell where it speaks of Rust.
pub fn plain(detail: &str) -> String {
    match detail.split_once("; ") {
        Some((what, advice)) if advice.contains("::") || advice.contains("`copy`") => {
            format!("{what}; do not trust this archive, or extract only the paths that you need")
        }
        _ => detail.to_owned(),
    }
}

/// A refusal as JSON names it.
fn word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::ClimbsOut => "climbs_out",
        Refusal::Absolute => "absolute",
        Refusal::Name => "name",
        Refusal::Link => "link",
        Refusal::Collision => "collision",
        Refusal::TooLarge => "too_large",
        Refusal::TooMany => "too_many",
        Refusal::Ratio => "ratio",
        Refusal::Overlap => "overlap",
        Refusal::Corrupt => "corrupt",
        Refusal::Encrypted => "encrypted",
        Refusal::Unsupported => "unsupported",
        Refusal::Special => "special",
        _ => "other",
    }
}

pub fn verify(context: &Context, files: &[PathBuf]) -> Result<Exit> {
    files.iter().try_for_each(|file| snapshot::expect_file(file))?;
    let (out, mut items, mut worst) = (context.out(), Vec::new(), Exit::Done);
    for file in files {
        let (exit, item) = match verified(context, file) {
            Ok(verified) => judged(file, &verified),
            Err(error) if error.is_cancelled() => {
                let done = format_args!("stopped after {} of {} files", items.len(), files.len());
                return Err(Failure::new(Exit::Interrupted, done));
            }
            Err(error) => failed(file, &error),
        };
        if !out.json {
            out.line(line(&item, width()))?;
        }
        complain(&item);
        // Damage is the worst; other trouble counts as it comes.
        if exit == Exit::Damaged || worst == Exit::Done {
            worst = exit;
        }
        items.push(item);
    }
    if out.json {
        out.document(&items)?;
    }
    Ok(worst)
}

fn verified(context: &Context, file: &Path) -> squarecloud_blocking::Result<Verified> {
    let archive = Archive::open(file)?;
    context.cancellable(|| {
        let bar = Bar::bytes(context, "Verifying");
        archive.verify_with(|progress| bar.report(progress))
    })
}

fn judged(file: &Path, verified: &Verified) -> (Exit, Item) {
    let (exit, result) = if verified.is_ok() { (Exit::Done, "ok") } else { (Exit::Damaged, "damaged") };
    let problems = verified.bad.iter().map(Problem::from).collect();
    let (entries, bytes) = (Some(verified.entries), Some(verified.bytes));
    (exit, Item { path: file.to_string_lossy().into(), result, entries, bytes, problems })
}

/// What could not be opened or read to its end.
fn failed(file: &Path, error: &Error) -> (Exit, Item) {
    let (exit, problem) = match error {
        Error::Refused { refusal, detail, .. } => {
            (Exit::Damaged, Problem { entry: None, refusal: Some(word(*refusal)), detail: plain(detail) })
        }
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            (Exit::NotFound, Problem { entry: None, refusal: None, detail: "there is no such file".into() })
        }
        _ => (exit::code(error), Problem { entry: None, refusal: None, detail: error.report() }),
    };
    let result = if exit == Exit::Damaged { "damaged" } else { "failed" };
    (exit, Item { path: file.to_string_lossy().into(), result, entries: None, bytes: None, problems: vec![problem] })
}

/// The result of a file in a row no wider than `width`.
fn line(item: &Item, width: Option<usize>) -> String {
    let counts = match (item.entries, item.bytes) {
        (Some(entries), Some(bytes)) => format!("  {entries} entries, {}", size(bytes)),
        _ => String::new(),
    };
    let path = printable(&item.path);
    let room = |width: usize| width.saturating_sub("damaged  ".len() + counts.len()).max(1);
    let path = width.map_or(path.clone(), |width| middle(&path, room(width)));
    format!("{:<7}  {path}{counts}", item.result)
}

/// Problems of one file that are shown: an archive may have a million.
const SHOWN: usize = 20;

fn complain(item: &Item) {
    let path = printable(&item.path);
    for problem in item.problems.iter().take(SHOWN) {
        exit::complain(&format!("{path}: {problem}"));
    }
    if let Some(more) = item.problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        exit::complain(&format!("{path}: {more} more; --json shows all"));
    }
}
