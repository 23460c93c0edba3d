//! What makes something new at the service: `create` and `upload`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use squarecloud_blocking::{Error, Kind, Limit, Snapshot, SnapshotInfo};

use crate::args::Create;
use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{self, Exit, Failure, Result, complain, explain};
use crate::output::{Fit, Table, printable, size};
use crate::resource::{self, Resource};
use crate::snapshot;

/// The pause between two creations: the service allows one in 5 s, by its own clock.
const PAUSE: Duration = Duration::from_secs(6);

/// What became of a creation: an item of `create --json`.
#[derive(Serialize)]
struct Created<'a> {
    kind: Kind,
    resource_id: &'a str,
    name: Option<&'a str>,
    status: Status,
    error: Option<String>,
    /// None as well when it was created and cannot be told from others in the listing.
    snapshot: Option<SnapshotInfo>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Created,
    /// The service has begun it, or may have.
    Pending,
    Failed,
}

pub fn create(context: &Context, args: &Create) -> Result<Exit> {
    let resources = match &args.id {
        Some(id) => vec![resource::find(context, id)?],
        None => resource::of_account(&context.client()?.account()?)
            .into_iter()
            .filter(|it| !context.globals.database || it.kind == Kind::Database)
            .collect(),
    };
    if resources.is_empty() {
        return Err(Failure::new(Exit::NotFound, "the key sees no app and no database"));
    }
    // Ctrl-C ends the round, not the process: what was created is shown.
    let parting = "stopped; the service goes on with what it has begun: `list` shows it when it is ready, so look \
        before creating another one";
    let done = context.cancellable_with(parting, || round(context, &resources));
    print(context, &done)?;
    let not_tried: Vec<_> = resources[done.len()..].iter().map(|it| it.id.as_str()).collect();
    if !not_tried.is_empty() {
        let next = "`create ID` goes on with one of them";
        let (count, ids) = (not_tried.len(), not_tried.join(", "));
        complain(&format!("stopped: {count} of {} not tried; {next}: {ids}", resources.len()));
    }
    let is_interrupted = context.go_on().is_break();
    Ok(if is_interrupted { Exit::Interrupted } else { exit::together(done.iter().map(|it| it.exit)) })
}

/// Creates a snapshot of each, until the service refuses any more.
fn round<'a>(context: &Context, resources: &'a [Resource]) -> Vec<Created<'a>> {
    let mut done: Vec<Created<'_>> = Vec::new();
    let mut blocked = None;
    for (number, resource) in resources.iter().enumerate() {
        let created = match blocked {
            Some(limit) => Err(Error::TooSoon { what: format!("the snapshot of {resource}"), limit }),
            None if number > 0 && pause(context, resource).is_err() => break,
            None => one(context, resource),
        };
        // A quota, a block and a bad key stand against the others, too.
        let limit = created.as_ref().err().and_then(Error::limit);
        blocked = blocked.or(limit.filter(|limit| *limit != Limit::Cooldown));
        let ends = created.as_ref().is_err_and(|error| error.is_unauthorized() || error.is_cancelled());
        done.push(outcome(context, resource, created));
        if ends {
            break;
        }
    }
    done
}

fn pause(context: &Context, next: &Resource) -> Result<()> {
    let bar = Bar::spinner(context, "Waiting");
    bar.message(&format!("6 s before the snapshot of {next}"));
    let paused = context.pause(PAUSE);
    if paused.is_break() { Err(Failure::new(Exit::Interrupted, "stopped")) } else { Ok(()) }
}

/// Creates a snapshot and waits for it.
fn one(context: &Context, resource: &Resource) -> squarecloud_blocking::Result<Snapshot> {
    let bar = Bar::spinner(context, "Creating");
    bar.message(&format!("the snapshot of {resource}"));
    let client = context.client().map_err(Failure::into_library)?;
    match resource.kind {
        Kind::Database => client.database(&resource.id).snapshot_with(|_| bar.wait()),
        Kind::App => client.app(&resource.id).snapshot_with(|_| bar.wait()),
    }
}

