//! A mirror that first creates a snapshot of each app and database, as far as the service's limits allow.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use squarecloud_blocking::{Client, Error, Kind, Limit, MirrorReport};
use tempfile::TempDir;

use crate::download_origin::quick_dir;
use crate::mirror_support::*;
use crate::sandbox::{self, Creation, End, Fault, NewSnapshot, On, Route, Rules, Sandbox};
use crate::support::{Slept, builder};

const CREATE: On = On::Word("create");

/// A sandbox with all of the service's limits and so many apps, the database among them, and a client on its clock.
struct World {
    sandbox: Arc<Sandbox>,
    ids: Vec<String>,
    client: Client,
    dir: TempDir,
}

impl World {
    fn new(count: usize, rules: impl FnOnce(&mut Rules)) -> Self {
        Self::of(Sandbox::builder().small().rules(rules).start(), count)
    }

    fn of(sandbox: Sandbox, count: usize) -> Self {
        let mut ids = vec![sandbox.app_id().to_owned(), sandbox.database_id().to_owned()];
        while ids.len() < count {
            let files = sandbox.files(sandbox.app_id());
            ids.push(sandbox.add_resource(sandbox::Kind::App, &format!("app-{}", ids.len()), files));
        }
        let sandbox = Arc::new(sandbox);
        let client = builder(&sandbox).sleep(passing(&sandbox)).build().unwrap();
        Self { sandbox, ids, client, dir: quick_dir() }
    }

    fn put(&self, number: usize, seconds: u64) {
        let age = Duration::from_secs(seconds);
        self.sandbox.put_snapshot(NewSnapshot { age, ..NewSnapshot::of(&self.ids[number]) });
    }

    /// How many snapshots the plan allows in a day.
    fn quota(&self, n: u64) {
        self.sandbox.world().accounts.values_mut().for_each(|account| account.memory_mb = n / 2 * 256);
    }

    fn mirror(&self) -> squarecloud_blocking::Mirror {
        self.client.mirror(self.dir.path()).take_new(true)
    }

    fn run(&self) -> MirrorReport {
        self.mirror().run().unwrap()
    }

    /// The numbers of the apps whose snapshots were requested, and when, in seconds since the first one.
    fn created(&self) -> Vec<(usize, i64)> {
        let requests = self.sandbox.requests();
        let posts: Vec<_> = requests.iter().filter(|request| request.method == "POST").collect();
        let number = |path: &str| self.ids.iter().position(|id| path.contains(id.as_str())).unwrap();
        posts.iter().map(|post| (number(&post.path), (post.at_ms - posts[0].at_ms) / 1000)).collect()
    }

    fn who(&self) -> Vec<usize> {
        self.created().into_iter().map(|(number, _)| number).collect()
    }
}

/// Of what no snapshot was taken, and the limit that stood against it.
fn refused(world: &World, report: &MirrorReport) -> BTreeMap<usize, (Option<Limit>, bool)> {
    let number = |what: &str| world.ids.iter().position(|id| what.contains(id.as_str())).unwrap();
    let is_sent = |error: &Error| !matches!(error, Error::TooSoon { .. });
    report.not_taken.iter().map(|(what, error)| (number(what), (error.limit(), is_sent(error)))).collect()
}

#[test]
fn every_app_and_database_gets_a_new_snapshot_no_faster_than_the_service_allows() {
    let world = World::new(5, |_| {});
    let report = world.run();
    assert!(report.is_complete() && report.fetched.len() == 5, "{report:?}");
    let created = world.created();
    let mut who = world.who();
    who.sort_unstable();
    assert_eq!(who, [0, 1, 2, 3, 4], "one for each");
    let times: Vec<i64> = created.iter().map(|(_, at)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 5) && times[4] < 60, "{times:?}");
    // Two listings, the account, and a request and a look for each.
    assert_eq!(asked(&world.sandbox), (2 + 1 + 10, 5));
    world.sandbox.advance(DAY);
    let wanted = [listed(&world.sandbox, Kind::App), listed(&world.sandbox, Kind::Database)].concat();
    assert_eq!(files(&world.dir), paths(&wanted));
    // A plan takes none.
    world.sandbox.advance(DAY);
    asked(&world.sandbox);
    let plan = world.mirror().plan().unwrap();
    assert_eq!((plan.keep.len(), plan.fetch.len(), world.who().len()), (5, 0, 0));
}

