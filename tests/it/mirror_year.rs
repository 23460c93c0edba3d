//! A year of nightly runs, with an account that travels through time: snapshots are made, and gone after 30 days, and most
//! nights something goes wrong. After each run, the directory is compared with what the account ever had and with the
//! policy in its plainest form.
//!
//! Each seed is another year: `MIRROR_SEED=1..200 MIRROR_DAYS=365 cargo test --test it mirror_year`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use squarecloud_blocking::time::OffsetDateTime;
use squarecloud_blocking::{Client, Error, Keep, Mirror, MirrorReport, Result};
use tempfile::TempDir;

use crate::download_origin::quick_dir;
use crate::mirror_kill::{Found, Job, files, policy};
use crate::mirror_model::{DAY, Had, KINDS, Night, Paths, Policy, folder, years};
use crate::sandbox::{
    Fault, FileNode, Kind, ListingForm, MODE_FILE, NewSnapshot, Noise, On, Sandbox, VersionIds, rfc3339, to_zip,
};
use crate::support::{Slept, builder};

pub struct Year {
    pub seed: u64,
    pub day: u32,
    log: Vec<String>,
    pub noise: Noise,
    pub sandbox: Sandbox,
    client: Client,
    pub dir: TempDir,
    pub policy: Policy,
    threads: usize,
    pub had: BTreeMap<String, Had>,
    /// What was ever whole in the directory.
    ever: Paths,
    /// What of that is gone through no fault of the mirror.
    pub lost: Paths,
    /// What is damaged in the directory, and whether only its CRCs tell.
    pub hurt: BTreeMap<String, bool>,
    /// How many files were set aside.
    asides: usize,
}

impl Year {
    fn new(seed: u64, numbers: [i64; 8]) -> Self {
        let mut noise = Noise::new(seed + 7000);
        let form = [VersionIds::S3, VersionIds::Uuid, VersionIds::Odd][noise.next() as usize / 8 % 3];
        let sandbox = Sandbox::builder().small().no_limits().rules(|rules| rules.version_ids = form).start();
        // The same days whenever the test runs, ahead of the machine's clock.
        sandbox.shift((21_900 + (noise.next() >> 20) as i64 % 1461) * DAY - sandbox.now_ms() / 1000);
        sandbox.add_resource(Kind::App, "second", sandbox.files(sandbox.app_id()));
        let client = builder(&sandbox).retries(0).retry_for(Duration::from_secs(3)).sleep(|_| {}).build().unwrap();
        let (threads, dir, policy) = (1 + seed as usize % 3, quick_dir(), Policy(numbers));
        let ((day, log, asides), (had, ever, lost, hurt)) = Default::default();
        Self { seed, day, log, noise, sandbox, client, dir, policy, threads, had, ever, lost, hurt, asides }
    }

    /// A number below `n`.
    pub fn pick(&mut self, n: usize) -> usize {
        (self.noise.next() >> 20) as usize % n
    }

    fn mirror(&self, night: &Night) -> Mirror {
        let (keep, offset) = policy(&night.policy.text());
        self.client.mirror(self.dir.path()).keep(keep).offset(offset).threads(self.threads).verify(night.verify)
    }

    /// What the directory has of snapshots, damaged ones included.
    pub fn there(&self) -> Found {
        let mut all = files(self.dir.path());
        all.retain(|path, _| path.ends_with(".zip"));
        all
    }

    /// The day passes: snapshots are made, and those of 30 days ago go.
    fn pass(&mut self) {
        self.sandbox.advance(Duration::from_secs(DAY as u64));
        if self.day == 100 {
            let kind = KINDS[self.pick(2)];
            self.sandbox.add_resource(kind, "late", self.sandbox.files(self.sandbox.app_id()));
        }
        if self.day == 200 {
            let which = self.pick(2);
            let id = [self.sandbox.app_id(), self.sandbox.database_id()][which].to_owned();
            self.sandbox.world().resources.remove(&id);
            self.had.values_mut().filter(|had| had.resource == id).for_each(|had| had.is_gone = true);
        }
        let ids: Vec<_> = self.sandbox.world().resources.values().map(|r| (r.id.clone(), r.kind)).collect();
        for (id, kind) in ids {
            for _ in 0..[0, 0, 0, 1, 1, 3][self.pick(6)] {
                self.take(&id, kind);
            }
        }
        // A little early, so that none goes in the middle of a run.
        let limit = self.sandbox.now_ms() / 1000 - 30 * DAY + 600;
        let objects = &mut self.sandbox.world().objects;
        objects.values_mut().for_each(|versions| versions.retain(|version| version.modified_ms / 1000 > limit));
        self.had.values_mut().for_each(|had| had.is_gone |= had.at <= limit);
    }

