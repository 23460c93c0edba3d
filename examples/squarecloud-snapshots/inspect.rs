//! What is inside snapshots: `ls`, `cat` and `diff`. Of one at the host, only what is shown is fetched.

use std::cmp::Ordering;
use std::io;

use serde::Serialize;
use squarecloud_blocking::time::PrimitiveDateTime;
use squarecloud_blocking::{Archive, Difference, Entry, EntryKind, Error, Source};

use crate::args::Ls;
use crate::context::Context;
use crate::exit::{Exit, Failure, Result};
use crate::output::{Fit, Table, middle, printable, size, width};
use crate::snapshot::{Named, with};

/// An item of `ls --json`.
#[derive(Serialize)]
struct Item<'a> {
    path: &'a str,
    kind: &'static str,
    size: u64,
    compressed_size: u64,
    /// Without an offset: a zip has none.
    modified: Option<String>,
    /// Permission bits in octal.
    mode: Option<String>,
    /// In hexadecimal.
    crc32: String,
}

pub fn ls(context: &Context, args: &Ls) -> Result<Exit> {
    let opened = Named::find(context, &args.snapshot)?.open()?;
    with!(&opened, archive => show(context, args, archive))
}

fn show<S: Source>(context: &Context, args: &Ls, archive: &Archive<S>) -> Result<Exit> {
    let wanted = args.path.as_deref().map(components);
    let mut entries: Vec<Entry<'_>> = archive.entries().collect();
    if let (Some(wanted), Some(path)) = (&wanted, &args.path) {
        entries.retain(|entry| components(entry.name()).starts_with(wanted));
        if entries.is_empty() {
            let advice = "`ls` without a path shows all it has";
            return Err(Failure::new(Exit::NotFound, format_args!("the snapshot has no {path:?}; {advice}")));
        }
    }
    entries.sort_by(|a, b| by_components(a.name(), b.name()));
    let out = context.out();
    if out.json {
        out.document(&entries.iter().map(item).collect::<Vec<_>>())?;
    } else if args.long {
        out.table(&long(&entries, width()))?;
    } else {
        out.write(tree(&entries, width()).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// A path as archives and users write it: without `.` and empty components.
pub fn components(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Parents before what they contain, and that before what comes next to them.
fn by_components(a: &str, b: &str) -> Ordering {
    let parts = |path| str::split(path, '/').filter(|part| !part.is_empty() && *part != ".");
    parts(a).cmp(parts(b))
}

fn item<'a>(entry: &Entry<'a>) -> Item<'a> {
    let kind = match entry.kind() {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        _ => "special",
    };
    Item {
        path: entry.name(),
        kind,
        size: entry.size(),
        compressed_size: entry.compressed_size(),
        modified: entry.modified().map(|at| time(at, 'T', true)),
        mode: entry.unix_mode().map(|mode| format!("{:04o}", mode & 0o7777)),
        crc32: format!("{:08x}", entry.crc32()),
    }
}

/// `2026-11-20 18:04`, and seconds when asked for.
fn time(at: PrimitiveDateTime, between: char, seconds: bool) -> String {
    let (date, time) = (at.date(), at.time());
    let seconds = if seconds { format!(":{:02}", time.second()) } else { String::new() };
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}{between}{:02}:{:02}{seconds}", time.hour(), time.minute())
}

/// Below this width, a path counts for more than permissions and compressed sizes.
const WIDE: usize = 72;

/// `ls -l`.
fn long(entries: &[Entry<'_>], width: Option<usize>) -> Table {
    let wide = width.is_none_or(|width| width >= WIDE);
    let columns = [
        ("MODE", Fit::Whole),
        ("SIZE", Fit::Right),
        ("COMPRESSED", Fit::Right),
        ("MODIFIED", Fit::Whole),
        ("PATH", Fit::Middle),
    ];
    let shown = |at: &usize| wide || ![0, 2].contains(at);
    let columns: Vec<_> = columns.into_iter().enumerate().filter(|(at, _)| shown(at)).map(|(_, it)| it).collect();
    let mut table = Table::new(&columns);
    for entry in entries {
        let has_content = entry.kind() != EntryKind::Directory;
        let bytes = |bytes| if has_content { size(bytes) } else { "-".into() };
        let cells = [
            mode(entry),
            bytes(entry.size()),
            bytes(entry.compressed_size()),
            entry.modified().map_or("-".into(), |at| time(at, ' ', false)),
            entry.name().into(),
        ];
        table.row(cells.into_iter().enumerate().filter(|(at, _)| shown(at)).map(|(_, it)| it));
    }
    table
}

/// `-rw-r--r--`, or only the first letter when the archive has no permissions.
fn mode(entry: &Entry<'_>) -> String {
    let kind = match entry.kind() {
        EntryKind::File => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink => 'l',
        _ => '?',
    };
    let Some(mode) = entry.unix_mode() else { return kind.into() };
    let bit = |(at, letter): (usize, char)| if mode & (0o400u32 >> at) == 0 { '-' } else { letter };
    std::iter::once(kind).chain("rwxrwxrwx".chars().enumerate().map(bit)).collect()
}

/// The deepest indentation: depth is the archive's word, and must not make lines of megabytes.
const DEEPEST: usize = 100;

/// A line for each component that the entry before does not have, too.
fn tree(entries: &[Entry<'_>], width: Option<usize>) -> String {
    let mut text = String::new();
    let mut above: Vec<&str> = Vec::new();
    for entry in entries {
        let parts = components(entry.name());
        let shared = above.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        let is_directory = entry.kind() == EntryKind::Directory;
        if is_directory && shared == parts.len() {
            continue;
        }
        // A file has a line of its own, even if another entry has the same name.
        let from = shared.min(parts.len().saturating_sub(1));
        let named = if parts.is_empty() { &[""] } else { parts.as_slice() };
        for (depth, part) in named.iter().enumerate().skip(from) {
            let end = match entry.kind() {
                _ if depth + 1 < named.len() => "/".into(),
                EntryKind::Directory => "/".into(),
                EntryKind::File => format!("  {}", size(entry.size())),
                EntryKind::Symlink => "  (link)".into(),
                _ => "  (special)".into(),
            };
            let line = format!("{:indent$}{}{end}", "", printable(part), indent = 2 * depth.min(DEEPEST));
            text.push_str(&width.map_or(line.clone(), |width| middle(&line, width)));
            text.push('\n');
        }
        above = parts;
    }
    text
}

pub fn cat(context: &Context, snapshot: &str, path: &str) -> Result<Exit> {
    if context.globals.json {
        return Err(Failure::new(Exit::Usage, "`cat` prints the file itself and has no --json"));
    }
    let opened = Named::find(context, snapshot)?.open()?;
    with!(&opened, archive => print(archive, path))
}

fn print<S: Source>(archive: &Archive<S>, path: &str) -> Result<Exit> {
    let parts = components(path);
    let name = match archive.entry(path) {
        Some(entry) => entry.name(),
        None => {
            let same = archive.entries().find(|entry| components(entry.name()) == parts);
            same.map_or(path, |entry| entry.name())
        }
    };
    let is_directory = match archive.entry(name) {
        Some(entry) => entry.kind() == EntryKind::Directory,
        None => archive.entries().any(|entry| components(entry.name()).starts_with(&parts)),
    };
    if is_directory {
        return Err(Failure::new(Exit::Failed, format_args!("{path:?} is a directory; `ls` shows what is in it")));
    }
    match archive.copy(name, io::stdout().lock()) {
        Ok(_) => Ok(Exit::Done),
        // Only what it is written to fails so.
        Err(Error::Io { source, .. }) => Err(Failure::output(&source)),
        Err(error) => Err(error.into()),
    }
}

/// An item of `diff --json`.
#[derive(Serialize)]
struct Change<'a> {
    path: &'a str,
    old_size: Option<u64>,
    new_size: Option<u64>,
}

/// `diff --json`.
#[derive(Serialize)]
struct Changes<'a> {
    added: Vec<Change<'a>>,
    removed: Vec<Change<'a>>,
    changed: Vec<Change<'a>>,
}

pub fn diff(context: &Context, older: &str, newer: &str) -> Result<Exit> {
    let (older, newer) = (Named::find(context, older)?, Named::find(context, newer)?);
    let (older, newer) = (older.open()?, newer.open()?);
    let diff = with!(&older, older => with!(&newer, newer => older.diff(newer)));
    let out = context.out();
    if out.json {
        let (added, removed, changed) = (changes(&diff.added), changes(&diff.removed), changes(&diff.changed));
        out.document(&Changes { added, removed, changed })?;
        return Ok(Exit::Done);
    }
    let marked = [("+", &diff.added), ("-", &diff.removed), ("~", &diff.changed)];
    let mut all: Vec<_> = marked.iter().flat_map(|(mark, list)| list.iter().map(move |it| (*mark, it))).collect();
    all.sort_by(|(_, a), (_, b)| by_components(&a.name, &b.name));
    let columns = [("", Fit::Whole), ("OLD", Fit::Right), ("NEW", Fit::Right), ("PATH", Fit::Middle)];
    let mut table = Table::new(&columns);
    for (mark, it) in all {
        let bytes = |bytes: Option<u64>| bytes.map_or("-".into(), size);
        table.row([mark.into(), bytes(it.old_size), bytes(it.new_size), it.name.clone()]);
    }
    if table.is_empty() {
        context.note("There is no difference.");
    } else {
        out.table(&table)?;
    }
    Ok(Exit::Done)
}

fn changes(list: &[Difference]) -> Vec<Change<'_>> {
    list.iter().map(|it| Change { path: &it.name, old_size: it.old_size, new_size: it.new_size }).collect()
}