#[test]
fn what_was_taken_less_than_three_minutes_ago_is_reported_and_not_waited_for() {
    let world = World::new(4, |_| {});
    for (number, age) in [(0, 170), (1, 3), (2, 190)] {
        world.put(number, age);
    }
    let report = world.run();
    let cooldown = (Some(Limit::Cooldown), false);
    assert_eq!(refused(&world, &report), [(0, cooldown), (1, cooldown)].into());
    assert_eq!(world.who(), [3, 2], "the longest ago first");
    assert!(!report.is_complete() && report.fetched.len() == 5 && report.failed.is_empty(), "{report:?}");
    let (what, error) = report.not_taken.iter().find(|(what, _)| what.contains(&world.ids[0])).unwrap();
    assert_eq!(*what, format!("app {}", world.ids[0]));
    let text = format!(
        "the snapshot of app {} was not requested: the last one is younger than the service allows; wait 3 min and try \
         again",
        world.ids[0]
    );
    assert_eq!(error.to_string(), text);
    assert!(error.is_rate_limited() && !error.is_retryable());
}

#[test]
fn what_is_beyond_the_quota_of_a_day_is_reported_and_the_longest_ago_comes_first() {
    let world = World::new(6, |_| {});
    world.quota(6);
    for (number, hours) in [(0, 30), (1, 50), (2, 2), (3, 40), (4, 20)] {
        world.put(number, hours * 3600);
    }
    // Automatic ones do not count.
    for hours in [1, 2, 3] {
        let age = Duration::from_secs(hours * 3600);
        world.sandbox.put_snapshot(NewSnapshot { age, origin: Some("automatic"), ..NewSnapshot::of(&world.ids[4]) });
    }
    let report = world.run();
    assert_eq!(world.who(), [5, 1, 3, 0], "6 a day, of which 2 were taken");
    let quota = (Some(Limit::Quota), false);
    assert_eq!(refused(&world, &report), [(2, quota), (4, quota)].into());
    let text = report.not_taken[0].1.to_string();
    assert!(
        text.contains("the quota of a day is used up; it frees up when one of the last 24 h is a day old"),
        "{text}"
    );
    assert_eq!(report.fetched.len(), 5 + 3 + 4);
}

/// A world whose listings are those of half an hour ago, on the free plan: they do not show what is created now.
fn cached(quota: u64) -> World {
    let rules = |rules: &mut Rules| rules.creation_refreshes = false;
    let world = World::of(Sandbox::builder().small().free_plan().rules(rules).start(), 3);
    world.quota(quota);
    world.sandbox.world().resources.retain(|id, _| *id != world.ids[1]);
    for (number, hours) in [(0, 20), (0, 21), (0, 22), (2, 10)] {
        world.put(number, hours * 3600);
    }
    world
}

#[test]
fn snapshots_count_once_towards_the_quota() {
    let world = cached(6);
    let report = world.run();
    assert_eq!(world.who(), [0, 2], "{report:?}");
    assert!(report.errors().all(|error| error.is_pending()), "no quota stands against them: {report:?}");
}

#[test]
fn a_new_snapshot_that_is_not_listed_yet_is_not_passed_over_in_silence() {
    let world = cached(60);
    let report = world.run();
    assert_eq!((world.who(), report.fetched.len()), (vec![0, 2], 4), "{report:?}");
    assert!(!report.is_complete(), "two snapshots are not in the mirror: {report}");
    world.sandbox.advance(DAY / 24);
    let report = world.mirror().take_new(false).run().unwrap();
    assert!(report.is_complete() && report.fetched.len() == 2, "{report:?}");
}