    fn take(&mut self, resource: &str, kind: Kind) {
        let length = self.pick(250);
        let noise = FileNode::new(self.noise.bytes(150 + length), MODE_FILE, 1_793_611_800);
        let bytes = to_zip(&[("noise".into(), noise)].into());
        // Some are listed a day late, some are made in the same second as another one.
        let mut age = Duration::from_millis(self.pick(100_000_000) as u64);
        let is_twin = self.pick(10) == 0;
        if let Some(twin) = self.had.values().rfind(|had| is_twin && had.resource == resource && !had.is_gone) {
            age = Duration::from_millis((self.sandbox.now_ms() - twin.at * 1000 - 500).max(0) as u64);
        }
        let origin = [Some("automatic"), Some("manual"), None][self.pick(3)];
        let new = NewSnapshot { resource: resource.into(), bytes: Some(bytes.clone()), name: None, origin, age };
        let link = self.sandbox.put_snapshot(new);
        let ms = self.sandbox.world().objects[&link.path].last().unwrap().modified_ms;
        let time = rfc3339(ms)[..19].replace(['-', ':'], "");
        // The name of a link to a version is the snapshot's name and the version.
        let name = self.client.open_url(&link.url).unwrap().file_name().replacen('.', &format!(".{time}Z."), 1);
        let path = format!("{}/{resource}/{name}", kind.segment());
        let (object, version, resource) = (link.path, link.version_id, resource.into());
        self.had.insert(path, Had { kind, resource, object, version, at: ms / 1000, bytes, is_gone: false });
    }

