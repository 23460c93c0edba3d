//! I/O. A fresh snapshot of each app and database, as far as the service's limits allow.

use std::time::Duration;

use time::OffsetDateTime;

use super::Mirror;
use super::plan::Listed;
use crate::error::{Error, Limit, Result};
use crate::progress::MirrorMeter;
use crate::types::{Account, Kind, SnapshotInfo, is_id_of};

/// The pause between two creations: one every 5 s is allowed, by the service's clock.
const PAUSE: Duration = Duration::from_secs(6);
const NOT_FOUND: &str = "is not in the account, so no snapshot of it is created; `Client::account` shows what is";

impl Mirror {
    /// Creates the snapshots and adds them to what is listed; returns of which there is none, and why.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) fn create_all(&self, listed: &mut Listed, meter: &MirrorMeter<'_>) -> Result<Vec<(String, Error)>> {
        let account = match listed.account.clone().map_or_else(|| self.service.account(), Ok) {
            Ok(account) => account,
            Err(error) => return Ok(vec![("the account".into(), error)]),
        };
        if listed.account.is_none() {
            listed.skipped.extend(account.skipped.iter().cloned());
        }
        let (mut not_taken, mut pause, mut blocked) = (Vec::new(), Duration::ZERO, None);
        for id in self.only.iter().flatten() {
            let mut ids = self.kinds().iter().flat_map(|kind| account.resources(*kind));
            if !ids.any(|(shown, _)| is_id_of(id, shown)) {
                not_taken.push((id.clone(), Error::invalid(format!("the id {id:?}"), NOT_FOUND)));
            }
        }
        for (last, kind, id) in self.wanted(&account, listed) {
            let what = format!("the snapshot of {kind} {id}");
            let created = match blocked.or_else(|| account.limit(last, &listed.snapshots, listed.now)) {
                Some(limit) => Err(Error::TooSoon { what, limit }),
                None => {
                    self.service.pause(std::mem::replace(&mut pause, PAUSE), meter)?;
                    meter.naming(&what, || self.service.create((kind, id), last, meter))
                }
            };
            meter.update(|_| {})?;
            match created {
                Ok(found) => {
                    listed.snapshots.retain(|old| !found.iter().any(|new| new.is_same(old)));
                    listed.snapshots.extend(found);
                }
                Err(error) => {
                    // A quota and a block stand against the others, too.
                    blocked = blocked.or(error.limit().filter(|limit| *limit != Limit::Cooldown));
                    let is_bad_key = error.is_unauthorized();
                    not_taken.push((format!("{kind} {id}"), error));
                    if is_bad_key {
                        break;
                    }
                }
            }
        }
        Ok(not_taken)
    }

    /// The apps and databases to create snapshots of, and when the last one of each was created: the longest ago first.
    fn wanted<'a>(&self, account: &'a Account, listed: &Listed) -> Vec<(Option<OffsetDateTime>, Kind, &'a str)> {
        let mut wanted = Vec::new();
        for &kind in self.kinds() {
            for (id, runtime) in account.resources(kind) {
                let of_id =
                    listed.snapshots.iter().filter(|info| info.kind == kind && is_id_of(id, info.resource_id()));
                let last = of_id.max_by_key(|info| info.created_at);
                let (name, size) = (format!("{id}_{runtime}_manual"), last.map_or(0, |last| last.size));
                if self.chooses(&SnapshotInfo::of_file(kind, &name, listed.now, size)) {
                    wanted.push((last.map(|last| last.created_at), kind, id));
                }
            }
        }
        wanted.sort();
        wanted
    }
}
