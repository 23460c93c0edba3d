//! PURE. What a run would do: which snapshots it would fetch, keep and prune, and why.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use super::keep::{Keep, KeepReason};
use crate::error::Error;
use crate::types::{Account, Kind, Skipped, SnapshotInfo};

/// What a run would do: [`Mirror::plan`](crate::Mirror::plan). For each app and database, the newest come first.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MirrorPlan {
    /// What would be fetched: listed, not there or damaged, and named by the policy.
    pub fetch: Vec<PlannedSnapshot>,
    /// What is there and would stay.
    pub keep: Vec<PlannedSnapshot>,
    /// What is there, whole, and would be deleted once everything was fetched that takes its place: no rule names it.
    pub prune: Vec<PlannedSnapshot>,
    /// What is listed, not there, and would not be fetched: no rule names it.
    pub unneeded: Vec<PlannedSnapshot>,
    /// What is there, truncated or changed. A run renames it to `*.damaged`, and fetches those again that are listed and named
    /// by a rule: they are in `fetch`, too.
    pub damaged: Vec<PlannedSnapshot>,
    /// What cannot be read, and why. It would be left alone.
    pub failed: Vec<(SnapshotInfo, Error)>,
    /// What could not be listed, and why: the kind, or one app or database. Nothing of that kind would be pruned.
    pub not_listed: Vec<(String, Error)>,
    /// Listed items that could not be decoded. Nothing of that kind would be pruned.
    pub skipped: Vec<Skipped>,
}

/// A snapshot in a [`MirrorPlan`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedSnapshot {
    /// Where its file is or would be.
    pub path: PathBuf,
    /// What the listing says of it; if it is not listed any more, what the file's name and length tell.
    pub snapshot: SnapshotInfo,
    /// Whether the service lists it.
    pub is_listed: bool,
    /// Why it is kept; empty when it is not.
    pub reasons: Vec<KeepReason>,
}

/// What the service lists.
pub(crate) struct Listed {
    pub(crate) snapshots: Vec<SnapshotInfo>,
    /// The account, if its listing is not part of its plan.
    pub(crate) account: Option<Account>,
    /// The later one of this machine's time and the service's.
    pub(crate) now: OffsetDateTime,
    /// The kinds of which not everything is known to be listed.
    pub(crate) incomplete: BTreeSet<Kind>,
    pub(crate) not_listed: Vec<(String, Error)>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Listed {
    /// Whether files that are not listed are known to be gone from the service. An empty listing may as well be one that
    /// went wrong.
    pub(super) fn is_complete(&self, kind: Kind) -> bool {
        !self.incomplete.contains(&kind) && self.snapshots.iter().any(|info| info.kind == kind)
    }
}

/// A snapshot that is listed, or that there is a file of.
pub(super) struct Item {
    pub(super) path: PathBuf,
    pub(super) info: SnapshotInfo,
    pub(super) is_listed: bool,
    pub(super) state: State,
}

/// What is at an item's path. What cannot be read, or has failed, is not an item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Missing,
    Whole,
    Damaged,
}

impl Item {
    /// Whether the policy counts it: nothing is pruned because of a copy that is damaged or gone.
    fn counts(&self) -> bool {
        self.is_listed || self.state == State::Whole
    }

    /// The names of files tell seconds, so seconds decide.
    fn created_at(&self) -> OffsetDateTime {
        self.info.created_at.replace_nanosecond(0).unwrap_or(self.info.created_at)
    }
}

impl MirrorPlan {
    /// What is to be done with what is listed and what is there. `items` are in the order of their paths.
    pub(super) fn new(listed: &Listed, items: &[Item], keep: &Keep, offset: UtcOffset) -> Self {
        let mut plan = Self::default();
        let complete = [Kind::App, Kind::Database].map(|kind| listed.is_complete(kind));
        for items in items.chunk_by(|a, b| a.path.parent() == b.path.parent()) {
            let mut items: Vec<&Item> = items.iter().collect();
            items.sort_by_key(|item| Reverse((item.created_at(), &item.path)));
            let times: Vec<_> = items.iter().filter(|item| item.counts()).map(|item| item.created_at()).collect();
            let mut reasons = keep.why(&times, offset, listed.now).into_iter();
            // Where each has a listing of its own, that counts, too.
            let is_listed = listed.account.is_none() || items.iter().any(|item| item.is_listed);
            for item in items {
                let reasons = if item.counts() { reasons.next().unwrap_or_default() } else { Vec::new() };
                plan.add(item, reasons, is_listed && complete[item.info.kind as usize]);
            }
        }
        plan
    }