/// Says what went wrong, if anything.
fn outcome<'a>(
    context: &Context,
    resource: &'a Resource,
    created: squarecloud_blocking::Result<Snapshot>,
) -> Created<'a> {
    let name = resource.name.as_deref();
    let (kind, resource_id) = (resource.kind, resource.id.as_str());
    // The id, since this is for pasting, and a name may be anything.
    let list = format!("`list {}`", printable(resource_id));
    let (error, snapshot) = match created {
        Ok(snapshot) => (None, snapshot.info().cloned()),
        Err(error) => (Some(error), None),
    };
    let Some(error) = error else {
        if snapshot.is_none() {
            let unclear = "was created; which one of the listing it is cannot be told yet";
            let note = format!("The snapshot of {resource} {unclear}: {list} shows them.");
            // Without a document, this is the result.
            if context.globals.json { context.note(note) } else { Context::say(note) }
        }
        return Created { kind, resource_id, name, status: Status::Created, error: None, snapshot, exit: Exit::Done };
    };
    let what = format!("the snapshot of {resource}");
    let next = format!("{list} shows it when it is ready, so look before creating another one");
    let is_unclear = matches!(error, Error::Timeout { .. } | Error::Network { .. });
    let (status, message) = match &error {
        Error::Pending { waited, .. } => {
            (Status::Pending, format!("{what} is not ready after {} s; {next}", waited.as_secs()))
        }
        Error::WaitCancelled { .. } => {
            (Status::Pending, format!("stopped waiting for {what}; the service goes on with what it has begun: {next}"))
        }
        // It names the app or database itself.
        Error::TooSoon { .. } => (Status::Failed, explain(&error)),
        _ if is_unclear => (Status::Failed, format!("{what}: {}: {next}", explain(&error))),
        _ => (Status::Failed, format!("{what}: {}", explain(&error))),
    };
    complain(&message);
    Created { kind, resource_id, name, status, error: Some(message), snapshot: None, exit: exit::code(&error) }
}

fn print(context: &Context, done: &[Created<'_>]) -> Result<()> {
    let out = context.out();
    if out.json {
        return out.document(&done);
    }
    let columns = [
        ("CREATED", Fit::Whole),
        ("SIZE", Fit::Right),
        ("VERSION", Fit::Middle),
        ("NAME", Fit::Middle),
        ("KIND", Fit::Drop),
    ];
    let mut table = Table::new(&columns);
    for it in done {
        let Some(info) = &it.snapshot else { continue };
        table.row([
            dates::local(info.created_at),
            size(info.size),
            info.version_id.clone().unwrap_or_else(|| "-".to_owned()),
            it.name.unwrap_or(it.resource_id).to_owned(),
            it.kind.to_string(),
        ]);
    }
    if table.is_empty() { Ok(()) } else { out.table(&table) }
}

pub fn upload(context: &Context, zip: &Path) -> Result<Exit> {
    let started = Instant::now();
    snapshot::expect_file(zip)?;
    let client = context.client()?;
    let parting = "stopped; the app is made when the whole file has arrived, so `apps` shows whether it was";
    let uploaded = context.cancellable_with(parting, || {
        let bar = Bar::bytes(context, "Uploading");
        client.upload_with(zip, |progress| bar.report_sent(progress))
    });
    let app = match uploaded {
        Err(error) if error.is_cancelled() => return Err(Failure::new(Exit::Interrupted, parting)),
        uploaded => uploaded?,
    };
    let out = context.out();
    if out.json {
        out.document(&app)?;
    } else {
        let columns = [
            ("NAME", Fit::Middle),
            ("ID", Fit::Middle),
            ("LANGUAGE", Fit::Drop),
            ("MEMORY", Fit::Drop),
            ("DOMAIN", Fit::Drop),
        ];
        let mut table = Table::new(&columns);
        let domain = app.domain.clone().unwrap_or_else(|| "-".to_owned());
        table.row([app.name.clone(), app.id.clone(), app.language.name.clone(), format!("{} MB", app.ram), domain]);
        out.table(&table)?;
    }
    context.note(format_args!("Uploaded in {:.1} s.", started.elapsed().as_secs_f64()));
    Ok(Exit::Done)
}
