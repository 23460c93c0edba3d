//! PURE. What a run would do: which snapshots it would fetch, keep and prune, and why.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use super::keep::{Keep, Reason};
use crate::error::Error;
use crate::types::{Account, Kind, Skipped, SnapshotInfo};

/// What a run would do: [`Mirror::plan`](crate::Mirror::plan). For each app and database, the newest come first.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MirrorPlan {
    /// What would be fetched: listed, not there or damaged, and named by the policy.
    pub fetch: Vec<Planned>,
    /// What is there and would stay.
    pub keep: Vec<Planned>,
    /// What is there, whole, and would be deleted once everything was fetched that takes its place: no rule names it.
    pub prune: Vec<Planned>,
    /// What is listed, not there, and would not be fetched: no rule names it.
    pub skip: Vec<Planned>,
    /// What is there, truncated or changed. A run calls it `*.damaged`, and fetches those again that are listed and named
    /// by a rule: they are in `fetch`, too.
    pub damaged: Vec<Planned>,
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
pub struct Planned {
    /// Where its file is or would be.
    pub path: PathBuf,
    /// What the listing says of it; if it is not listed any more, what the file's name and length tell.
    pub snapshot: SnapshotInfo,
    /// Whether the service lists it.
    pub is_listed: bool,
    /// Why it is kept; empty when it is not.
    pub reasons: Vec<Reason>,
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
    fn is_complete(&self, kind: Kind) -> bool {
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

/// What is at an item's path.
pub(super) enum State {
    Missing,
    Whole,
    Damaged,
    /// It counts for nothing; the error, if it is not reported yet.
    Unusable(Option<Error>),
}

impl Item {
    /// Whether the policy counts it: nothing is pruned because of a copy that is damaged or gone.
    fn counts(&self) -> bool {
        match self.state {
            State::Whole => true,
            State::Missing | State::Damaged => self.is_listed,
            State::Unusable(_) => false,
        }
    }

    /// The names of files tell seconds, so seconds decide.
    fn created_at(&self) -> OffsetDateTime {
        self.info.created_at.replace_nanosecond(0).unwrap_or(self.info.created_at)
    }
}

impl MirrorPlan {
    /// What is to be done with what is listed and what is there.
    pub(super) fn new(listed: &Listed, items: &mut [Item], keep: &Keep, offset: UtcOffset) -> Self {
        let mut plan = Self::default();
        for items in items.chunk_by_mut(|a, b| a.path.parent() == b.path.parent()) {
            items.sort_by_cached_key(|item| Reverse((item.created_at(), item.path.clone())));
            let times: Vec<_> = items.iter().filter(|item| item.counts()).map(Item::created_at).collect();
            let may_prune = items.first().is_some_and(|item| listed.is_complete(item.info.kind));
            let mut reasons = keep.reasons(&times, offset, listed.now).into_iter();
            for item in items {
                let reasons = if item.counts() { reasons.next().unwrap_or_default() } else { Vec::new() };
                plan.add(item, reasons, may_prune);
            }
        }
        plan
    }

    fn add(&mut self, item: &mut Item, reasons: Vec<Reason>, may_prune: bool) {
        let is_named = !reasons.is_empty();
        let (path, snapshot) = (item.path.clone(), item.info.clone());
        let planned = Planned { path, snapshot, is_listed: item.is_listed, reasons };
        match &mut item.state {
            State::Unusable(error) => self.failed.extend(error.take().map(|error| (planned.snapshot, error))),
            State::Damaged => {
                self.fetch.extend(is_named.then(|| planned.clone()));
                self.damaged.push(planned);
            }
            State::Missing if is_named => self.fetch.push(planned),
            State::Missing => self.skip.push(planned),
            State::Whole if is_named => self.keep.push(planned),
            State::Whole if may_prune => self.prune.push(planned),
            State::Whole => self.keep.push(Planned { reasons: vec![Reason::Incomplete], ..planned }),
        }
    }
}
