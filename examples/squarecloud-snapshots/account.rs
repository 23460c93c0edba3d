//! What the key sees: `apps` and `quota`.

use serde::Serialize;
use squarecloud_blocking::Kind;
use squarecloud_blocking::time::OffsetDateTime;

use crate::context::Context;
use crate::exit::{Exit, Result};
use crate::output::{Fit, Table};

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
    #[serde(with = "squarecloud_blocking::time::serde::rfc3339::option")]
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
        context.note(format_args!("could not be decoded: {item}"));
    }
    Ok(if account.skipped.is_empty() { Exit::Done } else { Exit::Partly })
}

pub fn quota(_context: &Context) -> Result<Exit> {
    unimplemented!()
}
