//! `restore`: a snapshot in place of the present files or data.

use std::time::Duration;

use serde::Serialize;
use squarecloud_blocking::{Error, Kind, RestoreStatus, SnapshotInfo};

use crate::args::Restore;
use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{self, Exit, Failure, Result, complain, explain};
use crate::output::size;
use crate::resource::{self, Resource, Selector};

/// How long `--wait` waits.
const AT_MOST: Duration = Duration::from_secs(30 * 60);

/// The document of `restore --json`.
#[derive(Serialize)]
struct Document<'a> {
    kind: Kind,
    resource_id: &'a str,
    name: Option<&'a str>,
    /// `done` or `pending`.
    status: &'static str,
    snapshot: &'a SnapshotInfo,
    /// What the service says of it at the end.
    restore: Option<&'a RestoreStatus>,
}

pub fn restore(context: &Context, args: &Restore) -> Result<Exit> {
    let resource = resource::find(context, &args.id)?;
    let info = resource.select(context, &Selector::of(&args.which)?)?;
    let (created, bytes) = (dates::local(info.created_at), size(info.size));
    if !args.yes {
        let what = if resource.kind == Kind::Database { "data" } else { "files" };
        context.confirm(&format!("Replace all {what} of {resource} by its snapshot from {created} ({bytes})?"))?;
    }
    let at_most = if args.wait { AT_MOST } else { Duration::ZERO };
    let restored = request(context, &resource, &info, at_most);
    let (exit, status) = match &restored {
        Ok(status) => (Exit::Done, Some(status)),
        Err(Failure::Library(error)) if is_accepted(error) => {
            let is_cancelled = error.is_cancelled();
            say_pending(context, &resource, error, args.wait);
            (if is_cancelled { Exit::Interrupted } else { Exit::Pending }, None)
        }
        Err(Failure::Library(error)) => {
            let message = format!("restoring {resource}: {}", explain(error));
            return Err(Failure::new(exit::code(error), message));
        }
        Err(_) => return restored.map(|_| Exit::Done),
    };
    let out = context.out();
    if out.json {
        let (kind, resource_id, name) = (resource.kind, resource.id.as_str(), resource.name.as_deref());
        let word = if exit == Exit::Done { "done" } else { "pending" };
        out.document(&Document { kind, resource_id, name, status: word, snapshot: &info, restore: status })?;
    } else if exit != Exit::Interrupted {
        let what = if exit == Exit::Done { "restored" } else { "accepted" };
        out.line(format_args!("{what}: {resource}, snapshot from {created}"))?;
    }
    Ok(exit)
}

/// Requests the restore and looks at least once what has become of it.
fn request(context: &Context, resource: &Resource, info: &SnapshotInfo, at_most: Duration) -> Result<RestoreStatus> {
    let client = context.client()?;
    let status = context.cancellable_with(stopped(resource), || {
        let bar = Bar::spinner(context, "Restoring");
        bar.message(&resource.to_string());
        match resource.kind {
            Kind::Database => client.database(&resource.id).restore_and_wait_with(info, at_most, |_| bar.wait()),
            Kind::App => client.app(&resource.id).restore_and_wait_with(info, at_most, |_| bar.wait()),
        }
    })?;
    Ok(status)
}

fn stopped(resource: &Resource) -> String {
    format!(
        "stopped waiting for the restore of {resource}; the service goes on with what it has accepted, so look whether \
         it was restored before requesting it again"
    )
}

/// Whether the service goes on with the restore, or may go on with it.
fn is_accepted(error: &Error) -> bool {
    let is_known = error.is_pending() || error.is_cancelled() || matches!(error, Error::StatusUnavailable { .. });
    is_known || is_of_status(error)
}

/// Whether the status of the restore could not be read. It is looked at when the restore was accepted.
fn is_of_status(error: &Error) -> bool {
    match error {
        Error::Api { method, .. }
        | Error::UnexpectedResponse { method, .. }
        | Error::Network { method, .. }
        | Error::Proxy { method, .. }
        | Error::Timeout { method, .. } => *method == "GET",
        _ => false,
    }
}

fn say_pending(context: &Context, resource: &Resource, error: &Error, wait: bool) {
    let goes_on = "the service goes on with it, so do not request it again";
    match error {
        Error::WaitCancelled { .. } => complain(&stopped(resource)),
        Error::Pending { .. } if !wait => {
            context.note(format_args!(
                "The restore of {resource} was accepted and is not done yet: {goes_on}. --wait waits for its end."
            ));
        }
        Error::Pending { waited, .. } => {
            complain(&format!("the restore of {resource} is not done after {} min; {goes_on}", waited.as_secs() / 60));
        }
        error if is_of_status(error) => complain(&format!(
            "the restore of {resource} was accepted, so do not request it again; its status could not be read: {}",
            explain(error)
        )),
        _ => complain(&explain(error)),
    }
}
