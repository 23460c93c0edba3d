//! What the key sees: `apps` and `quota`.

use serde::Serialize;
use squarecloud_blocking::time::serde::rfc3339;
use squarecloud_blocking::time::{Duration, OffsetDateTime};
use squarecloud_blocking::{Account, Kind, SnapshotInfo};

use crate::context::Context;
use crate::dates;
use crate::exit::{Exit, Failure, Result};
use crate::list::All;
use crate::output::{Fit, Table};
use crate::resource::Resource;

/// The service creates one snapshot of an app or database in this time.
const COOLDOWN: Duration = Duration::seconds(180);

/// An item of `apps --json`.
#[derive(Serialize)]
struct Row<'a> {
    kind: Kind,
    id: &'a str,
    name: &'a str,
    /// Megabytes.
    ram: u64,
    /// The app's language or the database's engine.
    runtime: &'a str,
    cluster: &'a str,
    #[serde(with = "rfc3339::option")]
    created_at: Option<OffsetDateTime>,
}

pub fn apps(context: &Context) -> Result<Exit> {
    let account = context.client()?.account()?;
    let apps = account.applications.iter().filter(|_| !context.globals.database).map(|it| Row {
        kind: Kind::App,
        id: &it.id,
        name: &it.name,
        ram: it.ram,
        runtime: &it.lang,
        cluster: &it.cluster,
        created_at: it.created_at,
    });
    let databases = account.databases.iter().map(|it| Row {
        kind: Kind::Database,
        id: &it.id,
        name: &it.name,
        ram: it.ram,
        runtime: &it.engine,
        cluster: &it.cluster,
        created_at: it.created_at,
    });
    let rows: Vec<_> = apps.chain(databases).collect();
    let out = context.out();
    if out.json {
        out.document(&rows)?;
    } else {
        let columns = [
            ("NAME", Fit::Middle),
            ("KIND", Fit::Whole),
            ("ID", Fit::Middle),
            ("RUNTIME", Fit::Drop),
            ("MEMORY", Fit::Drop),
        ];
        let mut table = Table::new(&columns);
        for row in &rows {
            let memory = format!("{} MB", row.ram);
            table.row([row.name.into(), row.kind.to_string(), row.id.into(), row.runtime.into(), memory]);
        }
        out.table(&table)?;
    }
    for item in &account.skipped {
        context.note(format_args!("left out, since it could not be decoded: {item}"));
    }
    Ok(if account.skipped.is_empty() { Exit::Done } else { Exit::Partly })
}

/// The document of `quota --json`.
#[derive(Serialize)]
struct Quota<'a> {
    plan: &'a str,
    /// Snapshots in 24 h; none when the plan's memory is not known.
    quota: Option<u64>,
    /// A lower bound.
    used: u64,
    /// An upper bound.
    left: Option<u64>,
    /// When the oldest of those that count is a day old.
    #[serde(with = "rfc3339::option")]
    next_free_at: Option<OffsetDateTime>,
    resources: Vec<Use<'a>>,
}

/// What an app or database uses of the quota.
#[derive(Serialize)]
struct Use<'a> {
    kind: Kind,
    resource_id: &'a str,
    name: &'a str,
    used: u64,
    #[serde(with = "rfc3339::option")]
    last_at: Option<OffsetDateTime>,
    /// When the service allows another one; none: now.
    #[serde(with = "rfc3339::option")]
    next_at: Option<OffsetDateTime>,
}

pub fn quota(context: &Context) -> Result<Exit> {
    let all = All::of(context, &[Kind::App, Kind::Database])?;
    let Some(account) = &all.account else {
        let message = "the key may not see the account, which has the quota; give it the scope account:read";
        return Err(Failure::new(Exit::Failed, message));
    };
    let now = OffsetDateTime::now_utc();
    let quota = Some(account.daily_snapshot_quota()).filter(|quota| *quota > 0);
    let counts = |info: &&SnapshotInfo| account.snapshots_used([*info], now) > 0;
    let used = account.snapshots_used(&all.snapshots, now);
    let oldest = all.snapshots.iter().filter(counts).map(|info| info.created_at).min();
    let document = Quota {
        plan: &account.user.plan.name,
        quota,
        used,
        left: quota.map(|quota| quota.saturating_sub(used)),
        next_free_at: oldest.map(|at| at + Duration::DAY),
        resources: all.resources.iter().map(|it| usage(it, account, &all.snapshots, now)).collect(),
    };
    let out = context.out();
    if out.json {
        out.document(&document)?;
    } else {
        show(context, &document)?;
    }
    all.complain(context);
    Ok(if all.is_complete() { Exit::Done } else { Exit::Partly })
}

fn usage<'a>(resource: &'a Resource, account: &Account, all: &[SnapshotInfo], now: OffsetDateTime) -> Use<'a> {
    let id = resource.id.split('-').next().unwrap_or_default();
    let of_it = all.iter().filter(|info| info.kind == resource.kind && info.resource_id() == id);
    let last_at = of_it.clone().map(|info| info.created_at).max();
    Use {
        kind: resource.kind,
        resource_id: &resource.id,
        name: resource.label(),
        used: account.snapshots_used(of_it, now),
        last_at,
        next_at: last_at.map(|at| at + COOLDOWN).filter(|at| *at > now),
    }
}

fn show(context: &Context, quota: &Quota<'_>) -> Result<()> {
    let out = context.out();
    let known = |number: Option<u64>, words| number.map_or_else(|| "unknown".to_owned(), |n| format!("{words}{n}"));
    let columns = [("PLAN", Fit::Middle), ("IN 24 H", Fit::Right), ("USED", Fit::Right), ("LEFT", Fit::Right)];
    let mut table = Table::new(&columns);
    let used = format!("at least {}", quota.used);
    table.row([quota.plan.to_owned(), known(quota.quota, ""), used, known(quota.left, "at most ")]);
    out.table(&table)?;
    out.line("")?;
    let columns = [
        ("NAME", Fit::Middle),
        ("USED", Fit::Right),
        ("NEXT ONE", Fit::Whole),
        ("LAST ONE", Fit::Drop),
        ("KIND", Fit::Drop),
    ];
    let mut table = Table::new(&columns);
    let is_used_up = quota.left == Some(0);
    for row in &quota.resources {
        let next = row.next_at.max(quota.next_free_at.filter(|_| is_used_up));
        let next = next.map_or_else(|| "now".to_owned(), dates::local);
        let last = row.last_at.map_or_else(|| "-".to_owned(), dates::local);
        table.row([row.name.to_owned(), row.used.to_string(), next, last, row.kind.to_string()]);
    }
    out.table(&table)?;
    if is_used_up {
        let next = quota.next_free_at.map_or_else(|| "later".to_owned(), dates::local);
        context.note(format_args!("The quota is used up. The next snapshot can be created at {next}."));
    }
    Ok(())
}
