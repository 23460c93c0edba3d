//! `mirror`: all snapshots in a directory, for cron.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use serde::Serialize;
use squarecloud_blocking::{
    Error, Keep, KeepReason, Kind, MirrorPlan, MirrorReport, PlannedSnapshot, Skipped, SnapshotInfo,
};

use crate::args;
use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{Exit, Failure, Result, complain, explain};
use crate::output::{Fit, Table, printable, size};
use crate::resource;

pub fn mirror(context: &Context, args: &args::Mirror) -> Result<Exit> {
    let policy = policy(args);
    let mut mirror = context.client()?.mirror(&args.directory);
    if let Some(policy) = &policy {
        mirror = mirror.keep(policy.clone()).offset(dates::offset());
    }
    if context.globals.database {
        mirror = mirror.kind(Kind::Database);
    }
    if !args.only.is_empty() {
        mirror = mirror.only(ids(context, &args.only)?);
    }
    mirror = mirror.threads(args.threads.into()).verify(args.verify).take_new(args.take_new);
    if args.dry_run {
        return dry_run(context, &args.directory, &plan(context, &mirror)?);
    }
    if policy.is_some() && !args.yes {
        // From the first night on, and not only when there is something to delete: a cron job shall not fail after weeks.
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let refusal =
                "a policy deletes the snapshots that it does not name, and there is no terminal to ask on: add --yes";
            return Err(Failure::new(Exit::Usage, refusal));
        }
        let prune = plan(context, &mirror)?.prune;
        // A new snapshot takes the place of an old one, which no plan shows.
        if !prune.is_empty() || args.take_new {
            ask(context, &args.directory, &prune)?;
        }
    }
    let begun = if args.take_new { "; the service goes on with a snapshot that it has begun" } else { "" };
    let stopped = format!("stopped; what was fetched stays, and the same command goes on with the rest{begun}");
    let run = context.cancellable_with(&stopped, || {
        let bar = Bar::spinner(context, "Mirroring");
        mirror.run_with(|progress| bar.report_mirror(&progress))
    });
    match run {
        Err(error) if error.is_cancelled() => Err(Failure::new(Exit::Interrupted, stopped)),
        run => report(context, &run?),
    }
}

fn plan(context: &Context, mirror: &squarecloud_blocking::Mirror) -> Result<MirrorPlan> {
    let bar = Bar::spinner(context, "Looking");
    bar.message("at what is listed and what is there");
    Ok(mirror.plan()?)
}

/// What the options name; none: everything is kept.
fn policy(args: &args::Mirror) -> Option<Keep> {
    let rules = [
        args.keep_last.map(Keep::last),
        args.keep_hourly.map(Keep::hourly),
        args.keep_daily.map(Keep::daily),
        args.keep_weekly.map(Keep::weekly),
        args.keep_monthly.map(Keep::monthly),
        args.keep_yearly.map(Keep::yearly),
    ];
    rules.into_iter().flatten().reduce(Keep::and)
}

fn ids(context: &Context, named: &[String]) -> Result<Vec<String>> {
    let id = |text: &String| match resource::is_id(text) {
        true => Ok(text.clone()),
        false => Ok(resource::find(context, text)?.id),
    };
    named.iter().map(id).collect()
}

fn ask(context: &Context, directory: &Path, prune: &[PlannedSnapshot]) -> Result<()> {
    let directory = printable(&directory.display().to_string());
    let bytes = size(prune.iter().map(|planned| planned.snapshot.size).sum());
    let what = match prune.len() {
        0 => "what the policy will not keep".to_owned(),
        1 => format!("a snapshot ({bytes})"),
        many => format!("{many} snapshots ({bytes})"),
    };
    context.confirm(&format!("Delete {what} in {directory}? (--dry-run shows which.)"))
}

/// A snapshot in the document of `mirror --dry-run --json`.
#[derive(Serialize)]
struct Planned<'a> {
    path: &'a Path,
    is_listed: bool,
    reasons: &'a [KeepReason],
    snapshot: &'a SnapshotInfo,
}

impl<'a> From<&'a PlannedSnapshot> for Planned<'a> {
    fn from(planned: &'a PlannedSnapshot) -> Self {
        let PlannedSnapshot { path, snapshot, is_listed, reasons, .. } = planned;
        Self { path, is_listed: *is_listed, reasons, snapshot }
    }
}

/// What went wrong with a snapshot.
#[derive(Serialize)]
struct Failed<'a> {
    snapshot: &'a SnapshotInfo,
    error: String,
}

/// What went wrong with a kind, an app or a database.
#[derive(Serialize)]
struct Missing<'a> {
    what: &'a str,
    error: String,
}

#[derive(Serialize)]
struct PlanDocument<'a> {
    fetch: Vec<Planned<'a>>,
    keep: Vec<Planned<'a>>,
    prune: Vec<Planned<'a>>,
    unneeded: Vec<Planned<'a>>,
    damaged: Vec<Planned<'a>>,
    failed: Vec<Failed<'a>>,
    not_listed: Vec<Missing<'a>>,
    skipped: &'a [Skipped],
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    fetched: &'a [PathBuf],
    bytes: u64,
    kept: usize,
    pruned: &'a [PathBuf],
    damaged: &'a [PathBuf],
    failed: Vec<Failed<'a>>,
    not_listed: Vec<Missing<'a>>,
    not_taken: Vec<Missing<'a>>,
    skipped: &'a [Skipped],
    stopped: Option<String>,
}

fn failed(failed: &[(SnapshotInfo, Error)]) -> Vec<Failed<'_>> {
    failed.iter().map(|(snapshot, error)| Failed { snapshot, error: explain(error) }).collect()
}

