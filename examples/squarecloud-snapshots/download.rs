//! `download`: a snapshot as a file.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;
use squarecloud_blocking::{DownloadOptions, Error, SnapshotInfo};

use crate::args::{Download, Overwrite};
use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{self, Exit, Failure, Result, explain};
use crate::output::{printable, size};
use crate::snapshot::{at_host, print_path};

/// The document of `download --json`.
#[derive(Serialize)]
struct Document<'a> {
    path: &'a Path,
    bytes: u64,
    /// How many of these were there before.
    resumed_from: u64,
    /// None for a signed link.
    snapshot: Option<&'a SnapshotInfo>,
}

pub fn download(context: &Context, args: &Download) -> Result<Exit> {
    let snapshot = at_host(context, &args.id, &args.which)?.0;
    let overwrite = match context.globals.overwrite {
        // Nothing is overwritten either way, and the same snapshot need not be refused: a nightly download of the
        // latest finds it there until there is a newer one.
        Overwrite::Refuse => Overwrite::Keep,
        other => other,
    };
    let options =
        DownloadOptions::new().overwrite(overwrite.into()).connections(context.globals.connections.into()).verify(true);
    let (started, there) = (Instant::now(), AtomicU64::new(0));
    let kept = kept(&args.directory);
    let downloaded = context.cancellable_with(format!("stopped; {kept}"), || {
        let bar = Bar::bytes(context, "Downloading");
        let options = options.progress(|progress| {
            there.store(progress.bytes, Ordering::Relaxed);
            bar.report(progress)
        });
        snapshot.download_with(&args.directory, &options)
    });
    let download = match downloaded {
        Err(error) => return Err(failure(&error, there.into_inner(), &kept)),
        Ok(download) => download,
    };
    let out = context.out();
    if out.json {
        let (path, snapshot) = (download.path.as_path(), snapshot.info());
        out.document(&Document { path, bytes: download.bytes, resumed_from: download.resumed_from, snapshot })?;
    } else {
        print_path(&out, &download.path)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let of = snapshot.info().map_or_else(String::new, |info| format!(" from {}", dates::local(info.created_at)));
    let how = match download.resumed_from {
        0 => format!("downloaded in {seconds:.1} s and checked"),
        there if there == download.bytes => "was there already".to_owned(),
        there => format!("downloaded in {seconds:.1} s, {} of them earlier, and checked", size(there)),
    };
    context.note(format_args!("{}{of}, {how}.", size(download.bytes)));
    Ok(Exit::Done)
}

fn kept(directory: &Path) -> String {
    format!("what was downloaded is kept in {}, and the same command continues it", shown(directory))
}

/// Says what is kept and how to go on.
fn failure(error: &Error, there: u64, kept: &str) -> Failure {
    let kept = if there == 0 { String::new() } else { format!("; {kept}") };
    match error {
        Error::Exists { path } => {
            let path = printable(&path.display().to_string());
            let what = "exists, is not this snapshot and was not changed";
            Failure::new(Exit::Failed, format_args!("{path} {what}; --overwrite replace replaces it"))
        }
        _ if error.is_cancelled() => Failure::new(Exit::Interrupted, format_args!("stopped{kept}")),
        Error::Network { .. } | Error::Timeout { .. } => {
            Failure::new(exit::code(error), format_args!("{}{kept}", explain(error)))
        }
        _ => Failure::new(exit::code(error), explain(error)),
    }
}

fn shown(directory: &Path) -> String {
    let is_file = directory.extension().is_some_and(|it| it.eq_ignore_ascii_case("zip")) && !directory.is_dir();
    let directory = if is_file { directory.parent().unwrap_or(directory) } else { directory };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    printable(&directory.display().to_string())
}
