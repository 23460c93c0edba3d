//! What a mirror asks of a client, no more often than the service allows.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::Client;
use crate::error::{Error, Limit, Result};
use crate::progress::{MirrorMeter, pause_in};
use crate::snapshot::Snapshot;
use crate::snapshot::mirror::{Listed, Service};
use crate::types::{Account, Kind, Listing, Skipped, SnapshotInfo, is_id_of};

/// How often a pause looks whether it is cancelled.
const TICK: Duration = Duration::from_millis(100);

/// At most so many requests in any period.
struct Pace {
    limit: usize,
    period: Duration,
    /// The last ones.
    sent: VecDeque<Duration>,
}

impl Pace {
    fn new(limit: usize, seconds: u64) -> Mutex<Self> {
        Mutex::new(Self { limit, period: Duration::from_secs(seconds), sent: VecDeque::new() })
    }

    /// How long the next one has to wait.
    fn pause(&mut self, now: Duration) -> Duration {
        let oldest = if self.sent.len() < self.limit { None } else { self.sent.pop_front() };
        let pause = oldest.map_or(Duration::ZERO, |oldest| (oldest + self.period).saturating_sub(now));
        self.sent.push_back(now + pause);
        pause
    }
}

/// A client that keeps to the service's limits: beyond two of them, the service blocks the account for half an hour.
pub(super) struct Paced {
    client: Client,
    since: Instant,
    /// The account's listing: 3 in 60 s.
    account: Mutex<Pace>,
    /// Listings of single apps and databases: from 30 calls of any kind in 60 s, some of which other programs may need.
    single: Mutex<Pace>,
    /// Creations: 1 in 5 s, by the service's clock.
    creations: Mutex<Pace>,
}

impl Paced {
    pub(super) fn new(client: Client) -> Self {
        let (account, single, creations) = (Pace::new(3, 61), Pace::new(20, 61), Pace::new(1, 6));
        Self { client, since: Instant::now(), account, single, creations }
    }

    fn pause(&self, pace: &Mutex<Pace>, meter: &MirrorMeter<'_>) -> Result<()> {
        let pause = pace.lock().unwrap_or_else(PoisonError::into_inner).pause(self.since.elapsed());
        let sleep = &*self.client.core.settings.sleep;
        pause_in(TICK, pause, sleep, || meter.tick(!pause.is_zero()).map(|()| true))
    }

    /// Lists everything of a kind: with one request, or one for each app or database where the plan does not include that.
    fn list_kind(
        &self,
        listed: &mut Listed,
        kind: Kind,
        only: Option<&[String]>,
        meter: &MirrorMeter<'_>,
    ) -> Result<()> {
        if listed.account.is_none() {
            self.pause(&self.account, meter)?;
            match self.client.core.listing(kind, None) {
                Err(error) if error.needs_upgrade() => listed.account = Some(self.account()?),
                listing => {
                    listed.add(kind, None, listing);
                    return Ok(());
                }
            }
        }
        let Some(account) = listed.account.clone() else { return Ok(()) };
        if !account.skipped.is_empty() {
            listed.incomplete.insert(kind);
        }
        let is_wanted = |id: &str| only.is_none_or(|ids| ids.iter().any(|wanted| is_id_of(wanted, id)));
        for (id, _) in account.resources(kind).into_iter().filter(|(id, _)| is_wanted(id)) {
            self.list_one(listed, kind, id, meter)?;
            if listed.not_listed.last().is_some_and(|(_, error)| error.limit() == Some(Limit::Budget)) {
                break;
            }
        }
        Ok(())
    }

    /// Lists an app or database that the user named and no listing has shown: perhaps it is shared through a workspace.
    fn list_named(&self, listed: &mut Listed, kinds: &[Kind], id: &str, meter: &MirrorMeter<'_>) -> Result<()> {
        let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| !listed.incomplete.contains(kind)).collect();
        for (number, kind) in kinds.iter().enumerate() {
            self.pause(&self.single, meter)?;
            let listing = self.client.resource(*kind, id.into()).listing();
            let is_missing = listing.as_ref().is_err_and(Error::is_not_found);
            // What is not found is reported once, whatever it would have been.
            if !is_missing || number + 1 == kinds.len() {
                listed.add(*kind, Some(id), listing);
                break;
            }
        }
        Ok(())
    }
}

impl Service for Paced {
    fn account(&self) -> Result<Account> {
        self.client.core.account()
    }

    fn list(&self, kinds: &[Kind], only: Option<&[String]>, meter: &MirrorMeter<'_>) -> Result<Listed> {
        let (snapshots, incomplete, not_listed, skipped) = Default::default();
        let now = OffsetDateTime::now_utc();
        let mut listed = Listed { snapshots, account: None, now, incomplete, not_listed, skipped };
        for kind in kinds {
            self.list_kind(&mut listed, *kind, only, meter)?;
        }
        listed.skipped.extend(listed.account.iter().flat_map(|account| account.skipped.iter().cloned()));
        for id in only.into_iter().flatten().filter(|id| !shows(&listed, kinds, id)).collect::<Vec<_>>() {
            self.list_named(&mut listed, kinds, id, meter)?;
        }
        if kinds.iter().all(|kind| listed.incomplete.contains(kind)) && listed.snapshots.is_empty() {
            return listed.not_listed.pop().map_or(Ok(listed), |(_, error)| Err(error));
        }
        Ok(listed)
    }

    fn list_one(&self, listed: &mut Listed, kind: Kind, id: &str, meter: &MirrorMeter<'_>) -> Result<()> {
        self.pause(&self.single, meter)?;
        listed.add(kind, Some(id), self.client.resource(kind, id.into()).listing());
        Ok(())
    }

    fn create(&self, kind: Kind, id: &str, meter: &MirrorMeter<'_>) -> Result<Snapshot> {
        self.pause(&self.creations, meter)?;
        self.client.resource(kind, id.into()).create_snapshot(Some(&|_| meter.go_on()))
    }

    fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        self.client.core.open(info)
    }
}

/// Whether the app or database with this id is in the listing, or is listed by itself because it is in the account.
fn shows(listed: &Listed, kinds: &[Kind], id: &str) -> bool {
    let is_ours = |account: &Account| {
        kinds.iter().flat_map(|kind| account.resources(*kind)).any(|(shown, _)| is_id_of(id, shown))
    };
    listed.snapshots.iter().any(|info| is_id_of(id, info.resource_id())) || listed.account.as_ref().is_some_and(is_ours)
}

impl Listed {
    /// Adds the listing of a kind, or of one app or database, or that there is none.
    fn add(&mut self, kind: Kind, id: Option<&str>, listing: Result<(Listing, Option<OffsetDateTime>)>) {
        match listing {
            Ok((listing, now)) => {
                self.now = now.map_or(self.now, |now| now.max(self.now));
                self.snapshots.extend(listing.snapshots);
                self.skip(kind, listing.skipped);
            }
            Err(error) => {
                let what = id.map_or_else(|| kind.segment().to_owned(), |id| format!("{kind} {id}"));
                self.not_listed.push((what, error));
                self.incomplete.insert(kind);
            }
        }
    }

    fn skip(&mut self, kind: Kind, skipped: Vec<Skipped>) {
        if !skipped.is_empty() {
            self.skipped.extend(skipped);
            self.incomplete.insert(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_allows_so_many_in_any_period() {
        let mut pace = Pace::new(2, 10).into_inner().unwrap();
        let pauses = [0, 1, 2, 9, 30].map(|now| pace.pause(Duration::from_secs(now)).as_secs());
        assert_eq!(pauses, [0, 0, 8, 2, 0]);
    }
}