fn missing(missing: &[(String, Error)]) -> Vec<Missing<'_>> {
    missing.iter().map(|(what, error)| Missing { what, error: explain(error) }).collect()
}

fn dry_run(context: &Context, directory: &Path, plan: &MirrorPlan) -> Result<Exit> {
    let out = context.out();
    if out.json {
        out.document(&document(plan))?;
    } else {
        out.table(&table(plan))?;
        let (fetch, prune) = (plan.fetch.len(), plan.prune.len());
        let bytes = size(plan.fetch.iter().map(|planned| planned.snapshot.size).sum());
        let directory = printable(&directory.display().to_string());
        context.note(format_args!("Would fetch {fetch} ({bytes}) and delete {prune} in {directory}."));
    }
    complain_of(&plan.failed, &plan.not_listed, &plan.skipped);
    let is_complete = plan.failed.is_empty() && plan.not_listed.is_empty() && plan.skipped.is_empty();
    Ok(if is_complete { Exit::Done } else { Exit::Partly })
}

fn document(plan: &MirrorPlan) -> PlanDocument<'_> {
    fn all(planned: &[PlannedSnapshot]) -> Vec<Planned<'_>> {
        planned.iter().map(Planned::from).collect()
    }
    PlanDocument {
        fetch: all(&plan.fetch),
        keep: all(&plan.keep),
        prune: all(&plan.prune),
        unneeded: all(&plan.unneeded),
        damaged: all(&plan.damaged),
        failed: failed(&plan.failed),
        not_listed: missing(&plan.not_listed),
        skipped: &plan.skipped,
    }
}

/// What would be done with each snapshot, by app and database, newest first.
fn table(plan: &MirrorPlan) -> Table {
    let mut rows: Vec<(&str, &PlannedSnapshot)> = Vec::new();
    let parts = [
        ("fetch", &plan.fetch),
        ("keep", &plan.keep),
        ("delete", &plan.prune),
        ("skip", &plan.unneeded),
        ("damaged", &plan.damaged),
    ];
    for (action, part) in parts {
        rows.extend(part.iter().map(|planned| (action, planned)));
    }
    let order = |planned: &PlannedSnapshot| {
        let info = &planned.snapshot;
        (info.kind, info.resource_id().to_owned(), std::cmp::Reverse(info.created_at))
    };
    rows.sort_by_cached_key(|(_, planned)| order(planned));
    let columns = [
        ("ACTION", Fit::Whole),
        ("CREATED", Fit::Whole),
        ("SIZE", Fit::Right),
        ("ID", Fit::Middle),
        ("WHY", Fit::Drop),
        ("KIND", Fit::Drop),
    ];
    let mut table = Table::new(&columns);
    for (action, PlannedSnapshot { snapshot: info, reasons, .. }) in rows {
        let why: Vec<_> = reasons.iter().map(word).collect();
        table.row([
            action.to_owned(),
            dates::local(info.created_at),
            size(info.size),
            info.resource_id().to_owned(),
            why.join(" "),
            info.kind.to_string(),
        ]);
    }
    table
}

/// As in JSON.
fn word(reason: &KeepReason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

fn report(context: &Context, report: &MirrorReport) -> Result<Exit> {
    let out = context.out();
    if out.json {
        out.document(&ReportDocument {
            fetched: &report.fetched,
            bytes: report.bytes,
            kept: report.kept,
            pruned: &report.pruned,
            damaged: &report.damaged,
            failed: failed(&report.failed),
            not_listed: missing(&report.not_listed),
            not_taken: missing(&report.not_taken),
            skipped: &report.skipped,
            stopped: report.stopped.as_ref().map(explain),
        })?;
    } else {
        let mut table = Table::new(&[("DONE", Fit::Whole), ("FILE", Fit::Middle)]);
        let parts = [("fetched", &report.fetched), ("deleted", &report.pruned), ("damaged", &report.damaged)];
        for (word, paths) in parts {
            paths.iter().for_each(|path| table.row([word.to_owned(), path.display().to_string()]));
        }
        if !table.is_empty() {
            out.table(&table)?;
        }
    }
    complain_of(&report.failed, &report.not_listed, &report.skipped);
    for (what, error) in &report.not_taken {
        complain(&format!("no new snapshot of {what}: {}", explain(error)));
    }
    if let Some(error) = &report.stopped {
        complain(&format!("ended early: {}; the same command goes on with the rest", explain(error)));
    }
    let (fetched, pruned) = (report.fetched.len(), report.pruned.len());
    let (bytes, kept) = (size(report.bytes), report.kept);
    context.note(format_args!("{fetched} fetched ({bytes}), {kept} already there, {pruned} deleted."));
    let has_nothing = report.fetched.is_empty() && report.kept == 0;
    Ok(match report.is_complete() {
        true => Exit::Done,
        false if has_nothing => Exit::Failed,
        false => Exit::Partly,
    })
}

fn complain_of(failed: &[(SnapshotInfo, Error)], not_listed: &[(String, Error)], skipped: &[Skipped]) {
    for (info, error) in failed {
        let (kind, id, created) = (info.kind, info.resource_id(), dates::local(info.created_at));
        complain(&format!("the snapshot of {kind} {} from {created}: {}", printable(id), explain(error)));
    }
    for (what, error) in not_listed {
        complain(&format!("{what} could not be listed, so nothing of it is deleted: {}", explain(error)));
    }
    for item in skipped {
        complain(&format!("could not be decoded, so nothing of its kind is deleted: {item}"));
    }
}
