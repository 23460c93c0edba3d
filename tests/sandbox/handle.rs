//! The handle of a running sandbox: looking into it, changing it, stopping it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::builder::{ACCOUNT_CREATED, Builder};
use super::clock::DAY;
use super::door::Door;
use super::fault::Fault;
use super::faults::{FaultHandle, On};
use super::files::{self, FileNode, Files};
use super::record::{Port, Recorded};
use super::rules::Rules;
use super::server::{Shared, guard};
use super::sign;
use super::words::Wanted;
use super::world::{Account, Kind, Listed, Restore, World};

/// A running sandbox. Dropping it ends every thread and closes both ports.
pub struct Sandbox {
    pub(super) shared: Arc<Shared>,
    pub(super) base_url: String,
    pub(super) host: String,
    pub(super) api_key: String,
    pub(super) app: String,
    pub(super) database: String,
    pub(super) lenient: bool,
}

/// A stored object and the way to it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Signed, naming the version, good for 30 days.
    pub url: String,
    /// The signed query.
    pub key: String,
    /// On the snapshot host.
    pub path: String,
    pub version_id: String,
    /// The listing's name, or the path's last part.
    pub name: String,
}

/// A snapshot put into the world from outside.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    pub resource: String,
    /// `None` packs the resource's files.
    pub bytes: Option<Vec<u8>>,
    /// `None` is `<id>_<runtime>_<origin>`, or `<id>` without an origin.
    pub name: Option<String>,
    pub origin: Option<&'static str>,
    /// How long ago it was made.
    pub age: Duration,
}

impl NewSnapshot {
    /// A manual one of now, of the resource's files.
    pub fn of(resource: &str) -> Self {
        let (bytes, name, age) = (None, None, Duration::ZERO);
        Self { resource: resource.into(), bytes, name, origin: Some("manual"), age }
    }
}

impl Sandbox {
    /// The demo world on two free ports, all rules on.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT/v2`
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// `http://127.0.0.1:PORT`
    pub fn snapshot_host(&self) -> &str {
        &self.host
    }

    pub fn address(&self, port: Port) -> SocketAddr {
        self.shared.doors[port as usize].address
    }

    /// The default account's key, for everything.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The demo app.
    pub fn app_id(&self) -> &str {
        &self.app
    }

    /// The demo database.
    pub fn database_id(&self) -> &str {
        &self.database
    }