    /// One day, and the run of its night.
    fn live(&mut self) {
        self.pass();
        let harm = if self.pick(6) == 0 { self.harm() } else { String::new() };
        let night = self.night();
        self.log.push(format!("day {}: {}{harm}, policy {}", self.day, night.what, night.policy.text()));
        let (mirror, before) = (self.mirror(&night), self.there());
        let plan = night.requests.filter(|_| self.day.is_multiple_of(3)).map(|_| mirror.plan().unwrap());
        self.sandbox.clear_requests();
        if night.is_killed {
            self.kill(&night);
            self.check(&night, &before, None);
        } else {
            let reports = AtomicU64::new(0);
            let result = mirror.run_with(|_| {
                let is_last = night.cancel.is_some_and(|last| reports.fetch_add(1, Ordering::Relaxed) >= last);
                if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            self.check(&night, &before, Some(&result));
            if let (Some(plan), Ok(report)) = (plan, &result) {
                assert_eq!(self.paths(plan.fetch.iter().map(|planned| &planned.path)), self.paths(&report.fetched));
                assert_eq!(self.paths(plan.prune.iter().map(|planned| &planned.path)), self.paths(&report.pruned));
                assert_eq!((plan.keep.len(), plan.damaged.len()), (report.kept, report.damaged.len()));
            }
        }
        self.make_good(&night);
        if night.what == "calm" {
            self.run_again(&mirror.verify(false));
        }
        self.day += 1;
    }

    /// Begins a run in a process of its own, and kills it before long.
    fn kill(&mut self, night: &Night) {
        let pause = Duration::from_micros(self.pick(20_000) as u64);
        let (dir, policy, verify) = (self.dir.path(), &*night.policy.text(), night.verify);
        let mut child = Job { sandbox: &self.sandbox, dir, policy, threads: self.threads, verify }.begin();
        std::thread::sleep(pause);
        child.kill().unwrap();
        child.wait().unwrap();
        // What it has sent must not meet the next night.
        self.sandbox.hang_up();
    }

    fn paths<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Paths {
        let name = |path: &'a PathBuf| path.strip_prefix(self.dir.path()).unwrap().to_str().unwrap().to_owned();
        paths.into_iter().map(name).collect()
    }

    /// Compares what the run left with what was there `before`.
    fn check(&mut self, night: &Night, before: &Found, result: Option<&Result<MirrorReport>>) {
        let mut after = files(self.dir.path());
        let mut damaged = after.clone();
        after.retain(|path, _| path.ends_with(".zip"));
        damaged.retain(|path, _| path.ends_with(".damaged"));
        assert!(damaged.len() >= self.asides, "a file that was set aside is gone");
        self.asides = damaged.len();
        let asides: BTreeSet<Vec<u8>> = damaged.into_values().collect();
        // What the run can have noticed.
        let bad: Paths =
            self.hurt.iter().filter(|(_, by_crc)| night.verify || !**by_crc).map(|(p, _)| p.clone()).collect();
        let good: Paths = before.keys().filter(|path| !bad.contains(*path)).cloned().collect();
        let mut now: Paths = after.keys().cloned().collect();
        for path in &bad {
            if asides.contains(&before[path]) {
                self.hurt.remove(path);
                self.lost.insert(path.clone());
            } else {
                assert!(after.get(path) == before.get(path), "the damaged {path} is lost");
                now.remove(path);
            }
        }
        // One whose damage nobody noticed may be pruned as any other.
        self.hurt.retain(|path, _| after.contains_key(path));
        for (path, bytes) in &after {
            let had = self.had.get(path).unwrap_or_else(|| panic!("nobody knows {path}"));
            let is_right =
                if self.hurt.contains_key(path) { before.get(path) == Some(bytes) } else { had.bytes == *bytes };
            assert!(is_right, "{path} is not what the account had");
        }

        let new: Paths = now.difference(&good).cloned().collect();
        let have: Paths = good.union(&new).cloned().collect();
        let mut stay = night.policy.names(&have, &self.had);
        assert!(new.is_subset(&stay) && new.is_subset(&night.listed), "not wanted: {:?}", new.difference(&stay));
        let is_listed = |kind| night.listed.iter().any(|path| self.had[path].kind == kind);
        let is_complete = |kind| is_listed(kind) && !night.incomplete.contains(&kind);
        stay.extend(have.iter().filter(|path| !is_complete(self.had[*path].kind)).cloned());
        assert!(stay.is_subset(&now), "gone, but to be kept: {:?}", stay.difference(&now));
        let modified = |path| self.dir.path().join(path).metadata().unwrap().modified().unwrap();
        let since = |path| modified(path).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!(new.iter().all(|path| since(path) == self.had[path].at));
        let mut newest = BTreeMap::new();
        for (folder, at, path) in have.iter().map(|path| (folder(path), self.had[path].at, path)) {
            let newest = newest.entry(folder).or_insert((at, path));
            *newest = (at, path).max(*newest);
        }
        assert!(newest.values().all(|(_, path)| now.contains(*path)), "a newest one is gone: {newest:?}");
        match result {
            None => {}
            Some(Err(Error::Cancelled { .. })) => assert!(night.cancel.is_some() && have == now),
            Some(Err(error)) => assert!(night.is_away && *before == after, "{error:?}"),
            Some(Ok(report)) => self.check_report(night, report, [&good, &bad, &new, &now, &stay]),
        }
        // Of all that ever was there, the policy names nothing that is gone.
        self.lost.retain(|path| !new.contains(path));
        if night.policy != self.policy {
            self.lost.extend(have.difference(&now).cloned());
        }
        self.ever.extend(new);
        let kept: Paths = self.policy.names(&self.ever, &self.had).difference(&self.lost).cloned().collect();
        let gone = kept.iter().filter(|path| !after.contains_key(*path)).collect::<Vec<_>>();
        assert!(gone.is_empty(), "once there and named: {gone:?}");
    }

    fn check_report(&self, night: &Night, report: &MirrorReport, [good, bad, new, now, stay]: [&Paths; 5]) {
        assert!(!night.is_away, "{report:?}");
        assert_eq!(now, stay, "{report:?}");
        assert_eq!((&self.paths(&report.fetched), report.fetched.len()), (new, new.len()), "{report:?}");
        assert_eq!(self.paths(&report.pruned), &(good | new) - now, "{report:?}");
        assert_eq!((report.kept, report.damaged.len()), ((good & now).len(), bad.len()), "{report:?}");
        let versions: Vec<_> = report.failed.iter().filter_map(|(info, _)| info.version_id.as_ref()).collect();
        let failed = night.listed.iter().filter(|path| versions.contains(&&self.had[*path].version)).cloned().collect();
        assert_eq!(report.failed.len(), (bad - &night.listed).len() + versions.len(), "{report:?}");
        // What fails is no longer counted on.
        let wanted = &night.policy.names(&(&(good | &night.listed) - &failed), &self.had) - good;
        assert!(*new == wanted || (report.stopped.is_some() && new.is_subset(&wanted)), "{report:?}, {wanted:?}");
        let is_smooth = report.stopped.is_none() && versions.is_empty();
        assert!(is_smooth || !night.is_smooth, "{report:?}");
        assert_eq!(report.is_complete(), is_smooth && report.failed.is_empty() && !night.is_told, "{report:?}");
        let size = new.iter().map(|path| self.had[path].bytes.len() as u64).sum();
        assert!(report.bytes <= size || !night.is_smooth, "{report:?}");
        if let Some(requests) = night.requests.filter(|_| !self.is_old_form()) {
            assert_eq!(self.requests(), (requests, new.len()), "{report:?}");
        }
    }

    /// How many the API and the snapshot host got.
    fn requests(&self) -> (usize, usize) {
        (self.sandbox.count(On::Api), self.sandbox.count(On::Snapshots))
    }

    fn is_old_form(&self) -> bool {
        self.sandbox.world().rules.listing != ListingForm::New
    }

    /// After a calm run, another one has nothing to do, and what is there is found.
    fn run_again(&mut self, mirror: &Mirror) {
        let before = self.there();
        self.sandbox.clear_requests();
        let report = mirror.run().unwrap();
        assert!(report.is_complete() && report.bytes == 0, "{report:?}");
        assert!(report.fetched.is_empty() && report.pruned.is_empty() && report.kept == before.len(), "{report:?}");
        assert_eq!(self.requests(), (2, 0));
        assert!(self.there() == before);

        let Some((path, had)) = before.keys().nth(self.pick(before.len().max(1))).map(|path| (path, &self.had[path]))
        else {
            return;
        };
        let of_same = before.keys().filter(|other| folder(other) == folder(path) && self.had[*other].at <= had.at);
        let newest = of_same.max_by_key(|path| (self.had[*path].at, *path));
        let found = mirror.find(&had.resource, OffsetDateTime::from_unix_timestamp(had.at).unwrap()).unwrap();
        assert_eq!(found, newest.map(|path| self.dir.path().join(path)));
    }
}

impl Drop for Year {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, days) = (self.seed, self.day + 1);
            println!("MIRROR_SEED={seed} MIRROR_DAYS={days}, policy {}, {} threads", self.policy.text(), self.threads);
            self.log.iter().for_each(|line| println!("{line}"));
        }
    }
}

