//! What a mirror asks of a client.

use std::time::Duration;

use time::OffsetDateTime;

use super::Client;
use crate::error::{Error, Limit, Result};
use crate::progress::{MirrorMeter, pause_in};
use crate::snapshot::Snapshot;
use crate::snapshot::mirror::{Listed, Service};
use crate::types::{Account, Kind, Listing, SnapshotInfo, is_id_of, is_wanted};

/// How often a pause looks whether it is cancelled.
const TICK: Duration = Duration::from_millis(100);
/// A key may make from 30 calls in 60 s, and beyond that the service blocks the account for half an hour. So many listings of
/// single apps and databases are asked for at once, and each one more after a pause.
const AT_ONCE: usize = 5;
const PAUSE: Duration = Duration::from_secs(3);

/// Waits until the next listing of a single app or database may be asked for.
type Turn<'a> = &'a mut dyn FnMut() -> Result<()>;

impl Service for Client {
    fn account(&self) -> Result<Account> {
        self.core.account()
    }

    fn list(&self, kinds: &[Kind], only: Option<&[String]>, meter: &MirrorMeter<'_>) -> Result<Listed> {
        let mut listed = Listed::new(OffsetDateTime::now_utc());
        let mut asked = 0;
        let mut turn = || {
            asked += 1;
            if asked > AT_ONCE { self.pause(PAUSE, meter) } else { Ok(()) }
        };
        for kind in kinds {
            // A bad key is not shown again: that gets the address blocked.
            if listed.not_listed.iter().any(|(_, error)| error.status() == Some(401)) {
                listed.incomplete.insert(*kind);
            } else {
                self.list_kind(&mut listed, *kind, only, &mut turn)?;
            }
        }
        // As long as it is known what is listed.
        for id in only.filter(|_| listed.not_listed.is_empty()).unwrap_or_default() {
            if !listed.shows(kinds, id) {
                self.list_named(&mut listed, kinds, id, &mut turn)?;
            }
            if listed.is_refused() {
                break;
            }
        }
        let is_nothing = listed.snapshots.is_empty() && kinds.iter().all(|kind| listed.incomplete.contains(kind));
        if is_nothing && !listed.not_listed.is_empty() {
            return Err(listed.not_listed.swap_remove(0).1);
        }
        Ok(listed)
    }

    fn list_again(&self, listed: &Listed, info: &SnapshotInfo) -> Result<Vec<SnapshotInfo>> {
        let listing = match listed.account {
            Some(_) => self.resource(info.kind, info.resource_id().into()).listing(),
            None => self.core.listing(info.kind, None),
        };
        listing.map(|(listing, _)| listing.snapshots)
    }

    fn create(
        &self,
        (kind, id): (Kind, &str),
        last: Option<OffsetDateTime>,
        meter: &MirrorMeter<'_>,
    ) -> Result<Vec<SnapshotInfo>> {
        let resource = self.resource(kind, id.into());
        if let Some(info) = resource.create_snapshot(Some(&|_| meter.go_on()))?.info() {
            return Ok(vec![info.clone()]);
        }
        let found = resource.listing()?.0.snapshots;
        if found.iter().all(|info| info.is_automatic() || last.is_some_and(|last| info.created_at <= last)) {
            let next = "it was created and is not listed yet; a later run fetches it";
            return Err(Error::Pending { what: format!("the snapshot of {resource}"), waited: Duration::ZERO, next });
        }
        Ok(found)
    }

    fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        self.core.open(info)
    }

    fn pause(&self, pause: Duration, meter: &MirrorMeter<'_>) -> Result<()> {
        pause_in(TICK, pause, &*self.core.settings.sleep, || meter.tick(!pause.is_zero()).map(|()| true))?;
        meter.tick(false)
    }
}

impl Client {
    /// Lists everything of a kind: with one request, or one for each app or database where the plan does not include that.
    fn list_kind(&self, to: &mut Listed, kind: Kind, only: Option<&[String]>, turn: Turn<'_>) -> Result<()> {
        if to.account.is_none() {
            match self.core.listing(kind, None) {
                Err(error) if error.needs_upgrade() => match self.account() {
                    Ok(account) => to.set_account(account),
                    Err(error) => {
                        to.add(kind, None, Err(error));
                        return Ok(());
                    }
                },
                listing => {
                    to.add(kind, None, listing);
                    return Ok(());
                }
            }
        }
        let Some(account) = to.account.clone() else { return Ok(()) };
        let wanted = account.resources(kind).into_iter().filter(|(id, _)| is_wanted(only, id));
        for (id, _) in wanted {
            turn()?;
            to.add(kind, Some(id), self.resource(kind, id.into()).listing());
            if to.is_refused() {
                break;
            }
        }
        Ok(())
    }

    /// Lists an app or database that the user named and no listing has shown: perhaps it is shared through a workspace.
    fn list_named(&self, to: &mut Listed, kinds: &[Kind], id: &str, turn: Turn<'_>) -> Result<()> {
        for (number, kind) in kinds.iter().enumerate() {
            turn()?;
            let listing = self.resource(*kind, id.into()).listing();
            let is_missing = listing.as_ref().is_err_and(Error::is_not_found);
            // What is not found is reported once, whatever it would have been.
            if !is_missing || number + 1 == kinds.len() {
                // Whatever it is, its files are not known to be gone.
                to.incomplete.extend(kinds.iter().filter(|_| listing.is_err() && !is_missing));
                to.add(*kind, Some(id), listing);
                break;
            }
        }
        Ok(())
    }
}

impl Listed {
    fn new(now: OffsetDateTime) -> Self {
        let (snapshots, incomplete) = Default::default();
        Self { snapshots, account: None, now, incomplete, not_listed: Vec::new(), skipped: Vec::new() }
    }

    /// Whether the last error is one that the service would repeat for whatever else it is asked for.
    fn is_refused(&self) -> bool {
        let error = self.not_listed.last().map(|(_, error)| error);
        error.is_some_and(|error| error.limit() == Some(Limit::Budget) || error.status() == Some(401))
    }

    /// Whether the app or database with this id is in a listing, or in the account and has been listed by itself.
    fn shows(&self, kinds: &[Kind], id: &str) -> bool {
        let has =
            |account: &Account| kinds.iter().any(|kind| account.resources(*kind).iter().any(|r| is_id_of(id, r.0)));
        self.snapshots.iter().any(|info| is_id_of(id, info.resource_id())) || self.account.as_ref().is_some_and(has)
    }

    /// Adds the listing of a kind, or of one app or database, or that there is none.
    fn add(&mut self, kind: Kind, id: Option<&str>, listing: Result<(Listing, Option<OffsetDateTime>)>) {
        match listing {
            Ok((listing, now)) => {
                self.now = now.map_or(self.now, |now| now.max(self.now));
                self.snapshots.extend(listing.snapshots);
                if !listing.skipped.is_empty() {
                    self.incomplete.insert(kind);
                }
                self.skipped.extend(listing.skipped);
            }
            Err(error) => {
                let what = id.map_or_else(|| kind.segment().to_owned(), |id| format!("{kind} {id}"));
                self.not_listed.push((what, error));
                self.incomplete.insert(kind);
            }
        }
    }

    /// Adds the account. What of it could not be decoded may be an app or a database.
    pub(crate) fn set_account(&mut self, account: Account) {
        if !account.skipped.is_empty() {
            self.incomplete.extend([Kind::App, Kind::Database]);
            self.skipped.extend(account.skipped.iter().cloned());
        }
        self.account = Some(account);
    }
}