    /// The certificate authority to trust, when started with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|t| t.ca_pem.as_str())
    }

    /// The world itself, to look at or to change. Requests wait meanwhile.
    pub fn world(&self) -> MutexGuard<'_, World> {
        guard(&self.shared.world)
    }

    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.world().rules);
    }

    /// Milliseconds since 1970 by the world's clock.
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// Moves the world's time forward.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Moves the world's time by seconds, backward when negative: a clock that is off.
    pub fn shift(&self, seconds: i64) {
        self.shared.clock.shift_ms(seconds * 1000);
    }

    /// From now on this goes wrong, always unless said otherwise on the handle.
    pub fn fault(&self, on: impl Into<On>, fault: Fault) -> FaultHandle {
        self.shared.faults.add(on.into(), fault)
    }

    /// The same in words, as [`words::fault`] reads them.
    ///
    /// [`words::fault`]: super::words::fault
    pub fn want(&self, wanted: Wanted) {
        self.shared.faults.want(wanted);
    }

    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Every request since the start or the last [`Sandbox::clear_requests`], in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        guard(&self.shared.log).clone()
    }

    pub fn clear_requests(&self) {
        guard(&self.shared.log).clear();
    }

    /// How many of the recorded requests `on` is for.
    pub fn count(&self, on: impl Into<On>) -> usize {
        let on = on.into();
        guard(&self.shared.log).iter().filter(|r| on.matches(r.route, &r.method, &r.path)).count()
    }

    /// Connections accepted on a port since the start.
    pub fn connections(&self, port: Port) -> u64 {
        self.shared.accepted[port as usize].load(Ordering::SeqCst)
    }

    /// From now on a port refuses connections, and those it has end.
    ///
    /// # Panics
    /// When another program takes the port in that moment.
    pub fn pause(&self, port: Port) {
        self.shared.shut(port).expect("the port stays the sandbox's");
    }

    /// Ends a pause, at the same address.
    ///
    /// # Panics
    /// As [`Sandbox::pause`].
    pub fn resume(&self, port: Port) {
        self.shared.open(port).expect("the port stays the sandbox's");
    }

    /// A pause that ends by itself after this time of the real clock; returns when it has begun.
    pub fn outage(&self, port: Port, time: Duration) {
        self.pause(port);
        self.shared.outage(vec![port], Duration::ZERO, time);
    }

    /// Closes the connections on which nothing is under way; gives how many.
    pub fn close_idle(&self) -> usize {
        self.shared.close_idle()
    }

    /// Ends every connection, also those that are not accepted yet, and returns when nothing is under way any more.
    ///
    /// # Panics
    /// As [`Sandbox::pause`].
    pub fn hang_up(&self) {
        let ports = [Port::Api, Port::Snapshots];
        ports.iter().for_each(|port| self.pause(*port));
        self.shared.close_all();
        ports.iter().for_each(|port| self.resume(*port));
    }

    /// Credentials seen on the snapshot host; taking them keeps the stop from panicking.
    pub fn take_leaks(&self) -> Vec<String> {
        std::mem::take(&mut guard(&self.shared.judged).leaks)
    }

    /// Requests of a form the contract's section 1 does not have.
    pub fn remarks(&self) -> Vec<String> {
        guard(&self.shared.judged).remarks.clone()
    }

    /// One more app or database of the default account, running; gives its id.
    pub fn add_resource(&self, kind: Kind, name: &str, files: Files) -> String {
        let mut world = self.world();
        let like = if kind == Kind::App { &self.app } else { &self.database };
        let mut resource = world.resources[like].clone();
        let id = world.new_id();
        (resource.id, resource.name, resource.files) = (id.clone(), name.into(), files);
        (resource.workspace, resource.refuses, resource.restore) = (None, None, Restore::default());
        world.resources.insert(id.clone(), resource);
        id
    }

    /// A key of the default account with these scopes, for these apps and databases; none means all.
    pub fn limited_key(&self, scopes: &[&str], resources: &[&str]) -> String {
        let set = |names: &[&str]| {
            let names: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            (!names.is_empty()).then_some(names)
        };
        let mut world = self.world();
        let owner = world.resources[&self.app].owner.clone();
        world.add_key(&owner, set(scopes), set(resources))
    }

    /// Shares an app through a workspace with a new account; gives the composite id and that account's key.
    pub fn share(&self, app: &str) -> (String, String) {
        let mut world = self.world();
        let (workspace, member) = (world.new_id(), "730418265918734011".to_string());
        let key = world.add_account(Account {
            id: member.clone(),
            name: "Member".into(),
            email: "member@example.com".into(),
            plan: "hobby".into(),
            memory_mb: 1024,
            created_ms: ACCOUNT_CREATED,
        });
        if let Some(resource) = world.resources.get_mut(app) {
            resource.workspace = Some((workspace.clone(), [member].into()));
        }
        (format!("{app}-{workspace}"), key)
    }

    /// Puts a snapshot into the listing of its resource.
    ///
    /// # Panics
    /// When there is no such resource.
    pub fn put_snapshot(&self, new: NewSnapshot) -> Link {
        let now = self.now_ms() - new.age.as_millis() as i64;
        let (runtime, resource_files) = {
            let world = self.world();
            let resource = world.resources.get(&new.resource).expect("the snapshot's resource");
            (resource.runtime.clone(), new.bytes.is_none().then(|| resource.files.clone()))
        };
        let bytes = new.bytes.unwrap_or_else(|| files::to_zip(&resource_files.unwrap_or_default()));
        let name = new.name.unwrap_or_else(|| match new.origin {
            Some(origin) => format!("{}_{runtime}_{origin}", new.resource),
            None => new.resource.clone(),
        });
        let listed = Listed {
            resource: new.resource.clone(),
            name: name.clone(),
            runtime: Some(runtime),
            origin: new.origin,
            polls_left: 0,
            ready_ms: 0,
        };
        let mut world = self.world();
        let path = world.object_path(&listed);
        let version_id = world.store(&path, bytes, Some(listed), now);
        world.refresh(&new.resource);
        drop(world);
        Link { name, ..self.link(&path, &version_id) }
    }

    /// Stores any bytes at `/{path}` of the snapshot host, outside of every listing.
    pub fn put_object(&self, path: &str, bytes: impl Into<Vec<u8>>) -> Link {
        let path = format!("/{}", path.trim_start_matches('/'));
        let version_id = self.world().store(&path, bytes.into(), None, self.now_ms());
        self.link(&path, &version_id)
    }

    /// A signed link to a version, good for 30 days.
    pub fn link(&self, path: &str, version_id: &str) -> Link {
        let expires = (self.now_ms() + 30 * DAY) / 1000;
        let key = sign::query(&self.world().secret, path, expires, Some(version_id));
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".zip").to_string();
        let url = format!("{}{path}?{key}", self.host);
        Link { url, key, path: path.into(), version_id: version_id.into(), name }
    }

    /// Gives the stored object other bytes under the same version id, with a new tag or with the old one.
    pub fn replace_object(&self, link: &Link, bytes: impl Into<Vec<u8>>, new_tag: bool) {
        self.world().replace(&link.path, bytes.into(), new_tag, self.now_ms());
    }

    pub fn remove_object(&self, link: &Link) {
        self.world().objects.remove(&link.path);
    }

    /// The files of an app or a database as they are now.
    pub fn files(&self, id: &str) -> Files {
        self.world().resources.get(id).map(|r| r.files.clone()).unwrap_or_default()
    }

    /// Writes a file of an app or a database.
    pub fn write_file(&self, id: &str, path: &str, data: impl Into<Vec<u8>>) {
        let time = self.now_ms() / 1000;
        if let Some(resource) = self.world().resources.get_mut(id) {
            resource.files.insert(path.into(), FileNode::new(data, files::MODE_FILE, time));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.set();
        self.shared.doors.iter().for_each(Door::remove);
        self.shared.close_all();
        let leaks = self.take_leaks();
        if !self.lenient && !std::thread::panicking() {
            assert!(leaks.is_empty(), "credentials reached the snapshot host: {leaks:?}");
        }
    }
}