#[test]
fn a_year_of_nights_loses_nothing_that_the_policy_names() {
    let policies = [
        [0, 0, 7, 5, 6, 0, 0, 0],
        [3, 0, 0, 0, 12, 2, 0, -3 * 3600],
        [0, 30, 10, 0, 0, 1, 5 * DAY, 19_800],
        [0, 0, 0, 0, 0, 0, 20 * DAY, 0],
        [1, 0, 0, 60, 0, 0, 0, 12 * 3600],
        [40, 0, 3, 3, 3, 0, 2 * DAY, 0],
    ];
    let (seeds, days) = years(365);
    for seed in seeds {
        let mut year = Year::new(seed, policies[(seed as usize - 1) % policies.len()]);
        (0..days).for_each(|_| year.live());
    }
}

#[test]
fn with_keep_everything_nothing_ever_disappears() {
    let (seeds, days) = years(40);
    for seed in seeds {
        let mut year = Year::new(seed, [0; 8]);
        for _ in 0..days.min(120) {
            let before = year.there();
            year.live();
            let gone =
                before.keys().filter(|path| !year.there().contains_key(*path) && !year.lost.contains(*path)).count();
            assert_eq!(gone, 0);
        }
    }
}

/// While the host is busy, the next best snapshot is of no use.
#[test]
fn a_busy_host_is_not_waited_for_again_and_again() {
    let sandbox = Sandbox::builder().small().no_limits().history(20).start();
    sandbox.fault(On::Snapshots, Fault::xml(503, "SlowDown"));
    let (slept, dir) = (Slept::default(), quick_dir());
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    let report = client.mirror(dir.path()).keep(Keep::last(1)).run().unwrap();
    assert!(slept.total() < Duration::from_secs(600), "{:?}: {report:?}", slept.total());
}
