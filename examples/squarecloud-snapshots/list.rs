//! `list`: the snapshots of an app, of a database, or of the account.

use std::time::Duration;

use serde::Serialize;
use squarecloud_blocking::time::OffsetDateTime;
use squarecloud_blocking::{Account, Error, Kind, Limit, Listing, Skipped, SnapshotInfo};

use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{Exit, Failure, Result, complain, explain};
use crate::output::{Fit, Table, size};
use crate::resource::{self, Resource};

/// A snapshot in a JSON document.
#[derive(Serialize)]
pub struct Row<'a> {
    /// Of the app or database, as `kind`.
    pub resource_id: &'a str,
    /// Of the app or database, when the account shows it.
    pub name: Option<&'a str>,
    #[serde(flatten)]
    pub info: &'a SnapshotInfo,
    #[serde(with = "squarecloud_blocking::time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl<'a> Row<'a> {
    pub fn new(info: &'a SnapshotInfo, resources: &'a [Resource]) -> Self {
        let is_it =
            |it: &&Resource| it.kind == info.kind && it.id.split('-').next().is_some_and(|id| id == info.resource_id());
        let resource = resources.iter().find(is_it);
        let resource_id = resource.map_or(info.resource_id(), |it| it.id.as_str());
        let name = resource.and_then(|it| it.name.as_deref());
        Self { resource_id, name, info, expires_at: info.expires_at() }
    }

    /// How many whole days the service still keeps it.
    fn days_left(&self) -> String {
        let left = self.expires_at - OffsetDateTime::now_utc();
        if left.is_negative() { "over".to_owned() } else { format!("{} days", left.whole_days()) }
    }
}

pub fn list(context: &Context, id: Option<&str>) -> Result<Exit> {
    let mut all = All::default();
    let is_one = id.is_some();
    match id {
        Some(id) => {
            let resource = resource::find(context, id)?;
            all.add(resource.listing(context)?);
            all.resources.push(resource);
        }
        None => {
            let kinds = [Kind::App, Kind::Database];
            all = All::of(context, if context.globals.database { &kinds[1..] } else { &kinds })?;
        }
    }
    let rows: Vec<_> = all.snapshots.iter().map(|info| Row::new(info, &all.resources)).collect();
    let out = context.out();
    if out.json {
        out.document(&rows)?;
    } else {
        out.table(&table(&rows, !is_one))?;
        if rows.is_empty() && all.failed.is_empty() {
            context.note("There is no snapshot yet; `create` makes one.");
        }
    }
    all.complain(context);
    Ok(if all.is_complete() { Exit::Done } else { Exit::Partly })
}

/// The versions tell the snapshots of one app or database apart, so they get the room that there is.
fn table(rows: &[Row<'_>], with_names: bool) -> Table {
    let columns = [
        ("CREATED", Fit::Whole),
        ("SIZE", Fit::Right),
        ("VERSION", if with_names { Fit::Drop } else { Fit::Middle }),
        ("NAME", Fit::Middle),
        ("EXPIRES", Fit::Drop),
        ("ORIGIN", Fit::Drop),
        ("KIND", Fit::Drop),
    ];
    let is_shown = |title| with_names || !["NAME", "KIND"].contains(&title);
    let shown: Vec<_> = columns.into_iter().filter(|(title, _)| is_shown(title)).collect();
    let mut table = Table::new(&shown);
    for row in rows {
        let cells = [
            dates::local(row.info.created_at),
            size(row.info.size),
            row.info.version_id.clone().unwrap_or_else(|| "-".to_owned()),
            row.name.unwrap_or(row.resource_id).to_owned(),
            row.days_left(),
            row.info.origin.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            row.info.kind.to_string(),
        ];
        table.row(columns.iter().zip(cells).filter(|((title, _), _)| is_shown(title)).map(|(_, cell)| cell));
    }
    table
}

/// So many listings of single apps and databases are asked for at once, and each one more after a pause: a key may make
/// from 30 calls in 60 s.
const AT_ONCE: usize = 5;
const PAUSE: Duration = Duration::from_secs(3);

/// Everything that the account lists.
#[derive(Default)]
pub struct All {
    /// The account, unless the key may not see it.
    pub account: Option<Account>,
    pub resources: Vec<Resource>,
    /// Newest first.
    pub snapshots: Vec<SnapshotInfo>,
    skipped: Vec<Skipped>,
    /// What could not be listed, and why.
    failed: Vec<(String, Error)>,
}

impl All {
    /// Costs one request for the account and one a kind; where the plan does not include that, one for each app and
    /// database.
    pub fn of(context: &Context, kinds: &[Kind]) -> Result<Self> {
        let client = context.client()?;
        let mut all = Self::default();
        match client.account() {
            Ok(account) => {
                all.resources = resource::of_account(&account);
                all.account = Some(account);
            }
            Err(error) if error.status() == Some(403) => {}
            Err(error) => return Err(error.into()),
        }
        for &kind in kinds {
            match client.listing(kind) {
                Ok(listing) => all.add(listing),
                Err(error) if error.needs_upgrade() && all.account.is_some() => all.one_by_one(context, kind)?,
                Err(error) => all.failed.push((format!("{kind}s"), error)),
            }
        }
        all.snapshots.sort_by_key(|info| std::cmp::Reverse(info.created_at));
        if kinds.len() == all.failed.len() && all.snapshots.is_empty() {
            return Err(all.failed.remove(0).1.into());
        }
        Ok(all)
    }

    fn one_by_one(&mut self, context: &Context, kind: Kind) -> Result<()> {
        let resources: Vec<_> = self.resources.iter().filter(|it| it.kind == kind).cloned().collect();
        let bar = Bar::spinner(context, "Listing");
        for (number, resource) in resources.iter().enumerate() {
            if number >= AT_ONCE && context.cancellable(|| context.pause(PAUSE)).is_break() {
                return Err(Failure::new(Exit::Interrupted, "stopped"));
            }
            bar.message(resource.label());
            match resource.listing(context) {
                Ok(listing) => self.add(listing),
                Err(Failure::Library(error)) => {
                    let ends = error.limit() == Some(Limit::Budget) || error.is_unauthorized();
                    self.failed.push((resource.to_string(), error));
                    if ends {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub fn add(&mut self, listing: Listing) {
        self.snapshots.extend(listing.snapshots);
        self.skipped.extend(listing.skipped);
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.skipped.is_empty() && self.failed.is_empty()
    }

    /// Says what is missing.
    pub fn complain(&self, context: &Context) {
        for item in &self.skipped {
            context.note(format_args!("left out, since it could not be decoded: {item}"));
        }
        for (what, error) in &self.failed {
            complain(&format!("{what} could not be listed: {}", explain(error)));
        }
    }
}
