//! Starting a sandbox: its options and the world it begins with.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::clock::DAY;
use super::demo;
use super::door::Door;
use super::files::{self, FileNode, Files};
use super::handle::{NewSnapshot, Sandbox};
use super::record::Port;
use super::rules::Rules;
use super::server::Shared;
use super::sign;
use super::tls::Tls;
use super::world::{Account, Kind, Resource, Restore, World};

/// 2025-12-24T08:00:00Z
pub const ACCOUNT_CREATED: i64 = 1_766_563_200_000;

/// What a sandbox is started with.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    rules: Rules,
    tls: bool,
    ports: (u16, u16),
    history: u32,
    free_plan: bool,
    small: bool,
    lenient: bool,
}

impl Builder {
    /// Serves both ports over TLS; clients must trust [`Sandbox::ca_pem`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// No cooldowns, quotas, budgets or caches.
    pub fn no_limits(mut self) -> Self {
        self.rules = self.rules.without_limits();
        self
    }

    /// Changes the rules.
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    /// The API's and the snapshot host's port; 0 is any.
    pub fn ports(mut self, api: u16, snapshots: u16) -> Self {
        self.ports = (api, snapshots);
        self
    }

    /// So many automatic snapshots of the app and the database, one a day before today.
    pub fn history(mut self, days: u32) -> Self {
        self.history = days;
        self
    }

    /// The default account's plan is the free one.
    pub fn free_plan(mut self) -> Self {
        self.free_plan = true;
        self
    }

    /// The app and the database have three small files each: quicker than the demo.
    pub fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// Credentials on the snapshot host are only listed; without this, stopping the sandbox panics then.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// At most `n` requests of the snapshot host at the same time; those beyond are answered with `status`.
    pub fn max_connections(mut self, n: usize, status: u16) -> Self {
        self.rules.concurrent = Some((n, status));
        self
    }

    /// # Panics
    /// When loopback has no port left, or not the one asked for.
    pub fn start(self) -> Sandbox {
        self.try_start().expect("a port on loopback")
    }

    /// # Errors
    /// When a port cannot be had: says which.
    pub fn try_start(self) -> io::Result<Sandbox> {
        let door = |number: u16| {
            Door::new(number).map_err(|e| io::Error::new(e.kind(), format!("cannot listen on 127.0.0.1:{number}: {e}")))
        };
        let doors = [door(self.ports.0)?, door(self.ports.1)?];
        let [api, snapshots] = [doors[0].address, doors[1].address];
        let tls = self.tls.then(Tls::new);
        let scheme = if self.tls { "https" } else { "http" };
        let mut world = World::new(self.rules.clone(), 1);
        let (api_key, app, database) = populate(&mut world, &self);
        let host = format!("{scheme}://{snapshots}");
        world.snapshot_host.clone_from(&host);
        let shared = Arc::new(Shared::new(world, tls, doors));
        let base_url = format!("{scheme}://{api}/v2");
        let sandbox = Sandbox { shared, base_url, host, api_key, app, database, lenient: self.lenient };
        for day in 1..=self.history {
            let age = Duration::from_secs(u64::from(day) * 86_400);
            let app_then = (!self.small).then(|| files::to_zip(&demo::bot_before(day)));
            for (id, bytes) in [(&sandbox.app, app_then), (&sandbox.database, None)] {
                sandbox.put_snapshot(NewSnapshot { age, bytes, origin: Some("automatic"), ..NewSnapshot::of(id) });
            }
        }
        for port in [Port::Snapshots, Port::Api] {
            sandbox.shared.open(port)?;
        }
        Ok(sandbox)
    }
}

fn small_files() -> Files {
    Files::from([
        ("squarecloud.app".into(), FileNode::new("MAIN=index.js\nMEMORY=512\n", 0o100_644, 1_793_611_800)),
        ("index.js".into(), FileNode::new("console.log('hello')\n".repeat(20), 0o100_644, 1_793_611_800)),
        ("data/noise.bin".into(), FileNode::new(sign::Noise::new(3).bytes(3000), 0o100_600, 1_793_611_800)),
    ])
}

fn populate(world: &mut World, builder: &Builder) -> (String, String, String) {
    let account = Account {
        id: "841905532178461902".into(),
        name: "Demo".into(),
        email: "demo@example.com".into(),
        plan: if builder.free_plan { "free" } else { "standard-4" }.into(),
        memory_mb: 4096,
        created_ms: ACCOUNT_CREATED,
    };
    let owner = account.id.clone();
    let key = world.add_account(account);
    let (app, database) = if builder.small { (small_files(), small_files()) } else { (demo::bot(), demo::database()) };
    let ids = ("c0ffee00d15e4a5eb10c5ca1ab1e0001", "facade5eed0b4dab9abedbeefcafe003");
    for (id, kind, name, runtime, ram_mb, files) in [
        (ids.0, Kind::App, "demo-bot", "javascript", 512, app),
        (ids.1, Kind::Database, "demo-db", "postgres", 1024, database),
    ] {
        let created_ms = ACCOUNT_CREATED + 12 * DAY;
        let owner = owner.clone();
        let resource = Resource {
            id: id.into(),
            kind,
            owner,
            name: name.into(),
            runtime: runtime.into(),
            ram_mb,
            cluster: "c1".into(),
            created_ms,
            workspace: None,
            files,
            started_ms: Some(created_ms),
            refuses: None,
            restore: Restore::default(),
        };
        world.resources.insert(id.into(), resource);
    }
    (key, ids.0.into(), ids.1.into())
}