#[test]
fn what_the_service_refuses_is_reported_and_stands_against_the_others_if_it_must() {
    let many = |limit, sent: usize, count: usize| (0..count).map(move |n| (limit, n < sent)).collect::<Vec<_>>();
    for (fault, expected) in [
        (Fault::rate_limited(), many(Some(Limit::Budget), 1, 4)),
        (Fault::daily_limit(), many(Some(Limit::Quota), 1, 4)),
        (Fault::keep_calm(), many(Some(Limit::Cooldown), 4, 4)),
        (Fault::Code(404, "SNAPSHOT_FAILED", ""), many(None, 4, 4)),
        (Fault::Code(409, "SNAPSHOT_IN_PROGRESS", ""), many(None, 4, 4)),
        // A key that may not create one may not create others.
        (Fault::Code(403, "MISSING_SCOPE", ""), many(None, 1, 1)),
        (Fault::html(502), many(None, 4, 4)),
        (Fault::Code(503, "DATABASE_UNAVAILABLE", ""), many(None, 4, 4)),
        (Fault::BeforeAnswer(End::Reset), many(None, 4, 4)),
        (Fault::null(), many(None, 4, 4)),
    ] {
        let world = World::new(4, |_| {});
        world.put(0, 4000);
        world.sandbox.fault(CREATE, fault.clone());
        let report = world.run();
        let mut who = world.who();
        let posts = expected.iter().filter(|(_, is_sent)| *is_sent).count();
        assert_eq!(who.len(), posts, "{fault:?}");
        who.sort_unstable();
        who.dedup();
        assert_eq!(who.len(), posts, "{fault:?}: no app is asked twice");
        let mut found: Vec<_> = refused(&world, &report).into_values().collect();
        found.sort_by_key(|(_, is_sent)| !is_sent);
        assert_eq!(found, expected, "{fault:?}: {report:?}");
        // The mirror goes on.
        assert!(report.fetched.iter().any(|path| path.to_str().unwrap().contains(&world.ids[0])), "{report:?}");
        assert!(!report.is_complete() && report.not_listed.is_empty());
    }
}

#[test]
fn a_creation_that_times_out_is_not_repeated() {
    let world = World::new(2, |_| {});
    world.sandbox.fault(CREATE, Fault::BeforeAnswer(End::Stall));
    let client = builder(&world.sandbox).held_open_timeout(Duration::from_millis(500)).sleep(passing(&world.sandbox));
    let report = client.build().unwrap().mirror(world.dir.path()).take_new(true).run().unwrap();
    assert!(report.not_taken.iter().all(|(_, error)| error.is_timeout()) && report.not_taken.len() == 2, "{report:?}");
    assert_eq!(world.who().len(), 2);
    // They were made all the same, so the next run finds them, and asks for no others.
    world.sandbox.clear_faults();
    world.sandbox.advance(Duration::from_secs(70));
    let report = world.run();
    assert_eq!((report.fetched.len(), world.who().len()), (2, 2), "{report:?}");
}

#[test]
fn a_snapshot_that_takes_long_is_waited_for_and_mirrored() {
    for (creation, taken) in
        [(Creation::AfterPolls(2), 2), (Creation::After(Duration::from_secs(45)), 2), (Creation::Never, 0)]
    {
        let sandbox = Arc::new(Sandbox::builder().small().no_limits().rules(|rules| rules.creation = creation).start());
        let (dir, clock) = (quick_dir(), sandbox.clone());
        let client = builder(&sandbox).sleep(move |time| clock.advance(time)).build().unwrap();
        let report = client.mirror(dir.path()).take_new(true).run().unwrap();
        assert_eq!((report.fetched.len(), report.not_taken.len()), (taken, 2 - taken), "{creation:?}: {report:?}");
        assert!(report.not_taken.iter().all(|(_, error)| error.is_pending()), "{report:?}");
        assert_eq!(sandbox.count(CREATE), 2);
    }
}