    /// `may_prune`: whether what is not listed any more is known to be gone.
    fn add(&mut self, item: &Item, reasons: Vec<KeepReason>, may_prune: bool) {
        let is_named = !reasons.is_empty();
        let (path, snapshot) = (item.path.clone(), item.info.clone());
        let planned = PlannedSnapshot { path, snapshot, is_listed: item.is_listed, reasons };
        match item.state {
            State::Damaged => {
                self.fetch.extend(is_named.then(|| planned.clone()));
                self.damaged.push(planned);
            }
            State::Missing if is_named => self.fetch.push(planned),
            State::Missing => self.unneeded.extend(planned.is_listed.then_some(planned)),
            State::Whole if is_named => self.keep.push(planned),
            State::Whole if may_prune => self.prune.push(planned),
            State::Whole => self.keep.push(PlannedSnapshot { reasons: vec![KeepReason::Incomplete], ..planned }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use time::{Duration, PrimitiveDateTime};

    use super::*;

    /// A snapshot, with the first letter of its file's [`State`]; `u`: it cannot be read, or has failed.
    #[derive(Clone, Debug)]
    struct Given {
        path: PathBuf,
        at: OffsetDateTime,
        is_listed: bool,
        state: char,
        fails: bool,
    }

    #[derive(Clone, Debug)]
    struct World {
        given: Vec<Given>,
        incomplete: Vec<Kind>,
        /// The kinds of which something is listed that is not mirrored.
        others: Vec<Kind>,
        counts: [usize; 6],
        within: u64,
        offset: UtcOffset,
        now: OffsetDateTime,
    }

    impl Given {
        fn kind(&self) -> Kind {
            if self.path.starts_with("apps") { Kind::App } else { Kind::Database }
        }

        fn item(&self) -> Item {
            let state = match self.state {
                'm' => State::Missing,
                'w' => State::Whole,
                _ => State::Damaged,
            };
            let info = SnapshotInfo::of_file(self.kind(), &self.path.to_string_lossy(), self.at, 0);
            Item { path: self.path.clone(), info, is_listed: self.is_listed, state }
        }
    }

    impl World {
        fn keep(&self) -> Keep {
            let rules = [Keep::last, Keep::hourly, Keep::daily, Keep::weekly, Keep::monthly, Keep::yearly];
            let within = Keep::within(std::time::Duration::from_secs(self.within));
            rules.iter().zip(self.counts).fold(within, |keep, (rule, n)| keep.and(rule(n)))
        }

        fn plan(&self) -> MirrorPlan {
            let usable = self.given.iter().filter(|given| !"uf".contains(given.state));
            let mut items: Vec<_> = usable.map(Given::item).collect();
            items.sort_by_key(|item| item.path.clone());
            let others = self.others.iter().map(|kind| SnapshotInfo::of_file(*kind, "other", self.now, 0));
            let listed = self.given.iter().filter(|given| given.is_listed).map(|given| given.item().info);
            let (snapshots, incomplete) = (listed.chain(others).collect(), self.incomplete.iter().copied().collect());
            let all =
                Listed { snapshots, account: None, now: self.now, incomplete, not_listed: vec![], skipped: vec![] };
            MirrorPlan::new(&all, &items, &self.keep(), self.offset)
        }

        /// Where everything belongs and why, list by list and one by one.
        fn expected(&self) -> Vec<(&'static str, PathBuf, Vec<KeepReason>)> {
            let listed = self.given.iter().filter(|g| g.is_listed).map(Given::kind).chain(self.others.iter().copied());
            let complete: Vec<_> = listed.filter(|kind| !self.incomplete.contains(kind)).collect();
            let mut expected = Vec::new();
            for folder in ["apps/a", "apps/b", "databases/c"] {
                let mut here: Vec<_> = self.given.iter().filter(|given| given.path.starts_with(folder)).collect();
                here.sort_by_key(|given| Reverse((given.at.unix_timestamp(), &given.path)));
                let counts = |given: &&&Given| given.state == 'w' || given.is_listed && given.state != 'u';
                let times: Vec<_> =
                    here.iter().filter(counts).map(|given| given.at.replace_nanosecond(0).unwrap()).collect();
                let mut reasons = self.keep().why(&times, self.offset, self.now).into_iter();
                for given in here {
                    let mut reasons = if counts(&&given) { reasons.next().unwrap() } else { vec![] };
                    let places = match (given.state, reasons.is_empty()) {
                        ('m', true) => ["", "unneeded"][usize::from(given.is_listed)],
                        ('m', false) => "fetch",
                        ('w', true) if complete.contains(&given.kind()) => "prune",
                        ('w', _) => "keep",
                        ('d', true) => "damaged",
                        ('d', false) => "damaged fetch",
                        _ => "",
                    };
                    reasons.extend((places == "keep" && reasons.is_empty()).then_some(KeepReason::Incomplete));
                    let place = |place| (place, given.path.clone(), reasons.clone());
                    expected.extend(places.split_whitespace().map(place));
                }
            }
            expected.sort_by_key(|(place, ..)| *place);
            expected
        }

        /// After the first half of a run: what was to be fetched is, and what fails is replaced until nothing can be.
        fn fetch(mut self) -> Self {
            let mut fetch = paths(&self.plan().fetch);
            while !fetch.is_empty() {
                let tried = self.given.iter_mut().filter(|given| fetch.contains(&given.path));
                tried.for_each(|given| given.state = if given.fails { 'f' } else { 'w' });
                fetch = paths(&self.plan().fetch);
            }
            self
        }

        /// After the second half: only what is whole now decides on what is deleted.
        fn prune(mut self) -> (BTreeSet<PathBuf>, Self) {
            self.given.iter_mut().filter(|given| "md".contains(given.state)).for_each(|given| given.state = 'f');
            let pruned = paths(&self.plan().prune);
            let gone = self.given.iter_mut().filter(|given| given.state == 'f' || pruned.contains(&given.path));
            gone.for_each(|given| given.state = 'm');
            (pruned, self)
        }
    }

    fn paths<'a>(planned: impl IntoIterator<Item = &'a PlannedSnapshot>) -> BTreeSet<PathBuf> {
        planned.into_iter().map(|planned| planned.path.clone()).collect()
    }

    /// What the policy names.
    fn named(plan: &MirrorPlan) -> BTreeSet<PathBuf> {
        paths(plan.fetch.iter().chain(&plan.keep).filter(|planned| planned.reasons != [KeepReason::Incomplete]))
    }

    fn times() -> impl Strategy<Value = OffsetDateTime> + Clone {
        let unit = select(vec![1, 3600, 43200, 20 * 86400]);
        (unit, 0..60_i64, prop_oneof![Just(0), 0..1_000_000_000])
            .prop_map(|(unit, n, nanos)| OffsetDateTime::UNIX_EPOCH + Duration::new((1 << 30) - unit * n, nanos))
    }

    /// Near the first and the last ones that there are, too.
    fn any_times() -> impl Strategy<Value = OffsetDateTime> + Clone {
        let ends = [-25, 0, 25]
            .map(|hours| UtcOffset::from_hms(hours, 0, 0).unwrap())
            .map(|offset| [PrimitiveDateTime::MIN.assume_offset(offset), PrimitiveDateTime::MAX.assume_offset(offset)]);
        let near = (select(ends.concat()), -40..40_i64).prop_map(|(at, n)| at.saturating_add(Duration::hours(n)));
        prop_oneof![times(), near]
    }

    /// With so many names in each folder.
    fn worlds(at: impl Strategy<Value = OffsetDateTime> + Clone, names: usize) -> impl Strategy<Value = World> {
        let folder = select(vec!["apps/a", "apps/b", "databases/c"]);
        let state = select(vec!['m', 'w', 'w', 'w', 'd', 'u']);
        let given = proptest::collection::vec((folder, at.clone(), any::<bool>(), state, any::<bool>()), 0..40);
        let kinds = |most| subsequence(vec![Kind::App, Kind::Database], 0..=most);
        let unlisted = select(vec!["none", "none", "apps", "databases"]);
        let counts = [(); 6].map(|()| prop_oneof![20 => Just(0), 9 => 1..5_usize, 1 => Just(usize::MAX)]);
        let within = prop_oneof![6 => Just(0), 3 => (0..99_u64).prop_map(|n| n * 43200), 1 => any::<u64>()];
        (given, unlisted, kinds(1), kinds(2), counts, within, -93599..93600, at).prop_map(
            move |(given, unlisted, incomplete, others, counts, within, offset, now)| {
                let given = given.into_iter().enumerate().map(|(number, (folder, at, is_listed, state, fails))| {
                    let path = format!("{folder}/{:02}.zip", number % names).into();
                    Given { path, at, is_listed: is_listed && !folder.starts_with(unlisted), state, fails }
                });
                let offset = UtcOffset::from_whole_seconds(offset).unwrap();
                World { given: given.collect(), incomplete, others, counts, within, offset, now }
            },
        )
    }

    proptest! {
        /// So nothing is pruned that is named, or that is of a kind of which not everything or nothing is listed.
        #[test]
        fn everything_has_its_place(world in worlds(any_times(), 7)) {
            let plan = world.plan();
            let MirrorPlan { damaged, fetch, keep, prune, unneeded, .. } = &plan;
            let lists = [("damaged", damaged), ("fetch", fetch), ("keep", keep), ("prune", prune), ("unneeded", unneeded)];
            let found = lists.into_iter().flat_map(|(place, list)| list.iter().map(move |planned| (place, planned)));
            let found: Vec<_> = found.map(|(place, p)| (place, p.path.clone(), p.reasons.clone())).collect();
            prop_assert_eq!(found, world.expected());
        }

        /// The run after it ends where this one would have, and then there is nothing left to do.
        #[test]
        fn planning_is_idempotent_and_safe_whatever_fails(world in worlds(times(), 99)) {
            let plan = world.plan();
            let fetched = world.clone().fetch();
            let (pruned, mut after) = fetched.clone().prune();
            prop_assert!(pruned.is_disjoint(&named(&plan)));
            prop_assert!(world.given.iter().all(|given| given.state == 'w' || !pruned.contains(&given.path)));
            for folder in ["apps/a", "apps/b", "databases/c"] {
                let whole = fetched.given.iter().filter(|given| given.path.starts_with(folder) && given.state == 'w');
                let newest = whole.max_by_key(|given| (given.at.unix_timestamp(), &given.path));
                prop_assert!(newest.is_none_or(|newest| !pruned.contains(&newest.path)));
            }
            after.given.iter_mut().for_each(|given| given.fails = false);
            let next = after.plan();
            let (pruned, end) = after.fetch().prune();
            let end = end.plan();
            prop_assert_eq!((pruned, named(&next), named(&end)), (paths(&next.prune), named(&plan), named(&plan)));
            prop_assert!(end.fetch.is_empty() && end.prune.is_empty() && end.damaged.is_empty());
        }

        /// Not so `within`: a newer snapshot may make any number of others too old at once.
        #[test]
        fn one_more_snapshot_costs_each_rule_at_most_one(mut world in worlds(times(), 99), at in times()) {
            (world.within, world.others) = (0, vec![Kind::App, Kind::Database]);
            let before = world.plan();
            world.given.push(Given { path: "apps/a/99.zip".into(), at, is_listed: true, state: 'm', fails: false });
            let after = world.plan();
            let no_more = named(&before).difference(&named(&after)).count();
            prop_assert!(no_more <= world.counts.iter().filter(|n| **n > 0).count());
            prop_assert!(paths(&after.prune).difference(&paths(&before.prune)).count() <= no_more);
        }
    }
}