#[test]
fn only_what_is_chosen_is_taken() {
    let world = World::new(4, |rules| *rules = rules.clone().without_limits());
    let client = builder(&world.sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    let taken = |change: &dyn Fn(squarecloud_blocking::Mirror) -> squarecloud_blocking::Mirror| {
        world.sandbox.clear_requests();
        world.sandbox.advance(Duration::from_secs(200));
        let dir = quick_dir();
        let report = change(client.mirror(dir.path()).take_new(true)).run().unwrap();
        assert!(report.not_taken.is_empty(), "{report:?}");
        let mut who = world.who();
        who.sort_unstable();
        who
    };
    let ids = world.ids.clone();
    assert_eq!(taken(&|mirror| mirror.kind(Kind::Database)), [1]);
    assert_eq!(taken(&|mirror| mirror.kind(Kind::App)), [0, 2, 3]);
    assert_eq!(taken(&|mirror| mirror.only([&ids[2], &ids[1]])), [1, 2]);
    assert_eq!(taken(&|mirror| mirror.filter(|info| info.runtime.as_deref() == Some("postgres"))), [1]);
    assert_eq!(
        taken(&|mirror| mirror.filter(|info| info.origin == Some(squarecloud_blocking::Origin::Automatic))),
        [0; 0]
    );
    let third = ids[3].clone();
    assert_eq!(
        taken(&|mirror| mirror.filter({
            let id = third.clone();
            move |info| info.resource_id() == id
        })),
        [3]
    );
    assert_eq!(taken(&|mirror| mirror.take_new(false)), [0; 0]);
}

#[test]
fn an_app_shared_through_a_workspace_is_taken_by_its_composite_id() {
    let world = World::new(2, |_| {});
    let (composite, key) = world.sandbox.share(&world.ids[0]);
    let client = with_key(&world.sandbox, &key);
    let report = client.mirror(world.dir.path()).only([&composite]).take_new(true).run().unwrap();
    assert!(report.is_complete() && report.fetched.len() == 1, "{report:?}");
    assert!(world.sandbox.requests().iter().any(|r| r.method == "POST" && r.path.contains(&composite)));
    assert!(files(&world.dir)[0].starts_with(&format!("apps/{}/", world.ids[0])));
    // The second run knows when it was taken.
    let report = client.mirror(world.dir.path()).only([&composite]).take_new(true).run().unwrap();
    assert_eq!((refused(&world, &report), world.who()), ([(0, (Some(Limit::Cooldown), false))].into(), vec![0]));
}

#[test]
fn without_the_account_nothing_is_taken_and_the_mirror_goes_on() {
    let world = World::new(2, |_| {});
    world.put(0, 4000);
    world.sandbox.fault(Route::Me, Fault::Code(403, "MISSING_SCOPE", ""));
    let report = world.run();
    assert_eq!((report.fetched.len(), report.not_taken.len(), world.who().len()), (1, 1, 0), "{report:?}");
    assert_eq!(report.not_taken[0].0, "the account");
}

#[test]
fn on_the_free_plan_the_account_is_asked_for_once() {
    let sandbox = Sandbox::builder().small().free_plan().start();
    let world = World::of(sandbox, 3);
    let report = world.run();
    assert!(report.is_complete() && report.fetched.len() == 3, "{report:?}");
    assert_eq!(world.sandbox.count(Route::Me), 1);
    // 402, the account, three listings, and a request and a look for each.
    assert_eq!(asked(&world.sandbox).0, 1 + 1 + 3 + 6);
}

/// Listings and creations come out of one budget: 30 calls in 60 s.
#[test]
fn listings_and_creations_together_do_not_use_up_the_budget() {
    let sandbox = Sandbox::builder().small().free_plan().rules(|rules| rules.budget = Some(30)).start();
    let world = World::of(sandbox, 20);
    let report = world.run();
    let blocked = report.errors().filter(|error| error.limit() == Some(Limit::Budget)).count();
    assert_eq!((blocked, report.fetched.len()), (0, 20), "{:?}", report.errors().next().map(ToString::to_string));
}

#[test]
fn taking_can_be_cancelled_between_and_during_creations() {
    for is_slow in [false, true] {
        let world = World::new(3, |_| {});
        if is_slow {
            world.sandbox.fault(CREATE, Fault::Delay(Duration::from_millis(400)));
        }
        let sleep = |_| std::thread::sleep(Duration::from_millis(1));
        let client = builder(&world.sandbox).sleep(sleep).build().unwrap();
        let error = client.mirror(world.dir.path()).take_new(true).run_with(|progress| {
            let is_taking = progress.names.iter().any(|name| name.starts_with("the snapshot of "));
            if is_taking || progress.waiting { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = error.unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert!(world.who().len() <= 1 && files(&world.dir).is_empty(), "{:?}", world.who());
    }
}
